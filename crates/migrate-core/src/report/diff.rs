//! What changed from one run to another.

use std::collections::BTreeMap;

use indexmap::IndexSet;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Outcome, Report, TableReport};
use crate::observe::TableStatus;

/// Version of the form below.
const DIFF_VERSION: u32 = 1;

/// What changed from one run to another. What did not is left out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReportDiff {
    /// Format version.
    pub version: u32,
    /// The first run.
    pub before: RunLabel,
    /// The other.
    pub after: RunLabel,
    /// Whether both were of the same plan.
    pub same_plan: bool,
    /// Sums over all tables.
    pub totals: CountsDiff,
    /// How long each took, in seconds.
    pub seconds: Pair<f64>,
    /// The tables that changed, in the order of the other run; those that it lacks last.
    pub tables: Vec<TableDiff>,
    /// How many tables are the same in both.
    pub same_tables: usize,
    /// Rejected rows by cause, where their number changed.
    pub rejects: Vec<CountDiff>,
    /// Lossy edits by kind, where their number changed.
    pub changes: Vec<CountDiff>,
}

/// A run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RunLabel {
    /// The program and its version.
    pub tool: String,
    /// When it began, ISO 8601 in UTC.
    pub timestamp: String,
    /// The plan's fingerprint.
    pub plan_fingerprint: String,
    /// True when nothing was written.
    pub dry_run: bool,
    /// How it ended.
    pub outcome: Outcome,
}

/// Something in both runs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Pair<T> {
    /// In the first run.
    pub before: T,
    /// In the other.
    pub after: T,
}

/// Counts of rows and bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CountsDiff {
    /// Rows read.
    pub source: Pair<u64>,
    /// Rows in the sink.
    pub migrated: Pair<u64>,
    /// Rows left out on purpose.
    pub skipped: Pair<u64>,
    /// Rows that could not be migrated.
    pub rejected: Pair<u64>,
    /// Links that could not be set.
    pub unlinked: Pair<u64>,
    /// Bytes written.
    pub bytes: Pair<u64>,
}

/// A table that changed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TableDiff {
    /// The table at the source.
    pub table: String,
    /// How it stands; none in a run whose plan does not have it.
    pub status: Pair<Option<TableStatus>>,
    /// Its counts; zero in a run whose plan does not have it.
    pub counts: CountsDiff,
    /// How long it took, in seconds.
    pub seconds: Pair<f64>,
}

/// A count by name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CountDiff {
    /// What is counted.
    pub name: String,
    /// How many.
    pub count: Pair<u64>,
    /// In which tables the number changed.
    pub tables: Vec<String>,
}

impl ReportDiff {
    /// What changed from `before` to `after`.
    #[must_use]
    pub fn of(before: &Report, after: &Report) -> Self {
        let names: IndexSet<&String> = after.tables.keys().chain(before.tables.keys()).collect();
        let both = |name: &String| Pair { before: before.tables.get(name), after: after.tables.get(name) };
        let all: Vec<(&String, Pair<Option<&TableReport>>)> =
            names.into_iter().map(|name| (name, both(name))).collect();
        let tables: Vec<TableDiff> = all.iter().filter_map(|(name, pair)| table(name, *pair)).collect();
        Self {
            version: DIFF_VERSION,
            before: before.into(),
            after: after.into(),
            same_plan: before.plan_fingerprint == after.plan_fingerprint,
            totals: all.iter().fold(CountsDiff::default(), |sum, (_, pair)| sum.plus(&counts(*pair))),
            seconds: Pair { before: seconds(before), after: seconds(after) },
            same_tables: all.len() - tables.len(),
            tables,
            rejects: by_name(&all, |table| {
                table.rejects.iter().map(|cause| (cause.code.as_str().to_owned(), cause.count)).collect()
            }),
            changes: by_name(&all, |table| {
                let kind = |name: &str| name.rsplit_once(':').map_or(name, |(_, kind)| kind).to_owned();
                table.changes.iter().map(|change| (kind(&change.name), change.count)).collect()
            }),
        }
    }

    /// True where both runs came to the same, but for their times.
    #[must_use]
    pub fn is_same(&self) -> bool {
        let same_end = self.before.outcome == self.after.outcome && self.before.dry_run == self.after.dry_run;
        same_end && self.tables.is_empty() && self.rejects.is_empty() && self.changes.is_empty()
    }
}

impl From<&Report> for RunLabel {
    fn from(report: &Report) -> Self {
        Self {
            tool: report.tool.clone(),
            timestamp: report.timestamp.clone(),
            plan_fingerprint: report.plan_fingerprint.clone(),
            dry_run: report.dry_run,
            outcome: report.outcome,
        }
    }
}

impl<T: PartialEq> Pair<T> {
    /// True where both are the same.
    pub fn is_same(&self) -> bool {
        self.before == self.after
    }
}

impl Pair<u64> {
    fn plus(self, other: Self) -> Self {
        Self { before: self.before.saturating_add(other.before), after: self.after.saturating_add(other.after) }
    }
}

impl CountsDiff {
    fn plus(self, other: &Self) -> Self {
        Self {
            source: self.source.plus(other.source),
            migrated: self.migrated.plus(other.migrated),
            skipped: self.skipped.plus(other.skipped),
            rejected: self.rejected.plus(other.rejected),
            unlinked: self.unlinked.plus(other.unlinked),
            bytes: self.bytes.plus(other.bytes),
        }
    }

    fn is_same(&self) -> bool {
        [self.source, self.migrated, self.skipped, self.rejected, self.unlinked, self.bytes].iter().all(Pair::is_same)
    }
}

fn table(name: &str, pair: Pair<Option<&TableReport>>) -> Option<TableDiff> {
    let of = |get: fn(&TableReport) -> f64| Pair {
        before: pair.before.map_or(0.0, get),
        after: pair.after.map_or(0.0, get),
    };
    let status = Pair { before: pair.before.map(|table| table.status), after: pair.after.map(|table| table.status) };
    let counts = counts(pair);
    let is_same = status.is_same() && counts.is_same();
    (!is_same).then(|| TableDiff { table: name.to_owned(), status, counts, seconds: of(|table| table.seconds) })
}

fn counts(pair: Pair<Option<&TableReport>>) -> CountsDiff {
    let of =
        |get: fn(&TableReport) -> u64| Pair { before: pair.before.map_or(0, get), after: pair.after.map_or(0, get) };
    CountsDiff {
        source: of(|table| table.source),
        migrated: of(|table| table.migrated),
        skipped: of(|table| table.skipped),
        rejected: of(|table| table.rejected),
        unlinked: of(|table| table.unlinked),
        bytes: of(|table| table.bytes),
    }
}

/// Counts of all tables by name, where the sum or the share of any table changed.
fn by_name(
    tables: &[(&String, Pair<Option<&TableReport>>)],
    get: fn(&TableReport) -> Vec<(String, u64)>,
) -> Vec<CountDiff> {
    let mut sums: BTreeMap<String, CountDiff> = BTreeMap::new();
    for (table, pair) in tables {
        let mut own: BTreeMap<String, Pair<u64>> = BTreeMap::new();
        for (name, count) in pair.before.map(get).unwrap_or_default() {
            let pair = own.entry(name).or_default();
            pair.before = pair.before.saturating_add(count);
        }
        for (name, count) in pair.after.map(get).unwrap_or_default() {
            let pair = own.entry(name).or_default();
            pair.after = pair.after.saturating_add(count);
        }
        for (name, count) in own {
            let empty = CountDiff { name: name.clone(), count: Pair::default(), tables: Vec::new() };
            let sum = sums.entry(name).or_insert(empty);
            sum.count = sum.count.plus(count);
            if !count.is_same() {
                sum.tables.push((*table).clone());
            }
        }
    }
    sums.into_values().filter(|sum| !sum.tables.is_empty()).collect()
}

/// How long a run took; of an old report to the second.
#[expect(clippy::cast_precision_loss, reason = "no run takes 2^52 seconds")]
fn seconds(report: &Report) -> f64 {
    report.timing.as_ref().map_or(report.duration_seconds as f64, |timing| timing.seconds)
}
