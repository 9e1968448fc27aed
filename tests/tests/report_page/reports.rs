//! Reports that have everything, nothing, and names that would break out of a page.

use migrate_core::report::Report;
use serde_json::{Map, Value, json};

/// All of them, by name.
pub(crate) fn all() -> Vec<(&'static str, Report)> {
    vec![
        ("full", full()),
        ("hostile", hostile()),
        ("clean", clean()),
        ("first_version", first_version()),
        ("many", many()),
    ]
}

/// A reference: its field, the table it leads to, and whether it is cut.
type Reference<'a> = (&'a str, &'a str, bool);
/// A planned table: its name at both sides, its level and its references.
type Planned<'a> = (&'a str, &'a str, usize, &'a [Reference<'a>]);

/// Puts the members of an object into another, over those that are there.
fn put(into: &mut Value, more: Value) {
    if let Value::Object(more) = more {
        for (key, value) in more {
            into[key] = value;
        }
    }
}

fn table(name: &str, rows: u64, more: Value) -> (String, Value) {
    let mut table = json!({
        "table": name, "source": rows, "migrated": rows, "skipped": 0, "rejected": 0, "status": "complete",
        "inserted": rows, "updated": 0, "unchanged": 0,
        "this_run": { "read": rows, "inserted": rows, "updated": 0, "unchanged": 0, "rejected": 0 },
        "counted_before": rows, "counted_after": rows, "errors": [], "warnings": [], "rejects": [],
        "reference_misses": [], "linked": 0, "unlinked": 0, "changes": [], "bytes": rows * 500, "retries": 0,
        "seconds": 1.5, "rows_per_second": rows / 2,
    });
    put(&mut table, more);
    (name.to_owned(), table)
}

fn report(outcome: &str, tables: Vec<(String, Value)>, more: Value) -> Report {
    let sum = |key: &str| tables.iter().map(|(_, table)| table[key].as_u64().unwrap()).sum::<u64>();
    let mut report = json!({
        "version": 2, "tool": "migrate-run 0.1.0", "timestamp": "2026-01-01T12:00:00.123Z",
        "plan_fingerprint": "0123456789abcdef".repeat(4), "dry_run": false, "outcome": outcome, "error": null,
        "totals": {
            "source": sum("source"), "migrated": sum("migrated"), "skipped": sum("skipped"),
            "rejected": sum("rejected"), "bytes": sum("bytes"),
        },
        "duration_seconds": 12,
    });
    report["tables"] = Value::Object(tables.into_iter().collect::<Map<String, Value>>());
    put(&mut report, more);
    let report: Report = serde_json::from_value(report).unwrap();
    assert_eq!(report.check(), Ok(()), "a report as no run writes it");
    report
}

fn rejects(code: &str, count: u64, key: &str) -> Value {
    json!({ "code": code, "count": count, "sample_keys": [key], "remedy": "mend it, or plan on_missing = \"null\"" })
}

fn plan(tables: &[Planned<'_>], adopted: &[&str]) -> Value {
    let planned = tables.iter().map(|(name, sink, level, references)| {
        let references = references.iter().map(|(field, to, cut)| json!({ "field": field, "to": to, "cut": cut }));
        json!({
            "table": name, "sink": sink, "level": level, "references": references.collect::<Vec<_>>(),
            "not_enforced": ["unique (name): two documents may have the same"],
        })
    });
    let adopted = adopted.iter().map(|name| json!({ "table": name, "sink": name, "index": "by_email" }));
    json!({
        "sink": { "functions": "convex", "module": "migration/migrate", "legacy_id_field": "supabaseId" },
        "run": { "page_rows": 1000, "batch_records": 500, "write_rate": "3MiB", "max_rejects": 1000 },
        "tables": planned.collect::<Vec<_>>(), "adopted": adopted.collect::<Vec<_>>(),
        "notes": ["orders.region: the field is named region"],
    })
}

fn timing(tables: &[&str]) -> Value {
    let mut spans = vec![json!({ "phase": "prepare", "from_seconds": 0.0, "seconds": 1.5 })];
    for (at, name) in (0_u32..).zip(tables) {
        spans.push(json!({ "phase": "copy", "table": name, "from_seconds": 1.5 + f64::from(at), "seconds": 3.0 }));
    }
    spans.push(json!({ "phase": "link", "table": tables[0], "from_seconds": 9.0, "seconds": 2.0 }));
    spans.push(json!({ "phase": "finish", "from_seconds": 11.0, "seconds": 1.0 }));
    let mib = 1 << 20;
    json!({
        "seconds": 12.0, "step_seconds": 1.0, "rows": [0, 900, 4_000, 7_500, 7_000, 3_000, 20],
        "bytes": [0, mib, 5 * mib, 5 * mib + 400_000, 5 * mib, 2 * mib, 500], "retries": [0, 0, 1, 2, 0, 0, 0],
        "spans": spans,
    })
}

fn source(name: &str) -> Value {
    let kinds = [
        "row_level_security",
        "policy",
        "trigger",
        "function",
        "cron_job",
        "realtime",
        "storage_bucket",
        "auth_users",
        "view",
        "extension",
    ];
    let items = kinds.iter().map(|kind| json!({ "kind": kind, "name": name, "detail": format!("what {name} does") }));
    json!({ "origin": "PostgreSQL 15.8", "left_behind": items.collect::<Vec<_>>(), "unknown": ["jobs of pg_cron"] })
}

/// Everything that a page can show.
pub(crate) fn full() -> Report {
    let tables = vec![
        table("regions", 12, json!({})),
        table(
            "people",
            52_000,
            json!({
                "migrated": 50_700, "inserted": 40_700, "updated": 10_000, "skipped": 93, "rejected": 1_207,
                "rejects": [
                    rejects("not_representable", 1_200, "[\"a\",\"b\"]"),
                    rejects("null_not_allowed", 7, "05c5685d-8dad-41e7-b994-b475fc2d2845"),
                ],
                "reference_misses": [{ "name": "manager_id", "count": 40, "sample_keys": ["7"] }],
                "linked": 300, "unlinked": 25, "retries": 3,
                "changes": (0..14).map(|at| json!({
                    "name": format!("measured_value_{at}:number_rounded"), "count": 100 - at, "sample_keys": ["1", "2"],
                })).collect::<Vec<_>>(),
            }),
        ),
        table(
            "shop.orders_of_the_previous_system_with_a_long_name",
            1_345_678,
            json!({
                "counted_after": 1_345_680,
                "warnings": ["1345678 rows were read, and the source counts 1345680 now: rows came or went during the run"],
            }),
        ),
        table("order_lines", 900, json!({ "status": "incomplete", "errors": ["write the batch; the sink is away"] })),
        table("invoices", 0, json!({ "status": "missing" })),
        table("secrets", 0, json!({ "status": "forbidden", "errors": ["read the table (table: secrets)"] })),
        table("drafts", 0, json!({ "status": "not_selected" })),
    ];
    let names = ["people", "regions", "shop.orders_of_the_previous_system_with_a_long_name", "order_lines"];
    let more = json!({
        "error": "read the table (table: secrets); run: grant select on secrets to service_role;",
        "timing": timing(&names),
        "source": source("orders.only_own"),
        "plan": plan(
            &[
                ("regions", "regions", 0, &[]),
                ("people", "people", 1, &[("region", "regions", false), ("manager", "people", true)]),
                (
                    "shop.orders_of_the_previous_system_with_a_long_name", "orders", 2,
                    &[("buyer", "people", false), ("region", "regions", false), ("customer", "customers", false)],
                ),
                ("order_lines", "orderLines", 3, &[
                    ("order", "shop.orders_of_the_previous_system_with_a_long_name", false),
                    ("customer", "customers", false),
                ]),
                ("drafts", "drafts", 0, &[]),
            ],
            &["customers"],
        ),
        "snapshot": {
            "file": "/home/me/shop/.migrate/20260101T120000000Z/snapshot.zip", "bytes": 123_456_789, "sha256": "ab".repeat(32),
            "encoding": "uniform", "documents": 52_900,
            "import": { "id": "0123456789abcdef", "mode": "require_empty", "documents": 52_900 },
        },
    });
    report("failed", tables, more)
}

/// Names that are markup, that turn text around, or that cannot be seen.
pub(crate) const HOSTILE_NAMES: [&str; 8] = [
    "<img src=x onerror=\"alert(1)\">",
    "\"'&</title></style><script>alert(2)</script>",
    "javascript:alert(3)",
    "שלום \u{202e}txt.exe\u{2066}",
    "a\u{0}\u{7}\u{200b}b\nc\td",
    "{{ 7 * 7 }}{% raw %}",
    "x\" onmouseover=\"alert(4)",
    "]]></svg><svg onload=alert(5)>",
];

/// Such names wherever a report has one.
pub(crate) fn hostile() -> Report {
    let names = HOSTILE_NAMES;
    let rows = |name: &str| {
        let key = format!("key {name}");
        table(
            name,
            10,
            json!({
                "migrated": 8, "inserted": 8, "rejected": 2, "unlinked": 1,
                "rejects": [{ "code": "reference_missing", "count": 2, "sample_keys": [key, name], "remedy": name }],
                "reference_misses": [{ "name": name, "count": 2, "sample_keys": [name] }],
                "changes": [{ "name": format!("{name}:number_rounded"), "count": 1, "sample_keys": [name] }],
                "warnings": [name], "errors": [name],
            }),
        )
    };
    let mut tables: Vec<(String, Value)> = names.iter().map(|name| rows(name)).collect();
    tables.push(table("lost", 0, json!({ "status": "missing", "errors": [names[0]] })));
    let references: Vec<Reference<'_>> = names[1..].iter().map(|name| (*name, names[0], false)).collect();
    let planned: Vec<Planned<'_>> = names
        .iter()
        .enumerate()
        .map(|(at, name)| {
            let references: &[Reference<'_>] = if at == 0 { &[] } else { &references };
            (*name, *name, usize::from(at > 0), references)
        })
        .collect();
    let more = json!({
        "tool": names[0], "error": names[1], "timestamp": names[2], "plan_fingerprint": names[0],
        "timing": timing(&names), "source": source(names[1]), "plan": plan(&planned, &[]),
    });
    report("failed", tables, more)
}

/// A name as the page shows it.
pub(crate) fn visible(name: &str) -> String {
    let shown = |letter: char| match letter {
        '\n' => "␊".to_owned(),
        '\t' => "␉".to_owned(),
        '\u{202e}' | '\u{2066}' | '\u{0}' | '\u{7}' | '\u{200b}' => format!("⟨U+{:04X}⟩", u32::from(letter)),
        letter => letter.to_string(),
    };
    name.chars().map(shown).collect()
}

/// A run without a finding, and without anything to tell beside.
pub(crate) fn clean() -> Report {
    let more = json!({
        "plan": plan(&[("orders", "orders", 0, &[])], &[]),
        "timing": { "seconds": 0.2, "step_seconds": 0.25, "rows": [], "bytes": [], "retries": [], "spans": [] },
        "source": { "origin": "a test", "left_behind": [], "unknown": [] },
    });
    report("complete", vec![table("orders", 3, json!({}))], more)
}

/// A report of before the plan, the source and the times were in it.
fn first_version() -> Report {
    report("interrupted", vec![table("orders", 3, json!({})), table("lines", 0, json!({}))], json!({ "version": 1 }))
}

/// More tables and references than fit anywhere.
fn many() -> Report {
    let names: Vec<String> = (0..120).map(|at| format!("table_{at}_of_a_large_project")).collect();
    let tables = names.iter().map(|name| table(name, 1_000, json!({}))).collect();
    let references: Vec<Vec<Reference<'_>>> = (0..names.len())
        .map(|at| {
            if at < 20 {
                Vec::new()
            } else {
                vec![("parent", &*names[at / 3], false), ("other", &*names[at % 20], false)]
            }
        })
        .collect();
    let planned: Vec<Planned<'_>> = names
        .iter()
        .enumerate()
        .map(|(at, name)| (&**name, &**name, if at < 20 { 0 } else { 1 + at / 45 }, &*references[at]))
        .collect();
    let spans: Vec<&str> = names.iter().map(String::as_str).collect();
    report("complete", tables, json!({ "plan": plan(&planned, &[]), "timing": timing(&spans) }))
}
