//! A diagnosis as people read it: what was seen, then what to do.

use anstyle::Style;

use super::diagnosis::{Diagnosis, OriginKind, Proof, SettingReport};
use super::findings::{Finding, Severity};
use crate::render::{BAD, BOLD, FAINT, GOOD, NOTICE, paint, thousands};
use crate::wrap;

/// The columns before what is said of a setting or a side.
const LABEL: usize = 32;
/// The columns before a finding's text.
const INDENT: usize = 9;

/// The diagnosis with the codes of colours; without a terminal's width each finding is one line, for those who search it.
pub(super) fn text(diagnosis: &Diagnosis, width: Option<usize>) -> String {
    let mut lines = Vec::new();
    for (heading, rows) in [
        ("settings", diagnosis.settings.iter().map(setting).collect()),
        ("supabase", supabase(diagnosis)),
        ("convex", convex(diagnosis)),
    ] {
        lines.push(paint(BOLD, heading));
        lines.extend(rows.iter().flat_map(|(label, value)| row(label, value, width)));
        lines.push(String::new());
    }
    for finding in &diagnosis.findings {
        lines.extend(match width {
            Some(width) => wrapped(finding, width),
            None => vec![one_line(finding)],
        });
    }
    if !diagnosis.findings.is_empty() {
        lines.push(String::new());
    }
    lines.push(verdict(diagnosis));
    lines.join("\n")
}

type Row = (String, String);

fn row(label: &str, value: &str, width: Option<usize>) -> Vec<String> {
    let room = width.map_or(usize::MAX, |width| width.saturating_sub(LABEL));
    let parts = wrap::words(value, room);
    let label = |position| if position == 0 { label } else { "" };
    let line = |(position, part): (usize, &String)| format!("  {:<width$}{part}", label(position), width = LABEL - 2);
    parts.iter().enumerate().map(line).collect()
}

fn setting(setting: &SettingReport) -> Row {
    let place = match (setting.origin, &setting.file) {
        (None, _) => "not set".to_owned(),
        (Some(OriginKind::File), Some(file)) => file.clone(),
        (Some(OriginKind::File), None) => "a file".to_owned(),
        (Some(OriginKind::Flag), _) => "the command line".to_owned(),
        (Some(OriginKind::Environment), _) => "the environment".to_owned(),
        (Some(OriginKind::Config), _) => "migrate.toml".to_owned(),
    };
    (setting.name.clone(), place)
}

fn supabase(diagnosis: &Diagnosis) -> Vec<Row> {
    let (api, database) = (&diagnosis.supabase, &diagnosis.database);
    let max_rows = api.max_rows.map(|rows| {
        let least = if api.max_rows_is_exact { "" } else { "or more" };
        format!("{} {least}", thousands(rows)).trim_end().to_owned()
    });
    let tables = api.readable_tables.map(|readable| match api.unreadable_tables.len() {
        0 => format!("{readable} readable"),
        unreadable => format!("{readable} readable, {unreadable} not"),
    });
    let postgres = database.address.as_ref().map(|address| {
        let kind = database.kind.as_deref().filter(|kind| *kind != "other").map(|kind| format!(", {kind}"));
        format!("{address}{}", kind.unwrap_or_default())
    });
    rows(vec![
        ("address", api.address.clone()),
        ("key", api.key.clone()),
        ("administrator", api.admin.map(proof)),
        ("PostgREST", api.postgrest.clone()),
        ("Postgres", database.postgres.clone()),
        ("database address", postgres),
        ("tables", tables),
        ("rows of one answer", max_rows),
        ("clock", api.clock_skew_seconds.map(clock)),
    ])
}

fn convex(diagnosis: &Diagnosis) -> Vec<Row> {
    let convex = &diagnosis.convex;
    let functions = convex.functions.map(|counts| {
        let parts = [
            (counts.current, "as planned"),
            (counts.present, "there"),
            (counts.missing, "missing"),
            (counts.differing, "other than planned"),
        ];
        let parts = parts.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}"));
        parts.collect::<Vec<_>>().join(", ")
    });
    rows(vec![
        ("address", convex.address.clone()),
        ("deployment", convex.deployment.clone().filter(|kind| kind != "other")),
        ("administrator", convex.admin.map(proof)),
        ("version", convex.version.clone()),
        ("functions", functions),
        ("clock", convex.clock_skew_seconds.map(clock)),
    ])
}

/// Those that are known; a side of which nothing is known says so.
fn rows(all: Vec<(&str, Option<String>)>) -> Vec<Row> {
    let known: Vec<Row> = all.into_iter().filter_map(|(label, value)| Some((label.to_owned(), value?))).collect();
    if known.is_empty() { vec![("not asked".to_owned(), "its settings are missing".to_owned())] } else { known }
}

fn proof(proof: Proof) -> String {
    match proof {
        Proof::Proven => "proven",
        Proof::Refused => "refused",
        Proof::Untold => "not proven",
    }
    .to_owned()
}

fn clock(seconds: i64) -> String {
    match seconds {
        0 => "the same".to_owned(),
        ahead @ 1.. => format!("{ahead} s ahead"),
        behind => format!("{} s behind", behind.unsigned_abs()),
    }
}

fn style(severity: Severity) -> Style {
    match severity {
        Severity::Error => BAD,
        Severity::Warning => NOTICE,
        Severity::Info => FAINT,
    }
}

fn one_line(finding: &Finding) -> String {
    let Finding { code, severity, message, remedy } = finding;
    format!("{} {}: {message}; {remedy}", paint(style(*severity), severity.as_str()), code.rule().name)
}

/// The message, then the remedy, whose command is never broken: it is there to be copied.
fn wrapped(finding: &Finding, width: usize) -> Vec<String> {
    let room = width.saturating_sub(INDENT);
    let word = finding.severity.as_str();
    let space = INDENT.saturating_sub(word.len());
    let head =
        format!("{}{:space$}{}", paint(style(finding.severity), word), "", paint(BOLD, finding.code.rule().name));
    let mut lines = wrap::words(&finding.message, room);
    match finding.remedy.split_once("run: ") {
        Some((before, command)) if finding.remedy.chars().count() > room => {
            lines.extend(wrap::words(&format!("{before}run:"), room));
            lines.push(format!("  {command}"));
        }
        _ => lines.extend(wrap::words(&finding.remedy, room)),
    }
    std::iter::once(head).chain(lines.into_iter().map(|line| format!("{:INDENT$}{line}", ""))).collect()
}

fn verdict(diagnosis: &Diagnosis) -> String {
    let counted = |severity: Severity, one: &str, many: &str| match diagnosis.count(severity) {
        0 => None,
        1 => Some(format!("1 {one}")),
        count => Some(format!("{count} {many}")),
    };
    let errors = counted(Severity::Error, "error", "errors");
    let warnings = counted(Severity::Warning, "warning", "warnings");
    let style = if errors.is_some() {
        BAD
    } else if warnings.is_some() {
        NOTICE
    } else {
        GOOD
    };
    let notes = counted(Severity::Info, "note", "notes");
    let ready = if errors.is_none() { "nothing stands in the way" } else { "to be mended" };
    let parts: Vec<String> = [errors, warnings, notes].into_iter().flatten().collect();
    let parts = if parts.is_empty() { String::new() } else { format!(": {}", parts.join(", ")) };
    paint(style, &format!("{ready}{parts}"))
}
