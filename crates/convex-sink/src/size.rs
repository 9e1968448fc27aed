//! How large a document is for Convex, and what Convex refuses, found before anything is sent.

use std::collections::HashSet;

use migrate_core::names::{FieldName, SourceKey};
use migrate_core::plan::LegacyIds;
use migrate_core::record::{RejectCode, RowError};
use migrate_core::sink::WriteRecord;
use migrate_core::value::Value;

use crate::encode::{fields, not_representable};
use crate::names::{identifier_fault, key_fault};
use crate::snapshot::CREATION_TIME;

/// One limit of a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DocumentLimit {
    /// What a record over it is rejected with.
    pub code: RejectCode,
    /// The most that is allowed.
    pub most: usize,
    /// Of what.
    pub unit: &'static str,
    /// The backend's file that says so.
    pub source: &'static str,
}

const MAX_DOCUMENT_BYTES: usize = 1024 * 1024;
const MAX_FIELDS: usize = 1024;
const MAX_ITEMS: usize = 8192;
const MAX_NESTING: usize = 16;

/// The limits of a document; documentation and tests are made from them.
pub const DOCUMENT_LIMITS: &[DocumentLimit] = &[
    DocumentLimit {
        code: RejectCode::DocumentTooLarge,
        most: MAX_DOCUMENT_BYTES,
        unit: "bytes, `_id` and `_creationTime` included",
        source: "common/src/document.rs",
    },
    DocumentLimit {
        code: RejectCode::TooManyFields,
        most: MAX_FIELDS,
        unit: "fields of one object",
        source: "value/src/object.rs",
    },
    DocumentLimit {
        code: RejectCode::ArrayTooLong,
        most: MAX_ITEMS,
        unit: "items of one array",
        source: "value/src/array.rs",
    },
    DocumentLimit {
        code: RejectCode::TooDeep,
        most: MAX_NESTING,
        unit: "objects and arrays inside each other, the document included",
        source: "common/src/document.rs",
    },
    DocumentLimit {
        code: RejectCode::FieldNameInvalid,
        most: crate::names::IDENTIFIER_LENGTH,
        unit: "characters of a top-level field's name",
        source: "sync_types/src/identifier.rs",
    },
    DocumentLimit {
        code: RejectCode::FieldNameInvalid,
        most: crate::names::KEY_LENGTH,
        unit: "characters of a nested object's key",
        source: "sync_types/src/identifier.rs",
    },
];

/// Bytes of `_id` (3 + 1 + 2 + 32) and `_creationTime` (13 + 1 + 9), which Convex adds to every document.
const SYSTEM_FIELD_BYTES: usize = 38 + 23;
/// Fields that Convex adds.
const SYSTEM_FIELD_COUNT: usize = 2;
/// Bytes of an empty array or object: a marker and an end.
const CONTAINER_BYTES: usize = 2;

/// The size in bytes of the document that a record becomes, by the formula of the backend's `value/src/size.rs`, which
/// is the official client's `getDocumentSize`.
///
/// The legacy id is counted where documents have it, and so are the system fields. For a patch it is the size of what is
/// sent, plus those.
///
/// # Errors
/// `document_too_large`, `too_many_fields`, `array_too_long`, `too_deep`, `field_name_invalid`, and
/// `not_representable` for a value that Convex has no kind for.
pub(crate) fn document_size(
    legacy_id_field: &FieldName,
    legacy_ids: LegacyIds,
    record: &WriteRecord,
) -> Result<usize, RowError> {
    let mut bytes = SYSTEM_FIELD_BYTES + CONTAINER_BYTES;
    let mut count = SYSTEM_FIELD_COUNT;
    if record.id.is_none() && legacy_ids == LegacyIds::Field {
        bytes += entry_size(legacy_id_field.as_str(), key_size(&record.key));
        count += 1;
    }
    // The time of creation is a system field, counted already.
    for (name, value) in fields(&record.record).filter(|(name, _)| name.as_str() != CREATION_TIME) {
        if name == legacy_id_field {
            let message = "the field has the name of the field that keeps the row's key";
            return Err(RowError::new(RejectCode::FieldNameInvalid, message).at(Some(name.clone())));
        }
        if let Some(fault) = identifier_fault(name.as_str()) {
            let message = format!("Convex refuses the field's name: {fault}");
            return Err(RowError::new(RejectCode::FieldNameInvalid, message).at(Some(name.clone())));
        }
        let value = value_size(value, 1).map_err(|error| error.at(Some(name.clone())))?;
        bytes += entry_size(name.as_str(), value);
        count += 1;
    }
    if count > MAX_FIELDS {
        return Err(over(RejectCode::TooManyFields, "the document", count, MAX_FIELDS, "fields"));
    }
    if bytes > MAX_DOCUMENT_BYTES {
        return Err(over(RejectCode::DocumentTooLarge, "the document", bytes, MAX_DOCUMENT_BYTES, "bytes"));
    }
    Ok(bytes)
}

fn key_size(key: &SourceKey) -> usize {
    CONTAINER_BYTES + key.as_str().len()
}

fn entry_size(name: &str, value: usize) -> usize {
    name.len() + 1 + value
}

/// The size of a value inside `depth` containers.
fn value_size(value: &Value, depth: usize) -> Result<usize, RowError> {
    Ok(match value {
        Value::Null | Value::Bool(_) => 1,
        Value::Int64(_) | Value::Float64(_) => 9,
        Value::Text(text) => CONTAINER_BYTES + text.len(),
        Value::Bytes(bytes) => CONTAINER_BYTES + bytes.len(),
        Value::Array(items) => {
            let depth = deeper(depth)?;
            if items.len() > MAX_ITEMS {
                return Err(over(RejectCode::ArrayTooLong, "an array", items.len(), MAX_ITEMS, "items"));
            }
            let mut bytes = CONTAINER_BYTES;
            for item in items {
                bytes += value_size(item, depth)?;
            }
            bytes
        }
        Value::Object(entries) => object_size(entries, deeper(depth)?)?,
        unwritable => return Err(not_representable(unwritable)),
    })
}

fn object_size(entries: &[(Box<str>, Value)], depth: usize) -> Result<usize, RowError> {
    let mut bytes = CONTAINER_BYTES;
    let mut count = 0;
    for (key, value) in entries.iter().filter(|(_, value)| !matches!(value, Value::Absent)) {
        if let Some(fault) = key_fault(key) {
            return Err(RowError::new(
                RejectCode::FieldNameInvalid,
                format!("Convex refuses an object's key: {fault}"),
            ));
        }
        count += 1;
        bytes += entry_size(key, value_size(value, depth)?);
    }
    if has_a_key_twice(entries) {
        return Err(RowError::new(RejectCode::NotRepresentable, "an object has the same key twice"));
    }
    if count > MAX_FIELDS {
        return Err(over(RejectCode::TooManyFields, "an object", count, MAX_FIELDS, "fields"));
    }
    Ok(bytes)
}

fn has_a_key_twice(entries: &[(Box<str>, Value)]) -> bool {
    /// Keys that are compared with each other faster than they are hashed.
    const FEW: usize = 12;
    let mut keys = entries.iter().filter(|(_, value)| !matches!(value, Value::Absent)).map(|(key, _)| key);
    if entries.len() <= FEW {
        return keys.clone().enumerate().any(|(at, key)| keys.clone().take(at).any(|other| other == key));
    }
    let mut seen = HashSet::with_capacity(entries.len());
    !keys.all(|key| seen.insert(key))
}

fn deeper(depth: usize) -> Result<usize, RowError> {
    if depth >= MAX_NESTING {
        let message = format!("the document is nested deeper than Convex's {MAX_NESTING} levels");
        return Err(RowError::new(RejectCode::TooDeep, message));
    }
    Ok(depth + 1)
}

fn over(code: RejectCode, what: &str, is: usize, most: usize, unit: &str) -> RowError {
    RowError::new(code, format!("{what} has {is} {unit}; Convex takes {most}"))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use migrate_core::names::{SinkId, TableName};
    use migrate_core::record::{Record, RecordShape};

    use super::*;

    const UUID: &str = "0b5c9f0e-6a0e-4d6b-9d0f-1f6d8a3f2c11";

    fn record(key: &str, fields: &[(&str, Value)]) -> WriteRecord {
        let shape = RecordShape {
            table: TableName::new("public", "t").unwrap(),
            fields: fields.iter().map(|(name, _)| FieldName::from(*name)).collect(),
            key: vec![],
        };
        let values = fields.iter().map(|(_, value)| value.clone()).collect();
        WriteRecord { key: SourceKey::from(key), id: None, record: Record { shape: Arc::new(shape), values } }
    }

    fn size(record: &WriteRecord) -> Result<usize, RowError> {
        document_size(&FieldName::from("supabaseId"), LegacyIds::Field, record)
    }

    fn code(fields: &[(&str, Value)]) -> RejectCode {
        size(&record("k", fields)).unwrap_err().code
    }

    fn object(entries: Vec<(&str, Value)>) -> Value {
        Value::Object(entries.into_iter().map(|(key, value)| (key.into(), value)).collect())
    }

    /// Numbers from `getDocumentSize` of the npm package `convex` 1.48.0 for the same documents.
    #[test]
    fn agrees_with_the_official_formula() {
        const LEGACY: usize = 10 + 1 + 2 + 36;
        assert_eq!(size(&record(UUID, &[])).unwrap(), 112);

        let scalars = [
            ("n", Value::Null),
            ("b", Value::Bool(true)),
            ("i", Value::Int64(5)),
            ("f", Value::Float64(1.5)),
            ("s", Value::text("héllo😀")),
            ("y", Value::Bytes(Box::new([1, 2, 3]))),
            ("absent", Value::Absent),
        ];
        assert_eq!(size(&record(UUID, &scalars)).unwrap(), 112 + LEGACY);

        let nested = [
            ("a", Value::Array(vec![Value::Float64(1.0), Value::text("x"), Value::Array(vec![Value::Null])])),
            (
                "o",
                object(vec![
                    ("k", object(vec![("deep", Value::Array(vec![Value::Bool(true), Value::Bool(false)]))])),
                    ("first name", Value::text("Ada")),
                    ("absent", Value::Absent),
                ]),
            ),
        ];
        assert_eq!(size(&record(UUID, &nested)).unwrap(), 115 + LEGACY);

        let all = [
            ("tags", Value::Array(vec![Value::text("a"), Value::text("bb"), Value::text("")])),
            (
                "meta",
                object(vec![
                    ("price", Value::Float64(12.5)),
                    ("list", Value::Array(vec![Value::Int64(1), object(vec![])])),
                ]),
            ),
            ("note", Value::Null),
        ];
        assert_eq!(size(&record("1", &all)).unwrap(), 139);
    }

    #[test]
    fn a_document_may_have_exactly_one_mebibyte() {
        let empty = size(&record("k", &[("s", Value::text(""))])).unwrap();
        let fits = "x".repeat(MAX_DOCUMENT_BYTES - empty);
        assert_eq!(size(&record("k", &[("s", Value::text(fits.as_str()))])).unwrap(), MAX_DOCUMENT_BYTES);
        assert_eq!(code(&[("s", Value::text(fits + "x"))]), RejectCode::DocumentTooLarge);
    }

    #[test]
    fn counts_are_limited() {
        let items = |count| Value::Array(vec![Value::Null; count]);
        assert!(size(&record("k", &[("a", items(8192))])).is_ok());
        assert_eq!(code(&[("a", items(8193))]), RejectCode::ArrayTooLong);

        let names: Vec<String> = (0..1025).map(|number| format!("f{number}")).collect();
        let fields = |count: usize| names[..count].iter().map(|name| (name.as_str(), Value::Null)).collect::<Vec<_>>();
        assert!(size(&record("k", &[("o", object(fields(1024)))])).is_ok());
        assert_eq!(code(&[("o", object(fields(1025)))]), RejectCode::TooManyFields);
        assert!(size(&record("k", &fields(1021))).is_ok());
        assert_eq!(code(&fields(1022)), RejectCode::TooManyFields);
    }

    #[test]
    fn sixteen_levels_with_the_document() {
        let nested = |levels| (0..levels).fold(Value::Null, |inner, _| Value::Array(vec![inner]));
        assert!(size(&record("k", &[("a", nested(15))])).is_ok());
        assert_eq!(code(&[("a", nested(16))]), RejectCode::TooDeep);
    }

    #[test]
    fn names_and_kinds() {
        assert_eq!(code(&[("_secret", Value::Null)]), RejectCode::FieldNameInvalid);
        assert_eq!(code(&[("first name", Value::Null)]), RejectCode::FieldNameInvalid);
        assert_eq!(code(&[("supabaseId", Value::Null)]), RejectCode::FieldNameInvalid);
        assert_eq!(code(&[("o", object(vec![("$ref", Value::Null)]))]), RejectCode::FieldNameInvalid);
        assert_eq!(code(&[("o", object(vec![("a", Value::Null), ("a", Value::Null)]))]), RejectCode::NotRepresentable);
        assert_eq!(code(&[("d", Value::Decimal("1".into()))]), RejectCode::NotRepresentable);
        assert_eq!(code(&[("a", Value::Array(vec![Value::Absent]))]), RejectCode::NotRepresentable);
        let error = size(&record("k", &[("o", object(vec![("CANÄRY", Value::Null)]))])).unwrap_err();
        assert_eq!(error.field, Some(FieldName::from("o")));
        assert!(!error.message.contains("CAN"), "{}", error.message);
    }

    #[test]
    fn a_patch_carries_no_legacy_id() {
        let mut patch = record("k", &[("next", Value::text("x"))]);
        patch.id = Some(SinkId::from("j57"));
        assert_eq!(size(&patch).unwrap(), SYSTEM_FIELD_BYTES + CONTAINER_BYTES + 5 + 3);
    }

    #[test]
    fn a_document_without_its_legacy_id_is_smaller_by_it() {
        let record = record("key", &[("next", Value::text("x"))]);
        let without = document_size(&FieldName::from("supabaseId"), LegacyIds::SideTable, &record).unwrap();
        assert_eq!(size(&record).unwrap() - without, "supabaseId".len() + 1 + CONTAINER_BYTES + "key".len());
    }
}
