use async_trait::async_trait;

use crate::error::Result;
use crate::names::{SinkId, TableName};
use crate::record::RowError;
use crate::sink::{
    Match, NaturalKey, Sink, SinkCapabilities, WriteBatch, WriteEffect, WriteMode, WriteOutcome, WriteRecord,
};

/// Reads from the sink and writes nothing: every record that could be written counts as inserted, under an id that
/// exists nowhere.
#[derive(Debug)]
pub struct DryRun<S> {
    inner: S,
}

impl<S> DryRun<S> {
    /// Wraps `inner`, whose writes are never called.
    pub fn new(inner: S) -> Self {
        Self { inner }
    }
}

#[async_trait]
impl<S: Sink> Sink for DryRun<S> {
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
        let effect = match batch.mode {
            WriteMode::Upsert => WriteEffect::Inserted,
            WriteMode::Patch => WriteEffect::Updated,
        };
        let written = |record: &WriteRecord| WriteOutcome::Written {
            id: record.id.clone().unwrap_or_else(|| SinkId::new(format!("dry-run:{}:{}", batch.table, record.key))),
            effect,
        };
        Ok(batch.records.iter().map(written).collect())
    }

    async fn finish(&self, _: &[TableName]) -> Result<()> {
        Ok(())
    }
}
