//! The table of tables: a line for each, and their sums.

use anstyle::Style;
use migrate_core::observe::TableStatus;
use migrate_core::report::{Report, TableReport};

use super::columns::{self, Cell, Column, GAP, full_width};
use super::{BAD, BOLD, FAINT, GOOD, NOTICE, PLAIN, thousands, total};

const NARROW_GAP: usize = 1;
/// A name is not cut to less than this.
const SHORTEST_NAME: usize = 12;
/// What stands for a number that does not exist: the table was not read.
const NONE: &str = "-";

/// The lines of the table. Where they would be wider than `width`, first the columns that are 0 everywhere are left
/// out, then the gaps narrowed, then long names cut in their middle.
pub(super) fn text(report: &Report, width: Option<usize>) -> Vec<String> {
    let mut columns = of(report);
    let gap = width.map_or(GAP, |width| fit(&mut columns, width));
    columns::text(&columns, gap, true)
}

/// The same as a table of Markdown, with all columns.
pub(super) fn markdown(report: &Report) -> Vec<String> {
    columns::markdown(&of(report))
}

fn of(report: &Report) -> Vec<Column> {
    let rows: Vec<(&String, &TableReport)> = report.tables.iter().collect();
    let number = |head: &'static str, of: fn(&TableReport) -> u64, style: Style| {
        let mut cells: Vec<Cell> = rows
            .iter()
            .map(|(_, row)| match of(row) {
                _ if !was_read(row) => Cell::new(NONE, FAINT),
                0 => Cell::new("0", FAINT),
                count => Cell::new(&thousands(count), style),
            })
            .collect();
        let sum = total(rows.iter().map(|(_, row)| of(row)));
        cells.push(Cell::new(&thousands(sum), if sum == 0 { FAINT } else { style.bold() }));
        Column::numbers(head, cells)
    };
    let names = rows.iter().map(|(name, _)| Cell::new(name, PLAIN));
    let states = rows.iter().map(|(_, row)| {
        let (text, style) = status(row.status);
        Cell::new(text, style)
    });
    vec![
        Column::words("table", names.chain([Cell::new("total", BOLD)]).collect()),
        number("source", |row| row.source, PLAIN),
        number("inserted", |row| row.inserted, PLAIN),
        number("updated", |row| row.updated, PLAIN),
        number("unchanged", |row| row.unchanged, PLAIN),
        number("skipped", |row| row.skipped, PLAIN),
        number("rejected", |row| row.rejected, NOTICE),
        Column::words("status", states.chain([Cell::new("", PLAIN)]).collect()),
    ]
}

/// False for a table without rows to count: it is absent, closed to the key, or left out of all runs so far.
fn was_read(row: &TableReport) -> bool {
    row.source > 0 || matches!(row.status, TableStatus::Complete | TableStatus::Incomplete)
}

/// How a table stands.
pub(super) fn status_words(of: TableStatus) -> &'static str {
    status(of).0
}

fn status(status: TableStatus) -> (&'static str, Style) {
    match status {
        TableStatus::Complete => ("complete", GOOD),
        TableStatus::Incomplete => ("incomplete", BAD),
        TableStatus::Missing => ("missing", NOTICE),
        TableStatus::Forbidden => ("forbidden", BAD),
        TableStatus::NotSelected => ("left out", FAINT),
    }
}

/// Makes the table as narrow as that where it can be, and gives the gap between its columns.
fn fit(columns: &mut Vec<Column>, width: usize) -> usize {
    if full_width(columns, GAP) > width {
        let is_zero = |cell: &Cell| matches!(cell.as_str(), "0" | NONE);
        columns.retain(|column| {
            matches!(column.head, "source" | "inserted" | "rejected") || !column.cells.iter().all(is_zero)
        });
    }
    let gap = if full_width(columns, GAP) > width { NARROW_GAP } else { GAP };
    let over = full_width(columns, gap).saturating_sub(width);
    if let Some(names) = columns.first_mut()
        && over > 0
    {
        names.shorten(names.width().saturating_sub(over).max(SHORTEST_NAME));
    }
    gap
}
