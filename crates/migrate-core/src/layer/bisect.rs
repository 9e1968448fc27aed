use async_trait::async_trait;

use crate::error::{Disposition, Error, ErrorKind, Result};
use crate::names::TableName;
use crate::record::{RejectCode, RowError};
use crate::sink::{Match, NaturalKey, Sink, SinkCapabilities, WriteBatch, WriteOutcome, WriteRecord};

/// Splits a batch that failed because of what is in it, until the records at fault stand alone and are rejected.
///
/// One bad record among n costs O(log n) further calls. A whole batch that fails record by record for one and the same
/// reason is still rejected record by record: the run's limit on rejects stops it.
#[derive(Debug)]
pub struct Bisect<S> {
    inner: S,
}

impl<S> Bisect<S> {
    /// Wraps `inner`, which is the retrying sink.
    pub fn new(inner: S) -> Self {
        Self { inner }
    }
}

fn rejected(error: &Error) -> WriteOutcome {
    let code = match error.kind() {
        ErrorKind::TooLarge => RejectCode::DocumentTooLarge,
        _ => RejectCode::SinkRefused,
    };
    WriteOutcome::Rejected(RowError::new(code, error.to_string()))
}

#[async_trait]
impl<S: Sink> Sink for Bisect<S> {
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
        self.inner.lookup(table, index, keys).await
    }

    async fn write_batch(&self, batch: WriteBatch<'_>) -> Result<Vec<WriteOutcome>> {
        let mut outcomes = Vec::with_capacity(batch.records.len());
        // Parts still to write, the first one last.
        let mut parts = vec![batch.records];
        while let Some(records) = parts.pop() {
            match self.inner.write_batch(WriteBatch { records, ..batch }).await {
                Ok(written) => outcomes.extend(written),
                Err(error) if error.disposition() == Disposition::Split => {
                    if records.len() <= 1 {
                        outcomes.push(rejected(&error));
                    } else {
                        let (left, right) = records.split_at(records.len() / 2);
                        parts.push(right);
                        parts.push(left);
                    }
                }
                Err(error) => return Err(error),
            }
        }
        Ok(outcomes)
    }

    async fn finish(&self, tables: &[TableName]) -> Result<()> {
        self.inner.finish(tables).await
    }
}
