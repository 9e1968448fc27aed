//! What happens during a run, an assessment or a verification, told as events; progress, logs and the report are made of them.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use crate::names::TableName;
use crate::state::Totals;
use crate::verify::TableVerification;

/// How a table stands when its run ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TableStatus {
    /// All of its rows were read, and each is migrated, skipped or rejected.
    Complete,
    /// It has rows that were not read yet.
    Incomplete,
    /// There is no such table at the source.
    Missing,
    /// This key may not read it.
    Forbidden,
    /// The selection of this run leaves it out.
    NotSelected,
}

/// One step of a run.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Event {
    /// A table's turn comes. `resumed` is what earlier runs made durable.
    TableStarted {
        /// The table at the source.
        table: TableName,
        /// Exact number of rows now, where the source can tell.
        expected: Option<u64>,
        /// Counts of earlier runs.
        resumed: Box<Totals>,
    },
    /// A page was read.
    PageRead {
        /// The table.
        table: TableName,
        /// Rows in it.
        records: usize,
        /// Bytes of its body.
        bytes: u64,
        /// How long the call took.
        elapsed: Duration,
    },
    /// Rejects leave the counts: their rows are gone from the source, or the next batch counts them anew.
    RejectsTaken {
        /// The table.
        table: TableName,
        /// What the counts held of them.
        taken: Box<Totals>,
        /// Rows of them that the source does not have any more.
        gone: u64,
    },
    /// A batch is durable: its documents in the sink, its ids, rejects and place in the state.
    BatchCommitted {
        /// The table.
        table: TableName,
        /// What it adds to the counts.
        delta: Box<Totals>,
        /// How long the write took.
        elapsed: Duration,
    },
    /// Rows were checked, in an assessment: nothing is written.
    RowsChecked {
        /// The table.
        table: TableName,
        /// How many.
        rows: usize,
        /// How many of them a run would reject.
        rejected: u64,
    },
    /// How much of a table a verification is about to read. All tables that it reads are told of before the first is
    /// read.
    VerificationExpected {
        /// The table.
        table: TableName,
        /// Documents that will be read back, where the sink can tell without reading them.
        documents: Option<u64>,
        /// Rows that will be compared, where the source can tell; zero for a table that others only refer to.
        rows: Option<u64>,
    },
    /// Documents were read back, or rows compared, in a verification: nothing is written.
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
    /// A table's result is known: it was compared or counted, or an earlier verification that is gone on with had it.
    TableVerified {
        /// The table.
        table: TableName,
        /// What was found. Its differences name keys, and may have values: they are not for a log.
        result: Box<TableVerification>,
    },
    /// A call failed and will be sent again.
    Retried {
        /// The operation, such as `read_page`.
        operation: &'static str,
        /// The table.
        table: Option<TableName>,
        /// Which attempt failed, from 1.
        attempt: usize,
        /// How long until the next.
        delay: Duration,
        /// The error's code.
        code: String,
        /// The error's message.
        message: String,
    },
    /// All rows of a table are written, and something is left to do: its links, or the check of its references.
    TableCopied {
        /// The table.
        table: TableName,
    },
    /// The references of all tables are checked for parents that are not in the sink.
    ClosingStarted,
    /// The second pass over a table begins.
    LinkingStarted {
        /// The table.
        table: TableName,
    },
    /// Rows that were counted as new documents are none after all: their parents turned out not to be in the sink.
    RowsWithdrawn {
        /// The table.
        table: TableName,
        /// How many.
        withdrawn: u64,
        /// What became of them.
        delta: Box<Totals>,
    },
    /// A table's turn is over.
    TableFinished {
        /// The table.
        table: TableName,
        /// How it stands.
        status: TableStatus,
        /// Exact number of rows after the last page, where the source can tell.
        counted: Option<u64>,
        /// What stopped it, where it is incomplete.
        error: Option<String>,
    },
}

/// Hears of every event. Never blocks and never fails.
pub trait Observer: Debug + Send + Sync {
    /// Takes one event, in the order things became true for its table.
    fn on_event(&self, event: &Event);
}

/// Tells several observers, in order.
#[derive(Debug, Clone, Default)]
pub struct Fanout(Vec<Arc<dyn Observer>>);

impl Fanout {
    /// Tells all of `observers`.
    #[must_use]
    pub fn new(observers: Vec<Arc<dyn Observer>>) -> Self {
        Self(observers)
    }
}

impl Observer for Fanout {
    fn on_event(&self, event: &Event) {
        for observer in &self.0 {
            observer.on_event(event);
        }
    }
}
