//! Values and calls as Convex's encoded JSON, written straight into one buffer.
//!
//! Source: the backend's `value/src/json/mod.rs` (`convex_encoded_json`), which is how all arguments are decoded,
//! whatever format the answer has.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use migrate_core::names::FieldName;
use migrate_core::record::{Record, RejectCode, RowError};
use migrate_core::sink::{NaturalKey, WriteMode, WriteRecord};
use migrate_core::value::Value;
use secrecy::{ExposeSecret as _, SecretString};

type Encoded = Result<(), RowError>;

/// Integers of a double that are also exact as a JSON integer.
const EXACT_IN_A_DOUBLE: f64 = 9_007_199_254_740_992.0;

/// Opens a call's body, with the secret that functions without a key ask for; what follows are its other arguments.
pub(crate) fn begin_call(path: &str, secret: Option<&SecretString>) -> Vec<u8> {
    let mut body = Vec::with_capacity(256);
    body.extend_from_slice(b"{\"path\":");
    write_text(&mut body, path);
    body.extend_from_slice(b",\"format\":\"convex_encoded_json\",\"args\":{");
    if let Some(secret) = secret {
        body.extend_from_slice(b"\"secret\":");
        write_text(&mut body, secret.expose_secret());
        body.push(b',');
    }
    body
}

/// Closes a call's body after its arguments.
pub(crate) fn end_call(body: &mut Vec<u8>) {
    body.extend_from_slice(b"}}");
}

/// Writes the records as `"records":[…]`, and says for each record that cannot be written why.
///
/// The result has one entry per record: `None` for a record that is in the body.
pub(crate) fn write_records<'a>(
    out: &mut Vec<u8>,
    mode: WriteMode,
    legacy_id_field: &FieldName,
    records: impl Iterator<Item = Result<&'a WriteRecord, RowError>>,
) -> Vec<Option<RowError>> {
    out.extend_from_slice(b"\"records\":[");
    let first = out.len();
    let faults = records
        .map(|record| {
            let before = out.len();
            if before > first {
                out.push(b',');
            }
            let written = record.and_then(|record| write_record(out, mode, legacy_id_field, record));
            written.inspect_err(|_| out.truncate(before)).err()
        })
        .collect();
    out.push(b']');
    faults
}

/// Writes one record: for an upsert its key among its fields, for a patch the document's id beside them, because a
/// field of any name may be set.
fn write_record(out: &mut Vec<u8>, mode: WriteMode, legacy_id_field: &FieldName, record: &WriteRecord) -> Encoded {
    out.push(b'{');
    match mode {
        WriteMode::Upsert => {
            write_text(out, legacy_id_field.as_str());
            out.push(b':');
            write_text(out, record.key.as_str());
            write_fields(out, &record.record, true)?;
        }
        WriteMode::Patch => {
            let id = record
                .id
                .as_ref()
                .ok_or_else(|| RowError::new(RejectCode::ReferenceUnlinked, "the document to patch has no id"))?;
            out.extend_from_slice(b"\"documentId\":");
            write_text(out, id.as_str());
            out.extend_from_slice(b",\"fields\":{");
            write_fields(out, &record.record, false)?;
            out.push(b'}');
        }
    }
    out.push(b'}');
    Ok(())
}

/// Writes a record's fields, with a comma before the first where something precedes it.
fn write_fields(out: &mut Vec<u8>, record: &Record, mut preceded: bool) -> Encoded {
    for (name, value) in fields(record) {
        if preceded {
            out.push(b',');
        }
        preceded = true;
        write_text(out, name.as_str());
        out.push(b':');
        write_value(out, value).map_err(|error| error.at(Some(name.clone())))?;
    }
    Ok(())
}

/// The fields a record sends: those that are not absent.
pub(crate) fn fields(record: &Record) -> impl Iterator<Item = (&FieldName, &Value)> {
    record.shape.fields.iter().zip(&record.values).filter(|(_, value)| !matches!(value, Value::Absent))
}

/// Writes `"table":…,"index":…,"keys":[[…],…]`.
///
/// # Errors
/// `not_representable` for a key part that Convex has no kind for.
pub(crate) fn write_lookup(out: &mut Vec<u8>, table: &str, index: &str, keys: &[&NaturalKey]) -> Encoded {
    out.extend_from_slice(b"\"table\":");
    write_text(out, table);
    out.extend_from_slice(b",\"index\":");
    write_text(out, index);
    out.extend_from_slice(b",\"keys\":[");
    separated(out, keys, |out, key| {
        out.push(b'[');
        separated(out, key.iter(), write_value)?;
        out.push(b']');
        Ok(())
    })?;
    out.push(b']');
    Ok(())
}

/// Writes one value.
///
/// # Errors
/// `not_representable` for kinds that a transform should have turned into one of Convex's.
fn write_value(out: &mut Vec<u8>, value: &Value) -> Encoded {
    match value {
        Value::Null => out.extend_from_slice(b"null"),
        Value::Bool(true) => out.extend_from_slice(b"true"),
        Value::Bool(false) => out.extend_from_slice(b"false"),
        Value::Int64(value) => write_tagged(out, "$integer", &value.to_le_bytes()),
        Value::Float64(value) => write_double(out, *value),
        Value::Text(text) => write_text(out, text),
        Value::Bytes(bytes) => write_tagged(out, "$bytes", bytes),
        Value::Array(items) => {
            out.push(b'[');
            separated(out, items, write_value)?;
            out.push(b']');
        }
        Value::Object(entries) => {
            out.push(b'{');
            let present = entries.iter().filter(|(_, value)| !matches!(value, Value::Absent));
            separated(out, present, |out, (key, value)| {
                write_text(out, key);
                out.push(b':');
                write_value(out, value)
            })?;
            out.push(b'}');
        }
        unwritable => return Err(not_representable(unwritable)),
    }
    Ok(())
}

/// The error for a value that Convex has no kind for.
pub(crate) fn not_representable(value: &Value) -> RowError {
    RowError::new(RejectCode::NotRepresentable, format!("Convex has no kind for a value that is {}", value.kind()))
}

fn separated<T>(
    out: &mut Vec<u8>,
    items: impl IntoIterator<Item = T>,
    mut write: impl FnMut(&mut Vec<u8>, T) -> Encoded,
) -> Encoded {
    for (position, item) in items.into_iter().enumerate() {
        if position > 0 {
            out.push(b',');
        }
        write(out, item)?;
    }
    Ok(())
}

/// Writes a double: the shortest number that reads back as the same one, or `$float` for those JSON has no number for.
fn write_double(out: &mut Vec<u8>, value: f64) {
    use std::io::Write as _;
    if !value.is_finite() || (value == 0.0 && value.is_sign_negative()) {
        write_tagged(out, "$float", &value.to_le_bytes());
    } else if value.fract() == 0.0 && value.abs() <= EXACT_IN_A_DOUBLE {
        let _ = write!(out, "{value}"); // writing to a Vec cannot fail
    } else {
        let _ = write!(out, "{value:?}");
    }
}

fn write_tagged(out: &mut Vec<u8>, tag: &str, bytes: &[u8]) {
    out.extend_from_slice(b"{\"");
    out.extend_from_slice(tag.as_bytes());
    out.extend_from_slice(b"\":\"");
    out.extend_from_slice(STANDARD.encode(bytes).as_bytes());
    out.extend_from_slice(b"\"}");
}

/// Writes a JSON string. Copies whole runs: most text needs no escape.
pub(crate) fn write_text(out: &mut Vec<u8>, text: &str) {
    use std::io::Write as _;
    out.push(b'"');
    let mut rest = text.as_bytes();
    loop {
        let (run, behind) = rest.split_at_checked(plain_length(rest)).unwrap_or((rest, &[]));
        out.extend_from_slice(run);
        let Some((&byte, behind)) = behind.split_first() else { break };
        rest = behind;
        let escape: &[u8] = match byte {
            b'"' => b"\\\"",
            b'\\' => b"\\\\",
            b'\n' => b"\\n",
            b'\r' => b"\\r",
            b'\t' => b"\\t",
            _ => {
                let _ = write!(out, "\\u{byte:04x}"); // writing to a Vec cannot fail
                continue;
            }
        };
        out.extend_from_slice(escape);
    }
    out.push(b'"');
}

/// Bytes up to the first one that a JSON string has an escape for.
fn plain_length(text: &[u8]) -> usize {
    /// Looked at together, without a branch for each: the compiler makes one comparison of them.
    const TOGETHER: usize = 16;
    let is_escaped = |byte: &u8| *byte < 0x20 || *byte == b'"' || *byte == b'\\';
    let has_none = |bytes: &&[u8]| !bytes.iter().fold(false, |found, byte| found | is_escaped(byte));
    let plain = text.chunks_exact(TOGETHER).take_while(has_none).count() * TOGETHER;
    let rest = text.get(plain..).unwrap_or_default();
    plain + rest.iter().position(is_escaped).unwrap_or(rest.len())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use migrate_core::names::{SinkId, SourceKey, TableName};
    use migrate_core::record::RecordShape;
    use migrate_core::value::TimeKind;
    use proptest::prelude::*;

    use super::*;

    fn encoded(value: &Value) -> String {
        let mut out = Vec::new();
        write_value(&mut out, value).unwrap();
        String::from_utf8(out).unwrap()
    }

    fn record(fields: &[(&str, Value)]) -> Record {
        let shape = RecordShape {
            table: TableName::new("public", "t").unwrap(),
            fields: fields.iter().map(|(name, _)| FieldName::from(*name)).collect(),
            key: vec![],
        };
        Record { shape: Arc::new(shape), values: fields.iter().map(|(_, value)| value.clone()).collect() }
    }

    fn write_all(mode: WriteMode, records: &[WriteRecord]) -> (String, Vec<Option<RowError>>) {
        let mut out = Vec::new();
        let faults = write_records(&mut out, mode, &FieldName::from("supabaseId"), records.iter().map(Ok));
        (String::from_utf8(out).unwrap(), faults)
    }

    #[test]
    fn scalars() {
        let cases = [
            (Value::Null, "null"),
            (Value::Bool(true), "true"),
            (Value::Int64(1), r#"{"$integer":"AQAAAAAAAAA="}"#),
            (Value::Int64(-1), r#"{"$integer":"//////////8="}"#),
            (Value::Int64(i64::MIN), r#"{"$integer":"AAAAAAAAAIA="}"#),
            (Value::Float64(5.0), "5"),
            (Value::Float64(0.1), "0.1"),
            (Value::Float64(-1.5), "-1.5"),
            (Value::Float64(1e300), "1e300"),
            (Value::Float64(5e-324), "5e-324"),
            (Value::Float64(f64::NAN), r#"{"$float":"AAAAAAAA+H8="}"#),
            (Value::Float64(f64::INFINITY), r#"{"$float":"AAAAAAAA8H8="}"#),
            (Value::Float64(f64::NEG_INFINITY), r#"{"$float":"AAAAAAAA8P8="}"#),
            (Value::Float64(-0.0), r#"{"$float":"AAAAAAAAAIA="}"#),
            (Value::Float64(0.0), "0"),
            (Value::Bytes(Box::new([1, 2, 255])), r#"{"$bytes":"AQL/"}"#),
            (Value::text("a\"\\\n\u{1}é\u{2028}😀"), "\"a\\\"\\\\\\n\\u0001é\u{2028}😀\""),
        ];
        for (value, expected) in cases {
            assert_eq!(encoded(&value), expected);
        }
    }

    #[test]
    fn nested_values_leave_absent_fields_out() {
        let value = Value::Object(vec![
            ("gone".into(), Value::Absent),
            ("list".into(), Value::Array(vec![Value::Null, Value::Int64(0), Value::Array(vec![])])),
            ("also gone".into(), Value::Absent),
            ("o".into(), Value::Object(vec![])),
        ]);
        assert_eq!(encoded(&value), r#"{"list":[null,{"$integer":"AAAAAAAAAAA="},[]],"o":{}}"#);
    }

    #[test]
    fn records_carry_key_or_id() {
        let upsert = WriteRecord {
            key: SourceKey::from("k1"),
            id: None,
            record: record(&[("city", Value::text("Oslo")), ("none", Value::Absent), ("nil", Value::Null)]),
        };
        let next = [("gone", Value::Absent), ("id", Value::text("j58")), ("next", Value::Null)];
        let patch = WriteRecord { id: Some(SinkId::from("j57")), record: record(&next), ..upsert.clone() };
        let nothing = WriteRecord { record: record(&next[..1]), ..patch.clone() };
        assert_eq!(
            write_all(WriteMode::Upsert, &[upsert]).0,
            r#""records":[{"supabaseId":"k1","city":"Oslo","nil":null}]"#
        );
        assert_eq!(
            write_all(WriteMode::Patch, &[patch, nothing]).0,
            r#""records":[{"documentId":"j57","fields":{"id":"j58","next":null}},{"documentId":"j57","fields":{}}]"#
        );
    }

    #[test]
    fn a_record_that_cannot_be_written_is_left_out_and_named() {
        let good = |key: &str| WriteRecord {
            key: SourceKey::from(key),
            id: None,
            record: record(&[("n", Value::Float64(1.0))]),
        };
        let bad = |value: Value| WriteRecord { record: record(&[("n", value)]), ..good("bad") };
        let records = [
            bad(Value::Decimal("1.10".into())),
            good("a"),
            bad(Value::Time(TimeKind::Date, "2024-01-01".into())),
            bad(Value::Array(vec![Value::Absent])),
            good("b"),
        ];
        let (body, faults) = write_all(WriteMode::Upsert, &records);
        assert_eq!(body, r#""records":[{"supabaseId":"a","n":1},{"supabaseId":"b","n":1}]"#);
        assert_eq!(faults.iter().map(Option::is_some).collect::<Vec<_>>(), [true, false, true, true, false]);
        for fault in faults.into_iter().flatten() {
            assert_eq!(fault.code, RejectCode::NotRepresentable);
            assert_eq!(fault.field, Some(FieldName::from("n")));
        }
    }

    #[test]
    fn a_call_is_one_json_object() {
        let key = vec![Value::text("x"), Value::Null];
        let secret = SecretString::from("a\"b");
        for (secret, shown) in [(None, ""), (Some(&secret), r#""secret":"a\"b","#)] {
            let mut body = begin_call("migrate:lookup", secret);
            write_lookup(&mut body, "contacts", "by_phone", &[&key, &key]).unwrap();
            end_call(&mut body);
            let arguments = r#""table":"contacts","index":"by_phone","keys":[["x",null],["x",null]]"#;
            assert_eq!(
                String::from_utf8(body).unwrap(),
                format!(r#"{{"path":"migrate:lookup","format":"convex_encoded_json","args":{{{shown}{arguments}}}}}"#)
            );
        }
    }

    #[test]
    fn escapes_are_found_wherever_they_are() {
        for escaped in (0..0x20_u8).chain([b'"', b'\\']).map(char::from) {
            for (before, behind) in (0..40).flat_map(|before| [(before, 0), (before, 20)]) {
                let text = format!("{}{escaped}{}", "a".repeat(before), "ü".repeat(behind));
                let mut out = Vec::new();
                write_text(&mut out, &text);
                assert_eq!(serde_json::from_slice::<String>(&out).unwrap(), text);
            }
        }
    }

    proptest! {
        #[test]
        fn text_reads_back(text in any::<String>()) {
            let mut out = Vec::new();
            write_text(&mut out, &text);
            prop_assert_eq!(serde_json::from_slice::<String>(&out).unwrap(), text);
        }

        #[test]
        fn doubles_read_back(value in any::<f64>()) {
            let text = encoded(&Value::Float64(value));
            if value.is_finite() && !(value == 0.0 && value.is_sign_negative()) {
                prop_assert_eq!(text.parse::<f64>().unwrap().to_bits(), value.to_bits());
            } else {
                prop_assert!(text.starts_with("{\"$float\":"), "{}", text);
            }
        }
    }
}
