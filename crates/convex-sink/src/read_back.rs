//! [`SinkProbe`] of a deployment: documents are read by the system's own queries, which need no code deployed.

use async_trait::async_trait;
use migrate_core::error::{Error, ErrorKind, Result};
use migrate_core::names::{SourceKey, TableName};
use migrate_core::value::Value;
use migrate_core::verify::{Document, DocumentPage, KeyEntry, KeyPage, SinkProbe};
use serde::Deserialize;

use crate::client::FunctionKind;
use crate::decode::{Encoded, EncodedDocument};
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

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Found {
    page: Vec<EncodedDocument>,
    is_done: bool,
    continue_cursor: String,
}

impl ConvexSink {
    async fn table_data(
        &self,
        table: &str,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<(Vec<Document>, Option<String>)> {
        self.require_key()?;
        let mut body = begin_call(TABLE_DATA, None);
        body.extend_from_slice(b"\"table\":");
        write_text(&mut body, table);
        body.extend_from_slice(b",\"order\":\"asc\",\"paginationOpts\":{\"cursor\":");
        match cursor {
            Some(cursor) => write_text(&mut body, cursor),
            None => body.extend_from_slice(b"null"),
        }
        let limit = limit.clamp(1, PAGE_DOCUMENTS);
        body.extend_from_slice(format!(",\"numItems\":{limit}}}").as_bytes());
        end_call(&mut body);
        let found: Found = self
            .client()
            .call(FunctionKind::Query, TABLE_DATA, body)
            .await
            .map_err(|error| unreadable(error, table))?;
        let documents = found.page.into_iter().map(|EncodedDocument(document)| document).collect();
        Ok((documents, (!found.is_done).then_some(found.continue_cursor)))
    }

    fn require_key(&self) -> Result<()> {
        if self.client().has_key() {
            return Ok(());
        }
        Err(Error::new(ErrorKind::Config, "read documents back without a deploy key")
            .with_remedy("set CONVEX_DEPLOY_KEY, or self-hosted CONVEX_SELF_HOSTED_ADMIN_KEY"))
    }
}

/// Says which right is wanting.
fn unreadable(error: Error, table: &str) -> Error {
    let error = error.with_context("table", table);
    match error.kind() {
        ErrorKind::Forbidden => error.with_remedy("use a key with deployment:data:view"),
        _ => error,
    }
}

#[async_trait]
impl SinkProbe for ConvexSink {
    async fn count(&self, table: &TableName) -> Result<u64> {
        self.require_key()?;
        let mut body = begin_call(TABLE_SIZE, None);
        body.extend_from_slice(b"\"tableName\":");
        write_text(&mut body, table.name());
        end_call(&mut body);
        let call = self.client().call(FunctionKind::Query, TABLE_SIZE, body).await;
        let Encoded(size) = call.map_err(|error| unreadable(error, table.name()))?;
        let whole = |size: f64| size >= 0.0 && size.fract() == 0.0 && size <= 9_007_199_254_740_992.0;
        match size {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is a whole number")]
            Value::Float64(size) if whole(size) => Ok(size as u64),
            Value::Int64(size) if size >= 0 => Ok(size.unsigned_abs()),
            _ => Err(protocol(self.client().named(TABLE_SIZE, false), "read a table's size: it is no number")),
        }
    }

    async fn read_page(&self, table: &TableName, cursor: Option<&str>, limit: usize) -> Result<DocumentPage> {
        let (documents, next) = self.table_data(table.name(), cursor, limit).await?;
        Ok(DocumentPage { documents, next })
    }

    async fn read_keys(&self, cursor: Option<&str>, limit: usize) -> Result<KeyPage> {
        let (documents, next) = self.table_data(LEGACY_IDS_TABLE, cursor, limit).await?;
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
        Ok(KeyPage { entries: documents.into_iter().filter_map(entry).collect(), next })
    }
}
