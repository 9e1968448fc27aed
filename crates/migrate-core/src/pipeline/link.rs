use std::sync::Arc;
use std::time::Instant;

use super::prepare::{key_of, place_of};
use super::references::{Outcome, Referred, resolve_field};
use super::run::Shared;
use crate::error::{Error, ErrorKind, Result};
use crate::names::{KeySpace, SinkId, SourceKey};
use crate::observe::Event;
use crate::plan::{PlanField, PlanTable};
use crate::record::{Record, RecordShape, RejectCode, RowError};
use crate::reject::{Counted, Reject, RejectSource};
use crate::sink::{WriteBatch, WriteMode, WriteOutcome, WriteRecord};
use crate::source::Cursor;
use crate::state::{Checkpoint, Commit, PartitionId, Progress, Totals};
use crate::stop::stopped;
use crate::transform::{Chain, ParentKey, RowContext};
use crate::value::Value;

/// The second pass over one partition: reads keys and cut references again, and sets the links.
///
/// A link whose parent is not in the sink leaves the document without it: counted as unlinked, and kept among the
/// rejects, though the row itself is migrated.
///
/// # Errors
/// The first error; pages before it are committed.
pub(super) async fn link_partition(
    shared: Arc<Shared>,
    table: Arc<PlanTable>,
    partition: PartitionId,
    mut checkpoint: Checkpoint,
) -> Result<Checkpoint> {
    let (shared, table) = (&shared, &table);
    let after = match &checkpoint.progress {
        Progress::Copied => None,
        Progress::Linking { after } => Some(after.clone()),
        Progress::Done => return Ok(checkpoint),
        Progress::Pending | Progress::Copying { .. } => {
            return Err(
                Error::new(ErrorKind::State, "link a table that is not copied").with_context("table", &table.source)
            );
        }
    };
    let linker = Linker::new(shared, table);
    let columns = linker.chain.columns().clone();
    let mut pages = shared.reader(shared.source.clone()).ahead(table, partition.clone(), columns, after);
    loop {
        // A reader that ends without an empty page has failed.
        let page = pages.recv().await.unwrap_or_else(|| Err(stopped()))?;
        let started = Instant::now();
        if page.records.is_empty() {
            break;
        }
        let Links { delta, rejects, end, .. } = linker.link(page.records, &partition).await?;
        if let Some(after) = end {
            checkpoint.progress = Progress::Linking { after };
        }
        checkpoint.totals.absorb(&delta);
        let commit = Commit { rejects: &rejects, ..Commit::place(&partition, &checkpoint) };
        shared.state.commit(commit).await?;
        let unlinked = delta.unlinked;
        shared.tell_linked(&partition, delta, started);
        shared.fail_fast(unlinked)?;
    }
    checkpoint.progress = Progress::Done;
    shared.state.commit(Commit::place(&partition, &checkpoint)).await?;
    Ok(checkpoint)
}

/// The second pass over rows that are on the list of rejects because their links are not set.
///
/// # Errors
/// As for [`link_partition`].
pub(super) async fn link_rejects(
    shared: &Arc<Shared>,
    table: &Arc<PlanTable>,
    rejects: Arc<RejectSource>,
    partition: &PartitionId,
    checkpoint: &mut Checkpoint,
) -> Result<()> {
    let linker = Linker::new(shared, table);
    let mut pages = shared.reader(rejects).ahead(table, partition.clone(), linker.chain.columns().clone(), None);
    loop {
        let page = pages.recv().await.unwrap_or_else(|| Err(stopped()))?;
        let started = Instant::now();
        if page.records.is_empty() {
            return Ok(());
        }
        let Links { delta, rejects, keys, .. } = linker.link(page.records, partition).await?;
        let taken = shared.taken(partition, &keys).await?;
        checkpoint.totals.release(&taken);
        checkpoint.totals.absorb(&delta);
        let commit = Commit { rejects: &rejects, settled: &keys, ..Commit::place(partition, checkpoint) };
        shared.state.commit(commit).await?;
        let unlinked = delta.unlinked;
        shared.tell_taken(partition, taken, 0);
        shared.tell_linked(partition, delta, started);
        shared.fail_fast(unlinked)?;
    }
}

impl Shared {
    fn tell_linked(&self, partition: &PartitionId, delta: Totals, started: Instant) {
        let (table, delta) = (partition.table.clone(), Box::new(delta));
        self.observer.on_event(&Event::BatchCommitted { table, delta, elapsed: started.elapsed() });
    }
}

struct Linker<'a> {
    shared: &'a Arc<Shared>,
    table: &'a Arc<PlanTable>,
    fields: Vec<PlanField>,
    chain: Chain,
    shape: Arc<RecordShape>,
}

struct LinkRow {
    key: SourceKey,
    id: SinkId,
    original: Record,
    parents: Vec<Vec<ParentKey>>,
    values: Vec<Value>,
    /// References whose parents were not found.
    misses: Vec<String>,
    linked: u64,
    unlinked: u64,
    /// Why links of it could not be set.
    reasons: Vec<String>,
}

/// What became of the links of a page.
struct Links {
    delta: Totals,
    rejects: Vec<Reject>,
    /// Rows that have a document.
    keys: Vec<SourceKey>,
    end: Option<Cursor>,
}

impl<'a> Linker<'a> {
    fn new(shared: &'a Arc<Shared>, table: &'a Arc<PlanTable>) -> Self {
        let fields: Vec<PlanField> = table.cut_fields().cloned().collect();
        let chain = Chain::with_key(&table.sink, &fields, &table.key);
        let shape = Arc::new(RecordShape {
            table: table.sink.clone(),
            fields: fields.iter().map(|field| field.field.clone()).collect(),
            key: Vec::new(),
        });
        Self { shared, table, fields, chain, shape }
    }

    async fn link(&self, records: Vec<Record>, partition: &PartitionId) -> Result<Links> {
        let (mut delta, mut rejects, mut end) = (Totals::default(), Vec::new(), None);
        let mut rows = self.rows(records, &mut end).await?;
        for (position, field) in self.fields.iter().enumerate() {
            self.fill(&mut rows, position, field).await?;
        }
        let limit = self.shared.batch_records();
        for chunk in rows.chunks_mut(limit) {
            self.write(chunk).await?;
        }
        let mut keys = Vec::with_capacity(rows.len());
        for row in rows {
            keys.push(row.key.clone());
            delta.linked += row.linked;
            delta.unlinked += row.unlinked;
            for field in &row.misses {
                delta.reference_misses.entry(field.clone()).or_default().add(&row.key);
            }
            if row.unlinked > 0 {
                let error = RowError::new(RejectCode::ReferenceUnlinked, row.reasons.join("; "));
                let mut reject = Reject::new(self.table, row.key, &row.original, error);
                reject.counted = Counted {
                    range: partition.range.clone(),
                    misses: Counted::misses(row.misses.iter().map(String::as_str)),
                    linked: row.linked,
                    unlinked: row.unlinked,
                };
                rejects.push(reject);
            }
        }
        Ok(Links { delta, rejects, keys, end })
    }

    /// Rows that are in the sink, with the keys of their parents. A row that was rejected has no document to link.
    async fn rows(&self, records: Vec<Record>, end: &mut Option<Cursor>) -> Result<Vec<LinkRow>> {
        let keys =
            records.iter().map(|record| key_of(&self.table.source, record)).collect::<Result<Vec<SourceKey>>>()?;
        *end = keys.last().map(|last| place_of(self.table, last)).transpose()?;
        let ids = self.shared.state.ids(&KeySpace::primary(self.table.source.clone()), &keys).await?;
        let mut rows = Vec::with_capacity(records.len());
        for ((original, key), id) in records.into_iter().zip(keys).zip(ids) {
            let Some(id) = id else { continue };
            let mut context = RowContext::default();
            let converted = self.chain.apply(&original, &mut context).map_err(|error| {
                Error::new(ErrorKind::Protocol, format!("read a row's links: {}", error.message))
                    .with_context("table", &self.table.source)
                    .with_context("key", &key)
            })?;
            let empty = |field: &PlanField| if field.nullable { Value::Null } else { Value::Absent };
            let values = self.fields.iter().map(empty).collect();
            let parents = converted.references;
            let (misses, reasons) = (Vec::new(), Vec::new());
            rows.push(LinkRow { key, id, original, parents, values, misses, linked: 0, unlinked: 0, reasons });
        }
        Ok(rows)
    }

    async fn fill(&self, rows: &mut [LinkRow], position: usize, field: &PlanField) -> Result<()> {
        let Some(reference) = field.reference() else { return Ok(()) };
        let parents: Vec<Vec<ParentKey>> =
            rows.iter_mut().map(|row| row.parents.get_mut(position).map(std::mem::take).unwrap_or_default()).collect();
        let wanted: Vec<(&SourceKey, &[ParentKey])> =
            rows.iter().zip(&parents).map(|(row, parents)| (&row.key, &**parents)).collect();
        let referred = resolve_field(&*self.shared.resolver, &self.table.source, field, reference, &wanted).await?;
        for (row, referred) in rows.iter_mut().zip(referred) {
            let Some(Referred { outcome, misses }) = referred else { continue };
            row.misses.extend(std::iter::repeat_n(field.field.to_string(), misses));
            let value = match outcome {
                Outcome::Value(value) => value,
                // The document is there already: what the plan leaves out is the link.
                Outcome::Skip => Value::Absent,
                Outcome::Reject(error) => {
                    row.unlinked += 1;
                    row.reasons.push(error.message);
                    Value::Absent
                }
            };
            if let Some(slot) = row.values.get_mut(position) {
                *slot = value;
            }
        }
        Ok(())
    }

    async fn write(&self, rows: &mut [LinkRow]) -> Result<()> {
        if rows.is_empty() {
            return Ok(());
        }
        let records: Vec<WriteRecord> = rows
            .iter()
            .map(|row| WriteRecord {
                key: row.key.clone(),
                id: Some(row.id.clone()),
                record: Record { shape: self.shape.clone(), values: row.values.clone() },
            })
            .collect();
        let batch = WriteBatch { table: &self.table.sink, mode: WriteMode::Patch, records: &records };
        let outcomes = self.shared.sink.write_batch(batch).await?;
        if outcomes.len() != rows.len() {
            return Err(Error::new(ErrorKind::Protocol, "match the sink's outcomes to the links sent")
                .with_context("table", &self.table.source));
        }
        for (row, outcome) in rows.iter_mut().zip(outcomes) {
            let links = row.values.iter().filter(|value| !value.is_nothing()).count();
            match outcome {
                WriteOutcome::Written { .. } => row.linked += u64::try_from(links).unwrap_or(u64::MAX),
                WriteOutcome::Rejected(error) => {
                    row.unlinked += u64::try_from(links.max(1)).unwrap_or(u64::MAX);
                    row.reasons.push(error.message);
                }
            }
        }
        Ok(())
    }
}
