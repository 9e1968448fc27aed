//! Whole runs into an archive, from rows in memory, read back by Python's `zipfile`, and compared with what the same rows
//! become by mutations.

#![expect(clippy::unwrap_used, reason = "a test says what it wants by unwrapping")]

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use convex_sink::{CONVEX_RULES, DocumentId, Encoding, SnapshotSink, TableNumbers};
use migrate_core::catalog::{ForeignKey, ScalarKind, TableSchema};
use migrate_core::names::TableName;
use migrate_core::plan::{Plan, build_plan, read_config};
use migrate_core::report::{Report, ReportBuilder};
use migrate_core::state::{MemoryState, StateStore as _};
use migrate_core::testing::{Faults, Faulty, MemorySink, MemorySource, When, column, table};
use migrate_core::value::Value;
use migrate_core::{Error, ErrorKind, Pipeline, Result, Sink, Source as _};
use serde_json::Value as Json;
use tempfile::TempDir;

/// SQL NULL in the rows of a test.
const NULL: &str = "NULL";
const SNAPSHOT: &str = "[convex]\nwrite = \"snapshot\"\n";

/// Lists every entry of an archive as one JSON object: the name, and the text.
const UNZIP: &str = "
import json, sys, zipfile
with zipfile.ZipFile(sys.argv[1]) as archive:
    assert archive.testzip() is None
    print(json.dumps({name: archive.read(name).decode() for name in archive.namelist()}))
";

struct World {
    source: Arc<Faulty<MemorySource>>,
    faults: Faults,
    state: Arc<MemoryState>,
    folder: TempDir,
}

impl World {
    fn new() -> Self {
        let faults = Faults::default();
        let source = Arc::new(Faulty::new(MemorySource::new(7), faults.clone()));
        Self { source, faults, state: Arc::new(MemoryState::new()), folder: tempfile::tempdir().unwrap() }
    }

    /// Adds a table of texts whose first column is its key. A column may be written `name > parent(column)`.
    fn table<const N: usize>(&self, of: &str, columns: [&str; N], rows: &[[&str; N]]) {
        let names = columns.map(|text| text.split(" > ").next().unwrap());
        let mut schema: TableSchema =
            table(of, &names[..1], names.map(|name| column(name, ScalarKind::Text)).to_vec()).unwrap();
        for (text, name) in columns.iter().zip(names) {
            let Some((_, parent)) = text.split_once(" > ") else { continue };
            let (parent, by) = parent.trim_end_matches(')').split_once('(').unwrap_or((parent, "id"));
            schema.foreign_keys.push(ForeignKey::single(name.into(), parent.parse().unwrap(), by.into()));
        }
        let value = |text: &&str| if *text == NULL { Value::Null } else { Value::text(*text) };
        self.source.inner().insert(schema, rows.iter().map(|row| row.iter().map(value).collect()).collect());
    }

    async fn plan(&self, config: &str) -> Plan {
        let config = read_config("migrate.toml", config).unwrap();
        build_plan(&config, &self.source.discover().await.unwrap(), &CONVEX_RULES).unwrap()
    }

    fn sink(&self, plan: &Plan) -> Arc<SnapshotSink> {
        let numbers = TableNumbers::of_new_deployment(SnapshotSink::tables(plan));
        Arc::new(SnapshotSink::open(plan, &numbers, &self.folder.path().join("snapshot"), None).unwrap())
    }

    async fn run(&self, plan: &Plan, sink: &Arc<SnapshotSink>) -> (Result<()>, Report) {
        let report = Arc::new(ReportBuilder::start("test", plan, false));
        let faulty = Arc::new(Faulty::new(Forward(sink.clone()), self.faults.clone()));
        let pipeline = Pipeline::new(plan.clone(), self.source.clone(), faulty, self.state.clone());
        let result = pipeline.derived_ids(sink.clone()).observer(report.clone()).run().await;
        let report = report.report(result.as_ref().err());
        report.check().unwrap();
        (result, report)
    }

    /// Runs to the end, and reads the archive.
    async fn archive(&self, plan: &Plan) -> (Report, Contents) {
        let sink = self.sink(plan);
        let (result, report) = self.run(plan, &sink).await;
        result.unwrap();
        let (path, archive) = sink.finish_archive(&tables(plan), Encoding::Uniform).await.unwrap();
        let contents = Contents::read(&path);
        for (table, count) in &archive.documents {
            assert_eq!(contents.lines(table).len() as u64, *count, "{table}");
        }
        assert_eq!(std::fs::metadata(&path).unwrap().len(), archive.bytes);
        assert_eq!(sink.finished_archive(&tables(plan)).unwrap(), Some((path, archive)));
        (report, contents)
    }

    async fn rejects(&self, of: &str) -> Vec<String> {
        let rejects = self.state.rejects(&of.parse().unwrap(), 0, 1000).await.unwrap();
        let mut rejects: Vec<String> = rejects
            .into_iter()
            .map(|reject| format!("{} {}: {}", reject.key, reject.code.as_str(), reject.reason))
            .collect();
        rejects.sort();
        rejects
    }
}

fn tables(plan: &Plan) -> Vec<TableName> {
    plan.tables.iter().map(|table| table.source.clone()).collect()
}

/// The sink behind its handle, for a wrapper that owns what it wraps.
#[derive(Debug)]
struct Forward(Arc<SnapshotSink>);

#[async_trait::async_trait]
impl Sink for Forward {
    fn capabilities(&self) -> migrate_core::sink::SinkCapabilities {
        self.0.capabilities()
    }
    fn measure(
        &self,
        record: &migrate_core::sink::WriteRecord,
    ) -> std::result::Result<usize, migrate_core::record::RowError> {
        self.0.measure(record)
    }
    async fn check(&self, tables: &[TableName]) -> Result<()> {
        self.0.check(tables).await
    }
    async fn lookup(
        &self,
        table: &TableName,
        index: &str,
        keys: &[migrate_core::sink::NaturalKey],
    ) -> Result<Vec<migrate_core::sink::Match>> {
        self.0.lookup(table, index, keys).await
    }
    async fn write_batch(
        &self,
        batch: migrate_core::sink::WriteBatch<'_>,
    ) -> Result<Vec<migrate_core::sink::WriteOutcome>> {
        self.0.write_batch(batch).await
    }
    async fn finish(&self, tables: &[TableName]) -> Result<()> {
        self.0.finish(tables).await
    }
}

/// The entries of an archive.
struct Contents(BTreeMap<String, String>);

impl Contents {
    fn read(path: &Path) -> Self {
        let output = Command::new("python3").args(["-c", UNZIP]).arg(path).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Self(serde_json::from_slice(&output.stdout).unwrap())
    }

    fn lines(&self, table: &str) -> Vec<Json> {
        self.0[&format!("{table}/documents.jsonl")].lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// The documents of a table, a line each: the row's key, then the fields. An id is shown as the row that it stands
    /// for, `@table/key`.
    fn documents(&self, of: &str) -> Vec<String> {
        let mut rows = BTreeMap::new();
        let tables = self.0.keys().filter_map(|name| name.strip_suffix("/documents.jsonl"));
        for table in tables.filter(|table| *table != "_tables") {
            for document in self.lines(table) {
                let key = document["supabaseId"].as_str().unwrap_or_default();
                let known = rows.insert(document["_id"].as_str().unwrap().to_owned(), format!("@{table}/{key}"));
                assert_eq!(known, None, "two documents have one id");
            }
        }
        let shown = |(name, value): (&String, &Json)| match value {
            Json::String(text) => format!(" {name}={}", rows.get(text).unwrap_or(text)),
            other => format!(" {name}={other}"),
        };
        let one = |document: &Json| {
            let fields = document.as_object().unwrap().iter();
            let fields = fields.filter(|(name, _)| !["_id", "supabaseId"].contains(&name.as_str()));
            document["supabaseId"].as_str().unwrap().to_owned() + &fields.map(shown).collect::<String>()
        };
        let mut documents: Vec<String> = self.lines(of).iter().map(one).collect();
        documents.sort();
        documents
    }
}

/// A parent, and children of it, of a parent that is not there, and of none. The last one's child goes with it.
fn family() -> World {
    let world = World::new();
    world.table("parents", ["id"], &[["p"]]);
    world.table("children", ["id", "parent > parents"], &[["c1", "p"], ["c2", "gone"], ["c3", NULL]]);
    world.table("toys", ["id", "owner > children"], &[["t1", "c1"], ["t2", "c2"], ["t3", NULL]]);
    world
}

#[tokio::test]
async fn an_archive_has_numbers_documents_and_their_encoding() {
    let world = family();
    let plan = world.plan(SNAPSHOT).await;
    let (_, contents) = world.archive(&plan).await;
    let names: Vec<&str> = contents.0.keys().map(String::as_str).collect();
    assert_eq!(
        names,
        [
            "_tables/documents.jsonl",
            "children/documents.jsonl",
            "children/generated_schema.jsonl",
            "parents/documents.jsonl",
            "parents/generated_schema.jsonl",
            "toys/documents.jsonl",
            "toys/generated_schema.jsonl"
        ]
    );
    assert_eq!(
        contents.0["_tables/documents.jsonl"],
        "{\"name\":\"children\",\"id\":10001}\n{\"name\":\"parents\",\"id\":10002}\n{\"name\":\"toys\",\"id\":10003}\n"
    );
    assert_eq!(contents.0["toys/generated_schema.jsonl"], "\"uniform\"\n");
    for (table, number) in [("children", 10_001), ("parents", 10_002), ("toys", 10_003)] {
        for document in contents.lines(table) {
            let id: DocumentId = document["_id"].as_str().unwrap().parse().unwrap();
            assert_eq!(id.table_number(), number);
        }
    }
}

#[tokio::test]
async fn a_row_without_its_parent_is_rejected_and_so_are_its_children() {
    let world = family();
    let plan = world.plan(SNAPSHOT).await;
    assert!(plan.tables.iter().all(|table| table.level == 0), "no table waits for another");
    let (report, contents) = world.archive(&plan).await;
    assert_eq!(contents.documents("children"), ["c1 parent=@parents/p", "c3"]);
    assert_eq!(contents.documents("toys"), ["t1 owner=@children/c1", "t3"]);
    assert_eq!(world.rejects("children").await, ["c2 reference_missing: parent: parents gone is not in the sink"]);
    assert_eq!(world.rejects("toys").await, ["t2 reference_missing: owner: children c2 is not in the sink"]);
    assert_eq!((report.totals.migrated, report.totals.rejected), (5, 2));
    assert_eq!(report.tables["toys"].reference_misses[0].count, 1);
}

#[tokio::test]
async fn what_the_plan_says_of_missing_parents_is_done() {
    for (missing, children, toys, counts) in [
        (
            "null",
            vec!["c1 parent=@parents/p", "c2", "c3"],
            vec!["t1 owner=@children/c1", "t2 owner=@children/c2", "t3"],
            (7, 0, 0),
        ),
        ("skip", vec!["c1 parent=@parents/p", "c3"], vec!["t1 owner=@children/c1", "t3"], (5, 2, 0)),
    ] {
        let world = family();
        let plan = world.plan(&format!("{SNAPSHOT}[defaults]\non_missing = \"{missing}\"")).await;
        let (report, contents) = world.archive(&plan).await;
        assert_eq!(contents.documents("children"), children, "{missing}");
        assert_eq!(contents.documents("toys"), toys, "{missing}");
        let totals = report.totals;
        assert_eq!((totals.migrated, totals.skipped, totals.rejected), counts, "{missing}");
    }
    let world = family();
    let plan = world.plan(&format!("{SNAPSHOT}[defaults]\non_missing = \"fail\"")).await;
    let (result, report) = world.run(&plan, &world.sink(&plan)).await;
    assert_eq!(result.unwrap_err().kind(), ErrorKind::TooManyRejects);
    assert_eq!(report.tables["children"].migrated, 3);
}

/// Rows that require each other: by mutations there is no order for them.
#[tokio::test]
async fn cycles_of_required_references_are_written_at_once() {
    let world = World::new();
    world.table("a", ["id", "b > b"], &[["a1", "b1"], ["a2", "b2"], ["a3", "b3"], ["a4", "a4"]]);
    world.table("b", ["id", "a > a", "next > b"], &[["b1", "a1", "b2"], ["b2", "a2", "b2"], ["b3", "gone", NULL]]);
    let required = "[tables.a]\ncolumns.b.nulls = \"reject\"\n[tables.b]\ncolumns.a.nulls = \"reject\"\n";
    let plan = world.plan(&format!("{SNAPSHOT}{required}")).await;
    let (_, contents) = world.archive(&plan).await;
    assert_eq!(contents.documents("a"), ["a1 b=@b/b1", "a2 b=@b/b2"]);
    assert_eq!(contents.documents("b"), ["b1 a=@a/a1 next=@b/b2", "b2 a=@a/a2 next=@b/b2"]);
    // The row of `b` whose parent is gone takes its own child with it.
    assert_eq!(world.rejects("a").await.len(), 2);
    assert_eq!(world.rejects("b").await, ["b3 reference_missing: a: a gone is not in the sink"]);
}

#[tokio::test]
async fn references_to_other_columns_wait_for_their_table() {
    let world = World::new();
    world.table("orders", ["id", "buyer > users(email)"], &[["o1", "a@x"], ["o2", "gone@x"]]);
    world.table("users", ["id", "email", "boss > users"], &[["u1", "a@x", "u2"], ["u2", "b@x", NULL]]);
    let plan = world.plan(SNAPSHOT).await;
    let order: Vec<(&str, usize)> = plan.tables.iter().map(|table| (table.sink.name(), table.level)).collect();
    assert_eq!(order, [("users", 0), ("orders", 1)]);
    let (_, contents) = world.archive(&plan).await;
    assert_eq!(contents.documents("orders"), ["o1 buyer=@users/u1"]);
    assert_eq!(contents.documents("users"), ["u1 email=a@x boss=@users/u2", "u2 email=b@x"]);
}

/// A table without a document, and one whose parent by another column is withdrawn.
#[tokio::test]
async fn a_parent_that_is_withdrawn_is_missing_by_its_other_keys_too() {
    let world = World::new();
    world.table("users", ["id", "email", "team > teams"], &[["u1", "a@x", "gone"], ["u2", "b@x", NULL]]);
    world.table("teams", ["id"], &[]);
    world.table("orders", ["id", "buyer > users(email)"], &[["o1", "a@x"], ["o2", "b@x"]]);
    let plan = world.plan(SNAPSHOT).await;
    let (_, contents) = world.archive(&plan).await;
    assert_eq!(contents.documents("orders"), ["o2 buyer=@users/u2"]);
    assert_eq!(contents.lines("teams").len(), 0);
    assert_eq!(world.rejects("orders").await, ["o1 reference_missing: buyer: users(email) a@x is not in the sink"]);
}

/// A long table of rows that refer to each other at random, some of them to none that is there.
fn tangled(rows: usize) -> World {
    let world = World::new();
    let text = |at: usize| format!("n{at:04}");
    let lines: Vec<[String; 3]> = (0..rows)
        .map(|at| {
            let far = (at * 7919 + 13) % (rows + rows / 50);
            [text(at), text((at + 1) % (rows + 1)), if at.is_multiple_of(3) { NULL.to_owned() } else { text(far) }]
        })
        .collect();
    let borrowed: Vec<[&str; 3]> =
        lines.iter().map(|line| [line[0].as_str(), line[1].as_str(), line[2].as_str()]).collect();
    let (left, right) = borrowed.split_at(rows / 2);
    world.table("nodes", ["id", "next", "far"], left);
    world.table("others", ["id", "next", "far"], right);
    world
}

/// References within each table, one of which is left out where its parent is missing.
const TANGLED: &str = "[tables.nodes]\ncolumns.far = { references = \"nodes\", on_missing = \"reject\" }\n\
    columns.next = { references = \"nodes\", on_missing = \"null\" }\n\
    [tables.others]\ncolumns.far = { references = \"nodes\", on_missing = \"skip\" }\n\
    columns.next = { references = \"others\", on_missing = \"null\" }\n";

/// What must come out, computed straight from the rows.
fn expected(rows: usize) -> (Vec<String>, Vec<String>) {
    let far = |at: usize| (!at.is_multiple_of(3)).then_some((at * 7919 + 13) % (rows + rows / 50));
    let half = rows / 2;
    let mut kept: Vec<bool> = (0..rows).map(|_| true).collect();
    loop {
        let before = kept.clone();
        for (at, kept) in kept.iter_mut().enumerate() {
            *kept &= far(at).is_none_or(|to| to < half && before[to]);
        }
        if kept == before {
            break;
        }
    }
    let line = |at: usize, table: &str, start: usize, end: usize| {
        let next = (at + 1) % (rows + 1);
        let next = if (start..end).contains(&next) && kept[next] {
            format!(" next=@{table}/n{next:04}")
        } else {
            String::new()
        };
        let far = far(at).map_or_else(String::new, |to| format!(" far=@nodes/n{to:04}"));
        format!("n{at:04}{next}{far}")
    };
    let of = |start: usize, end: usize, table: &str| {
        (start..end).filter(|&at| kept[at]).map(|at| line(at, table, start, end)).collect::<Vec<_>>()
    };
    (of(0, half, "nodes"), of(half, rows, "others"))
}

#[tokio::test]
async fn a_tangle_of_references_is_closed() {
    const ROWS: usize = 900;
    let world = tangled(ROWS);
    let plan = world.plan(&format!("{SNAPSHOT}[run]\nbatch_records = 17\n{TANGLED}")).await;
    let (report, contents) = world.archive(&plan).await;
    let (nodes, others) = expected(ROWS);
    assert!(nodes.len() < ROWS / 2 && nodes.len() > 100, "{} nodes", nodes.len());
    assert_eq!(contents.documents("nodes"), nodes);
    assert_eq!(contents.documents("others"), others);
    assert_eq!(report.tables["nodes"].migrated, nodes.len() as u64);
    assert_eq!(report.tables["others"].skipped, (ROWS / 2 - others.len()) as u64);
    assert_eq!(report.tables["nodes"].rejected, (ROWS / 2 - nodes.len()) as u64);
}

/// At whichever call a run fails, the next one ends with the same archive and the same counts.
#[tokio::test]
async fn a_run_that_fails_at_any_call_is_finished_by_the_next() {
    const ROWS: usize = 120;
    let config = format!("{SNAPSHOT}[run]\nbatch_records = 10\n{TANGLED}");
    let (nodes, others) = expected(ROWS);
    let mut failed = 0;
    for (operation, calls) in [("read_page", 10), ("write_batch", 8), ("fetch", 2), ("count", 2)] {
        for (call, when) in (1..=calls).flat_map(|call| [(call, When::Before), (call, When::After)]) {
            let world = tangled(ROWS);
            let plan = world.plan(&config).await;
            world.faults.fail(operation, call, when, || Error::new(ErrorKind::Protocol, "fail as planned"));
            let (first, _) = world.run(&plan, &world.sink(&plan)).await;
            failed += usize::from(first.is_err());
            let (report, contents) = world.archive(&plan).await;
            let place = format!("{operation} {call} {when:?}");
            assert_eq!(contents.documents("nodes"), nodes, "{place}");
            assert_eq!(contents.documents("others"), others, "{place}");
            assert_eq!(report.tables["nodes"].migrated, nodes.len() as u64, "{place}");
            assert_eq!(report.tables["others"].migrated, others.len() as u64, "{place}");
            assert_eq!(report.tables["nodes"].rejected, (ROWS / 2 - nodes.len()) as u64, "{place}");
        }
    }
    assert!(failed > 25, "{failed} runs failed");
}

/// The same rows, by mutations into memory and by an archive, where both ways know an order.
#[tokio::test]
async fn both_ways_come_to_the_same() {
    const ROWS: usize = 300;
    let config =
        TANGLED.replace("columns.next = { references = \"nodes\", on_missing = \"null\" }", "columns.next.drop = true");
    let config =
        config.replace("columns.far = { references = \"nodes\", on_missing = \"reject\" }", "columns.far.drop = true");
    let config =
        config.replace("columns.next = { references = \"others\", on_missing = \"null\" }", "columns.next.drop = true");
    let world = tangled(ROWS);
    let (_, contents) = world.archive(&world.plan(&format!("{SNAPSHOT}{config}")).await).await;

    let (plan, sink) = (world.plan(&config).await, Arc::new(MemorySink::default()));
    let pipeline = Pipeline::new(plan, world.source.clone(), sink.clone(), Arc::new(MemoryState::new()));
    pipeline.run().await.unwrap();
    let mut rows = BTreeMap::new();
    for (table, document) in ["nodes", "others"]
        .iter()
        .flat_map(|table| sink.documents(&table.parse().unwrap()).into_iter().map(move |document| (table, document)))
    {
        rows.insert(document.id.to_string(), (format!("@{table}/{}", document.key.clone().unwrap()), document));
    }
    let line = |(_, document): &(String, migrate_core::testing::Document)| {
        let shown = |(name, value): (&String, &Value)| match value {
            Value::Text(text) => format!(" {name}={}", rows.get(&**text).map_or(&**text, |(row, _)| row)),
            other => format!(" {name}={}", other.kind()),
        };
        document.key.as_ref().unwrap().to_string() + &document.fields.iter().map(shown).collect::<String>()
    };
    let mut all: Vec<String> = rows.values().map(line).collect();
    all.sort();
    let mut archived = contents.documents("nodes");
    archived.extend(contents.documents("others"));
    assert_eq!(archived, all);
    assert!(all.len() < ROWS, "some are skipped");
}

/// What Convex would refuse is a reject, as it is on the way by mutations.
#[tokio::test]
async fn documents_are_checked_before_they_are_written() {
    let world = World::new();
    let large = "x".repeat(1 << 20);
    world.table(
        "notes",
        ["id", "text", "state", "parent > notes"],
        &[["fine", "a", "open", NULL], ["large", &large, "open", NULL], ["child", "b", "shut", "large"]],
    );
    let plan = world.plan(SNAPSHOT).await;
    let (report, contents) = world.archive(&plan).await;
    assert_eq!(contents.documents("notes"), ["fine text=a state=open"]);
    let rejects = world.rejects("notes").await;
    assert!(rejects[0].starts_with("child reference_missing: parent: notes large"), "{rejects:?}");
    assert!(rejects[1].starts_with("large document_too_large"), "{rejects:?}");
    assert_eq!(report.totals.rejected, 2);
}

#[tokio::test]
async fn a_document_is_created_when_its_column_says() {
    let world = World::new();
    let mut schema =
        table("notes", &["id"], vec![column("id", ScalarKind::Text), column("made", ScalarKind::TimestampTz)]).unwrap();
    schema.columns[1].nullable = true;
    let time = |text: &str| Value::Time(migrate_core::value::TimeKind::TimestampTz, text.into());
    world.source.inner().insert(
        schema,
        vec![
            vec![Value::text("a"), time("2024-05-06T07:08:09.123+00:00")],
            vec![Value::text("b"), Value::Null],
            vec![Value::text("c"), time("1969-12-31T00:00:00+00:00")],
        ],
    );
    let config = format!("{SNAPSHOT}[tables.notes]\ncreation_time = \"made\"");
    let (_, contents) = world.archive(&world.plan(&config).await).await;
    assert_eq!(
        contents.documents("notes"),
        ["a made=1714979289123.0 _creationTime=1714979289123.0", "b"],
        "the row of 1969 is a reject"
    );
    assert!(contents.0["notes/documents.jsonl"].contains("\"_creationTime\":1714979289123.0"));
    assert!(world.rejects("notes").await[0].starts_with("c not_representable"));
}

#[tokio::test]
async fn keys_may_have_a_table_of_their_own() {
    let world = family();
    let plan = world.plan(&format!("{SNAPSHOT}legacy_ids = \"side_table\"\n")).await;
    let (_, contents) = world.archive(&plan).await;
    let children = contents.lines("children");
    assert_eq!(children.len(), 2);
    assert!(children.iter().all(|document| document.get("supabaseId").is_none()));
    let keys = contents.lines("migrationIds");
    let mut known: Vec<String> = keys
        .iter()
        .map(|row| format!("{} {}", row["table"].as_str().unwrap(), row["legacyId"].as_str().unwrap()))
        .collect();
    known.sort();
    assert_eq!(known, ["children c1", "children c3", "parents p", "toys t1", "toys t3"]);
    for row in &keys {
        let table = row["table"].as_str().unwrap();
        assert!(contents.lines(table).iter().any(|document| document["_id"] == row["documentId"]));
    }
}

#[tokio::test]
async fn the_older_encoding_says_of_every_table_what_its_texts_are() {
    let world = World::new();
    let schema = table(
        "t",
        &["id"],
        vec![column("id", ScalarKind::Int8), column("data", ScalarKind::Bytes), column("any", ScalarKind::Json)],
    )
    .unwrap();
    let row = vec![Value::Int64(i64::MAX), Value::Bytes(Box::new([1, 2])), Value::Json("{\"a\":[1.5,\"2\"]}".into())];
    world.source.inner().insert(schema, vec![row]);
    let plan = world.plan(&format!("{SNAPSHOT}[tables.t]\ncolumns.id.type = \"int64\"")).await;
    let sink = world.sink(&plan);
    world.run(&plan, &sink).await.0.unwrap();
    let (path, _) = sink.finish_archive(&tables(&plan), Encoding::Shape).await.unwrap();
    let contents = Contents::read(&path);
    let document = &contents.lines("t")[0];
    assert_eq!(document["id"], "9223372036854775807");
    assert_eq!(document["data"], "AQI=");
    assert_eq!(document["any"], serde_json::json!({ "a": [1.5, "2"] }));
    let schema: Vec<Json> =
        contents.0["t/generated_schema.jsonl"].lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(
        schema,
        [
            r#"{"_id": string, "_creationTime"?: normalfloat64, "id"?: int64, "data"?: bytes, "any"?: unknown, "supabaseId"?: unknown}"#
        ]
    );
}

#[tokio::test]
async fn a_snapshot_of_another_plan_or_of_other_numbers_is_refused() {
    let world = family();
    let plan = world.plan(SNAPSHOT).await;
    drop(world.sink(&plan));
    let folder = world.folder.path().join("snapshot");
    let moved = TableNumbers::new(["children", "parents", "toys"].map(str::to_owned).into_iter().zip(10_002..));
    let error = SnapshotSink::open(&plan, &moved, &folder, None).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::State);
    assert!(error.to_string().contains("children was 10001 and is 10002"), "{error}");
    let other = world.plan(&format!("{SNAPSHOT}id_stream = \"other\"\n")).await;
    let numbers = SnapshotSink::begun_numbers(&folder).unwrap().unwrap();
    assert_eq!(SnapshotSink::open(&other, &numbers, &folder, None).unwrap_err().kind(), ErrorKind::State);
}

/// An import would empty tables of which the archive has no document.
#[tokio::test]
async fn tables_that_were_not_selected_are_not_in_the_archive() {
    let world = family();
    let plan = world.plan(SNAPSHOT).await;
    let sink = world.sink(&plan);
    let parents: TableName = "parents".parse().unwrap();
    let pipeline = Pipeline::new(plan.clone(), world.source.clone(), sink.clone(), world.state.clone());
    pipeline.derived_ids(sink.clone()).tables([parents.clone()]).run().await.unwrap();
    let (path, _) = sink.finish_archive(std::slice::from_ref(&parents), Encoding::Uniform).await.unwrap();
    let contents = Contents::read(&path);
    assert_eq!(contents.0["_tables/documents.jsonl"], "{\"name\":\"parents\",\"id\":10002}\n");
    assert!(!contents.0.contains_key("toys/documents.jsonl"));
    assert!(sink.finished_archive(std::slice::from_ref(&parents)).unwrap().is_some());
    assert!(sink.finished_archive(&tables(&plan)).unwrap().is_none());
}
