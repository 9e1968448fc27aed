//! The assessment as a file: `assessment.json`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::estimate::Estimate;
use super::finding::Finding;
use crate::catalog::{InventoryItem, TableState};
use crate::names::{FieldName, TableName};

/// Version of the assessment file's format.
pub const ASSESSMENT_VERSION: u32 = 1;

/// What a migration of a project would meet, found before anything moves.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Assessment {
    /// Format version of this file.
    pub version: u32,
    /// The program and its version.
    pub tool: String,
    /// When it was made, ISO 8601 in UTC.
    pub timestamp: String,
    /// Where the tables were seen, such as `PostgREST 12.0.2 (OpenAPI)`.
    pub origin: String,
    /// How rows were scanned.
    pub scan: ScanSummary,
    /// Every table of the project, in the catalog's order.
    pub tables: Vec<TableAssessment>,
    /// What the migration would take; none where no rows were read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub estimate: Option<Estimate>,
    /// What the plan decided that a reader should know of.
    pub notes: Vec<String>,
    /// What does not move by itself, as far as it could be seen.
    pub inventory: Vec<InventoryItem>,
    /// Facts of the project that could not be seen.
    pub unknown: Vec<String>,
}

/// How rows were scanned.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ScanSummary {
    /// Which rows.
    pub mode: ScanMode,
    /// False where it was stopped, or a table could not be read to its end.
    pub complete: bool,
    /// Rows read.
    pub rows: u64,
    /// Bytes read, as the source wrote them, after decompression; 0 where that means nothing.
    pub bytes: u64,
    /// How long it took.
    pub seconds: f64,
    /// What was not looked at, in words.
    pub unchecked: Vec<String>,
}

/// Which rows a scan reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ScanMode {
    /// All: every count is exact.
    Full,
    /// Some pages of each table, spread over it: counts are of those rows.
    Sample,
    /// None: what the catalog alone tells.
    None,
}

/// How far a table is from being migrated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Readiness {
    /// It cannot be planned or read until something is mended.
    Blocked,
    /// It can be migrated, but rows or links would be lost until somebody decides about them.
    Decision,
    /// It migrates as it is.
    Automatic,
    /// The plan leaves it out.
    LeftOut,
}

impl Readiness {
    /// All of them, in the order a reader wants them.
    pub const ALL: [Self; 4] = [Self::Blocked, Self::Decision, Self::Automatic, Self::LeftOut];

    /// In words, of one table.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::Blocked => "blocked",
            Self::Decision => "needs a decision",
            Self::Automatic => "automatic",
            Self::LeftOut => "left out",
        }
    }

    /// So many tables in words.
    #[must_use]
    pub fn counted(self, tables: usize) -> String {
        match self {
            Self::Decision if tables != 1 => format!("{tables} need a decision"),
            _ => format!("{tables} {}", self.words()),
        }
    }
}

/// One table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TableAssessment {
    /// The table at the source.
    pub table: TableName,
    /// The tables at the sink; several where columns are split off, none where it is blocked or left out.
    pub sinks: Vec<TableName>,
    /// True where its rows live in the sink already and are only referred to.
    pub adopted: bool,
    /// How far it is.
    pub readiness: Readiness,
    /// Whether it can be read.
    pub state: TableState,
    /// Exact number of rows when the catalog was made.
    pub rows: Option<u64>,
    /// Tables that its columns refer to, in or out of the plan.
    pub refers_to: Vec<TableName>,
    /// What has to be decided or mended, the gravest first.
    pub decisions: Vec<Decision>,
    /// Every column, and what becomes of it.
    pub columns: Vec<ColumnAssessment>,
    /// What the source enforces and the sink does not, in words.
    pub not_enforced: Vec<String>,
    /// What was found in the rows that were read; none where none were.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scan: Option<TableScan>,
}

/// Something that a person decides or mends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Decision {
    /// What is the matter.
    pub what: String,
    /// What to do.
    pub remedy: String,
    /// The setting of `migrate.toml` that decides it, where one does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub setting: Option<String>,
    /// True where the table cannot be migrated before.
    pub blocks: bool,
}

/// One column and what becomes of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ColumnAssessment {
    /// The column.
    pub column: FieldName,
    /// Its type at the source.
    #[serde(rename = "type")]
    pub source_type: String,
    /// Whether NULL is possible.
    pub nullable: bool,
    /// The fields that hold its value, `table.field` at the sink; empty where none does.
    pub fields: Vec<String>,
    /// Their type at the sink, or why there is none.
    pub becomes: String,
    /// What its type may lose, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loss: Option<String>,
}

/// What was found in the rows of a table. The rows of parts that are split off count once.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TableScan {
    /// Rows read.
    pub rows: u64,
    /// Bytes read, as the source wrote them.
    pub source_bytes: u64,
    /// Documents that they would become, parts that are split off included.
    pub documents: u64,
    /// Rows that the plan would reject.
    pub rejected: u64,
    /// Rows that the plan would leave out.
    pub skipped: u64,
    /// Bytes of the documents, as the sink counts them.
    pub document_bytes: u64,
    /// Bytes of their index entries, estimated from the first rows.
    pub index_bytes: u64,
    /// Bytes of the largest document.
    pub largest_document: u64,
    /// What was found, the gravest first. A row may be in several: they do not sum to `rejected`.
    pub findings: Vec<Finding>,
    /// What ended the scan of the table early.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

impl Assessment {
    /// How many tables stand so.
    #[must_use]
    pub fn count(&self, readiness: Readiness) -> usize {
        self.tables.iter().filter(|table| table.readiness == readiness).count()
    }

    /// All findings with their tables, the gravest first.
    #[must_use]
    pub fn findings(&self) -> Vec<(&TableName, &Finding)> {
        let tables = self.tables.iter().filter_map(|table| table.scan.as_ref().map(|scan| (&table.table, scan)));
        let mut all: Vec<(&TableName, &Finding)> =
            tables.flat_map(|(table, scan)| scan.findings.iter().map(move |found| (table, found))).collect();
        all.sort_by_key(|(_, found)| found.effect);
        all
    }
}
