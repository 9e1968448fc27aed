//! A report as a page.

mod findings;
mod tables;
mod throughput;
mod verification;

use migrate_core::Result;
use migrate_core::plan::{LegacyIds, WriteMethod};
use migrate_core::report::{Outcome, PlanReport, Report, SourceReport};
use migrate_core::verify::Verification;
use minijinja::value::Serde;
use minijinja::{Value, context};

use super::kit::{self, Tone};
use crate::render::{left_behind, moment, outcome_words};

const PAGE: &str = include_str!("report.html");

/// Letters of a fingerprint that people compare.
const SHORT_FINGERPRINT: usize = 12;

/// The page of a report, and of what was verified of it.
///
/// # Errors
/// `Unexpected` where the page's template is wrong.
pub(crate) fn page(report: &Report, verification: Option<&Verification>) -> Result<String> {
    let findings = findings::Findings::of(report);
    let source = report.source.as_ref().map(left_behind);
    let sections = sections(report, &findings, verification);
    let values = context! {
        title => "Migration report",
        sections,
        tool => report.tool.clone(),
        timestamp => report.timestamp.clone(),
        began => moment(&report.timestamp),
        dry_run => report.dry_run,
        fingerprint => report.plan_fingerprint.chars().take(SHORT_FINGERPRINT).collect::<String>(),
        outcome => outcome_words(report.outcome),
        outcome_tone => outcome_tone(report.outcome),
        error => report.error.clone(),
        totals => Serde(report.totals),
        total_bar => tables::total_bar(report),
        legend => tables::legend(report),
        table_count => report.tables.len(),
        duration => duration(report),
        snapshot => report.snapshot.as_ref().map(Serde),
        tables => tables::rows(report),
        warnings => tables::warnings(report),
        graph => tables::graph(report),
        alone => tables::alone(report),
        has_plan => report.plan.is_some(),
        verified => verification.map(|verification| verification::values(verification, report)),
        rejects => findings.rejects,
        unlinked => findings.unlinked,
        changes => findings.changes,
        misses => findings.misses,
        absent => findings.absent,
        throughput => throughput::values(report),
        source,
        not_enforced => report.plan.as_ref().map(not_enforced),
        notes => report.plan.as_ref().map(|plan| plan.notes.clone()),
        settings => report.plan.as_ref().map(settings),
    };
    kit::render(PAGE, values)
}

/// The page's sections, for its navigation. The ids are the template's.
fn sections(report: &Report, findings: &findings::Findings, verification: Option<&Verification>) -> Vec<Value> {
    let left = report.source.as_ref().map_or(0, |source| source.left_behind.len());
    let shown = |number: u64| if number == 0 { String::new() } else { crate::render::thousands(number) };
    let count = |count: usize| shown(count as u64);
    let differences = shown(verification.map_or(0, verification::found));
    let entries = [
        ("summary", "Summary", String::new(), Tone::Plain),
        ("tables", "Tables", count(report.tables.len()), Tone::Plain),
        ("verification", "Verification", differences, Tone::Bad),
        ("references", "References", String::new(), Tone::Plain),
        ("rejects", "Rejected rows", shown(report.totals.rejected), Tone::Notice),
        ("lossy", "Lossy edits", count(findings.changes.len()), Tone::Plain),
        ("absent", "Absent tables", count(findings.absent.len()), Tone::Bad),
        ("timing", "Time and throughput", String::new(), Tone::Plain),
        ("left-behind", "What does not move", count(left), Tone::Notice),
        ("settings", "Plan and settings", String::new(), Tone::Plain),
    ];
    entries.into_iter().map(|(id, title, note, tone)| context! { id, title, note, tone }).collect()
}

fn outcome_tone(outcome: Outcome) -> Tone {
    match outcome {
        Outcome::Complete => Tone::Good,
        Outcome::CompleteWithFindings | Outcome::Interrupted => Tone::Notice,
        Outcome::Failed => Tone::Bad,
    }
}

/// How long it took; of an old report to the second.
#[expect(clippy::cast_precision_loss, reason = "it is shown in two units")]
fn duration(report: &Report) -> f64 {
    report.timing.as_ref().map_or(report.duration_seconds as f64, |timing| timing.seconds)
}

fn left_behind(source: &SourceReport) -> Value {
    let groups = left_behind::grouped(&source.left_behind);
    let groups: Vec<Value> = groups
        .into_iter()
        .map(|(kind, items)| {
            let items: Vec<Value> = items
                .into_iter()
                .map(|item| context! { name => item.name.clone(), detail => item.detail.clone() })
                .collect();
            context! { title => kind.title, advice => kind.advice, items }
        })
        .collect();
    context! { origin => source.origin.clone(), unknown => source.unknown.clone(), groups }
}

/// Tables with what the source enforced of them.
fn not_enforced(plan: &PlanReport) -> Vec<Value> {
    let tables = plan.tables.iter().filter(|table| !table.not_enforced.is_empty());
    tables.map(|table| context! { table => table.table.to_string(), rules => table.not_enforced.clone() }).collect()
}

/// Names and values. None is a secret: keys and addresses are not in a plan.
fn settings(plan: &PlanReport) -> Vec<Value> {
    let (run, sink) = (&plan.run, &plan.sink);
    let or = |value: Option<String>, words: &str| value.unwrap_or_else(|| words.to_owned());
    let write = match sink.write {
        WriteMethod::Mutations => "mutations, batch by batch",
        WriteMethod::Snapshot => "one snapshot, imported at once",
    };
    let legacy_ids = match sink.legacy_ids {
        LegacyIds::Field => format!("in the field {} of each document", sink.legacy_id_field),
        LegacyIds::SideTable => "in a table of their own".to_owned(),
    };
    let callers =
        if sink.public_functions { "whoever knows MIGRATION_SECRET" } else { "the deployment's own keys only" };
    let entries = [
        ("Written by", write.to_owned()),
        ("Generated functions", format!("{}/{}", sink.functions, sink.module)),
        ("Who may call them", callers.to_owned()),
        ("Keys of the rows", legacy_ids),
        ("Rows in a page", crate::render::thousands(run.page_rows as u64)),
        ("Records in a batch, at most", crate::render::thousands(run.batch_records as u64)),
        ("Batches on the way at once", run.in_flight.to_string()),
        ("Tables read side by side", run.tables_in_parallel.to_string()),
        ("Parts of a table", or(run.partitions.map(|parts| parts.to_string()), "by its size")),
        ("Stops after so many rejects", or(run.max_rejects.map(crate::render::thousands), "never")),
        ("Writes no faster than", or(run.write_rate.map(|rate| format!("{rate} a second")), "the deployment takes it")),
    ];
    entries.into_iter().map(|(name, value)| context! { name, value }).collect()
}
