use std::fs;
use std::time::Duration;

use convex_sink::{CONVEX_RULES, ConvexSettings, ConvexSink, generate};
use migrate_core::catalog::{CATALOG_VERSION, Catalog, Column, ForeignKey, ScalarKind};
use migrate_core::layer::{Bisect, DryRun, Limit, Retry, Timeout};
use migrate_core::names::{FieldName, SinkId};
use migrate_core::plan::{AdoptConfig, MigrateConfig, PlanIndex, TableConfig, build_plan};
use migrate_core::record::RejectCode;
use migrate_core::sink::{Match, WriteBatch, WriteEffect, WriteMode, WriteOutcome, WriteRecord};
use migrate_core::testing::{LookupFixture, SinkFixture, Violation, check_sink, column, table, write_record};
use migrate_core::value::Value;
use migrate_core::{ErrorKind, Plan, Sink};
use migrate_tests::convex_bench::{ConvexBench, ConvexBenchOptions, Fault, FaultPlan};
use migrate_tests::local_stack::ConvexLocal;
use serde_json::{Value as Json, json};
use tempfile::TempDir;

use super::{LONGEST, SHORT, eager, name, silent};

const INDEX: &str = "by_team_email";

/// Puts in what was there before the migration.
const SEED_TS: &str = r#"import { v } from "convex/values";
import { internalMutation } from "./_generated/server";

export const insert = internalMutation({
  args: { document: v.object({ team: v.string(), email: v.string() }) },
  handler: (ctx, { document }) => ctx.db.insert("people", document),
});
"#;

fn array(mut column: Column) -> Column {
    column.source_type.array = true;
    column
}

fn foreign_key(of: &str, parent: &str) -> ForeignKey {
    ForeignKey::single(of.into(), name(parent), "id".into())
}

/// Items and their places refer to each other, so that the items' reference is set by a second pass; people are adopted.
fn catalog() -> Catalog {
    use ScalarKind as S;
    let mut mood = column("mood", S::Enum);
    mood.source_type.labels = vec!["ok".to_owned(), "sad".to_owned()];
    let columns = vec![
        column("id", S::Uuid),
        column("title", S::Text),
        column("count", S::Int8),
        column("price", S::Float8),
        column("is_new", S::Bool),
        column("data", S::Bytes),
        column("meta", S::Json),
        array(column("tags", S::Text)),
        mood,
        column("place_id", S::Uuid),
    ];
    let mut items = table("items", &["id"], columns).unwrap();
    items.foreign_keys = vec![foreign_key("place_id", "places")];
    let mut places = table("places", &["id"], vec![column("id", S::Uuid), column("item_id", S::Uuid)]).unwrap();
    places.foreign_keys = vec![foreign_key("item_id", "items")];
    let columns = vec![column("id", S::Uuid), column("team", S::Text), column("email", S::Text)];
    let tables = vec![items, places, table("people", &["id"], columns).unwrap()];
    Catalog {
        version: CATALOG_VERSION,
        origin: "test".to_owned(),
        unknown: Vec::new(),
        differences: Vec::new(),
        tables,
        inventory: Vec::new(),
    }
}

fn plan() -> Plan {
    let key: Vec<FieldName> = ["team", "email"].map(FieldName::from).to_vec();
    let people = TableConfig {
        adopt: Some(AdoptConfig { index: INDEX.to_owned(), key: key.clone() }),
        indexes: vec![PlanIndex { name: INDEX.to_owned(), fields: key }],
        ..TableConfig::default()
    };
    let config = MigrateConfig { tables: [(name("people"), people)].into(), ..MigrateConfig::default() };
    build_plan(&config, &catalog(), &CONVEX_RULES).unwrap()
}

/// A sink for a deployment of the plan.
fn sink(url: &str, key: &str) -> ConvexSink {
    let mut settings = ConvexSettings::new(url, key.to_owned().into());
    settings.lookup_tables = vec![(name("people"), INDEX.to_owned())];
    settings.patch_tables = vec![name("items")];
    ConvexSink::new(settings).unwrap()
}

fn text(text: &str) -> Value {
    Value::text(text)
}

fn key(team: &str, email: &str) -> Vec<Value> {
    vec![text(team), text(email)]
}

fn object(fields: &[(&str, Value)]) -> Value {
    Value::Object(fields.iter().map(|(name, value)| ((*name).into(), value.clone())).collect())
}

/// Records with every kind of value that Convex has, and the documents that they must become.
fn records() -> (Vec<WriteRecord>, WriteRecord, Vec<Json>) {
    let items = name("items");
    let whole = |title: &str, count: i64| {
        vec![
            ("title", text(title)),
            ("count", Value::Int64(count)),
            ("price", Value::Float64(-0.0)),
            ("is_new", Value::Bool(true)),
            ("data", Value::Bytes([0, 255, 7].into())),
            ("meta", object(&[("list", Value::Array(vec![Value::Null, Value::Float64(1.5)])), ("a b", object(&[]))])),
            ("tags", Value::Array(vec![text(""), text("ü")])),
            ("mood", text("sad")),
        ]
    };
    let nothing = |(field, _): &(&'static str, Value)| (*field, Value::Absent);
    let mut special = whole("line\nbreak \u{2028} \"quoted\" 😀", i64::MIN);
    special[2].1 = Value::Float64(f64::NAN);
    special[5].1 = Value::Null;
    let empty: Vec<_> = whole("", 0).iter().map(nothing).collect();
    let mut changed = whole("another", i64::MAX);
    changed[4].1 = Value::Absent;
    changed[7].1 = text("ok");
    let records = vec![
        write_record(&items, "0b5c9f0e-6a0e-4d6b-9d0f-1f6d8a3f2c11", &whole("one", i64::MAX)),
        write_record(&items, "2", &special),
        write_record(&items, "3", &empty),
    ];
    let changed = write_record(&items, "0b5c9f0e-6a0e-4d6b-9d0f-1f6d8a3f2c11", &changed);
    let documents = vec![
        json!({
            "supabaseId": "0b5c9f0e-6a0e-4d6b-9d0f-1f6d8a3f2c11",
            "title": "another",
            "count": { "$integer": "/////////38=" },
            "price": { "$float": "AAAAAAAAAIA=" },
            "is_new": true,
            "meta": { "list": [null, 1.5], "a b": {} },
            "tags": ["", "ü"],
            "mood": "ok",
        }),
        json!({
            "supabaseId": "2",
            "title": "line\nbreak \u{2028} \"quoted\" 😀",
            "count": { "$integer": "AAAAAAAAAIA=" },
            "price": { "$float": "AAAAAAAA+H8=" },
            "is_new": true,
            "data": { "$bytes": "AP8H" },
            "meta": null,
            "tags": ["", "ü"],
            "mood": "sad",
        }),
        json!({ "supabaseId": "3" }),
    ];
    (records, changed, documents)
}

/// The people that were there before: one, and two that share a key.
const PEOPLE: [(&str, &str); 3] = [("a", "ada@x.io"), ("a", "eve@x.io"), ("a", "eve@x.io")];

fn fixture(place: &SinkId, ada: &SinkId) -> SinkFixture {
    let (records, changed, _) = records();
    let items = name("items");
    SinkFixture {
        refused: Some(write_record(&items, "4", &[("title", text(&"x".repeat(1 << 20)))])),
        patch: Some(write_record(&items, "", &[("place_id", text(place.as_str()))]).record),
        lookup: Some(LookupFixture {
            table: name("people"),
            index: INDEX.to_owned(),
            one: (key("a", "ada@x.io"), ada.clone()),
            several: key("a", "eve@x.io"),
            none: key("b", "ada@x.io"),
        }),
        undeployed: None,
        table: items,
        records,
        changed,
    }
}

/// The documents that the suite leaves behind, as they are kept, must be those of the records.
fn assert_documents(mut found: Vec<Json>, place: &SinkId) {
    let (.., mut expected) = records();
    expected[0]["place_id"] = json!(place.as_str());
    for document in &mut found {
        let fields = document.as_object_mut().unwrap();
        assert!(fields.remove("_id").is_some() && fields.remove("_creationTime").is_some());
    }
    found.sort_by_key(|document| document["supabaseId"].to_string());
    assert_eq!(found, expected);
}

/// A place that items can be linked to.
async fn place(sink: &dyn Sink) -> SinkId {
    let places = name("places");
    let records = [write_record(&places, "p", &[])];
    let outcomes = sink.write_batch(WriteBatch { table: &places, mode: WriteMode::Upsert, records: &records }).await;
    match outcomes.unwrap().remove(0) {
        WriteOutcome::Written { id, .. } => id,
        WriteOutcome::Rejected(error) => panic!("{error:?}"),
    }
}

/// convex-local with the plan's generated functions, and with people.
struct Local {
    convex: ConvexLocal,
    ada: SinkId,
    _folder: TempDir,
}

impl Local {
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let functions = folder.path().join("convex");
        let code = generate(&plan()).unwrap();
        for (file, text) in [
            (code.schema_path.as_str(), code.schema_ts.as_str()),
            (&code.migrate_path, &code.migrate_ts),
            ("schema.ts", &code.app_schema.unwrap().alone),
            ("seed.ts", SEED_TS),
        ] {
            let file = functions.join(file);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, text).unwrap();
        }
        let convex = ConvexLocal::start(folder.path()).await.unwrap();
        let mut ids = Vec::new();
        for (team, email) in PEOPLE {
            let document = json!({ "team": team, "email": email });
            ids.push(convex.mutation("seed:insert", json!({ "document": document })).await.unwrap());
        }
        Self { convex, ada: SinkId::from(ids[0].as_str().unwrap()), _folder: folder }
    }

    fn sink(&self) -> ConvexSink {
        sink(self.convex.url(), self.convex.admin_key())
    }

    async fn check(&self, sink: &dyn Sink) -> Result<(), Violation> {
        let place = place(sink).await;
        let fixture = SinkFixture { undeployed: Some(name("nowhere")), ..fixture(&place, &self.ada) };
        check_sink(sink, &fixture).await?;
        assert_documents(self.convex.documents("items").await.unwrap(), &place);
        Ok(())
    }
}

/// convex-bench with people.
struct Bench {
    bench: ConvexBench,
    ada: SinkId,
}

impl Bench {
    async fn start() -> Self {
        let indexes = [(INDEX.to_owned(), vec!["team".to_owned(), "email".to_owned()])];
        let options =
            ConvexBenchOptions { keep_documents: true, indexes: indexes.into(), ..ConvexBenchOptions::default() };
        let bench = ConvexBench::start(options).await.unwrap();
        let [ada, ..] = PEOPLE.map(|(team, email)| {
            let fields = json!({ "team": team, "email": email });
            bench.seed_document("people", fields.as_object().unwrap().clone())
        });
        Self { bench, ada: SinkId::new(ada) }
    }

    fn sink(&self) -> ConvexSink {
        sink(&self.bench.url(), self.bench.admin_key())
    }

    async fn check(&self, sink: &dyn Sink, place: &SinkId) -> Result<(), Violation> {
        check_sink(sink, &fixture(place, &self.ada)).await?;
        assert_documents(self.bench.documents("items"), place);
        Ok(())
    }
}

/// Every layer that a run has around its sink.
fn layered(sink: ConvexSink) -> impl Sink {
    let limited = Limit::new(Timeout::new(sink, LONGEST), 2).with_write_rate(1 << 30);
    Bisect::new(Retry::new(limited, eager(), silent()))
}

#[tokio::test]
async fn convex_keeps_the_promises_of_a_sink() {
    let local = Local::start().await;
    local.check(&local.sink()).await.unwrap();
}

#[tokio::test]
async fn the_layers_keep_the_promises_of_a_sink() {
    let local = Local::start().await;
    local.check(&layered(local.sink())).await.unwrap();
}

#[tokio::test]
async fn convex_bench_keeps_the_promises_of_a_sink() {
    let bench = Bench::start().await;
    let sink = bench.sink();
    let place = place(&sink).await;
    bench.check(&sink, &place).await.unwrap();
}

#[tokio::test]
async fn the_promises_hold_below_the_layers_while_the_deployment_fails() {
    let bench = Bench::start().await;
    let place = place(&bench.sink()).await;
    let busy = Some(Fault::TooManyRequests429 { retry_after: Some(Duration::ZERO) });
    // A check tries three functions, and is not repeated.
    bench.bench.script([None, None, None]);
    // New records, and the same again: an answer that is lost after the write must not be the first one's.
    bench.bench.script([busy.clone(), Some(Fault::Occ503), None, Some(Fault::ResetAfterCommit), None]);
    // A changed record, and a bad one.
    bench.bench.script([Some(Fault::Internal500BeforeCommit), None, Some(Fault::ResetBeforeCommit), None]);
    // Links, the same again, the upsert after them, and the look-up.
    bench.bench.script([Some(Fault::HtmlError502), None, Some(Fault::Internal500AfterCommit), None, None, busy, None]);
    bench.check(&layered(bench.sink()), &place).await.unwrap();
    let counters = bench.bench.counters();
    assert_eq!(counters.faults.values().sum::<u64>(), 8, "{counters:?}");
    assert_eq!((counters.inserted, counters.duplicates), (4, 0), "{counters:?}");
}

#[tokio::test]
async fn a_write_that_hangs_is_ended_and_sent_again() {
    let bench = Bench::start().await;
    bench.bench.set_faults(FaultPlan { script: [Some(Fault::Hang)].into(), ..FaultPlan::default() });
    let sink = Retry::new(Timeout::new(bench.sink(), SHORT), eager(), silent());
    tokio::time::timeout(LONGEST, place(&sink)).await.unwrap();
    assert_eq!(bench.bench.document_counts()["places"], 1);
    let calls = bench.bench.calls();
    assert!(calls.len() >= 2 && !calls[0].committed && calls.last().unwrap().committed, "{calls:?}");
}

/// The deployed validators know more than the sink's measure does.
#[tokio::test]
async fn a_record_that_the_deployed_functions_refuse_is_rejected_alone() {
    let local = Local::start().await;
    let items = name("items");
    let record = |at: i64| match at {
        18 => write_record(&items, "18", &[("title", text("CANARY")), ("mood", text("CANARY"))]),
        _ => write_record(&items, &at.to_string(), &[("count", Value::Int64(at))]),
    };
    let records: Vec<WriteRecord> = (0..40).map(record).collect();
    let sink = layered(local.sink());
    let batch = WriteBatch { table: &items, mode: WriteMode::Upsert, records: &records };
    let outcomes = sink.write_batch(batch).await.unwrap();
    for (at, outcome) in outcomes.iter().enumerate() {
        assert_eq!(matches!(outcome, WriteOutcome::Rejected(_)), at == 18, "record {at}: {outcome:?}");
    }
    let WriteOutcome::Rejected(error) = &outcomes[18] else { panic!("{:?}", outcomes[18]) };
    assert_eq!(error.code, RejectCode::SinkRefused);
    assert!(!error.message.contains("CANARY"), "{error:?}");
    assert_eq!((outcomes.len(), local.convex.count("items").await.unwrap()), (40, 39));
}

#[tokio::test]
async fn a_dry_run_reads_and_checks_like_a_run_and_writes_nothing() {
    let local = Local::start().await;
    let inner = || Retry::new(Limit::new(Timeout::new(local.sink(), LONGEST), 2), eager(), silent());
    let (bare, sink) = (inner(), DryRun::new(inner()));
    let items = name("items");
    assert_eq!(sink.capabilities(), bare.capabilities());
    sink.check(std::slice::from_ref(&items)).await.unwrap();
    assert_eq!(sink.check(&[name("nowhere")]).await.unwrap_err().kind(), ErrorKind::FunctionMissing);
    let keys = [key("a", "eve@x.io"), key("b", "eve@x.io"), key("a", "ada@x.io")];
    let found = sink.lookup(&name("people"), INDEX, &keys).await.unwrap();
    assert_eq!(found, [Match::Several, Match::None, Match::One(local.ada.clone())]);

    let fixture = fixture(&local.ada, &local.ada);
    for record in fixture.records.iter().chain(&fixture.refused) {
        assert_eq!(sink.measure(record), bare.measure(record));
    }
    let batch = WriteBatch { table: &items, mode: WriteMode::Upsert, records: &fixture.records };
    let outcomes = sink.write_batch(batch).await.unwrap();
    let inserted =
        |outcome: &WriteOutcome| matches!(outcome, WriteOutcome::Written { effect: WriteEffect::Inserted, .. });
    assert!(outcomes.len() == fixture.records.len() && outcomes.iter().all(inserted), "{outcomes:?}");
    sink.finish(std::slice::from_ref(&items)).await.unwrap();
    assert_eq!(local.convex.count("items").await.unwrap(), 0);
}
