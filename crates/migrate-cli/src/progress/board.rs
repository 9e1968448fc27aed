//! How each table stands, folded from events. It knows no clock: whoever tells it something says when.

use std::time::Duration;

use indexmap::IndexMap;
use migrate_core::names::TableName;
use migrate_core::observe::{Event, TableStatus};

use super::amounts::percent;
use super::rate::Rate;
use super::work::Work;

/// What is done to a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Phase {
    /// Its turn has not come.
    Waiting,
    /// Rows are read and what the work is is done with them.
    Working,
    /// All rows are written; links are left to do.
    Copied,
    /// The second pass.
    Linking,
    /// All is done.
    Done,
    /// It has rows that were not read.
    Incomplete,
    /// It is not at the source.
    Missing,
    /// This key may not read it.
    Forbidden,
    /// This run leaves it out.
    LeftOut,
}

impl Phase {
    /// The word for it.
    pub(super) fn word(self, work: Work) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Working => work.words().phase,
            Self::Copied => "copied",
            Self::Linking => "linking",
            Self::Done => "done",
            Self::Incomplete => "incomplete",
            Self::Missing => "missing",
            Self::Forbidden => "forbidden",
            Self::LeftOut => "left out",
        }
    }

    /// Something happens to it now.
    pub(super) fn is_active(self) -> bool {
        matches!(self, Self::Working | Self::Linking)
    }

    /// Rows of it may still come.
    fn expects_rows(self) -> bool {
        matches!(self, Self::Waiting | Self::Working)
    }
}

/// How many rows there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Expected {
    /// The source counted them.
    Counted(u64),
    /// They were counted before the run, and without the row filter.
    Estimated(u64),
    /// Nobody knows.
    Unknown,
}

impl Expected {
    fn rows(self) -> Option<u64> {
        match self {
            Self::Counted(rows) | Self::Estimated(rows) => Some(rows),
            Self::Unknown => None,
        }
    }
}

/// Counts of a table, or of all of them.
#[derive(Debug)]
pub(super) struct Counts {
    pub(super) phase: Phase,
    pub(super) read: u64,
    pub(super) linked: u64,
    pub(super) bytes: u64,
    /// Rows that are rejected; in a verification, rows and documents that differ.
    pub(super) findings: u64,
    pub(super) expected: Expected,
    rate: Rate,
}

impl Counts {
    fn new(expected: Expected) -> Self {
        Self { phase: Phase::Waiting, read: 0, linked: 0, bytes: 0, findings: 0, expected, rate: Rate::default() }
    }

    /// All rows: never fewer than were read, since some may come while the table is read.
    pub(super) fn all(&self) -> Option<u64> {
        if self.phase.expects_rows() { Some(self.expected.rows()?.max(self.read)) } else { Some(self.read) }
    }

    /// True where `all` is a guess.
    pub(super) fn is_estimate(&self) -> bool {
        self.phase.expects_rows() && !matches!(self.expected, Expected::Counted(_))
    }

    /// Rows that are read and durable, in percent; never 100 while rows may come.
    pub(super) fn percent(&self) -> Option<u64> {
        let percent = percent(self.read, self.all()?);
        Some(if self.is_estimate() { percent.min(99) } else { percent })
    }

    /// Rows a second, of late.
    pub(super) fn rows_per_second(&self, at: Duration) -> Option<u64> {
        if self.phase.is_active() { self.rate.per_second(at) } else { None }
    }

    /// How long the rest of its rows takes. Links are no rows: there is no guess for them.
    pub(super) fn left(&self, at: Duration) -> Option<Duration> {
        if self.phase == Phase::Linking {
            return None;
        }
        self.rate.time_for(self.all()?.checked_sub(self.read).filter(|rest| *rest > 0)?, at)
    }
}

/// A step beside the tables, such as an upload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Activity {
    pub(super) what: String,
    pub(super) part: Option<(u64, u64)>,
}

/// All tables.
#[derive(Debug)]
pub(super) struct Board {
    pub(super) work: Work,
    tables: IndexMap<TableName, Counts>,
    rate: Rate,
    pub(super) activity: Option<Activity>,
    pub(super) retries: u64,
}

impl Board {
    /// The tables of a plan, in its order.
    pub(super) fn new(work: Work, tables: impl IntoIterator<Item = TableName>) -> Self {
        let tables = tables.into_iter().map(|name| (name, Counts::new(Expected::Unknown))).collect();
        Self { work, tables, rate: Rate::default(), activity: None, retries: 0 }
    }

    /// Says how large tables are that have not begun.
    pub(super) fn estimate(&mut self, rows: impl Fn(&TableName) -> Option<u64>) {
        for (name, counts) in &mut self.tables {
            if counts.expected == Expected::Unknown {
                counts.expected = rows(name).map_or(Expected::Unknown, Expected::Estimated);
            }
        }
    }

    /// True once a table's turn came, or another step is told of.
    pub(super) fn has_begun(&self) -> bool {
        self.activity.is_some() || self.tables().any(|(_, counts)| counts.phase != Phase::Waiting || counts.read > 0)
    }

    /// Only these tables have a turn: the others are not in the sums.
    pub(super) fn select(&mut self, is_selected: impl Fn(&TableName) -> bool) {
        for (name, counts) in &mut self.tables {
            if !is_selected(name) {
                counts.phase = Phase::LeftOut;
            }
        }
    }

    /// Tables and how they stand, in the plan's order, without those that are left out.
    pub(super) fn tables(&self) -> impl Iterator<Item = (&TableName, &Counts)> {
        self.tables.iter().filter(|(_, counts)| counts.phase != Phase::LeftOut)
    }

    /// The sums.
    pub(super) fn total(&self) -> Counts {
        let mut total = Counts::new(Expected::Counted(0));
        total.phase = Phase::Done;
        for (_, counts) in self.tables() {
            total.read += counts.read;
            total.linked += counts.linked;
            total.bytes += counts.bytes;
            total.findings += counts.findings;
            let all = match (counts.all(), counts.is_estimate()) {
                (Some(rows), false) => Expected::Counted(rows),
                (Some(rows), true) => Expected::Estimated(rows),
                (None, _) => Expected::Unknown,
            };
            total.expected = sum(total.expected, all);
            if total.phase == Phase::Done && (counts.phase == Phase::Linking || counts.phase == Phase::Copied) {
                total.phase = Phase::Linking;
            }
            if counts.phase.expects_rows() {
                total.phase = Phase::Working;
            }
        }
        total
    }

    /// Rows a second over all tables.
    pub(super) fn rows_per_second(&self, at: Duration) -> Option<u64> {
        self.rate.per_second(at)
    }

    /// How long the rest of all rows takes.
    pub(super) fn left(&self, total: &Counts, at: Duration) -> Option<Duration> {
        let rest = total.all()?.checked_sub(total.read).filter(|rest| *rest > 0)?;
        self.rate.time_for(rest, at)
    }

    fn of(&mut self, table: &TableName) -> &mut Counts {
        self.tables.entry(table.clone()).or_insert_with(|| Counts::new(Expected::Unknown))
    }

    /// Takes up an event.
    pub(super) fn on_event(&mut self, event: &Event, at: Duration) {
        match event {
            Event::TableStarted { table, expected, resumed } => {
                self.rate.begin(at);
                let counts = self.of(table);
                counts.expected = expected.map_or(counts.expected, Expected::Counted);
                counts.phase = Phase::Working;
                counts.read = resumed.read;
                counts.bytes = resumed.bytes;
                counts.linked = resumed.linked;
                counts.findings = resumed.rejected;
                counts.rate.begin(at);
            }
            Event::BatchCommitted { table, delta, .. } => {
                self.rate.add(at, delta.read);
                let counts = self.of(table);
                counts.rate.add(at, delta.read + if counts.phase == Phase::Linking { delta.linked } else { 0 });
                counts.read += delta.read;
                counts.bytes += delta.bytes;
                counts.linked += delta.linked;
                counts.findings += delta.rejected;
            }
            Event::RowsChecked { table, rows, rejected } => {
                let rows = u64::try_from(*rows).unwrap_or(u64::MAX);
                self.rate.add(at, rows);
                let counts = self.of(table);
                counts.rate.add(at, rows);
                counts.read += rows;
                counts.findings += rejected;
            }
            Event::VerificationExpected { table, documents, rows } => {
                self.rate.begin(at);
                let counts = self.of(table);
                let all = documents.zip(*rows).map(|(documents, rows)| documents.saturating_add(rows));
                counts.expected = all.map_or(counts.expected, Expected::Counted);
                // One that only others refer to is read back as well.
                counts.phase = Phase::Waiting;
            }
            Event::VerificationRead { table, documents, rows } => {
                let read = documents.saturating_add(*rows);
                self.rate.add(at, read);
                let counts = self.of(table);
                counts.rate.add(at, read);
                counts.phase = Phase::Working;
                counts.read += read;
            }
            Event::TableReadBack { table, rows_follow } => {
                let counts = self.of(table);
                counts.phase = if *rows_follow { Phase::Waiting } else { Phase::Done };
                // Its rows have a pace of their own.
                counts.rate = Rate::default();
            }
            Event::TableVerified { table, result } => {
                let counts = self.of(table);
                counts.phase = Phase::Done;
                counts.findings = result.found();
                // What an earlier verification read, or what was counted without being read.
                counts.read = counts.read.max(result.source + result.documents + result.foreign);
            }
            // The next batch counts their rows anew.
            Event::RejectsTaken { table, taken, .. } => {
                let counts = self.of(table);
                counts.read = counts.read.saturating_sub(taken.read);
                counts.findings = counts.findings.saturating_sub(taken.rejected);
            }
            Event::RowsWithdrawn { table, delta, .. } => self.of(table).findings += delta.rejected,
            Event::TableCopied { table } => self.of(table).phase = Phase::Copied,
            Event::LinkingStarted { table } => {
                let counts = self.of(table);
                counts.phase = Phase::Linking;
                counts.rate = Rate::default();
                counts.rate.begin(at);
            }
            Event::ClosingStarted => {
                self.activity = Some(Activity { what: "checking every reference".to_owned(), part: None });
            }
            Event::Retried { .. } => self.retries += 1,
            Event::TableFinished { table, status, .. } => {
                self.of(table).phase = match status {
                    TableStatus::Complete => Phase::Done,
                    TableStatus::Incomplete => Phase::Incomplete,
                    TableStatus::Missing => Phase::Missing,
                    TableStatus::Forbidden => Phase::Forbidden,
                    TableStatus::NotSelected => Phase::LeftOut,
                };
            }
            _ => {}
        }
    }
}

fn sum(one: Expected, other: Expected) -> Expected {
    let rows = one.rows().zip(other.rows()).map(|(one, other)| one.saturating_add(other));
    match (rows, one, other) {
        (None, _, _) => Expected::Unknown,
        (Some(rows), Expected::Counted(_), Expected::Counted(_)) => Expected::Counted(rows),
        (Some(rows), _, _) => Expected::Estimated(rows),
    }
}
