use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::slots::Slots;

use crate::catalog::Catalog;
use crate::error::Result;
use crate::names::{FieldName, SourceKey, TableName};
use crate::record::{Record, RowError};
use crate::sink::{Match, NaturalKey, Sink, SinkCapabilities, WriteBatch, WriteOutcome, WriteRecord};
use crate::source::{KeyRange, Page, PageRequest, Source};
use crate::verify::{CountPage, DocumentPage, KeyPage, SinkProbe};

/// Lets so many calls through at once, and writes no faster than so many bytes a second.
///
/// Adaptive: each 429 or 503 halves the calls at once, and each round of answers allows one more again, up to the first
/// number.
#[derive(Debug)]
pub struct Limit<T> {
    inner: T,
    slots: Slots,
    pace: Option<Pace>,
}

#[derive(Debug)]
struct Pace {
    bytes_per_second: u64,
    free_at: Mutex<Instant>,
}

impl<T> Limit<T> {
    /// Lets at most `calls` calls through at once; at least one.
    pub fn new(inner: T, calls: usize) -> Self {
        Self { inner, slots: Slots::new(calls), pace: None }
    }

    /// Spaces writes so that their measured bytes stay below this rate on average.
    #[must_use]
    pub fn with_write_rate(mut self, bytes_per_second: u64) -> Self {
        self.pace = Some(Pace { bytes_per_second: bytes_per_second.max(1), free_at: Mutex::new(Instant::now()) });
        self
    }

    /// How many calls may be on the way now.
    #[must_use]
    pub fn calls(&self) -> usize {
        self.slots.now()
    }

    async fn within<R>(&self, call: impl Future<Output = Result<R>>) -> Result<R> {
        let slot = self.slots.take().await?;
        let result = call.await;
        slot.observe(&result);
        result
    }
}

impl Pace {
    /// Waits for this write's turn: the turn after it begins when its bytes are paid for.
    async fn turn(&self, bytes: usize) {
        let cost = Duration::from_secs_f64(f64::from(u32::try_from(bytes).unwrap_or(u32::MAX)) / self.per_second());
        let start = {
            let mut free_at = self.free_at.lock().await;
            let start = (*free_at).max(Instant::now());
            *free_at = start + cost;
            start
        };
        tokio::time::sleep_until(start).await;
    }

    #[expect(clippy::cast_precision_loss, reason = "a rate needs no exact bytes")]
    fn per_second(&self) -> f64 {
        self.bytes_per_second as f64
    }
}

#[async_trait]
impl<S: Source> Source for Limit<S> {
    async fn check(&self) -> Result<()> {
        self.within(self.inner.check()).await
    }

    async fn discover(&self) -> Result<Catalog> {
        self.within(self.inner.discover()).await
    }

    async fn count(&self, table: &TableName) -> Result<Option<u64>> {
        self.within(self.inner.count(table)).await
    }

    async fn partitions(&self, table: &TableName, key: &[FieldName], wanted: usize) -> Result<Vec<KeyRange>> {
        self.within(self.inner.partitions(table, key, wanted)).await
    }

    async fn read_page(&self, request: PageRequest) -> Result<Page> {
        self.within(self.inner.read_page(request)).await
    }

    async fn fetch(&self, table: &TableName, keys: &[SourceKey], columns: &[FieldName]) -> Result<Vec<Option<Record>>> {
        self.within(self.inner.fetch(table, keys, columns)).await
    }
}

#[async_trait]
impl<S: Sink> Sink for Limit<S> {
    fn capabilities(&self) -> SinkCapabilities {
        self.inner.capabilities()
    }

    fn measure(&self, record: &WriteRecord) -> Result<usize, RowError> {
        self.inner.measure(record)
    }

    async fn check(&self, tables: &[TableName]) -> Result<()> {
        self.within(self.inner.check(tables)).await
    }

    async fn lookup(&self, table: &TableName, index: &str, keys: &[NaturalKey]) -> Result<Vec<Match>> {
        self.within(self.inner.lookup(table, index, keys)).await
    }

    async fn write_batch(&self, batch: WriteBatch<'_>) -> Result<Vec<WriteOutcome>> {
        let paced = async {
            if let Some(pace) = &self.pace {
                let bytes = batch.records.iter().map(|record| self.inner.measure(record).unwrap_or(0)).sum();
                pace.turn(bytes).await;
            }
            self.inner.write_batch(batch).await
        };
        self.within(paced).await
    }

    async fn finish(&self, tables: &[TableName]) -> Result<()> {
        self.within(self.inner.finish(tables)).await
    }
}

#[async_trait]
impl<S: SinkProbe> SinkProbe for Limit<S> {
    async fn count(&self, table: &TableName) -> Result<Option<u64>> {
        self.within(self.inner.count(table)).await
    }

    async fn count_page(&self, table: &TableName, cursor: Option<&str>) -> Result<CountPage> {
        self.within(self.inner.count_page(table, cursor)).await
    }

    async fn read_page(&self, table: &TableName, cursor: Option<&str>, limit: usize) -> Result<DocumentPage> {
        self.within(self.inner.read_page(table, cursor, limit)).await
    }

    async fn read_keys(&self, cursor: Option<&str>, limit: usize) -> Result<KeyPage> {
        self.within(self.inner.read_keys(cursor, limit)).await
    }
}
