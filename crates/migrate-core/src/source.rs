//! Where rows come from.

use std::fmt::Debug;
use std::sync::Arc;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::catalog::Catalog;
use crate::error::Result;
use crate::names::{FieldName, SourceKey, TableName};
use crate::record::Record;

/// A place in a table's key order: the key texts of the last row read, in key order.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Cursor(pub Vec<String>);

/// A part of a table by its key: from `lower` (included) to `upper` (excluded); both open for the whole table.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyRange {
    /// First leading-key text of the range.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lower: Option<String>,
    /// First leading-key text after the range.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upper: Option<String>,
}

impl KeyRange {
    /// The whole table.
    #[must_use]
    pub fn all() -> Self {
        Self::default()
    }
}

/// One page to read.
#[derive(Debug, Clone)]
pub struct PageRequest {
    /// The table.
    pub table: TableName,
    /// Columns to read, in the order the records shall have; key columns are among them.
    pub columns: Arc<[FieldName]>,
    /// The part of the table.
    pub range: KeyRange,
    /// Read what comes after this place; `None` from the start of the range.
    pub after: Option<Cursor>,
    /// Rows at most; a source may return fewer.
    pub limit: usize,
}

/// Rows in key order.
#[derive(Debug, Clone)]
pub struct Page {
    /// The rows; empty only at the end of the range.
    pub records: Vec<Record>,
    /// Where the next page starts; `None` exactly when `records` is empty.
    pub next: Option<Cursor>,
    /// Bytes of the body as it was sent, 0 where that means nothing.
    pub bytes: u64,
}

/// Reads a project. Every method is a read: any call may be repeated.
///
/// There are no default bodies: a wrapper that forgets to forward a method does not compile.
#[async_trait]
pub trait Source: Debug + Send + Sync {
    /// Reaches the source and proves that the key sees everything.
    ///
    /// # Errors
    /// `Unreachable`, `Unauthorized`, or `Config` with the remedy. Callers do not retry it.
    async fn check(&self) -> Result<()>;

    /// What is there. Tables that were asked for and are not there are in it with their state.
    async fn discover(&self) -> Result<Catalog>;

    /// The exact number of rows now, or `None` where the source cannot tell.
    ///
    /// # Errors
    /// `TableMissing` and `Forbidden` name the table.
    async fn count(&self, table: &TableName) -> Result<Option<u64>>;

    /// Cuts a table into at most `wanted` ranges that are disjoint and together the whole table; at least one.
    async fn partitions(&self, table: &TableName, wanted: usize) -> Result<Vec<KeyRange>>;

    /// Reads one page, in ascending key order, strictly after `request.after`.
    ///
    /// Stateless. A page may be shorter than the limit; only an empty page ends a range.
    async fn read_page(&self, request: PageRequest) -> Result<Page>;

    /// Reads some columns of the rows with these keys: same length and order as `keys`, `None` where there is no row.
    ///
    /// The records' fields are `columns` in that order. Empty `keys` make no call.
    async fn fetch(&self, table: &TableName, keys: &[SourceKey], columns: &[FieldName]) -> Result<Vec<Option<Record>>>;
}
