use std::collections::BTreeMap;
use std::sync::Arc;

use super::link::link_rejects;
use super::run::{Shared, finished, leave_out};
use super::table::{Rows, copy_rows};
use crate::error::{Error, ErrorKind, Result};
use crate::observe::{Event, TableStatus};
use crate::plan::PlanTable;
use crate::record::RejectCode;
use crate::reject::{RejectSource, Replay};
use crate::state::{Checkpoint, Commit, PartitionId, Progress, SAMPLE_KEYS, Tally, Totals};

/// Rejects that are looked at together.
const STEP: usize = 500;

/// Replays the tables of a plan, parents before children, then the links that are not set.
pub(super) async fn run(shared: &Arc<Shared>, replay: &Replay) -> Result<()> {
    for absent in &shared.plan.absent {
        finished(shared, &absent.table, TableStatus::Missing, None, None);
    }
    let mut levels: Vec<Arc<PlanTable>> = shared.plan.tables.iter().cloned().map(Arc::new).collect();
    levels.sort_by_key(|table| table.level);
    let (mut failure, mut is_whole) = (None, true);
    let mut turns = Vec::new();
    for table in levels {
        let partitions = shared.state.partitions(&table.source).await?;
        if partitions.is_empty() {
            is_whole = false;
            leave_out(
                shared,
                &table.source,
                TableStatus::Incomplete,
                Some("migrate-run has not come to it".to_owned()),
            )
            .await?;
            continue;
        }
        let mut turn = Turn { shared, replay, table, partitions };
        let result = if failure.is_none() {
            turn.copy().await
        } else {
            turn.begin(None);
            Ok(())
        };
        let error = result.as_ref().err().map(ToString::to_string);
        failure = failure.or(result.err());
        turns.push((turn, error));
    }
    for (mut turn, mut error) in turns {
        if failure.is_none() {
            let result = turn.link().await;
            error = result.as_ref().err().map(ToString::to_string);
            failure = result.err();
        }
        let (is_done, end) = turn.end(failure.is_some(), error).await;
        is_whole &= is_done;
        failure = failure.or(end.err());
    }
    match failure {
        Some(error) => Err(error),
        None if !is_whole => {
            Err(Error::new(ErrorKind::Interrupted, "replay all there will be: the run is not at its end")
                .with_remedy("run: migrate-run"))
        }
        None => {
            let written: Vec<_> = shared.plan.tables.iter().map(|table| table.sink.clone()).collect();
            shared.sink.finish(&written).await
        }
    }
}

/// One table's turn.
struct Turn<'a> {
    shared: &'a Arc<Shared>,
    replay: &'a Replay,
    table: Arc<PlanTable>,
    partitions: Vec<(PartitionId, Checkpoint)>,
}

impl Turn<'_> {
    fn begin(&self, expected: Option<u64>) {
        let mut resumed = Totals::default();
        for (_, checkpoint) in &self.partitions {
            resumed.absorb(&checkpoint.totals);
        }
        let (table, resumed) = (self.table.source.clone(), Box::new(resumed));
        self.shared.observer.on_event(&Event::TableStarted { table, expected, resumed });
    }

    /// Rows that are rejected.
    async fn copy(&mut self) -> Result<()> {
        let counted = self.shared.source.count(self.table.read_from()).await;
        self.begin(counted.as_ref().ok().copied().flatten());
        counted?;
        for at in 0..self.partitions.len() {
            let Some(rejects) = self.rejects(at, false)? else { continue };
            let Some((partition, checkpoint)) = self.partitions.get_mut(at) else { continue };
            let rows = Rows::Rejects(rejects.clone());
            copy_rows(self.shared, &self.table, &rows, partition, checkpoint, None).await?;
            self.settle_gone(at, &rejects).await?;
        }
        Ok(())
    }

    /// Rows that are migrated, but for links. Those of a run that has not set links yet are left for it.
    async fn link(&mut self) -> Result<()> {
        if self.table.cut_fields().next().is_some() && self.replay.has(&self.table.source) {
            self.shared.observer.on_event(&Event::LinkingStarted { table: self.table.source.clone() });
            for at in 0..self.partitions.len() {
                let Some(rejects) = self.rejects(at, true)? else { continue };
                let Some((partition, checkpoint)) = self.partitions.get_mut(at) else { continue };
                link_rejects(self.shared, &self.table, rejects.clone(), partition, checkpoint).await?;
                self.settle_gone(at, &rejects).await?;
            }
        }
        for at in 0..self.partitions.len() {
            self.refill_samples(at).await?;
        }
        Ok(())
    }

    fn rejects(&self, at: usize, links: bool) -> Result<Option<Arc<RejectSource>>> {
        let Some((partition, _)) = self.partitions.get(at) else { return Ok(None) };
        if !self.replay.has(&self.table.source) {
            return Ok(None);
        }
        let (source, state) = (self.shared.source.clone(), self.shared.state.clone());
        let rejects = self.replay.source(&self.table, &partition.range, links, source, state)?;
        Ok(Some(Arc::new(rejects)))
    }

    /// Takes rows off the list that the source does not have any more: they count as if they had never been.
    async fn settle_gone(&mut self, at: usize, rejects: &RejectSource) -> Result<()> {
        let Some((partition, checkpoint)) = self.partitions.get_mut(at) else { return Ok(()) };
        for gone in rejects.gone().chunks(STEP) {
            let taken = self.shared.taken(partition, gone).await?;
            checkpoint.totals.release(&taken);
            self.shared.state.commit(Commit { settled: gone, ..Commit::place(partition, checkpoint) }).await?;
            self.shared.tell_taken(partition, taken, u64::try_from(gone.len()).unwrap_or(u64::MAX));
        }
        Ok(())
    }

    /// Gives the counts of rejects the first keys on the list as samples, in the place of those that left it.
    async fn refill_samples(&mut self, at: usize) -> Result<()> {
        let Some((partition, checkpoint)) = self.partitions.get_mut(at) else { return Ok(()) };
        if !self.replay.has(&partition.table) || checkpoint.totals.reject_codes.is_empty() {
            return Ok(());
        }
        let before = checkpoint.totals.reject_codes.clone();
        let mut first: BTreeMap<RejectCode, Tally> =
            before.iter().map(|(code, tally)| (*code, Tally { count: tally.count, sample_keys: Vec::new() })).collect();
        let is_full = |tally: &Tally| u64::try_from(tally.sample_keys.len()).is_ok_and(|keys| keys >= tally.count);
        let mut after = 0;
        while !first.values().all(|tally| is_full(tally) || tally.sample_keys.len() == SAMPLE_KEYS) {
            let rejects = self.shared.state.rejects(&partition.table, after, STEP).await?;
            if rejects.is_empty() {
                break;
            }
            after += u64::try_from(rejects.len()).unwrap_or(u64::MAX);
            for reject in rejects.into_iter().filter(|reject| reject.counted.range == partition.range) {
                if let Some(tally) = first.get_mut(&reject.code).filter(|tally| tally.sample_keys.len() < SAMPLE_KEYS) {
                    tally.sample_keys.push(reject.key);
                }
            }
        }
        if first == before {
            return Ok(());
        }
        let taken = Totals { reject_codes: before, ..Totals::default() };
        let delta = Totals { reject_codes: first, ..Totals::default() };
        checkpoint.totals.release(&taken);
        checkpoint.totals.absorb(&delta);
        self.shared.state.commit(Commit::place(partition, checkpoint)).await?;
        self.shared.tell_taken(partition, taken, 0);
        let (table, delta) = (partition.table.clone(), Box::new(delta));
        self.shared.observer.on_event(&Event::BatchCommitted { table, delta, elapsed: std::time::Duration::ZERO });
        Ok(())
    }

    /// Tells how the table stands, and whether the run is at its end.
    async fn end(&self, has_failed: bool, error: Option<String>) -> (bool, Result<()>) {
        let is_done = self.partitions.iter().all(|(_, checkpoint)| checkpoint.progress == Progress::Done);
        let status = if is_done { TableStatus::Complete } else { TableStatus::Incomplete };
        let counted = if has_failed { Ok(None) } else { self.shared.source.count(self.table.read_from()).await };
        let rest = (!is_done).then(|| "migrate-run goes on with it".to_owned());
        let told = error.or_else(|| counted.as_ref().err().map(ToString::to_string)).or(rest);
        finished(self.shared, &self.table.source, status, counted.as_ref().ok().copied().flatten(), told);
        (is_done, counted.map(drop))
    }
}
