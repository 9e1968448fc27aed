//! What a run has made durable: ids, rejects and places, one commit for the three.

mod memory;
mod sqlite;

use std::collections::BTreeMap;
use std::fmt::Debug;

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use memory::MemoryState;
pub use sqlite::SqliteState;

use crate::error::Result;
use crate::names::{FieldName, KeySpace, SinkId, SourceKey, TableName};
use crate::plan::PlanIdentity;
use crate::record::{ChangeKind, RejectCode};
use crate::reject::Reject;
use crate::source::{Cursor, KeyRange};

/// One part of one table.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PartitionId {
    /// The table.
    pub table: TableName,
    /// The part.
    pub range: KeyRange,
}

/// What is durable of a partition.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Progress {
    /// Nothing.
    #[default]
    Pending,
    /// All rows up to and with this place.
    Copying {
        /// Key of the last row that is durable.
        after: Cursor,
    },
    /// All rows; links that were cut are not set yet.
    Copied,
    /// All rows, and the cut links up to and with this place.
    Linking {
        /// Key of the last row whose links are durable.
        after: Cursor,
    },
    /// Everything.
    Done,
}

/// The durable place and counts of a partition.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Checkpoint {
    /// How far it is.
    pub progress: Progress,
    /// Counts of everything up to there.
    pub totals: Totals,
}

/// How many sample keys a count keeps.
pub const SAMPLE_KEYS: usize = 5;

/// A count with some keys it was counted at.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Tally {
    /// How many.
    pub count: u64,
    /// The first few keys.
    pub sample_keys: Vec<SourceKey>,
}

impl Tally {
    /// Counts one, and keeps its key while there is room.
    pub fn add(&mut self, key: &SourceKey) {
        self.count += 1;
        if self.sample_keys.len() < SAMPLE_KEYS {
            self.sample_keys.push(key.clone());
        }
    }

    pub(crate) fn absorb(&mut self, other: &Self) {
        self.count += other.count;
        let room = SAMPLE_KEYS.saturating_sub(self.sample_keys.len());
        self.sample_keys.extend(other.sample_keys.iter().take(room).cloned());
    }
}

/// A lossy edit's column and kind as one key, written `column:kind`.
pub type ChangeName = String;

/// Counts of rows. `read = migrated() + skipped + rejected` holds after every commit.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Totals {
    /// Rows read from the source.
    pub read: u64,
    /// New documents.
    pub inserted: u64,
    /// Documents changed.
    pub updated: u64,
    /// Documents that were already so.
    pub unchanged: u64,
    /// Rows the plan leaves out on purpose.
    pub skipped: u64,
    /// Rows that could not be migrated.
    pub rejected: u64,
    /// Bytes written, by the sink's own measure.
    pub bytes: u64,
    /// Rejected rows by code.
    pub reject_codes: BTreeMap<RejectCode, Tally>,
    /// Parents that were not found, by reference.
    pub reference_misses: BTreeMap<String, Tally>,
    /// Links set by the second pass.
    pub linked: u64,
    /// Links the second pass could not set.
    pub unlinked: u64,
    /// Lossy edits, by `column:kind`.
    pub changes: BTreeMap<ChangeName, Tally>,
}

impl Totals {
    /// Rows that are in the sink.
    #[must_use]
    pub fn migrated(&self) -> u64 {
        self.inserted + self.updated + self.unchanged
    }

    /// Counts a lossy edit.
    pub fn add_change(&mut self, field: &FieldName, kind: ChangeKind, key: &SourceKey) {
        self.changes.entry(format!("{field}:{}", kind.as_str())).or_default().add(key);
    }

    /// Adds the counts of what came after.
    pub fn absorb(&mut self, later: &Self) {
        self.read += later.read;
        self.inserted += later.inserted;
        self.updated += later.updated;
        self.unchanged += later.unchanged;
        self.skipped += later.skipped;
        self.rejected += later.rejected;
        self.bytes += later.bytes;
        self.linked += later.linked;
        self.unlinked += later.unlinked;
        absorb_tallies(&mut self.reject_codes, &later.reject_codes);
        absorb_tallies(&mut self.reference_misses, &later.reference_misses);
        absorb_tallies(&mut self.changes, &later.changes);
    }

    /// Takes back what rejects added to the counts, whose rows are counted anew or are gone.
    pub(crate) fn release(&mut self, taken: &Self) {
        self.read = self.read.saturating_sub(taken.read);
        self.rejected = self.rejected.saturating_sub(taken.rejected);
        self.linked = self.linked.saturating_sub(taken.linked);
        self.unlinked = self.unlinked.saturating_sub(taken.unlinked);
        release_tallies(&mut self.reject_codes, &taken.reject_codes);
        release_tallies(&mut self.reference_misses, &taken.reference_misses);
    }
}

/// Takes counts back.
fn release_tallies<K: Ord + Clone>(from: &mut BTreeMap<K, Tally>, taken: &BTreeMap<K, Tally>) {
    for (name, taken) in taken {
        let Some(tally) = from.get_mut(name) else { continue };
        tally.count = tally.count.saturating_sub(taken.count);
        tally.sample_keys.retain(|key| !taken.sample_keys.contains(key));
        if tally.count == 0 {
            from.remove(name);
        }
    }
}

fn absorb_tallies<K: Ord + Clone>(into: &mut BTreeMap<K, Tally>, from: &BTreeMap<K, Tally>) {
    for (name, tally) in from {
        into.entry(name.clone()).or_default().absorb(tally);
    }
}

/// What one commit makes durable, all or nothing.
#[derive(Debug, Clone, Copy)]
pub struct Commit<'a> {
    /// Whose place moves.
    pub partition: &'a PartitionId,
    /// Ids of the partition's table that are known now.
    pub ids: &'a [(SourceKey, SinkId)],
    /// The same ids by the other keys that rows are referred to by.
    pub alternate_ids: &'a [(KeySpace, Vec<(SourceKey, SinkId)>)],
    /// Rows that were rejected.
    pub rejects: &'a [Reject],
    /// Keys of rows that are no longer rejected, but for those that are among `rejects` again.
    pub settled: &'a [SourceKey],
    /// The new place and counts.
    pub checkpoint: &'a Checkpoint,
}

impl<'a> Commit<'a> {
    /// A commit of a place alone.
    #[must_use]
    pub fn place(partition: &'a PartitionId, checkpoint: &'a Checkpoint) -> Self {
        Self { partition, ids: &[], alternate_ids: &[], rejects: &[], settled: &[], checkpoint }
    }
}

/// The plan a state is tied to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BoundPlan {
    /// Its fingerprint.
    pub fingerprint: String,
    /// What another plan must share with it to go on; none where it was not kept.
    pub identity: Option<PlanIdentity>,
}

/// Keeps what a run made durable.
#[async_trait]
pub trait StateStore: Debug + Send + Sync {
    /// Ties the store to a plan. The first call writes the fingerprint, later ones compare it.
    ///
    /// # Errors
    /// `State` with both fingerprints and the way out when it belongs to another plan.
    async fn bind(&self, fingerprint: &str) -> Result<()>;

    /// The plan that the store is tied to; none where it never was.
    async fn bound(&self) -> Result<Option<BoundPlan>>;

    /// Ties the store to a plan, whatever plan it was tied to before. Whoever calls it has compared the two.
    async fn rebind(&self, plan: &BoundPlan) -> Result<()>;

    /// The partitions of a table that were ever committed, in range order.
    async fn partitions(&self, table: &TableName) -> Result<Vec<(PartitionId, Checkpoint)>>;

    /// The checkpoint of one partition.
    async fn load(&self, partition: &PartitionId) -> Result<Option<Checkpoint>>;

    /// Makes ids, rejects and checkpoint durable in one transaction. An id that is known already is replaced; a reject of
    /// the same (table, key) too, in its place. A reject in `rejects` stays, whether or not it is in `settled`.
    async fn commit(&self, commit: Commit<'_>) -> Result<()>;

    /// Ids of rows: same length and order as `keys`.
    async fn ids(&self, table: &KeySpace, keys: &[SourceKey]) -> Result<Vec<Option<SinkId>>>;

    /// Keeps ids that were found in the sink rather than written by this run.
    async fn adopt(&self, table: &KeySpace, ids: &[(SourceKey, SinkId)]) -> Result<()>;

    /// The rejects of some rows: same length and order as `keys`, `None` for a row that is not rejected.
    async fn rejected(&self, table: &TableName, keys: &[SourceKey]) -> Result<Vec<Option<Reject>>>;

    /// Rejects of a table in the order they came: those after the `after`-th, at most `limit`, and fewer where they are
    /// large; none only where there are no more.
    async fn rejects(&self, table: &TableName, after: u64, limit: usize) -> Result<Vec<Reject>>;
}
