//! Rows that could not be migrated, kept with their reason.

mod json;

use serde::{Deserialize, Serialize};

pub use json::record_to_json;

use crate::names::{FieldName, SourceKey, TableName};
use crate::record::{Record, RejectCode, RowError};

/// One row that could not be migrated.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reject {
    /// Its table.
    pub table: TableName,
    /// Its key.
    pub key: SourceKey,
    /// The stable code of the reason.
    pub code: RejectCode,
    /// The field it is about, if one.
    pub field: Option<FieldName>,
    /// The reason, without values.
    pub reason: String,
    /// What to do about it.
    pub remedy: String,
    /// The row as read, in JSON; numbers that JSON readers round are texts.
    pub record: serde_json::Value,
}

impl Reject {
    /// Writes data and reason side by side.
    #[must_use]
    pub fn new(table: &TableName, key: SourceKey, record: &Record, error: RowError) -> Self {
        Self {
            table: table.clone(),
            key,
            code: error.code,
            field: error.field,
            remedy: error.code.remedy().to_owned(),
            reason: error.message,
            record: record_to_json(record),
        }
    }
}
