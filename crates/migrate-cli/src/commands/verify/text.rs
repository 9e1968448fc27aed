//! A verification as people read it: a line for each table, then the first differences.

use anstyle::Style;
use migrate_core::verify::{Difference, Level, TableVerification, Verdict, Verification};
use unicode_width::UnicodeWidthStr as _;

use crate::render::{BAD, BOLD, FAINT, GOOD, NOTICE, paint, thousands};
use crate::wrap;

/// Width of sentences where there is no terminal.
const TEXT_WIDTH: usize = 100;
/// A cell that must give way is not cut to less than this.
const SHORTEST: usize = 8;
const GAP: usize = 2;

/// The verification with the codes of colours; without a terminal's width nothing is cut.
pub(super) fn text(verification: &Verification, width: Option<usize>) -> String {
    let sentences = width.unwrap_or(TEXT_WIDTH);
    let mut lines = grid(&tables(verification), width, Some(0));
    for (name, table) in &verification.tables {
        if !table.differences.is_empty() {
            lines.push(String::new());
            lines.push(paint(BOLD, &format!("{}: {}", clean(name), found(table))));
            lines.extend(differences(&table.differences, width));
        }
    }
    if !verification.not_compared.is_empty() {
        lines.push(String::new());
        lines.push(paint(BOLD, "not compared"));
        let notes = verification.not_compared.iter().map(|note| format!("  {}", clean(note)));
        lines.extend(
            notes.flat_map(|note| wrap::paragraphs(&note, sentences).lines().map(str::to_owned).collect::<Vec<_>>()),
        );
    }
    lines.push(String::new());
    let style = match verification.verdict {
        Verdict::Same => GOOD,
        Verdict::Interrupted => NOTICE,
        Verdict::Different | Verdict::Failed => BAD,
    };
    lines.extend(wrap::words(&verdict(verification), sentences).iter().map(|line| paint(style, line)));
    lines.join("\n")
}

struct Column {
    head: &'static str,
    is_number: bool,
    cells: Vec<(String, Style)>,
}

fn tables(verification: &Verification) -> Vec<Column> {
    let rows: Vec<(&String, &TableVerification)> = verification.tables.iter().collect();
    let counts = verification.level == Level::Counts;
    let number = |head: &'static str, of: fn(&TableVerification) -> u64, style: Style| {
        let cell = |(_, table): &(&String, &TableVerification)| match of(table) {
            _ if !table.is_compared => ("-".to_owned(), FAINT),
            0 => ("0".to_owned(), FAINT),
            count => (thousands(count), style),
        };
        Column { head, is_number: true, cells: rows.iter().map(cell).collect() }
    };
    let names = rows.iter().map(|(name, _)| (clean(name), Style::new())).collect();
    let states = rows.iter().map(|(_, table)| state(table)).collect();
    let mut columns = vec![
        Column { head: "table", is_number: false, cells: names },
        number("of", |table| table.sampled.and_then(|sampled| sampled.of_rows).unwrap_or(table.source), FAINT),
        number("rows", |table| table.source, Style::new()),
    ];
    if verification.level != Level::Sample {
        columns.retain(|column| column.head != "of");
    }
    if !counts {
        columns.extend([
            number("rejected", |table| table.rejected, NOTICE),
            number("skipped", |table| table.skipped, Style::new()),
        ]);
    }
    columns.push(number("documents", |table| table.documents, Style::new()));
    if !counts {
        columns.extend([
            number("same", |table| table.same, Style::new()),
            number("differ", |table| table.differing, BAD),
            number("missing", |table| table.missing, BAD),
            number("unexpected", |table| table.unexpected, BAD),
            number("double", |table| table.duplicates, BAD),
            number("app's own", |table| table.foreign, FAINT),
        ]);
        // What is 0 everywhere says nothing.
        let says = |column: &Column| column.cells.iter().any(|(text, _)| !matches!(text.as_str(), "0" | "-"));
        columns.retain(|column| matches!(column.head, "table" | "of" | "rows" | "documents" | "same") || says(column));
    }
    columns.push(Column { head: "status", is_number: false, cells: states });
    columns
}

fn state(table: &TableVerification) -> (String, Style) {
    let (text, style) = match (table.is_compared, table.found()) {
        (false, _) => ("not yet", FAINT),
        (true, 0) => ("same", GOOD),
        (true, _) => ("differs", BAD),
    };
    (text.to_owned(), style)
}

/// The first differences: what, of which row, in which field, and the kinds on both sides.
fn differences(differences: &[Difference], width: Option<usize>) -> Vec<String> {
    let column = |head: &'static str, of: &dyn Fn(&Difference) -> String| Column {
        head,
        is_number: false,
        cells: differences.iter().map(|difference| (clean(&of(difference)), Style::new())).collect(),
    };
    let shown = |of: &dyn Fn(&Difference) -> (String, Option<String>), difference: &Difference| {
        let (said, value) = of(difference);
        value.unwrap_or(said)
    };
    let expected = |difference: &Difference| {
        (difference.expected.clone(), difference.values.as_ref().map(|values| values.expected.clone()))
    };
    let found = |difference: &Difference| {
        (difference.found.clone(), difference.values.as_ref().map(|values| values.found.clone()))
    };
    let key = |difference: &Difference| match (&difference.key, &difference.id) {
        (Some(key), _) => key.to_string(),
        (None, Some(id)) => id.to_string(),
        (None, None) => String::new(),
    };
    let columns = vec![
        column("difference", &|difference| difference.kind.as_str().to_owned()),
        column("key", &key),
        column("field", &|difference| difference.field.clone().unwrap_or_default()),
        column("expected", &|difference| shown(&expected, difference)),
        column("found", &|difference| shown(&found, difference)),
    ];
    let says = |column: &Column| column.cells.iter().any(|(text, _)| !text.is_empty());
    let columns: Vec<Column> = columns.into_iter().filter(says).collect();
    grid(&columns, width, None)
}

/// The lines of a table. Where it is wider than the terminal, the column `first` is cut, else the widest ones.
fn grid(columns: &[Column], width: Option<usize>, first: Option<usize>) -> Vec<String> {
    let mut widths: Vec<usize> = columns
        .iter()
        .map(|column| column.cells.iter().map(|(text, _)| text.width()).chain([column.head.width()]).max().unwrap_or(0))
        .collect();
    let full = |widths: &[usize]| widths.iter().sum::<usize>() + GAP * widths.len().saturating_sub(1);
    while width.is_some_and(|width| full(&widths) > width) {
        let cut = match first {
            Some(first) => widths.get_mut(first),
            None => widths.iter_mut().max_by_key(|width| **width),
        };
        match cut {
            Some(cut) if *cut > SHORTEST => *cut -= 1,
            _ => break,
        }
    }
    let rule = paint(FAINT, &"─".repeat(full(&widths)));
    let line = |cells: Vec<(&str, Style)>| {
        let mut line = String::new();
        for ((column, width), (text, style)) in columns.iter().zip(&widths).zip(cells) {
            let text = wrap::shorten(text, *width);
            let space = " ".repeat(width.saturating_sub(text.width()));
            let gap = if line.is_empty() { "" } else { "  " };
            let painted = if text.is_empty() { String::new() } else { paint(style, &text) };
            let parts = if column.is_number { [gap, &space, &painted] } else { [gap, &painted, &space] };
            line.extend(parts);
        }
        line.trim_end().to_owned()
    };
    let count = columns.first().map_or(0, |column| column.cells.len());
    let mut lines = vec![line(columns.iter().map(|column| (column.head, BOLD)).collect()), rule];
    for row in 0..count {
        let cell = |column: &'_ Column| column.cells.get(row).map_or((String::new(), Style::new()), Clone::clone);
        let cells: Vec<(String, Style)> = columns.iter().map(cell).collect();
        lines.push(line(cells.iter().map(|(text, style)| (text.as_str(), *style)).collect()));
    }
    lines
}

/// How many differences a table has, and how many of them are listed.
fn found(table: &TableVerification) -> String {
    let (listed, all) = (table.differences.len(), table.found());
    let what = if all == 1 { "difference" } else { "differences" };
    let listed = u64::try_from(listed).unwrap_or(u64::MAX);
    if listed < all {
        format!("the first {listed} of {} {what}", thousands(all))
    } else {
        format!("{} {what}", thousands(all))
    }
}

/// What came of it, in one sentence.
fn verdict(verification: &Verification) -> String {
    let sum = |of: fn(&TableVerification) -> u64| {
        thousands(verification.tables.values().map(of).fold(0, u64::saturating_add))
    };
    let (seconds, tables) = (thousands(verification.duration_seconds), verification.tables.len());
    let rows = format!(
        "{} rows = {} expected + {} rejected + {} skipped",
        sum(|table| table.source),
        sum(|table| table.expected),
        sum(|table| table.rejected),
        sum(|table| table.skipped)
    );
    let what = match verification.level {
        Level::Counts => format!("{} rows, {} documents", sum(|table| table.source), sum(|table| table.documents)),
        Level::Sample | Level::Full => format!("{rows}; {} documents are the same", sum(|table| table.same)),
    };
    match verification.verdict {
        Verdict::Same => format!("no difference in {tables} tables: {what}, in {seconds} s"),
        Verdict::Different => {
            format!("{} differences in {tables} tables: {what}, in {seconds} s", sum(TableVerification::found))
        }
        Verdict::Interrupted => format!("interrupted after {seconds} s: {what} so far"),
        Verdict::Failed => format!("failed after {seconds} s: {what} so far"),
    }
}

/// Without characters that would move the terminal's cursor or its colours: keys and names are the user's.
fn clean(text: &str) -> String {
    text.chars()
        .flat_map(|char| if char.is_control() { char.escape_default().collect::<Vec<_>>() } else { vec![char] })
        .collect()
}
