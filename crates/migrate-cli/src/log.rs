//! `-v` and `-vv`: a log on stderr. It names operations, tables, codes, counts and times; never a row's value, and no key
//! of a row.

use std::io;

use migrate_core::observe::{Event, Observer};
use tracing::Level;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::prelude::*;

use crate::output;

/// The crates whose log is shown: what libraries log may hold addresses with keys of rows in them.
const OWN: &[&str] = &["migrate_core", "supabase_source", "convex_sink", "migrate_cli"];

/// Begins to log: nothing where `verbosity` is 0, steps from 1, each request from 2.
pub(crate) fn start(verbosity: u8) {
    let level = match verbosity {
        0 => return,
        1 => Level::INFO,
        _ => Level::DEBUG,
    };
    let targets = OWN.iter().map(|name| (*name, level)).collect::<Targets>();
    let lines = tracing_subscriber::fmt::layer().with_writer(Lines).with_ansi(false).with_target(verbosity > 1);
    // A second call would be a program's own: the first one counts.
    let _ = tracing_subscriber::registry().with(lines.with_filter(targets)).try_init();
}

/// Writes each line above what is drawn.
struct Lines;

impl MakeWriter<'_> for Lines {
    type Writer = Line;

    fn make_writer(&self) -> Self::Writer {
        Line(Vec::new())
    }
}

/// One line, written when it is whole.
struct Line(Vec<u8>);

impl io::Write for Line {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        let text = String::from_utf8_lossy(&self.0);
        if !text.is_empty() {
            output::note(text.trim_end_matches('\n'));
        }
    }
}

/// Logs the events of a run, an assessment or a verification.
#[derive(Debug)]
pub(crate) struct EventLog;

impl Observer for EventLog {
    fn on_event(&self, event: &Event) {
        match event {
            Event::TableStarted { table, expected, resumed } => {
                tracing::info!(%table, expected, resumed = resumed.read, "table started");
            }
            Event::PageRead { table, records, bytes, elapsed } => {
                tracing::debug!(%table, rows = records, bytes, ms = elapsed.as_millis(), "page read");
            }
            Event::RejectsTaken { table, taken, gone } => {
                tracing::debug!(%table, rejected = taken.rejected, gone, "rejects taken up");
            }
            Event::BatchCommitted { table, delta, elapsed } => {
                let (rows, rejected) = (delta.read, delta.rejected);
                tracing::debug!(%table, rows, rejected, bytes = delta.bytes, ms = elapsed.as_millis(), "batch committed");
            }
            Event::RowsChecked { table, rows, rejected } => tracing::debug!(%table, rows, rejected, "rows checked"),
            Event::VerificationExpected { table, documents, rows } => {
                tracing::debug!(%table, documents, rows, "about to be read");
            }
            Event::VerificationRead { table, documents, rows } => {
                tracing::debug!(%table, documents, rows, "read for the verification");
            }
            Event::TableReadBack { table, .. } => tracing::info!(%table, "documents read back"),
            Event::TableVerified { table, result } => {
                let (rows, documents, differences) = (result.source, result.documents, result.found());
                tracing::info!(%table, rows, documents, differences, "table verified");
            }
            Event::Retried { operation, table, attempt, delay, code, .. } => {
                let table = table.as_ref().map(tracing::field::display);
                tracing::info!(operation, table, attempt, code, ms = delay.as_millis(), "call will be repeated");
            }
            Event::TableCopied { table } => tracing::info!(%table, "table copied"),
            Event::ClosingStarted => tracing::info!("checking references"),
            Event::LinkingStarted { table } => tracing::info!(%table, "setting links"),
            Event::RowsWithdrawn { table, withdrawn, .. } => tracing::info!(%table, withdrawn, "rows withdrawn"),
            Event::TableFinished { table, status, counted, .. } => {
                tracing::info!(%table, ?status, counted, "table finished");
            }
            _ => {}
        }
    }
}
