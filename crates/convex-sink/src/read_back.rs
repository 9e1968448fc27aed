//! [`SinkProbe`] of a deployment: documents are read by the system's own queries, which need no code deployed; where
//! these are refused, by the generated functions.

use std::borrow::Cow;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use migrate_core::error::{Error, ErrorKind, Result};
use migrate_core::names::{SourceKey, TableName};
use migrate_core::value::Value;
use migrate_core::verify::{CountPage, Document, DocumentPage, DocumentPart, KeyEntry, KeyPage, SinkProbe};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::client::FunctionKind;
use crate::decode::{DocumentReader, Encoded};
use crate::encode::{begin_call, end_call, write_text};
use crate::errors::protocol;
use crate::names::LEGACY_IDS_TABLE;
use crate::sink::ConvexSink;

/// Documents of a table, a page at a time: 10,000 rows or 5 MB at most (`system-udfs/convex/_system/cli/tableData.ts`).
const TABLE_DATA: &str = "_system/cli/tableData";

/// The exact number of documents in a table (`system-udfs/convex/_system/cli/tableSize.ts`).
const TABLE_SIZE: &str = "_system/cli/tableSize";

/// Documents that one page has at most.
const PAGE_DOCUMENTS: usize = 10_000;

/// Parts of a page, which may be decoded on as many threads.
const PARTS: usize = 4;

/// What a cursor of the generated function begins with. A cursor is only good for the query that gave it, and may come
/// back in another process, whose key may do more or less.
const GENERATED: &str = "generated ";

/// Which of the system's own queries are refused. Once one is, it is not asked again.
#[derive(Debug, Default)]
pub(crate) struct Refusals {
    data: AtomicBool,
    size: AtomicBool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Found<'a> {
    #[serde(borrow)]
    page: Vec<&'a RawValue>,
    is_done: bool,
    #[serde(borrow)]
    continue_cursor: Cow<'a, str>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Counted {
    count: Encoded,
    is_done: bool,
    continue_cursor: String,
}

impl ConvexSink {
    async fn documents(&self, table: &str, cursor: Option<&str>, limit: usize) -> Result<DocumentPage> {
        self.require_key()?;
        let refused = &self.refusals().data;
        match cursor {
            Some(cursor) => match cursor.strip_prefix(GENERATED) {
                Some(own) => return self.generated_page(table, Some(own), limit).await,
                None => return self.system_page(table, Some(cursor), limit).await.map_err(|error| begun(error, table)),
            },
            None if refused.load(Ordering::Relaxed) => return self.generated_page(table, None, limit).await,
            None => {}
        }
        match self.system_page(table, None, limit).await {
            Err(error) if is_refusal(&error) => {
                remember(refused, TABLE_DATA, &error);
                self.generated_page(table, None, limit).await
            }
            answer => answer.map_err(|error| error.with_context("table", table)),
        }
    }

    async fn system_page(&self, table: &str, cursor: Option<&str>, limit: usize) -> Result<DocumentPage> {
        let mut body = begin_call(TABLE_DATA, None);
        body.extend_from_slice(b"\"table\":");
        write_text(&mut body, table);
        body.extend_from_slice(b",\"order\":\"asc\",\"paginationOpts\":{");
        write_cursor(&mut body, cursor);
        let limit = limit.clamp(1, PAGE_DOCUMENTS);
        body.extend_from_slice(format!(",\"numItems\":{limit}}}").as_bytes());
        end_call(&mut body);
        let (parts, next) = self.page(TABLE_DATA, table, body).await?;
        Ok(DocumentPage { parts, next })
    }

    async fn generated_page(&self, table: &str, cursor: Option<&str>, limit: usize) -> Result<DocumentPage> {
        let more = format!(",\"limit\":{}", limit.clamp(1, PAGE_DOCUMENTS));
        let name = self.functions().read_documents();
        let read = self.page(&name, table, generated_call(&name, table, cursor, &more)).await;
        let (parts, next) = read.map_err(|error| unreadable(error, table))?;
        Ok(DocumentPage { parts, next: next.map(|cursor| format!("{GENERATED}{cursor}")) })
    }

    /// Calls a query that gives a page of documents. Only where each of them is, is read here.
    async fn page(&self, name: &str, table: &str, body: Vec<u8>) -> Result<(Vec<DocumentPart>, Option<String>)> {
        let reply = self.client().ask(FunctionKind::Query, name, body).await?;
        let Found { page, is_done, continue_cursor } = self.client().read(FunctionKind::Query, name, &reply)?;
        let length = page.len().div_ceil(PARTS).max(1);
        let part = |documents: &[&RawValue]| {
            let shape = protocol(self.client().named(name, false), "read a document: it has another shape");
            let mut shape = Some(shape.with_context("table", table));
            let texts: Vec<Bytes> =
                documents.iter().map(|document| reply.body.slice_ref(document.get().as_bytes())).collect();
            let mut reader = DocumentReader::default();
            let count = texts.len();
            // After the first that is none, nothing is read.
            let read =
                move |text: Bytes| reader.read(&text).map_or_else(|_| shape.take().map(Err), |read| Some(Ok(read)));
            DocumentPart::new(count, texts.into_iter().map_while(read))
        };
        let parts = page.chunks(length).map(part).collect();
        Ok((parts, (!is_done).then(|| continue_cursor.into_owned())))
    }

    fn require_key(&self) -> Result<()> {
        if self.client().has_key() {
            return Ok(());
        }
        Err(Error::new(ErrorKind::Config, "read documents back without a deploy key")
            .with_remedy("set CONVEX_DEPLOY_KEY, or self-hosted CONVEX_SELF_HOSTED_ADMIN_KEY"))
    }

    /// A number of documents.
    fn whole(&self, Encoded(number): Encoded, name: &str) -> Result<u64> {
        let whole = |size: f64| size >= 0.0 && size.fract() == 0.0 && size <= 9_007_199_254_740_992.0;
        match number {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is a whole number")]
            Value::Float64(size) if whole(size) => Ok(size as u64),
            Value::Int64(size) if size >= 0 => Ok(size.unsigned_abs()),
            _ => Err(protocol(self.client().named(name, false), "read a table's size: it is no number")),
        }
    }
}

/// The call of a generated query, which has no secret among its arguments: it is internal, and called with the key.
fn generated_call(name: &str, table: &str, cursor: Option<&str>, more: &str) -> Vec<u8> {
    let mut body = begin_call(name, None);
    body.extend_from_slice(b"\"table\":");
    write_text(&mut body, table);
    body.push(b',');
    write_cursor(&mut body, cursor);
    body.extend_from_slice(more.as_bytes());
    end_call(&mut body);
    body
}

fn write_cursor(body: &mut Vec<u8>, cursor: Option<&str>) {
    body.extend_from_slice(b"\"cursor\":");
    match cursor {
        Some(cursor) => write_text(body, cursor),
        None => body.extend_from_slice(b"null"),
    }
}

/// Whether a function may not be called, or is not there.
fn is_refusal(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Forbidden | ErrorKind::FunctionMissing)
}

fn remember(refused: &AtomicBool, query: &str, error: &Error) {
    if !refused.swap(true, Ordering::Relaxed) {
        tracing::debug!(query, %error, "the system's own query is refused: the generated function is called instead");
    }
}

/// The error of a page that a system query has begun, and now refuses.
fn begun(error: Error, table: &str) -> Error {
    let error = error.with_context("table", table);
    if !is_refusal(&error) {
        return error;
    }
    error.with_remedy("use a key with deployment:data:view, as before, or begin anew with --fresh")
}

/// The error of a generated query, which is only called where the system's own is refused.
fn unreadable(error: Error, table: &str) -> Error {
    let (kind, message, remedy) = match error.kind() {
        ErrorKind::Forbidden | ErrorKind::FunctionMissing => (
            error.kind(),
            "read documents back: the system's own queries are refused, and so is the generated one",
            "use a key with deployment:data:view; or one with deployment:functions:runInternalQueries, and generate the \
             functions again with migrate-plan --write and deploy them",
        ),
        ErrorKind::RecordFailed => (
            ErrorKind::Config,
            "read documents back by the deployed function: it fails, or takes other arguments than the plan's",
            "generate the functions again with migrate-plan --write and deploy them, or use a key with \
             deployment:data:view",
        ),
        _ => return error.with_context("table", table),
    };
    Error::new(kind, message).with_context("table", table).with_remedy(remedy).with_source(error)
}

#[async_trait]
impl SinkProbe for ConvexSink {
    async fn count(&self, table: &TableName) -> Result<Option<u64>> {
        self.require_key()?;
        let refused = &self.refusals().size;
        if refused.load(Ordering::Relaxed) {
            return Ok(None);
        }
        let mut body = begin_call(TABLE_SIZE, None);
        body.extend_from_slice(b"\"tableName\":");
        write_text(&mut body, table.name());
        end_call(&mut body);
        match self.client().call(FunctionKind::Query, TABLE_SIZE, body).await {
            Ok(size) => self.whole(size, TABLE_SIZE).map(Some),
            Err(error) if is_refusal(&error) => {
                remember(refused, TABLE_SIZE, &error);
                Ok(None)
            }
            Err(error) => Err(error.with_context("table", table.name())),
        }
    }

    async fn count_page(&self, table: &TableName, cursor: Option<&str>) -> Result<CountPage> {
        self.require_key()?;
        let name = self.functions().count_documents();
        let body = generated_call(&name, table.name(), cursor, "");
        let counted = self.client().call(FunctionKind::Query, &name, body).await;
        let counted: Counted = counted.map_err(|error| unreadable(error, table.name()))?;
        let documents = self.whole(counted.count, &name)?;
        Ok(CountPage { documents, next: (!counted.is_done).then_some(counted.continue_cursor) })
    }

    async fn read_page(&self, table: &TableName, cursor: Option<&str>, limit: usize) -> Result<DocumentPage> {
        self.documents(table.name(), cursor, limit).await
    }

    async fn read_keys(&self, cursor: Option<&str>, limit: usize) -> Result<KeyPage> {
        let mut page = self.documents(LEGACY_IDS_TABLE, cursor, limit).await?;
        let next = page.next.take();
        let entry = |document: Document| {
            let text = |name: &str| {
                document.fields.iter().find_map(|(field, value)| match value {
                    Value::Text(text) if &**field == name => Some(&**text),
                    _ => None,
                })
            };
            let table = TableName::new(migrate_core::names::DEFAULT_SCHEMA, text("table")?).ok()?;
            Some(KeyEntry { table, key: SourceKey::from(text("legacyId")?), id: text("documentId")?.into() })
        };
        Ok(KeyPage { entries: page.into_documents()?.into_iter().filter_map(entry).collect(), next })
    }
}
