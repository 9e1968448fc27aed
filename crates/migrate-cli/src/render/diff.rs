//! What changed between two runs, as text and as Markdown.

use migrate_core::observe::TableStatus;
use migrate_core::report::{CountDiff, Outcome, Pair, ReportDiff};
use unicode_width::UnicodeWidthStr as _;

use super::columns::as_markdown;
use super::html::units;
use super::notes::change_words;
use super::thousands;
use crate::{printable, wrap};

/// Letters of a name that there is room for beside numbers.
const NAME: usize = 40;

/// A table to be shown: its title, heads, and rows. All columns but the first are numbers or words about them.
#[derive(Debug)]
pub(crate) struct Grid {
    pub(crate) title: &'static str,
    pub(crate) heads: Vec<&'static str>,
    pub(crate) rows: Vec<Vec<String>>,
}

/// As text.
pub(crate) fn text(diff: &ReportDiff) -> String {
    let mut blocks = vec![verdict(diff)];
    for mut grid in grids(diff) {
        for row in &mut grid.rows {
            for cell in row.iter_mut() {
                *cell = printable::line(cell).into_owned();
            }
            if let Some(name) = row.first_mut() {
                *name = wrap::shorten(name, NAME);
            }
        }
        blocks.push(aligned(&grid).join("\n"));
    }
    blocks.join("\n\n")
}

/// As Markdown.
pub(crate) fn markdown(diff: &ReportDiff) -> String {
    let line = |cells: Vec<String>| format!("| {} |", cells.join(" | "));
    let mut blocks = vec![verdict(diff)];
    for grid in grids(diff) {
        let mut lines = vec![format!("**{}**", grid.title), String::new()];
        lines.push(line(grid.heads.iter().map(|head| (*head).to_owned()).collect()));
        let rules = (0..grid.heads.len()).map(|at| if at == 0 { "---" } else { "---:" }.to_owned());
        lines.push(line(rules.collect()));
        lines.extend(grid.rows.iter().map(|row| line(row.iter().map(|cell| as_markdown(cell)).collect())));
        blocks.push(lines.join("\n"));
    }
    blocks.join("\n\n")
}

/// What came of the comparison, in words.
pub(crate) fn verdict(diff: &ReportDiff) -> String {
    let plan = if diff.same_plan { "" } else { "; the plans differ" };
    if diff.is_same() {
        return format!("both runs came to the same, in every table{plan}");
    }
    let tables = diff.tables.len();
    let are = if tables == 1 { "table differs" } else { "tables differ" };
    format!("{tables} {are}, {} are the same{plan}", diff.same_tables)
}

/// All that changed. The first compares the runs as wholes, whether they differ or not.
pub(crate) fn grids(diff: &ReportDiff) -> Vec<Grid> {
    let totals = &diff.totals;
    let seconds = diff.seconds;
    let words = |pair: Pair<String>| vec![pair.before, pair.after, String::new()];
    let named = |name: &str, cells: Vec<String>| [vec![name.to_owned()], cells].concat();
    let mut rows = vec![
        named("began", words(Pair { before: diff.before.timestamp.clone(), after: diff.after.timestamp.clone() })),
        named(
            "outcome",
            words(Pair {
                before: outcome(diff.before.outcome, diff.before.dry_run),
                after: outcome(diff.after.outcome, diff.after.dry_run),
            }),
        ),
    ];
    let counts = [
        ("rows read", totals.source),
        ("migrated", totals.migrated),
        ("skipped", totals.skipped),
        ("rejected", totals.rejected),
        ("unlinked", totals.unlinked),
    ];
    rows.extend(counts.map(|(name, pair)| named(name, count(pair))));
    rows.push(named(
        "written",
        vec![units::bytes(totals.bytes.before), units::bytes(totals.bytes.after), String::new()],
    ));
    rows.push(named("took", vec![units::seconds(seconds.before), units::seconds(seconds.after), factor(seconds)]));
    let mut grids = vec![Grid { title: "Runs", heads: vec!["", "before", "after", "change"], rows }];
    let tables = diff.tables.iter().map(|table| {
        let counts = &table.counts;
        let mut row = vec![table.table.clone()];
        row.push(arrow(status(table.status.before), status(table.status.after)));
        row.extend(
            [counts.source, counts.migrated, counts.skipped, counts.rejected]
                .map(|pair| arrow(&thousands(pair.before), &thousands(pair.after))),
        );
        row.push(arrow(&units::seconds(table.seconds.before), &units::seconds(table.seconds.after)));
        row
    });
    let heads = vec!["table", "state", "read", "migrated", "skipped", "rejected", "took"];
    grids.push(Grid { title: "Tables", heads, rows: tables.collect() });
    grids.push(counted("Rejected rows by cause", "cause", &diff.rejects, str::to_owned));
    grids.push(counted("Lossy edits", "edit", &diff.changes, change_words));
    grids.retain(|grid| !grid.rows.is_empty());
    grids
}

fn counted(title: &'static str, what: &'static str, diffs: &[CountDiff], words: fn(&str) -> String) -> Grid {
    let row = |diff: &CountDiff| {
        let mut row = vec![words(&diff.name)];
        row.extend(count(diff.count));
        row.push(diff.tables.join(", "));
        row
    };
    Grid { title, heads: vec![what, "before", "after", "change", "in"], rows: diffs.iter().map(row).collect() }
}

fn count(pair: Pair<u64>) -> Vec<String> {
    let change = match pair.after.checked_sub(pair.before) {
        Some(0) => "0".to_owned(),
        Some(more) => format!("+{}", thousands(more)),
        None => format!("−{}", thousands(pair.before - pair.after)),
    };
    vec![thousands(pair.before), thousands(pair.after), change]
}

fn arrow(before: &str, after: &str) -> String {
    if before == after { after.to_owned() } else { format!("{before} → {after}") }
}

/// How many times as long the other took.
fn factor(seconds: Pair<f64>) -> String {
    if seconds.before <= 0.0 || seconds.after <= 0.0 {
        return String::new();
    }
    format!("× {:.2}", seconds.after / seconds.before)
}

fn outcome(outcome: Outcome, dry_run: bool) -> String {
    let dry = if dry_run { ", dry run" } else { "" };
    format!("{}{dry}", super::outcome_words(outcome))
}

fn status(status: Option<TableStatus>) -> &'static str {
    status.map_or("not planned", super::grid::status_words)
}

/// The grid with its columns below each other.
fn aligned(grid: &Grid) -> Vec<String> {
    let heads: Vec<String> = grid.heads.iter().map(|head| (*head).to_owned()).collect();
    let all: Vec<&Vec<String>> = std::iter::once(&heads).chain(&grid.rows).collect();
    let width = |at: usize| all.iter().filter_map(|row| row.get(at)).map(|cell| cell.width()).max().unwrap_or_default();
    let widths: Vec<usize> = (0..heads.len()).map(width).collect();
    let line = |row: &Vec<String>| {
        let mut line = String::new();
        for (at, (cell, width)) in row.iter().zip(&widths).enumerate() {
            let space = " ".repeat(width.saturating_sub(cell.width()));
            // The last column of causes is a list of tables.
            let is_left = at == 0 || grid.heads.get(at) == Some(&"in");
            let gap = if at == 0 { "" } else { "  " };
            line.extend(if is_left { [gap, cell, &space] } else { [gap, &space, cell] });
        }
        line.trim_end().to_owned()
    };
    std::iter::once(grid.title.to_owned()).chain(all.into_iter().map(line)).collect()
}
