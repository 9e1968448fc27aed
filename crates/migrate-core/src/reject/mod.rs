//! Rows that could not be migrated, kept with their reason.

mod decode;
mod json;
mod lines;
mod replay;
mod source;
mod taken;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use replay::Replay;
pub(crate) use source::RejectSource;
pub(crate) use taken::taken;

use crate::names::{FieldName, SourceKey, TableName};
use crate::plan::PlanTable;
use crate::record::{Record, RejectCode, RowError};
use crate::source::KeyRange;

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
    /// What the counts hold of it, so that a replay can take it back. Not in the reject file.
    #[serde(default, skip_serializing_if = "Counted::is_default")]
    pub counted: Counted,
}

/// What a reject adds to the counts of its partition, beside itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Counted {
    /// The partition's part of the table.
    #[serde(default)]
    pub range: KeyRange,
    /// Parents that were not found, by reference.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub misses: BTreeMap<String, u64>,
    /// Links of a row that is migrated which the second pass did set.
    #[serde(default)]
    pub linked: u64,
    /// Links of a row that is migrated which are not set.
    #[serde(default)]
    pub unlinked: u64,
}

impl Counted {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }

    pub(crate) fn misses<'a>(references: impl IntoIterator<Item = &'a str>) -> BTreeMap<String, u64> {
        let mut misses = BTreeMap::new();
        for reference in references {
            *misses.entry(reference.to_owned()).or_default() += 1;
        }
        misses
    }
}

impl Reject {
    /// Writes data and reason side by side, for a row of `table`.
    #[must_use]
    pub fn new(table: &PlanTable, key: SourceKey, record: &Record, error: RowError) -> Self {
        Self {
            table: table.source.clone(),
            key,
            code: error.code,
            field: error.field,
            remedy: error.code.remedy().to_owned(),
            reason: error.message,
            record: json::record_to_json(record, |column| decode::is_open(table, column)),
            counted: Counted::default(),
        }
    }

    /// Bytes of the texts that it keeps, roughly.
    pub(crate) fn bytes(&self) -> usize {
        json::text_bytes(&self.record)
    }
}
