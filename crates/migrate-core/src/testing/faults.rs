use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;

use crate::catalog::Catalog;
use crate::error::{Error, Result};
use crate::names::{FieldName, KeySpace, SinkId, SourceKey, TableName};
use crate::record::{Record, RowError};
use crate::reject::Reject;
use crate::sink::{Match, NaturalKey, Sink, SinkCapabilities, WriteBatch, WriteOutcome, WriteRecord};
use crate::source::{KeyRange, Page, PageRequest, Source};
use crate::state::{BoundPlan, Checkpoint, Commit, PartitionId, StateStore};

/// Whether a fault strikes before the call takes effect or after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// The call never reaches the other side.
    Before,
    /// The call took effect, and its answer is lost.
    After,
}

/// Which calls fail. Shared with the [`Faulty`] parts that ask it.
#[derive(Debug, Clone, Default)]
pub struct Faults(Arc<Mutex<Inner>>);

#[derive(Default)]
struct Inner {
    calls: Vec<&'static str>,
    planned: Vec<Planned>,
    poison: Vec<(SourceKey, MakeError)>,
    delays: Vec<(&'static str, Duration)>,
}

type MakeError = Box<dyn Fn() -> Error + Send>;

struct Planned {
    operation: &'static str,
    call: usize,
    when: When,
    error: MakeError,
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Faults")
            .field("calls", &self.calls.len())
            .field("planned", &self.planned.len())
            .finish_non_exhaustive()
    }
}

impl Faults {
    /// Fails the `call`-th call of `operation`, counted from 1.
    pub fn fail(&self, operation: &'static str, call: usize, when: When, error: impl Fn() -> Error + Send + 'static) {
        self.inner().planned.push(Planned { operation, call, when, error: Box::new(error) });
    }

    /// Lets every call of `operation` take this long.
    pub fn delay(&self, operation: &'static str, duration: Duration) {
        self.inner().delays.push((operation, duration));
    }

    /// Fails every write that has a record of this key.
    pub fn poison(&self, key: SourceKey, error: impl Fn() -> Error + Send + 'static) {
        self.inner().poison.push((key, Box::new(error)));
    }

    /// How often an operation was called.
    #[must_use]
    pub fn count(&self, operation: &str) -> usize {
        self.inner().calls.iter().filter(|&&call| call == operation).count()
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a call, and gives the fault that is planned for it.
    fn strike(&self, operation: &'static str) -> Option<(When, Error)> {
        let mut inner = self.inner();
        inner.calls.push(operation);
        let call = inner.calls.iter().filter(|&&known| known == operation).count();
        let planned = inner.planned.iter().find(|planned| planned.operation == operation && planned.call == call)?;
        Some((planned.when, (planned.error)()))
    }

    fn poisoned(&self, records: &[WriteRecord]) -> Option<Error> {
        let inner = self.inner();
        let struck = inner.poison.iter().find(|(key, _)| records.iter().any(|record| record.key == *key));
        struck.map(|(_, error)| error())
    }

    async fn around<R>(&self, operation: &'static str, call: impl Future<Output = Result<R>>) -> Result<R> {
        let delay: Duration =
            self.inner().delays.iter().filter(|(of, _)| *of == operation).map(|(_, delay)| *delay).sum();
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
        match self.strike(operation) {
            None => call.await,
            Some((When::Before, error)) => Err(error),
            Some((When::After, error)) => {
                call.await?;
                Err(error)
            }
        }
    }
}

/// A source, sink or state that fails when its [`Faults`] say so.
///
/// The operations of a state are named `state.` and the method.
#[derive(Debug)]
pub struct Faulty<T> {
    inner: T,
    faults: Faults,
}

impl<T> Faulty<T> {
    /// Wraps `inner`.
    pub fn new(inner: T, faults: Faults) -> Self {
        Self { inner, faults }
    }

    /// The part that is wrapped.
    pub fn inner(&self) -> &T {
        &self.inner
    }
}

#[async_trait]
impl<S: Source> Source for Faulty<S> {
    async fn check(&self) -> Result<()> {
        self.faults.around("check", self.inner.check()).await
    }

    async fn discover(&self) -> Result<Catalog> {
        self.faults.around("discover", self.inner.discover()).await
    }

    async fn count(&self, table: &TableName) -> Result<Option<u64>> {
        self.faults.around("count", self.inner.count(table)).await
    }

    async fn partitions(&self, table: &TableName, key: &[FieldName], wanted: usize) -> Result<Vec<KeyRange>> {
        self.faults.around("partitions", self.inner.partitions(table, key, wanted)).await
    }

    async fn read_page(&self, request: PageRequest) -> Result<Page> {
        self.faults.around("read_page", self.inner.read_page(request)).await
    }

    async fn fetch(&self, table: &TableName, keys: &[SourceKey], columns: &[FieldName]) -> Result<Vec<Option<Record>>> {
        self.faults.around("fetch", self.inner.fetch(table, keys, columns)).await
    }
}

#[async_trait]
impl<S: Sink> Sink for Faulty<S> {
    fn capabilities(&self) -> SinkCapabilities {
        self.inner.capabilities()
    }

    fn measure(&self, record: &WriteRecord) -> Result<usize, RowError> {
        self.inner.measure(record)
    }

    async fn check(&self, tables: &[TableName]) -> Result<()> {
        self.faults.around("check", self.inner.check(tables)).await
    }

    async fn lookup(&self, table: &TableName, index: &str, keys: &[NaturalKey]) -> Result<Vec<Match>> {
        self.faults.around("lookup", self.inner.lookup(table, index, keys)).await
    }

    async fn write_batch(&self, batch: WriteBatch<'_>) -> Result<Vec<WriteOutcome>> {
        if let Some(error) = self.faults.poisoned(batch.records) {
            let _ = self.faults.strike("write_batch");
            return Err(error);
        }
        self.faults.around("write_batch", self.inner.write_batch(batch)).await
    }

    async fn finish(&self, tables: &[TableName]) -> Result<()> {
        self.faults.around("finish", self.inner.finish(tables)).await
    }
}

#[async_trait]
impl<S: StateStore> StateStore for Faulty<S> {
    async fn bind(&self, fingerprint: &str) -> Result<()> {
        self.faults.around("state.bind", self.inner.bind(fingerprint)).await
    }

    async fn bound(&self) -> Result<Option<BoundPlan>> {
        self.faults.around("state.bound", self.inner.bound()).await
    }

    async fn rebind(&self, plan: &BoundPlan) -> Result<()> {
        self.faults.around("state.rebind", self.inner.rebind(plan)).await
    }

    async fn partitions(&self, table: &TableName) -> Result<Vec<(PartitionId, Checkpoint)>> {
        self.faults.around("state.partitions", self.inner.partitions(table)).await
    }

    async fn load(&self, partition: &PartitionId) -> Result<Option<Checkpoint>> {
        self.faults.around("state.load", self.inner.load(partition)).await
    }

    async fn commit(&self, commit: Commit<'_>) -> Result<()> {
        self.faults.around("state.commit", self.inner.commit(commit)).await
    }

    async fn ids(&self, table: &KeySpace, keys: &[SourceKey]) -> Result<Vec<Option<SinkId>>> {
        self.faults.around("state.ids", self.inner.ids(table, keys)).await
    }

    async fn adopt(&self, table: &KeySpace, ids: &[(SourceKey, SinkId)]) -> Result<()> {
        self.faults.around("state.adopt", self.inner.adopt(table, ids)).await
    }

    async fn rejects(&self, table: &TableName, after: u64, limit: usize) -> Result<Vec<Reject>> {
        self.faults.around("state.rejects", self.inner.rejects(table, after, limit)).await
    }

    async fn rejected(&self, table: &TableName, keys: &[SourceKey]) -> Result<Vec<Option<Reject>>> {
        self.faults.around("state.rejected", self.inner.rejected(table, keys)).await
    }
}
