use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

use crate::catalog::{
    CATALOG_VERSION, Catalog, Column, PLACE, PLACE_TABLE, ScalarKind, SourceType, TableSchema, TableState,
};
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

    /// Adds a table with rows in any order, each with one value per column. Without a key they are read by their place.
    pub fn insert(&self, schema: TableSchema, rows: Vec<Vec<Value>>) {
        self.tables().insert(schema.name.clone(), (schema, rows));
    }

    fn tables(&self) -> MutexGuard<'_, Tables> {
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where a value is found: in a column, or in the row's place, which is its position in the order of insertion.
#[derive(Debug, Clone, Copy)]
enum Reading {
    Column(usize),
    Place,
    PlaceTable,
}

impl Reading {
    fn value(self, place: usize, row: &[Value]) -> Value {
        match self {
            Self::Column(at) => row.get(at).cloned().unwrap_or_default(),
            Self::Place => Value::text(format!("(0,{})", place + 1)),
            Self::PlaceTable => Value::text("1"),
        }
    }
}

/// A row with its place and its key.
struct Keyed<'a> {
    place: usize,
    row: &'a [Value],
    key: Vec<Value>,
}

fn keyed<'a>(rows: &'a [Vec<Value>], key: &[Reading]) -> Vec<Keyed<'a>> {
    let one = |(place, row): (usize, &'a Vec<Value>)| Keyed {
        place,
        row,
        key: key.iter().map(|reading| reading.value(place, row)).collect(),
    };
    let mut keyed: Vec<Keyed<'a>> = rows.iter().enumerate().map(one).collect();
    keyed.sort_by(|left, right| compare_keys(&left.key, &right.key));
    keyed
}

/// Key order: numbers as numbers, all else as text by its bytes.
fn compare_values(left: &Value, right: &Value) -> Ordering {
    match (left, right) {
        (Value::Int64(left), Value::Int64(right)) => left.cmp(right),
        _ => left.key_text().cmp(&right.key_text()),
    }
}

fn compare_keys(left: &[Value], right: &[Value]) -> Ordering {
    left.iter()
        .zip(right)
        .map(|(left, right)| compare_values(left, right))
        .find(|o| o.is_ne())
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
fn compare_texts(key: &[Value], texts: &[String]) -> Ordering {
    key.iter()
        .zip(texts)
        .map(|(value, text)| compare_values(value, &as_kind(text, value)))
        .find(|order| order.is_ne())
        .unwrap_or(Ordering::Equal)
}

fn in_range(key: &[Value], range: &KeyRange) -> bool {
    let Some(leading) = key.first() else { return true };
    let compare = |text: &String| compare_values(leading, &as_kind(text, leading));
    range.lower.as_ref().is_none_or(|lower| compare(lower).is_ge())
        && range.upper.as_ref().is_none_or(|upper| compare(upper).is_lt())
}

fn missing(table: &TableName) -> Error {
    Error::new(ErrorKind::TableMissing, "find the table").with_context("table", table)
}

fn readings(schema: &TableSchema, columns: &[FieldName]) -> Result<Vec<Reading>> {
    let reading = |name: &FieldName| {
        let position = schema.columns.iter().position(|column| column.name == *name);
        position.map(Reading::Column).or(match name.as_str() {
            PLACE => Some(Reading::Place),
            PLACE_TABLE => Some(Reading::PlaceTable),
            _ => None,
        })
    };
    let found = columns.iter().map(|name| {
        reading(name).ok_or_else(|| {
            Error::new(ErrorKind::Config, "read a column that is not there")
                .with_context("table", &schema.name)
                .with_context("column", name)
        })
    });
    found.collect()
}

/// The shape of records with `columns`; its key is the part of `key` that is among them.
fn shape(schema: &TableSchema, columns: &[FieldName], key: &[FieldName]) -> Arc<RecordShape> {
    let in_columns = |name: &FieldName| columns.iter().position(|column| column == name);
    let key = key.iter().filter_map(in_columns).collect();
    Arc::new(RecordShape { table: schema.name.clone(), fields: columns.to_vec(), key })
}

fn record(shape: &Arc<RecordShape>, readings: &[Reading], keyed: &Keyed<'_>) -> Record {
    let values = readings.iter().map(|reading| reading.value(keyed.place, keyed.row)).collect();
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

    async fn partitions(&self, table: &TableName, key: &[FieldName], wanted: usize) -> Result<Vec<KeyRange>> {
        let tables = self.tables();
        let (schema, rows) = tables.get(table).ok_or_else(|| missing(table))?;
        let rows = keyed(rows, &readings(schema, key)?);
        let size = rows.len().div_ceil(wanted.max(1)).max(1);
        let mut bounds: Vec<String> =
            rows.iter().step_by(size).skip(1).filter_map(|row| row.key.first().and_then(Value::key_text)).collect();
        bounds.dedup();
        let lowers = std::iter::once(None).chain(bounds.iter().cloned().map(Some));
        let uppers = bounds.iter().cloned().map(Some).chain(std::iter::once(None));
        Ok(lowers.zip(uppers).map(|(lower, upper)| KeyRange { lower, upper }).collect())
    }

    async fn read_page(&self, request: PageRequest) -> Result<Page> {
        let tables = self.tables();
        let (schema, rows) = tables.get(&request.table).ok_or_else(|| missing(&request.table))?;
        let rows = keyed(rows, &readings(schema, &request.key)?);
        let (shape, columns) = (shape(schema, &request.columns, &request.key), readings(schema, &request.columns)?);
        let after = |row: &&Keyed<'_>| {
            request.after.as_ref().is_none_or(|Cursor(texts)| compare_texts(&row.key, texts).is_gt())
        };
        let page: Vec<&Keyed<'_>> = rows
            .iter()
            .filter(|row| in_range(&row.key, &request.range))
            .filter(after)
            .take(request.limit.clamp(1, self.max_rows))
            .collect();
        let next = page.last().map(|row| Cursor(row.key.iter().filter_map(Value::key_text).collect()));
        let records = page.into_iter().map(|row| record(&shape, &columns, row)).collect();
        Ok(Page { records, next, bytes: 0 })
    }

    async fn fetch(&self, table: &TableName, keys: &[SourceKey], columns: &[FieldName]) -> Result<Vec<Option<Record>>> {
        let tables = self.tables();
        let (schema, rows) = tables.get(table).ok_or_else(|| missing(table))?;
        let row_key = schema.row_key();
        let rows = keyed(rows, &readings(schema, row_key.fields())?);
        let (shape, columns) = (shape(schema, columns, row_key.fields()), readings(schema, columns)?);
        Ok(keys
            .iter()
            .map(|wanted| {
                let texts = wanted.parts(row_key.fields().len())?;
                let row = rows.iter().find(|row| compare_texts(&row.key, &texts).is_eq())?;
                Some(record(&shape, &columns, row))
            })
            .collect())
    }
}
