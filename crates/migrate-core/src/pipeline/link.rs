use std::sync::Arc;
use std::time::Instant;

use super::prepare::place_of;
use super::references::{Outcome, Referred, resolve_field};
use super::run::Shared;
use super::table::{read_ahead, stopped};
use crate::error::{Error, ErrorKind, Result};
use crate::names::{KeySpace, SinkId, SourceKey};
use crate::observe::Event;
use crate::plan::{PlanField, PlanTable};
use crate::record::{Record, RecordShape, RejectCode, RowError};
use crate::reject::Reject;
use crate::sink::{WriteBatch, WriteMode, WriteOutcome, WriteRecord};
use crate::source::Cursor;
use crate::state::{Checkpoint, Commit, PartitionId, Progress, Totals};
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
    let fields: Vec<PlanField> = table.cut_fields().cloned().collect();
    let chain = Chain::with_key(&table.sink, &fields, &table.key);
    let shape = Arc::new(RecordShape {
        table: table.sink.clone(),
        fields: fields.iter().map(|field| field.field.clone()).collect(),
        key: Vec::new(),
    });
    let linker = Linker { shared, table, fields, chain, shape };
    let mut pages = read_ahead(shared, table, partition.clone(), linker.chain.columns().clone(), after);
    loop {
        // A reader that ends without an empty page has failed.
        let page = pages.recv().await.unwrap_or_else(|| Err(stopped()))?;
        let started = Instant::now();
        if page.records.is_empty() {
            break;
        }
        let (delta, rejects, end) = linker.link(page.records).await?;
        if let Some(after) = end {
            checkpoint.progress = Progress::Linking { after };
        }
        checkpoint.totals.absorb(&delta);
        let commit = Commit { rejects: &rejects, ..Commit::place(&partition, &checkpoint) };
        shared.state.commit(commit).await?;
        shared.observer.on_event(&Event::BatchCommitted {
            table: table.source.clone(),
            delta: Box::new(delta),
            elapsed: started.elapsed(),
        });
    }
    checkpoint.progress = Progress::Done;
    shared.state.commit(Commit::place(&partition, &checkpoint)).await?;
    Ok(checkpoint)
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
    /// Why links of it could not be set.
    unlinked: Vec<String>,
}

impl Linker<'_> {
    async fn link(&self, records: Vec<Record>) -> Result<(Totals, Vec<Reject>, Option<Cursor>)> {
        let (mut delta, mut rejects, mut end) = (Totals::default(), Vec::new(), None);
        let mut rows = self.rows(records, &mut end).await?;
        for (position, field) in self.fields.iter().enumerate() {
            self.fill(&mut rows, position, field, &mut delta).await?;
        }
        for row in &mut rows {
            delta.unlinked += u64::try_from(row.unlinked.len()).unwrap_or(u64::MAX);
            if !row.unlinked.is_empty() {
                let reasons = std::mem::take(&mut row.unlinked).join("; ");
                rejects.push(self.unlinked(row, reasons));
            }
        }
        let limit = self.shared.batch_records();
        for chunk in rows.chunks(limit) {
            self.write(chunk, &mut delta, &mut rejects).await?;
        }
        Ok((delta, rejects, end))
    }

    /// Rows that are in the sink, with the keys of their parents. A row that was rejected has no document to link.
    async fn rows(&self, records: Vec<Record>, end: &mut Option<Cursor>) -> Result<Vec<LinkRow>> {
        let mut places = Vec::with_capacity(records.len());
        for record in &records {
            places.push(place_of(&self.table.source, record)?);
        }
        let keys: Vec<SourceKey> = places.iter().map(|(key, _)| key.clone()).collect();
        *end = places.into_iter().next_back().map(|(_, place)| place);
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
            rows.push(LinkRow { key, id, original, parents: converted.references, values, unlinked: Vec::new() });
        }
        Ok(rows)
    }

    async fn fill(&self, rows: &mut [LinkRow], position: usize, field: &PlanField, delta: &mut Totals) -> Result<()> {
        let Some(reference) = field.reference() else { return Ok(()) };
        let parents: Vec<Vec<ParentKey>> =
            rows.iter().map(|row| row.parents.get(position).cloned().unwrap_or_default()).collect();
        let wanted: Vec<(&SourceKey, &[ParentKey])> =
            rows.iter().zip(&parents).map(|(row, parents)| (&row.key, &**parents)).collect();
        let referred = resolve_field(&*self.shared.resolver, &self.table.source, field, reference, &wanted).await?;
        for (row, referred) in rows.iter_mut().zip(referred) {
            let Some(Referred { outcome, misses }) = referred else { continue };
            for _ in 0..misses {
                delta.reference_misses.entry(field.field.to_string()).or_default().add(&row.key);
            }
            let value = match outcome {
                Outcome::Value(value) => value,
                // The document is there already: what the plan leaves out is the link.
                Outcome::Skip => Value::Absent,
                Outcome::Reject(error) => {
                    row.unlinked.push(error.message);
                    Value::Absent
                }
            };
            if let Some(slot) = row.values.get_mut(position) {
                *slot = value;
            }
        }
        Ok(())
    }

    fn unlinked(&self, row: &LinkRow, reason: String) -> Reject {
        let error = RowError::new(RejectCode::ReferenceUnlinked, reason);
        Reject::new(&self.table.source, row.key.clone(), &row.original, error)
    }

    async fn write(&self, rows: &[LinkRow], delta: &mut Totals, rejects: &mut Vec<Reject>) -> Result<()> {
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
        for (row, outcome) in rows.iter().zip(outcomes) {
            let links = row.values.iter().filter(|value| !value.is_nothing()).count();
            match outcome {
                WriteOutcome::Written { .. } => delta.linked += u64::try_from(links).unwrap_or(u64::MAX),
                WriteOutcome::Rejected(error) => {
                    delta.unlinked += u64::try_from(links.max(1)).unwrap_or(u64::MAX);
                    rejects.push(self.unlinked(row, error.message));
                }
            }
        }
        Ok(())
    }
}
