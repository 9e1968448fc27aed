//! Progress: a line on a terminal, a plain line every ten seconds without one.

use std::collections::BTreeMap;
use std::io::IsTerminal as _;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use migrate_core::names::TableName;
use migrate_core::observe::{Event, Observer};

use crate::output;

/// Without a terminal, a line this often.
const PLAIN_INTERVAL: Duration = Duration::from_secs(10);

/// Shows how a run stands.
#[derive(Debug)]
pub(crate) struct Progress {
    bar: Option<ProgressBar>,
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    tables: BTreeMap<TableName, (u64, Option<u64>)>,
    rejected: u64,
    started: Instant,
    last_line: Instant,
}

impl Progress {
    /// Shows nothing where `quiet`.
    pub(crate) fn new(quiet: bool) -> Option<Self> {
        if quiet {
            return None;
        }
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::new_spinner();
            if let Ok(style) = ProgressStyle::with_template("{spinner} {wide_msg}") {
                bar.set_style(style);
            }
            bar.enable_steady_tick(Duration::from_millis(120));
            bar
        });
        let now = Instant::now();
        let inner = Inner { tables: BTreeMap::new(), rejected: 0, started: now, last_line: now };
        Some(Self { bar, inner: Mutex::new(inner) })
    }

    fn line(&self, text: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| output::note(text)),
            None => output::note(text),
        }
    }

    /// Takes the line away.
    pub(crate) fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

impl Inner {
    fn summary(&self) -> String {
        let read: u64 = self.tables.values().map(|(read, _)| *read).sum();
        // Rows may come while a table is read: never show more than there are known to be.
        let all: u64 = self.tables.values().map(|(read, expected)| expected.unwrap_or(*read).max(*read)).sum();
        let seconds = self.started.elapsed().as_secs().max(1);
        let rejected = if self.rejected > 0 { format!(", {} rejected", self.rejected) } else { String::new() };
        format!("{read} of {all} rows in {} tables, {} rows/s{rejected}", self.tables.len(), read / seconds)
    }
}

impl Observer for Progress {
    fn on_event(&self, event: &Event) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        match event {
            Event::TableStarted { table, expected, resumed } => {
                inner.tables.insert(table.clone(), (resumed.read, *expected));
            }
            Event::BatchCommitted { table, delta, .. } => {
                if let Some((read, _)) = inner.tables.get_mut(table) {
                    *read += delta.read;
                }
                inner.rejected += delta.rejected;
            }
            Event::RowsChecked { table, rows, rejected } => {
                if let Some((read, _)) = inner.tables.get_mut(table) {
                    *read += u64::try_from(*rows).unwrap_or(0);
                }
                inner.rejected += rejected;
            }
            // The next batch counts their rows anew.
            Event::RejectsTaken { table, taken, .. } => {
                if let Some((read, _)) = inner.tables.get_mut(table) {
                    *read = read.saturating_sub(taken.read);
                }
            }
            Event::Retried { operation, table, attempt, delay, code, .. } => {
                let table = table.as_ref().map(|table| format!(" {table}")).unwrap_or_default();
                self.line(&format!(
                    "{operation}{table}: attempt {attempt} failed ({code}), again in {:.1} s",
                    delay.as_secs_f64()
                ));
            }
            Event::LinkingStarted { table } => self.line(&format!("{table}: setting the links that were cut")),
            _ => {}
        }
        match &self.bar {
            Some(bar) => bar.set_message(inner.summary()),
            None if inner.last_line.elapsed() >= PLAIN_INTERVAL => {
                inner.last_line = Instant::now();
                output::note(&inner.summary());
            }
            None => {}
        }
    }
}
