use serde_json::{Map, Value as Json};

use crate::names::FieldName;
use crate::record::Record;
use crate::value::Value;

/// A record as one JSON object for the reject file: integers over 2^53, decimals, times and bytes are their text.
///
/// With the columns' types, [`super::decode`] reads it back exactly. A column of a type that is not known may hold
/// several kinds (`is_open`): there what is not text says so, as `{"number": "1.50"}` or `{"json": "[1]"}`.
pub(super) fn record_to_json(record: &Record, is_open: impl Fn(&FieldName) -> bool) -> Json {
    let fields = record.shape.fields.iter().zip(&record.values);
    Json::Object(
        fields
            .filter(|(_, value)| !matches!(value, Value::Absent))
            .map(|(field, value)| (field.as_str().to_owned(), value_to_json(value, is_open(field))))
            .collect(),
    )
}

/// Names of the kinds in a column of a type that is not known.
pub(super) const NUMBER: &str = "number";
/// As above.
pub(super) const JSON: &str = "json";

const EXACT_IN_A_DOUBLE: u64 = 1 << 53;

pub(super) fn value_to_json(value: &Value, is_open: bool) -> Json {
    let named = |name: &str, text: &str| {
        let text = Json::String(text.to_owned());
        if is_open { Json::Object(Map::from_iter([(name.to_owned(), text)])) } else { text }
    };
    match value {
        Value::Absent | Value::Null => Json::Null,
        Value::Bool(value) => Json::Bool(*value),
        Value::Int64(value) if value.unsigned_abs() <= EXACT_IN_A_DOUBLE => Json::from(*value),
        Value::Float64(value) if value.is_finite() => Json::from(*value),
        Value::Text(text) => Json::String(text.to_string()),
        Value::Json(text) => named(JSON, text),
        Value::Decimal(text) => named(NUMBER, text),
        Value::Int64(_) | Value::Float64(_) | Value::Time(..) | Value::Bytes(_) => {
            Json::String(value.exact_text().unwrap_or_default())
        }
        Value::Array(items) => Json::Array(items.iter().map(|item| value_to_json(item, is_open)).collect()),
        Value::Object(fields) => Json::Object(
            fields.iter().map(|(key, value)| (key.to_string(), value_to_json(value, is_open))).collect::<Map<_, _>>(),
        ),
    }
}

/// Bytes of the texts in some JSON, names among them, and a few for all else.
pub(super) fn text_bytes(json: &Json) -> usize {
    const SCALAR: usize = 8;
    match json {
        Json::Null | Json::Bool(_) | Json::Number(_) => SCALAR,
        Json::String(text) => SCALAR + text.len(),
        Json::Array(items) => items.iter().map(text_bytes).sum(),
        Json::Object(fields) => fields.iter().map(|(name, value)| name.len() + text_bytes(value)).sum(),
    }
}
