//! A report as text and as Markdown.

use comfy_table::presets::{ASCII_MARKDOWN, UTF8_HORIZONTAL_ONLY};
use comfy_table::{CellAlignment, ContentArrangement, Table, TableStyle};
use migrate_core::report::{Outcome, Report};

/// The report's table and verdict for a terminal of this width.
pub(crate) fn text(report: &Report, width: Option<u16>) -> String {
    render(report, UTF8_HORIZONTAL_ONLY, width)
}

/// The same in Markdown.
pub(crate) fn markdown(report: &Report) -> String {
    render(report, ASCII_MARKDOWN, None)
}

fn render(report: &Report, preset: TableStyle, width: Option<u16>) -> String {
    let mut table = Table::new();
    table.load_style(preset).set_content_arrangement(ContentArrangement::Dynamic);
    if let Some(width) = width {
        table.set_width(width);
    }
    table.set_header(["table", "source", "migrated", "skipped", "rejected", "inserted", "status"]);
    for (name, row) in &report.tables {
        table.add_row([
            name.clone(),
            row.source.to_string(),
            row.migrated.to_string(),
            row.skipped.to_string(),
            row.rejected.to_string(),
            row.this_run.inserted.to_string(),
            status(row.status),
        ]);
    }
    for column in 1..=5 {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    let mut lines = vec![table.to_string(), String::new(), verdict(report)];
    for (name, row) in &report.tables {
        lines.extend(row.errors.iter().chain(&row.warnings).map(|line| format!("  {name}: {line}")));
        lines.extend(row.rejects.iter().map(|cause| format!("  {name}: {}: {}", cause.code.as_str(), cause.remedy)));
        lines.extend(row.changes.iter().map(|change| format!("  {name}: {} in {} rows", change.name, change.count)));
    }
    lines.join("\n")
}

fn status(status: migrate_core::observe::TableStatus) -> String {
    serde_json::to_value(status).ok().and_then(|name| name.as_str().map(str::to_owned)).unwrap_or_default()
}

/// One line: what came of it.
pub(crate) fn verdict(report: &Report) -> String {
    let totals = &report.totals;
    let counts = format!(
        "{} rows read = {} migrated + {} skipped + {} rejected, in {} s",
        totals.source, totals.migrated, totals.skipped, totals.rejected, report.duration_seconds
    );
    let dry = if report.dry_run { "dry run, nothing written: " } else { "" };
    let word = match report.outcome {
        Outcome::Complete => "complete",
        Outcome::CompleteWithFindings => "complete, with findings",
        Outcome::Interrupted => "interrupted",
        Outcome::Failed => "failed",
    };
    format!("{dry}{word}: {counts}")
}
