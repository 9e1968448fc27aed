use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use crate::error::{Error, ErrorKind};
use crate::names::{FieldName, SinkId, SourceKey, TableName};
use crate::record::Record;
use crate::sink::{Match, NaturalKey, Sink, WriteBatch, WriteEffect, WriteMode, WriteOutcome, WriteRecord};
use crate::source::{Cursor, KeyRange, PageRequest, Source};
use crate::value::Value;

/// A promise of a trait that an implementation does not keep.
#[derive(Debug)]
pub struct Violation(pub String);

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Violation {}

impl From<Error> for Violation {
    fn from(error: Error) -> Self {
        Self(format!("a call failed: {error:?}"))
    }
}

fn ensure(holds: bool, promise: impl FnOnce() -> String) -> Result<(), Violation> {
    if holds { Ok(()) } else { Err(Violation(promise())) }
}

/// What a source under test holds.
#[derive(Debug, Clone)]
pub struct SourceFixture {
    /// A table with at least five rows, whose own key is that of `columns`.
    pub table: TableName,
    /// Columns to read of it; the key's first.
    pub columns: Vec<FieldName>,
    /// How many of `columns` are the key.
    pub key_columns: usize,
    /// Its exact number of rows.
    pub rows: usize,
    /// A table without rows.
    pub empty: TableName,
    /// A table that does not exist.
    pub missing: TableName,
    /// A key that no row of `table` has.
    pub unknown_key: SourceKey,
}

/// Checks every promise of [`Source`] that can be seen from outside.
///
/// # Errors
/// The first promise that is not kept.
pub async fn check_source(source: &dyn Source, fixture: &SourceFixture) -> Result<(), Violation> {
    source.check().await?;
    let catalog = source.discover().await?;
    let schema = catalog.table(&fixture.table).ok_or_else(|| Violation("discover leaves the table out".to_owned()))?;
    let key = fixture.columns.get(..fixture.key_columns).unwrap_or_default();
    let row_key = schema.row_key();
    let same_columns = row_key.fields().iter().all(|column| key.contains(column));
    ensure(same_columns && row_key.fields().len() == key.len(), || "discover gives another key".to_owned())?;
    let count = source.count(&fixture.table).await?;
    let exact = count.is_none_or(|count| usize::try_from(count).is_ok_and(|count| count == fixture.rows));
    ensure(exact, || format!("count gives {count:?} for {} rows", fixture.rows))?;

    let whole = read_all(source, fixture, KeyRange::all(), None, 1000).await?;
    ensure(whole.len() == fixture.rows, || format!("{} rows are read of {}", whole.len(), fixture.rows))?;
    let keys: Vec<SourceKey> = whole.iter().map(|(key, ..)| key.clone()).collect();
    ensure(keys.iter().collect::<HashSet<_>>().len() == keys.len(), || "a row is read twice".to_owned())?;
    for limit in [1, 3] {
        let again = read_all(source, fixture, KeyRange::all(), None, limit).await?;
        ensure(again == whole, || format!("pages of {limit} give other rows, or another order"))?;
    }
    for at in [0, whole.len() / 2, whole.len().saturating_sub(1)] {
        let after = whole.get(at).map(|(_, cursor, _)| cursor.clone());
        let tail = read_all(source, fixture, KeyRange::all(), after, 2).await?;
        ensure(whole.get(at + 1..) == Some(tail.as_slice()), || format!("reading on after row {at} gives other rows"))?;
    }
    check_partitions(source, fixture, &keys).await?;
    check_fetch(source, fixture, &whole).await?;

    let none = source.read_page(request(fixture, &fixture.empty, KeyRange::all(), None, 10)).await;
    match none {
        Ok(page) => ensure(page.records.is_empty() && page.next.is_none(), || "an empty table has a page".to_owned())?,
        Err(error) => return Err(Violation(format!("an empty table cannot be read: {error:?}"))),
    }
    let missing = source.count(&fixture.missing).await;
    ensure(missing.as_ref().is_err_and(|error| error.kind() == ErrorKind::TableMissing), || {
        format!("counting a missing table gives {missing:?}")
    })
}

type Read = (SourceKey, Cursor, Record);

fn request(
    fixture: &SourceFixture,
    table: &TableName,
    range: KeyRange,
    after: Option<Cursor>,
    limit: usize,
) -> PageRequest {
    let columns: Arc<[FieldName]> = Arc::from(fixture.columns.as_slice());
    let key = columns.get(..fixture.key_columns).unwrap_or_default().into();
    PageRequest { table: table.clone(), columns, key, range, after, limit }
}

async fn read_all(
    source: &dyn Source,
    fixture: &SourceFixture,
    range: KeyRange,
    mut after: Option<Cursor>,
    limit: usize,
) -> Result<Vec<Read>, Violation> {
    let mut rows: Vec<Read> = Vec::new();
    loop {
        let page = source.read_page(request(fixture, &fixture.table, range.clone(), after.clone(), limit)).await?;
        ensure(page.records.len() <= limit, || format!("a page has {} rows of {limit}", page.records.len()))?;
        ensure(page.records.is_empty() == page.next.is_none(), || "a page's next place is wrong".to_owned())?;
        for record in page.records {
            ensure(record.shape.key.iter().copied().eq(0..fixture.key_columns), || {
                "a record has another key".to_owned()
            })?;
            ensure(record.shape.fields == fixture.columns, || "a record has other fields".to_owned())?;
            let broken = |_| Violation("a row's key cannot be read".to_owned());
            let cursor = Cursor(record.texts(&record.shape.key).map_err(broken)?);
            rows.push((record.key().map_err(broken)?, cursor, record));
        }
        let Some(next) = page.next else { return Ok(rows) };
        ensure(rows.last().is_some_and(|(_, cursor, _)| *cursor == next), || {
            "a page's next place is not its last row's".to_owned()
        })?;
        ensure(rows.len() <= fixture.rows, || "reading does not end".to_owned())?;
        after = Some(next);
    }
}

async fn check_partitions(source: &dyn Source, fixture: &SourceFixture, keys: &[SourceKey]) -> Result<(), Violation> {
    for wanted in [1, 3] {
        let key = fixture.columns.get(..fixture.key_columns).unwrap_or_default();
        let ranges = source.partitions(&fixture.table, key, wanted).await?;
        ensure(!ranges.is_empty() && ranges.len() <= wanted, || format!("{} ranges for {wanted}", ranges.len()))?;
        let mut read: Vec<SourceKey> = Vec::new();
        for range in ranges {
            read.extend(read_all(source, fixture, range, None, 1000).await?.into_iter().map(|(key, ..)| key));
        }
        let together: HashSet<&SourceKey> = read.iter().collect();
        let all: HashSet<&SourceKey> = keys.iter().collect();
        ensure(read.len() == keys.len() && together == all, || "ranges overlap or leave rows out".to_owned())?;
    }
    Ok(())
}

async fn check_fetch(source: &dyn Source, fixture: &SourceFixture, rows: &[Read]) -> Result<(), Violation> {
    let none = source.fetch(&fixture.table, &[], &fixture.columns).await?;
    ensure(none.is_empty(), || "fetching nothing gives something".to_owned())?;
    let (Some(first), Some(last)) = (rows.first(), rows.last()) else {
        return Err(Violation("the fixture has too few rows".to_owned()));
    };
    let keys = [last.0.clone(), fixture.unknown_key.clone(), first.0.clone(), last.0.clone()];
    let fetched = source.fetch(&fixture.table, &keys, &fixture.columns).await?;
    let values = |row: &Option<Record>| row.as_ref().map(|record| record.values.clone());
    let expected = [Some(&last.2), None, Some(&first.2), Some(&last.2)];
    let same = fetched.len() == 4
        && fetched.iter().zip(expected).all(|(row, expected)| values(row).as_ref() == expected.map(|row| &row.values));
    ensure(same, || "fetched rows are not those of the keys, in their order".to_owned())
}

/// What a sink under test is given.
#[derive(Debug, Clone)]
pub struct SinkFixture {
    /// A table of the sink, empty before.
    pub table: TableName,
    /// At least three records with different keys.
    pub records: Vec<WriteRecord>,
    /// The first of them with other values.
    pub changed: WriteRecord,
    /// Fields for the second pass on the first record; `None` where the table has no such fields.
    pub patch: Option<Record>,
    /// An index to look up by, a key that one document has, that document's id, and a key that none has.
    pub lookup: Option<(TableName, String, NaturalKey, SinkId, NaturalKey)>,
}

/// Checks every promise of [`Sink`] that can be seen from outside.
///
/// # Errors
/// The first promise that is not kept.
pub async fn check_sink(sink: &dyn Sink, fixture: &SinkFixture) -> Result<(), Violation> {
    let capabilities = sink.capabilities();
    let sensible = capabilities.batch_records > 0 && capabilities.batch_bytes > 0 && capabilities.in_flight > 0;
    ensure(sensible, || format!("nothing can be written by {capabilities:?}"))?;
    sink.check(std::slice::from_ref(&fixture.table)).await?;
    for record in &fixture.records {
        let size = sink.measure(record);
        ensure(size.as_ref().is_ok_and(|size| *size > 0), || format!("a good record measures {size:?}"))?;
        ensure(sink.measure(record) == size, || "measure is not pure".to_owned())?;
    }
    let inserted = write(sink, fixture, &fixture.records, WriteMode::Upsert).await?;
    ensure(inserted.iter().all(|(_, effect)| *effect == WriteEffect::Inserted), || {
        format!("new records are {inserted:?}")
    })?;
    let ids: HashSet<&SinkId> = inserted.iter().map(|(id, _)| id).collect();
    ensure(ids.len() == fixture.records.len(), || "two records have one id".to_owned())?;
    let again = write(sink, fixture, &fixture.records, WriteMode::Upsert).await?;
    let same = again.iter().zip(&inserted).all(|(again, first)| again.0 == first.0);
    ensure(same && again.iter().all(|(_, effect)| *effect == WriteEffect::Unchanged), || {
        format!("the same batch again is {again:?}")
    })?;
    let changed = write(sink, fixture, std::slice::from_ref(&fixture.changed), WriteMode::Upsert).await?;
    let first = inserted.first().map(|(id, _)| id.clone());
    ensure(
        changed.first().is_some_and(|(id, effect)| Some(id) == first.as_ref() && *effect == WriteEffect::Updated),
        || format!("a changed record is {changed:?}"),
    )?;
    if let Some(record) = &fixture.patch {
        let patch = [WriteRecord { key: fixture.changed.key.clone(), id: first.clone(), record: record.clone() }];
        let patched = write(sink, fixture, &patch, WriteMode::Patch).await?;
        ensure(patched.first().is_some_and(|(_, effect)| *effect == WriteEffect::Updated), || {
            format!("a link is {patched:?}")
        })?;
        let upserted = write(sink, fixture, std::slice::from_ref(&fixture.changed), WriteMode::Upsert).await?;
        ensure(upserted.first().is_some_and(|(_, effect)| *effect == WriteEffect::Unchanged), || {
            "an upsert after the second pass takes its links away".to_owned()
        })?;
    }
    if let Some((table, index, known, id, unknown)) = &fixture.lookup {
        let found = sink.lookup(table, index, &[unknown.clone(), known.clone(), unknown.clone()]).await?;
        ensure(found == [Match::None, Match::One(id.clone()), Match::None], || format!("a lookup finds {found:?}"))?;
        ensure(sink.lookup(table, index, &[]).await?.is_empty(), || "looking up nothing finds something".to_owned())?;
    }
    sink.finish(std::slice::from_ref(&fixture.table)).await?;
    Ok(())
}

async fn write(
    sink: &dyn Sink,
    fixture: &SinkFixture,
    records: &[WriteRecord],
    mode: WriteMode,
) -> Result<Vec<(SinkId, WriteEffect)>, Violation> {
    let outcomes = sink.write_batch(WriteBatch { table: &fixture.table, mode, records }).await?;
    ensure(outcomes.len() == records.len(), || format!("{} outcomes for {}", outcomes.len(), records.len()))?;
    outcomes
        .into_iter()
        .map(|outcome| match outcome {
            WriteOutcome::Written { id, effect } => Ok((id, effect)),
            WriteOutcome::Rejected(error) => Err(Violation(format!("a good record is rejected: {error:?}"))),
        })
        .collect()
}

/// A record of one table with these fields, for fixtures.
#[must_use]
pub fn write_record(table: &TableName, key: &str, fields: &[(&str, Value)]) -> WriteRecord {
    let shape = crate::record::RecordShape {
        table: table.clone(),
        fields: fields.iter().map(|(name, _)| FieldName::from(*name)).collect(),
        key: Vec::new(),
    };
    let values = fields.iter().map(|(_, value)| value.clone()).collect();
    WriteRecord { key: SourceKey::from(key), id: None, record: Record { shape: Arc::new(shape), values } }
}
