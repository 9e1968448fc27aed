//! Events as lines of JSON, for programs that watch a run, an assessment or a verification: `--events ndjson`.

mod lines;
#[cfg(test)]
mod tests;
mod writer;

use clap::ValueEnum;
use migrate_core::names::TableName;
use migrate_core::observe::TableStatus;
use migrate_core::record::RejectCode;
use migrate_core::report::{Outcome, ReportTotals};
use migrate_core::state::Totals;
use migrate_core::verify::{Level, Verdict};
use schemars::JsonSchema;
use serde::Serialize;

pub(crate) use writer::EventWriter;

/// Version of the lines' format. Fields and events may be added to a version; what is there keeps its meaning.
pub(crate) const EVENTS_VERSION: u32 = 1;

/// How events are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum EventsFormat {
    /// A JSON object on each line.
    Ndjson,
}

/// One line of `--events ndjson`. It holds no row's value.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(title = "Event")]
pub(crate) struct EventLine {
    /// Version of this format. Later ones may have more events and more fields: pass over what you do not know.
    pub(crate) version: u32,
    /// When it was written, ISO 8601 in UTC, to the millisecond.
    pub(crate) time: String,
    /// What happened.
    #[serde(flatten)]
    pub(crate) event: RunEvent,
}

/// What happened.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(tag = "event", rename_all = "snake_case")]
pub(crate) enum RunEvent {
    /// The first line of a run: both sides answer, and the tables are about to be read.
    RunStarted {
        /// The program and its version.
        tool: String,
        /// The plan's fingerprint.
        plan_fingerprint: String,
        /// True where nothing will be written.
        dry_run: bool,
        /// The plan's tables, in its order.
        tables: Vec<TableName>,
    },
    /// A table's turn comes.
    TableStarted {
        /// The table at the source.
        table: TableName,
        /// Exact number of its rows now; none where the source cannot tell.
        expected: Option<u64>,
        /// What earlier runs made durable.
        resumed: Counts,
    },
    /// A page was read. Its rows are not durable yet.
    PageRead {
        /// The table.
        table: TableName,
        /// Rows in it.
        rows: u64,
        /// Bytes of it.
        bytes: u64,
        /// How long the call took.
        milliseconds: u64,
    },
    /// A batch is durable. Counts over all lines of a table, with `resumed`, are those of the report.
    BatchCommitted {
        /// The table.
        table: TableName,
        /// What it adds.
        added: Counts,
        /// Its rejects by code.
        reject_codes: std::collections::BTreeMap<RejectCode, u64>,
        /// How long the write took.
        milliseconds: u64,
    },
    /// Rejects leave the counts: their rows are gone from the source, or a batch counts them anew.
    RejectsTaken {
        /// The table.
        table: TableName,
        /// What the counts held of them.
        taken: Counts,
        /// Rows of them that the source does not have any more.
        gone: u64,
    },
    /// Rows that were counted as new documents are none after all: a parent of theirs is not in the sink.
    RowsWithdrawn {
        /// The table.
        table: TableName,
        /// How many; `inserted` falls by it.
        withdrawn: u64,
        /// What became of them.
        added: Counts,
    },
    /// A call failed, and will be sent again.
    Retried {
        /// The operation, such as `read_page`.
        operation: String,
        /// The table, where it is for one.
        table: Option<TableName>,
        /// Which attempt failed, from 1.
        attempt: u64,
        /// How long until the next.
        delay_milliseconds: u64,
        /// The error's stable code.
        code: String,
    },
    /// All rows of a table are written; its links, or the check of its references, are left to do.
    TableCopied {
        /// The table.
        table: TableName,
    },
    /// The references of all tables are checked.
    ClosingStarted,
    /// The second pass over a table begins: links that were cut are set.
    LinkingStarted {
        /// The table.
        table: TableName,
    },
    /// A table's turn is over.
    TableFinished {
        /// The table.
        table: TableName,
        /// How it stands.
        status: TableStatus,
        /// Exact number of its rows after the last page; none where the source cannot tell.
        counted: Option<u64>,
        /// What stopped it.
        error: Option<String>,
    },
    /// A step beside the tables, such as the upload of an archive.
    Activity {
        /// The step, as text.
        what: String,
        /// How much of it is done, where that is known.
        done: Option<u64>,
        /// All of it.
        all: Option<u64>,
    },
    /// The first line of an assessment: the source answers, and its rows are about to be read. Nothing is written.
    ScanStarted {
        /// The program and its version.
        tool: String,
        /// The tables whose rows are read, in the plan's order.
        tables: Vec<TableName>,
    },
    /// Rows were checked, in an assessment.
    RowsChecked {
        /// The table.
        table: TableName,
        /// How many.
        rows: u64,
        /// How many of them a run would reject.
        rejected: u64,
    },
    /// The last line of an assessment. Without it, the program was killed.
    ScanFinished {
        /// The program's exit code.
        exit_code: u8,
        /// Why not all rows were read.
        error: Option<String>,
        /// The assessment's file; none where it could not be written.
        assessment: Option<String>,
    },
    /// The first line of a verification: both sides answer, and are about to be read. Nothing is written.
    VerificationStarted {
        /// The program and its version.
        tool: String,
        /// The plan's fingerprint.
        plan_fingerprint: String,
        /// How closely both sides are compared.
        level: Level,
        /// The tables that are compared, in the plan's order. Others are read back where these refer to them.
        tables: Vec<TableName>,
    },
    /// How much of a table a verification is about to read. What an earlier one read, which is gone on with, is not in it.
    VerificationExpected {
        /// The table.
        table: TableName,
        /// Documents; none where the sink cannot tell without reading them.
        documents: Option<u64>,
        /// Rows; none where the source cannot tell, or for a sample.
        rows: Option<u64>,
    },
    /// Documents were read back, or rows compared, in a verification.
    VerificationRead {
        /// The table.
        table: TableName,
        /// How many documents.
        documents: u64,
        /// How many rows.
        rows: u64,
    },
    /// All documents of a table are read back, in a verification.
    TableReadBack {
        /// The table.
        table: TableName,
        /// True where its rows are compared later; else its turn is over.
        rows_follow: bool,
    },
    /// A table's result is known, by comparing or counting, or from an earlier verification that is gone on with. The
    /// counts are those of verify.json.
    TableVerified {
        /// The table.
        table: TableName,
        /// True once it was compared to its end.
        is_compared: bool,
        /// Rows that were read from the source; with `counts`, rows that it has.
        source: u64,
        /// Of these: rows that the plan makes a document of.
        expected: u64,
        /// Rows that the plan rejects.
        rejected: u64,
        /// Rows that the plan leaves out on purpose.
        skipped: u64,
        /// Documents with a row's key; with `counts`, all documents.
        documents: u64,
        /// Documents without a row's key: the app's own.
        foreign: u64,
        /// Rows whose document is exactly what the plan makes of them.
        same: u64,
        /// Rows whose document is another.
        differing: u64,
        /// Rows that should have a document and have none.
        missing: u64,
        /// Documents whose row is not at the source, or should have none.
        unexpected: u64,
        /// Documents beyond the first of the same row.
        duplicates: u64,
        /// All that differs, with what is compared beside single rows; 0 where nothing does.
        differences: u64,
    },
    /// The last line of a verification. Without it, the program was killed.
    VerificationFinished {
        /// What came of it.
        verdict: Verdict,
        /// The program's exit code.
        exit_code: u8,
        /// Why it ended before its end.
        error: Option<String>,
        /// The verification's file; none where it could not be written.
        verification: Option<String>,
    },
    /// The last line of a run. Without it, the program was killed.
    RunFinished {
        /// How it ended.
        outcome: Outcome,
        /// The program's exit code.
        exit_code: u8,
        /// Why it ended before its end.
        error: Option<String>,
        /// Sums over all tables and all runs of the run folder.
        totals: ReportTotals,
        /// How long it took, rounded.
        duration_seconds: u64,
        /// The report's file; none for a dry run.
        report: Option<String>,
    },
}

/// Counts of rows, links and bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
pub(crate) struct Counts {
    /// Rows read.
    pub(crate) read: u64,
    /// New documents.
    pub(crate) inserted: u64,
    /// Documents changed.
    pub(crate) updated: u64,
    /// Documents that were already so.
    pub(crate) unchanged: u64,
    /// Rows left out on purpose.
    pub(crate) skipped: u64,
    /// Rows that could not be migrated.
    pub(crate) rejected: u64,
    /// Links set by the second pass.
    pub(crate) linked: u64,
    /// Links that it could not set.
    pub(crate) unlinked: u64,
    /// Bytes written, by the sink's own measure.
    pub(crate) bytes: u64,
}

impl From<&Totals> for Counts {
    fn from(totals: &Totals) -> Self {
        Self {
            read: totals.read,
            inserted: totals.inserted,
            updated: totals.updated,
            unchanged: totals.unchanged,
            skipped: totals.skipped,
            rejected: totals.rejected,
            linked: totals.linked,
            unlinked: totals.unlinked,
            bytes: totals.bytes,
        }
    }
}
