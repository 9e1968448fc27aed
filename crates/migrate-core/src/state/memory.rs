use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

use super::{BoundPlan, Checkpoint, Commit, PartitionId, StateStore};
use crate::error::{Error, ErrorKind, Result};
use crate::names::{KeySpace, SinkId, SourceKey, TableName};
use crate::reject::Reject;

/// A state that lives as long as the process: dry runs and tests.
#[derive(Debug, Default)]
pub struct MemoryState(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    plan: Option<BoundPlan>,
    checkpoints: BTreeMap<PartitionId, Checkpoint>,
    ids: HashMap<KeySpace, HashMap<SourceKey, SinkId>>,
    rejects: Vec<Reject>,
}

impl MemoryState {
    /// An empty state.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The refusal of a state that belongs to another plan; the same words for every store.
pub(super) fn foreign_plan(stored: &str, wanted: &str) -> Error {
    Error::new(
        ErrorKind::State,
        format!("continue with another plan: the state is of plan {stored}, this is plan {wanted}"),
    )
    .with_remedy(
        "run the old plan to its end, or start anew with --fresh (writes are idempotent: nothing is doubled); \
         after mending a plan for rejects: migrate-replay",
    )
}

#[async_trait]
impl StateStore for MemoryState {
    async fn bind(&self, fingerprint: &str) -> Result<()> {
        let mut inner = self.inner();
        match &inner.plan {
            Some(stored) if stored.fingerprint != fingerprint => Err(foreign_plan(&stored.fingerprint, fingerprint)),
            Some(_) => Ok(()),
            None => {
                inner.plan = Some(BoundPlan { fingerprint: fingerprint.to_owned(), identity: None });
                Ok(())
            }
        }
    }

    async fn bound(&self) -> Result<Option<BoundPlan>> {
        Ok(self.inner().plan.clone())
    }

    async fn rebind(&self, plan: &BoundPlan) -> Result<()> {
        self.inner().plan = Some(plan.clone());
        Ok(())
    }

    async fn partitions(&self, table: &TableName) -> Result<Vec<(PartitionId, Checkpoint)>> {
        let inner = self.inner();
        let of_table = inner.checkpoints.iter().filter(|(partition, _)| partition.table == *table);
        Ok(of_table.map(|(partition, checkpoint)| (partition.clone(), checkpoint.clone())).collect())
    }

    async fn load(&self, partition: &PartitionId) -> Result<Option<Checkpoint>> {
        Ok(self.inner().checkpoints.get(partition).cloned())
    }

    async fn commit(&self, commit: Commit<'_>) -> Result<()> {
        let mut inner = self.inner();
        let primary = KeySpace::primary(commit.partition.table.clone());
        inner.ids.entry(primary).or_default().extend(commit.ids.iter().cloned());
        for (space, ids) in commit.alternate_ids {
            inner.ids.entry(space.clone()).or_default().extend(ids.iter().cloned());
        }
        let again: HashSet<&SourceKey> = commit.rejects.iter().map(|reject| &reject.key).collect();
        let settled: HashSet<&SourceKey> = commit.settled.iter().filter(|key| !again.contains(key)).collect();
        inner.rejects.retain(|known| known.table != commit.partition.table || !settled.contains(&known.key));
        for reject in commit.rejects {
            let same = |known: &&mut Reject| known.table == reject.table && known.key == reject.key;
            match inner.rejects.iter_mut().find(same) {
                Some(known) => known.clone_from(reject),
                None => inner.rejects.push(reject.clone()),
            }
        }
        inner.checkpoints.insert(commit.partition.clone(), commit.checkpoint.clone());
        Ok(())
    }

    async fn ids(&self, table: &KeySpace, keys: &[SourceKey]) -> Result<Vec<Option<SinkId>>> {
        let inner = self.inner();
        let ids = inner.ids.get(table);
        Ok(keys.iter().map(|key| ids.and_then(|ids| ids.get(key)).cloned()).collect())
    }

    async fn adopt(&self, table: &KeySpace, ids: &[(SourceKey, SinkId)]) -> Result<()> {
        self.inner().ids.entry(table.clone()).or_default().extend(ids.iter().cloned());
        Ok(())
    }

    async fn rejected(&self, table: &TableName, keys: &[SourceKey]) -> Result<Vec<Option<Reject>>> {
        let inner = self.inner();
        let find = |key: &SourceKey| inner.rejects.iter().find(|reject| reject.table == *table && reject.key == *key);
        Ok(keys.iter().map(|key| find(key).cloned()).collect())
    }

    async fn rejects(&self, table: &TableName, after: u64, limit: usize) -> Result<Vec<Reject>> {
        let inner = self.inner();
        let after = usize::try_from(after).unwrap_or(usize::MAX);
        Ok(inner.rejects.iter().filter(|reject| reject.table == *table).skip(after).take(limit).cloned().collect())
    }
}
