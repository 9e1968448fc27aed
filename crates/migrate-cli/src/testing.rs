//! How a report is read and shown, as a plain function of its text: for fuzzing.

use migrate_core::report::Report;

use crate::render;

/// What `migrate-report` shows of a report, as text of this width and as Markdown; none for what is no report.
#[must_use]
pub fn show_report(text: &str, width: Option<usize>) -> Option<[String; 2]> {
    let report: Report = serde_json::from_str(text).ok()?;
    Some([render::text(&report, width), render::markdown(&report)])
}
