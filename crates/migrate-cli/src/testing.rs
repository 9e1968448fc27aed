//! How reports and assessments are read and shown, as plain functions: for fuzzing and the browser.

use migrate_core::assess::Assessment;
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

/// What `migrate-discover` shows of an assessment, as text of this width and as HTML; none for what is no assessment.
///
/// # Panics
/// Where the template of the page is wrong.
#[must_use]
pub fn show_assessment(text: &str, width: Option<usize>) -> Option<[String; 2]> {
    let assessment: Assessment = serde_json::from_str(text).ok()?;
    let page = render::html::assessment::page(&assessment).unwrap_or_else(|error| panic!("failed to {error}"));
    Some([render::assessment::text(&assessment, width), page])
}
