//! A report as text, as Markdown and as an HTML page.

pub(crate) mod assessment;
mod columns;
pub(crate) mod diff;
mod grid;
pub(crate) mod html;
pub(crate) mod left_behind;
mod notes;
#[cfg(test)]
mod tests;
pub(crate) mod verification;

use anstyle::{AnsiColor, Style};
use migrate_core::report::{Outcome, Report};
use migrate_core::verify::Verification;

use crate::wrap;

/// Width of sentences where there is no terminal.
const TEXT_WIDTH: usize = 100;

pub(crate) const GOOD: Style = AnsiColor::Green.on_default();
pub(crate) const NOTICE: Style = AnsiColor::Yellow.on_default();
pub(crate) const BAD: Style = AnsiColor::Red.on_default();
pub(crate) const BOLD: Style = Style::new().bold();
pub(crate) const FAINT: Style = Style::new().dimmed();
const PLAIN: Style = Style::new();

/// Tables, notes and verdict, and what was verified of it, with the codes of colours. Without a terminal's width no
/// column is left out.
pub(crate) fn text(report: &Report, verification: Option<&Verification>, width: Option<usize>) -> String {
    let sentences = width.unwrap_or(TEXT_WIDTH);
    let mut lines = grid::text(report, width);
    let notes = notes::text(report, sentences);
    if !notes.is_empty() {
        lines.push(String::new());
        lines.extend(notes);
    }
    lines.push(String::new());
    let style = outcome_style(report.outcome);
    lines.extend(wrap::words(&verdict(report), sentences).iter().map(|line| paint(style, line)));
    if let Some(verification) = verification {
        lines.push(String::new());
        lines.push(verification::of_report(verification, report, width));
    }
    lines.join("\n")
}

/// The same in Markdown, without limits of width, and why the run ended where it failed.
pub(crate) fn markdown(report: &Report, verification: Option<&Verification>) -> String {
    let mut blocks = vec![verdict(report)];
    blocks.extend(failure(report).map(|why| columns::as_markdown(&why)));
    blocks.push(grid::markdown(report).join("\n"));
    let notes = notes::markdown(report);
    if !notes.is_empty() {
        blocks.push(notes.join("\n"));
    }
    blocks.extend(verification.map(|verification| verification::markdown(verification, report)));
    blocks.join("\n\n")
}

/// A time as people read it; as it is, where it is none.
fn moment(timestamp: &str) -> String {
    let read: Option<jiff::Timestamp> = timestamp.parse().ok();
    read.map_or_else(|| timestamp.to_owned(), |time| time.strftime("%-d %B %Y, %H:%M:%S UTC").to_string())
}

/// Why the run ended before its end.
pub(crate) fn failure(report: &Report) -> Option<String> {
    report.error.as_ref().map(|error| format!("ended because it failed to {error}"))
}

/// What came of it, in one sentence.
fn verdict(report: &Report) -> String {
    let totals = &report.totals;
    let dry = if report.dry_run { "dry run, nothing written: " } else { "" };
    let word = outcome_words(report.outcome);
    let skipped = if totals.skipped > 0 { format!(" + {} skipped", thousands(totals.skipped)) } else { String::new() };
    format!(
        "{dry}{word}: {} rows = {} migrated{skipped} + {} rejected, in {} s",
        thousands(totals.source),
        thousands(totals.migrated),
        thousands(totals.rejected),
        thousands(report.duration_seconds)
    )
}

/// How a run ended.
fn outcome_words(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Complete => "complete",
        Outcome::CompleteWithFindings => "complete, with findings",
        Outcome::Interrupted => "interrupted",
        Outcome::Failed => "failed",
    }
}

fn outcome_style(outcome: Outcome) -> Style {
    match outcome {
        Outcome::Complete => GOOD,
        Outcome::CompleteWithFindings | Outcome::Interrupted => NOTICE,
        Outcome::Failed => BAD,
    }
}

pub(crate) fn paint(style: Style, text: &str) -> String {
    format!("{style}{text}{style:#}")
}

/// A sum that stops at the largest number: the report may be of any file.
pub(crate) fn total(counts: impl Iterator<Item = u64>) -> u64 {
    counts.fold(0, u64::saturating_add)
}

/// A number with a comma after every three digits.
pub(crate) fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
