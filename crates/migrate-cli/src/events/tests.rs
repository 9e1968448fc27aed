use migrate_core::names::{SinkId, SourceKey};
use migrate_core::observe::Event;
use migrate_core::verify::{Difference, DifferenceKind, TableVerification, Values};
use serde_json::{Value, json};

use super::*;

fn line(event: &Event) -> Value {
    serde_json::to_value(RunEvent::of(event).unwrap()).unwrap()
}

fn name(text: &str) -> TableName {
    TableName::new("public", text).unwrap()
}

#[test]
fn a_verified_table_is_its_counts_without_what_names_a_row() {
    let difference = Difference {
        kind: DifferenceKind::Value,
        key: Some(SourceKey::new("CANARY-key")),
        id: Some(SinkId::new("CANARY-id")),
        field: Some("meta.CANARY".to_owned()),
        expected: "orders CANARY".to_owned(),
        found: "orders CANARY".to_owned(),
        values: Some(Values { expected: "CANARY".to_owned(), found: "CANARY".to_owned() }),
    };
    let result = TableVerification {
        is_compared: true,
        source: 10,
        expected: 7,
        rejected: 2,
        skipped: 1,
        documents: 9,
        foreign: 3,
        same: 4,
        differing: 1,
        missing: 2,
        unexpected: 1,
        duplicates: 3,
        differences: vec![difference],
        unplanned_fields: [("CANARY".to_owned(), 1)].into(),
        ..TableVerification::of(name("orders"))
    };
    let verified = line(&Event::TableVerified { table: name("orders"), result: Box::new(result) });
    let expected = json!({
        "event": "table_verified", "table": "orders", "is_compared": true, "source": 10, "expected": 7, "rejected": 2,
        "skipped": 1, "documents": 9, "foreign": 3, "same": 4, "differing": 1, "missing": 2, "unexpected": 1,
        "duplicates": 3, "differences": 7
    });
    assert_eq!(verified, expected);
}

#[test]
fn what_a_verification_reads_has_lines() {
    let table = || name("orders");
    for (event, expected) in [
        (
            Event::VerificationExpected { table: table(), documents: None, rows: Some(5) },
            json!({ "event": "verification_expected", "table": "orders", "documents": null, "rows": 5 }),
        ),
        (
            Event::VerificationRead { table: table(), documents: 0, rows: 5 },
            json!({ "event": "verification_read", "table": "orders", "documents": 0, "rows": 5 }),
        ),
        (
            Event::TableReadBack { table: table(), rows_follow: true },
            json!({ "event": "table_read_back", "table": "orders", "rows_follow": true }),
        ),
    ] {
        assert_eq!(line(&event), expected);
    }
}
