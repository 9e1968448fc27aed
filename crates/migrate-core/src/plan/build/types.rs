use super::select::pattern;
use super::{Builder, PlanIssue};
use crate::catalog::{Column, ScalarKind, TableSchema};
use crate::plan::config::{ColumnConfig, JsonKeys, NullElements, TypeChoice, TypeRule};
use crate::plan::rules::{CAST_RULES, CastRule, Target, labels_of};
use crate::plan::{Cast, FieldType};

/// A column's type at the sink, and how it gets there.
pub(super) struct PlannedType {
    pub(super) field_type: FieldType,
    pub(super) cast: Cast,
    pub(super) rule: String,
}

impl Builder<'_> {
    /// The first rule that is for the column decides: the column's own choice, the user's rules, the built-in ones.
    pub(super) fn type_of(
        &mut self,
        schema: &TableSchema,
        column: &Column,
        choice: &ColumnConfig,
    ) -> Option<PlannedType> {
        let source = &column.source_type;
        let labels = labels_of(schema, column, &choice.values);
        let table = schema.name.to_string();
        let of_column =
            |setting: &str| ["tables", &table, "columns", column.name.as_str(), setting].map(str::to_owned).to_vec();
        let (wanted, rule, place) = if let Some(wanted) = choice.field_type {
            (Some(wanted), "chosen for the column".to_owned(), of_column("type"))
        } else if !choice.values.is_empty() {
            (Some(TypeChoice::Literals), "its values are mapped".to_owned(), of_column("values"))
        } else if let Some((position, rule)) = self.user_rule(schema, column) {
            let place = ["types".to_owned(), position.to_string(), "to".to_owned()];
            (Some(rule.to), format!("rule {} of [[types]]", position + 1), place.to_vec())
        } else {
            (None, String::new(), of_column("type"))
        };
        let decided = match wanted {
            Some(wanted) => chosen_type(wanted, source.scalar, source.array).map(|(target, cast)| (target, cast, rule)),
            None => CAST_RULES
                .iter()
                .find(|rule| rule.is_for(source, labels.is_some()))
                .map(|&CastRule { target, cast, why, .. }| (target, cast, format!("{}: {why}", source.name))),
        };
        let Some((target, cast, rule)) = decided else {
            let wanted = wanted.and_then(|wanted| serde_json::to_value(wanted).ok());
            let wanted = wanted.as_ref().and_then(|wanted| wanted.as_str()).unwrap_or_default();
            let remedy = match place.last().map(String::as_str) {
                Some("values") => "leave out `values`, which are for texts and enums",
                Some("to") => "name the types that the rule is for: from = \"…\"",
                _ => "leave out `type` for the exact mapping, or choose \"string\"",
            };
            self.issues.push(PlanIssue {
                path: place,
                message: format!("{table}.{} is {}, which cannot become {wanted}", column.name, source.name),
                remedy: Some(remedy.to_owned()),
            });
            return None;
        };
        let is_object = matches!(source.scalar, ScalarKind::Json | ScalarKind::Hstore | ScalarKind::Composite);
        let (target, cast, rule) = match (cast, choice.json_keys.unwrap_or(self.config.defaults.json_keys)) {
            (Cast::Json, JsonKeys::Escape) => (target, Cast::JsonEscaped, format!("{rule}, with keys escaped")),
            (Cast::Json, JsonKeys::Text) if is_object => {
                (Target::String, Cast::JsonText, format!("{}: kept as its JSON text, as json_keys says", source.name))
            }
            _ => (target, cast, rule),
        };
        if target == Target::Labels && labels.is_none() {
            self.issues.push(PlanIssue {
                path: place,
                message: format!("{table}.{} has no known set of texts", column.name),
                remedy: Some("name them: values = { \"text\" = \"text\" }, or choose type = \"string\"".to_owned()),
            });
            return None;
        }
        let mut field_type = target.field_type(labels.as_deref().unwrap_or_default());
        if source.array && target != Target::Any {
            if choice.null_elements.unwrap_or(self.config.defaults.null_elements) == NullElements::Null {
                field_type = FieldType::Nullable(Box::new(field_type));
            }
            for _ in 0..choice.dimensions.or(source.dimensions).unwrap_or(1).max(1) {
                field_type = FieldType::Array(Box::new(field_type));
            }
        }
        Some(PlannedType { field_type, cast, rule })
    }

    fn user_rule(&self, schema: &TableSchema, column: &Column) -> Option<(usize, &TypeRule)> {
        let fits = |text: &Option<String>, name: &str| {
            text.as_ref().is_none_or(|text| pattern(text).is_ok_and(|matcher| matcher.is_match(name)))
        };
        self.config.types.iter().enumerate().find(|(_, rule)| {
            fits(&rule.from, &column.source_type.name)
                && fits(&rule.table, &schema.name.to_string())
                && fits(&rule.column, column.name.as_str())
        })
    }

    /// Refuses patterns of `[[types]]` that are none; a pattern that matches nothing is none of the file's faults.
    pub(super) fn check_type_rules(&mut self) {
        for (position, rule) in self.config.types.iter().enumerate() {
            let patterns = [("from", &rule.from), ("table", &rule.table), ("column", &rule.column)];
            for (key, text) in patterns.into_iter().filter_map(|(key, text)| Some((key, text.as_ref()?))) {
                if let Err(reason) = pattern(text) {
                    self.issues.push(PlanIssue::new(
                        &["types", &position.to_string(), key],
                        format!("{text} is no pattern: {reason}"),
                        "write * for any characters, as in numeric*",
                    ));
                }
            }
        }
    }
}

fn chosen_type(kind: TypeChoice, scalar: ScalarKind, array: bool) -> Option<(Target, Cast)> {
    use ScalarKind as S;
    match (kind, scalar) {
        (TypeChoice::String | TypeChoice::JsonText, S::Json | S::Hstore | S::Composite) => {
            Some((Target::String, Cast::JsonText))
        }
        (TypeChoice::String, S::Bytes) if array => None,
        (TypeChoice::String, _) => Some((Target::String, Cast::Text)),
        (TypeChoice::Number, S::Int4 | S::Int8 | S::Float8 | S::Numeric | S::Oid) => {
            Some((Target::Number, Cast::Number))
        }
        (TypeChoice::Int64, S::Int4 | S::Int8 | S::Oid) => Some((Target::Int64, Cast::Int64)),
        (TypeChoice::EpochMs, S::TimestampTz | S::Timestamp | S::Date) => Some((Target::Number, Cast::EpochMs)),
        (TypeChoice::Numbers, S::Vector) if !array => Some((Target::Numbers, Cast::Numbers)),
        (TypeChoice::Literals, S::Enum | S::Text) => Some((Target::Labels, Cast::Literal)),
        (TypeChoice::Any, S::Json | S::Other | S::Hstore | S::Composite) => Some((Target::Any, Cast::Json)),
        _ => None,
    }
}
