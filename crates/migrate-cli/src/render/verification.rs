//! A verification as text and as Markdown: a line for each table, then the first differences. Values are shown by
//! [`text`] alone, which `migrate-verify` prints: a report shows none, whatever verify.json has.

use jiff::{SignedDuration, Timestamp};
use migrate_core::report::Report;
use migrate_core::verify::{Difference, Level, TableVerification, Verdict, Verification};

use super::columns::{self, Cell, Column, GAP, as_markdown, full_width};
use super::{BAD, BOLD, FAINT, GOOD, NOTICE, PLAIN, TEXT_WIDTH, paint, thousands};
use crate::{printable, wrap};

/// A cell that must give way is not cut to less than this.
const SHORTEST: usize = 8;
/// Names of tables are listed up to that width.
const LIST_WIDTH: usize = 300;

/// A count of a table, where both sides were read.
pub(super) struct Count {
    pub(super) head: &'static str,
    /// True for what is a difference.
    pub(super) is_difference: bool,
    pub(super) of: fn(&TableVerification) -> u64,
}

const ROWS: Count = Count { head: "rows", is_difference: false, of: |table| table.source };
const DOCUMENTS: Count = Count { head: "documents", is_difference: false, of: |table| table.documents };
const COUNTS: [Count; 9] = [
    ROWS,
    Count { head: "rejected", is_difference: false, of: |table| table.rejected },
    Count { head: "skipped", is_difference: false, of: |table| table.skipped },
    DOCUMENTS,
    Count { head: "same", is_difference: false, of: |table| table.same },
    Count { head: "differ", is_difference: true, of: |table| table.differing },
    Count { head: "missing", is_difference: true, of: |table| table.missing },
    Count { head: "unexpected", is_difference: true, of: |table| table.unexpected },
    Count { head: "double", is_difference: true, of: |table| table.duplicates },
];
const FOREIGN: Count = Count { head: "app's own", is_difference: false, of: |table| table.foreign };
const OF_ROWS: Count = Count {
    head: "of",
    is_difference: false,
    of: |table| table.sampled.and_then(|sampled| sampled.of_rows).unwrap_or(table.source),
};

/// The counts that say something: what is 0 everywhere does not.
pub(super) fn counts(verification: &Verification) -> Vec<Count> {
    let all: Vec<Count> = match verification.level {
        Level::Counts => return vec![ROWS, DOCUMENTS],
        Level::Sample => [OF_ROWS].into_iter().chain(COUNTS).chain([FOREIGN]).collect(),
        Level::Full => COUNTS.into_iter().chain([FOREIGN]).collect(),
    };
    let says = |count: &Count| verification.tables.values().any(|table| table.is_compared && (count.of)(table) > 0);
    all.into_iter().filter(|count| matches!(count.head, "of" | "rows" | "documents" | "same") || says(count)).collect()
}

/// The verification with the codes of colours; without a terminal's width nothing is cut.
pub(crate) fn text(verification: &Verification, width: Option<usize>) -> String {
    let mut lines = details(verification, width, true);
    lines.push(String::new());
    lines.extend(painted(verification, &verdict(verification), width));
    lines.join("\n")
}

/// The verification below the report of the run: its verdict, and all that differs.
pub(super) fn of_report(verification: &Verification, report: &Report, width: Option<usize>) -> String {
    let mut lines = Vec::new();
    if found(verification) > 0 {
        lines.extend(details(verification, width, false));
        lines.push(String::new());
    }
    lines.extend(painted(verification, &sentence(verification), width));
    for doubt in doubts(verification, report) {
        let words = wrap::words(&printable::line(&format!("note: {doubt}")), width.unwrap_or(TEXT_WIDTH));
        lines.extend(words.iter().map(|line| paint(NOTICE, line)));
    }
    lines.join("\n")
}

/// The same in Markdown, with every table.
pub(super) fn markdown(verification: &Verification, report: &Report) -> String {
    let mut blocks = vec![format!("**Verification**: {}", as_markdown(&sentence(verification)))];
    blocks.extend(doubts(verification, report).iter().map(|doubt| as_markdown(&format!("Note: {doubt}"))));
    blocks.extend(verification.error.as_ref().map(|error| as_markdown(&format!("ended because it failed to {error}"))));
    blocks.push(columns::markdown(&tables(verification)).join("\n"));
    for (name, table) in differing(verification) {
        blocks.push(format!("**{}**: {}", as_markdown(name), listed(table)));
        blocks.push(columns::markdown(&differences(&table.differences, false)).join("\n"));
    }
    if !verification.not_compared.is_empty() {
        let lines = verification.not_compared.iter().map(|note| format!("- {}", as_markdown(note)));
        blocks.push([vec!["Not compared:".to_owned(), String::new()], lines.collect()].concat().join("\n"));
    }
    blocks.join("\n\n")
}

/// Why the verification says less of the run than it seems to.
pub(super) fn doubts(verification: &Verification, report: &Report) -> Vec<String> {
    let mut doubts = Vec::new();
    if verification.plan_fingerprint != report.plan_fingerprint {
        doubts.push("it is of another plan than the run; run migrate-verify again".to_owned());
    } else if !began_after(verification, report) {
        doubts.push("it began before the run had ended, and says nothing of it; run migrate-verify again".to_owned());
    }
    let is_in = |name: &&String| verification.tables.contains_key(*name);
    let absent: Vec<String> = report.tables.keys().filter(|name| !is_in(name)).cloned().collect();
    if !absent.is_empty() {
        doubts.push(wrap::list("these tables are not in it:", &absent, LIST_WIDTH, 1).join(" "));
    }
    doubts
}

/// True where the last run had ended when the verification began. Both give when they began.
fn began_after(verification: &Verification, report: &Report) -> bool {
    let (Ok(ran), Ok(verified)) = (report.timestamp.parse::<Timestamp>(), verification.timestamp.parse::<Timestamp>())
    else {
        return false;
    };
    let took = report.timing.as_ref().map_or_else(
        || SignedDuration::from_secs(i64::try_from(report.duration_seconds).unwrap_or(i64::MAX)),
        |timing| SignedDuration::try_from_secs_f64(timing.seconds).unwrap_or(SignedDuration::MAX),
    );
    ran.checked_add(took).is_ok_and(|ended| ended <= verified)
}

/// Differences of all tables.
pub(super) fn found(verification: &Verification) -> u64 {
    super::total(verification.tables.values().map(TableVerification::found))
}

/// Tables with differences to show.
pub(super) fn differing(verification: &Verification) -> impl Iterator<Item = (&String, &TableVerification)> {
    verification.tables.iter().filter(|(_, table)| !table.differences.is_empty())
}

/// What was compared, in words.
pub(super) fn level_words(level: Level) -> &'static str {
    match level {
        Level::Counts => "rows and documents counted",
        Level::Sample => "a sample of the rows compared",
        Level::Full => "every row compared",
    }
}

/// When, how and with what verdict.
fn sentence(verification: &Verification) -> String {
    format!(
        "verified {}, {}: {}",
        super::moment(&verification.timestamp),
        level_words(verification.level),
        verdict(verification)
    )
}

fn painted(verification: &Verification, words: &str, width: Option<usize>) -> Vec<String> {
    let style = match verification.verdict {
        Verdict::Same => GOOD,
        Verdict::Interrupted => NOTICE,
        Verdict::Different | Verdict::Failed => BAD,
    };
    let lines = wrap::words(&printable::line(words), width.unwrap_or(TEXT_WIDTH));
    lines.iter().map(|line| paint(style, line)).collect()
}

/// All tables, their first differences, and what is not compared.
fn details(verification: &Verification, width: Option<usize>, values: bool) -> Vec<String> {
    let sentences = width.unwrap_or(TEXT_WIDTH);
    let mut lines = grid(tables(verification), width, Some(0));
    for (name, table) in differing(verification) {
        lines.push(String::new());
        lines.push(paint(BOLD, &format!("{}: {}", printable::line(name), listed(table))));
        lines.extend(grid(differences(&table.differences, values), width, None));
    }
    if !verification.not_compared.is_empty() {
        lines.push(String::new());
        lines.push(paint(BOLD, "not compared"));
        let notes = verification.not_compared.iter().map(|note| format!("  {}", printable::line(note)));
        lines.extend(
            notes.flat_map(|note| wrap::paragraphs(&note, sentences).lines().map(str::to_owned).collect::<Vec<_>>()),
        );
    }
    lines
}

fn tables(verification: &Verification) -> Vec<Column> {
    let rows: Vec<(&String, &TableVerification)> = verification.tables.iter().collect();
    let number = |count: Count| {
        let style = match count.head {
            _ if count.is_difference => BAD,
            "of" | "app's own" => FAINT,
            "rejected" => NOTICE,
            _ => PLAIN,
        };
        let cell = |(_, table): &(&String, &TableVerification)| match (count.of)(table) {
            _ if !table.is_compared => Cell::new("-", FAINT),
            0 => Cell::new("0", FAINT),
            number => Cell::new(&thousands(number), style),
        };
        Column::numbers(count.head, rows.iter().map(cell).collect())
    };
    let mut columns = vec![Column::words("table", rows.iter().map(|(name, _)| Cell::new(name, PLAIN)).collect())];
    columns.extend(counts(verification).into_iter().map(number));
    columns.push(Column::words("status", rows.iter().map(|(_, table)| state(table)).collect()));
    columns
}

fn state(table: &TableVerification) -> Cell {
    let (text, style) = match (table.is_compared, table.found()) {
        (false, _) => ("not yet", FAINT),
        (true, 0) => ("same", GOOD),
        (true, _) => ("differs", BAD),
    };
    Cell::new(text, style)
}

/// The key of the row, else the id of the document.
pub(super) fn key(difference: &Difference) -> String {
    match (&difference.key, &difference.id) {
        (Some(key), _) => key.to_string(),
        (None, Some(id)) => id.to_string(),
        (None, None) => String::new(),
    }
}

/// The first differences: what, of which row, in which field, and the kinds on both sides, or the values.
fn differences(differences: &[Difference], values: bool) -> Vec<Column> {
    let column = |head: &'static str, of: &dyn Fn(&Difference) -> String| {
        Column::words(head, differences.iter().map(|difference| Cell::new(&of(difference), PLAIN)).collect())
    };
    let shown = |difference: &Difference, is_expected: bool| {
        let values = difference.values.as_ref().filter(|_| values);
        match (values, is_expected) {
            (Some(values), true) => values.expected.clone(),
            (Some(values), false) => values.found.clone(),
            (None, true) => difference.expected.clone(),
            (None, false) => difference.found.clone(),
        }
    };
    let mut columns = vec![
        column("difference", &|difference| difference.kind.as_str().to_owned()),
        column("key", &key),
        column("field", &|difference| difference.field.clone().unwrap_or_default()),
        column("expected", &|difference| shown(difference, true)),
        column("found", &|difference| shown(difference, false)),
    ];
    columns.retain(|column| column.cells.iter().any(|cell| !cell.as_str().is_empty()));
    columns
}

/// The lines of a table. Where it is wider than the terminal, the column `first` is cut, else the widest ones.
fn grid(mut columns: Vec<Column>, width: Option<usize>, first: Option<usize>) -> Vec<String> {
    let mut over = width.map_or(0, |width| full_width(&columns, GAP).saturating_sub(width));
    let mut widths: Vec<usize> = columns.iter().map(Column::width).collect();
    while over > 0 {
        let cut = match first {
            Some(first) => widths.get_mut(first),
            None => widths.iter_mut().max_by_key(|width| **width),
        };
        match cut {
            Some(cut) if *cut > SHORTEST => *cut -= 1,
            _ => break,
        }
        over -= 1;
    }
    for (column, width) in columns.iter_mut().zip(widths) {
        column.shorten(width);
    }
    columns::text(&columns, GAP, false)
}

/// How many differences a table has, and how many of them are listed.
pub(super) fn listed(table: &TableVerification) -> String {
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
pub(super) fn verdict(verification: &Verification) -> String {
    let sum = |of: fn(&TableVerification) -> u64| thousands(super::total(verification.tables.values().map(of)));
    let seconds = thousands(verification.duration_seconds);
    let tables = match verification.tables.len() {
        1 => "1 table".to_owned(),
        count => format!("{count} tables"),
    };
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
        Verdict::Same => format!("no difference in {tables}: {what}, in {seconds} s"),
        Verdict::Different => {
            let found = found(verification);
            let differences = if found == 1 { "difference" } else { "differences" };
            format!("{} {differences} in {tables}: {what}, in {seconds} s", thousands(found))
        }
        Verdict::Interrupted => format!("interrupted after {seconds} s: {what} so far"),
        Verdict::Failed => format!("failed after {seconds} s: {what} so far"),
    }
}
