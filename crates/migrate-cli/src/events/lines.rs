//! Which line an event becomes.

use std::time::Duration;

use migrate_core::names::TableName;
use migrate_core::observe::Event;
use migrate_core::report::Report;
use migrate_core::verify::TableVerification;

use super::RunEvent;

impl RunEvent {
    /// The line for an event; none for events that this version has no line for.
    pub(super) fn of(event: &Event) -> Option<Self> {
        Some(match event {
            Event::TableStarted { table, expected, resumed } => {
                Self::TableStarted { table: table.clone(), expected: *expected, resumed: (&**resumed).into() }
            }
            Event::PageRead { table, records, bytes, elapsed } => Self::PageRead {
                table: table.clone(),
                rows: u64::try_from(*records).unwrap_or(u64::MAX),
                bytes: *bytes,
                milliseconds: milliseconds(*elapsed),
            },
            Event::BatchCommitted { table, delta, elapsed } => Self::BatchCommitted {
                table: table.clone(),
                added: (&**delta).into(),
                reject_codes: delta.reject_codes.iter().map(|(code, tally)| (*code, tally.count)).collect(),
                milliseconds: milliseconds(*elapsed),
            },
            Event::RowsChecked { table, rows, rejected } => Self::RowsChecked {
                table: table.clone(),
                rows: u64::try_from(*rows).unwrap_or(u64::MAX),
                rejected: *rejected,
            },
            Event::VerificationExpected { table, documents, rows } => {
                Self::VerificationExpected { table: table.clone(), documents: *documents, rows: *rows }
            }
            Event::VerificationRead { table, documents, rows } => {
                Self::VerificationRead { table: table.clone(), documents: *documents, rows: *rows }
            }
            Event::TableReadBack { table, rows_follow } => {
                Self::TableReadBack { table: table.clone(), rows_follow: *rows_follow }
            }
            Event::TableVerified { table, result } => Self::verified(table.clone(), result),
            Event::RejectsTaken { table, taken, gone } => {
                Self::RejectsTaken { table: table.clone(), taken: (&**taken).into(), gone: *gone }
            }
            Event::RowsWithdrawn { table, withdrawn, delta } => {
                Self::RowsWithdrawn { table: table.clone(), withdrawn: *withdrawn, added: (&**delta).into() }
            }
            Event::Retried { operation, table, attempt, delay, code, .. } => Self::Retried {
                operation: (*operation).to_owned(),
                table: table.clone(),
                attempt: u64::try_from(*attempt).unwrap_or(u64::MAX),
                delay_milliseconds: milliseconds(*delay),
                code: code.clone(),
            },
            Event::TableCopied { table } => Self::TableCopied { table: table.clone() },
            Event::ClosingStarted => Self::ClosingStarted,
            Event::LinkingStarted { table } => Self::LinkingStarted { table: table.clone() },
            Event::TableFinished { table, status, counted, error } => {
                Self::TableFinished { table: table.clone(), status: *status, counted: *counted, error: error.clone() }
            }
            _ => return None,
        })
    }

    fn verified(table: TableName, result: &TableVerification) -> Self {
        Self::TableVerified {
            table,
            is_compared: result.is_compared,
            source: result.source,
            expected: result.expected,
            rejected: result.rejected,
            skipped: result.skipped,
            documents: result.documents,
            foreign: result.foreign,
            same: result.same,
            differing: result.differing,
            missing: result.missing,
            unexpected: result.unexpected,
            duplicates: result.duplicates,
            differences: result.found(),
        }
    }

    /// The last line of a run.
    pub(crate) fn finished(report: &Report, exit_code: u8, file: Option<String>) -> Self {
        Self::RunFinished {
            outcome: report.outcome,
            exit_code,
            error: report.error.clone(),
            totals: report.totals,
            duration_seconds: report.duration_seconds,
            report: file,
        }
    }
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
