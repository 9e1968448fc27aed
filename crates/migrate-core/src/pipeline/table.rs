use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::JoinHandle;

use super::batch::{Batch, Batcher};
use super::prepare::{Preparer, place_of};
use super::run::Shared;
use crate::error::{Error, ErrorKind, Result};
use crate::names::{FieldName, KeySpace, SinkId, SourceKey, TableName};
use crate::observe::Event;
use crate::plan::PlanTable;
use crate::record::{Record, RejectCode, RowError};
use crate::reject::{Counted, Reject, RejectSource, taken};
use crate::resolve::RecentIds;
use crate::sink::{WriteBatch, WriteEffect, WriteMode, WriteOutcome, WriteRecord};
use crate::source::{Cursor, Source};
use crate::state::{Checkpoint, Commit, PartitionId, Progress, Totals};
use crate::stop::stopped;

/// Copies one partition from its checkpoint to its end, and commits batch by batch, in key order.
///
/// # Errors
/// The first error; batches before it are committed. `Interrupted` when a stop was asked for.
pub(super) async fn copy_partition(
    shared: Arc<Shared>,
    table: Arc<PlanTable>,
    partition: PartitionId,
    mut checkpoint: Checkpoint,
) -> Result<Checkpoint> {
    let (shared, table) = (&shared, &table);
    let after = match &checkpoint.progress {
        Progress::Pending => None,
        Progress::Copying { after } => Some(after.clone()),
        Progress::Copied | Progress::Linking { .. } | Progress::Done => return Ok(checkpoint),
    };
    copy_rows(shared, table, &Rows::Table, &partition, &mut checkpoint, after).await?;
    checkpoint.progress = if shared.has_second_part(table) { Progress::Copied } else { Progress::Done };
    shared.state.commit(Commit::place(&partition, &checkpoint)).await?;
    Ok(checkpoint)
}

/// Where the rows of a partition come from.
pub(super) enum Rows {
    /// The table, in key order: a commit moves the partition's place.
    Table,
    /// Its rejects: a commit takes them off the list and out of the counts, and counts their rows anew.
    Rejects(Arc<RejectSource>),
}

impl Rows {
    fn source(&self, shared: &Shared) -> Arc<dyn Source> {
        match self {
            Self::Table => shared.source.clone(),
            Self::Rejects(rejects) => rejects.clone(),
        }
    }
}

/// Copies rows, and commits batch by batch, in their order.
pub(super) async fn copy_rows(
    shared: &Arc<Shared>,
    table: &Arc<PlanTable>,
    rows: &Rows,
    partition: &PartitionId,
    checkpoint: &mut Checkpoint,
    after: Option<Cursor>,
) -> Result<()> {
    let resolver = Arc::new(RecentIds::new(shared.resolver.clone()));
    let preparer = Preparer::new(table.clone(), shared.chain(table), resolver, shared.sink.clone());
    let columns = preparer.columns().clone();
    let mut pages = shared.reader(rows.source(shared)).ahead(table, partition.clone(), columns, after);
    let place = Place { shared, table, rows, partition };
    let mut batcher = Batcher::new(shared.batch_records(), shared.sink.capabilities().batch_bytes, shared.fail_fast);
    let mut writes: VecDeque<Write> = VecDeque::new();
    let result = async {
        let mut is_end = false;
        while !is_end {
            let page = loop {
                tokio::select! {
                    page = pages.recv() => break page.unwrap_or_else(|| Err(stopped()))?,
                    () = oldest(&mut writes) => place.commit_next(checkpoint, &mut writes).await?,
                }
            };
            is_end = page.records.is_empty();
            let mut full: Vec<Batch> = Vec::new();
            for prepared in preparer.prepare(page.records).await? {
                full.extend(batcher.push(prepared));
            }
            if is_end {
                full.extend(batcher.finish());
            }
            for batch in full {
                while writes.len() >= shared.in_flight_per_table() {
                    place.commit_next(checkpoint, &mut writes).await?;
                }
                let task = shared.spawn_write(table.sink.clone(), table.source.clone(), batch).await?;
                writes.push_back(Write { task, done: None });
            }
        }
        Ok(())
    }
    .await;
    // What is on the way is finished and committed, whether or not the rest went well: an error of its own only counts
    // where there was none before.
    let rest = async {
        while !writes.is_empty() {
            place.commit_next(checkpoint, &mut writes).await?;
        }
        Ok(())
    }
    .await;
    result.and(rest)
}

/// A write on its way, in a task of its own.
struct Write {
    task: JoinHandle<Result<WrittenBatch>>,
    done: Option<Result<WrittenBatch>>,
}

impl Write {
    async fn finish(&mut self) {
        if self.done.is_none() {
            let joined = (&mut self.task).await;
            self.done =
                Some(joined.unwrap_or_else(|_| Err(Error::new(ErrorKind::Unexpected, "finish a write's task"))));
        }
    }
}

/// Waits until the oldest write is done; for ever where there is none.
async fn oldest(writes: &mut VecDeque<Write>) {
    match writes.front_mut() {
        Some(write) => write.finish().await,
        None => std::future::pending().await,
    }
}

/// A batch with what the sink made of it.
pub(super) struct WrittenBatch {
    batch: Batch,
    outcomes: Vec<WriteOutcome>,
    elapsed: Duration,
}

impl Shared {
    /// Writes a batch in a task of its own, once the run has a free place for it.
    pub(super) async fn spawn_write(
        self: &Arc<Self>,
        sink_table: TableName,
        source_table: TableName,
        batch: Batch,
    ) -> Result<JoinHandle<Result<WrittenBatch>>> {
        let place = self.places.clone().acquire_owned().await;
        let place = place.map_err(|_| Error::new(ErrorKind::Unexpected, "wait for a free place to write"))?;
        let shared = self.clone();
        Ok(tokio::spawn(async move {
            let _place = place;
            let started = Instant::now();
            if batch.rows.is_empty() {
                return Ok(WrittenBatch { batch, outcomes: Vec::new(), elapsed: Duration::ZERO });
            }
            let records = WriteBatch { table: &sink_table, mode: WriteMode::Upsert, records: &batch.records };
            let written = shared.sink.write_batch(records).await;
            let outcomes = written.map_err(|error| error.with_context("table", &source_table))?;
            if outcomes.len() != batch.records.len() {
                return Err(Error::new(ErrorKind::Protocol, "match the sink's outcomes to the records sent")
                    .with_context("table", &source_table));
            }
            Ok(WrittenBatch { batch, outcomes, elapsed: started.elapsed() })
        }))
    }
}

/// What batches of one partition are committed to.
struct Place<'a> {
    shared: &'a Arc<Shared>,
    table: &'a PlanTable,
    rows: &'a Rows,
    partition: &'a PartitionId,
}

impl Place<'_> {
    /// Commits the oldest batch on the way, after waiting for it.
    ///
    /// When that fails, the batches behind it are waited for and dropped: committing them would move the place past rows
    /// that are not durable. They are written again by the next run, to the same effect.
    async fn commit_next(&self, checkpoint: &mut Checkpoint, writes: &mut VecDeque<Write>) -> Result<()> {
        let committed = self.commit_oldest(checkpoint, writes).await;
        if committed.is_err() {
            for mut behind in writes.drain(..) {
                behind.finish().await;
            }
        }
        committed
    }

    async fn commit_oldest(&self, checkpoint: &mut Checkpoint, writes: &mut VecDeque<Write>) -> Result<()> {
        let Self { shared, table, partition, .. } = self;
        let Some(mut write) = writes.pop_front() else { return Ok(()) };
        write.finish().await;
        let Some(written) = write.done else { return Ok(()) };
        let WrittenBatch { batch, outcomes, elapsed } = written?;
        let Batch { records, rows, mut rejects, skipped, totals: mut delta, end, .. } = batch;
        let mut ids: Vec<(SourceKey, SinkId)> = Vec::with_capacity(rows.len());
        let spaces = table.alternate_keys.iter().map(|columns| KeySpace::by(table.source.clone(), columns));
        let mut alternate_ids: Vec<(KeySpace, Vec<(SourceKey, SinkId)>)> =
            spaces.map(|space| (space, Vec::with_capacity(rows.len()))).collect();
        let mut unlinked: Vec<Reject> = Vec::new();
        for ((WriteRecord { key, .. }, row), outcome) in records.into_iter().zip(rows).zip(outcomes) {
            match outcome {
                WriteOutcome::Written { id, effect } => {
                    count_effect(&mut delta, effect);
                    delta.bytes += u64::try_from(row.bytes).unwrap_or(u64::MAX);
                    for change in &row.changes {
                        delta.add_change(&change.field, change.kind, &key);
                    }
                    for ((_, ids), key) in alternate_ids.iter_mut().zip(row.alternates) {
                        ids.extend(key.map(|key| (key, id.clone())));
                    }
                    unlinked.extend(self.unlinked(checkpoint, &key, &row.original));
                    ids.push((key, id));
                }
                WriteOutcome::Rejected(error) => {
                    delta.rejected += 1;
                    delta.reject_codes.entry(error.code).or_default().add(&key);
                    let mut reject = Reject::new(table, key, &row.original, error);
                    reject.counted.misses = Counted::misses(row.misses.iter().map(FieldName::as_str));
                    rejects.push(reject);
                }
            }
        }
        let rejected = delta.rejected;
        delta.unlinked += unlinked.iter().map(|reject| reject.counted.unlinked).sum::<u64>();
        let (settled, taken) = match self.rows {
            Rows::Table => {
                if let Some(last) = end {
                    checkpoint.progress = Progress::Copying { after: place_of(table, &last)? };
                }
                (Vec::new(), None)
            }
            Rows::Rejects(_) => {
                let written = ids.iter().map(|(key, _)| key);
                let again = rejects.iter().map(|reject| &reject.key);
                let keys: Vec<SourceKey> = written.chain(again).chain(&skipped).cloned().collect();
                let taken = shared.taken(partition, &keys).await?;
                checkpoint.totals.release(&taken);
                (keys, Some(taken))
            }
        };
        rejects.extend(unlinked);
        for reject in &mut rejects {
            reject.counted.range = partition.range.clone();
        }
        checkpoint.totals.absorb(&delta);
        let kept = Commit { settled: &settled, rejects: &rejects, ..Commit::place(partition, checkpoint) };
        // What is computed from the key need not be kept.
        let ids = if shared.derived.is_some() { &[] } else { &*ids };
        shared.state.commit(Commit { ids, alternate_ids: &alternate_ids, ..kept }).await?;
        if let Some(taken) = taken {
            shared.tell_taken(partition, taken, 0);
        }
        shared.observer.on_event(&Event::BatchCommitted {
            table: partition.table.clone(),
            delta: Box::new(delta),
            elapsed,
        });
        shared.count_rejects(rejected)?;
        shared.fail_fast(rejected)
    }

    /// The second pass of the run is over: a row that a replay brings stays on the list until its links are set, so that
    /// no kill loses them.
    fn unlinked(&self, checkpoint: &Checkpoint, key: &SourceKey, original: &Record) -> Option<Reject> {
        if matches!(self.rows, Rows::Table) || checkpoint.progress != Progress::Done {
            return None;
        }
        let is_set = |column: &FieldName| original.get(column.as_str()).is_some_and(|value| !value.is_nothing());
        let links = self.table.cut_fields().filter(|field| field.columns.iter().all(is_set)).count();
        let error = RowError::new(RejectCode::ReferenceUnlinked, "its links are not set yet");
        let mut reject = Reject::new(self.table, key.clone(), original, error);
        reject.counted.unlinked = u64::try_from(links).unwrap_or(u64::MAX);
        (links > 0).then_some(reject)
    }
}

impl Shared {
    /// What the counts of a partition hold of its rejects.
    pub(super) async fn taken(&self, partition: &PartitionId, keys: &[SourceKey]) -> Result<Totals> {
        Ok(taken(self.state.rejected(&partition.table, keys).await?.iter().flatten()))
    }

    /// Tells that rejects left the counts; the rows of `gone` of them are not counted anew.
    pub(super) fn tell_taken(&self, partition: &PartitionId, taken: Totals, gone: u64) {
        let table = partition.table.clone();
        self.observer.on_event(&Event::RejectsTaken { table, taken: Box::new(taken), gone });
    }
}

/// Counts what a write did.
pub(super) fn count_effect(totals: &mut Totals, effect: WriteEffect) {
    match effect {
        WriteEffect::Inserted => totals.inserted += 1,
        WriteEffect::Updated => totals.updated += 1,
        WriteEffect::Unchanged => totals.unchanged += 1,
    }
}
