//! Verifications of the reports: with differences, without, and with names that would break out of a page.

use migrate_core::report::Report;
use migrate_core::verify::Verification;
use serde_json::{Map, Value, json};

use crate::reports;

/// A value that verify.json holds and no report may show.
pub(crate) const SECRET: &str = "the row's own value";

/// Each with its report, by name.
pub(crate) fn all() -> Vec<(&'static str, Report, Verification)> {
    vec![
        ("different", reports::full(), different()),
        ("same", reports::clean(), same()),
        ("counts", reports::clean(), Verification { level: migrate_core::verify::Level::Counts, ..same() }),
        ("hostile_verified", reports::hostile(), hostile()),
    ]
}

fn table(name: &str, rows: u64, more: Value) -> (String, Value) {
    let mut table = json!({
        "sink": "documents", "is_compared": true, "source": rows, "expected": rows, "rejected": 0, "skipped": 0,
        "documents": rows, "foreign": 0, "same": rows, "differing": 0, "missing": 0, "unexpected": 0, "duplicates": 0,
        "differences": [],
    });
    if let Value::Object(more) = more {
        for (key, value) in more {
            table[key] = value;
        }
    }
    (name.to_owned(), table)
}

fn verification(verdict: &str, tables: Vec<(String, Value)>) -> Verification {
    let tables: Map<String, Value> = tables.into_iter().collect();
    let verification = json!({
        "version": 1, "tool": "migrate-verify 0.1.0", "timestamp": "2026-01-01T12:00:30.123456789Z",
        "plan_fingerprint": "0123456789abcdef".repeat(4), "level": "full", "resumed": false, "verdict": verdict,
        "tables": tables, "not_compared": ["people: fields that the plan does not know"], "duration_seconds": 4,
    });
    serde_json::from_value(verification).unwrap()
}

fn difference(kind: &str, key: &str, field: &str, (expected, found): (&str, &str)) -> Value {
    json!({
        "kind": kind, "key": key, "field": field, "expected": expected, "found": found,
        "values": { "expected": SECRET, "found": SECRET },
    })
}

/// Something differs in one table, and another was not compared.
pub(crate) fn different() -> Verification {
    let missing: Vec<Value> = (0..18)
        .map(|at| json!({ "kind": "missing", "key": format!("key {}", at + 10), "expected": "a document", "found": "none" }))
        .collect();
    let mut people = vec![
        difference("value", "key 1", "meta.tags[2]", ("a string", "another string")),
        difference("wrong_reference", "key 2", "manager_id", ("the row 7", "the row 8")),
        json!({ "kind": "duplicate", "key": "key 3", "expected": "one document", "found": "2 documents" }),
    ];
    people.extend(missing);
    verification(
        "different",
        vec![
            table("regions", 12, json!({})),
            table(
                "people",
                52_000,
                json!({
                    "expected": 50_700, "rejected": 1_207, "skipped": 93, "documents": 50_701, "same": 50_680,
                    "differing": 20, "missing": 1, "duplicates": 1, "differences": people,
                }),
            ),
            table("shop.orders_of_the_previous_system_with_a_long_name", 1_345_678, json!({})),
            table("order_lines", 0, json!({ "is_compared": false })),
        ],
    )
}

/// Nothing differs.
pub(crate) fn same() -> Verification {
    Verification { not_compared: Vec::new(), ..verification("same", vec![table("orders", 3, json!({}))]) }
}

/// Names that are markup in every place that has a name.
pub(crate) fn hostile() -> Verification {
    let of = |name: &&str| {
        let found = difference("value", name, name, (name, name));
        table(name, 10, json!({ "same": 9, "differing": 1, "differences": [found] }))
    };
    let mut tables: Vec<(String, Value)> = reports::HOSTILE_NAMES.iter().map(of).collect();
    tables.push(table("lost", 0, json!({})));
    let [name, other, ..] = reports::HOSTILE_NAMES;
    Verification {
        error: Some(name.to_owned()),
        timestamp: other.to_owned(),
        not_compared: vec![other.to_owned()],
        ..verification("failed", tables)
    }
}
