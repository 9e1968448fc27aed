//! Whole runs on in-memory parts: links, interruptions at every call, and what a run must refuse.

#![expect(clippy::unwrap_used, reason = "a test says what it wants by unwrapping")]

use std::sync::Arc;

use migrate_core::catalog::{ForeignKey, ScalarKind};
use migrate_core::names::{SourceKey, TableName};
use migrate_core::plan::{MigrateConfig, Plan, SinkRules, build_plan};
use migrate_core::report::{Outcome, ReportBuilder};
use migrate_core::sink::{IdAssignment, SinkCapabilities};
use migrate_core::state::{SqliteState, StateStore};
use migrate_core::testing::{Document, Faults, Faulty, MemorySink, MemorySource, When, column, table};
use migrate_core::value::Value;
use migrate_core::{Error, ErrorKind, Pipeline, Sink, Source};

fn name(text: &str) -> TableName {
    text.parse().unwrap()
}

/// 57 nodes in key order; each refers to the node after it, so that no order of rows has every parent first.
fn source() -> Arc<MemorySource> {
    let source = MemorySource::new(7);
    let columns = vec![column("id", ScalarKind::Int8), column("next", ScalarKind::Int8)];
    let mut nodes = table("nodes", &["id"], columns).unwrap();
    nodes.foreign_keys = vec![ForeignKey::single("next".into(), name("nodes"), "id".into())];
    let next = |id: i64| if id == 56 { Value::Null } else { Value::Int64(id + 1) };
    source.insert(nodes, (0..57).map(|id| vec![Value::Int64(id), next(id)]).collect());
    Arc::new(source)
}

async fn plan(source: &MemorySource) -> Plan {
    let mut plan =
        build_plan(&MigrateConfig::default(), &source.discover().await.unwrap(), &SinkRules::default()).unwrap();
    plan.run.page_rows = 7;
    plan.run.batch_records = 3;
    plan
}

fn small_sink() -> MemorySink {
    MemorySink::new(SinkCapabilities {
        batch_records: 3,
        batch_bytes: 1 << 20,
        in_flight: 4,
        ids: IdAssignment::OnWrite,
    })
}

/// By key: what the document's link points to, as a key again.
fn links(documents: &[Document]) -> Vec<(String, Option<String>)> {
    let key_of = |id: &str| documents.iter().find(|document| document.id.as_str() == id).and_then(|d| d.key.clone());
    let mut links: Vec<(String, Option<String>)> = documents
        .iter()
        .map(|document| {
            let link = match document.fields.get("next") {
                Some(Value::Text(id)) => key_of(id).map(|key: SourceKey| key.to_string()),
                _ => None,
            };
            (document.key.clone().unwrap().to_string(), link)
        })
        .collect();
    links.sort();
    links
}

fn expected() -> Vec<(String, Option<String>)> {
    let mut links: Vec<(String, Option<String>)> =
        (0..57).map(|id| (id.to_string(), (id < 56).then(|| (id + 1).to_string()))).collect();
    links.sort();
    links
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_fails_at_any_call_is_finished_by_the_next() {
    let source = source();
    let mut plan = plan(&source).await;
    for (operation, partitions) in [("write_batch", 1), ("read_page", 1), ("write_batch", 3), ("read_page", 3)] {
        plan.run.partitions = Some(partitions);
        for when in [When::Before, When::After] {
            // 57 rows are 19 writes of three and at least nine pages, then as many again for the links.
            for call in 1..=18 {
                let folder = tempfile::tempdir().unwrap();
                let state: Arc<dyn StateStore> =
                    Arc::new(SqliteState::open(&folder.path().join("state.sqlite")).unwrap());
                let faults = Faults::default();
                faults.fail(operation, call, when, || Error::new(ErrorKind::Protocol, "understand the answer"));
                let sink = Arc::new(Faulty::new(small_sink(), faults.clone()));
                let reading: Arc<dyn Source> = Arc::new(Faulty::new(Forward(source.clone()), faults.clone()));
                let as_sink: Arc<dyn Sink> = sink.clone();
                let run = || Pipeline::new(plan.clone(), reading.clone(), as_sink.clone(), state.clone());
                let first = run().run().await;
                assert!(first.is_err(), "{operation} {when:?} {call} of {partitions} did not fail");
                let report = Arc::new(ReportBuilder::start("test", &plan, false));
                run().observer(report.clone()).run().await.unwrap();
                let documents = sink.inner().documents(&name("nodes"));
                assert_eq!(links(&documents), expected(), "after {operation} {when:?} {call}");
                let report = report.report(None);
                report.check().unwrap();
                assert_eq!((report.outcome, report.totals.source), (Outcome::Complete, 57));
            }
        }
    }
}

#[tokio::test]
async fn a_state_of_another_plan_is_refused_with_both_fingerprints() {
    let source = source();
    let plan = plan(&source).await;
    let folder = tempfile::tempdir().unwrap();
    let state = SqliteState::open(&folder.path().join("state.sqlite")).unwrap();
    state.bind("another").await.unwrap();
    let run = Pipeline::new(plan.clone(), source, Arc::new(small_sink()), Arc::new(state)).run().await;
    let error = run.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::State);
    assert!(error.to_string().contains("another") && error.to_string().contains(&plan.fingerprint), "{error}");
}

/// The shared source as one that a wrapper can own.
#[derive(Debug)]
struct Forward(Arc<MemorySource>);

#[async_trait::async_trait]
impl Source for Forward {
    async fn check(&self) -> migrate_core::Result<()> {
        self.0.check().await
    }

    async fn discover(&self) -> migrate_core::Result<migrate_core::catalog::Catalog> {
        self.0.discover().await
    }

    async fn count(&self, table: &TableName) -> migrate_core::Result<Option<u64>> {
        self.0.count(table).await
    }

    async fn partitions(
        &self,
        table: &TableName,
        key: &[migrate_core::names::FieldName],
        wanted: usize,
    ) -> migrate_core::Result<Vec<migrate_core::source::KeyRange>> {
        self.0.partitions(table, key, wanted).await
    }

    async fn read_page(
        &self,
        request: migrate_core::source::PageRequest,
    ) -> migrate_core::Result<migrate_core::source::Page> {
        self.0.read_page(request).await
    }

    async fn fetch(
        &self,
        table: &TableName,
        keys: &[SourceKey],
        columns: &[migrate_core::names::FieldName],
    ) -> migrate_core::Result<Vec<Option<migrate_core::record::Record>>> {
        self.0.fetch(table, keys, columns).await
    }
}
