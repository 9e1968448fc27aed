use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::number::nearest_double;
use crate::plan::FieldType;
use crate::record::RejectCode;
use crate::value::Value;

/// Deeper JSON than any sink takes is not followed.
const MAX_DEPTH: usize = 100;

/// Parses a JSON column's text. Numbers become doubles; `rounded` is set where that made another number of one.
pub(super) fn parse_json(text: &str, rounded: &mut bool) -> Result<Value, (RejectCode, &'static str)> {
    let raw: &RawValue = serde_json::from_str(text).map_err(|_| MALFORMED)?;
    parse_raw(raw, rounded, 0)
}

const MALFORMED: (RejectCode, &str) = (RejectCode::NotRepresentable, "is not valid JSON");

fn parse_raw(raw: &RawValue, rounded: &mut bool, depth: usize) -> Result<Value, (RejectCode, &'static str)> {
    if depth > MAX_DEPTH {
        return Err((RejectCode::TooDeep, "is nested deeper than 100 levels"));
    }
    let text = raw.get();
    match text.as_bytes().first() {
        Some(b'n') => Ok(Value::Null),
        Some(b't') => Ok(Value::Bool(true)),
        Some(b'f') => Ok(Value::Bool(false)),
        Some(b'"') => serde_json::from_str::<String>(text).map(Value::text).map_err(|_| MALFORMED),
        Some(b'[') => {
            let items: Vec<&RawValue> = serde_json::from_str(text).map_err(|_| MALFORMED)?;
            items
                .into_iter()
                .map(|item| parse_raw(item, rounded, depth + 1))
                .collect::<Result<_, _>>()
                .map(Value::Array)
        }
        Some(b'{') => {
            let Fields(fields) = serde_json::from_str(text).map_err(|_| MALFORMED)?;
            let mut object: Vec<(Box<str>, Value)> = Vec::with_capacity(fields.len());
            for (name, raw) in fields {
                let value = parse_raw(raw, rounded, depth + 1)?;
                // A json column may repeat a key; the last one counts, as it does in jsonb and in JavaScript.
                match object.iter_mut().find(|(known, _)| **known == *name) {
                    Some((_, slot)) => *slot = value,
                    None => object.push((name.into(), value)),
                }
            }
            Ok(Value::Object(object))
        }
        Some(_) => {
            let (double, other) = nearest_double(text)
                .ok_or((RejectCode::NotRepresentable, "holds a number outside the range of doubles"))?;
            *rounded |= other;
            Ok(Value::Float64(double))
        }
        None => Err(MALFORMED),
    }
}

struct Fields<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Fields<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct FieldsVisitor;
        impl<'de> Visitor<'de> for FieldsVisitor {
            type Value = Vec<(Cow<'de, str>, &'de RawValue)>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut fields = Vec::new();
                while let Some((name, raw)) = map.next_entry::<String, &RawValue>()? {
                    fields.push((Cow::Owned(name), raw));
                }
                Ok(fields)
            }
        }
        deserializer.deserialize_map(FieldsVisitor).map(Fields)
    }
}

/// A literal of a plan as a value of the field's type.
pub fn json_to_value(json: &serde_json::Value, field_type: &FieldType) -> Value {
    use serde_json::Value as Json;
    match (json, field_type) {
        (Json::Null, _) => Value::Null,
        (Json::Bool(value), _) => Value::Bool(*value),
        (Json::String(text), _) => Value::text(text.as_str()),
        (Json::Number(number), FieldType::Int64) if number.is_i64() => {
            number.as_i64().map_or(Value::Null, Value::Int64)
        }
        (Json::Number(number), _) => number.as_f64().map_or(Value::Null, Value::Float64),
        (Json::Array(items), FieldType::Array(inner)) => {
            Value::Array(items.iter().map(|item| json_to_value(item, inner)).collect())
        }
        (Json::Array(items), other) => Value::Array(items.iter().map(|item| json_to_value(item, other)).collect()),
        (Json::Object(fields), other) => Value::Object(
            fields.iter().map(|(name, value)| (name.as_str().into(), json_to_value(value, other))).collect(),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> (Value, bool) {
        let mut rounded = false;
        (parse_json(text, &mut rounded).unwrap(), rounded)
    }

    #[test]
    fn keeps_order_null_and_the_last_of_repeated_keys() {
        let (value, rounded) = parse(r#"{"b": 1, "a": [null, true, "x\u2028"], "b": 2.5}"#);
        let expected = Value::Object(vec![
            ("b".into(), Value::Float64(2.5)),
            ("a".into(), Value::Array(vec![Value::Null, Value::Bool(true), Value::text("x\u{2028}")])),
        ]);
        assert_eq!((value, rounded), (expected, false));
        assert_eq!(parse("null"), (Value::Null, false));
    }

    #[test]
    fn tells_of_rounded_numbers_and_refuses_what_no_double_holds() {
        assert!(parse("[9007199254740993]").1);
        assert!(!parse("[9007199254740992, 1e20, 0.1]").1);
        let mut rounded = false;
        assert!(parse_json("1e999", &mut rounded).is_err());
        assert!(parse_json("{", &mut rounded).is_err());
        let deep = format!("{}1{}", "[".repeat(200), "]".repeat(200));
        assert_eq!(parse_json(&deep, &mut rounded).unwrap_err().0, RejectCode::TooDeep);
    }
}
