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
    /// Columns to read of it; the key's are among them, and at least one beside.
    pub columns: Vec<FieldName>,
    /// The key's columns, in key order.
    pub key: Vec<FieldName>,
    /// Its rows in key order, each with a value per column. They must come by another way than the source.
    pub rows: Vec<Vec<Value>>,
    /// A table without rows, with the same columns.
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
    let key = &*fixture.key;
    let row_key = schema.row_key();
    let same_columns = row_key.fields().iter().all(|column| key.contains(column));
    ensure(same_columns && row_key.fields().len() == key.len(), || "discover gives another key".to_owned())?;
    let rows = fixture.rows.len();
    ensure(rows >= 5 && fixture.columns.len() > key.len(), || "the fixture has too few rows or columns".to_owned())?;
    check_count(source, &fixture.table, rows).await?;

    let whole = read_all(source, fixture, KeyRange::all(), None, 1000).await?;
    check_rows(&fixture.rows, &whole)?;
    let keys: Vec<SourceKey> = whole.iter().map(|(key, ..)| key.clone()).collect();
    ensure(keys.iter().collect::<HashSet<_>>().len() == keys.len(), || "a row is read twice".to_owned())?;
    // Two readers at once: a page depends on nothing but its request.
    let (by_one, by_three) = tokio::join!(
        read_all(source, fixture, KeyRange::all(), None, 1),
        read_all(source, fixture, KeyRange::all(), None, 3)
    );
    for (limit, again) in [(1, by_one?), (3, by_three?)] {
        ensure(again == whole, || format!("pages of {limit} give other rows, or another order"))?;
    }
    for at in [0, whole.len() / 2, whole.len().saturating_sub(1)] {
        let after = whole.get(at).map(|(_, cursor, _)| cursor.clone());
        let tail = read_all(source, fixture, KeyRange::all(), after, 2).await?;
        ensure(whole.get(at + 1..) == Some(tail.as_slice()), || format!("reading on after row {at} gives other rows"))?;
    }
    check_column_order(source, fixture).await?;
    check_partitions(source, fixture, &keys).await?;
    check_fetch(source, fixture, &whole).await?;
    check_empty(source, fixture, &keys).await?;
    check_missing(source, fixture).await
}

async fn check_count(source: &dyn Source, table: &TableName, rows: usize) -> Result<(), Violation> {
    let count = source.count(table).await?;
    let exact = count.is_none_or(|count| usize::try_from(count).is_ok_and(|count| count == rows));
    ensure(exact, || format!("count gives {count:?} for {rows} rows"))
}

fn check_rows(expected: &[Vec<Value>], read: &[Read]) -> Result<(), Violation> {
    for (at, (expected, (.., record))) in expected.iter().zip(read).enumerate() {
        let values = &record.values;
        ensure(values == expected, || format!("row {at} is read as {values:?} and not as {expected:?}"))?;
    }
    ensure(read.len() == expected.len(), || format!("{} rows are read of {}", read.len(), expected.len()))
}

/// The columns come in the order asked for, wherever the key is among them.
async fn check_column_order(source: &dyn Source, fixture: &SourceFixture) -> Result<(), Violation> {
    let mut turned = fixture.clone();
    turned.columns.reverse();
    turned.rows.iter_mut().for_each(|row| row.reverse());
    check_rows(&turned.rows, &read_all(source, &turned, KeyRange::all(), None, 1000).await?)
}

async fn check_empty(source: &dyn Source, fixture: &SourceFixture, keys: &[SourceKey]) -> Result<(), Violation> {
    let nothing = SourceFixture { table: fixture.empty.clone(), rows: Vec::new(), ..fixture.clone() };
    check_count(source, &nothing.table, 0).await?;
    for wanted in [1, 3] {
        for range in source.partitions(&nothing.table, &nothing.key, wanted).await? {
            let read = read_all(source, &nothing, range, None, 10).await?;
            ensure(read.is_empty(), || "an empty table has rows".to_owned())?;
        }
    }
    let fetched = source.fetch(&nothing.table, keys, &nothing.columns).await?;
    let none = fetched.len() == keys.len() && fetched.iter().all(Option::is_none);
    ensure(none, || "an empty table has a row for a key".to_owned())
}

async fn check_missing(source: &dyn Source, fixture: &SourceFixture) -> Result<(), Violation> {
    let table = &fixture.missing;
    let is_missing = |error: Option<Error>| error.is_some_and(|error| error.kind() == ErrorKind::TableMissing);
    ensure(is_missing(source.count(table).await.err()), || "a missing table is counted".to_owned())?;
    let page = source.read_page(request(fixture, table, KeyRange::all(), None, 10)).await;
    ensure(is_missing(page.err()), || "a missing table is read".to_owned())?;
    let row = source.fetch(table, std::slice::from_ref(&fixture.unknown_key), &fixture.columns).await;
    ensure(is_missing(row.err()), || "rows of a missing table are looked up".to_owned())
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
    PageRequest { table: table.clone(), columns, key: fixture.key.as_slice().into(), range, after, limit }
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
            let named = record.shape.key.iter().filter_map(|&at| record.shape.fields.get(at));
            ensure(named.eq(&fixture.key), || "a record has another key".to_owned())?;
            ensure(record.shape.fields == fixture.columns, || "a record has other fields".to_owned())?;
            let broken = |_| Violation("a row's key cannot be read".to_owned());
            let cursor = Cursor(record.texts(&record.shape.key).map_err(broken)?);
            rows.push((record.key().map_err(broken)?, cursor, record));
        }
        let Some(next) = page.next else { return Ok(rows) };
        ensure(rows.last().is_some_and(|(_, cursor, _)| *cursor == next), || {
            "a page's next place is not its last row's".to_owned()
        })?;
        ensure(rows.len() <= fixture.rows.len(), || "reading does not end".to_owned())?;
        after = Some(next);
    }
}

async fn check_partitions(source: &dyn Source, fixture: &SourceFixture, keys: &[SourceKey]) -> Result<(), Violation> {
    for wanted in [1, 3] {
        let key = &*fixture.key;
        let ranges = source.partitions(&fixture.table, key, wanted).await?;
        ensure(!ranges.is_empty() && ranges.len() <= wanted, || format!("{} ranges for {wanted}", ranges.len()))?;
        let mut read: Vec<SourceKey> = Vec::new();
        for range in ranges {
            let whole = read_all(source, fixture, range.clone(), None, 1000).await?;
            let by_two = read_all(source, fixture, range, None, 2).await?;
            ensure(by_two == whole, || "pages of a range leave it, or end before it".to_owned())?;
            read.extend(whole.into_iter().map(|(key, ..)| key));
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
    let unknown = &fixture.unknown_key;
    let some = [&last.0, unknown, &first.0, &last.0];
    let all: Vec<&SourceKey> = rows.iter().rev().map(|(key, ..)| key).chain([unknown]).collect();
    let beside_the_key: Vec<FieldName> =
        fixture.columns.iter().filter(|column| !fixture.key.contains(column)).cloned().collect();
    for (keys, columns) in [(&some[..], &*fixture.columns), (&all, &fixture.columns), (&some, &beside_the_key)] {
        let keys: Vec<SourceKey> = keys.iter().map(|&key| key.clone()).collect();
        let fetched = source.fetch(&fixture.table, &keys, columns).await?;
        ensure(fetched.len() == keys.len(), || format!("{} rows are fetched for {}", fetched.len(), keys.len()))?;
        for (key, row) in keys.iter().zip(fetched) {
            let known = rows.iter().find(|(known, ..)| known == key).map(|(.., record)| record);
            let expected = known.and_then(|record| record.values.get(fixture.columns.len() - columns.len()..));
            let values = row.as_ref().map(|record| record.values.as_slice());
            ensure(values == expected, || format!("{key} is fetched as {values:?} and not as {expected:?}"))?;
            ensure(row.is_none_or(|row| row.shape.fields == columns), || "a fetched row has other fields".to_owned())?;
        }
    }
    Ok(())
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
    /// A record that the sink could never take; `None` for a sink that takes all.
    pub refused: Option<WriteRecord>,
    /// Fields for the second pass on the first record; `None` where the table has no such fields.
    pub patch: Option<Record>,
    /// Documents to look up; `None` where the sink has no index.
    pub lookup: Option<LookupFixture>,
    /// A table whose functions are not deployed; `None` for a sink that needs none.
    pub undeployed: Option<TableName>,
}

/// Documents that were in the sink before.
#[derive(Debug, Clone)]
pub struct LookupFixture {
    /// Their table.
    pub table: TableName,
    /// The index to look up by.
    pub index: String,
    /// A key that one document has, and its id.
    pub one: (NaturalKey, SinkId),
    /// A key that two documents have.
    pub several: NaturalKey,
    /// A key that none has.
    pub none: NaturalKey,
}

/// Checks every promise of [`Sink`] that can be seen from outside.
///
/// # Errors
/// The first promise that is not kept.
pub async fn check_sink(sink: &dyn Sink, fixture: &SinkFixture) -> Result<(), Violation> {
    let capabilities = sink.capabilities();
    let sensible = capabilities.batch_records > 0 && capabilities.batch_bytes > 0 && capabilities.in_flight > 0;
    ensure(sensible, || format!("nothing can be written by {capabilities:?}"))?;
    ensure(fixture.records.len() >= 3, || "the fixture has too few records".to_owned())?;
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
    check_mixed_batch(sink, fixture, &inserted).await?;
    check_refused(sink, fixture, &inserted).await?;
    let first = inserted.first().map(|(id, _)| id.clone());
    if let Some(record) = &fixture.patch {
        let patch = [WriteRecord { key: fixture.changed.key.clone(), id: first.clone(), record: record.clone() }];
        let patched = write(sink, fixture, &patch, WriteMode::Patch).await?;
        let set =
            patched.first().is_some_and(|(id, effect)| Some(id) == first.as_ref() && *effect == WriteEffect::Updated);
        ensure(set, || format!("a link is {patched:?}"))?;
        let again = write(sink, fixture, &patch, WriteMode::Patch).await?;
        ensure(again.first().is_some_and(|(_, effect)| *effect == WriteEffect::Unchanged), || {
            format!("the same link again is {again:?}")
        })?;
        let upserted = write(sink, fixture, std::slice::from_ref(&fixture.changed), WriteMode::Upsert).await?;
        ensure(upserted.first().is_some_and(|(_, effect)| *effect == WriteEffect::Unchanged), || {
            "an upsert after the second pass takes its links away".to_owned()
        })?;
    }
    if let Some(lookup) = &fixture.lookup {
        check_lookup(sink, lookup).await?;
    }
    if let Some(table) = &fixture.undeployed {
        let checked = sink.check(&[fixture.table.clone(), table.clone()]).await;
        ensure(checked.as_ref().is_err_and(|error| error.kind() == ErrorKind::FunctionMissing), || {
            format!("a check of functions that are not deployed is {checked:?}")
        })?;
    }
    sink.finish(std::slice::from_ref(&fixture.table)).await?;
    Ok(())
}

/// Several effects in one batch, in another order than before: each outcome is its own record's.
async fn check_mixed_batch(
    sink: &dyn Sink,
    fixture: &SinkFixture,
    inserted: &[(SinkId, WriteEffect)],
) -> Result<(), Violation> {
    let records: Vec<WriteRecord> = fixture.records.iter().skip(1).chain([&fixture.changed]).rev().cloned().collect();
    let mixed = write(sink, fixture, &records, WriteMode::Upsert).await?;
    let expected: Vec<(SinkId, WriteEffect)> = inserted
        .iter()
        .enumerate()
        .map(|(at, (id, _))| (id.clone(), if at == 0 { WriteEffect::Updated } else { WriteEffect::Unchanged }))
        .collect();
    let (first, rest) = expected.split_at(1);
    let expected: Vec<_> = rest.iter().chain(first).rev().cloned().collect();
    ensure(mixed == expected, || format!("a batch with one changed record is {mixed:?} and not {expected:?}"))
}

/// A record that can never be written costs the others nothing.
async fn check_refused(
    sink: &dyn Sink,
    fixture: &SinkFixture,
    inserted: &[(SinkId, WriteEffect)],
) -> Result<(), Violation> {
    let Some(refused) = &fixture.refused else { return Ok(()) };
    ensure(sink.measure(refused).is_err(), || "a record that can never be written has a size".to_owned())?;
    let mut records = fixture.records.clone();
    let rest = records.split_off(1);
    let records = [vec![fixture.changed.clone(), refused.clone()], rest].concat();
    let batch = WriteBatch { table: &fixture.table, mode: WriteMode::Upsert, records: &records };
    let mut outcomes = sink.write_batch(batch).await?;
    let is_rejected = matches!(outcomes.get(1), Some(WriteOutcome::Rejected(_)));
    ensure(is_rejected && outcomes.len() == records.len(), || format!("with a bad record, a batch is {outcomes:?}"))?;
    outcomes.remove(1);
    let unchanged = |id: &SinkId| WriteOutcome::Written { id: id.clone(), effect: WriteEffect::Unchanged };
    let expected: Vec<WriteOutcome> = inserted.iter().map(|(id, _)| unchanged(id)).collect();
    ensure(outcomes == expected, || format!("beside a bad record, the others are {outcomes:?}"))
}

async fn check_lookup(sink: &dyn Sink, fixture: &LookupFixture) -> Result<(), Violation> {
    let LookupFixture { table, index, one: (known, id), several, none } = fixture;
    let keys = [none.clone(), known.clone(), several.clone(), none.clone(), known.clone()];
    let found = sink.lookup(table, index, &keys).await?;
    let one = Match::One(id.clone());
    ensure(found == [Match::None, one.clone(), Match::Several, Match::None, one], || {
        format!("a lookup finds {found:?}")
    })?;
    ensure(sink.lookup(table, index, &[]).await?.is_empty(), || "looking up nothing finds something".to_owned())
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
