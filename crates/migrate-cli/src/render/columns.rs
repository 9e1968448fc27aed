//! Tables in lines of text and in Markdown: columns below their heads.

use anstyle::Style;
use unicode_width::UnicodeWidthStr as _;

use super::{BOLD, FAINT, PLAIN, paint};
use crate::{printable, wrap};

/// Space between columns, where there is room.
pub(super) const GAP: usize = 2;

/// A column with one cell for each row.
#[derive(Debug)]
pub(super) struct Column {
    pub(super) head: &'static str,
    pub(super) is_number: bool,
    pub(super) cells: Vec<Cell>,
}

/// What stands in a row of a column.
#[derive(Debug, Clone)]
pub(super) struct Cell {
    text: String,
    style: Style,
}

impl Cell {
    /// Holds the text as a terminal shows it, so that what is measured is what is seen.
    pub(super) fn new(text: &str, style: Style) -> Self {
        Self { text: printable::line(text).into_owned(), style }
    }

    pub(super) fn as_str(&self) -> &str {
        &self.text
    }
}

impl Column {
    pub(super) fn words(head: &'static str, cells: Vec<Cell>) -> Self {
        Self { head, is_number: false, cells }
    }

    pub(super) fn numbers(head: &'static str, cells: Vec<Cell>) -> Self {
        Self { head, is_number: true, cells }
    }

    pub(super) fn width(&self) -> usize {
        self.cells.iter().map(|cell| cell.text.width()).chain([self.head.width()]).max().unwrap_or_default()
    }

    /// Cuts longer texts in their middle.
    pub(super) fn shorten(&mut self, width: usize) {
        for cell in &mut self.cells {
            cell.text = wrap::shorten(&cell.text, width);
        }
    }
}

/// The width of all columns with the gaps between them.
pub(super) fn full_width(columns: &[Column], gap: usize) -> usize {
    columns.iter().map(Column::width).sum::<usize>() + gap * columns.len().saturating_sub(1)
}

fn row_count(columns: &[Column]) -> usize {
    columns.first().map_or(0, |column| column.cells.len())
}

/// The lines of a table; with `is_summed`, the last row stands below a rule.
pub(super) fn text(columns: &[Column], gap: usize, is_summed: bool) -> Vec<String> {
    let rule = paint(FAINT, &"─".repeat(full_width(columns, gap)));
    let mut lines = vec![line(columns, gap, |column| (column.head, BOLD)), rule.clone()];
    for row in 0..row_count(columns) {
        if is_summed && row + 1 == row_count(columns) {
            lines.push(rule.clone());
        }
        lines.push(line(columns, gap, |column| {
            column.cells.get(row).map_or(("", PLAIN), |cell| (cell.as_str(), cell.style))
        }));
    }
    lines
}

fn line<'a>(columns: &'a [Column], gap: usize, cell: impl Fn(&'a Column) -> (&'a str, Style)) -> String {
    let mut line = String::new();
    for (position, column) in columns.iter().enumerate() {
        let (text, style) = cell(column);
        let gap = " ".repeat(if position == 0 { 0 } else { gap });
        let space = " ".repeat(column.width().saturating_sub(text.width()));
        let painted = if text.is_empty() { String::new() } else { paint(style, text) };
        let parts = if column.is_number { [gap, space, painted] } else { [gap, painted, space] };
        line.extend(parts);
    }
    line.trim_end().to_owned()
}

/// The same as a table of Markdown.
pub(super) fn markdown(columns: &[Column]) -> Vec<String> {
    let row_of = |cells: Vec<String>| format!("| {} |", cells.join(" | "));
    let rule = |column: &Column| if column.is_number { "---:" } else { "---" }.to_owned();
    let mut lines = vec![
        row_of(columns.iter().map(|column| column.head.to_owned()).collect()),
        row_of(columns.iter().map(rule).collect()),
    ];
    for row in 0..row_count(columns) {
        let cells = columns.iter().filter_map(|column| column.cells.get(row));
        lines.push(row_of(cells.map(|cell| as_markdown(cell.as_str())).collect()));
    }
    lines
}

/// A text on one line, of which Markdown takes nothing for its own.
pub(super) fn as_markdown(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in printable::line(text).chars() {
        // Underscores stay: within words, as in names, they mean nothing.
        if matches!(letter, '\\' | '|' | '<' | '&' | '*' | '`' | '[' | '~') {
            escaped.push('\\');
        }
        escaped.push(letter);
    }
    escaped
}
