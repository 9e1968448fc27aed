//! A scan in memory: what stops it, what fails it, cycles, rows that follow others, and tables that cannot be planned.

#![expect(clippy::unwrap_used, reason = "a helper that cannot go on fails its test")]

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use migrate_core::assess::{Assessment, Measure, Prospect, RateClass, Readiness, Scan, ScanMode, SinkScale, TableScan};
use migrate_core::catalog::{Catalog, ForeignKey, ScalarKind, TableSchema, TableState};
use migrate_core::names::{FieldName, SourceKey, TableName};
use migrate_core::observe::{Event, Observer};
use migrate_core::plan::{MigrateConfig, SinkRules, read_config};
use migrate_core::record::{Record, RejectCode, RowError};
use migrate_core::sink::WriteRecord;
use migrate_core::source::{KeyRange, Page, PageRequest};
use migrate_core::stop::Stop;
use migrate_core::testing::{MemorySource, column, table};
use migrate_core::value::Value;
use migrate_core::{Error, ErrorKind, Result, Source};

const SCALE: SinkScale = SinkScale {
    batch_records: 100,
    batch_bytes: 1 << 20,
    index_entry_bytes: 10,
    classes: &[RateClass { name: "only", bytes_per_second: 1000 }],
    free_storage_bytes: 10_000,
    free_monthly_bytes: 10_000,
};

/// A byte for each field that is there; texts of 100 letters are too much.
#[derive(Debug)]
struct Fields;

impl Measure for Fields {
    fn measure(&self, record: &WriteRecord) -> Result<usize, RowError> {
        let is_long = |value: &Value| matches!(value, Value::Text(text) if text.len() >= 100);
        if record.record.values.iter().any(is_long) {
            return Err(RowError::new(RejectCode::DocumentTooLarge, "too large"));
        }
        Ok(record.record.values.iter().filter(|value| !matches!(value, Value::Absent)).count())
    }
}

/// People who refer to each other, and notes that refer to people.
fn source() -> MemorySource {
    let source = MemorySource::new(10);
    let mut people =
        table("people", &["id"], vec![column("id", ScalarKind::Int8), column("boss", ScalarKind::Int8)]).unwrap();
    people.foreign_keys = vec![ForeignKey::single("boss".into(), "people".parse().unwrap(), "id".into())];
    let boss = |id: i64| if id == 1 { Value::Null } else { Value::Int64(if id == 7 { 999 } else { id - 1 }) };
    source.insert(people, (1..=40).map(|id| vec![Value::Int64(id), boss(id)]).collect());
    let columns =
        vec![column("id", ScalarKind::Int8), column("person_id", ScalarKind::Int8), column("text", ScalarKind::Text)];
    let mut notes = table("notes", &["id"], columns).unwrap();
    notes.foreign_keys = vec![ForeignKey::single("person_id".into(), "people".parse().unwrap(), "id".into())];
    let text = |id: i64| Value::text(if id % 10 == 0 { "x".repeat(100) } else { "fine".to_owned() });
    source.insert(notes, (1..=30).map(|id| vec![Value::Int64(id), Value::Int64(id), text(id)]).collect());
    source
}

async fn assess(source: Arc<dyn Source>, config: &str, how: impl Fn(Scan) -> Scan) -> (Assessment, Option<ErrorKind>) {
    let catalog = source.discover().await.unwrap();
    let config: MigrateConfig = read_config("migrate.toml", config).unwrap();
    let prospect = Prospect::new(&config, &catalog, &SinkRules::default()).unwrap();
    let scan = Scan::new(prospect.plan().clone(), catalog.clone(), source, Arc::new(Fields));
    let scanned = how(scan.index_entry_bytes(SCALE.index_entry_bytes)).run().await.unwrap();
    let failure = scanned.failure().map(Error::kind);
    (prospect.assess("a test", &config, &catalog, Some(scanned), &SCALE), failure)
}

/// What was found in a table: code, effect and rows.
fn found(assessment: &Assessment, name: &str) -> Vec<(&'static str, &'static str, u64)> {
    of(assessment, name).findings.iter().map(|found| (found.kind.as_str(), found.effect.words(), found.rows)).collect()
}

fn of<'a>(assessment: &'a Assessment, name: &str) -> &'a TableScan {
    let table = assessment.tables.iter().find(|table| table.table.to_string() == name);
    table.and_then(|table| table.scan.as_ref()).unwrap()
}

fn counts(assessment: &Assessment, name: &str) -> (u64, u64, u64) {
    let scan = of(assessment, name);
    (scan.rows, scan.rejected, scan.documents)
}

#[tokio::test]
async fn links_to_rows_that_come_later_are_looked_at_again() {
    let (assessment, failure) = assess(Arc::new(source()), "", |scan| scan).await;
    assert_eq!((failure, assessment.scan.mode, assessment.scan.rows), (None, ScanMode::Full, 70));
    assert_eq!(found(&assessment, "people"), [("missing_parent", "migrated without the link", 1)]);
    assert_eq!(counts(&assessment, "people"), (40, 0, 40));
    assert_eq!(found(&assessment, "notes"), [("document_too_large", "rejected", 3)]);
    assert_eq!(counts(&assessment, "notes"), (30, 3, 27));
    let estimate = assessment.estimate.unwrap();
    // 40 people of a key and, but for the first and the seventh, a boss; 27 notes of three fields.
    assert_eq!((estimate.documents, estimate.calls), (67, 2));
    assert!(estimate.exact && estimate.index_bytes >= 67 * SCALE.index_entry_bytes);
}

#[tokio::test]
async fn rows_follow_a_parent_that_is_left_behind() {
    let config = "[tables.people.columns]\nboss.on_missing = \"skip\"\n[convex]\nwrite = \"snapshot\"";
    let (assessment, _) = assess(Arc::new(source()), config, |scan| scan).await;
    assert_eq!(found(&assessment, "people"), [("missing_parent", "left out", 1)]);
    assert_eq!(counts(&assessment, "people"), (40, 0, 39));

    // Of two orders, the parents' is taken: whoever has no parent, and whose parent has none, goes.
    let config = "[tables.people]\ncolumns.boss.type = \"number\"\nfilter = \"id=lt.100\"\n[tables.people.columns.id]\ntype = \"number\"";
    let source = source();
    let bad = table("people", &["id"], vec![column("id", ScalarKind::Int8), column("boss", ScalarKind::Int8)]).unwrap();
    let over = Value::Int64((1 << 53) + 1);
    source.insert(
        bad,
        (1..=20).map(|id| vec![Value::Int64(id), if id <= 4 { over.clone() } else { Value::Null }]).collect(),
    );
    let (assessment, _) = assess(Arc::new(source), config, |scan| scan).await;
    assert_eq!(found(&assessment, "people"), [("integer_over_double", "rejected", 4)]);
    let notes: BTreeMap<&str, u64> =
        found(&assessment, "notes").into_iter().map(|(code, _, rows)| (code, rows)).collect();
    assert_eq!(notes, BTreeMap::from([("missing_parent", 10), ("parent_left_behind", 4), ("document_too_large", 3)]));
    assert_eq!(counts(&assessment, "notes"), (30, 16, 14), "a row of two faults is one reject");
    assert!(assessment.tables.iter().all(|table| table.readiness == Readiness::Decision));
}

/// Asks for a stop at the first page of a table.
#[derive(Debug)]
struct StopAt(&'static str, Stop);

impl Observer for StopAt {
    fn on_event(&self, event: &Event) {
        if matches!(event, Event::RowsChecked { table, .. } if table.to_string() == self.0) {
            self.1.request();
        }
    }
}

#[tokio::test]
async fn a_stop_keeps_what_was_found() {
    let stop = Stop::default();
    let with_stop = |scan: Scan| scan.observer(Arc::new(StopAt("people", stop.clone()))).with_stop(stop.clone());
    let source = source();
    let people =
        table("people", &["id"], vec![column("id", ScalarKind::Int8), column("boss", ScalarKind::Int8)]).unwrap();
    source.insert(people, (1..=400).map(|id| vec![Value::Int64(id), Value::Null]).collect());
    let (assessment, failure) = assess(Arc::new(source), "", with_stop).await;
    assert_eq!((failure, assessment.scan.complete), (Some(ErrorKind::Interrupted), false));
    let (rows, ..) = counts(&assessment, "people");
    assert!((10..400).contains(&rows), "{rows}");
    assert!(assessment.estimate.is_some_and(|estimate| !estimate.exact));
}

#[tokio::test]
async fn a_sample_reads_some_pages_and_says_what_it_leaves_out() {
    let (assessment, failure) = assess(Arc::new(source()), "", |scan| scan.sample(2)).await;
    assert_eq!((failure, assessment.scan.mode, assessment.scan.rows), (None, ScanMode::Sample, 40));
    // The second half begins at 21: both pages have their parents but for the one that SQL would miss, too.
    assert_eq!(found(&assessment, "people"), [("missing_parent", "migrated without the link", 1)]);
    assert!(!assessment.scan.unchecked.is_empty());
    let estimate = assessment.estimate.unwrap();
    assert!(!estimate.exact && estimate.documents > 60, "{estimate:?}");
}

/// A source one of whose tables cannot be read.
#[derive(Debug)]
struct Broken(MemorySource);

#[async_trait]
impl Source for Broken {
    async fn check(&self) -> Result<()> {
        self.0.check().await
    }
    async fn discover(&self) -> Result<Catalog> {
        self.0.discover().await
    }
    async fn count(&self, table: &TableName) -> Result<Option<u64>> {
        self.0.count(table).await
    }
    async fn partitions(&self, table: &TableName, key: &[FieldName], wanted: usize) -> Result<Vec<KeyRange>> {
        self.0.partitions(table, key, wanted).await
    }
    async fn read_page(&self, request: PageRequest) -> Result<Page> {
        if request.table.to_string() == "people" && request.after.is_some() {
            return Err(Error::new(ErrorKind::Forbidden, "read the table").with_context("table", "people"));
        }
        self.0.read_page(request).await
    }
    async fn fetch(&self, table: &TableName, keys: &[SourceKey], columns: &[FieldName]) -> Result<Vec<Option<Record>>> {
        self.0.fetch(table, keys, columns).await
    }
}

#[tokio::test]
async fn a_table_that_fails_ends_no_other() {
    let (assessment, failure) = assess(Arc::new(Broken(source())), "", |scan| scan).await;
    assert_eq!((failure, assessment.scan.complete), (Some(ErrorKind::Forbidden), false));
    let people = assessment.tables.iter().find(|table| table.table.to_string() == "people").unwrap();
    assert_eq!(people.readiness, Readiness::Blocked);
    assert!(people.scan.as_ref().unwrap().error.as_ref().unwrap().contains("read the table"));
    assert_eq!(counts(&assessment, "notes").0, 30);
}

fn catalog(tables: Vec<TableSchema>) -> Catalog {
    Catalog {
        version: migrate_core::catalog::CATALOG_VERSION,
        origin: "a test".to_owned(),
        unknown: Vec::new(),
        differences: Vec::new(),
        tables,
        inventory: Vec::new(),
    }
}

#[test]
fn what_cannot_be_planned_is_left_out_of_the_plan() {
    let mut closed = table("shop*", &["id"], vec![column("id", ScalarKind::Int8)]).unwrap();
    closed.state = TableState::Forbidden;
    let open = table("shopping", &["id"], vec![column("id", ScalarKind::Int8), column("stop_id", ScalarKind::Int8)]);
    let stops = table("stops", &["id"], vec![column("id", ScalarKind::Int8)]).unwrap();
    let catalog = catalog(vec![closed, open.unwrap(), stops]);
    for include in [
        "",
        "include = [\"*\"]",
        "include = [\"shopping\", \"shop*\", \"stops\"]",
        "include = [\"sh*\", \"stops\", \"gone\"]",
    ] {
        let config = read_config("migrate.toml", include).unwrap();
        let prospect = Prospect::new(&config, &catalog, &SinkRules::default()).unwrap();
        let planned: Vec<String> = prospect.plan().tables.iter().map(|table| table.source.to_string()).collect();
        assert_eq!(planned, ["shopping", "stops"], "{include}");
        let assessment = prospect.assess("a test", &config, &catalog, None, &SCALE);
        let of = |name: &str| assessment.tables.iter().find(|table| table.table.to_string() == name).unwrap();
        assert_eq!(of("shop*").readiness, Readiness::Blocked, "{include}");
        assert!(of("shop*").decisions[0].remedy.contains("grant select"), "{:?}", of("shop*").decisions);
        assert_eq!(of("shopping").readiness, Readiness::Decision);
        assert!(of("shopping").decisions[0].what.contains("looks like a reference to stops"), "{:?}", of("shopping"));
        assert_eq!(of("stops").readiness, Readiness::Automatic);
        if include.contains("gone") {
            assert_eq!((of("gone").readiness, of("gone").state), (Readiness::Blocked, TableState::Missing));
        }
    }
    // What is about no table cannot be left out.
    let config = read_config("migrate.toml", "[convex]\nlegacy_id_field = \"_id\"").unwrap();
    assert_eq!(Prospect::new(&config, &catalog, &SinkRules::default()).unwrap_err().len(), 1);
}
