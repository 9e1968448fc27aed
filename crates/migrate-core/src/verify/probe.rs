use std::fmt::{self, Debug, Formatter};
use std::sync::Arc;

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
    /// Documents of one table may share the names.
    pub fields: Vec<(Arc<str>, Value)>,
}

/// Some documents of a table. There may be none before the end, too.
#[derive(Debug)]
pub struct DocumentPage {
    /// The documents, in order. The parts may be decoded on several threads.
    pub parts: Vec<DocumentPart>,
    /// Where the next page begins; `None` at the end of the table.
    pub next: Option<String>,
}

impl DocumentPage {
    /// A page of documents that are decoded already.
    #[must_use]
    pub fn of(documents: Vec<Document>, next: Option<String>) -> Self {
        Self { parts: vec![DocumentPart::new(documents.len(), documents.into_iter().map(Ok))], next }
    }

    /// Decodes all documents here.
    ///
    /// # Errors
    /// `Protocol` where they are no documents.
    pub fn into_documents(self) -> Result<Vec<Document>> {
        self.parts.into_iter().flat_map(|part| part.documents).collect()
    }
}

/// Documents that follow each other, as they came: each is decoded when the iterator comes to it, so that this is left to
/// the thread that uses them.
pub struct DocumentPart {
    /// How many there are.
    pub count: usize,
    /// The documents; `Protocol` for what is none.
    pub documents: Box<dyn Iterator<Item = Result<Document>> + Send>,
}

impl DocumentPart {
    /// A part of `count` documents.
    pub fn new(count: usize, documents: impl Iterator<Item = Result<Document>> + Send + 'static) -> Self {
        Self { count, documents: Box::new(documents) }
    }
}

impl Debug for DocumentPart {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.debug_struct("DocumentPart").field("count", &self.count).finish_non_exhaustive()
    }
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
