use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;

use super::{Reject, decode};
use crate::catalog::{CATALOG_VERSION, Catalog, TableSchema};
use crate::error::{Error, ErrorKind, Result};
use crate::names::{FieldName, SourceKey, TableName};
use crate::plan::PlanTable;
use crate::record::{Record, RecordShape, RejectCode};
use crate::source::{Cursor, KeyRange, Page, PageRequest, Source};
use crate::state::StateStore;

/// The rejects of a part of a planned table as a source: a replay is a run that reads from it.
///
/// Pages follow the list of keys that it was made of; what is on it and is no reject of this part and pass any more is
/// passed over.
#[derive(Debug)]
pub(crate) struct RejectSource {
    table: Arc<PlanTable>,
    schema: TableSchema,
    keys: Arc<[SourceKey]>,
    range: KeyRange,
    links: bool,
    /// Where rows are read anew; from the state where there is none.
    refetched: Option<Arc<dyn Source>>,
    state: Arc<dyn StateStore>,
    gone: Mutex<Vec<SourceKey>>,
}

impl RejectSource {
    pub(super) fn new(
        table: Arc<PlanTable>,
        schema: TableSchema,
        keys: Arc<[SourceKey]>,
        range: KeyRange,
        links: bool,
        refetched: Option<Arc<dyn Source>>,
        state: Arc<dyn StateStore>,
    ) -> Self {
        Self { table, schema, keys, range, links, refetched, state, gone: Mutex::default() }
    }

    /// Keys of rows that the source did not have any more.
    pub(crate) fn gone(&self) -> Vec<SourceKey> {
        self.gone.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn is_waiting(&self, reject: &Reject) -> bool {
        reject.counted.range == self.range && (reject.code == RejectCode::ReferenceUnlinked) == self.links
    }

    async fn waiting(&self, keys: &[SourceKey]) -> Result<Vec<Reject>> {
        let rejects = self.state.rejected(&self.table.source, keys).await?;
        Ok(rejects.into_iter().flatten().filter(|reject| self.is_waiting(reject)).collect())
    }

    async fn records(&self, rejects: Vec<Reject>, request: &PageRequest) -> Result<Vec<Record>> {
        let Some(source) = &self.refetched else {
            let position = |name: &FieldName| request.columns.iter().position(|column| column == name);
            let shape = Arc::new(RecordShape {
                table: request.table.clone(),
                fields: request.columns.to_vec(),
                key: request.key.iter().filter_map(position).collect(),
            });
            return rejects.iter().map(|reject| self.record(reject, &shape)).collect();
        };
        let keys: Vec<SourceKey> = rejects.into_iter().map(|reject| reject.key).collect();
        let found = source.fetch(&request.table, &keys, &request.columns).await?;
        let mut records = Vec::with_capacity(found.len());
        for (record, key) in found.into_iter().zip(keys) {
            match record {
                Some(record) => records.push(record),
                None => self.gone.lock().unwrap_or_else(PoisonError::into_inner).push(key),
            }
        }
        Ok(records)
    }

    fn record(&self, reject: &Reject, shape: &Arc<RecordShape>) -> Result<Record> {
        let unreadable = |column: &str, what: &str| {
            Error::new(ErrorKind::Config, format!("read a rejected row: {what}"))
                .with_context("table", &self.table.source)
                .with_context("key", &reject.key)
                .with_context("column", column)
                .with_remedy("mend its line in the reject file, or add --refetch")
        };
        let row = reject.record.as_object().ok_or_else(|| unreadable("", "it is no object"))?;
        let values =
            decode::values(row, &self.schema, &shape.fields).map_err(|(column, what)| unreadable(&column, &what))?;
        Ok(Record { shape: shape.clone(), values })
    }
}

#[async_trait]
impl Source for RejectSource {
    async fn check(&self) -> Result<()> {
        Ok(())
    }

    async fn discover(&self) -> Result<Catalog> {
        Ok(Catalog {
            version: CATALOG_VERSION,
            origin: "rejects".to_owned(),
            unknown: Vec::new(),
            differences: Vec::new(),
            tables: vec![self.schema.clone()],
            inventory: Vec::new(),
        })
    }

    async fn count(&self, _: &TableName) -> Result<Option<u64>> {
        Ok(u64::try_from(self.waiting(&self.keys).await?.len()).ok())
    }

    async fn partitions(&self, _: &TableName, _: &[FieldName], _: usize) -> Result<Vec<KeyRange>> {
        Ok(vec![self.range.clone()])
    }

    async fn read_page(&self, request: PageRequest) -> Result<Page> {
        let after = request.after.as_ref().and_then(|Cursor(texts)| texts.first()).map(|text| text.parse());
        let mut at: usize =
            after.transpose().map_err(|_| Error::new(ErrorKind::Unexpected, "read on in the rejects"))?.unwrap_or(0);
        // A page is empty only at the end: rows may be gone.
        while let Some(rest) = self.keys.get(at..).filter(|rest| !rest.is_empty()) {
            let keys = rest.get(..request.limit.max(1)).unwrap_or(rest);
            at += keys.len();
            let records = self.records(self.waiting(keys).await?, &request).await?;
            if !records.is_empty() {
                return Ok(Page { records, next: Some(Cursor(vec![at.to_string()])), bytes: 0 });
            }
        }
        Ok(Page { records: Vec::new(), next: None, bytes: 0 })
    }

    async fn fetch(&self, table: &TableName, keys: &[SourceKey], columns: &[FieldName]) -> Result<Vec<Option<Record>>> {
        if let Some(source) = &self.refetched {
            return source.fetch(table, keys, columns).await;
        }
        let shape = Arc::new(RecordShape { table: table.clone(), fields: columns.to_vec(), key: Vec::new() });
        let rejects = self.state.rejected(&self.table.source, keys).await?;
        rejects.iter().map(|reject| reject.as_ref().map(|reject| self.record(reject, &shape)).transpose()).collect()
    }
}
