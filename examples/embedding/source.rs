//! Migrates a folder of JSON Lines into Convex: a source of one's own, and all that is around it.
//!
//! ```sh
//! embedding_source plan FOLDER   # writes FOLDER/convex, to be deployed
//! embedding_source run FOLDER    # migrates to CONVEX_URL with CONVEX_DEPLOY_KEY; again, it goes on
//! ```
//!
//! Each `name.jsonl` is a table. A line is an object with an integer `id`, the row's key.

use std::collections::BTreeMap;
use std::error::Error as StdError;
use std::fs;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use convex_sink::{CONVEX_RULES, ConvexSettings, ConvexSink, generate};
use migrate_core::catalog::{CATALOG_VERSION, Catalog, Column, ScalarKind, SourceType, TableSchema, TableState};
use migrate_core::layer::{Bisect, Limit, Retry, RetryPolicy, Timeout};
use migrate_core::names::{FieldName, SourceKey, TableName};
use migrate_core::plan::{build_plan, read_config};
use migrate_core::record::{Record, RecordShape};
use migrate_core::report::{Outcome, ReportBuilder};
use migrate_core::source::{Cursor, KeyRange, Page, PageRequest};
use migrate_core::state::SqliteState;
use migrate_core::value::Value;
use migrate_core::{Error, ErrorKind, Pipeline, Plan, Result, Source};
use secrecy::SecretString;
use serde_json::{Map, Value as Json};

/// A folder of JSON Lines, read whole when it is opened.
#[derive(Debug)]
pub struct JsonLines {
    tables: BTreeMap<TableName, Table>,
}

#[derive(Debug)]
struct Table {
    schema: TableSchema,
    /// In the order of their key.
    rows: BTreeMap<i64, Map<String, Json>>,
}

fn config(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Config, message)
}

impl JsonLines {
    /// Opens a folder.
    ///
    /// # Errors
    /// When a file cannot be read, or a line is not an object with an integer `id` that no other line has.
    pub fn open(folder: &Path) -> Result<Self> {
        let failed = |error| Error::new(ErrorKind::Io, "read the folder").with_source(error);
        let mut tables = BTreeMap::new();
        for entry in fs::read_dir(folder).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            if path.extension().is_none_or(|extension| extension != "jsonl") {
                continue;
            }
            let name: TableName = path.file_stem().unwrap_or_default().to_string_lossy().parse()?;
            tables.insert(name.clone(), Table::read(name, &fs::read_to_string(&path).map_err(failed)?)?);
        }
        Ok(Self { tables })
    }

    fn table(&self, name: &TableName) -> Result<&Table> {
        let missing = || Error::new(ErrorKind::TableMissing, "find the table's file").with_context("table", name);
        self.tables.get(name).ok_or_else(missing)
    }
}

impl Table {
    fn read(name: TableName, text: &str) -> Result<Self> {
        let mut rows = BTreeMap::new();
        for (number, line) in text.lines().enumerate() {
            // Neither the line nor the parser's own words: both may hold a row's values.
            let wrong = |what: &str| config(what).with_context("table", &name).with_context("line", number + 1);
            let row: Map<String, Json> = serde_json::from_str(line).map_err(|_| wrong("read a line as an object"))?;
            let id = row.get("id").and_then(Json::as_i64).ok_or_else(|| wrong("find an integer id"))?;
            if rows.insert(id, row).is_some() {
                return Err(wrong("take an id that another line has"));
            }
        }
        let mut names: Vec<&String> = rows.values().flat_map(Map::keys).collect();
        let id = "id".to_owned();
        names.push(&id);
        names.sort();
        names.dedup();
        let schema = TableSchema {
            state: if rows.is_empty() { TableState::Empty } else { TableState::Present },
            rows: u64::try_from(rows.len()).ok(),
            columns: names.into_iter().map(|name| column(name, &rows)).collect(),
            primary_key: vec!["id".into()],
            ..TableSchema::new(name)
        };
        Ok(Self { schema, rows })
    }

    fn record(&self, row: &Map<String, Json>, shape: &Arc<RecordShape>) -> Record {
        let value = |name: &FieldName| {
            let scalar = self.schema.column(name.as_str()).map_or(ScalarKind::Json, |column| column.source_type.scalar);
            value(row.get(name.as_str()), scalar)
        };
        Record { shape: shape.clone(), values: shape.fields.iter().map(value).collect() }
    }

    fn shape(&self, columns: &[FieldName]) -> Result<Arc<RecordShape>> {
        // A file without lines shows no columns, so it lacks none.
        let is_unknown = |column: &&FieldName| !self.rows.is_empty() && self.schema.column(column.as_str()).is_none();
        if let Some(unknown) = columns.iter().find(is_unknown) {
            let error = config("read a column that no line has").with_context("table", &self.schema.name);
            return Err(error.with_context("column", unknown));
        }
        let key = columns.iter().position(|column| column.as_str() == "id").into_iter().collect();
        Ok(Arc::new(RecordShape { table: self.schema.name.clone(), fields: columns.to_vec(), key }))
    }
}

/// Integers and texts are columns of that type; anything else is JSON, exact as it stands.
fn column(name: &str, rows: &BTreeMap<i64, Map<String, Json>>) -> Column {
    let values = || rows.values().filter_map(|row| row.get(name)).filter(|value| !value.is_null());
    let scalar = match values().next() {
        None if name == "id" => ScalarKind::Int8,
        Some(Json::Number(_)) if values().all(Json::is_i64) => ScalarKind::Int8,
        Some(Json::String(_)) if values().all(Json::is_string) => ScalarKind::Text,
        _ => ScalarKind::Json,
    };
    let nullable = rows.values().any(|row| row.get(name).is_none_or(Json::is_null));
    let source_type = SourceType::new(format!("{scalar:?}").to_lowercase(), scalar);
    Column { nullable, ..Column::new(name.into(), source_type) }
}

fn value(json: Option<&Json>, scalar: ScalarKind) -> Value {
    match (json, scalar) {
        (None | Some(Json::Null), _) => Value::Null,
        (Some(Json::Number(number)), ScalarKind::Int8) => number.as_i64().map_or(Value::Null, Value::Int64),
        (Some(Json::String(text)), ScalarKind::Text) => Value::text(text.as_str()),
        (Some(json), _) => Value::Json(json.to_string().into()),
    }
}

#[async_trait]
impl Source for JsonLines {
    async fn check(&self) -> Result<()> {
        Ok(())
    }

    async fn discover(&self) -> Result<Catalog> {
        Ok(Catalog {
            version: CATALOG_VERSION,
            origin: "a folder of JSON Lines".to_owned(),
            unknown: vec!["references between the files".to_owned()],
            differences: Vec::new(),
            tables: self.tables.values().map(|table| table.schema.clone()).collect(),
            inventory: Vec::new(),
        })
    }

    async fn count(&self, table: &TableName) -> Result<Option<u64>> {
        Ok(self.table(table)?.schema.rows)
    }

    async fn partitions(&self, table: &TableName, _: &[FieldName], _: usize) -> Result<Vec<KeyRange>> {
        // One part, always: the files are small. So no page is asked for another.
        self.table(table).map(|_| vec![KeyRange::all()])
    }

    async fn read_page(&self, request: PageRequest) -> Result<Page> {
        let table = self.table(&request.table)?;
        if *request.key != ["id".into()] {
            return Err(config("order rows by another column than id").with_context("table", &request.table));
        }
        let after = match &request.after {
            None => None,
            Some(Cursor(texts)) => match texts.first().and_then(|text| text.parse::<i64>().ok()) {
                None => return Err(config("go on after a place that is no id").with_context("table", &request.table)),
                after => after,
            },
        };
        let shape = table.shape(&request.columns)?;
        let following = table.rows.iter().filter(|(id, _)| after.is_none_or(|after| **id > after));
        let page: Vec<(&i64, &Map<String, Json>)> = following.take(request.limit).collect();
        Ok(Page {
            next: page.last().map(|(id, _)| Cursor(vec![id.to_string()])),
            records: page.into_iter().map(|(_, row)| table.record(row, &shape)).collect(),
            bytes: 0,
        })
    }

    async fn fetch(&self, table: &TableName, keys: &[SourceKey], columns: &[FieldName]) -> Result<Vec<Option<Record>>> {
        let table = self.table(table)?;
        let shape = table.shape(columns)?;
        let row = |key: &SourceKey| {
            let id: i64 = key.as_str().parse().map_err(|_| config("read a key that is no id"))?;
            Ok(table.rows.get(&id).map(|row| table.record(row, &shape)))
        };
        keys.iter().map(row).collect()
    }
}

/// The plan by `migrate.toml`, which is beside the files; without it, by the defaults.
async fn plan(source: &JsonLines, folder: &Path) -> Result<Plan, Box<dyn StdError>> {
    let text = match fs::read_to_string(folder.join("migrate.toml")) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        text => text?,
    };
    let config = read_config("migrate.toml", &text).map_err(|error| error.to_string())?;
    let issues = |issues: Vec<migrate_core::plan::PlanIssue>| {
        issues.iter().map(|issue| issue.message.as_str()).collect::<Vec<_>>().join("\n")
    };
    Ok(build_plan(&config, &source.discover().await?, &CONVEX_RULES).map_err(issues)?)
}

fn write_code(plan: &Plan, functions: &Path) -> Result<(), Box<dyn StdError>> {
    let code = generate(plan)?;
    let mut files = vec![(code.schema_path, code.schema_ts), (code.migrate_path, code.migrate_ts)];
    files.extend(code.app_schema.map(|app| ("schema.ts".to_owned(), app.alone)));
    for (path, text) in files {
        let path = functions.join(path);
        fs::create_dir_all(path.parent().unwrap_or(functions))?;
        fs::write(path, text)?;
    }
    Ok(())
}

async fn migrate(plan: Plan, source: JsonLines, folder: &Path) -> Result<Outcome, Box<dyn StdError>> {
    let key = SecretString::from(std::env::var("CONVEX_DEPLOY_KEY")?);
    let sink = ConvexSink::new(ConvexSettings::new(std::env::var("CONVEX_URL")?, key))?;
    let report = Arc::new(ReportBuilder::start("embedding_source", &plan, false));
    let sink = Limit::new(Timeout::new(sink, Duration::from_secs(315)), 4);
    let sink = Bisect::new(Retry::new(sink, RetryPolicy::default(), report.clone()));
    let state = SqliteState::open(&folder.join("state.sqlite"))?;
    let pipeline = Pipeline::new(plan, Arc::new(source), Arc::new(sink), Arc::new(state)).observer(report.clone());
    pipeline.check().await?;
    let result = pipeline.run().await;
    let report = report.report(result.as_ref().err());
    let totals = &report.totals;
    println!("{} rows: {} migrated, {} rejected", totals.source, totals.migrated, totals.rejected);
    result?;
    Ok(report.outcome)
}

#[tokio::main]
async fn main() -> Result<ExitCode, Box<dyn StdError>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [step, folder] = arguments.as_slice() else { return Err("say: plan FOLDER, or: run FOLDER".into()) };
    let folder = Path::new(folder);
    let source = JsonLines::open(folder)?;
    let plan = plan(&source, folder).await?;
    if step == "plan" {
        write_code(&plan, &folder.join("convex"))?;
        return Ok(ExitCode::SUCCESS);
    }
    let outcome = migrate(plan, source, folder).await?;
    Ok(if outcome == Outcome::Complete { ExitCode::SUCCESS } else { ExitCode::from(3) })
}
