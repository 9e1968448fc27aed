use super::{RowContext, json_to_value};
use crate::names::FieldName;
use crate::plan::{Conversion, NullPolicy, PlanField};
use crate::record::{ChangeKind, Record, RejectCode, RowError};
use crate::value::Value;

/// Turns NULL into what the plan says, per field. Nothing is ever put in that the plan does not name.
#[derive(Debug)]
pub(super) struct Nulls {
    fields: Vec<(FieldName, OnNull)>,
    /// Per field of the document, whether it is a list of references.
    lists: Vec<bool>,
    /// Per field of the document, whether it is a reference.
    references: Vec<bool>,
}

#[derive(Debug)]
enum OnNull {
    Absent,
    Null,
    Default(Value),
    Reject,
}

impl Nulls {
    /// The policies of `fields`, in the document's order.
    pub(super) fn new(fields: &[PlanField]) -> Self {
        let on_null = |field: &PlanField| match &field.conversion {
            Conversion::Value { nulls, .. } | Conversion::Computed { nulls, .. } => match nulls {
                NullPolicy::Absent => OnNull::Absent,
                NullPolicy::Null => OnNull::Null,
                NullPolicy::Default(json) => OnNull::Default(json_to_value(json, &field.field_type)),
                NullPolicy::Reject => OnNull::Reject,
            },
            Conversion::Reference(reference) if reference.reject_null => OnNull::Reject,
            Conversion::Reference(_) if field.nullable => OnNull::Null,
            Conversion::Reference(_) if field.optional => OnNull::Absent,
            Conversion::Constant(_) | Conversion::Reference(_) => OnNull::Reject,
        };
        let name = |field: &PlanField| match &field.conversion {
            Conversion::Computed { .. } => field.field.clone(),
            _ => field.columns.first().unwrap_or(&field.field).clone(),
        };
        let is_list =
            |field: &PlanField| matches!(&field.conversion, Conversion::Reference(reference) if reference.list);
        Self {
            fields: fields.iter().map(|field| (name(field), on_null(field))).collect(),
            lists: fields.iter().map(is_list).collect(),
            references: fields.iter().map(|field| field.reference().is_some()).collect(),
        }
    }
}

impl Nulls {
    /// Puts in what the plan says.
    ///
    /// # Errors
    /// `null_not_allowed` where it says that there is no NULL.
    pub(super) fn apply(&self, record: &mut Record, context: &mut RowContext) -> Result<(), RowError> {
        for (position, ((column, on_null), value)) in self.fields.iter().zip(&mut record.values).enumerate() {
            // A reference that refers to a row is filled once the row's document is known.
            if context.references.get(position).is_some_and(|parents| !parents.is_empty()) {
                *value = Value::Absent;
                continue;
            }
            if let Some(Some(computed)) = context.computed.get_mut(position).map(Option::take)
                && !computed.is_nothing()
            {
                *value = computed;
                continue;
            }
            // An array that refers to no row is an empty list of ids, not NULL.
            if self.lists.get(position) == Some(&true) && matches!(value, Value::Array(_)) {
                *value = Value::Array(Vec::new());
                continue;
            }
            // Of a reference that refers to nothing no value is left, whichever of its columns is NULL.
            let is_reference = self.references.get(position) == Some(&true);
            if !is_reference && context.nulls.get(position).is_some_and(|was_null| !was_null) {
                continue;
            }
            *value = match on_null {
                OnNull::Absent => Value::Absent,
                OnNull::Null => Value::Null,
                OnNull::Default(default) => {
                    context.changed(column, ChangeKind::NullToDefault);
                    default.clone()
                }
                OnNull::Reject => {
                    return Err(
                        RowError::new(RejectCode::NullNotAllowed, format!("{column} is NULL")).at(Some(column.clone()))
                    );
                }
            };
        }
        Ok(())
    }
}
