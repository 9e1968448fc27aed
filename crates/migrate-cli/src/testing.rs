//! How a report is read and shown, as a plain function of its text: for fuzzing.

use migrate_core::report::{Report, ReportDiff};

use crate::render;

/// What `migrate-report` shows of a report, as text of this width, as Markdown and as HTML; none for what is no report.
///
/// # Panics
/// Where the template of the page is wrong.
#[must_use]
pub fn show_report(text: &str, width: Option<usize>) -> Option<[String; 3]> {
    let report: Report = serde_json::from_str(text).ok()?;
    let page = render::html::report(&report).unwrap_or_else(|error| panic!("failed to {error}"));
    Some([render::text(&report, width), render::markdown(&report), page])
}

/// The page that `migrate-report diff` makes of two reports.
///
/// # Panics
/// Where the template of the page is wrong.
#[must_use]
pub fn diff_page(before: &Report, after: &Report) -> String {
    render::html::diff(&ReportDiff::of(before, after)).unwrap_or_else(|error| panic!("failed to {error}"))
}
