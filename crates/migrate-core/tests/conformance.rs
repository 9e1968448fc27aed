//! The conformance suites on the parts of this crate and on its layers, and the promises of the layers themselves.

#![expect(clippy::unwrap_used, reason = "a test says what it wants by unwrapping")]

use std::sync::Arc;
use std::time::Duration;

use migrate_core::catalog::ScalarKind;
use migrate_core::layer::{Bisect, DryRun, Limit, Retry, RetryPolicy, Timeout};
use migrate_core::names::{SourceKey, TableName};
use migrate_core::observe::{Fanout, Observer};
use migrate_core::sink::{WriteBatch, WriteMode, WriteOutcome, WriteRecord};
use migrate_core::stop::Stop;
use migrate_core::testing::{
    Faults, Faulty, LookupFixture, MemorySink, MemorySource, SinkFixture, SourceFixture, When, check_sink,
    check_source, column, table, write_record,
};
use migrate_core::value::Value;
use migrate_core::{Error, ErrorKind, Sink};

fn name(text: &str) -> TableName {
    text.parse().unwrap()
}

fn silent() -> Arc<dyn Observer> {
    Arc::new(Fanout::default())
}

fn source() -> MemorySource {
    let source = MemorySource::new(4);
    let columns =
        vec![column("tenant", ScalarKind::Text), column("id", ScalarKind::Int8), column("note", ScalarKind::Text)];
    let rows = [10, 8, 9, 6, 7, 5, 4, 3, 2, 1, 0].map(row).to_vec();
    source.insert(table("items", &["tenant", "id"], columns).unwrap(), rows);
    let columns =
        vec![column("tenant", ScalarKind::Text), column("id", ScalarKind::Int8), column("note", ScalarKind::Text)];
    source.insert(table("none", &["tenant", "id"], columns).unwrap(), Vec::new());
    source
}

fn row(id: i64) -> Vec<Value> {
    vec![Value::text(if id % 3 == 0 { "a" } else { "b" }), Value::Int64(id), Value::text(format!("n{id}"))]
}

fn source_fixture() -> SourceFixture {
    SourceFixture {
        table: name("items"),
        columns: ["tenant", "id", "note"].map(Into::into).to_vec(),
        key: ["tenant", "id"].map(Into::into).to_vec(),
        rows: [0, 3, 6, 9, 1, 2, 4, 5, 7, 8, 10].map(row).to_vec(),
        empty: name("none"),
        missing: name("absent"),
        unknown_key: SourceKey::from_parts(&["z", "1"]),
    }
}

fn sink_fixture(sink: &MemorySink) -> SinkFixture {
    let (items, people) = (name("items"), name("people"));
    sink.index(&people, "by_email", &["email"]);
    let ada = sink.insert(&people, &[("email", Value::text("ada"))]);
    for _ in 0..2 {
        sink.insert(&people, &[("email", Value::text("eve"))]);
    }
    let record = |key: &str, note: &str| write_record(&items, key, &[("note", Value::text(note))]);
    SinkFixture {
        records: vec![record("1", "one"), record("2", "two"), record("3", "three")],
        changed: record("1", "another"),
        patch: Some(write_record(&items, "1", &[("link", Value::text("doc2"))]).record),
        lookup: Some(LookupFixture {
            table: people,
            index: "by_email".to_owned(),
            one: (vec![Value::text("ada")], ada),
            several: vec![Value::text("eve")],
            none: vec![Value::text("bob")],
        }),
        refused: None,
        undeployed: None,
        table: items,
    }
}

#[tokio::test]
async fn a_table_without_a_key_is_read_by_place() {
    let source = MemorySource::new(4);
    let columns = || vec![column("note", ScalarKind::Text)];
    let rows = (0..30).map(|id| vec![Value::text(format!("n{}", id % 7))]).collect();
    source.insert(table("items", &[], columns()).unwrap(), rows);
    source.insert(table("none", &[], columns()).unwrap(), Vec::new());
    let mut placed: Vec<(String, usize)> = (0..30).map(|id| (format!("(0,{})", id + 1), id % 7)).collect();
    // In memory a place is a text like any other, and so is its order.
    placed.sort();
    let fixture = SourceFixture {
        columns: ["ctid", "note"].map(Into::into).to_vec(),
        key: vec!["ctid".into()],
        rows: placed.into_iter().map(|(place, id)| vec![Value::text(place), Value::text(format!("n{id}"))]).collect(),
        unknown_key: "(1,1)".into(),
        ..source_fixture()
    };
    check_source(&source, &fixture).await.unwrap();
}

#[tokio::test]
async fn sources_and_their_layers_keep_their_promises() {
    check_source(&source(), &source_fixture()).await.unwrap();
    check_source(&Faulty::new(source(), Faults::default()), &source_fixture()).await.unwrap();
    let layered = Limit::new(Timeout::new(source(), Duration::from_secs(5)), 1);
    check_source(&Retry::new(layered, RetryPolicy::default(), silent()), &source_fixture()).await.unwrap();
}

#[tokio::test]
async fn sinks_and_their_layers_keep_their_promises() {
    let sink = MemorySink::default();
    let fixture = sink_fixture(&sink);
    check_sink(&sink, &fixture).await.unwrap();
    let sink = MemorySink::default();
    let fixture = sink_fixture(&sink);
    let timed = Timeout::new(Faulty::new(sink, Faults::default()), Duration::from_secs(5));
    let limited = Limit::new(timed, 2).with_write_rate(1 << 30);
    let layered = Bisect::new(Retry::new(limited, RetryPolicy::default(), silent()).with_stop(Stop::default()));
    check_sink(&layered, &fixture).await.unwrap();
}

fn hundred() -> (TableName, Vec<WriteRecord>) {
    let items = name("items");
    let records = (0..100).map(|id| write_record(&items, &id.to_string(), &[("n", Value::Int64(id))])).collect();
    (items, records)
}

#[tokio::test]
async fn one_bad_record_costs_few_calls_and_is_rejected_alone() {
    let (items, records) = hundred();
    let faults = Faults::default();
    faults.poison(SourceKey::from("41"), || Error::new(ErrorKind::RecordFailed, "write a record the sink refuses"));
    let sink = Bisect::new(Faulty::new(MemorySink::default(), faults.clone()));
    let batch = WriteBatch { table: &items, mode: WriteMode::Upsert, records: &records };
    let outcomes = sink.write_batch(batch).await.unwrap();
    assert_eq!(outcomes.len(), 100);
    for (at, outcome) in outcomes.iter().enumerate() {
        assert_eq!(matches!(outcome, WriteOutcome::Rejected(_)), at == 41, "record {at}: {outcome:?}");
    }
    // Two halves on each of the seven levels of 100 records, and the first call.
    assert!(faults.count("write_batch") <= 15, "{} calls", faults.count("write_batch"));
}

#[tokio::test(start_paused = true)]
async fn retry_waits_as_long_as_it_is_told_and_gives_up() {
    let (items, records) = hundred();
    let faults = Faults::default();
    let busy = || Error::new(ErrorKind::RateLimited, "write so fast").with_retry_after(Duration::from_secs(90));
    faults.fail("write_batch", 1, When::Before, busy);
    faults.fail("write_batch", 2, When::After, || Error::new(ErrorKind::UnknownOutcome, "hear of the write"));
    let sink = Retry::new(Faulty::new(MemorySink::default(), faults.clone()), RetryPolicy::default(), silent());
    let batch = WriteBatch { table: &items, mode: WriteMode::Upsert, records: &records };
    let started = tokio::time::Instant::now();
    let outcomes = sink.write_batch(batch).await.unwrap();
    assert_eq!((outcomes.len(), faults.count("write_batch")), (100, 3));
    assert!(started.elapsed() >= Duration::from_secs(90), "{:?}", started.elapsed());

    let faults = Faults::default();
    for call in 1..=20 {
        faults.fail("write_batch", call, When::Before, || Error::new(ErrorKind::Unavailable, "serve"));
    }
    let policy = RetryPolicy { repeats: 3, ..RetryPolicy::default() };
    let sink = Retry::new(Faulty::new(MemorySink::default(), faults.clone()), policy, silent());
    assert_eq!(sink.write_batch(batch).await.unwrap_err().kind(), ErrorKind::Unavailable);
    assert_eq!(faults.count("write_batch"), 4);

    // A day is not waited for: the run ends, and can go on tomorrow.
    let faults = Faults::default();
    let day = || Error::new(ErrorKind::RateLimited, "write today").with_retry_after(Duration::from_hours(24));
    faults.fail("write_batch", 1, When::Before, day);
    let sink = Retry::new(Faulty::new(MemorySink::default(), faults.clone()), RetryPolicy::default(), silent());
    let error = sink.write_batch(batch).await.unwrap_err();
    assert!(error.kind() == ErrorKind::RateLimited && error.to_string().contains("86400"), "{error}");
    assert_eq!(faults.count("write_batch"), 1);
}

#[tokio::test]
async fn a_dry_run_writes_nothing() {
    let (items, records) = hundred();
    let faults = Faults::default();
    let sink = DryRun::new(Faulty::new(MemorySink::default(), faults.clone()));
    let batch = WriteBatch { table: &items, mode: WriteMode::Upsert, records: &records };
    assert_eq!(sink.write_batch(batch).await.unwrap().len(), 100);
    assert_eq!(faults.count("write_batch"), 0);
}
