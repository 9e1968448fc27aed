//! Every table: its counts, its state, and what it refers to.

use std::collections::{HashMap, HashSet};

use migrate_core::observe::TableStatus;
use migrate_core::report::{Report, TableReport};
use minijinja::{Value, context};

use super::super::kit::bars::{Part, bar};
use super::super::kit::graph::{Edge, Node, graph as draw};
use super::super::kit::{Markup, Tone};
use crate::render::{thousands, total};

/// What became of a row: class of the style, words, and the count.
type Fate = (&'static str, &'static str, fn(&TableReport) -> u64);

const FATES: [Fate; 5] = [
    ("inserted", "inserted", |row| row.inserted),
    ("updated", "updated", |row| row.updated),
    ("unchanged", "unchanged", |row| row.unchanged),
    ("skipped", "skipped", |row| row.skipped),
    ("rejected", "rejected", |row| row.rejected),
];

pub(super) fn total_bar(report: &Report) -> Markup {
    bar(&FATES.map(|(class, label, of)| part(class, label, total(report.tables.values().map(of)))))
}

fn table_bar(row: &TableReport) -> Markup {
    bar(&FATES.map(|(class, label, of)| part(class, label, of(row))))
}

fn part(class: &'static str, label: &str, count: u64) -> Part {
    Part { class, label: label.to_owned(), count }
}

/// The fates that were met, with their counts.
pub(super) fn legend(report: &Report) -> Vec<Value> {
    let met = FATES.iter().map(|(class, label, of)| (class, label, total(report.tables.values().map(of))));
    met.filter(|(_, _, count)| *count > 0)
        .map(|(&class, label, count)| context! { class, label => format!("{} {label}", thousands(count)) })
        .collect()
}

pub(super) fn state(row: &TableReport) -> (Tone, &'static str) {
    match row.status {
        TableStatus::Complete if row.rejected > 0 || row.unlinked > 0 => (Tone::Notice, "with findings"),
        TableStatus::Complete => (Tone::Good, "complete"),
        TableStatus::Incomplete => (Tone::Bad, "incomplete"),
        TableStatus::Missing => (Tone::Notice, "missing"),
        TableStatus::Forbidden => (Tone::Bad, "forbidden"),
        TableStatus::NotSelected => (Tone::Plain, "left out"),
    }
}

pub(super) fn rows(report: &Report) -> Vec<Value> {
    let sinks: HashMap<String, String> = report
        .plan
        .iter()
        .flat_map(|plan| &plan.tables)
        .map(|table| (table.table.to_string(), table.sink.to_string()))
        .collect();
    let row = |(position, (name, row)): (usize, (&String, &TableReport))| {
        let (tone, state) = state(row);
        context! {
            anchor => anchor(position),
            name => name,
            sink => sinks.get(name).filter(|sink| *sink != name),
            tone,
            state,
            bar => table_bar(row),
            source => row.source,
            migrated => row.migrated,
            skipped => row.skipped,
            rejected => row.rejected,
            bytes => row.bytes,
            seconds => row.seconds,
            rate => rounded(row.rows_per_second),
        }
    };
    report.tables.iter().enumerate().map(row).collect()
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a rate to look at; `as` stops at the ends"
)]
fn rounded(rate: f64) -> u64 {
    rate.round() as u64
}

fn anchor(position: usize) -> String {
    format!("table-{position}")
}

/// What a reader should know of tables, but for rejects, which are told by cause.
pub(super) fn warnings(report: &Report) -> Vec<Value> {
    let lines = |(name, row): (&String, &TableReport)| {
        let lines: Vec<String> = row.warnings.clone();
        (!lines.is_empty()).then(|| context! { table => name.clone(), lines })
    };
    report.tables.iter().filter_map(lines).collect()
}

/// Tables with their references, those that live in Convex already in a column before all others.
pub(super) fn graph(report: &Report) -> Markup {
    let Some(plan) = &report.plan else { return Markup::default() };
    let adopted = plan.adopted.iter().map(|table| Node {
        name: table.table.to_string(),
        detail: "lives in Convex".to_owned(),
        tone: Tone::Plain,
        level: 0,
        anchor: None,
    });
    let first = usize::from(!plan.adopted.is_empty());
    let migrated = plan.tables.iter().map(|table| {
        let name = table.table.to_string();
        let found = report.tables.get_full(&name);
        let (tone, detail) = found.map_or((Tone::Plain, String::new()), |(_, _, row)| {
            let (tone, state) = state(row);
            (tone, format!("{} rows · {state}", thousands(row.source)))
        });
        let anchor = found.map(|(position, ..)| anchor(position));
        Node { name, detail, tone, level: table.level.saturating_add(first), anchor }
    });
    let nodes: Vec<Node> = adopted.chain(migrated).collect();
    let places: HashMap<&str, usize> = nodes.iter().enumerate().map(|(at, node)| (node.name.as_str(), at)).collect();
    let mut edges: Vec<Edge> = Vec::new();
    let mut seen = HashSet::new();
    for table in &plan.tables {
        for reference in &table.references {
            let ends = (places.get(&*table.table.to_string()), places.get(&*reference.to.to_string()));
            let (Some(from), Some(to)) = ends else { continue };
            if seen.insert((*from, *to, reference.cut)) {
                edges.push(Edge { from: *from, to: *to, cut: reference.cut });
            }
        }
    }
    draw("Tables and what they refer to", &nodes, &edges)
}

/// Tables that are in no reference.
pub(super) fn alone(report: &Report) -> Vec<String> {
    let Some(plan) = &report.plan else { return Vec::new() };
    let known: HashSet<String> = plan
        .tables
        .iter()
        .map(|table| table.table.to_string())
        .chain(plan.adopted.iter().map(|table| table.table.to_string()))
        .collect();
    let mut tied = HashSet::new();
    for table in &plan.tables {
        for reference in table.references.iter().filter(|reference| known.contains(&reference.to.to_string())) {
            tied.insert(table.table.to_string());
            tied.insert(reference.to.to_string());
        }
    }
    plan.tables.iter().map(|table| table.table.to_string()).filter(|name| !tied.contains(name)).collect()
}
