use serde_json::{Map, Value as Json};

use crate::record::Record;
use crate::value::Value;

/// A record as one JSON object for the reject file: integers over 2^53, decimals, times and bytes are their text.
#[must_use]
pub fn record_to_json(record: &Record) -> Json {
    let fields = record.shape.fields.iter().zip(&record.values);
    Json::Object(
        fields
            .filter(|(_, value)| !matches!(value, Value::Absent))
            .map(|(field, value)| (field.as_str().to_owned(), value_to_json(value)))
            .collect(),
    )
}

const EXACT_IN_A_DOUBLE: u64 = 1 << 53;

fn value_to_json(value: &Value) -> Json {
    match value {
        Value::Absent | Value::Null => Json::Null,
        Value::Bool(value) => Json::Bool(*value),
        Value::Int64(value) if value.unsigned_abs() <= EXACT_IN_A_DOUBLE => Json::from(*value),
        Value::Float64(value) if value.is_finite() => Json::from(*value),
        Value::Text(text) | Value::Json(text) => Json::String(text.to_string()),
        Value::Int64(_) | Value::Float64(_) | Value::Decimal(_) | Value::Time(..) | Value::Bytes(_) => {
            Json::String(value.exact_text().unwrap_or_default())
        }
        Value::Array(items) => Json::Array(items.iter().map(value_to_json).collect()),
        Value::Object(fields) => Json::Object(
            fields.iter().map(|(key, value)| (key.to_string(), value_to_json(value))).collect::<Map<_, _>>(),
        ),
    }
}
