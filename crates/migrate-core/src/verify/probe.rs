use std::fmt::Debug;

use async_trait::async_trait;

use crate::error::Result;
use crate::names::{SinkId, SourceKey, TableName};
use crate::value::Value;

/// A document as the sink gives it back.
#[derive(Debug, Clone, PartialEq)]
pub struct Document {
    /// Its id.
    pub id: SinkId,
    /// When it was made, in milliseconds since 1970, exactly as the sink has it.
    pub creation_time: f64,
    /// Its other fields, in the sink's order. Every value is exact, and of a kind that the sink has.
    pub fields: Vec<(Box<str>, Value)>,
}

/// Some documents of a table.
#[derive(Debug, Clone, PartialEq)]
pub struct DocumentPage {
    /// The documents; there may be none before the end, too.
    pub documents: Vec<Document>,
    /// Where the next page begins; `None` at the end of the table.
    pub next: Option<String>,
}

/// How many documents there are in a part of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CountPage {
    /// Documents in this part.
    pub documents: u64,
    /// Where the next part begins; `None` at the end of the table.
    pub next: Option<String>,
}

/// An entry of the side table of legacy ids: which document a row became.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyEntry {
    /// The sink's table.
    pub table: TableName,
    /// The row's key.
    pub key: SourceKey,
    /// The document's id.
    pub id: SinkId,
}

/// Some entries of the side table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyPage {
    /// The entries.
    pub entries: Vec<KeyEntry>,
    /// Where the next page begins; `None` at the end.
    pub next: Option<String>,
}

/// Reads back what is in a sink, whoever wrote it. Every method is a read: any call may be repeated.
///
/// There are no default bodies: a wrapper that forgets to forward a method does not compile.
#[async_trait]
pub trait SinkProbe: Debug + Send + Sync {
    /// The exact number of documents in a table now, 0 for a table that is not there; `None` where it is only known
    /// by reading all of them, which [`SinkProbe::count_page`] does.
    async fn count(&self, table: &TableName) -> Result<Option<u64>>;

    /// Counts documents from `cursor` on, as many as one call may read; from the first where there is none.
    ///
    /// # Errors
    /// As [`SinkProbe::read_page`].
    async fn count_page(&self, table: &TableName, cursor: Option<&str>) -> Result<CountPage>;

    /// Reads documents from `cursor` on; from the first where there is none. Pages of one table follow one order, and
    /// a page that is asked for again begins with the same document, as long as nobody writes.
    ///
    /// At most `limit` documents come; a sink may give fewer.
    ///
    /// # Errors
    /// `Forbidden` and `FunctionMissing` where the key may not read, with the remedy.
    async fn read_page(&self, table: &TableName, cursor: Option<&str>, limit: usize) -> Result<DocumentPage>;

    /// Reads the side table of legacy ids, for a plan that keeps them there.
    async fn read_keys(&self, cursor: Option<&str>, limit: usize) -> Result<KeyPage>;
}
