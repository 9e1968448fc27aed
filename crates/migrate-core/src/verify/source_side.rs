//! What the plan makes of the source's rows, compared with the spool.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::task::JoinSet;

use super::aggregate::Aggregates;
use super::canonical::Hasher;
use super::layout::Layout;
use super::report::Sampled;
use super::run::Shared;
use super::spooled_documents::{Kept, Match, Sum};
use crate::error::{Error, ErrorKind, Result};
use crate::names::{FieldName, KeySpace, SourceKey};
use crate::pipeline::{PageReader, Prepared, Preparer, chain, ranges};
use crate::plan::{PlanTable, RunConfig};
use crate::record::{Record, RejectCode, RowError};
use crate::resolve::RecentIds;
use crate::source::KeyRange;
use crate::state::PartitionId;
use crate::stop::stopped;
use crate::value::Value;

/// What was found of the rows of a table, or of a part of it.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) source: u64,
    pub(super) expected: u64,
    pub(super) skipped: u64,
    pub(super) rejects: BTreeMap<RejectCode, u64>,
    pub(super) same: u64,
    pub(super) differing: u64,
    pub(super) missing: u64,
    pub(super) duplicates: u64,
    pub(super) unexpected: u64,
    pub(super) sums: Aggregates,
    pub(super) content: Sum,
    /// The first differences, in the source's order.
    pub(super) first: Vec<Fault>,
    /// Where only some of the rows were read.
    pub(super) sampled: Option<Sampled>,
}

/// A difference that is not described yet.
#[derive(Debug)]
pub(super) enum Fault {
    Missing(SourceKey),
    Duplicate { key: SourceKey, documents: usize, other: Kept },
    Unexpected { key: SourceKey, document: Kept, reason: String },
    Differing { key: SourceKey, document: Kept, expected: Vec<Value> },
}

impl Found {
    pub(super) fn new(columns: usize) -> Self {
        Self {
            source: 0,
            expected: 0,
            skipped: 0,
            rejects: BTreeMap::new(),
            same: 0,
            differing: 0,
            missing: 0,
            duplicates: 0,
            unexpected: 0,
            sums: Aggregates::new(columns),
            content: Sum::default(),
            first: Vec::new(),
            sampled: None,
        }
    }

    fn merge(&mut self, other: Self) {
        self.source += other.source;
        self.expected += other.expected;
        self.skipped += other.skipped;
        for (code, count) in other.rejects {
            *self.rejects.entry(code).or_default() += count;
        }
        self.same += other.same;
        self.differing += other.differing;
        self.missing += other.missing;
        self.duplicates += other.duplicates;
        self.unexpected += other.unexpected;
        self.sums.merge(&other.sums);
        self.content.add(other.content.value());
        self.first.extend(other.first);
    }
}

/// Which documents of a table some row has: a bit for each.
#[derive(Debug)]
pub(super) struct Seen(Mutex<Vec<u64>>);

impl Seen {
    pub(super) fn new(documents: u64) -> Self {
        let words = usize::try_from(documents.div_ceil(64)).unwrap_or(usize::MAX);
        Self(Mutex::new(vec![0; words]))
    }

    fn mark(&self, documents: &[Match]) {
        let mut words = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for document in documents {
            if let Some(word) = words.get_mut(document.position / 64) {
                *word |= 1 << (document.position % 64);
            }
        }
    }

    pub(super) fn has(&self, position: usize) -> bool {
        let words = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        words.get(position / 64).is_some_and(|word| word & (1 << (position % 64)) != 0)
    }

    pub(super) fn count(&self) -> u64 {
        let words = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        words.iter().map(|word| u64::from(word.count_ones())).sum()
    }
}

/// Reads a table's rows and compares each with what the spool has of its key.
pub(super) async fn compare_rows(shared: &Arc<Shared>, place: usize, seen: &Arc<Seen>) -> Result<Found> {
    let table = shared.table(place)?;
    let (parts, sampled) = parts(shared, place, table).await?;
    let mut running: JoinSet<Result<(usize, Found)>> = JoinSet::new();
    for (at, range) in parts.into_iter().enumerate() {
        let (shared, seen) = (shared.clone(), seen.clone());
        running.spawn(async move {
            let turn = shared.readers.acquire().await;
            let _turn = turn.map_err(|_| Error::new(ErrorKind::Unexpected, "wait for a turn to read"))?;
            Ok((at, compare_range(&shared, place, range, &seen).await?))
        });
    }
    let mut done = BTreeMap::new();
    while let Some(joined) = running.join_next().await {
        let (at, found) =
            joined.map_err(|_| Error::new(ErrorKind::Unexpected, "finish a partition's task")).flatten()?;
        done.insert(at, found);
    }
    let mut all = Found::new(shared.layout(place)?.len());
    for found in done.into_values() {
        all.merge(found);
    }
    all.first.truncate(shared.limit);
    all.sampled = sampled;
    Ok(all)
}

/// Tables of so many rows are compared whole in a sample, too.
pub(super) const SMALL: u64 = 1000;

/// Ranges that a sample cuts a table into, and how many of them it takes.
const CUT: usize = 40;
const TAKEN: usize = 4;

/// The ranges of a table to read, which are a sample of them where there is a seed.
async fn parts(shared: &Shared, place: usize, table: &PlanTable) -> Result<(Vec<KeyRange>, Option<Sampled>)> {
    let rows = shared.rows(place).await?;
    let Some(seed) = shared.seed.filter(|_| rows.is_none_or(|rows| rows > SMALL)) else {
        return Ok((ranges(&*shared.source, &shared.plan.run, table, rows).await?, None));
    };
    let run = RunConfig { partitions: Some(CUT), ..shared.plan.run.clone() };
    let all = ranges(&*shared.source, &run, table, rows).await?;
    // Of few ranges, one at least.
    let (of_ranges, taken) = (all.len(), (all.len() * TAKEN).div_ceil(CUT));
    let place = u64::try_from(place).unwrap_or_default();
    let mut random = fastrand::Rng::with_seed(seed.wrapping_add(place));
    let mut chosen = random.choose_multiple(0..of_ranges, taken);
    chosen.sort_unstable();
    let sampled = Sampled { ranges: taken, of_ranges, of_rows: rows };
    let parts = all.into_iter().enumerate().filter(|(at, _)| chosen.contains(at)).map(|(_, range)| range);
    Ok((parts.collect(), Some(sampled)))
}

/// A row with what the plan makes of it.
enum Row {
    /// A document of this record, with this hash.
    Document(Record, u128),
    /// None, for this reason.
    None(String),
}

async fn compare_range(shared: &Arc<Shared>, place: usize, range: KeyRange, seen: &Seen) -> Result<Found> {
    let (table, layout) = (shared.table(place)?.clone(), shared.layout(place)?);
    let rules = chain(&table, &shared.transforms, true);
    let resolver = Arc::new(RecentIds::new(shared.resolver.clone()));
    let preparer = Preparer::new(table.clone(), rules, resolver, shared.sink.clone()).with_links();
    let mut pages = read(shared, &table, range, preparer.columns().clone());
    let mut hasher = Hasher::new(shared.spool.salt);
    let mut found = Found::new(layout.len());
    // Where a record has the layout's fields: all of a range have one shape.
    let mut order: Vec<Option<usize>> = Vec::new();
    loop {
        let page = pages.recv().await.unwrap_or_else(|| Err(stopped()))?;
        if page.records.is_empty() {
            return Ok(found);
        }
        let count = page.records.len();
        let mut rows: Vec<(SourceKey, Row)> = Vec::with_capacity(count);
        for prepared in preparer.prepare(page.records).await? {
            let row = match prepared.row {
                Prepared::Ready(write, _) => {
                    if order.len() < layout.len() {
                        order = layout.order_of(&write.record);
                    }
                    let values = Layout::in_order(&order, &write.record);
                    let hash = hasher.hash(Some(&write.key), values, &mut found.sums);
                    found.content.add(hash);
                    found.expected += 1;
                    (write.key, Row::Document(write.record, hash))
                }
                Prepared::Skipped => {
                    found.skipped += 1;
                    (prepared.key, Row::None("left out by the plan".to_owned()))
                }
                Prepared::Rejected(reject) => {
                    *found.rejects.entry(reject.code).or_default() += 1;
                    (reject.key, Row::None(format!("rejected: {}", reject.code.as_str())))
                }
            };
            rows.push(row);
        }
        found.source += u64::try_from(count).unwrap_or(u64::MAX);
        compare_page(shared, place, rows, &order, seen, &mut found).await?;
        shared.tell_read(place, 0, count);
    }
}

async fn compare_page(
    shared: &Shared,
    place: usize,
    rows: Vec<(SourceKey, Row)>,
    order: &[Option<usize>],
    seen: &Seen,
    found: &mut Found,
) -> Result<()> {
    let (rows, matches) = shared.spool.find(place, rows, |(key, _)| key).await?;
    seen.mark(&matches);
    let mut matches = &*matches;
    let mut missing: Vec<SourceKey> = Vec::new();
    for (at, (key, row)) in rows.into_iter().enumerate() {
        let (documents, rest) = matches.split_at(matches.iter().take_while(|document| document.of == at).count());
        matches = rest;
        let is_told = found.first.len() < shared.limit;
        match (row, documents) {
            (Row::None(_), []) => {}
            (Row::None(reason), [first, ..]) => {
                found.unexpected += u64::try_from(documents.len()).unwrap_or(u64::MAX);
                if is_told {
                    let document = shared.spool.kept(place, first.position).await?;
                    found.first.push(Fault::Unexpected { key, document, reason });
                }
            }
            (Row::Document(..), []) => {
                found.missing += 1;
                missing.push(key.clone());
                if is_told {
                    found.first.push(Fault::Missing(key));
                }
            }
            (Row::Document(record, hash), [first, others @ ..]) => {
                if let [second, ..] = others {
                    found.duplicates += u64::try_from(others.len()).unwrap_or(u64::MAX);
                    if is_told {
                        let other = shared.spool.kept(place, second.position).await?;
                        let documents = documents.len();
                        found.first.push(Fault::Duplicate { key: key.clone(), documents, other });
                    }
                }
                if documents.iter().any(|document| document.hash == hash) {
                    found.same += 1;
                    continue;
                }
                found.differing += 1;
                if found.first.len() < shared.limit {
                    let document = shared.spool.kept(place, first.position).await?;
                    let expected = Layout::in_order(order, &record).cloned().collect();
                    found.first.push(Fault::Differing { key, document, expected });
                }
            }
        }
    }
    if missing.is_empty() { Ok(()) } else { shared.spool.add_missing(place, missing).await }
}

fn read(
    shared: &Shared,
    table: &PlanTable,
    range: KeyRange,
    columns: Arc<[FieldName]>,
) -> tokio::sync::mpsc::Receiver<Result<crate::source::Page>> {
    let reader = PageReader {
        source: shared.source.clone(),
        observer: shared.observer.clone(),
        stop: shared.stop.clone(),
        page_rows: shared.plan.run.page_rows,
    };
    reader.ahead(table, PartitionId { table: table.source.clone(), range }, columns, None)
}

/// Reads by which other columns a table's rows are referred to.
pub(super) async fn read_alternates(shared: &Shared, place: usize) -> Result<()> {
    let table = shared.table(place)?.clone();
    let done = || format!("alternates {place}");
    if table.alternate_keys.is_empty() || shared.spool.fact::<bool>(done()).await?.is_some() {
        return Ok(());
    }
    let mut columns: Vec<FieldName> = table.key.clone();
    for column in table.alternate_keys.iter().flatten() {
        if !columns.contains(column) {
            columns.push(column.clone());
        }
    }
    let mut pages = read(shared, &table, KeyRange::all(), columns.into());
    loop {
        let page = pages.recv().await.unwrap_or_else(|| Err(stopped()))?;
        if page.records.is_empty() {
            break;
        }
        for by in &table.alternate_keys {
            let mut keys = Vec::with_capacity(page.records.len());
            for record in &page.records {
                let unusable = |error: RowError| {
                    Error::new(ErrorKind::Protocol, format!("read a row's key: {}", error.message))
                        .with_context("table", &table.source)
                };
                let texts = by.iter().map(|column| record.get(column.as_str()).and_then(Value::key_text));
                let Some(texts) = texts.collect::<Option<Vec<String>>>() else { continue };
                keys.push((SourceKey::from_parts(&texts), record.key().map_err(unusable)?));
            }
            shared.spool.add_alternates(&KeySpace::by(table.source.clone(), by), keys).await?;
        }
    }
    shared.spool.set_fact(done(), &true).await
}
