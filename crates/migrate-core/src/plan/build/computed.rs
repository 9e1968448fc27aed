use super::{Builder, PlanIssue, fits};
use crate::catalog::{ScalarKind, SourceType, TableSchema};
use crate::names::FieldName;
use crate::plan::config::{ComputedType, FieldConfig, NullChoice, TableConfig};
use crate::plan::toml_error::suggest;
use crate::plan::{Conversion, FieldType, NullPolicy, PlanField};
use crate::transform::Expression;

impl Builder<'_> {
    /// The fields that no column is: constants and expressions.
    pub(super) fn computed_fields(&mut self, schema: &TableSchema, settings: &TableConfig) -> Vec<PlanField> {
        let fields = settings.fields.iter();
        fields.filter_map(|(name, choice)| self.computed_field(schema, name, choice)).collect()
    }

    fn computed_field(&mut self, schema: &TableSchema, name: &FieldName, choice: &FieldConfig) -> Option<PlanField> {
        let table = schema.name.to_string();
        let mut issue = |message: String, remedy: &str| {
            self.issues.push(PlanIssue::new(&["tables", &table, "fields", name.as_str()], message, remedy));
        };
        let field_type = match choice.field_type {
            ComputedType::String => FieldType::String,
            ComputedType::Number => FieldType::Number,
            ComputedType::Int64 => FieldType::Int64,
            ComputedType::Boolean => FieldType::Boolean,
            ComputedType::Any => FieldType::Any,
        };
        let (conversion, columns, rule) = match (&choice.value, &choice.expression) {
            (Some(value), None) if fits(value, &field_type) => {
                (Conversion::Constant(value.clone()), Vec::new(), "a constant".to_owned())
            }
            (Some(_), None) => {
                issue(format!("the value of {table}.{name} is not of its type"), "give one that is, or another type");
                return None;
            }
            (None, Some(text)) => {
                let expression = match Expression::parse(text) {
                    Ok(expression) => expression,
                    Err(reason) => {
                        issue(
                            format!("the expression of {table}.{name} cannot be read: {reason}"),
                            "write one such as: first_name ~ \" \" ~ (last_name or \"\")",
                        );
                        return None;
                    }
                };
                let known = schema.column_names();
                let columns = expression.columns();
                if let Some(unknown) = columns.iter().find(|column| schema.column(column.as_str()).is_none()) {
                    issue(
                        format!("the expression of {table}.{name} names {unknown}, which is no column"),
                        &suggest(unknown.as_str(), &known),
                    );
                    return None;
                }
                // A text that says so itself is meant.
                if !text.to_lowercase().contains("none\"") && expression.words_null(&schema.columns) {
                    issue(
                        format!("the expression of {table}.{name} takes NULL for the text \"none\""),
                        "write what NULL becomes: (last_name or \"\")",
                    );
                    return None;
                }
                let nulls = match choice.nulls {
                    NullChoice::Absent => NullPolicy::Absent,
                    NullChoice::Null => NullPolicy::Null,
                    NullChoice::Reject => NullPolicy::Reject,
                    NullChoice::Default => {
                        issue(format!("{table}.{name} has no default"), "write it in the expression: name or \"none\"");
                        return None;
                    }
                };
                (Conversion::Computed { expression: text.clone(), nulls }, columns, "an expression".to_owned())
            }
            _ => {
                issue(
                    format!("{table}.{name} needs either a value or an expression"),
                    "give it one of the two: value = … or expression = \"…\"",
                );
                return None;
            }
        };
        let nulls = match &conversion {
            Conversion::Computed { nulls, .. } => nulls.clone(),
            _ => NullPolicy::Reject,
        };
        Some(PlanField {
            field: name.clone(),
            columns,
            source_type: SourceType::new("computed", ScalarKind::Other),
            optional: nulls == NullPolicy::Absent,
            nullable: nulls == NullPolicy::Null,
            field_type,
            conversion,
            rule,
            comment: None,
        })
    }
}
