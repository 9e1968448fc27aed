use std::sync::Arc;

use super::{CastField, RowContext};
use crate::names::FieldName;
use crate::plan::{Conversion, PlanField};
use crate::record::{Record, RecordShape, RowError};
use crate::value::Value;

/// Makes the document of a row: its fields, in their order, and of the planned types. The row is left as it is, so that
/// only what a document keeps is copied.
#[derive(Debug)]
pub(super) struct Fields {
    shape: Arc<RecordShape>,
    values: Vec<FieldValue>,
}

/// Where a field's value comes from.
#[derive(Debug)]
enum FieldValue {
    /// The column at this position.
    Cast(usize, CastField),
    /// The column at this position says whether it refers to anything; ids come later.
    Reference(usize),
    /// No column.
    None,
}

impl Fields {
    /// Documents of `shape` with `fields`, made of records with `columns`.
    pub(super) fn new(shape: Arc<RecordShape>, fields: &[PlanField], columns: &[FieldName]) -> Self {
        let value = |field: &PlanField| {
            let first = field.columns.first().and_then(|name| columns.iter().position(|column| column == name));
            match (&field.conversion, first) {
                (Conversion::Value { cast, values, on_unfit, .. }, Some(at)) => {
                    FieldValue::Cast(at, CastField::new(field, *cast, values, *on_unfit))
                }
                (Conversion::Reference(_), Some(at)) => FieldValue::Reference(at),
                _ => FieldValue::None,
            }
        };
        Self { shape, values: fields.iter().map(value).collect() }
    }

    /// The document of `record`; NULL is [`Value::Absent`] until [`super::Nulls`] decides about it.
    ///
    /// # Errors
    /// The first value that its type cannot hold.
    pub(super) fn apply(&self, record: &Record, context: &mut RowContext) -> Result<Record, RowError> {
        let mut values = Vec::with_capacity(self.values.len());
        context.nulls.clear();
        context.nulls.reserve(self.values.len());
        for field in &self.values {
            let column = |at: &usize| record.values.get(*at).unwrap_or(&Value::Absent);
            let (value, is_null) = match field {
                FieldValue::Cast(at, cast) => {
                    let value = cast.apply(column(at), context)?;
                    let is_null = matches!(value, Value::Absent);
                    (value, is_null)
                }
                FieldValue::Reference(at) => match column(at) {
                    Value::Array(_) => (Value::Array(Vec::new()), false),
                    other => (Value::Absent, other.is_nothing()),
                },
                FieldValue::None => (Value::Absent, true),
            };
            values.push(value);
            context.nulls.push(is_null);
        }
        Ok(Record { shape: self.shape.clone(), values })
    }
}
