//! References that are resolved before their parents are known to be written, closed once all tables were read.
//!
//! A row whose parent was rejected, or is not at the source, is read again and prepared again, now with the parent missing:
//! what the plan says of a missing parent is done to it as if it came after its parent. That may leave further rows
//! without their parents, until none is left.

use std::collections::{HashMap, HashSet};
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
use crate::source::{Cursor, KeyRange, PageRequest};
use crate::state::{Checkpoint, Commit, PartitionId, Progress, Totals};
use crate::stop::stopped;

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
    /// Where the last page began that rows without their parents were found in.
    place: Option<Cursor>,
}

/// Rows that are looked up one by one by their keys; more are found faster by reading the table's pages again.
const FETCH_AT_MOST: usize = 100;

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
        Self {
            table,
            preparer,
            shape: Arc::new(shape),
            partitions,
            delta: Totals::default(),
            withdrawn: 0,
            place: None,
        }
    }

    /// Rows that an earlier run counted already are not counted again.
    fn is_counted(&self) -> bool {
        self.partitions.iter().all(|(_, checkpoint)| checkpoint.progress == Progress::Done)
    }

    /// Does to rows without their parents what the plan says.
    async fn close(&mut self, shared: &Shared, derived: &dyn DerivedIds, keys: &[SourceKey]) -> Result<()> {
        let mut open: HashSet<SourceKey> = keys.iter().cloned().collect();
        if keys.len() <= FETCH_AT_MOST {
            let found = self.fetch(shared, keys).await?;
            self.settle(shared, derived, &mut open, found).await?;
        }
        // Rows come in the order they were read in, mostly: the next ones are behind the last ones.
        for start in [self.place.take(), None] {
            let mut after = start;
            while !open.is_empty() {
                if shared.stop.is_requested() {
                    return Err(stopped());
                }
                let page = shared.source.read_page(self.request(shared, after.clone())).await?;
                if page.records.is_empty() {
                    break;
                }
                let is_open = |record: &Record| record.key().is_ok_and(|key| open.contains(&key));
                let found: Vec<Record> = page.records.into_iter().filter(is_open).collect();
                if !found.is_empty() {
                    self.place = after;
                }
                self.settle(shared, derived, &mut open, found).await?;
                after = page.next;
            }
        }
        let gone: Vec<Reject> = open.iter().map(|key| self.gone(key)).collect();
        let keys: Vec<SourceKey> = open.into_iter().collect();
        self.withdraw(shared, derived, keys, gone).await
    }

    fn request(&self, shared: &Shared, after: Option<Cursor>) -> PageRequest {
        PageRequest {
            table: self.table.read_from().clone(),
            columns: self.preparer.columns().clone(),
            key: self.table.key.as_slice().into(),
            range: KeyRange::all(),
            after,
            limit: shared.plan.run.page_rows.max(1),
        }
    }

    /// The rows with these keys, as far as single rows can be read: a table may be read by another key than the one
    /// that they are looked up by.
    async fn fetch(&self, shared: &Shared, keys: &[SourceKey]) -> Result<Vec<Record>> {
        let read = match shared.source.fetch(self.table.read_from(), keys, self.preparer.columns()).await {
            Err(error) if error.kind() == ErrorKind::Config => return Ok(Vec::new()),
            read => read?,
        };
        let keyed = keys.iter().zip(read).filter_map(|(key, record)| {
            let record = Record { shape: self.shape.clone(), values: record?.values };
            record.key().is_ok_and(|read| read == *key).then_some(record)
        });
        Ok(keyed.collect())
    }

    /// Prepares rows again, and writes or withdraws what comes of them.
    async fn settle(
        &mut self,
        shared: &Shared,
        derived: &dyn DerivedIds,
        open: &mut HashSet<SourceKey>,
        found: Vec<Record>,
    ) -> Result<()> {
        let mut withdrawn: Vec<SourceKey> = Vec::new();
        let mut rejects: Vec<Reject> = Vec::new();
        let mut records: Vec<WriteRecord> = Vec::new();
        let mut originals: Vec<Record> = Vec::new();
        for PreparedRow { row, key, misses } in self.preparer.prepare(found).await? {
            // Rows of one key became one document.
            if !open.remove(&key) {
                continue;
            }
            for field in &misses {
                self.delta.reference_misses.entry(field.to_string()).or_default().add(&key);
            }
            match row {
                Prepared::Ready(record, kept) => {
                    records.push(record);
                    originals.push(kept.original);
                }
                Prepared::Skipped => {
                    self.delta.skipped += 1;
                    withdrawn.push(key);
                }
                Prepared::Rejected(reject) => {
                    withdrawn.push(key);
                    rejects.push(*reject);
                }
            }
        }
        if !records.is_empty() {
            let batch = WriteBatch { table: &self.table.sink, mode: WriteMode::Upsert, records: &records };
            let outcomes = shared.sink.write_batch(batch).await?;
            for ((record, original), outcome) in records.into_iter().zip(&originals).zip(outcomes) {
                if let WriteOutcome::Rejected(error) = outcome {
                    withdrawn.push(record.key.clone());
                    rejects.push(Reject::new(&self.table, record.key, original, error));
                }
            }
        }
        self.withdraw(shared, derived, withdrawn, rejects).await
    }

    async fn withdraw(
        &mut self,
        shared: &Shared,
        derived: &dyn DerivedIds,
        keys: Vec<SourceKey>,
        rejects: Vec<Reject>,
    ) -> Result<()> {
        if keys.is_empty() {
            return Ok(());
        }
        derived.withdraw(&self.table.source, &keys).await?;
        self.withdrawn += u64::try_from(keys.len()).unwrap_or(u64::MAX);
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
            "a row that it refers to is not in the sink, and it is not at the source any more to see which",
        );
        let nothing = Record {
            shape: Arc::new(RecordShape { table: self.table.source.clone(), fields: Vec::new(), key: Vec::new() }),
            values: Vec::new(),
        };
        Reject::new(&self.table, key.clone(), &nothing, error)
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
    let limit = shared.batch_records().max(shared.plan.run.page_rows);
    loop {
        if shared.stop.is_requested() {
            return Err(stopped());
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
