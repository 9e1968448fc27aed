//! Whole runs on in-memory parts: what a selection may leave out, what ends a run, and what becomes of references.

#![expect(clippy::unwrap_used, reason = "a test says what it wants by unwrapping")]

mod adopted;
mod cycles;
mod forward;
mod interrupted;
mod overlap;
mod partitions;
mod references;
mod rejects;
mod replay;
mod replay_files;
mod selection;
mod verify;

use std::collections::BTreeMap;
use std::sync::Arc;

use migrate_core::catalog::{ForeignKey, ScalarKind, TableSchema};
use migrate_core::names::{FieldName, TableName};
use migrate_core::plan::{Plan, PlanIssue, SinkRules, build_plan, read_config};
use migrate_core::reject::Reject;
use migrate_core::report::{Report, ReportBuilder};
use migrate_core::state::{MemoryState, StateStore as _};
use migrate_core::testing::{Faults, Faulty, MemorySink, MemorySource, column, table};
use migrate_core::value::Value;
use migrate_core::{Pipeline, Result, Source as _};

/// SQL NULL in the rows of a test.
const NULL: &str = "NULL";

fn name(text: &str) -> TableName {
    text.parse().unwrap()
}

fn value(text: &str) -> Value {
    if text == NULL { Value::Null } else { Value::text(text) }
}

/// A source, a sink and a state, which the runs of a test share.
struct World {
    source: Arc<Faulty<MemorySource>>,
    sink: Arc<Faulty<MemorySink>>,
    state: Arc<MemoryState>,
    faults: Faults,
    tables: Vec<TableName>,
}

impl World {
    fn new() -> Self {
        let faults = Faults::default();
        Self {
            source: Arc::new(Faulty::new(MemorySource::new(100), faults.clone())),
            sink: Arc::new(Faulty::new(MemorySink::default(), faults.clone())),
            state: Arc::new(MemoryState::new()),
            faults,
            tables: Vec::new(),
        }
    }

    /// Adds a table of texts whose first `key` columns are its key. A column may be written `name! > parent`: NOT NULL,
    /// and a reference to the parent's `id`.
    fn table<const N: usize>(&mut self, of: &str, key: usize, columns: [&str; N], rows: &[[&str; N]]) {
        let parsed = columns.map(|text| {
            let (column, parent) =
                text.split_once(" > ").map_or((text, None), |(column, parent)| (column, Some(parent)));
            (column.trim_end_matches('!'), column.ends_with('!'), parent)
        });
        let names = parsed.map(|(name, ..)| name);
        let columns = names.map(|name| column(name, ScalarKind::Text)).to_vec();
        let mut schema = table(of, &names[..key], columns).unwrap();
        for ((of, is_required, parent), column) in parsed.into_iter().zip(&mut schema.columns) {
            column.nullable &= !is_required;
            schema.foreign_keys.extend(parent.map(|parent| ForeignKey::single(of.into(), name(parent), "id".into())));
        }
        self.insert(schema, rows);
    }

    fn insert<const N: usize>(&mut self, schema: TableSchema, rows: &[[&str; N]]) {
        self.tables.push(schema.name.clone());
        self.source.inner().insert(schema, rows.iter().map(|row| row.map(value).to_vec()).collect());
    }

    async fn schema(&self, of: &str) -> TableSchema {
        self.source.discover().await.unwrap().table(&name(of)).unwrap().clone()
    }

    /// Begins a new state, as `--fresh` does.
    fn forget(&mut self) {
        self.state = Arc::new(MemoryState::new());
    }

    async fn try_plan(&self, config: &str) -> Result<Plan, Vec<PlanIssue>> {
        let config = read_config("migrate.toml", config).unwrap();
        build_plan(&config, &self.source.discover().await.unwrap(), &SinkRules::default())
    }

    async fn plan(&self, config: &str) -> Plan {
        self.try_plan(config).await.unwrap()
    }

    fn pipeline(&self, plan: &Plan) -> Pipeline {
        Pipeline::new(plan.clone(), self.source.clone(), self.sink.clone(), self.state.clone())
    }

    /// Runs a pipeline, and reports on it. What must hold of every report holds of this one, too.
    async fn run(&self, plan: &Plan, set_up: impl FnOnce(Pipeline) -> Pipeline) -> (Result<()>, Report) {
        let report = Arc::new(ReportBuilder::start("test", plan, false));
        let result = set_up(self.pipeline(plan)).observer(report.clone()).run().await;
        let report = report.report(result.as_ref().err());
        report.check().unwrap();
        (result, report)
    }

    /// Runs everything, to the end.
    async fn complete(&self, plan: &Plan) -> Report {
        let (result, report) = self.run(plan, |pipeline| pipeline).await;
        result.unwrap();
        report
    }

    /// The documents of a table, a line each: the row's key, then the fields. An id is shown as the row that it stands
    /// for, `@table/key`.
    fn documents(&self, of: &str) -> Vec<String> {
        let mut rows = BTreeMap::new();
        for table in &self.tables {
            for document in self.sink.inner().documents(table) {
                let key = document.key.map_or_else(|| "before".to_owned(), |key| key.to_string());
                rows.insert(document.id.to_string(), format!("@{table}/{key}"));
            }
        }
        let shown = |value: &Value| match value {
            Value::Text(text) => rows.get(&**text).cloned().unwrap_or_else(|| text.to_string()),
            other => other.kind().to_owned(),
        };
        let documents = self.sink.inner().documents(&name(of)).into_iter().filter_map(|document| {
            let fields: Vec<String> =
                document.fields.iter().map(|(field, value)| format!(" {field}={}", shown(value))).collect();
            Some(document.key?.to_string() + &fields.concat())
        });
        let mut documents: Vec<String> = documents.collect();
        documents.sort();
        documents
    }

    /// The rejects of a table, a line each: key, code, field and reason.
    async fn rejects(&self, of: &str) -> Vec<String> {
        let line = |reject: Reject| {
            let field = reject.field.map_or_else(String::new, |field: FieldName| format!(" {field}"));
            format!("{} {}{field}: {}", reject.key, reject.code.as_str(), reject.reason)
        };
        self.state.rejects(&name(of), 0, 100).await.unwrap().into_iter().map(line).collect()
    }
}
