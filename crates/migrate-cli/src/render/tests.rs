use anstream::adapter::strip_str;
use insta::assert_snapshot;
use migrate_core::names::{SourceKey, TableName};
use migrate_core::observe::TableStatus;
use migrate_core::record::RejectCode;
use migrate_core::report::{
    CountReport, Outcome, REPORT_VERSION, RejectReport, Report, ReportDiff, ReportTotals, RunCounts, TableReport,
};
use migrate_core::verify::{
    Difference, DifferenceKind, Level, TableVerification, VERIFICATION_VERSION, Values, Verdict, Verification,
};
use unicode_width::UnicodeWidthStr as _;

use super::{diff, failure, html, markdown, text, thousands, verification};

/// A table of which all rows are new.
fn table(name: &str, rows: u64) -> TableReport {
    TableReport {
        table: name.parse::<TableName>().unwrap(),
        source: rows,
        migrated: rows,
        skipped: 0,
        rejected: 0,
        status: TableStatus::Complete,
        inserted: rows,
        updated: 0,
        unchanged: 0,
        this_run: RunCounts { read: rows, inserted: rows, ..RunCounts::default() },
        counted_before: Some(rows),
        counted_after: Some(rows),
        errors: Vec::new(),
        warnings: Vec::new(),
        rejects: Vec::new(),
        reference_misses: Vec::new(),
        linked: 0,
        unlinked: 0,
        changes: Vec::new(),
        bytes: 0,
        retries: 0,
        seconds: 0.0,
        rows_per_second: 0.0,
    }
}

fn with_status(name: &str, status: TableStatus) -> TableReport {
    TableReport { status, ..table(name, 0) }
}

fn rejecting(mut table: TableReport, code: RejectCode, count: u64, key: &str) -> TableReport {
    table.rejected += count;
    table.migrated -= count;
    table.inserted -= count;
    table.this_run.inserted -= count;
    table.this_run.rejected += count;
    let sample_keys = vec![SourceKey::new(key)];
    table.rejects.push(RejectReport { code, count, sample_keys, remedy: code.remedy().to_owned() });
    table
}

fn changing(mut table: TableReport, changes: &[(&str, u64)]) -> TableReport {
    table.changes = counted(changes);
    table
}

fn counted(counts: &[(&str, u64)]) -> Vec<CountReport> {
    let count = |&(name, count): &(&str, u64)| CountReport { name: name.to_owned(), count, sample_keys: Vec::new() };
    counts.iter().map(count).collect()
}

fn report(outcome: Outcome, tables: Vec<TableReport>) -> Report {
    let sum = |of: fn(&TableReport) -> u64| tables.iter().map(of).sum();
    let totals = ReportTotals {
        source: sum(|table| table.source),
        migrated: sum(|table| table.migrated),
        skipped: sum(|table| table.skipped),
        rejected: sum(|table| table.rejected),
        bytes: 0,
    };
    let report = Report {
        version: REPORT_VERSION,
        tool: "migrate-run 0.0.0".to_owned(),
        timestamp: "2026-01-01T12:00:00Z".to_owned(),
        plan_fingerprint: "0".repeat(64),
        dry_run: false,
        outcome,
        error: None,
        tables: tables.into_iter().map(|table| (table.table.to_string(), table)).collect(),
        totals,
        duration_seconds: 12,
        snapshot: None,
        timing: None,
        plan: None,
        source: None,
    };
    assert_eq!(report.check(), Ok(()), "a report as no run writes it");
    report
}

/// A first run as of the example: a few rejects, and every kind of lossy edit.
fn first_run() -> Report {
    let payments = rejecting(
        changing(
            table("ari_payments", 1_160),
            &[("created_at:microseconds_cut", 700), ("currency:null_to_default", 12), ("paid_at:microseconds_cut", 40)],
        ),
        RejectCode::ReferenceMissing,
        4,
        "05c5685d-8dad-41e7-b994-b475fc2d2845",
    );
    let entries = changing(
        table("ari_knowledge_entries", 2_500),
        &[
            ("created_at:microseconds_cut", 1_154),
            ("is_active:null_to_default", 131),
            ("score:number_rounded", 1),
            ("updated_at:microseconds_cut", 1_176),
        ],
    );
    let registrations = rejecting(
        changing(table("webinar_registrations", 200), &[("registered_at:microseconds_cut", 85)]),
        RejectCode::ReferenceMissing,
        8,
        "4502e1e7-0d10-4e21-b4f4-28702d3a21f5",
    );
    report(
        Outcome::CompleteWithFindings,
        vec![
            changing(table("ari_knowledge_categories", 40), &[("created_at:microseconds_cut", 19)]),
            payments,
            table("webinars", 44),
            entries,
            registrations,
            with_status("articles", TableStatus::Missing),
        ],
    )
}

/// Everything that can go wrong, in one run over the same folder as an earlier one.
fn trouble() -> Report {
    let mut orders =
        rejecting(table("shop.orders_of_the_previous_system", 12_345_678), RejectCode::SinkRefused, 3, "17");
    orders.this_run = RunCounts { read: 45_678, inserted: 45_670, unchanged: 5, rejected: 3, ..RunCounts::default() };
    orders.inserted -= 905;
    orders.updated += 900;
    orders.unchanged += 5;
    orders.counted_after = Some(12_345_680);
    orders.warnings.push("12345678 rows were read, and the source counts 12345680 now".to_owned());
    let mut people = rejecting(table("people", 52_000), RejectCode::NotRepresentable, 1_200, "[\"a\",\"b\"]");
    people = rejecting(people, RejectCode::NullNotAllowed, 7, "9");
    people.reference_misses = counted(&[("manager_id", 40)]);
    people.unlinked = 25;
    people.linked = 300;
    let mut lines = table("order_lines", 900);
    lines.skipped = 100;
    lines.inserted = 800;
    lines.migrated = 800;
    lines.status = TableStatus::Incomplete;
    let many: Vec<String> = (0..60).map(|number| format!("measured_value_{number}:number_rounded")).collect();
    let many: Vec<(&str, u64)> = many.iter().map(|name| (name.as_str(), 100)).collect();
    let mut report = report(
        Outcome::Failed,
        vec![
            orders,
            people,
            lines,
            changing(table("measurements", 20_000), &many),
            with_status("secrets", TableStatus::Forbidden),
            with_status("invoices", TableStatus::Incomplete),
            with_status("drafts", TableStatus::NotSelected),
        ],
    );
    report.error = Some("read the table (table: secrets); run: grant select on secrets to service_role;".to_owned());
    report
}

/// The text without colours. No line is wider than asked for.
fn plain(report: &Report, width: Option<usize>) -> String {
    let text = strip_str(&text(report, None, width)).to_string();
    for line in text.lines() {
        assert!(width.is_none_or(|width| line.width() <= width), "too wide: {line}");
        assert_eq!(line.trim_end(), line, "spaces at the end");
    }
    text
}

#[test]
fn a_run_fits_into_80_columns() {
    assert_snapshot!("first_run_80", plain(&first_run(), Some(80)));
    assert_snapshot!("trouble_80", plain(&trouble(), Some(80)));
    let clean = report(Outcome::Complete, vec![table("orders", 3), table("order_lines", 0)]);
    assert_snapshot!("clean_80", plain(&clean, Some(80)));
    assert_snapshot!("no_tables_80", plain(&report(Outcome::Complete, Vec::new()), Some(80)));
}

#[test]
fn a_wide_terminal_and_a_pipe_show_every_column() {
    assert_snapshot!("first_run_200", plain(&first_run(), Some(200)));
    assert_snapshot!("first_run_pipe", plain(&first_run(), None));
    assert_snapshot!("trouble_200", plain(&trouble(), Some(200)));
}

#[test]
fn the_counts_of_earlier_runs_are_told_apart() {
    let mut again = first_run();
    for table in again.tables.values_mut() {
        table.this_run = RunCounts::default();
    }
    assert_snapshot!("again_80", plain(&again, Some(80)));
    again.dry_run = true;
    assert!(plain(&again, None).contains("dry run, nothing written: complete"));
}

#[test]
fn narrow_terminals_get_what_there_is_room_for() {
    let text = strip_str(&text(&first_run(), None, Some(30))).to_string();
    assert!(text.contains("ari_kn…ories"), "{text}");
}

/// Names are measured as a terminal shows them: a control character is six letters or more there.
#[test]
fn names_with_control_characters_do_not_shift_the_columns() {
    let name = "new\nline\u{1b}[2J and\u{202e}back";
    let mut hostile = rejecting(table("orders", 9), RejectCode::NotRepresentable, 2, "key\n\u{7}");
    hostile.rejects[0].remedy = format!("mend {name}\n  and go on");
    let mut report = report(Outcome::CompleteWithFindings, vec![hostile, table("lines", 1)]);
    let first = report.tables.shift_remove("orders").unwrap();
    report.tables.insert(name.to_owned(), first);
    for width in [80, 200] {
        let shown = plain(&report, Some(width));
        let shown = crate::printable::text(&shown).into_owned();
        let lines: Vec<&str> = shown.lines().collect();
        let states: Vec<usize> = lines.iter().filter_map(|line| line.find("complete").filter(|at| *at > 40)).collect();
        assert!(states.len() == 2 && states[0] == states[1], "{shown}");
        assert!(lines.iter().all(|line| line.width() <= width), "{shown}");
        assert!(shown.contains("\\u{1b}[2J"), "{shown}");
    }
    let markdown = markdown(&report, None);
    assert!(markdown.lines().any(|line| line.starts_with("| new\\\\u{a}line")), "{markdown}");
    assert!(!markdown.contains(['\u{1b}', '\u{202e}', '\u{7}']), "{markdown}");
}

#[test]
fn markdown_takes_nothing_of_a_name_for_its_own() {
    let mut report = report(Outcome::Complete, vec![table("orders", 1)]);
    let row = report.tables.shift_remove("orders").unwrap();
    report.tables.insert("<img src=x>|`*[a](b)".to_owned(), row);
    assert!(markdown(&report, None).contains("| \\<img src=x>\\|\\`\\*\\[a](b) |"), "{}", markdown(&report, None));
}

#[test]
fn colours_mark_what_wants_a_look() {
    assert_snapshot!("colours", text(&first_run(), None, Some(80)).replace('\u{1b}', "␛"));
}

#[test]
fn markdown_has_everything() {
    assert_snapshot!("first_run_markdown", markdown(&first_run(), None));
    assert_snapshot!("trouble_markdown", markdown(&trouble(), None));
    assert_eq!(failure(&first_run()), None);
}

/// Of the first run: with a difference, and a table that was left out.
fn verified() -> Verification {
    let value = Values { expected: "a secret".to_owned(), found: "another secret".to_owned() };
    let difference = Difference {
        kind: DifferenceKind::Kind,
        key: Some(SourceKey::new("05c5685d-8dad-41e7-b994-b475fc2d2845")),
        id: None,
        field: Some("meta.tags[2]\u{7}".to_owned()),
        expected: "null".to_owned(),
        found: "absent".to_owned(),
        values: Some(value),
    };
    let of = |row: &TableReport| TableVerification {
        is_compared: true,
        source: row.source,
        expected: row.migrated,
        rejected: row.rejected,
        documents: row.migrated,
        same: row.migrated,
        ..TableVerification::of(row.table.clone())
    };
    let mut verified = Verification {
        version: VERIFICATION_VERSION,
        tool: "migrate-verify 0.0.0".to_owned(),
        timestamp: "2026-01-01T12:00:12.5Z".to_owned(),
        plan_fingerprint: "0".repeat(64),
        level: Level::Full,
        resumed: false,
        seed: None,
        verdict: Verdict::Different,
        error: None,
        tables: first_run().tables.iter().map(|(name, row)| (name.clone(), of(row))).collect(),
        not_compared: vec!["ari_payments: fields outside the plan".to_owned()],
        duration_seconds: 3,
    };
    verified.tables.shift_remove("webinars");
    let payments = verified.tables.get_mut("ari_payments").unwrap();
    (payments.same, payments.differing) = (payments.same - 1, 1);
    payments.differences.push(difference);
    verified
}

#[test]
fn what_was_verified_stands_below_the_run() {
    let (report, verified) = (first_run(), verified());
    let shown = strip_str(&text(&report, Some(&verified), Some(80))).to_string();
    assert!(shown.lines().all(|line| line.width() <= 80), "{shown}");
    assert_snapshot!("verified_80", shown);
    assert_snapshot!("verified_markdown", markdown(&report, Some(&verified)));
    // Values are shown by migrate-verify alone.
    assert!(verification::text(&verified, None).contains("another secret"));
    assert!(!shown.contains("secret") && !markdown(&report, Some(&verified)).contains("secret"));
    let mut same = verified;
    same.verdict = Verdict::Same;
    for table in same.tables.values_mut() {
        (table.differing, table.differences) = (0, Vec::new());
    }
    assert_snapshot!("verified_same", strip_str(&text(&report, Some(&same), None)).to_string());
}

#[test]
fn numbers_have_thousands() {
    let shown = [0, 999, 1_000, 12_345, 999_999, 1_000_000, u64::MAX].map(thousands);
    assert_eq!(
        shown,
        ["0", "999", "1,000", "12,345", "999,999", "1,000,000", "18,446,744,073,709,551,615"].map(str::to_owned)
    );
}

/// The first run after its payments were mended, a table was added and another taken out.
fn later_run() -> Report {
    let first = first_run();
    let mut tables: Vec<TableReport> =
        first.tables.into_values().filter(|table| table.table.to_string() != "webinars").collect();
    let payments = tables.iter_mut().find(|table| table.rejected == 4).unwrap();
    (payments.migrated, payments.inserted, payments.rejected) = (1_160, 1_160, 0);
    payments.rejects.clear();
    payments.changes.pop();
    tables.push(table("new|table", 3));
    let mut later = report(Outcome::CompleteWithFindings, tables);
    later.timestamp = "2026-01-02T12:00:00Z".to_owned();
    later.plan_fingerprint = "1".repeat(64);
    later.duration_seconds = 18;
    later
}

#[test]
fn two_runs_are_compared() {
    let diff = ReportDiff::of(&first_run(), &later_run());
    assert_snapshot!("diff", diff::text(&diff));
    assert_snapshot!("diff_markdown", diff::markdown(&diff));
    let page = html::diff(&diff).unwrap();
    for told in ["1,156 → 1,160", "not planned → complete", "complete → not planned", "the plans differ"] {
        assert!(page.contains(told), "{told}");
    }
    let same = ReportDiff::of(&first_run(), &first_run());
    assert!(same.is_same() && same.tables.is_empty(), "{same:?}");
    assert!(diff::text(&same).starts_with("both runs came to the same"));
}

#[test]
fn differences_are_those_of_the_reports() {
    let (before, after) = (first_run(), later_run());
    let (there, back) = (ReportDiff::of(&before, &after), ReportDiff::of(&after, &before));
    assert_eq!((there.totals.source.before, there.totals.source.after), (before.totals.source, after.totals.source));
    assert_eq!((there.totals.rejected.before, there.totals.rejected.after), (12, 8));
    let told: Vec<&str> = there.tables.iter().map(|table| table.table.as_str()).collect();
    assert_eq!((told, there.same_tables), (vec!["ari_payments", "new|table", "webinars"], 4));
    assert_eq!((back.tables.len(), back.same_tables), (3, 4));
    for (one, other) in [(&there.rejects, &back.rejects), (&there.changes, &back.changes)] {
        let turned = other.iter().map(|count| (&count.name, count.count.after, count.count.before, &count.tables));
        assert!(one.iter().map(|count| (&count.name, count.count.before, count.count.after, &count.tables)).eq(turned));
        assert_eq!(one.len(), 1, "{one:?}");
    }
}
