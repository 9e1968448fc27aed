//! Where rows come from.

use std::fmt::Debug;
use std::sync::Arc;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::catalog::Catalog;
use crate::error::Result;
use crate::names::{FieldName, SourceKey, TableName};
use crate::record::Record;

/// A place in the order that a table is read in: the key texts of the last row read, in the order of the key's columns.
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
    /// The columns that tell the rows apart and order the pages, in key order. The records' shape has them as its key.
    ///
    /// They need not be the primary key: any columns without NULLs in which no two rows are the same will do, and the
    /// pseudo columns of [`crate::catalog::RowKey::Place`].
    pub key: Arc<[FieldName]>,
    /// The part of the table.
    pub range: KeyRange,
    /// Read what comes after this place; `None` from the start of the range.
    pub after: Option<Cursor>,
    /// Rows at most; a source may return fewer.
    pub limit: usize,
}

/// Rows in the order they are read in.
#[derive(Debug, Clone)]
pub struct Page {
    /// The rows; empty only at the end of the range.
    pub records: Vec<Record>,
    /// Where the next page starts; `None` exactly when `records` is empty.
    pub next: Option<Cursor>,
    /// Bytes of the rows as the source wrote them, after decompression; 0 where that means nothing.
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

    /// The exact number of rows now that `read_page` would read, or `None` where the source cannot tell.
    ///
    /// # Errors
    /// `TableMissing` and `Forbidden` name the table.
    async fn count(&self, table: &TableName) -> Result<Option<u64>>;

    /// Cuts a table that is read by `key` into at most `wanted` ranges; at least one. They are in key order, the first and
    /// the last are open, and each of the others begins where the one before it ends.
    async fn partitions(&self, table: &TableName, key: &[FieldName], wanted: usize) -> Result<Vec<KeyRange>>;

    /// Reads one page, strictly after `request.after`.
    ///
    /// Pages follow one total order of the key, which is the same in every call: ascending, by the first key column
    /// first, but for rows that are read by their place. Stateless. A page may be shorter than the limit; only an empty
    /// page ends a range.
    ///
    /// # Errors
    /// `Config` for a column that the table lacks, or a key that cannot order its rows. `TooLarge` when not even one row
    /// can be read within the source's limits of time and size: a source asks for fewer rows by itself, so nobody can
    /// repeat the call in smaller parts, and its remedy says which limit to lift or which column to leave out.
    async fn read_page(&self, request: PageRequest) -> Result<Page>;

    /// Reads some columns of the rows with these keys: same length and order as `keys`, `None` where there is no row.
    ///
    /// The keys are of the columns of [`crate::catalog::TableSchema::row_key`]. A source that reads only some rows of a
    /// table finds the others here all the same. The records' fields are `columns` in that order. Empty `keys` make no
    /// call.
    ///
    /// # Errors
    /// `Config` for a key that was not made of these columns, and for a table of which no key is known.
    async fn fetch(&self, table: &TableName, keys: &[SourceKey], columns: &[FieldName]) -> Result<Vec<Option<Record>>>;
}

/// A source that is chosen while the program runs.
#[async_trait]
impl Source for Arc<dyn Source> {
    async fn check(&self) -> Result<()> {
        (**self).check().await
    }

    async fn discover(&self) -> Result<Catalog> {
        (**self).discover().await
    }

    async fn count(&self, table: &TableName) -> Result<Option<u64>> {
        (**self).count(table).await
    }

    async fn partitions(&self, table: &TableName, key: &[FieldName], wanted: usize) -> Result<Vec<KeyRange>> {
        (**self).partitions(table, key, wanted).await
    }

    async fn read_page(&self, request: PageRequest) -> Result<Page> {
        (**self).read_page(request).await
    }

    async fn fetch(&self, table: &TableName, keys: &[SourceKey], columns: &[FieldName]) -> Result<Vec<Option<Record>>> {
        (**self).fetch(table, keys, columns).await
    }
}
