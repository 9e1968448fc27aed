//! What a run did, as a file: `report.json`.

mod basis;
mod builder;
mod diff;
mod timing;

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use basis::{AdoptedReport, PlanReport, PlannedTable, ReferenceReport, SourceReport};
pub use builder::ReportBuilder;
pub use diff::{CountDiff, CountsDiff, Pair, ReportDiff, RunLabel, TableDiff};
pub use timing::{Phase, SpanReport, TimingReport};

use crate::names::{SourceKey, TableName};
use crate::observe::TableStatus;
use crate::record::RejectCode;

/// Version of the report file's format. The first lacks the plan, the source and the times; it can be read all the same.
pub const REPORT_VERSION: u32 = 2;

/// What a migration did, over all runs of one run folder.
///
/// A superset of the shape that hand-written migrations use: `timestamp`, `duration_seconds`, and per table `table`,
/// `source`, `migrated`, `skipped`, `errors`. For every table `source = migrated + skipped + rejected`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Report {
    /// Format version of this file.
    pub version: u32,
    /// The program and its version.
    pub tool: String,
    /// When the last run began, ISO 8601 in UTC.
    pub timestamp: String,
    /// The plan's fingerprint.
    pub plan_fingerprint: String,
    /// True when nothing was written.
    pub dry_run: bool,
    /// How the last run ended.
    pub outcome: Outcome,
    /// Why it ended so, where it failed or was stopped.
    pub error: Option<String>,
    /// Tables in the order they ran.
    pub tables: IndexMap<String, TableReport>,
    /// Sums over all tables.
    pub totals: ReportTotals,
    /// How long the last run took, rounded.
    pub duration_seconds: u64,
    /// The archive, where the documents go as one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snapshot: Option<SnapshotReport>,
    /// When the last run did what.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timing: Option<TimingReport>,
    /// The plan that was run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<PlanReport>,
    /// What the source holds beside rows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<SourceReport>,
}

/// All documents as one archive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SnapshotReport {
    /// The file.
    pub file: String,
    /// Its size.
    pub bytes: u64,
    /// Its SHA-256, in hex.
    pub sha256: String,
    /// How its values are written: `uniform` or `shape`.
    pub encoding: String,
    /// Documents in it.
    pub documents: u64,
    /// Its import; none where it was only written. Before that, migrated rows are in the file alone.
    pub import: Option<ImportReport>,
}

/// A finished import.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ImportReport {
    /// Its id in the deployment.
    pub id: String,
    /// What became of documents that were there: `require_empty`, `replace` or `append`.
    pub mode: String,
    /// Documents that it wrote, as the deployment says.
    pub documents: Option<u64>,
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Every row that was read is in the sink.
    Complete,
    /// It went to its end, with rejects, unset links, or a count that differs.
    CompleteWithFindings,
    /// It was stopped; the same command goes on.
    Interrupted,
    /// It failed; the same command goes on once the cause is mended.
    Failed,
}

/// One table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TableReport {
    /// The table at the source.
    pub table: TableName,
    /// Rows read from the source.
    pub source: u64,
    /// Rows that are in the sink.
    pub migrated: u64,
    /// Rows left out on purpose.
    pub skipped: u64,
    /// Rows that could not be migrated.
    pub rejected: u64,
    /// How it stands.
    pub status: TableStatus,
    /// Of the migrated: new documents.
    pub inserted: u64,
    /// Of the migrated: documents that were changed.
    pub updated: u64,
    /// Of the migrated: documents that were already so.
    pub unchanged: u64,
    /// What the last run alone did.
    pub this_run: RunCounts,
    /// Exact number of rows at the source when the last run came to it.
    pub counted_before: Option<u64>,
    /// Exact number of rows at the source after its last page.
    pub counted_after: Option<u64>,
    /// What went wrong, as text.
    pub errors: Vec<String>,
    /// What a reader should know.
    pub warnings: Vec<String>,
    /// Rejected rows by cause.
    pub rejects: Vec<RejectReport>,
    /// Parents that were not found, by field.
    pub reference_misses: Vec<CountReport>,
    /// Links set by the second pass.
    pub linked: u64,
    /// Links the second pass could not set.
    pub unlinked: u64,
    /// Lossy edits, by `column:kind`.
    pub changes: Vec<CountReport>,
    /// Bytes written, by the sink's own measure.
    pub bytes: u64,
    /// Calls that were repeated in the last run.
    pub retries: u64,
    /// How long the table took in the last run.
    pub seconds: f64,
    /// Rows a second in the last run.
    pub rows_per_second: f64,
}

/// What one run alone did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RunCounts {
    /// Rows read.
    pub read: u64,
    /// New documents.
    pub inserted: u64,
    /// Documents changed.
    pub updated: u64,
    /// Documents that were already so.
    pub unchanged: u64,
    /// Rows rejected.
    pub rejected: u64,
}

/// Rejected rows of one cause.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RejectReport {
    /// The stable code.
    pub code: RejectCode,
    /// How many rows.
    pub count: u64,
    /// Some of their keys.
    pub sample_keys: Vec<SourceKey>,
    /// What to do.
    pub remedy: String,
}

/// Something counted, with some keys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CountReport {
    /// What was counted.
    pub name: String,
    /// How many.
    pub count: u64,
    /// Some of the rows' keys.
    pub sample_keys: Vec<SourceKey>,
}

/// Sums over all tables.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReportTotals {
    /// Rows read.
    pub source: u64,
    /// Rows in the sink.
    pub migrated: u64,
    /// Rows left out on purpose.
    pub skipped: u64,
    /// Rows that could not be migrated.
    pub rejected: u64,
    /// Bytes written.
    pub bytes: u64,
}

impl Report {
    /// Checks what must hold of every report, whole or partial: `source = migrated + skipped + rejected` for each table,
    /// the effects sum to `migrated`, the causes to `rejected`.
    ///
    /// # Errors
    /// One line for each table that does not balance.
    pub fn check(&self) -> Result<(), Vec<String>> {
        let mut wrong = Vec::new();
        for (name, table) in &self.tables {
            let accounted = total([table.migrated, table.skipped, table.rejected]);
            if table.source != accounted {
                wrong.push(format!(
                    "{name}: {} rows read, but {} migrated + {} skipped + {} rejected",
                    table.source, table.migrated, table.skipped, table.rejected
                ));
            }
            if table.migrated != total([table.inserted, table.updated, table.unchanged]) {
                wrong.push(format!("{name}: the effects of its writes do not sum to {} migrated", table.migrated));
            }
            if table.rejected != total(table.rejects.iter().map(|cause| cause.count)) {
                wrong.push(format!("{name}: the causes of its rejects do not sum to {}", table.rejected));
            }
        }
        if wrong.is_empty() { Ok(()) } else { Err(wrong) }
    }

    /// True when something in it wants a look: rejects, unset links, a count that differs.
    pub fn has_findings(&self) -> bool {
        self.tables.values().any(TableReport::has_findings)
    }
}

impl TableReport {
    fn has_findings(&self) -> bool {
        self.rejected > 0 || self.unlinked > 0 || self.count_differs()
    }

    /// True when the table was read to its end and the source counts another number of rows.
    pub(crate) fn count_differs(&self) -> bool {
        self.status == TableStatus::Complete && self.counted_after.is_some_and(|counted| counted != self.source)
    }
}

/// A sum that stops at the largest number: a report may be read from any file.
fn total(counts: impl IntoIterator<Item = u64>) -> u64 {
    counts.into_iter().fold(0, u64::saturating_add)
}
