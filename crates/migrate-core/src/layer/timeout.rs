use std::time::Duration;

use async_trait::async_trait;

use crate::catalog::Catalog;
use crate::error::{Error, ErrorKind, Result};
use crate::names::{FieldName, SourceKey, TableName};
use crate::record::{Record, RowError};
use crate::sink::{Match, NaturalKey, Sink, SinkCapabilities, WriteBatch, WriteOutcome, WriteRecord};
use crate::source::{KeyRange, Page, PageRequest, Source};
use crate::verify::{CountPage, DocumentPage, KeyPage, SinkProbe};

/// Ends calls that take too long. A write that was ended so may have taken effect.
#[derive(Debug)]
pub struct Timeout<T> {
    inner: T,
    limit: Duration,
}

impl<T> Timeout<T> {
    /// Gives every call of `inner` at most `limit`.
    pub fn new(inner: T, limit: Duration) -> Self {
        Self { inner, limit }
    }

    async fn bound<R>(
        &self,
        operation: &'static str,
        late: ErrorKind,
        call: impl Future<Output = Result<R>>,
    ) -> Result<R> {
        match tokio::time::timeout(self.limit, call).await {
            Ok(result) => result,
            Err(_) => Err(Error::new(late, format!("get an answer within {} s", self.limit.as_secs()))
                .with_context("operation", operation)),
        }
    }
}

#[async_trait]
impl<S: Source> Source for Timeout<S> {
    async fn check(&self) -> Result<()> {
        self.bound("check", ErrorKind::TimedOut, self.inner.check()).await
    }

    async fn discover(&self) -> Result<Catalog> {
        self.bound("discover", ErrorKind::TimedOut, self.inner.discover()).await
    }

    async fn count(&self, table: &TableName) -> Result<Option<u64>> {
        self.bound("count", ErrorKind::TimedOut, self.inner.count(table)).await
    }

    async fn partitions(&self, table: &TableName, key: &[FieldName], wanted: usize) -> Result<Vec<KeyRange>> {
        self.bound("partitions", ErrorKind::TimedOut, self.inner.partitions(table, key, wanted)).await
    }

    async fn read_page(&self, request: PageRequest) -> Result<Page> {
        self.bound("read_page", ErrorKind::TimedOut, self.inner.read_page(request)).await
    }

    async fn fetch(&self, table: &TableName, keys: &[SourceKey], columns: &[FieldName]) -> Result<Vec<Option<Record>>> {
        self.bound("fetch", ErrorKind::TimedOut, self.inner.fetch(table, keys, columns)).await
    }
}

#[async_trait]
impl<S: Sink> Sink for Timeout<S> {
    fn capabilities(&self) -> SinkCapabilities {
        self.inner.capabilities()
    }

    fn measure(&self, record: &WriteRecord) -> Result<usize, RowError> {
        self.inner.measure(record)
    }

    async fn check(&self, tables: &[TableName]) -> Result<()> {
        self.bound("check", ErrorKind::TimedOut, self.inner.check(tables)).await
    }

    async fn lookup(&self, table: &TableName, index: &str, keys: &[NaturalKey]) -> Result<Vec<Match>> {
        self.bound("lookup", ErrorKind::TimedOut, self.inner.lookup(table, index, keys)).await
    }

    async fn write_batch(&self, batch: WriteBatch<'_>) -> Result<Vec<WriteOutcome>> {
        self.bound("write_batch", ErrorKind::UnknownOutcome, self.inner.write_batch(batch)).await
    }

    async fn finish(&self, tables: &[TableName]) -> Result<()> {
        self.bound("finish", ErrorKind::TimedOut, self.inner.finish(tables)).await
    }
}

#[async_trait]
impl<S: SinkProbe> SinkProbe for Timeout<S> {
    async fn count(&self, table: &TableName) -> Result<Option<u64>> {
        self.bound("count", ErrorKind::TimedOut, self.inner.count(table)).await
    }

    async fn count_page(&self, table: &TableName, cursor: Option<&str>) -> Result<CountPage> {
        self.bound("count_page", ErrorKind::TimedOut, self.inner.count_page(table, cursor)).await
    }

    async fn read_page(&self, table: &TableName, cursor: Option<&str>, limit: usize) -> Result<DocumentPage> {
        self.bound("read_page", ErrorKind::TimedOut, self.inner.read_page(table, cursor, limit)).await
    }

    async fn read_keys(&self, cursor: Option<&str>, limit: usize) -> Result<KeyPage> {
        self.bound("read_keys", ErrorKind::TimedOut, self.inner.read_keys(cursor, limit)).await
    }
}
