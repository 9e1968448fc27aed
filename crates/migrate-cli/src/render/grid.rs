//! The table of tables: a line for each, and their sums.

use anstyle::Style;
use migrate_core::observe::TableStatus;
use migrate_core::report::{Report, TableReport};
use unicode_width::UnicodeWidthStr as _;

use super::{BAD, BOLD, FAINT, GOOD, NOTICE, PLAIN, paint, thousands, total};
use crate::wrap;

const GAP: usize = 2;
const NARROW_GAP: usize = 1;
/// A name is not cut to less than this.
const SHORTEST_NAME: usize = 12;
/// What stands for a number that does not exist: the table was not read.
const NONE: &str = "-";

struct Column {
    head: &'static str,
    is_number: bool,
    cells: Vec<Cell>,
}

struct Cell {
    text: String,
    style: Style,
}

/// The lines of the table. Where they would be wider than `width`, first the columns that are 0 everywhere are left
/// out, then the gaps narrowed, then long names cut in their middle.
pub(super) fn text(report: &Report, width: Option<usize>) -> Vec<String> {
    let mut columns = columns(report);
    let gap = width.map_or(GAP, |width| fit(&mut columns, width));
    let rule = paint(FAINT, &"─".repeat(full_width(&columns, gap)));
    let row_count = columns.first().map_or(0, |name| name.cells.len());
    let mut lines = vec![line(&columns, gap, |column| (column.head, BOLD)), rule.clone()];
    for row in 0..row_count {
        if row + 1 == row_count {
            lines.push(rule.clone());
        }
        lines.push(line(&columns, gap, |column| {
            column.cells.get(row).map_or(("", PLAIN), |cell| (cell.text.as_str(), cell.style))
        }));
    }
    lines
}

/// The same as a table of Markdown, with all columns.
pub(super) fn markdown(report: &Report) -> Vec<String> {
    let columns = columns(report);
    let row_of = |cells: Vec<String>| format!("| {} |", cells.join(" | "));
    let rule = |column: &Column| if column.is_number { "---:" } else { "---" }.to_owned();
    let mut lines = vec![
        row_of(columns.iter().map(|column| column.head.to_owned()).collect()),
        row_of(columns.iter().map(rule).collect()),
    ];
    for row in 0..columns.first().map_or(0, |name| name.cells.len()) {
        let cells = columns.iter().filter_map(|column| column.cells.get(row));
        lines.push(row_of(cells.map(|cell| cell.text.replace('|', "\\|")).collect()));
    }
    lines
}

fn columns(report: &Report) -> Vec<Column> {
    let rows: Vec<(&String, &TableReport)> = report.tables.iter().collect();
    let number = |head: &'static str, of: fn(&TableReport) -> u64, style: Style| {
        let mut cells: Vec<Cell> = rows
            .iter()
            .map(|(_, row)| match of(row) {
                _ if !was_read(row) => Cell { text: NONE.to_owned(), style: FAINT },
                0 => Cell { text: thousands(0), style: FAINT },
                count => Cell { text: thousands(count), style },
            })
            .collect();
        let sum = total(rows.iter().map(|(_, row)| of(row)));
        cells.push(Cell { text: thousands(sum), style: if sum == 0 { FAINT } else { style.bold() } });
        Column { head, is_number: true, cells }
    };
    let word = |head: &'static str, cells: Vec<Cell>| Column { head, is_number: false, cells };
    let names = rows.iter().map(|(name, _)| Cell { text: (*name).clone(), style: PLAIN });
    let states = rows.iter().map(|(_, row)| {
        let (text, style) = status(row.status);
        Cell { text: text.to_owned(), style }
    });
    let total = Cell { text: "total".to_owned(), style: BOLD };
    let nothing = Cell { text: String::new(), style: PLAIN };
    vec![
        word("table", names.chain([total]).collect()),
        number("source", |row| row.source, PLAIN),
        number("inserted", |row| row.inserted, PLAIN),
        number("updated", |row| row.updated, PLAIN),
        number("unchanged", |row| row.unchanged, PLAIN),
        number("skipped", |row| row.skipped, PLAIN),
        number("rejected", |row| row.rejected, NOTICE),
        word("status", states.chain([nothing]).collect()),
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
        let is_zero = |cell: &Cell| cell.text == "0" || cell.text == NONE;
        columns.retain(|column| {
            matches!(column.head, "source" | "inserted" | "rejected") || !column.cells.iter().all(is_zero)
        });
    }
    let gap = if full_width(columns, GAP) > width { NARROW_GAP } else { GAP };
    let over = full_width(columns, gap).saturating_sub(width);
    if let Some(names) = columns.first_mut()
        && over > 0
    {
        let room = column_width(names).saturating_sub(over).max(SHORTEST_NAME);
        for cell in &mut names.cells {
            cell.text = wrap::shorten(&cell.text, room);
        }
    }
    gap
}

fn column_width(column: &Column) -> usize {
    column.cells.iter().map(|cell| cell.text.width()).chain([column.head.width()]).max().unwrap_or_default()
}

fn full_width(columns: &[Column], gap: usize) -> usize {
    columns.iter().map(column_width).sum::<usize>() + gap * columns.len().saturating_sub(1)
}

fn line<'a>(columns: &'a [Column], gap: usize, cell: impl Fn(&'a Column) -> (&'a str, Style)) -> String {
    let mut line = String::new();
    for (position, column) in columns.iter().enumerate() {
        let (text, style) = cell(column);
        let gap = " ".repeat(if position == 0 { 0 } else { gap });
        let space = " ".repeat(column_width(column).saturating_sub(text.width()));
        let painted = if text.is_empty() { String::new() } else { paint(style, text) };
        let parts = if column.is_number { [gap, space, painted] } else { [gap, painted, space] };
        line.extend(parts);
    }
    line.trim_end().to_owned()
}
