use std::collections::BTreeMap;

use super::RowContext;
use super::json::{Keys, Notes, parse_json};
use super::number::{double_text, exact_double, nearest_double};
use super::time::epoch_milliseconds;
use crate::names::FieldName;
use crate::plan::{Cast, FieldType, PlanField, Unfit};
use crate::record::{ChangeKind, RejectCode, RowError};
use crate::value::Value;

/// Gives the values of one field the planned type. NULL passes; [`super::Nulls`] decides about it.
#[derive(Debug)]
pub(super) struct CastField {
    column: FieldName,
    cast: Cast,
    /// Texts that become others, then the texts that are allowed.
    values: BTreeMap<String, String>,
    literals: Vec<String>,
    /// Dimensions of the planned array, 0 for none, and whether its elements may be NULL.
    dimensions: usize,
    null_elements: bool,
    /// Whether its numbers are of single precision, which have a text of their own.
    is_single: bool,
    on_unfit: Unfit,
}

/// Why a value cannot be cast, to be completed with the column's name.
type Refusal = (RejectCode, String);

fn unfit(reason: &str) -> Refusal {
    (RejectCode::NotRepresentable, reason.to_owned())
}

impl CastField {
    /// Casts the values of a field's column.
    pub(super) fn new(field: &PlanField, cast: Cast, values: &BTreeMap<String, String>, on_unfit: Unfit) -> Self {
        let mut inner = &field.field_type;
        let (mut dimensions, mut null_elements) = (0, false);
        loop {
            inner = match inner {
                FieldType::Array(items) => {
                    dimensions += 1;
                    items
                }
                FieldType::Nullable(item) => {
                    null_elements = true;
                    item
                }
                _ => break,
            };
        }
        let literals = match inner {
            FieldType::Literals(texts) => texts.clone(),
            _ => Vec::new(),
        };
        let column = field.columns.first().unwrap_or(&field.field).clone();
        let is_single = field.source_type.name.starts_with("real") || field.source_type.name.starts_with("float4");
        Self { column, cast, values: values.clone(), literals, dimensions, null_elements, is_single, on_unfit }
    }

    /// The value in the planned type; [`Value::Absent`] for NULL, and for what is made NULL because it does not fit.
    ///
    /// # Errors
    /// Why the type cannot hold it.
    pub(super) fn apply(&self, value: &Value, context: &mut RowContext) -> Result<Value, RowError> {
        if value.is_nothing() {
            return Ok(Value::Absent);
        }
        let changes = context.changes.len();
        match self.cast(value, 0, context) {
            Ok(cast) => Ok(cast),
            Err((RejectCode::NotRepresentable, _)) if self.on_unfit == Unfit::Null => {
                context.changes.truncate(changes);
                context.changed(&self.column, ChangeKind::UnfitToNull);
                Ok(Value::Absent)
            }
            Err((code, reason)) => {
                Err(RowError::new(code, format!("{} {reason}", self.column)).at(Some(self.column.clone())))
            }
        }
    }

    fn cast(&self, value: &Value, depth: usize, context: &mut RowContext) -> Result<Value, Refusal> {
        match (self.cast, value) {
            (Cast::JsonText | Cast::Text, Value::Json(text)) => Ok(Value::Text(text.clone())),
            (Cast::Json, Value::Json(text)) => self.json(text, Keys::AsTheyAre, context),
            (Cast::JsonEscaped, Value::Json(text)) => self.json(text, Keys::Escaped, context),
            (_, Value::Array(items)) => {
                if !self.is_free() && depth >= self.dimensions {
                    return Err(unfit("is an array of more dimensions than planned; plan `dimensions` for it"));
                }
                let items = items.iter().map(|item| self.element(item, depth + 1, context));
                items.collect::<Result<_, _>>().map(Value::Array)
            }
            (cast, _) if !self.is_free() && cast != Cast::Numbers && depth < self.dimensions && depth > 0 => {
                Err(unfit("is an array of fewer dimensions than planned; plan `dimensions` for it"))
            }
            (
                Cast::Exact | Cast::Json | Cast::JsonEscaped,
                value @ (Value::Bool(_) | Value::Text(_) | Value::Bytes(_)),
            )
            | (Cast::Number | Cast::Json | Cast::JsonEscaped, value @ Value::Float64(_))
            | (Cast::Int64, value @ Value::Int64(_)) => Ok(value.clone()),
            (Cast::Exact | Cast::Text, Value::Time(_, text) | Value::Text(text)) => Ok(Value::Text(text.clone())),
            (Cast::Text, Value::Float64(double)) => Ok(Value::text(double_text(*double, self.is_single))),
            (Cast::Text, value) => value.exact_text().map(Value::text).ok_or_else(|| self.refuse(value)),
            (Cast::Number | Cast::Json | Cast::JsonEscaped, Value::Int64(integer)) => {
                exact_double(*integer).ok_or_else(|| unfit("is an integer over 2^53, which no double holds"))
            }
            (Cast::Number | Cast::Json | Cast::JsonEscaped, Value::Decimal(text)) => {
                let (double, rounded) = nearest_double(text).ok_or_else(|| unfit("is outside the range of doubles"))?;
                if rounded {
                    context.changed(&self.column, ChangeKind::NumberRounded);
                }
                Ok(Value::Float64(double))
            }
            // Names of the server's own objects are numbers only as long as they have no name.
            (Cast::Number, Value::Text(text)) => match text.parse().ok().and_then(exact_double) {
                Some(double) => Ok(double),
                None => Err(unfit("is a text that is no number")),
            },
            (Cast::Int64, Value::Text(text)) => {
                text.parse().map(Value::Int64).map_err(|_| unfit("is a text that is no 64-bit integer"))
            }
            (Cast::Numbers, Value::Text(text)) => numbers(text).ok_or_else(|| unfit("is no list of numbers")),
            (Cast::EpochMs, Value::Time(kind, text)) => {
                let (milliseconds, cut) = epoch_milliseconds(*kind, text)
                    .ok_or_else(|| unfit("is infinite, or past what a JavaScript Date holds"))?;
                if cut {
                    context.changed(&self.column, ChangeKind::MicrosecondsCut);
                }
                exact_double(milliseconds).ok_or_else(|| unfit("is out of range"))
            }
            (Cast::Literal, Value::Text(text)) => {
                let text = self.values.get(&**text).map_or(&**text, String::as_str);
                if self.literals.iter().any(|literal| literal == text) {
                    Ok(Value::text(text))
                } else {
                    Err((RejectCode::UnknownValue, "is none of the planned values".to_owned()))
                }
            }
            (_, value) => Err(self.refuse(value)),
        }
    }

    /// Whether any value is of the planned type, arrays of whatever depth included.
    fn is_free(&self) -> bool {
        matches!(self.cast, Cast::Json | Cast::JsonEscaped) && self.dimensions == 0
    }

    fn json(&self, text: &str, keys: Keys, context: &mut RowContext) -> Result<Value, Refusal> {
        let mut notes = Notes::default();
        let value = parse_json(text, keys, &mut notes).map_err(|(code, reason)| (code, reason.to_owned()))?;
        if notes.rounded {
            context.changed(&self.column, ChangeKind::NumberRounded);
        }
        if notes.escaped {
            context.changed(&self.column, ChangeKind::KeyEscaped);
        }
        Ok(value)
    }

    fn element(&self, item: &Value, depth: usize, context: &mut RowContext) -> Result<Value, Refusal> {
        if !item.is_nothing() {
            return self.cast(item, depth, context);
        }
        if self.is_free() || (self.null_elements && depth == self.dimensions) {
            return Ok(Value::Null);
        }
        Err(unfit("holds a NULL element, which its planned type has no place for; plan null_elements = \"null\""))
    }

    fn refuse(&self, value: &Value) -> Refusal {
        let cast = serde_json::to_value(self.cast).ok().and_then(|name| name.as_str().map(str::to_owned));
        unfit(&format!("is {}, which the cast {} does not take", value.kind(), cast.unwrap_or_default()))
    }
}

/// `[1,2.5]`, as a vector is written.
fn numbers(text: &str) -> Option<Value> {
    let inner = text.strip_prefix('[')?.strip_suffix(']')?;
    if inner.trim().is_empty() {
        return Some(Value::Array(Vec::new()));
    }
    let items = inner.split(',').map(|item| nearest_double(item.trim()).map(|(double, _)| Value::Float64(double)));
    items.collect::<Option<_>>().map(Value::Array)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::{ScalarKind, SourceType};
    use crate::plan::{Conversion, NullPolicy};
    use crate::record::FieldChange;
    use crate::value::TimeKind;

    /// One value of a column of a type, cast; and the lossy edits.
    fn cast(
        source_type: SourceType,
        field_type: FieldType,
        cast: Cast,
        value: &Value,
    ) -> Result<(Value, Vec<FieldChange>), RowError> {
        let field = PlanField {
            field: FieldName::from("it"),
            columns: vec![FieldName::from("it")],
            source_type,
            field_type,
            optional: false,
            nullable: false,
            conversion: Conversion::Value {
                cast,
                nulls: NullPolicy::Reject,
                values: BTreeMap::new(),
                on_unfit: Unfit::Reject,
            },
            rule: String::new(),
            comment: None,
        };
        let mut context = RowContext::default();
        let cast = CastField::new(&field, cast, &BTreeMap::new(), Unfit::Reject);
        Ok((cast.apply(value, &mut context)?, context.changes))
    }

    fn array(field_type: FieldType) -> FieldType {
        FieldType::Array(Box::new(field_type))
    }

    #[test]
    fn vectors_are_arrays_of_doubles() {
        let vector = |text: &str| {
            let source_type = SourceType::new("extensions.vector(3)", ScalarKind::Vector);
            cast(source_type, array(FieldType::Number), Cast::Numbers, &Value::text(text)).map(|(value, _)| value)
        };
        let doubles = |values: &[f64]| Value::Array(values.iter().copied().map(Value::Float64).collect());
        assert_eq!(vector("[1,2.5,-3]").unwrap(), doubles(&[1.0, 2.5, -3.0]));
        assert_eq!(vector("[3.4028235e+38,1e-45,0.1]").unwrap(), doubles(&[3.402_823_5e38, 1e-45, 0.1]));
        let Value::Array(items) = vector("[-0,0,1]").unwrap() else { panic!("no array") };
        assert!(matches!(items[0], Value::Float64(zero) if zero.is_sign_negative()));
        for wrong in ["1,2", "[1,]", "[a]", "{1:1}/3", ""] {
            assert_eq!(vector(wrong).unwrap_err().code, RejectCode::NotRepresentable, "{wrong}");
        }
    }

    #[test]
    fn doubles_become_the_text_that_postgres_has() {
        let text = |name: &str, double: f64| {
            let source_type = SourceType::new(name, ScalarKind::Float8);
            cast(source_type, FieldType::String, Cast::Text, &Value::Float64(double)).unwrap().0
        };
        assert_eq!(text("double precision", 1e6), Value::text("1000000"));
        assert_eq!(text("real", 1e6), Value::text("1e+06"));
        assert_eq!(text("double precision", -0.0), Value::text("-0"));
    }

    #[test]
    fn an_edit_is_counted_once_for_a_row() {
        let instant = |text: &str| Value::Time(TimeKind::TimestampTz, text.into());
        let instants = Value::Array(vec![
            instant("1970-01-01T00:00:00.000001+00:00"),
            instant("1970-01-01T00:00:00.000002+00:00"),
        ]);
        let source_type =
            SourceType { array: true, ..SourceType::new("timestamp with time zone[]", ScalarKind::TimestampTz) };
        let (value, changes) = cast(source_type, array(FieldType::Number), Cast::EpochMs, &instants).unwrap();
        assert_eq!(value, Value::Array(vec![Value::Float64(0.0); 2]));
        assert_eq!(changes, [FieldChange { field: "it".into(), kind: ChangeKind::MicrosecondsCut }]);
    }
}
