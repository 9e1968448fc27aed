//! How reports and assessments are read and shown, as plain functions: for fuzzing and the browser.

use migrate_core::assess::Assessment;
use migrate_core::report::{Report, ReportDiff};
use migrate_core::verify::Verification;

use crate::render;

/// What `migrate-report` shows of a report without a verification, as text of this width, as Markdown and as HTML; none
/// for what is no report.
///
/// # Panics
/// Where the template of the page is wrong.
#[must_use]
pub fn show_report(text: &str, width: Option<usize>) -> Option<[String; 3]> {
    Some(show(&serde_json::from_str(text).ok()?, None, width))
}

/// As [`show_report`], with the verification beside the report; none where one of them is none.
///
/// # Panics
/// Where the template of the page is wrong.
#[must_use]
pub fn show_verified(report: &str, verification: &str, width: Option<usize>) -> Option<[String; 3]> {
    let verification = serde_json::from_str(verification).ok()?;
    Some(show(&serde_json::from_str(report).ok()?, Some(&verification), width))
}

fn show(report: &Report, verification: Option<&Verification>, width: Option<usize>) -> [String; 3] {
    let page = render::html::report(report, verification).unwrap_or_else(|error| panic!("failed to {error}"));
    [render::text(report, verification, width), render::markdown(report, verification), page]
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
