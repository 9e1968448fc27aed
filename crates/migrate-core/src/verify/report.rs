//! What a verification found, as a file: `verify.json`.

use std::collections::BTreeMap;

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::names::{SinkId, SourceKey, TableName};
use crate::record::RejectCode;

/// Version of the verification file's format.
pub const VERIFICATION_VERSION: u32 = 1;

/// How closely both sides are compared.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// Rows and documents are counted.
    Counts,
    /// Some rows of each table are compared with their documents, field by field.
    Sample,
    /// Every row is compared with its document, field by field.
    #[default]
    Full,
}

/// Source and sink, compared without asking what any run noted.
///
/// For every table that was compared, `source = expected + rejected + skipped`, and, but for samples,
/// `documents = same + differing + duplicates + unexpected`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Verification {
    /// Format version of this file.
    pub version: u32,
    /// The program and its version.
    pub tool: String,
    /// When it began, ISO 8601 in UTC; for one that was resumed, when it was resumed.
    pub timestamp: String,
    /// The plan's fingerprint.
    pub plan_fingerprint: String,
    /// How closely both sides were compared.
    pub level: Level,
    /// True when tables that were compared by an earlier, stopped verification are in it.
    pub resumed: bool,
    /// With `sample`: what chose the rows. The same seed chooses the same ranges again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
    /// What came of it.
    pub verdict: Verdict,
    /// Why it ended, where it did not come to its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The tables that were to be compared, in the plan's order.
    pub tables: IndexMap<String, TableVerification>,
    /// What is not compared, in words.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub not_compared: Vec<String>,
    /// How long it took, rounded; of one that was resumed, since then.
    pub duration_seconds: u64,
}

/// What came of a verification.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Nothing differs, as far as the level looks.
    Same,
    /// Something differs.
    Different,
    /// It was stopped; the same command goes on.
    Interrupted,
    /// It failed.
    Failed,
}

/// One table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TableVerification {
    /// The table at the sink.
    pub sink: TableName,
    /// True once it was compared to its end.
    pub is_compared: bool,
    /// Rows that were read from the source; with `counts`, rows that it has.
    pub source: u64,
    /// Which part of the rows that is, where it is a sample.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sampled: Option<Sampled>,
    /// Of these: rows that the plan makes a document of.
    pub expected: u64,
    /// Rows that the plan rejects.
    pub rejected: u64,
    /// Rows that the plan leaves out on purpose.
    pub skipped: u64,
    /// Why rows are rejected.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub reject_codes: BTreeMap<RejectCode, u64>,
    /// Documents with a row's key; with `counts`, all documents.
    pub documents: u64,
    /// Documents without a row's key: the app's own.
    pub foreign: u64,
    /// Rows whose document is exactly what the plan makes of them.
    pub same: u64,
    /// Rows whose document is another.
    pub differing: u64,
    /// Rows that should have a document and have none.
    pub missing: u64,
    /// Documents whose row is not at the source, or should have none.
    pub unexpected: u64,
    /// Documents beyond the first of the same row.
    pub duplicates: u64,
    /// Fields that the plan does not know, with how many documents have each.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub unplanned_fields: BTreeMap<String, u64>,
    /// What stands for all documents of a table, whatever their order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<Content>,
    /// The columns, added up on both sides while they were read.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub columns: IndexMap<String, ColumnVerification>,
    /// The first differences.
    pub differences: Vec<Difference>,
}

impl TableVerification {
    /// A table that nothing is known of yet.
    #[must_use]
    pub fn of(sink: TableName) -> Self {
        Self {
            sink,
            is_compared: false,
            source: 0,
            sampled: None,
            expected: 0,
            rejected: 0,
            skipped: 0,
            reject_codes: BTreeMap::new(),
            documents: 0,
            foreign: 0,
            same: 0,
            differing: 0,
            missing: 0,
            unexpected: 0,
            duplicates: 0,
            unplanned_fields: BTreeMap::new(),
            content: None,
            columns: IndexMap::new(),
            differences: Vec::new(),
        }
    }

    /// Rows and documents that differ; with `counts`, and for what is not the migration's, one for each that is shown.
    #[must_use]
    pub fn found(&self) -> u64 {
        let kinds = [self.differing, self.missing, self.unexpected, self.duplicates];
        let counted = kinds.into_iter().fold(0, u64::saturating_add);
        counted.max(u64::try_from(self.differences.len()).unwrap_or(u64::MAX))
    }
}

/// A sample of a table's rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Sampled {
    /// Ranges of keys that were read.
    pub ranges: usize,
    /// Ranges that the table was cut into.
    pub of_ranges: usize,
    /// Rows that the table has; none where the source cannot tell.
    pub of_rows: Option<u64>,
}

/// Hashes over all documents of a table, each with its row's key; equal where all documents are. Salted: they can be
/// compared with each other, and with nothing else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Content {
    /// Of what the plan makes of the rows.
    pub source: String,
    /// Of the documents with a row's key.
    pub sink: String,
}

/// A column on both sides.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ColumnVerification {
    /// Of what the plan makes of the rows.
    pub source: ColumnSums,
    /// Of the documents with a row's key.
    pub sink: ColumnSums,
}

/// The values of a column, added up in no order.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ColumnSums {
    /// How many values there are of each kind; `absent` counts documents without the field.
    pub kinds: BTreeMap<String, u64>,
    /// Bytes of all texts (as UTF-8) and bytes.
    pub bytes: u64,
    /// A salted hash over all values, in hex.
    pub content: String,
}

/// One difference.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Difference {
    /// What differs.
    pub kind: DifferenceKind,
    /// The row's key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<SourceKey>,
    /// The document's id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<SinkId>,
    /// The field, down to the first place in it that differs, such as `meta.tags[2]`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// What the plan makes of the row: the kind of the value, or the row that a reference means.
    pub expected: String,
    /// What the sink has, in the same words.
    pub found: String,
    /// The values themselves, only where they were asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub values: Option<Values>,
}

/// The values of a difference.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Values {
    /// What the plan makes of the row.
    pub expected: String,
    /// What the sink has.
    pub found: String,
}

/// Kinds of [`Difference`]. The texts are stable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum DifferenceKind {
    /// A row has no document.
    Missing,
    /// A document's row is not at the source, or should have no document.
    Unexpected,
    /// A row has more than one document.
    Duplicate,
    /// The value is another one of the same kind.
    Value,
    /// The value is of another kind: null for absent, a double for an integer.
    Kind,
    /// A reference leads to another document of the right table.
    WrongReference,
    /// A reference leads to a document of another table.
    WrongTable,
    /// A reference leads to no document.
    Dangling,
    /// Numbers of rows and documents differ.
    Count,
    /// A document without a row's key, in a table that is the migration's alone.
    Foreign,
    /// A field that the plan does not know, in a table that is the migration's alone.
    UnplannedField,
}

/// The kinds of differences with their stable text and their meaning; documentation is made of it.
pub const DIFFERENCE_KINDS: &[(DifferenceKind, &str, &str)] = &[
    (DifferenceKind::Missing, "missing", "the row has no document"),
    (DifferenceKind::Unexpected, "unexpected", "the document's row is not at the source, or should have none"),
    (DifferenceKind::Duplicate, "duplicate", "the row has more than one document"),
    (DifferenceKind::Value, "value", "the field has another value of the same kind"),
    (DifferenceKind::Kind, "kind", "the field has a value of another kind, or null for absent"),
    (DifferenceKind::WrongReference, "wrong_reference", "the reference leads to another document of its table"),
    (DifferenceKind::WrongTable, "wrong_table", "the reference leads to a document of another table"),
    (DifferenceKind::Dangling, "dangling", "the reference leads to no document"),
    (DifferenceKind::Count, "count", "there are not as many documents as rows"),
    (DifferenceKind::Foreign, "foreign", "with --exclusive: the document has no row's key"),
    (DifferenceKind::UnplannedField, "unplanned_field", "with --exclusive: the plan does not know the field"),
];

impl DifferenceKind {
    /// The stable text.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        DIFFERENCE_KINDS.iter().find(|(kind, ..)| *kind == self).map_or("", |&(_, text, _)| text)
    }
}
