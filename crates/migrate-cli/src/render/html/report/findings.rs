//! What wants a look: rejects by cause, lossy edits, and tables that are not there.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use migrate_core::observe::TableStatus;
use migrate_core::record::RejectCode;
use migrate_core::report::{RejectReport, Report, TableReport};
use minijinja::value::Serde;
use minijinja::{Value, context};

use super::tables;
use crate::render::notes::change_words;
use crate::render::total;

/// What wants a look, as the page shows it.
#[derive(Debug)]
pub(super) struct Findings {
    pub(super) rejects: Vec<Value>,
    pub(super) unlinked: Vec<Value>,
    pub(super) changes: Vec<Value>,
    pub(super) misses: Vec<Value>,
    pub(super) absent: Vec<Value>,
}

impl Findings {
    pub(super) fn of(report: &Report) -> Self {
        Self {
            rejects: rejects(report),
            unlinked: unlinked(report),
            changes: changes(report),
            misses: misses(report),
            absent: absent(report),
        }
    }
}

/// Rejected rows by their code, the most first; of each code the tables with the most rows first.
fn rejects(report: &Report) -> Vec<Value> {
    let mut by_code: BTreeMap<RejectCode, Vec<(&String, &RejectReport)>> = BTreeMap::new();
    for (name, row) in &report.tables {
        for cause in &row.rejects {
            by_code.entry(cause.code).or_default().push((name, cause));
        }
    }
    let mut causes: Vec<(u64, Value)> = Vec::new();
    for (code, mut tables) in by_code {
        tables.sort_by_key(|(_, cause)| Reverse(cause.count));
        let count = total(tables.iter().map(|(_, cause)| cause.count));
        let remedy = tables.first().map(|(_, cause)| cause.remedy.clone());
        let tables: Vec<Value> = tables
            .into_iter()
            .map(|(name, cause)| context! { name => name.clone(), count => cause.count, keys => Serde(&cause.sample_keys) })
            .collect();
        causes.push((count, context! { code => code.as_str(), count, tables, remedy }));
    }
    largest_first(causes)
}

fn unlinked(report: &Report) -> Vec<Value> {
    let rows = report.tables.iter().filter(|(_, row)| row.unlinked > 0);
    rows.map(|(name, row)| context! { name => name.clone(), count => row.unlinked }).collect()
}

/// Lossy edits by column, the most first.
fn changes(report: &Report) -> Vec<Value> {
    let mut changes: Vec<(u64, Value)> = Vec::new();
    for (name, row) in &report.tables {
        for change in &row.changes {
            let (column, kind) = change.name.rsplit_once(':').unwrap_or((&change.name, "changed"));
            let (count, keys) = (change.count, Serde(&change.sample_keys));
            let value = context! { table => name.clone(), column, kind => change_words(kind), count, keys };
            changes.push((count, value));
        }
    }
    largest_first(changes)
}

/// Parents that were not found, by the field that refers to them.
fn misses(report: &Report) -> Vec<Value> {
    let mut misses: Vec<(u64, Value)> = Vec::new();
    for (name, row) in &report.tables {
        for miss in &row.reference_misses {
            let (count, keys) = (miss.count, Serde(&miss.sample_keys));
            misses.push((count, context! { table => name.clone(), field => miss.name.clone(), count, keys }));
        }
    }
    largest_first(misses)
}

/// Tables that were not read, or not to their end.
fn absent(report: &Report) -> Vec<Value> {
    let rows = report.tables.iter().filter(|(_, row)| row.status != TableStatus::Complete);
    rows.map(|(name, row)| {
        let (tone, state) = tables::state(row);
        context! { name => name.clone(), tone, state, why => why(row), remedy => remedy(row.status) }
    })
    .collect()
}

/// What stopped the table. Lines on its rejects are told elsewhere.
fn why(row: &TableReport) -> Option<String> {
    let is_reject = |line: &&String| row.rejects.iter().any(|cause| line.starts_with(cause.code.as_str()));
    row.errors.iter().find(|line| !is_reject(line)).cloned()
}

fn remedy(status: TableStatus) -> &'static str {
    match status {
        TableStatus::Complete => "",
        TableStatus::Incomplete => {
            "mend what stopped the run, then start migrate-run again: it goes on where it stopped"
        }
        TableStatus::Missing => {
            "the source has no such table: take it out of migrate.toml, or mend its name; then run migrate-discover and \
             migrate-plan"
        }
        TableStatus::Forbidden => {
            "grant the key's role select on it, as migrate-doctor says; then run migrate-discover and migrate-plan"
        }
        TableStatus::NotSelected => "run migrate-run without --tables, or with this table among them",
    }
}

fn largest_first(mut values: Vec<(u64, Value)>) -> Vec<Value> {
    values.sort_by_key(|(count, _)| Reverse(*count));
    values.into_iter().map(|(_, value)| value).collect()
}
