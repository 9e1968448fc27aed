//! Where documents go.

use std::fmt::Debug;

use async_trait::async_trait;

use crate::error::Result;
use crate::names::{SinkId, SourceKey, TableName};
use crate::record::{Record, RowError};
use crate::value::Value;

/// What a sink takes at once. The pipeline cuts batches at the first limit it meets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SinkCapabilities {
    /// Records in one batch.
    pub batch_records: usize,
    /// Bytes in one batch, by [`Sink::measure`].
    pub batch_bytes: usize,
    /// Batches that may be on the way at once.
    pub in_flight: usize,
    /// When a document's id is known.
    pub ids: IdAssignment,
}

/// When a document's id is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IdAssignment {
    /// The sink gives it when it writes: parents before children, cycles in a second pass.
    OnWrite,
    /// It is computed from table and key: no order is needed.
    BeforeWrite,
}

/// How a batch is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum WriteMode {
    /// Insert, or bring the existing document with the same (table, key) to these fields. Fields of the document that
    /// the plan does not know are left alone.
    Upsert,
    /// Set these fields on documents that exist, named by [`WriteRecord::id`]: the second pass.
    Patch,
}

/// One record to write.
#[derive(Debug, Clone, PartialEq)]
pub struct WriteRecord {
    /// The row's key, which makes the write idempotent.
    pub key: SourceKey,
    /// The document's id in [`WriteMode::Patch`]; `None` in [`WriteMode::Upsert`].
    pub id: Option<SinkId>,
    /// The document's fields, named as in the sink.
    pub record: Record,
}

/// Records of one table to write in one call.
#[derive(Debug, Clone, Copy)]
pub struct WriteBatch<'a> {
    /// The sink's table.
    pub table: &'a TableName,
    /// How to write.
    pub mode: WriteMode,
    /// The records; never empty.
    pub records: &'a [WriteRecord],
}

/// What became of one record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WriteOutcome {
    /// It is durable in the sink.
    Written {
        /// The document's id.
        id: SinkId,
        /// What the write did.
        effect: WriteEffect,
    },
    /// The sink will never take it as it is.
    Rejected(RowError),
}

/// What a write did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum WriteEffect {
    /// A new document.
    Inserted,
    /// An existing document was changed.
    Updated,
    /// An existing document was already so.
    Unchanged,
}

/// The values of a natural key, in the order of the index's fields.
pub type NaturalKey = Vec<Value>;

/// Documents that match a natural key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Match {
    /// None.
    None,
    /// Exactly one.
    One(SinkId),
    /// More than one: the key is ambiguous.
    Several,
}

/// Writes documents.
///
/// There are no default bodies: a wrapper that forgets to forward a method does not compile.
#[async_trait]
pub trait Sink: Debug + Send + Sync {
    /// What it takes at once.
    fn capabilities(&self) -> SinkCapabilities;

    /// The record's size by the sink's own formula, with the legacy id it will carry. Pure; called before any write.
    ///
    /// # Errors
    /// Why the sink could never take the record, such as `document_too_large`.
    fn measure(&self, record: &WriteRecord) -> Result<usize, RowError>;

    /// Reaches the sink and proves that the key may write, and that the functions for `tables` are there. Writes
    /// nothing.
    ///
    /// # Errors
    /// `Unreachable`, `Unauthorized`, `Forbidden`, `FunctionMissing`, with the remedy. Callers do not retry it.
    async fn check(&self, tables: &[TableName]) -> Result<()>;

    /// Finds documents by an index: same length and order as `keys`. Empty `keys` make no call.
    async fn lookup(&self, table: &TableName, index: &str, keys: &[NaturalKey]) -> Result<Vec<Match>>;

    /// Writes a batch: one outcome per record, in order.
    ///
    /// `Ok` means that every record with a `Written` outcome is durable. Idempotent by (table, key): the same batch
    /// again changes nothing and returns the same ids.
    ///
    /// # Errors
    /// The call failed as a whole; nothing, or with `UnknownOutcome` all of it, may have been written.
    async fn write_batch(&self, batch: WriteBatch<'_>) -> Result<Vec<WriteOutcome>>;

    /// Called once after all tables are written.
    async fn finish(&self, tables: &[TableName]) -> Result<()>;
}
