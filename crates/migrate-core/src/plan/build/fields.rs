use std::collections::BTreeMap;

use serde_json::Value as Json;

use super::naming::Naming;
use super::references::Parents;
use super::types::PlannedType;
use super::{Builder, PlanIssue};
use crate::catalog::{Column, Digits, ScalarKind, TableSchema};
use crate::names::FieldName;
use crate::plan::config::{ColumnConfig, NullChoice, TableConfig};
use crate::plan::toml_error::suggest;
use crate::plan::{Cast, Conversion, FieldType, NullPolicy, PlanField, PlanReference, Unfit};
use crate::transform::{epoch_milliseconds, escape_key};
use crate::value::TimeKind;

impl Builder<'_> {
    /// The fields of a table's documents: one per column, then references of several columns, then computed ones.
    pub(super) fn fields(
        &mut self,
        schema: &TableSchema,
        settings: &TableConfig,
        parents: &Parents<'_>,
        key: &[FieldName],
    ) -> Vec<PlanField> {
        let known = schema.column_names();
        for column in settings.columns.keys().filter(|column| schema.column(column.as_str()).is_none()) {
            self.issues.push(PlanIssue::new(
                &["tables", &schema.name.to_string(), "columns", column.as_str()],
                format!("{} has no column {column}", schema.name),
                suggest(column.as_str(), &known),
            ));
        }
        let mut naming = Naming::fields(self);
        for name in settings.fields.keys() {
            self.given_field(schema, "fields", name, &mut naming);
        }
        for name in settings.references.keys() {
            self.given_field(schema, "references", name, &mut naming);
        }
        // A key of one column is the document's legacy id; it needs no field of its own, unless it says more than that.
        let mut planned: Vec<(&Column, ColumnConfig, Option<PlanReference>)> = Vec::new();
        for column in &schema.columns {
            let choice = settings.columns.get(&column.name);
            if choice.is_some_and(|choice| choice.drop) {
                continue;
            }
            let is_key = matches!(key, [only] if *only == column.name);
            let reference = self.column_reference(schema, column, choice, parents, is_key);
            if let Some(choice) = choice {
                self.check_choice(schema, column, choice, reference.as_ref());
            }
            if is_key && choice.is_none() && reference.is_none() {
                continue;
            }
            planned.push((column, choice.cloned().unwrap_or_default(), reference));
        }
        let wanted: Vec<(FieldName, String, bool)> = planned
            .iter()
            .map(|(column, choice, reference)| match (&choice.name, reference) {
                (Some(name), _) => (column.name.clone(), name.clone(), true),
                // A document's own `_id` is another id than that of its parent.
                (None, Some(reference)) if column.name.as_str() == "id" && key == [column.name.clone()] => {
                    let name = self.reference_name(reference, parents);
                    self.notes
                        .push(format!("{}.id, its key, is a reference too: it becomes the field {name}", schema.name));
                    (column.name.clone(), name, false)
                }
                (None, _) => (column.name.clone(), self.config.defaults.field_names.apply(column.name.as_str()), false),
            })
            .collect();
        let names = self.name_columns(schema, &wanted, &mut naming);
        let mut fields = Vec::with_capacity(planned.len());
        for (column, choice, reference) in planned {
            let Some(name) = names.get(&column.name).cloned() else { continue };
            fields.extend(match reference {
                Some(reference) => Some(self.reference_field(name, schema, column, &choice, reference, parents)),
                None => self.value_field(name, schema, column, &choice),
            });
        }
        fields.extend(self.wide_references(schema, settings, parents, &mut naming));
        fields.extend(self.computed_fields(schema, settings));
        self.tell_required(schema);
        fields
    }

    fn value_field(
        &mut self,
        name: FieldName,
        schema: &TableSchema,
        column: &Column,
        choice: &ColumnConfig,
    ) -> Option<PlanField> {
        let PlannedType { field_type, cast, rule } = self.type_of(schema, column, choice)?;
        let nulls = choice.nulls.unwrap_or(self.config.defaults.nulls);
        let on_unfit = choice.on_unfit.unwrap_or(self.config.defaults.on_unfit);
        let may_be_null = column.nullable || on_unfit == Unfit::Null;
        let policy = match (may_be_null, nulls) {
            (false, _) | (true, NullChoice::Reject) => NullPolicy::Reject,
            (true, NullChoice::Absent) => NullPolicy::Absent,
            (true, NullChoice::Null) => NullPolicy::Null,
            (true, NullChoice::Default) => {
                NullPolicy::Default(self.default(schema, column, choice, &field_type, cast)?)
            }
        };
        if column.nullable && matches!(policy, NullPolicy::Default(_) | NullPolicy::Reject) {
            self.note_required(column, if policy == NullPolicy::Reject { "a reject" } else { "the default" });
        }
        let values = if cast == Cast::Literal { choice.values.clone() } else { BTreeMap::new() };
        Some(PlanField {
            field: name,
            columns: vec![column.name.clone()],
            source_type: column.source_type.clone(),
            optional: policy == NullPolicy::Absent,
            nullable: policy == NullPolicy::Null,
            field_type,
            conversion: Conversion::Value { cast, nulls: policy, values, on_unfit },
            rule,
            comment: column.comment.clone(),
        })
    }

    /// Keeps a column for the note on what may be NULL and is required at the sink.
    pub(super) fn note_required(&mut self, column: &Column, becomes: &'static str) {
        self.required.entry(becomes).or_default().push(column.name.clone());
    }

    /// Says of a table's columns which may be NULL and are required at the sink.
    fn tell_required(&mut self, schema: &TableSchema) {
        for (becomes, columns) in std::mem::take(&mut self.required) {
            let listed: Vec<&str> = columns.iter().map(FieldName::as_str).collect();
            self.notes.push(format!(
                "{}: required at the sink, though it may be NULL at the source, which becomes {becomes}: {}",
                schema.name,
                listed.join(", ")
            ));
        }
    }

    /// Says which choices for a column decide nothing, as they are for columns of another kind.
    fn check_choice(
        &mut self,
        schema: &TableSchema,
        column: &Column,
        choice: &ColumnConfig,
        reference: Option<&PlanReference>,
    ) {
        let source = &column.source_type;
        let is_json = matches!(source.scalar, ScalarKind::Json | ScalarKind::Hstore | ScalarKind::Composite);
        let is_value = reference.is_none();
        for (is_given, is_used, setting, why) in [
            (choice.on_missing.is_some(), !is_value, "on_missing", "it is no reference that the plan follows"),
            (choice.default.is_some(), is_value, "default", "it is a reference"),
            (!choice.values.is_empty(), is_value, "values", "it is a reference"),
            (choice.dimensions.is_some(), is_value && source.array, "dimensions", "it becomes no array of values"),
            (
                choice.null_elements.is_some(),
                is_value && source.array,
                "null_elements",
                "it becomes no array of values",
            ),
            (choice.json_keys.is_some(), is_json || source.scalar == ScalarKind::Other, "json_keys", "it is no JSON"),
        ] {
            if is_given && !is_used {
                self.notes.push(format!("{}.{}: {setting} decides nothing, as {why}", schema.name, column.name));
            }
        }
        let nulls = choice.nulls.unwrap_or(self.config.defaults.nulls);
        if choice.default.is_some() && is_value && nulls != NullChoice::Default {
            self.issues.push(PlanIssue::new(
                &["tables", &schema.name.to_string(), "columns", column.name.as_str(), "default"],
                format!("{}.{} has a default that NULL does not become", schema.name, column.name),
                "add nulls = \"default\"",
            ));
        }
    }

    fn default(
        &mut self,
        schema: &TableSchema,
        column: &Column,
        choice: &ColumnConfig,
        field_type: &FieldType,
        cast: Cast,
    ) -> Option<Json> {
        let own = column.default.as_ref().map(|default| source_default(default, column, choice, field_type, cast));
        let given = if choice.default.is_some() { "default" } else { "nulls" };
        let place = ["tables", &schema.name.to_string(), "columns", column.name.as_str(), given].map(str::to_owned);
        let Some(default) = choice.default.clone().or(own) else {
            let expression = column.default_expression.as_ref();
            let expression = expression.map_or_else(String::new, |expression| format!(", only {expression}"));
            self.issues.push(PlanIssue {
                path: place.to_vec(),
                message: format!("{}.{} has no constant default at the source{}", schema.name, column.name, expression),
                remedy: Some("give one: default = …, or choose nulls = \"absent\"".to_owned()),
            });
            return None;
        };
        if !fits(&default, field_type) {
            self.issues.push(PlanIssue {
                path: place.to_vec(),
                message: format!(
                    "the default of {}.{} is not of its type at the sink, {field_type}",
                    schema.name, column.name
                ),
                remedy: Some("give one that is: default = …".to_owned()),
            });
            return None;
        }
        Some(default)
    }
}

/// A default as the catalog gives it, in the sink's type: the source writes arrays, JSON and instants as text.
fn source_default(default: &Json, column: &Column, choice: &ColumnConfig, field_type: &FieldType, cast: Cast) -> Json {
    let source = &column.source_type;
    let in_sink_type = match (default, field_type, cast) {
        (Json::String(text), FieldType::Array(_), _) if text == "{}" => Some(Json::Array(Vec::new())),
        (Json::String(text), _, Cast::Literal) => choice.values.get(text).cloned().map(Json::String),
        (Json::String(text), FieldType::Number, Cast::EpochMs) if !source.array => default_instant(source.scalar, text),
        (Json::String(text), FieldType::Any, Cast::JsonEscaped) => serde_json::from_str(text).ok().map(escaped),
        (Json::String(text), FieldType::Any | FieldType::Number, _) => serde_json::from_str(text).ok(),
        // A decimal's text has as many digits after the point as its type says.
        (Json::Number(number), FieldType::String, _) => Some(Json::String(match source.digits {
            Some(Digits { scale: scale @ 1.., .. }) if source.scalar == ScalarKind::Numeric => number
                .as_f64()
                .map_or_else(|| number.to_string(), |number| format!("{number:.*}", usize::from(scale.unsigned_abs()))),
            _ => number.to_string(),
        })),
        _ => None,
    };
    in_sink_type.unwrap_or_else(|| default.clone())
}

/// An instant as milliseconds, where the source's text tells one.
fn default_instant(scalar: ScalarKind, text: &str) -> Option<Json> {
    let kind = match scalar {
        ScalarKind::TimestampTz => TimeKind::TimestampTz,
        ScalarKind::Timestamp => TimeKind::Timestamp,
        ScalarKind::Date => TimeKind::Date,
        _ => return None,
    };
    epoch_milliseconds(kind, text).map(|(milliseconds, _)| milliseconds.into())
}

/// JSON whose keys every sink takes.
fn escaped(json: Json) -> Json {
    match json {
        Json::Array(items) => items.into_iter().map(escaped).collect(),
        Json::Object(fields) => {
            fields.into_iter().map(|(key, value)| (escape_key(&key).into_owned(), escaped(value))).collect()
        }
        other => other,
    }
}

/// Whether a literal of the configuration is of a sink type.
pub(crate) fn fits(value: &Json, field_type: &FieldType) -> bool {
    match field_type {
        FieldType::String => value.is_string(),
        FieldType::Number => value.is_number(),
        FieldType::Int64 => value.is_i64(),
        FieldType::Boolean => value.is_boolean(),
        FieldType::Any => true,
        FieldType::Bytes | FieldType::Id(_) => false,
        FieldType::Array(inner) => value.as_array().is_some_and(|items| items.iter().all(|item| fits(item, inner))),
        FieldType::Literals(labels) => value.as_str().is_some_and(|text| labels.iter().any(|label| label == text)),
        FieldType::Nullable(inner) => value.is_null() || fits(value, inner),
        FieldType::Union(kinds) => kinds.iter().any(|kind| fits(value, kind)),
    }
}
