use super::json::parse_json;
use super::number::{exact_double, nearest_double};
use super::time::epoch_milliseconds;
use super::{RowContext, Transform};
use crate::names::FieldName;
use crate::plan::{Cast, FieldType, PlanField};
use crate::record::{ChangeKind, Record, RejectCode, RowError};
use crate::value::{TimeKind, Value};

/// Gives one field's value the planned type. NULL passes; [`super::Nulls`] decides about it.
#[derive(Debug)]
pub struct CastField {
    position: usize,
    column: FieldName,
    cast: Cast,
    literals: Vec<String>,
}

/// Why a value cannot be cast, to be completed with the column's name.
type Refusal = (RejectCode, String);

impl CastField {
    /// Casts the value at `position` of the document.
    #[must_use]
    pub fn new(position: usize, field: &PlanField, cast: Cast) -> Self {
        let literals = match &field.field_type {
            FieldType::Literals(values) => values.clone(),
            FieldType::Array(inner) => match &**inner {
                FieldType::Literals(values) => values.clone(),
                _ => Vec::new(),
            },
            _ => Vec::new(),
        };
        Self { position, column: field.columns.first().unwrap_or(&field.field).clone(), cast, literals }
    }

    fn cast(&self, value: Value, context: &mut RowContext) -> Result<Value, Refusal> {
        match (self.cast, value) {
            (Cast::Json | Cast::JsonText | Cast::Text, Value::Json(text)) if self.cast != Cast::Json => {
                Ok(Value::Text(text))
            }
            (Cast::Json, Value::Json(text)) => {
                let mut rounded = false;
                let value = parse_json(&text, &mut rounded).map_err(|(code, reason)| (code, reason.to_owned()))?;
                if rounded {
                    context.changed(&self.column, ChangeKind::NumberRounded);
                }
                Ok(value)
            }
            (_, Value::Array(items)) => {
                items.into_iter().map(|item| self.element(item, context)).collect::<Result<_, _>>().map(Value::Array)
            }
            (Cast::Exact | Cast::Json, value @ (Value::Bool(_) | Value::Text(_) | Value::Bytes(_)))
            | (Cast::Number | Cast::Json, value @ Value::Float64(_))
            | (Cast::Int64, value @ Value::Int64(_)) => Ok(value),
            (Cast::Exact | Cast::Text, Value::Time(_, text) | Value::Text(text)) => Ok(Value::Text(text)),
            (Cast::Text, value) => value.key_text().map(Value::text).ok_or_else(|| self.refuse(&value)),
            (Cast::Number | Cast::Json, Value::Int64(integer)) => exact_double(integer)
                .ok_or_else(|| (RejectCode::NotRepresentable, "is an integer over 2^53, which no double holds".into())),
            (Cast::Number | Cast::Json, Value::Decimal(text)) => {
                let (double, rounded) = nearest_double(&text)
                    .ok_or((RejectCode::NotRepresentable, "is outside the range of doubles".to_owned()))?;
                if rounded {
                    context.changed(&self.column, ChangeKind::NumberRounded);
                }
                Ok(Value::Float64(double))
            }
            (Cast::EpochMs, Value::Time(TimeKind::TimestampTz, text)) => {
                let (milliseconds, cut) = epoch_milliseconds(&text).ok_or((
                    RejectCode::NotRepresentable,
                    "is infinite, BC or past the year 9999, which no epoch number is made of".to_owned(),
                ))?;
                if cut {
                    context.changed(&self.column, ChangeKind::MicrosecondsCut);
                }
                exact_double(milliseconds).ok_or((RejectCode::NotRepresentable, "is out of range".to_owned()))
            }
            (Cast::Literal, Value::Text(text)) => {
                if self.literals.iter().any(|literal| **literal == *text) {
                    Ok(Value::Text(text))
                } else {
                    Err((RejectCode::UnknownValue, "is none of the planned values".to_owned()))
                }
            }
            (_, value) => Err(self.refuse(&value)),
        }
    }

    fn element(&self, item: Value, context: &mut RowContext) -> Result<Value, Refusal> {
        if item.is_nothing() {
            return if self.cast == Cast::Json {
                Ok(Value::Null)
            } else {
                Err((
                    RejectCode::NotRepresentable,
                    "holds a NULL element, which its planned type has no place for".into(),
                ))
            };
        }
        self.cast(item, context)
    }

    fn refuse(&self, value: &Value) -> Refusal {
        let cast = serde_json::to_value(self.cast).ok().and_then(|name| name.as_str().map(str::to_owned));
        (
            RejectCode::NotRepresentable,
            format!("is {}, which the cast {} does not take", value.kind(), cast.unwrap_or_default()),
        )
    }
}

impl Transform for CastField {
    fn apply(&self, record: &mut Record, context: &mut RowContext) -> Result<(), RowError> {
        let Some(slot) = record.values.get_mut(self.position) else { return Ok(()) };
        if slot.is_nothing() {
            return Ok(());
        }
        let value = std::mem::take(slot);
        *slot = self.cast(value, context).map_err(|(code, reason)| {
            RowError::new(code, format!("{} {reason}", self.column)).at(Some(self.column.clone()))
        })?;
        Ok(())
    }
}
