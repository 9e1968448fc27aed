use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

use crate::catalog::{CATALOG_VERSION, Catalog, Column, ScalarKind, SourceType, TableSchema, TableState};
use crate::error::{Error, ErrorKind, Result};
use crate::names::{FieldName, SourceKey, TableName};
use crate::record::{Record, RecordShape};
use crate::source::{Cursor, KeyRange, Page, PageRequest, Source};
use crate::value::Value;

type Tables = BTreeMap<TableName, (TableSchema, Vec<Vec<Value>>)>;

/// A source whose tables are in memory. Pages are capped, as a server caps them, whatever the limit asked for.
#[derive(Debug)]
pub struct MemorySource {
    max_rows: usize,
    tables: Mutex<Tables>,
}

/// A column of a table for [`MemorySource`]; nullable.
#[must_use]
pub fn column(name: &str, scalar: ScalarKind) -> Column {
    Column::new(name.into(), SourceType::new(format!("{scalar:?}").to_lowercase(), scalar))
}

/// A table for [`MemorySource`], with its key columns.
///
/// # Errors
/// `Config` when the name is empty.
pub fn table(name: &str, key: &[&str], columns: Vec<Column>) -> Result<TableSchema> {
    let mut columns = columns;
    for column in &mut columns {
        column.nullable = !key.contains(&column.name.as_str());
    }
    Ok(TableSchema {
        state: TableState::Present,
        columns,
        primary_key: key.iter().map(|&name| FieldName::from(name)).collect(),
        ..TableSchema::new(name.parse()?)
    })
}

impl MemorySource {
    /// A source that gives at most `max_rows` rows in one page.
    #[must_use]
    pub fn new(max_rows: usize) -> Self {
        Self { max_rows: max_rows.max(1), tables: Mutex::new(BTreeMap::new()) }
    }

    /// Adds a table with rows in any order, each with one value per column.
    pub fn insert(&self, schema: TableSchema, mut rows: Vec<Vec<Value>>) {
        let key = key_positions(&schema);
        rows.sort_by(|left, right| compare_rows(&key, left, right));
        self.tables().insert(schema.name.clone(), (schema, rows));
    }

    fn tables(&self) -> MutexGuard<'_, Tables> {
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn key_positions(schema: &TableSchema) -> Vec<usize> {
    let position = |name: &FieldName| schema.columns.iter().position(|column| column.name == *name);
    schema.primary_key.iter().filter_map(position).collect()
}

/// Key order: numbers as numbers, all else as text by its bytes.
fn compare_values(left: &Value, right: &Value) -> Ordering {
    match (left, right) {
        (Value::Int64(left), Value::Int64(right)) => left.cmp(right),
        _ => left.key_text().cmp(&right.key_text()),
    }
}

fn compare_rows(key: &[usize], left: &[Value], right: &[Value]) -> Ordering {
    key.iter()
        .filter_map(|&at| Some(compare_values(left.get(at)?, right.get(at)?)))
        .find(|order| order.is_ne())
        .unwrap_or(Ordering::Equal)
}

/// A key text as a value of the same kind as `like`.
fn as_kind(text: &str, like: &Value) -> Value {
    match like {
        Value::Int64(_) => text.parse().map_or_else(|_| Value::text(text), Value::Int64),
        _ => Value::text(text),
    }
}

/// How a row's key stands to the key texts of a cursor.
fn compare_key(key: &[usize], row: &[Value], texts: &[String]) -> Ordering {
    key.iter()
        .zip(texts)
        .filter_map(|(&at, text)| row.get(at).map(|value| compare_values(value, &as_kind(text, value))))
        .find(|order| order.is_ne())
        .unwrap_or(Ordering::Equal)
}

fn in_range(key: &[usize], row: &[Value], range: &KeyRange) -> bool {
    let Some(leading) = key.first().and_then(|&at| row.get(at)) else { return true };
    let compare = |text: &String| compare_values(leading, &as_kind(text, leading));
    range.lower.as_ref().is_none_or(|lower| compare(lower).is_ge())
        && range.upper.as_ref().is_none_or(|upper| compare(upper).is_lt())
}

fn missing(table: &TableName) -> Error {
    Error::new(ErrorKind::TableMissing, "find the table").with_context("table", table)
}

/// The columns asked for, with their positions; the shape's key is the table's key among them.
fn project(schema: &TableSchema, columns: &[FieldName]) -> Result<(Arc<RecordShape>, Vec<usize>)> {
    let position = |name: &FieldName| {
        schema.columns.iter().position(|column| column.name == *name).ok_or_else(|| {
            Error::new(ErrorKind::Config, "read a column that is not there")
                .with_context("table", &schema.name)
                .with_context("column", name)
        })
    };
    let positions = columns.iter().map(position).collect::<Result<Vec<usize>>>()?;
    let in_columns = |name: &FieldName| columns.iter().position(|column| column == name);
    let key = schema.primary_key.iter().filter_map(in_columns).collect();
    Ok((Arc::new(RecordShape { table: schema.name.clone(), fields: columns.to_vec(), key }), positions))
}

fn record(shape: &Arc<RecordShape>, positions: &[usize], row: &[Value]) -> Record {
    let values = positions.iter().filter_map(|&at| row.get(at).cloned()).collect();
    Record { shape: shape.clone(), values }
}

#[async_trait]
impl Source for MemorySource {
    async fn check(&self) -> Result<()> {
        Ok(())
    }

    async fn discover(&self) -> Result<Catalog> {
        let tables = self.tables();
        let with_state = tables.values().map(|(schema, rows)| TableSchema {
            state: if rows.is_empty() { TableState::Empty } else { TableState::Present },
            rows: u64::try_from(rows.len()).ok(),
            ..schema.clone()
        });
        Ok(Catalog {
            version: CATALOG_VERSION,
            origin: "memory".to_owned(),
            unknown: Vec::new(),
            differences: Vec::new(),
            tables: with_state.collect(),
            inventory: Vec::new(),
        })
    }

    async fn count(&self, table: &TableName) -> Result<Option<u64>> {
        self.tables().get(table).map(|(_, rows)| u64::try_from(rows.len()).ok()).ok_or_else(|| missing(table))
    }

    async fn partitions(&self, table: &TableName, wanted: usize) -> Result<Vec<KeyRange>> {
        let tables = self.tables();
        let (schema, rows) = tables.get(table).ok_or_else(|| missing(table))?;
        let leading = key_positions(schema).first().copied();
        let size = rows.len().div_ceil(wanted.max(1)).max(1);
        let mut bounds: Vec<String> = rows
            .iter()
            .step_by(size)
            .skip(1)
            .filter_map(|row| leading.and_then(|at| row.get(at)).and_then(Value::key_text))
            .collect();
        bounds.dedup();
        let lowers = std::iter::once(None).chain(bounds.iter().cloned().map(Some));
        let uppers = bounds.iter().cloned().map(Some).chain(std::iter::once(None));
        Ok(lowers.zip(uppers).map(|(lower, upper)| KeyRange { lower, upper }).collect())
    }

    async fn read_page(&self, request: PageRequest) -> Result<Page> {
        let tables = self.tables();
        let (schema, rows) = tables.get(&request.table).ok_or_else(|| missing(&request.table))?;
        let key = key_positions(schema);
        let (shape, positions) = project(schema, &request.columns)?;
        let after = |row: &&Vec<Value>| {
            request.after.as_ref().is_none_or(|Cursor(texts)| compare_key(&key, row, texts).is_gt())
        };
        let page: Vec<&Vec<Value>> = rows
            .iter()
            .filter(|row| in_range(&key, row, &request.range))
            .filter(after)
            .take(request.limit.clamp(1, self.max_rows))
            .collect();
        let next =
            page.last().map(|row| Cursor(key.iter().filter_map(|&at| row.get(at).and_then(Value::key_text)).collect()));
        let records = page.into_iter().map(|row| record(&shape, &positions, row)).collect();
        Ok(Page { records, next, bytes: 0 })
    }

    async fn fetch(&self, table: &TableName, keys: &[SourceKey], columns: &[FieldName]) -> Result<Vec<Option<Record>>> {
        let tables = self.tables();
        let (schema, rows) = tables.get(table).ok_or_else(|| missing(table))?;
        let key = key_positions(schema);
        let (shape, positions) = project(schema, columns)?;
        Ok(keys
            .iter()
            .map(|wanted| {
                let texts = wanted.parts(key.len())?;
                let row = rows.iter().find(|row| compare_key(&key, row, &texts).is_eq())?;
                Some(record(&shape, &positions, row))
            })
            .collect())
    }
}
