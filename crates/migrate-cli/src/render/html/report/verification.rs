//! What was verified of the run: tables with their counts, and the first differences, without values.

use std::collections::BTreeSet;

use migrate_core::report::Report;
use migrate_core::verify::{DIFFERENCE_KINDS, Difference, DifferenceKind, TableVerification, Verdict, Verification};
use minijinja::{Value, context};

use super::super::kit::Tone;
pub(super) use crate::render::verification::found;
use crate::render::verification::{Count, counts, differing, doubts, key, level_words, listed, verdict};
use crate::render::{moment, thousands};

/// Differences on the page; verify.json has those of all tables.
const MOST_DIFFERENCES: usize = 200;

/// What the section shows.
pub(super) fn values(verification: &Verification, report: &Report) -> Value {
    let doubts = doubts(verification, report);
    let (tone, state) = match verification.verdict {
        Verdict::Same if doubts.is_empty() => (Tone::Good, "no difference"),
        Verdict::Same => (Tone::Notice, "no difference, with a note"),
        Verdict::Different => (Tone::Bad, "differs"),
        Verdict::Interrupted => (Tone::Notice, "interrupted"),
        Verdict::Failed => (Tone::Bad, "failed"),
    };
    let counts = counts(verification);
    let heads: Vec<&str> = counts.iter().map(|count| count.head).collect();
    let tables: Vec<Value> = verification.tables.iter().map(|(name, row)| table(name, row, &counts)).collect();
    context! {
        tone,
        state,
        verdict => verdict(verification),
        level => level_words(verification.level),
        timestamp => verification.timestamp.clone(),
        began => moment(&verification.timestamp),
        error => verification.error.clone(),
        doubts,
        heads,
        tables,
        differing => differences(verification),
        kinds => kinds(verification),
        not_compared => verification.not_compared.clone(),
    }
}

fn table(name: &str, row: &TableVerification, counts: &[Count]) -> Value {
    let (tone, state) = match (row.is_compared, row.found()) {
        (false, _) => (Tone::Plain, "not yet"),
        (true, 0) => (Tone::Good, "same"),
        (true, _) => (Tone::Bad, "differs"),
    };
    let cell = |count: &Count| {
        let number = (count.of)(row);
        let class = match number {
            _ if !row.is_compared => "zero",
            0 => "zero",
            _ if count.is_difference => "worse",
            _ => "",
        };
        context! { class, text => if row.is_compared { thousands(number) } else { "–".to_owned() } }
    };
    let cells: Vec<Value> = counts.iter().map(cell).collect();
    context! { name, tone, state, cells }
}

/// The first differences of each table, as far as there is room for them.
fn differences(verification: &Verification) -> Vec<Value> {
    let mut room = MOST_DIFFERENCES;
    let mut tables = Vec::new();
    for (name, table) in differing(verification) {
        let rows: Vec<Value> = table.differences.iter().take(room).map(difference).collect();
        room -= rows.len();
        let left_out = table.differences.len() - rows.len();
        tables.push(context! { name => name.clone(), found => listed(table), rows, left_out });
    }
    tables
}

fn difference(difference: &Difference) -> Value {
    context! {
        kind => difference.kind.as_str(),
        key => key(difference),
        field => difference.field.clone(),
        expected => difference.expected.clone(),
        found => difference.found.clone(),
    }
}

/// The kinds that were met, with their meaning.
fn kinds(verification: &Verification) -> Vec<Value> {
    let met: BTreeSet<DifferenceKind> =
        differing(verification).flat_map(|(_, table)| &table.differences).map(|difference| difference.kind).collect();
    let met = DIFFERENCE_KINDS.iter().filter(|(kind, ..)| met.contains(kind));
    met.map(|&(_, code, meaning)| context! { code, meaning }).collect()
}
