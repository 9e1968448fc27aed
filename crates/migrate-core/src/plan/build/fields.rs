use std::collections::BTreeMap;

use super::naming::Naming;
use super::references::Parents;
use super::types::PlannedType;
use super::{Builder, PlanIssue};
use crate::catalog::{Column, TableSchema};
use crate::names::FieldName;
use crate::plan::config::{ColumnConfig, NullChoice, TableConfig};
use crate::plan::toml_error::suggest;
use crate::plan::{Cast, Conversion, FieldType, NullPolicy, PlanField, PlanReference, Unfit};

impl Builder<'_> {
    /// The fields of a table's documents: one per column, then references of several columns, then computed ones.
    pub(super) fn fields(
        &mut self,
        schema: &TableSchema,
        settings: &TableConfig,
        parents: &Parents<'_>,
        key: &[FieldName],
    ) -> Vec<PlanField> {
        let known: Vec<String> = schema.columns.iter().map(|column| column.name.to_string()).collect();
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
            let reference = self.column_reference(schema, column, choice, parents);
            if is_key && choice.is_none() && reference.is_none() {
                continue;
            }
            planned.push((column, choice.cloned().unwrap_or_default(), reference));
        }
        let wanted: Vec<(FieldName, String, bool)> = planned
            .iter()
            .map(|(column, choice, reference)| match (&choice.name, reference) {
                (Some(name), _) => (column.name.clone(), name.clone(), true),
                (None, Some(reference)) if matches!(key, [only] if *only == column.name) => {
                    (column.name.clone(), self.reference_name(reference, parents), false)
                }
                (None, _) => (column.name.clone(), self.config.defaults.field_names.apply(column.name.as_str()), false),
            })
            .collect();
        let names = self.name_columns(schema, &wanted, &mut naming);
        let mut fields = Vec::with_capacity(planned.len());
        for (column, choice, reference) in planned {
            let Some(name) = names.get(&column.name).cloned() else { continue };
            fields.extend(match reference {
                Some(reference) => Some(self.reference_field(name, column, &choice, reference, parents)),
                None => self.value_field(name, schema, column, &choice),
            });
        }
        fields.extend(self.wide_references(schema, settings, parents, &mut naming));
        fields.extend(self.computed_fields(schema, settings));
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
            (true, NullChoice::Default) => NullPolicy::Default(self.default(schema, column, choice, &field_type)?),
        };
        if column.nullable && matches!(policy, NullPolicy::Default(_) | NullPolicy::Reject) {
            let becomes = if policy == NullPolicy::Reject { "a reject" } else { "the default" };
            self.notes.push(format!(
                "{}.{} may be NULL and is required at the sink: NULL becomes {becomes}",
                schema.name, column.name
            ));
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

    fn default(
        &mut self,
        schema: &TableSchema,
        column: &Column,
        choice: &ColumnConfig,
        field_type: &FieldType,
    ) -> Option<serde_json::Value> {
        let own = column.default.as_ref().map(|default| source_default(default, field_type));
        let place = ["tables", &schema.name.to_string(), "columns", column.name.as_str()].map(str::to_owned);
        let Some(default) = choice.default.clone().or(own) else {
            self.issues.push(PlanIssue {
                path: place.to_vec(),
                message: format!("{}.{} has no constant default at the source", schema.name, column.name),
                remedy: Some("give one: default = …, or choose nulls = \"absent\"".to_owned()),
            });
            return None;
        };
        if !fits(&default, field_type) {
            self.issues.push(PlanIssue {
                path: place.to_vec(),
                message: format!("the default of {}.{} is not of its type at the sink", schema.name, column.name),
                remedy: Some("give one that is: default = …".to_owned()),
            });
            return None;
        }
        Some(default)
    }
}

/// A default as the catalog gives it, in the sink's type: the source writes arrays and JSON as text.
fn source_default(default: &serde_json::Value, field_type: &FieldType) -> serde_json::Value {
    match (default.as_str(), field_type) {
        (Some("{}"), FieldType::Array(_)) => serde_json::Value::Array(Vec::new()),
        (Some(text), FieldType::Any | FieldType::Number) => {
            serde_json::from_str(text).unwrap_or_else(|_| default.clone())
        }
        _ => default.clone(),
    }
}

/// Whether a literal of the configuration is of a sink type.
pub(crate) fn fits(value: &serde_json::Value, field_type: &FieldType) -> bool {
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
