//! What a reader should know beside the counts, grouped by cause: few lines, however many tables and columns.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use anstyle::Style;
use migrate_core::observe::TableStatus;
use migrate_core::record::RejectCode;
use migrate_core::report::{CountReport, RejectReport, Report, TableReport};

use super::columns::as_markdown;
use super::{BAD, FAINT, NOTICE, PLAIN, left_behind, paint, thousands, total};
use crate::{printable, wrap};

/// All notes together; what does not go into them is in report.json.
const MOST_LINES: usize = 10;
/// The lines of one list of tables or columns.
const LIST_LINES: usize = 2;
/// The column of labels.
const LABEL_WIDTH: usize = 11;

/// One cause, with the places where it was met.
struct Note {
    label: &'static str,
    style: Style,
    lead: String,
    places: Vec<String>,
    /// What to do, or an example.
    tail: String,
}

/// The notes as lines of at most `width` columns, behind a column of labels.
pub(super) fn text(report: &Report, width: usize) -> Vec<String> {
    let room = width.saturating_sub(LABEL_WIDTH);
    let mut lines = Vec::new();
    let all = notes(report);
    for (position, note) in all.iter().enumerate() {
        // What is measured is what the terminal shows.
        let shown = |text: &String| printable::line(text).into_owned();
        let places: Vec<String> = note.places.iter().map(shown).collect();
        let mut own = wrap::list(&shown(&note.lead), &places, room, LIST_LINES);
        own.extend(wrap::words(&shown(&note.tail), room));
        if lines.len() + own.len() > MOST_LINES {
            let rest = format!("{:LABEL_WIDTH$}and {} more notes in report.json", "", all.len() - position);
            lines.push(paint(FAINT, &rest));
            break;
        }
        for (line, text) in own.iter().enumerate() {
            let label = if line == 0 { paint(note.style, note.label) } else { String::new() };
            let space = LABEL_WIDTH.saturating_sub(if line == 0 { note.label.len() } else { 0 });
            lines.push(format!("{label}{:space$}{text}", ""));
        }
    }
    lines
}

/// The notes as a list of Markdown, each whole.
pub(super) fn markdown(report: &Report) -> Vec<String> {
    let line = |note: Note| {
        let places = if note.places.is_empty() { String::new() } else { format!(" {}", note.places.join(", ")) };
        let tail = if note.tail.is_empty() { String::new() } else { format!("; {}", note.tail) };
        format!("- **{}**: {}", note.label, as_markdown(&format!("{}{places}{tail}", note.lead)))
    };
    notes(report).into_iter().map(line).collect()
}

/// The most urgent first.
fn notes(report: &Report) -> Vec<Note> {
    let mut notes = Vec::new();
    notes.extend(of_status(report, TableStatus::Incomplete, "incomplete", BAD, "not read to the end:"));
    notes.extend(of_status(report, TableStatus::Forbidden, "forbidden", BAD, "the key may not read:"));
    notes.extend(of_status(report, TableStatus::Missing, "missing", NOTICE, "not at the source:"));
    notes.extend(rejects(report));
    notes.extend(unlinked(report));
    notes.extend(warnings(report));
    notes.extend(earlier_runs(report));
    notes.extend(unset(report));
    notes.extend(changes(report));
    notes.extend(beside_rows(report));
    notes
}

/// Rejected rows by their code.
fn rejects(report: &Report) -> Vec<Note> {
    let mut by_code: BTreeMap<RejectCode, Vec<(&String, &RejectReport)>> = BTreeMap::new();
    for (name, row) in &report.tables {
        for cause in &row.rejects {
            by_code.entry(cause.code).or_default().push((name, cause));
        }
    }
    let mut notes: Vec<(u64, Note)> = Vec::new();
    for mut causes in by_code.into_values() {
        causes.sort_by_key(|(_, cause)| Reverse(cause.count));
        let count = total(causes.iter().map(|(_, cause)| cause.count));
        let Some((table, most)) = causes.first() else { continue };
        let example = most.sample_keys.first().map(|key| format!("such as {table} {key}: ")).unwrap_or_default();
        let note = Note {
            label: "rejected",
            style: NOTICE,
            lead: format!("{} × {}:", thousands(count), most.code.as_str()),
            places: with_counts(causes.iter().map(|(name, cause)| (name.as_str(), cause.count)).collect()),
            tail: format!("{example}{}", most.remedy),
        };
        notes.push((count, note));
    }
    largest_first(notes)
}

fn unlinked(report: &Report) -> Option<Note> {
    let tables: Vec<(&String, &TableReport)> = report.tables.iter().filter(|(_, row)| row.unlinked > 0).collect();
    let count = total(tables.iter().map(|(_, row)| row.unlinked));
    (count > 0).then(|| Note {
        label: "unlinked",
        style: NOTICE,
        lead: format!("{} × a link could not be set, its document lacks it:", thousands(count)),
        places: with_counts(tables.iter().map(|(name, row)| (name.as_str(), row.unlinked)).collect()),
        tail: RejectCode::ReferenceUnlinked.remedy().to_owned(),
    })
}

/// Tables with their share of a count; of one table alone the name.
fn with_counts(tables: Vec<(&str, u64)>) -> Vec<String> {
    match tables.as_slice() {
        [(only, _)] => vec![(*only).to_owned()],
        _ => tables.into_iter().map(|(name, count)| format!("{name} {}", thousands(count))).collect(),
    }
}

fn of_status(
    report: &Report,
    status: TableStatus,
    label: &'static str,
    style: Style,
    lead: &'static str,
) -> Option<Note> {
    let named = report.tables.iter().filter(|(_, row)| row.status == status);
    let places: Vec<String> = named.map(|(name, _)| name.clone()).collect();
    (!places.is_empty()).then(|| Note { label, style, lead: lead.to_owned(), places, tail: String::new() })
}

fn warnings(report: &Report) -> Vec<Note> {
    let each = report.tables.iter().flat_map(|(name, row)| row.warnings.iter().map(move |text| (name, text)));
    each.map(|(name, text)| Note {
        label: "warning",
        style: NOTICE,
        lead: format!("{name}: {text}"),
        places: Vec::new(),
        tail: String::new(),
    })
    .collect()
}

/// Where the counts are not of the last run alone, what that one did.
fn earlier_runs(report: &Report) -> Option<Note> {
    let sum = |of: fn(&TableReport) -> u64| total(report.tables.values().map(of));
    let now = sum(|row| row.this_run.read);
    (now < report.totals.source).then(|| Note {
        label: "this run",
        style: PLAIN,
        lead: format!(
            "{} of these rows: {} inserted, {} updated, {} unchanged, {} rejected",
            thousands(now),
            thousands(sum(|row| row.this_run.inserted)),
            thousands(sum(|row| row.this_run.updated)),
            thousands(sum(|row| row.this_run.unchanged)),
            thousands(sum(|row| row.this_run.rejected)),
        ),
        places: Vec::new(),
        tail: String::new(),
    })
}

/// References that were left out because the plan says so of a parent that is missing. Those whose row was rejected, or
/// which the second pass could not set, are told elsewhere.
fn unset(report: &Report) -> Option<Note> {
    let (mut count, mut places) = (0_u64, Vec::new());
    for (name, row) in &report.tables {
        let missed = total(row.reference_misses.iter().map(|miss| miss.count));
        let is_reference =
            |cause: &&RejectReport| matches!(cause.code, RejectCode::ReferenceMissing | RejectCode::ReferenceAmbiguous);
        let told = total(row.rejects.iter().filter(is_reference).map(|cause| cause.count));
        let own = missed.saturating_sub(told.saturating_add(row.unlinked));
        if own == 0 {
            continue;
        }
        count = count.saturating_add(own);
        // Of several fields, the report does not say which were left out and which led to a reject.
        places.push(match row.reference_misses.as_slice() {
            [CountReport { name: field, .. }] => format!("{name}.{field}"),
            _ => name.clone(),
        });
    }
    (count > 0).then(|| Note {
        label: "changed",
        style: PLAIN,
        lead: format!("{} × reference left out, its parent is missing:", thousands(count)),
        places,
        tail: String::new(),
    })
}

/// What the project has beside rows.
fn beside_rows(report: &Report) -> Option<Note> {
    let source = report.source.as_ref().filter(|source| !source.left_behind.is_empty())?;
    let groups = left_behind::grouped(&source.left_behind);
    Some(Note {
        label: "left",
        style: PLAIN,
        lead: "does not move by itself:".to_owned(),
        places: groups
            .into_iter()
            .map(|(kind, items)| format!("{} {}", kind.title.to_lowercase(), items.len()))
            .collect(),
        tail: "report.html says what becomes of it".to_owned(),
    })
}

/// Lossy edits by their kind, the columns with the most edits first.
fn changes(report: &Report) -> Vec<Note> {
    let mut by_kind: BTreeMap<&str, Vec<(u64, String)>> = BTreeMap::new();
    for (name, row) in &report.tables {
        for change in &row.changes {
            let (column, kind) = change.name.rsplit_once(':').unwrap_or((&change.name, "changed"));
            by_kind.entry(kind).or_default().push((change.count, format!("{name}.{column}")));
        }
    }
    let mut notes = Vec::new();
    for (kind, mut columns) in by_kind {
        columns.sort_by_key(|(count, _)| Reverse(*count));
        let count = total(columns.iter().map(|(count, _)| *count));
        let note = Note {
            label: "changed",
            style: PLAIN,
            lead: format!("{} × {}:", thousands(count), change_words(kind)),
            places: columns.into_iter().map(|(_, column)| column).collect(),
            tail: String::new(),
        };
        notes.push((count, note));
    }
    largest_first(notes)
}

/// What was done to a value, in words.
pub(super) fn change_words(kind: &str) -> String {
    match kind {
        "microseconds_cut" => "microseconds cut off".to_owned(),
        "number_rounded" => "number rounded to a double".to_owned(),
        "null_to_default" => "NULL became the default".to_owned(),
        "unfit_to_null" => "NULL for what the type cannot hold".to_owned(),
        "key_escaped" => "key of an object escaped".to_owned(),
        other => other.replace('_', " "),
    }
}

fn largest_first(mut notes: Vec<(u64, Note)>) -> Vec<Note> {
    notes.sort_by_key(|(count, _)| Reverse(*count));
    notes.into_iter().map(|(_, note)| note).collect()
}
