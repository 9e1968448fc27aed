//! Rows of an archive, in the three encodings, into the encoded form in which functions get them.

use std::collections::HashMap;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde_json::{Map, Value};

use super::shape::{self, Hint, Shape};

/// Whole numbers up to here are written without a point, as JavaScript does.
const MAX_WHOLE: f64 = 9_007_199_254_740_992.0;

/// How the rows of a table are written.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) enum Encoding {
    /// Without a `generated_schema.jsonl`: every number is a float, and no other value has a form.
    #[default]
    Plain,
    /// `"uniform"`: `5` is an integer, `5.0` a float.
    Uniform,
    /// A shape of the table, and hints for documents by their id.
    Shaped { shape: Shape, hints: HashMap<String, Hint> },
}

impl Encoding {
    /// Decodes a row.
    pub(super) fn decode(&self, row: Value) -> Result<Value, String> {
        match self {
            Self::Plain => plain(row),
            Self::Uniform => uniform(row),
            Self::Shaped { shape, hints } => {
                let hint = row.get("_id").and_then(Value::as_str).and_then(|id| hints.get(id));
                shape::decode(row, &[shape], hint.unwrap_or(&Hint::Infer))
            }
        }
    }
}

fn plain(value: Value) -> Result<Value, String> {
    match value {
        Value::Number(number) => Ok(float(number.as_f64().unwrap_or(f64::NAN))),
        Value::Array(items) => items.into_iter().map(plain).collect(),
        Value::Object(fields) => each_field(fields, plain),
        other => Ok(other),
    }
}

fn uniform(value: Value) -> Result<Value, String> {
    match value {
        Value::Number(number) => Ok(match number.as_i64() {
            Some(whole) => integer(whole),
            None => float(number.as_f64().unwrap_or(f64::NAN)),
        }),
        Value::Array(items) => items.into_iter().map(uniform).collect(),
        Value::Object(fields) if fields.keys().next().is_some_and(|name| name.starts_with('$')) => encoded(fields),
        Value::Object(fields) => each_field(fields, uniform),
        other => Ok(other),
    }
}

/// Decodes the values of an object.
fn each_field(fields: Map<String, Value>, decode: fn(Value) -> Result<Value, String>) -> Result<Value, String> {
    let mut decoded = Map::with_capacity(fields.len());
    for (name, value) in fields {
        check_reserved(&name)?;
        decoded.insert(name, decode(value)?);
    }
    Ok(Value::Object(decoded))
}

/// A value that JSON has no form for, such as `{"$bytes": "AQI="}`.
fn encoded(fields: Map<String, Value>) -> Result<Value, String> {
    let mut entries = fields.into_iter();
    let (Some((name, Value::String(text))), None) = (entries.next(), entries.next()) else {
        return Err("an encoded value has one field, which is a text".to_owned());
    };
    let decoded = BASE64_STANDARD.decode(&text).map_err(|error| format!("{name}: {error}"))?;
    let eight = || <[u8; 8]>::try_from(decoded.as_slice()).map_err(|_| format!("{name} must be exactly eight bytes"));
    match name.as_str() {
        "$bytes" => Ok(bytes(&decoded)),
        "$integer" => Ok(integer(i64::from_le_bytes(eight()?))),
        "$float" => {
            let number = f64::from_le_bytes(eight()?);
            if number.is_finite() && !is_negative_zero(number) {
                return Err(format!("Float {number} should be encoded as a number"));
            }
            Ok(float(number))
        }
        _ => check_reserved(&name).map(|()| Value::Null),
    }
}

/// Refuses names that stand for encoded values: no document has them.
pub(super) fn check_reserved(name: &str) -> Result<(), String> {
    if name.starts_with('$') {
        return Err(format!("Field name {name} starts with a '$', which is reserved."));
    }
    Ok(())
}

pub(super) fn integer(value: i64) -> Value {
    wrapped("$integer", &value.to_le_bytes())
}

pub(super) fn bytes(value: &[u8]) -> Value {
    wrapped("$bytes", value)
}

pub(super) fn float(value: f64) -> Value {
    if !value.is_finite() || is_negative_zero(value) {
        return wrapped("$float", &value.to_le_bytes());
    }
    #[expect(clippy::cast_possible_truncation, reason = "it is whole and small")]
    if value.fract() == 0.0 && value.abs() < MAX_WHOLE { Value::from(value as i64) } else { Value::from(value) }
}

fn is_negative_zero(value: f64) -> bool {
    value.to_bits() == (-0.0_f64).to_bits()
}

fn wrapped(name: &str, value: &[u8]) -> Value {
    let mut fields = Map::with_capacity(1);
    fields.insert(name.to_owned(), BASE64_STANDARD.encode(value).into());
    Value::Object(fields)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(encoding: &Encoding, text: &str) -> Result<Value, String> {
        encoding.decode(serde_json::from_str(text).unwrap())
    }

    #[test]
    fn uniform_rows_tell_integers_from_floats() {
        let read = |text| read(&Encoding::Uniform, text);
        assert_eq!(read("5"), Ok(json!({ "$integer": "BQAAAAAAAAA=" })));
        assert_eq!(read("[5.0, 1e3, 0.5]"), Ok(json!([5, 1000, 0.5])));
        assert_eq!(read("-9223372036854775808"), Ok(json!({ "$integer": "AAAAAAAAAIA=" })));
        assert_eq!(read("9223372036854775808"), Ok(json!(9_223_372_036_854_775_808_f64)));
        assert_eq!(read("-0.0"), Ok(json!({ "$float": "AAAAAAAAAIA=" })));
        assert_eq!(read(r#"{"$float": "AAAAAAAA8H8="}"#), Ok(json!({ "$float": "AAAAAAAA8H8=" })));
        assert_eq!(read(r#"{"b": {"$bytes": "AQI="}}"#), Ok(json!({ "b": { "$bytes": "AQI=" } })));
        let one = r#"{"$float": "AAAAAAAA8D8="}"#;
        assert_eq!(read(one), Err("Float 1 should be encoded as a number".to_owned()));
        for wrong in [r#"{"$odd": "AQI="}"#, r#"{"$bytes": 1}"#, r#"{"$integer": "AQI="}"#, r#"{"a": 1, "$b": 2}"#] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn plain_rows_have_floats_only() {
        assert_eq!(read(&Encoding::Plain, r#"{"n": 5, "t": "5"}"#), Ok(json!({ "n": 5, "t": "5" })));
        let message = "Field name $integer starts with a '$', which is reserved.";
        assert_eq!(read(&Encoding::Plain, r#"{"n": {"$integer": "BQAAAAAAAAA="}}"#), Err(message.to_owned()));
    }

    #[test]
    fn a_hint_belongs_to_one_document() {
        let encoding = Encoding::Shaped {
            shape: Shape::parse(r#"{"_id": string, "n": int64 | string}"#).unwrap(),
            hints: [("b".to_owned(), Hint::parse(&json!({ "n": "int64" })).unwrap())].into(),
        };
        let five = json!({ "$integer": "BQAAAAAAAAA=" });
        assert_eq!(read(&encoding, r#"{"_id": "a", "n": "5"}"#), Ok(json!({ "_id": "a", "n": "5" })));
        assert_eq!(read(&encoding, r#"{"_id": "b", "n": "5"}"#), Ok(json!({ "_id": "b", "n": five })));
    }
}
