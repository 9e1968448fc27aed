//! Documents as lines of the "uniform" encoding of snapshot imports: exact integers, doubles and bytes.
//!
//! An integer is a number without a point, a double one with a point or an exponent; what JSON has no number for is
//! `$float`, and bytes are `$bytes`. Source: the backend's `value/src/export.rs`. A file says that it is so encoded by a
//! `generated_schema.jsonl` with the one line `"uniform"`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use migrate_core::names::{FieldName, SourceKey};
use migrate_core::record::RowError;
use migrate_core::value::Value;

use crate::document_id::DocumentId;
use crate::encode::{not_representable, write_text};

/// What a table's `generated_schema.jsonl` holds.
pub(crate) const UNIFORM_SCHEMA: &[u8] = b"\"uniform\"\n";

/// Integers of a double up to which its shortest text has no exponent and every digit counts.
const PLAIN: f64 = 9_007_199_254_740_992.0;

/// The field that a document's time of creation is in.
pub(crate) const CREATION_TIME: &str = "_creationTime";

/// Appends a document and a line's end.
///
/// Names are not escaped: [`crate::size`] lets only identifiers pass. On an error the buffer holds half a line.
///
/// # Errors
/// `not_representable` for a value that Convex has no kind for.
pub(crate) fn write_document<'a>(
    out: &mut Vec<u8>,
    id: DocumentId,
    legacy: Option<(&FieldName, &SourceKey)>,
    fields: impl Iterator<Item = (&'a FieldName, &'a Value)>,
) -> Result<(), RowError> {
    out.extend_from_slice(b"{\"_id\":\"");
    id.write_to(out);
    out.push(b'"');
    if let Some((field, key)) = legacy {
        write_name(out, field);
        write_text(out, key.as_str());
    }
    for (name, value) in fields {
        write_name(out, name);
        write_value(out, value).map_err(|error| error.at(Some(name.clone())))?;
    }
    out.extend_from_slice(b"}\n");
    Ok(())
}

fn write_name(out: &mut Vec<u8>, name: &FieldName) {
    out.extend_from_slice(b",\"");
    out.extend_from_slice(name.as_str().as_bytes());
    out.extend_from_slice(b"\":");
}

pub(crate) fn write_value(out: &mut Vec<u8>, value: &Value) -> Result<(), RowError> {
    use std::io::Write as _;
    match value {
        Value::Null => out.extend_from_slice(b"null"),
        Value::Bool(true) => out.extend_from_slice(b"true"),
        Value::Bool(false) => out.extend_from_slice(b"false"),
        Value::Int64(value) => {
            let _ = write!(out, "{value}"); // writing to a Vec cannot fail
        }
        Value::Float64(value) => write_double(out, *value),
        Value::Text(text) => write_text(out, text),
        Value::Bytes(bytes) => write_base64(out, b"{\"$bytes\":\"", bytes),
        Value::Array(items) => {
            out.push(b'[');
            for (position, item) in items.iter().enumerate() {
                if position > 0 {
                    out.push(b',');
                }
                write_value(out, item)?;
            }
            out.push(b']');
        }
        Value::Object(entries) => {
            out.push(b'{');
            let present = entries.iter().filter(|(_, value)| !matches!(value, Value::Absent));
            for (position, (key, value)) in present.enumerate() {
                if position > 0 {
                    out.push(b',');
                }
                write_text(out, key);
                out.push(b':');
                write_value(out, value)?;
            }
            out.push(b'}');
        }
        unwritable => return Err(not_representable(unwritable)),
    }
    Ok(())
}

fn write_double(out: &mut Vec<u8>, value: f64) {
    use std::io::Write as _;
    if !value.is_finite() {
        write_base64(out, b"{\"$float\":\"", &value.to_le_bytes());
    } else if value.fract() == 0.0 && value.abs() < PLAIN && !(value == 0.0 && value.is_sign_negative()) {
        // Milliseconds and counts: integers are written faster than doubles.
        #[expect(clippy::cast_possible_truncation, reason = "it is an integer below 2^53")]
        let whole = value as i64;
        let _ = write!(out, "{whole}.0"); // writing to a Vec cannot fail
    } else {
        let _ = write!(out, "{value:?}");
    }
}

fn write_base64(out: &mut Vec<u8>, begin: &[u8], bytes: &[u8]) {
    out.extend_from_slice(begin);
    let start = out.len();
    out.resize(start + bytes.len().div_ceil(3) * 4, b'=');
    if let Some(room) = out.get_mut(start..) {
        // The room is exactly what the encoding takes.
        let _ = STANDARD.encode_slice(bytes, room);
    }
    out.extend_from_slice(b"\"}");
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value as Json;

    use super::*;

    fn line(value: &Value) -> String {
        let mut out = Vec::new();
        write_value(&mut out, value).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn scalars() {
        for (value, text) in [
            (Value::Null, "null"),
            (Value::Bool(true), "true"),
            (Value::Int64(5), "5"),
            (Value::Int64(i64::MIN), "-9223372036854775808"),
            (Value::Int64(i64::MAX), "9223372036854775807"),
            (Value::Float64(5.0), "5.0"),
            (Value::Float64(-0.0), "-0.0"),
            (Value::Float64(0.0), "0.0"),
            (Value::Float64(0.1), "0.1"),
            (Value::Float64(1_700_000_000_000.0), "1700000000000.0"),
            (Value::Float64(1e300), "1e300"),
            (Value::Float64(9_007_199_254_740_992.0), "9007199254740992.0"),
            (Value::Float64(f64::INFINITY), r#"{"$float":"AAAAAAAA8H8="}"#),
            (Value::Bytes(Box::new([])), r#"{"$bytes":""}"#),
            (Value::Bytes(Box::new([1, 2, 3, 4])), r#"{"$bytes":"AQIDBA=="}"#),
            (Value::text("a\"\n\u{1}é"), "\"a\\\"\\n\\u0001é\""),
        ] {
            assert_eq!(line(&value), text);
        }
        assert!(write_value(&mut Vec::new(), &Value::Decimal("1".into())).is_err());
    }

    #[test]
    fn a_document_is_a_line() {
        let id = DocumentId::new(10_001, [0; 16]).unwrap();
        let (legacy, total) = (FieldName::from("supabaseId"), FieldName::from("total"));
        let mut out = Vec::new();
        let fields = [(&total, &Value::Int64(7))];
        write_document(&mut out, id, Some((&legacy, &SourceKey::from("a\nb"))), fields.into_iter()).unwrap();
        let expected = format!("{{\"_id\":\"{id}\",\"supabaseId\":\"a\\nb\",\"total\":7}}\n");
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }

    /// A value as the backend's uniform decoding reads it, from serde's reader.
    fn read(json: &Json) -> Value {
        match json {
            Json::Null => Value::Null,
            Json::Bool(value) => Value::Bool(*value),
            Json::Number(number) => {
                number.as_i64().map_or_else(|| Value::Float64(number.as_f64().unwrap()), Value::Int64)
            }
            Json::String(text) => Value::text(text.as_str()),
            Json::Array(items) => Value::Array(items.iter().map(read).collect()),
            Json::Object(entries) => match entries.iter().next() {
                Some((key, Json::String(text))) if key == "$bytes" => {
                    Value::Bytes(STANDARD.decode(text).unwrap().into())
                }
                Some((key, Json::String(text))) if key == "$float" => {
                    Value::Float64(f64::from_le_bytes(STANDARD.decode(text).unwrap().try_into().unwrap()))
                }
                _ => Value::Object(entries.iter().map(|(key, value)| (key.as_str().into(), read(value))).collect()),
            },
        }
    }

    fn values() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::Bool),
            any::<i64>().prop_map(Value::Int64),
            any::<u64>().prop_map(|bits| Value::Float64(f64::from_bits(bits))),
            (-1e7_f64..1e7).prop_map(|value| Value::Float64(value.trunc())),
            any::<String>().prop_map(|text| Value::text(text.as_str())),
            prop::collection::vec(any::<u8>(), 0..20).prop_map(|bytes| Value::Bytes(bytes.into())),
        ];
        leaf.prop_recursive(4, 32, 5, |inner| {
            let key = "[a-z ]{1,6}";
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Value::Array),
                prop::collection::btree_map(key, inner, 0..5).prop_map(|entries| {
                    Value::Object(entries.into_iter().map(|(key, value)| (key.into(), value)).collect())
                }),
            ]
        })
    }

    /// Equal, with NaN by its bits and zeros by their sign.
    fn same(a: &Value, b: &Value) -> bool {
        match (a, b) {
            (Value::Float64(a), Value::Float64(b)) => a.to_bits() == b.to_bits(),
            (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
            (Value::Object(a), Value::Object(b)) => {
                a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.0 == b.0 && same(&a.1, &b.1))
            }
            _ => a == b,
        }
    }

    proptest! {
        #[test]
        fn any_value_reads_back(value in values()) {
            let text = line(&value);
            prop_assert!(!text.contains('\n'));
            let back = read(&serde_json::from_str(&text).unwrap());
            prop_assert!(same(&back, &value), "{text}: {back:?}");
        }
    }
}
