//! The page of an assessment.

use std::collections::{BTreeMap, BTreeSet};

use migrate_core::Result;
use migrate_core::assess::{Assessment, Effect, Finding, Readiness, ScanMode, TableAssessment};
use migrate_core::catalog::TableState;
use migrate_core::names::TableName;
use minijinja::{Value, context};

use super::kit::bars::{Part, bar};
use super::kit::graph::{Edge, Node, graph};
use super::kit::{Tone, render, units};
use crate::render::assessment::{self, decimal_bytes, duration, verdict};
use crate::render::thousands;

const PAGE: &str = include_str!("assessment.html");

/// One self-contained file.
///
/// # Errors
/// `Unexpected` where template and values do not fit.
pub(crate) fn page(assessment: &Assessment) -> Result<String> {
    render(PAGE, values(assessment))
}

fn values(assessment: &Assessment) -> Value {
    let count = |readiness| assessment.count(readiness);
    let (blocked, open) = (count(Readiness::Blocked), count(Readiness::Decision));
    let word = match (blocked, open) {
        (0, 0) => (Tone::Good, "ready"),
        (0, _) => (Tone::Notice, "decisions to make"),
        _ => (Tone::Bad, "blocked"),
    };
    let scan = &assessment.scan;
    let rejected: u64 = assessment.tables.iter().filter_map(assessment::moved).map(|scan| scan.rejected).sum();
    let findings = assessment.findings();
    let wanting = findings.iter().filter(|(_, found)| found.effect.wants_decision()).count();
    let note = |count: usize| (count > 0).then(|| thousands(u64::try_from(count).unwrap_or(u64::MAX)));
    let section = |id: &str, title: &str, note: Option<String>, tone: Tone| context! { id, title, note, tone };
    let sections = vec![
        section("readiness", "Readiness", note(blocked + open), if blocked > 0 { Tone::Bad } else { Tone::Notice }),
        section("decisions", "Decisions", None, Tone::Plain),
        section("health", "Data health", note(wanting), Tone::Notice),
        section("types", "Types and losses", None, Tone::Plain),
        section("estimate", "Size and time", None, Tone::Plain),
        section("left", "What does not move", note(assessment.inventory.len()), Tone::Plain),
        section("method", "How it was made", None, Tone::Plain),
    ];
    let parts: Vec<Part> = Readiness::ALL
        .iter()
        .map(|&readiness| Part {
            class: tone(readiness).as_str(),
            label: readiness.counted(count(readiness)),
            count: u64::try_from(count(readiness)).unwrap_or(0),
        })
        .collect();
    let legend: Vec<Value> = parts
        .iter()
        .filter(|part| part.count > 0)
        .map(|part| context! { class => part.class, label => part.label.clone() })
        .collect();
    context! {
        title => "Assessment of a Supabase project for Convex",
        tool => assessment.tool.clone(),
        timestamp => assessment.timestamp.clone(),
        origin => assessment.origin.clone(),
        badge => context! { tone => word.0, text => word.1 },
        verdict => verdict(assessment),
        sections,
        bar => bar(&parts),
        legend,
        counts => Readiness::ALL.iter().map(|&readiness| context! {
            label => readiness.words(), count => count(readiness),
            tone => if count(readiness) > 0 { tone(readiness) } else { Tone::Plain },
        }).collect::<Vec<_>>(),
        rejected => (scan.mode != ScanMode::None).then_some(rejected),
        graph => graph("Tables and their references", &nodes(assessment), &edges(assessment)),
        tables => assessment.tables.iter().enumerate().map(table).collect::<Vec<_>>(),
        findings => findings.iter().map(|(name, found)| finding(assessment, name, found)).collect::<Vec<_>>(),
        is_scanned => scan.mode != ScanMode::None,
        is_exact => scan.mode == ScanMode::Full && scan.complete,
        scan => context! {
            is_sample => scan.mode == ScanMode::Sample, rows => scan.rows,
            bytes => units::bytes(scan.bytes), seconds => units::seconds(scan.seconds), unchecked => scan.unchecked.clone(),
        },
        estimate => assessment.estimate.as_ref().map(|estimate| context! {
            about => if estimate.exact { "" } else { "~" },
            documents => estimate.documents,
            document_bytes => units::bytes(estimate.document_bytes),
            index_bytes => units::bytes(estimate.index_bytes),
            source_bytes => units::bytes(estimate.source_bytes),
            calls => estimate.calls,
            formula => estimate.formula.clone(),
            classes => estimate.classes.iter().map(|class| context! {
                name => class.name.clone(), rate => units::bytes(class.bytes_per_second), time => duration(class.seconds),
            }).collect::<Vec<_>>(),
            free => [
                (estimate.fits_free_storage, "stored", estimate.free_storage_bytes),
                (estimate.fits_free_monthly, "written in a month", estimate.free_monthly_bytes),
            ].map(|(fits, what, bytes)| context! {
                fits, what, most => decimal_bytes(bytes), tone => if fits { Tone::Good } else { Tone::Bad },
            }).to_vec(),
        }),
        notes => assessment.notes.clone(),
        inventory => inventory(assessment),
        unknown => assessment.unknown.clone(),
    }
}

fn tone(readiness: Readiness) -> Tone {
    match readiness {
        Readiness::Blocked => Tone::Bad,
        Readiness::Decision => Tone::Notice,
        Readiness::Automatic => Tone::Good,
        Readiness::LeftOut => Tone::Plain,
    }
}

/// Where on the page a table is told of; its name could be any text.
fn anchor(position: usize) -> String {
    format!("table-{position}")
}

fn table((position, table): (usize, &TableAssessment)) -> Value {
    let state = match table.state {
        TableState::Present | TableState::Empty => None,
        TableState::Missing => Some("missing"),
        TableState::Forbidden => Some("forbidden"),
    };
    let role = match () {
        () if table.adopted => "found in Convex, not moved",
        () if table.sinks.is_empty() => "not moved",
        () => "",
    };
    context! {
        anchor => anchor(position),
        name => table.table.to_string(),
        sinks => table.sinks.iter().map(ToString::to_string).collect::<Vec<_>>(),
        role,
        state,
        readiness => context! { tone => tone(table.readiness), text => table.readiness.words() },
        rows => table.rows,
        decisions => table.decisions.iter().map(|decision| context! {
            what => decision.what.clone(), remedy => decision.remedy.clone(), setting => decision.setting.clone(),
        }).collect::<Vec<_>>(),
        columns => table.columns.iter().map(|column| context! {
            name => column.column.to_string(), source_type => column.source_type.clone(), nullable => column.nullable,
            fields => column.fields.clone(), becomes => column.becomes.clone(), loss => column.loss.clone(),
        }).collect::<Vec<_>>(),
        losses => table.columns.iter().filter(|column| column.loss.is_some()).count(),
        not_enforced => table.not_enforced.clone(),
        adopted => table.adopted,
        scan => table.scan.as_ref().map(|scan| context! {
            rows => scan.rows, rejected => scan.rejected, skipped => scan.skipped, documents => scan.documents,
            document_bytes => units::bytes(scan.document_bytes), largest => units::bytes(scan.largest_document),
            error => scan.error.clone(),
        }),
    }
}

fn finding(assessment: &Assessment, name: &TableName, found: &Finding) -> Value {
    let position = assessment.tables.iter().position(|table| table.table == *name);
    let tone = match found.effect {
        Effect::EndsRun | Effect::Rejected => Tone::Bad,
        Effect::Merged | Effect::Unlinked => Tone::Notice,
        Effect::Skipped | Effect::Changed | Effect::Kept => Tone::Plain,
    };
    context! {
        table => name.to_string(),
        anchor => position.map(anchor),
        column => found.column.clone(),
        what => found.kind.words(),
        detail => found.detail.clone(),
        code => found.kind.as_str(),
        rows => found.rows,
        effect => context! { tone, text => found.effect.words() },
        keys => found.sample_keys.iter().map(ToString::to_string).collect::<Vec<_>>(),
        remedy => found.kind.remedy(),
    }
}

fn nodes(assessment: &Assessment) -> Vec<Node> {
    let levels = levels(assessment);
    let node = |(position, table): (usize, &TableAssessment)| Node {
        name: table.table.to_string(),
        detail: match table.rows {
            Some(rows) => format!("{}, {}", table.readiness.words(), assessment::rows(rows)),
            None => table.readiness.words().to_owned(),
        },
        tone: tone(table.readiness),
        level: levels.get(position).copied().unwrap_or(0),
        anchor: Some(anchor(position)),
    };
    assessment.tables.iter().enumerate().map(node).collect()
}

/// References between tables by their positions: who refers, and to which.
fn pairs(assessment: &Assessment) -> BTreeSet<(usize, usize)> {
    let places: BTreeMap<&TableName, usize> =
        assessment.tables.iter().enumerate().map(|(position, table)| (&table.table, position)).collect();
    let of = |(from, table): (usize, &TableAssessment)| {
        table.refers_to.iter().filter_map(|parent| places.get(parent).map(|&to| (from, to))).collect::<Vec<_>>()
    };
    assessment.tables.iter().enumerate().flat_map(of).collect()
}

fn edges(assessment: &Assessment) -> Vec<Edge> {
    let levels = levels(assessment);
    let is_back = |from: usize, to: usize| levels.get(to) >= levels.get(from);
    pairs(assessment).into_iter().map(|(from, to)| Edge { from, to, cut: is_back(from, to) }).collect()
}

/// For each table one more than the highest of its parents; in a cycle, as far as they were known.
fn levels(assessment: &Assessment) -> Vec<usize> {
    let pairs = pairs(assessment);
    let mut levels: Vec<Option<usize>> = vec![None; assessment.tables.len()];
    loop {
        let of = |at: usize, is_forced: bool| -> Option<usize> {
            let mut level = 0;
            for &(_, to) in pairs.iter().filter(|&&(from, to)| from == at && to != at) {
                match levels.get(to).copied().flatten() {
                    Some(parent) => level = level.max(parent + 1),
                    None if is_forced => {}
                    None => return None,
                }
            }
            Some(level)
        };
        let open: Vec<usize> = (0..levels.len()).filter(|&at| levels.get(at).is_some_and(Option::is_none)).collect();
        let Some(&first) = open.first() else { break };
        let mut found: Vec<(usize, Option<usize>)> = open.iter().map(|&at| (at, of(at, false))).collect();
        if found.iter().all(|(_, level)| level.is_none()) {
            found = vec![(first, of(first, true))];
        }
        for (at, level) in found {
            if let Some(slot) = levels.get_mut(at) {
                *slot = level;
            }
        }
    }
    levels.into_iter().map(Option::unwrap_or_default).collect()
}

/// What does not move, by kind.
fn inventory(assessment: &Assessment) -> Vec<Value> {
    let mut kinds: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for item in &assessment.inventory {
        let kind =
            serde_json::to_value(item.kind).ok().and_then(|kind| kind.as_str().map(|kind| kind.replace('_', " ")));
        let one = context! { name => item.name.clone(), detail => item.detail.clone() };
        kinds.entry(kind.unwrap_or_default()).or_default().push(one);
    }
    kinds.into_iter().map(|(kind, items)| context! { kind, items }).collect()
}
