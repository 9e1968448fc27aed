//! References that are resolved before their parents are known to be written, closed once all tables were read.
//!
//! A row whose parent was rejected, or is not at the source, is read again and prepared again, now with the parent missing:
//! what the plan says of a missing parent is done to it as if it came after its parent. That may leave further rows
//! without their parents, until none is left.

use std::collections::HashMap;
use std::sync::Arc;

use super::batch::Prepared;
use super::prepare::{PreparedRow, Preparer};
use super::run::Shared;
use crate::error::{Error, ErrorKind, Result};
use crate::names::{FieldName, SourceKey, TableName};
use crate::observe::Event;
use crate::plan::PlanTable;
use crate::record::{Record, RecordShape, RejectCode, RowError};
use crate::reject::Reject;
use crate::resolve::{ClosedIds, DerivedIds};
use crate::sink::{WriteBatch, WriteMode, WriteOutcome, WriteRecord};
use crate::state::{Checkpoint, Commit, PartitionId, Progress, Totals};

/// A table that was read to its end.
pub(super) struct ClosingTable {
    table: Arc<PlanTable>,
    preparer: Preparer,
    shape: Arc<RecordShape>,
    partitions: Vec<(PartitionId, Checkpoint)>,
    /// Counts of what was done to rows that were written before.
    delta: Totals,
    /// Rows that were written and are not any more.
    withdrawn: u64,
}

impl ClosingTable {
    pub(super) fn new(
        shared: &Shared,
        derived: &Arc<dyn DerivedIds>,
        table: Arc<PlanTable>,
        partitions: Vec<(PartitionId, Checkpoint)>,
    ) -> Self {
        let resolver = Arc::new(ClosedIds::new(shared.resolver.clone(), derived.clone()));
        let preparer = Preparer::new(table.clone(), shared.chain(&table), resolver, shared.sink.clone());
        let columns = preparer.columns();
        let position = |column: &FieldName| columns.iter().position(|other| other == column);
        let shape = RecordShape {
            table: table.read_from().clone(),
            fields: columns.to_vec(),
            key: table.key.iter().filter_map(position).collect(),
        };
        Self { table, preparer, shape: Arc::new(shape), partitions, delta: Totals::default(), withdrawn: 0 }
    }

    /// Rows that an earlier run counted already are not counted again.
    fn is_counted(&self) -> bool {
        self.partitions.iter().all(|(_, checkpoint)| checkpoint.progress == Progress::Done)
    }

    /// Does to rows without their parents what the plan says.
    async fn close(&mut self, shared: &Shared, derived: &dyn DerivedIds, keys: &[SourceKey]) -> Result<()> {
        let table = self.table.clone();
        let read = shared.source.fetch(table.read_from(), keys, self.preparer.columns()).await?;
        if read.len() != keys.len() {
            return Err(Error::new(ErrorKind::Protocol, "match fetched rows to the keys asked for")
                .with_context("table", &table.source));
        }
        let mut rejects = Vec::new();
        let mut found = Vec::with_capacity(keys.len());
        for (key, record) in keys.iter().zip(read) {
            let record = record.map(|record| Record { shape: self.shape.clone(), values: record.values });
            // A table may be read by another key than the one that single rows are fetched by.
            match record.filter(|record| record.key().is_ok_and(|read| read == *key)) {
                Some(record) => found.push(record),
                None => rejects.push(self.gone(key)),
            }
        }
        let mut withdrawn: Vec<SourceKey> = rejects.iter().map(|reject| reject.key.clone()).collect();
        let mut records: Vec<WriteRecord> = Vec::new();
        let mut originals: Vec<Record> = Vec::new();
        let kept = found.clone();
        for (PreparedRow { row, misses, .. }, original) in self.preparer.prepare(found).await?.into_iter().zip(kept) {
            for (reference, key) in &misses {
                self.delta.reference_misses.entry(reference.clone()).or_default().add(key);
            }
            match row {
                Prepared::Ready(ready) => {
                    records.push(ready.0);
                    originals.push(original);
                }
                Prepared::Skipped => {
                    self.delta.skipped += 1;
                    withdrawn.extend(original.key().ok());
                }
                Prepared::Rejected(reject) => {
                    withdrawn.push(reject.key.clone());
                    rejects.push(*reject);
                }
            }
        }
        if !records.is_empty() {
            let batch = WriteBatch { table: &table.sink, mode: WriteMode::Upsert, records: &records };
            let outcomes = shared.sink.write_batch(batch).await?;
            for ((record, original), outcome) in records.into_iter().zip(&originals).zip(outcomes) {
                if let WriteOutcome::Rejected(error) = outcome {
                    withdrawn.push(record.key.clone());
                    rejects.push(Reject::new(&table.source, record.key, original, error));
                }
            }
        }
        derived.withdraw(&table.source, &withdrawn).await?;
        self.withdrawn += u64::try_from(withdrawn.len()).unwrap_or(u64::MAX);
        for reject in &rejects {
            self.delta.rejected += 1;
            self.delta.reject_codes.entry(reject.code).or_default().add(&reject.key);
        }
        // The rejects are kept at once; the counts when all is closed, so that a run that is stopped here counts anew.
        if let Some((partition, checkpoint)) = self.partitions.first() {
            shared.state.commit(Commit { rejects: &rejects, ..Commit::place(partition, checkpoint) }).await?;
        }
        if self.is_counted() { Ok(()) } else { shared.count_rejects(u64::try_from(rejects.len()).unwrap_or(u64::MAX)) }
    }

    /// A row that cannot be read again.
    fn gone(&self, key: &SourceKey) -> Reject {
        let error = RowError::new(
            RejectCode::ReferenceMissing,
            "a row that it refers to is not in the sink, and it cannot be read again by its key to see which",
        );
        let nothing = Record {
            shape: Arc::new(RecordShape { table: self.table.source.clone(), fields: Vec::new(), key: Vec::new() }),
            values: Vec::new(),
        };
        Reject::new(&self.table.source, key.clone(), &nothing, error)
    }

    /// Commits the counts.
    async fn finish(self, shared: &Shared) -> Result<()> {
        if !self.is_counted() {
            shared.observer.on_event(&Event::RowsWithdrawn {
                table: self.table.source.clone(),
                withdrawn: self.withdrawn,
                delta: Box::new(self.delta.clone()),
            });
        }
        for (at, (partition, mut checkpoint)) in self.partitions.into_iter().enumerate() {
            if checkpoint.progress == Progress::Done {
                continue;
            }
            if at == 0 {
                checkpoint.totals.inserted = checkpoint.totals.inserted.saturating_sub(self.withdrawn);
                checkpoint.totals.absorb(&self.delta);
            }
            checkpoint.progress = Progress::Done;
            shared.state.commit(Commit::place(&partition, &checkpoint)).await?;
        }
        Ok(())
    }
}

/// Closes the references of all tables.
///
/// # Errors
/// Those of the source, the sink and the state; `Interrupted` when a stop was asked for.
pub(super) async fn close_references(
    shared: &Shared,
    derived: &dyn DerivedIds,
    tables: &mut [ClosingTable],
) -> Result<()> {
    let places: HashMap<TableName, usize> =
        tables.iter().enumerate().map(|(at, table)| (table.table.source.clone(), at)).collect();
    let limit = shared.batch_records();
    loop {
        if shared.stop.is_requested() {
            return Err(super::table::stopped());
        }
        let rows = derived.unclosed(limit).await?;
        if rows.is_empty() {
            return Ok(());
        }
        let mut by_table: HashMap<usize, Vec<SourceKey>> = HashMap::new();
        for (table, key) in rows {
            let at = places.get(&table).ok_or_else(|| {
                Error::new(ErrorKind::Unexpected, "close the references of a table that was not read")
                    .with_context("table", &table)
            })?;
            by_table.entry(*at).or_default().push(key);
        }
        for (at, keys) in by_table {
            if let Some(table) = tables.get_mut(at) {
                table.close(shared, derived, &keys).await?;
            }
        }
    }
}

/// Commits the counts of all tables once every reference is closed.
pub(super) async fn finish(shared: &Shared, tables: Vec<ClosingTable>) -> Result<()> {
    for table in tables {
        table.finish(shared).await?;
    }
    Ok(())
}
