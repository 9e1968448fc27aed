use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use indexmap::IndexMap;
use jiff::{Timestamp, Unit};

use super::timing::Timeline;
use super::{
    CountReport, Outcome, PlanReport, REPORT_VERSION, RejectReport, Report, ReportTotals, RunCounts, SnapshotReport,
    SourceReport, TableReport,
};
use crate::catalog::Catalog;
use crate::error::{Error, ErrorKind};
use crate::names::{SourceKey, TableName};
use crate::observe::{Event, Observer, TableStatus};
use crate::plan::{Plan, RunConfig};
use crate::state::{Tally, Totals};

/// Folds the events of a run into its report.
#[derive(Debug)]
pub struct ReportBuilder {
    tool: String,
    plan_fingerprint: String,
    dry_run: bool,
    timestamp: Timestamp,
    started: Instant,
    tables: Mutex<IndexMap<TableName, TableFold>>,
    timeline: Mutex<Timeline>,
    snapshot: Mutex<Option<SnapshotReport>>,
    plan: PlanReport,
    source: Mutex<Option<SourceReport>>,
}

#[derive(Debug, Default)]
struct TableFold {
    status: Option<TableStatus>,
    totals: Totals,
    this_run: Totals,
    counted_before: Option<u64>,
    counted_after: Option<u64>,
    error: Option<String>,
    gone: u64,
    retries: u64,
    started: Option<Instant>,
    elapsed: Duration,
}

impl ReportBuilder {
    /// Begins the report of a run of `plan` by `tool`, such as `migrate-run 0.1.0`.
    pub fn start(tool: impl Into<String>, plan: &Plan, dry_run: bool) -> Self {
        let planned = plan.tables.iter().map(|table| &table.source);
        let names = planned.chain(plan.absent.iter().map(|absent| &absent.table));
        Self {
            tool: tool.into(),
            plan_fingerprint: plan.fingerprint.clone(),
            dry_run,
            timestamp: Timestamp::now(),
            started: Instant::now(),
            tables: Mutex::new(names.map(|name| (name.clone(), TableFold::default())).collect()),
            timeline: Mutex::default(),
            snapshot: Mutex::default(),
            plan: plan.into(),
            source: Mutex::default(),
        }
    }

    /// Settings of the run that are not the plan's, because the command line has others.
    #[must_use]
    pub fn with_run(mut self, run: RunConfig) -> Self {
        self.plan.run = run;
        self
    }

    /// Tells what the source holds beside rows.
    pub fn source(&self, catalog: &Catalog) {
        *self.source.lock().unwrap_or_else(PoisonError::into_inner) = Some(catalog.into());
    }

    fn tables(&self) -> MutexGuard<'_, IndexMap<TableName, TableFold>> {
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn timeline(&self) -> MutexGuard<'_, Timeline> {
        self.timeline.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes when something happened.
    fn time(&self, event: &Event) {
        let at = self.started.elapsed();
        let mut timeline = self.timeline();
        match event {
            Event::TableStarted { table, .. } => timeline.began(at, table),
            Event::PageRead { table, .. } | Event::TableCopied { table, .. } => timeline.sign_of_life(at, table),
            Event::BatchCommitted { table, delta, .. } => timeline.wrote(at, table, delta.read, delta.bytes),
            Event::LinkingStarted { table } => timeline.links(at, table),
            Event::Retried { .. } => timeline.retried(at),
            Event::RejectsTaken { .. }
            | Event::RowsChecked { .. }
            | Event::VerificationExpected { .. }
            | Event::VerificationRead { .. }
            | Event::TableReadBack { .. }
            | Event::TableVerified { .. }
            | Event::ClosingStarted
            | Event::RowsWithdrawn { .. }
            | Event::TableFinished { .. } => {}
        }
    }

    /// Tells of the archive that the documents are in.
    pub fn snapshot(&self, snapshot: SnapshotReport) {
        *self.snapshot.lock().unwrap_or_else(PoisonError::into_inner) = Some(snapshot);
    }

    /// The report as it stands: at the end, or as far as a run got that failed with `error`.
    pub fn report(&self, error: Option<&Error>) -> Report {
        let tables: IndexMap<String, TableReport> =
            self.tables().iter().map(|(name, fold)| (name.to_string(), fold.report(name))).collect();
        let mut report = Report {
            version: REPORT_VERSION,
            tool: self.tool.clone(),
            timestamp: self.timestamp.round(Unit::Millisecond).unwrap_or(self.timestamp).to_string(),
            plan_fingerprint: self.plan_fingerprint.clone(),
            dry_run: self.dry_run,
            outcome: Outcome::Complete,
            error: error.map(ToString::to_string),
            totals: totals(tables.values()),
            tables,
            duration_seconds: rounded_seconds(self.started.elapsed()),
            snapshot: self.snapshot.lock().unwrap_or_else(PoisonError::into_inner).clone(),
            timing: Some(self.timeline().report(self.started.elapsed())),
            plan: Some(self.plan.clone()),
            source: self.source.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        };
        report.outcome = match error {
            Some(error) if error.kind() == ErrorKind::Interrupted => Outcome::Interrupted,
            Some(_) => Outcome::Failed,
            None if report.has_findings() => Outcome::CompleteWithFindings,
            None => Outcome::Complete,
        };
        report
    }
}

impl Observer for ReportBuilder {
    fn on_event(&self, event: &Event) {
        self.time(event);
        let mut tables = self.tables();
        match event {
            Event::TableStarted { table, expected, resumed } => {
                let fold = tables.entry(table.clone()).or_default();
                fold.counted_before = *expected;
                fold.totals = (**resumed).clone();
                fold.started = Some(Instant::now());
            }
            Event::BatchCommitted { table, delta, .. } => {
                let fold = tables.entry(table.clone()).or_default();
                fold.totals.absorb(delta);
                fold.this_run.absorb(delta);
            }
            Event::RejectsTaken { table, taken, gone } => {
                let fold = tables.entry(table.clone()).or_default();
                fold.totals.release(taken);
                fold.gone += gone;
            }
            Event::RowsWithdrawn { table, withdrawn, delta } => {
                let fold = tables.entry(table.clone()).or_default();
                for totals in [&mut fold.totals, &mut fold.this_run] {
                    totals.inserted = totals.inserted.saturating_sub(*withdrawn);
                    totals.absorb(delta);
                }
            }
            Event::Retried { table: Some(table), .. } => tables.entry(table.clone()).or_default().retries += 1,
            Event::TableFinished { table, status, counted, error } => {
                let fold = tables.entry(table.clone()).or_default();
                fold.status = Some(*status);
                fold.counted_after = *counted;
                fold.error.clone_from(error);
                fold.elapsed = fold.started.map_or(Duration::ZERO, |started| started.elapsed());
            }
            Event::Retried { table: None, .. }
            | Event::PageRead { .. }
            | Event::RowsChecked { .. }
            | Event::VerificationExpected { .. }
            | Event::VerificationRead { .. }
            | Event::TableReadBack { .. }
            | Event::TableVerified { .. }
            | Event::TableCopied { .. }
            | Event::ClosingStarted
            | Event::LinkingStarted { .. } => {}
        }
    }
}

impl TableFold {
    fn report(&self, name: &TableName) -> TableReport {
        let totals = &self.totals;
        let seconds = self.elapsed.as_secs_f64();
        let mut table = TableReport {
            table: name.clone(),
            source: totals.read,
            migrated: totals.migrated(),
            skipped: totals.skipped,
            rejected: totals.rejected,
            status: self.status.unwrap_or(TableStatus::Incomplete),
            inserted: totals.inserted,
            updated: totals.updated,
            unchanged: totals.unchanged,
            this_run: RunCounts {
                read: self.this_run.read,
                inserted: self.this_run.inserted,
                updated: self.this_run.updated,
                unchanged: self.this_run.unchanged,
                rejected: self.this_run.rejected,
            },
            counted_before: self.counted_before,
            counted_after: self.counted_after,
            errors: self.error.iter().cloned().collect(),
            warnings: Vec::new(),
            rejects: totals
                .reject_codes
                .iter()
                .map(|(code, tally)| RejectReport {
                    code: *code,
                    count: tally.count,
                    sample_keys: tally.sample_keys.clone(),
                    remedy: code.remedy().to_owned(),
                })
                .collect(),
            reference_misses: counts(&totals.reference_misses),
            linked: totals.linked,
            unlinked: totals.unlinked,
            changes: counts(&totals.changes),
            bytes: totals.bytes,
            retries: self.retries,
            seconds: round(seconds),
            rows_per_second: if seconds > 0.0 { round(as_f64(self.this_run.read) / seconds) } else { 0.0 },
        };
        table.errors.extend(table.rejects.iter().map(|cause| {
            let keys: Vec<&str> = cause.sample_keys.iter().map(SourceKey::as_str).collect();
            let more = if u64::try_from(keys.len()).is_ok_and(|shown| shown < cause.count) { ", …" } else { "" };
            format!("{}: {} rows rejected (keys {}{more})", cause.code.as_str(), cause.count, keys.join(", "))
        }));
        if table.unlinked > 0 {
            table
                .errors
                .push(format!("{} links could not be set; the documents are there without them", table.unlinked));
        }
        if self.gone > 0 {
            table.warnings.push(format!("{} rejected rows are gone from the source, and left the list", self.gone));
        }
        if table.count_differs() {
            table.warnings.push(format!(
                "{} rows were read, and the source counts {} now: rows came or went during the run",
                table.source,
                table.counted_after.unwrap_or_default()
            ));
        }
        table
    }
}

fn counts(tallies: &BTreeMap<String, Tally>) -> Vec<CountReport> {
    tallies
        .iter()
        .map(|(name, tally)| CountReport {
            name: name.clone(),
            count: tally.count,
            sample_keys: tally.sample_keys.clone(),
        })
        .collect()
}

fn totals<'a>(tables: impl Iterator<Item = &'a TableReport>) -> ReportTotals {
    tables.fold(ReportTotals::default(), |sum, table| ReportTotals {
        source: sum.source + table.source,
        migrated: sum.migrated + table.migrated,
        skipped: sum.skipped + table.skipped,
        rejected: sum.rejected + table.rejected,
        bytes: sum.bytes + table.bytes,
    })
}

fn rounded_seconds(elapsed: Duration) -> u64 {
    elapsed.as_secs() + u64::from(elapsed.subsec_millis() >= 500)
}

#[expect(clippy::cast_precision_loss, reason = "a rate needs no exact count")]
fn as_f64(count: u64) -> f64 {
    count as f64
}

fn round(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}
