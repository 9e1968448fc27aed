//! An assessment as text.

use std::cmp::Reverse;

use anstyle::Style;
use indexmap::IndexMap;
use migrate_core::assess::{Assessment, Effect, Estimate, Readiness, ScanMode, TableAssessment, TableScan};
use unicode_width::UnicodeWidthStr as _;

use super::html::kit::units;
use super::{BAD, BOLD, FAINT, GOOD, NOTICE, TEXT_WIDTH, paint, thousands};
use crate::{printable, wrap};

/// Columns of a table's name, where they fit.
const LONGEST_NAME: usize = 40;

/// Places that have the same which are listed one by one, or named.
const PLACES: usize = 3;

/// What is known of a table in one line.
struct Line {
    name: String,
    readiness: Readiness,
    cells: [String; 3],
}

/// Tables, decisions, other findings and the estimate, with the codes of colours.
pub(crate) fn text(assessment: &Assessment, width: Option<usize>) -> String {
    let sentences = width.unwrap_or(TEXT_WIDTH);
    let mut lines = tables(assessment, width);
    for table in assessment.tables.iter().filter(|table| !table.decisions.is_empty()) {
        lines.push(String::new());
        let style = style(table.readiness).bold();
        lines.push(paint(style, &format!("{}: {}", table.table, table.readiness.words())));
        for decision in &table.decisions {
            lines.extend(bullet(&decision.what, sentences));
            let remedy = match &decision.setting {
                Some(setting) => format!("{} ({setting})", decision.remedy),
                None => decision.remedy.clone(),
            };
            lines.extend(
                wrap::words(&printable::line(&remedy), sentences.saturating_sub(4))
                    .iter()
                    .map(|line| format!("    {line}")),
            );
        }
    }
    let others = folded(assessment.findings().into_iter().filter(|(_, found)| !found.effect.wants_decision()).map(
        |(table, found)| {
            let at = found.column.as_ref().map(|column| format!(".{column}")).unwrap_or_default();
            let effect = if found.effect == Effect::Kept { "" } else { " (as the plan says)" };
            Known { what: format!("{}{effect}", found.kind.words()), place: format!("{table}{at}"), rows: found.rows }
        },
    ));
    if !others.is_empty() {
        lines.extend([String::new(), paint(BOLD, "no decision needed, but good to know:")]);
        lines.extend(others.iter().flat_map(|line| bullet(line, sentences)));
    }
    if let Some(estimate) = &assessment.estimate {
        lines.extend([String::new(), paint(BOLD, "what it would take:")]);
        lines.extend(of_estimate(estimate).iter().flat_map(|line| bullet(line, sentences)));
    }
    if !assessment.scan.unchecked.is_empty() {
        lines.extend([String::new(), paint(BOLD, "not looked at:")]);
        lines.extend(assessment.scan.unchecked.iter().flat_map(|line| bullet(line, sentences)));
    }
    if !assessment.inventory.is_empty() {
        lines.push(String::new());
        lines.push(format!("not moved by itself: {} things, listed in assessment.json", assessment.inventory.len()));
    }
    lines.push(String::new());
    lines.extend(wrap::words(&verdict(assessment), sentences));
    lines.join("\n")
}

/// What was found somewhere.
#[derive(Debug)]
struct Known {
    what: String,
    place: String,
    rows: u64,
}

/// A line for each place; where many have the same, one for all of them.
fn folded(found: impl Iterator<Item = Known>) -> Vec<String> {
    let mut kinds: IndexMap<String, Vec<(String, u64)>> = IndexMap::new();
    for Known { what, place, rows } in found {
        kinds.entry(what).or_default().push((place, rows));
    }
    let mut lines = Vec::new();
    for (what, mut places) in kinds {
        if places.len() <= PLACES {
            lines.extend(places.into_iter().map(|(place, count)| format!("{place}: {what}, {}", rows(count))));
            continue;
        }
        // Those with the most rows are named; of as many, the first.
        places.sort_by_key(|(_, rows)| Reverse(*rows));
        let named: Vec<String> =
            places.iter().take(PLACES).map(|(place, count)| format!("{place} ({})", rows(*count))).collect();
        let (count, more) = (places.len(), places.len() - PLACES);
        lines.push(format!("{what}, in {count} places: {} and {more} more, in assessment.json", named.join(", ")));
    }
    lines
}

/// How the tables stand, in one sentence.
pub(crate) fn verdict(assessment: &Assessment) -> String {
    let counted: Vec<String> = Readiness::ALL
        .iter()
        .map(|&readiness| (assessment.count(readiness), readiness))
        .filter(|(count, _)| *count > 0)
        .map(|(count, readiness)| readiness.counted(count))
        .collect();
    let scan = &assessment.scan;
    let read = match scan.mode {
        ScanMode::None => "no rows were read".to_owned(),
        ScanMode::Full if scan.complete => format!("all rows ({}) were read", thousands(scan.rows)),
        ScanMode::Full => format!("not all rows were read, only {}", thousands(scan.rows)),
        ScanMode::Sample => format!("a sample was read of {}", rows(scan.rows)),
    };
    let of_all = |count: usize| if count == 1 { "1 table".to_owned() } else { format!("{count} tables") };
    let states = if counted.is_empty() { String::new() } else { format!(": {}", counted.join(", ")) };
    format!("{}{states}; {read}", of_all(assessment.tables.len()))
}

/// What a migration would take, a fact in each line.
fn of_estimate(estimate: &Estimate) -> Vec<String> {
    let about = if estimate.exact { "" } else { "~" };
    let times: Vec<String> =
        estimate.classes.iter().map(|class| format!("{} {}", class.name, duration(class.seconds))).collect();
    let free = |fits: bool| if fits { "within" } else { "over" };
    vec![
        format!(
            "{about}{} documents of {}, ~{} of index entries, {about}{} calls",
            thousands(estimate.documents),
            units::bytes(estimate.document_bytes),
            units::bytes(estimate.index_bytes),
            thousands(estimate.calls)
        ),
        format!("writing takes at least: {}", times.join(", ")),
        format!(
            "{} the {} of storage and {} the {} a month that Convex's free plan has",
            free(estimate.fits_free_storage),
            decimal_bytes(estimate.free_storage_bytes),
            free(estimate.fits_free_monthly),
            decimal_bytes(estimate.free_monthly_bytes)
        ),
    ]
}

/// A duration that is a lower bound.
#[expect(clippy::cast_precision_loss, reason = "no duration has 2^52 seconds")]
pub(crate) fn duration(seconds: u64) -> String {
    if seconds == 0 { "under 1 s".to_owned() } else { units::seconds(seconds as f64) }
}

/// A number of rows.
pub(crate) fn rows(count: u64) -> String {
    if count == 1 { "1 row".to_owned() } else { format!("{} rows", thousands(count)) }
}

/// Bytes as price lists have them: in powers of ten.
pub(crate) fn decimal_bytes(bytes: u64) -> String {
    let tenths = bytes / 100_000_000;
    if tenths.is_multiple_of(10) {
        format!("{} GB", tenths / 10)
    } else {
        format!("{}.{} GB", tenths / 10, tenths % 10)
    }
}

pub(crate) fn style(readiness: Readiness) -> Style {
    match readiness {
        Readiness::Blocked => BAD,
        Readiness::Decision => NOTICE,
        Readiness::Automatic => GOOD,
        Readiness::LeftOut => FAINT,
    }
}

fn bullet(text: &str, width: usize) -> Vec<String> {
    let lines = wrap::words(&printable::line(text), width.saturating_sub(4));
    lines.iter().enumerate().map(|(at, line)| format!("{}{line}", if at == 0 { "  - " } else { "    " })).collect()
}

/// What was found in a table whose rows move.
pub(crate) fn moved(table: &TableAssessment) -> Option<&TableScan> {
    table.scan.as_ref().filter(|_| !table.adopted)
}

fn tables(assessment: &Assessment, width: Option<usize>) -> Vec<String> {
    let number = |number: Option<u64>| number.map_or_else(|| "-".to_owned(), thousands);
    let of = |table: &TableAssessment| Line {
        name: wrap::shorten(&printable::line(&table.table.to_string()), width.map_or(usize::MAX, |_| LONGEST_NAME)),
        readiness: table.readiness,
        cells: [
            number(table.rows),
            number(moved(table).map(|scan| scan.rejected)),
            moved(table).map_or_else(|| "-".to_owned(), |scan| units::bytes(scan.document_bytes)),
        ],
    };
    let lines_of: Vec<Line> = assessment.tables.iter().map(of).collect();
    let heads = ["rows", "rejected", "size"];
    let names = lines_of.iter().map(|row| row.name.width()).chain([5]).max().unwrap_or(5);
    let states = lines_of.iter().map(|row| row.readiness.words().len()).chain([9]).max().unwrap_or(9);
    let widths: Vec<usize> = heads
        .iter()
        .enumerate()
        .map(|(at, head)| {
            lines_of.iter().filter_map(|row| row.cells.get(at)).map(String::len).chain([head.len()]).max().unwrap_or(0)
        })
        .collect();
    let numbers = |cells: &[&str]| {
        let padded = cells.iter().zip(&widths).map(|(cell, width)| format!("  {cell:>width$}"));
        padded.collect::<String>()
    };
    let mut lines = vec![paint(BOLD, &format!("{:<names$}  {:<states$}{}", "table", "readiness", numbers(&heads)))];
    for row in &lines_of {
        let gap = " ".repeat(names - row.name.width());
        let words = paint(style(row.readiness), &format!("{:<states$}", row.readiness.words()));
        let cells: Vec<&str> = row.cells.iter().map(String::as_str).collect();
        lines.push(format!("{}{gap}  {words}{}", row.name, numbers(&cells)));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_many_places_have_is_one_line() {
        let known = |what: &str, place: &str, rows| Known { what: what.to_owned(), place: place.to_owned(), rows };
        let found = [
            known("rounded", "a.x", 1),
            known("doubled", "a.y", 2),
            known("rounded", "b.x", 5),
            known("rounded", "c.x", 1),
            known("rounded", "d.x", 7000),
            known("doubled", "e.y", 1),
        ];
        assert_eq!(
            folded(found.into_iter()),
            [
                "rounded, in 4 places: d.x (7,000 rows), b.x (5 rows), a.x (1 row) and 1 more, in assessment.json",
                "a.y: doubled, 2 rows",
                "e.y: doubled, 1 row",
            ]
        );
    }

    #[test]
    fn sizes_of_price_lists() {
        let shown = [500_000_000, 1_000_000_000, 5_500_000_000].map(decimal_bytes);
        assert_eq!(shown, ["0.5 GB", "1 GB", "5.5 GB"].map(str::to_owned));
        assert_eq!([0, 1, 125].map(duration), ["under 1 s", "1 s", "2 min 5 s"].map(str::to_owned));
    }
}
