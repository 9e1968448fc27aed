//! A row on its way, and what can be wrong with it or changed in it.

use std::borrow::Cow;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::names::{FieldName, SourceKey, TableName};
use crate::value::Value;

/// The fields of a table's records, shared by all of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordShape {
    /// The table the records are of.
    pub table: TableName,
    /// Field names, in the order of the values.
    pub fields: Vec<FieldName>,
    /// Positions of the key's fields, in key order; empty where the records carry no key.
    pub key: Vec<usize>,
}

impl RecordShape {
    /// The position of a field.
    #[must_use]
    pub fn position(&self, field: &FieldName) -> Option<usize> {
        self.fields.iter().position(|name| name == field)
    }
}

/// One row: values aligned with a shared [`RecordShape`], no map per row.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// Which fields the values are of.
    pub shape: Arc<RecordShape>,
    /// One value per field.
    pub values: Vec<Value>,
}

impl Record {
    /// The value of a field by name.
    #[must_use]
    pub fn get(&self, field: &str) -> Option<&Value> {
        self.shape.fields.iter().position(|name| name.as_str() == field).and_then(|position| self.values.get(position))
    }

    /// The record's key.
    ///
    /// # Errors
    /// `key_unusable` when a key field is NULL or of a kind that cannot be a key.
    pub fn key(&self) -> Result<SourceKey, RowError> {
        self.key_of(&self.shape.key)
    }

    /// The key made of the values at `positions`.
    ///
    /// # Errors
    /// `key_unusable` when one is NULL or of a kind that cannot be a key.
    pub fn key_of(&self, positions: &[usize]) -> Result<SourceKey, RowError> {
        match positions {
            [only] => self.key_str(*only).map(|text| SourceKey::new(&*text)),
            several => Ok(SourceKey::from_parts(&self.texts(several)?)),
        }
    }

    /// The key texts of the values at `positions`.
    ///
    /// # Errors
    /// `key_unusable` when one is NULL or of a kind that cannot be a key.
    pub fn texts(&self, positions: &[usize]) -> Result<Vec<String>, RowError> {
        positions.iter().map(|&position| self.key_str(position).map(Cow::into_owned)).collect()
    }

    fn key_str(&self, position: usize) -> Result<Cow<'_, str>, RowError> {
        self.values.get(position).and_then(Value::key_str).ok_or_else(|| {
            let kind = self.values.get(position).map_or("absent", Value::kind);
            RowError::new(RejectCode::KeyUnusable, format!("a key field is {kind}")).at(self
                .shape
                .fields
                .get(position)
                .cloned())
        })
    }
}

/// Why a row was not migrated. The codes are stable: reports, reject files and scripts use their text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum RejectCode {
    /// The key is NULL or cannot be written as text.
    KeyUnusable,
    /// The value cannot be written in the planned type.
    NotRepresentable,
    /// NULL where the plan demands a value.
    NullNotAllowed,
    /// A value outside the planned set.
    UnknownValue,
    /// The parent is not in the sink.
    ReferenceMissing,
    /// Several documents match the parent's natural key.
    ReferenceAmbiguous,
    /// The row is in the sink, but a link of the second pass could not be set.
    ReferenceUnlinked,
    /// The document is over the sink's size limit.
    DocumentTooLarge,
    /// An object has more fields than the sink takes.
    TooManyFields,
    /// An array has more items than the sink takes.
    ArrayTooLong,
    /// The document is nested deeper than the sink takes.
    TooDeep,
    /// A field name or object key that the sink refuses.
    FieldNameInvalid,
    /// The sink refused the record.
    SinkRefused,
}

/// What a reader does about each [`RejectCode`]; documentation is generated from it.
pub const REJECT_REMEDIES: &[(RejectCode, &str, &str)] = &[
    (RejectCode::KeyUnusable, "key_unusable", "give the row a key in the source"),
    (RejectCode::NotRepresentable, "not_representable", "plan another type for the column, such as type = \"string\""),
    (RejectCode::NullNotAllowed, "null_not_allowed", "plan nulls = \"absent\" or \"default\" for the column"),
    (RejectCode::UnknownValue, "unknown_value", "add the value to the column's type, or plan type = \"string\""),
    (
        RejectCode::ReferenceMissing,
        "reference_missing",
        "bring the parent into the sink, or plan on_missing = \"null\"",
    ),
    (RejectCode::ReferenceAmbiguous, "reference_ambiguous", "leave one document with that natural key in the sink"),
    (RejectCode::ReferenceUnlinked, "reference_unlinked", "bring the parent into the sink, then: migrate-replay"),
    (RejectCode::DocumentTooLarge, "document_too_large", "plan split_off for a large column, or drop it"),
    (RejectCode::TooManyFields, "too_many_fields", "plan type = \"json_text\" for the column"),
    (
        RejectCode::ArrayTooLong,
        "array_too_long",
        "plan type = \"json_text\" for a JSON column; shorten an array at the source, or plan drop = true for its column",
    ),
    (RejectCode::TooDeep, "too_deep", "plan type = \"json_text\" for the column"),
    (RejectCode::FieldNameInvalid, "field_name_invalid", "plan type = \"json_text\" for the column, or rename it"),
    (RejectCode::SinkRefused, "sink_refused", "see the message; the sink's own schema or function refused the record"),
];

impl RejectCode {
    /// The stable text.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        REJECT_REMEDIES.iter().find(|(code, ..)| *code == self).map_or("rejected", |&(_, text, _)| text)
    }

    /// What to do about it.
    #[must_use]
    pub fn remedy(self) -> &'static str {
        REJECT_REMEDIES.iter().find(|(code, ..)| *code == self).map_or("", |&(.., remedy)| remedy)
    }
}

/// Why one row cannot go on. The run does; the row becomes a reject.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowError {
    /// The stable code.
    pub code: RejectCode,
    /// The field it is about, if one.
    pub field: Option<FieldName>,
    /// What is wrong, with keys and kinds but without values.
    pub message: String,
}

impl RowError {
    /// An error about the whole row.
    pub fn new(code: RejectCode, message: impl Into<String>) -> Self {
        Self { code, field: None, message: message.into() }
    }

    /// Names the field, unless one is named already.
    #[must_use]
    pub fn at(mut self, field: Option<FieldName>) -> Self {
        self.field = self.field.or(field);
        self
    }
}

/// A lossy edit of one value, recorded and counted in the report.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct FieldChange {
    /// The source column.
    pub field: FieldName,
    /// What was lost or put in.
    pub kind: ChangeKind,
}

/// Kinds of [`FieldChange`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ChangeKind {
    /// Microseconds below the millisecond were cut off.
    MicrosecondsCut,
    /// A decimal number became the nearest double.
    NumberRounded,
    /// NULL became the column's default.
    NullToDefault,
    /// A value that the planned type cannot hold became NULL.
    UnfitToNull,
    /// A key of a JSON object was written in percent escapes.
    KeyEscaped,
}

impl ChangeKind {
    /// The stable text.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::MicrosecondsCut => "microseconds_cut",
            Self::NumberRounded => "number_rounded",
            Self::NullToDefault => "null_to_default",
            Self::UnfitToNull => "unfit_to_null",
            Self::KeyEscaped => "key_escaped",
        }
    }
}
