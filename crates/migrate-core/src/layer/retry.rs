use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use backon::{BackoffBuilder, ExponentialBuilder};

use crate::catalog::Catalog;
use crate::error::{Disposition, Error, Result};
use crate::names::{FieldName, SourceKey, TableName};
use crate::observe::{Event, Observer};
use crate::record::{Record, RowError};
use crate::sink::{Match, NaturalKey, Sink, SinkCapabilities, WriteBatch, WriteOutcome, WriteRecord};
use crate::source::{KeyRange, Page, PageRequest, Source};
use crate::stop::{Stop, stopped};
use crate::verify::{CountPage, DocumentPage, KeyPage, SinkProbe};

/// How often and how long a call is repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Delay before the second attempt.
    pub first_delay: Duration,
    /// Longest delay of our own.
    pub longest_delay: Duration,
    /// Longest `Retry-After` that is waited for. A longer one ends the call: the run stops, and can go on later.
    pub longest_asked: Duration,
    /// Repeats after the first attempt.
    pub repeats: usize,
    /// Seed of the jitter; random where it is `None`.
    pub jitter_seed: Option<u64>,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            first_delay: Duration::from_millis(500),
            longest_delay: Duration::from_secs(30),
            longest_asked: Duration::from_mins(5),
            repeats: 8,
            jitter_seed: None,
        }
    }
}

impl RetryPolicy {
    /// Growing delays, each drawn evenly from zero up to its bound: calls that failed together do not come back
    /// together.
    fn delays(&self) -> impl Iterator<Item = Duration> {
        let mut random = self.jitter_seed.map_or_else(fastrand::Rng::new, fastrand::Rng::with_seed);
        let bounds = ExponentialBuilder::default()
            .with_min_delay(self.first_delay)
            .with_max_delay(self.longest_delay)
            .with_max_times(self.repeats)
            .build();
        bounds.map(move |bound| bound.mul_f64(random.f64()))
    }
}

/// Repeats calls whose error says so, with growing delays and full jitter. `check` is not repeated: its caller waits for
/// an answer, and a wrong address does not get better.
///
/// Once a stop is asked for, nothing is repeated, and what is on the way gets [`crate::stop::GRACE`].
#[derive(Debug)]
pub struct Retry<T> {
    inner: T,
    policy: RetryPolicy,
    observer: Arc<dyn Observer>,
    stop: Stop,
}

impl<T> Retry<T> {
    /// Wraps `inner`; repeats are told to `observer`.
    pub fn new(inner: T, policy: RetryPolicy, observer: Arc<dyn Observer>) -> Self {
        Self { inner, policy, observer, stop: Stop::default() }
    }

    /// Heeds this stop.
    #[must_use]
    pub fn with_stop(mut self, stop: Stop) -> Self {
        self.stop = stop;
        self
    }

    async fn repeat<R, F: Future<Output = Result<R>> + Send>(
        &self,
        operation: &'static str,
        table: Option<&TableName>,
        mut call: impl FnMut() -> F + Send,
    ) -> Result<R> {
        let mut delays = self.policy.delays();
        let mut attempt = 1;
        loop {
            let error = match self.stop.bound(call()).await {
                Ok(value) => return Ok(value),
                Err(error) if error.disposition() != Disposition::Retry => return Err(error),
                Err(error) => error,
            };
            let Some(delay) = delays.next() else {
                return Err(error.with_context("attempts", attempt));
            };
            let asked = error.retry_after().unwrap_or_default();
            if asked > self.policy.longest_asked {
                return Err(error.with_context("seconds to wait, as it says", asked.as_secs()));
            }
            let delay = asked + delay;
            self.tell(operation, table, attempt, delay, &error);
            tokio::select! {
                biased;
                () = self.stop.requested() => return Err(stopped().with_context("after", error.code()).with_source(error)),
                () = tokio::time::sleep(delay) => {}
            }
            attempt += 1;
        }
    }

    fn tell(&self, operation: &'static str, table: Option<&TableName>, attempt: usize, delay: Duration, error: &Error) {
        self.observer.on_event(&Event::Retried {
            operation,
            table: table.cloned(),
            attempt,
            delay,
            code: error.code().to_owned(),
            message: error.to_string(),
        });
    }
}

#[async_trait]
impl<S: Source> Source for Retry<S> {
    async fn check(&self) -> Result<()> {
        self.inner.check().await
    }

    async fn discover(&self) -> Result<Catalog> {
        self.repeat("discover", None, || self.inner.discover()).await
    }

    async fn count(&self, table: &TableName) -> Result<Option<u64>> {
        self.repeat("count", Some(table), || self.inner.count(table)).await
    }

    async fn partitions(&self, table: &TableName, key: &[FieldName], wanted: usize) -> Result<Vec<KeyRange>> {
        self.repeat("partitions", Some(table), || self.inner.partitions(table, key, wanted)).await
    }

    async fn read_page(&self, request: PageRequest) -> Result<Page> {
        self.repeat("read_page", Some(&request.table), || self.inner.read_page(request.clone())).await
    }

    async fn fetch(&self, table: &TableName, keys: &[SourceKey], columns: &[FieldName]) -> Result<Vec<Option<Record>>> {
        self.repeat("fetch", Some(table), || self.inner.fetch(table, keys, columns)).await
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
        self.repeat("lookup", Some(table), || self.inner.lookup(table, index, keys)).await
    }

    async fn write_batch(&self, batch: WriteBatch<'_>) -> Result<Vec<WriteOutcome>> {
        self.repeat("write_batch", Some(batch.table), || self.inner.write_batch(batch)).await
    }

    async fn finish(&self, tables: &[TableName]) -> Result<()> {
        self.repeat("finish", None, || self.inner.finish(tables)).await
    }
}

#[async_trait]
impl<S: SinkProbe> SinkProbe for Retry<S> {
    async fn count(&self, table: &TableName) -> Result<Option<u64>> {
        self.repeat("count", Some(table), || self.inner.count(table)).await
    }

    async fn count_page(&self, table: &TableName, cursor: Option<&str>) -> Result<CountPage> {
        self.repeat("count_page", Some(table), || self.inner.count_page(table, cursor)).await
    }

    async fn read_page(&self, table: &TableName, cursor: Option<&str>, limit: usize) -> Result<DocumentPage> {
        self.repeat("read_page", Some(table), || self.inner.read_page(table, cursor, limit)).await
    }

    async fn read_keys(&self, cursor: Option<&str>, limit: usize) -> Result<KeyPage> {
        self.repeat("read_keys", None, || self.inner.read_keys(cursor, limit)).await
    }
}
