use std::sync::Arc;

use async_trait::async_trait;

use super::repeater::{Repeater, RetryPolicy};
use crate::catalog::Catalog;
use crate::error::Result;
use crate::names::{FieldName, SourceKey, TableName};
use crate::observe::Observer;
use crate::record::{Record, RowError};
use crate::sink::{Match, NaturalKey, Sink, SinkCapabilities, WriteBatch, WriteOutcome, WriteRecord};
use crate::source::{KeyRange, Page, PageRequest, Source};
use crate::stop::Stop;
use crate::verify::{CountPage, DocumentPage, KeyPage, SinkProbe};

/// Repeats calls by a [`Repeater`]. `check` is not repeated: its caller waits for an answer, and a wrong address does not
/// get better.
#[derive(Debug)]
pub struct Retry<T> {
    inner: T,
    repeater: Repeater,
}

impl<T> Retry<T> {
    /// Wraps `inner`; repeats are told to `observer`.
    pub fn new(inner: T, policy: RetryPolicy, observer: Arc<dyn Observer>) -> Self {
        Self { inner, repeater: Repeater::new(policy, observer) }
    }

    /// Heeds this stop.
    #[must_use]
    pub fn with_stop(mut self, stop: Stop) -> Self {
        self.repeater = self.repeater.with_stop(stop);
        self
    }
}

#[async_trait]
impl<S: Source> Source for Retry<S> {
    async fn check(&self) -> Result<()> {
        self.inner.check().await
    }

    async fn discover(&self) -> Result<Catalog> {
        self.repeater.repeat("discover", None, || self.inner.discover()).await
    }

    async fn count(&self, table: &TableName) -> Result<Option<u64>> {
        self.repeater.repeat("count", Some(table), || self.inner.count(table)).await
    }

    async fn partitions(&self, table: &TableName, key: &[FieldName], wanted: usize) -> Result<Vec<KeyRange>> {
        self.repeater.repeat("partitions", Some(table), || self.inner.partitions(table, key, wanted)).await
    }

    async fn read_page(&self, request: PageRequest) -> Result<Page> {
        self.repeater.repeat("read_page", Some(&request.table), || self.inner.read_page(request.clone())).await
    }

    async fn fetch(&self, table: &TableName, keys: &[SourceKey], columns: &[FieldName]) -> Result<Vec<Option<Record>>> {
        self.repeater.repeat("fetch", Some(table), || self.inner.fetch(table, keys, columns)).await
    }
}

#[async_trait]
impl<S: Sink> Sink for Retry<S> {
    fn capabilities(&self) -> SinkCapabilities {
        self.inner.capabilities()
    }

    fn measure(&self, record: &WriteRecord) -> Result<usize, RowError> {
        self.inner.measure(record)
    }

    async fn check(&self, tables: &[TableName]) -> Result<()> {
        self.inner.check(tables).await
    }

    async fn lookup(&self, table: &TableName, index: &str, keys: &[NaturalKey]) -> Result<Vec<Match>> {
        self.repeater.repeat("lookup", Some(table), || self.inner.lookup(table, index, keys)).await
    }

    async fn write_batch(&self, batch: WriteBatch<'_>) -> Result<Vec<WriteOutcome>> {
        self.repeater.repeat("write_batch", Some(batch.table), || self.inner.write_batch(batch)).await
    }

    async fn finish(&self, tables: &[TableName]) -> Result<()> {
        self.repeater.repeat("finish", None, || self.inner.finish(tables)).await
    }
}

#[async_trait]
impl<S: SinkProbe> SinkProbe for Retry<S> {
    async fn count(&self, table: &TableName) -> Result<Option<u64>> {
        self.repeater.repeat("count", Some(table), || self.inner.count(table)).await
    }

    async fn count_page(&self, table: &TableName, cursor: Option<&str>) -> Result<CountPage> {
        self.repeater.repeat("count_page", Some(table), || self.inner.count_page(table, cursor)).await
    }

    async fn read_page(&self, table: &TableName, cursor: Option<&str>, limit: usize) -> Result<DocumentPage> {
        self.repeater.repeat("read_page", Some(table), || self.inner.read_page(table, cursor, limit)).await
    }

    async fn read_keys(&self, cursor: Option<&str>, limit: usize) -> Result<KeyPage> {
        self.repeater.repeat("read_keys", None, || self.inner.read_keys(cursor, limit)).await
    }
}
