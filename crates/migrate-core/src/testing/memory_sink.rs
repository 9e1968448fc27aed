use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

use crate::error::{Error, ErrorKind, Result};
use crate::names::{FieldName, SinkId, SourceKey, TableName};
use crate::record::RowError;
use crate::sink::{
    IdAssignment, Match, NaturalKey, Sink, SinkCapabilities, WriteBatch, WriteEffect, WriteMode, WriteOutcome,
    WriteRecord,
};
use crate::value::Value;
use crate::verify::{self, CountPage, DocumentPage, KeyPage, SinkProbe};

/// A document of a [`MemorySink`].
#[derive(Debug, Clone, PartialEq)]
pub struct Document {
    /// Its id.
    pub id: SinkId,
    /// The key of the row it came from; `None` for a document that was there before.
    pub key: Option<SourceKey>,
    /// Its fields; absent ones are not in it.
    pub fields: BTreeMap<String, Value>,
}

/// A sink whose tables are in memory.
#[derive(Debug)]
pub struct MemorySink {
    capabilities: SinkCapabilities,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    tables: BTreeMap<TableName, Vec<Document>>,
    indexes: BTreeMap<(TableName, String), Vec<String>>,
    calls: Vec<usize>,
    next_id: u64,
}

impl Default for MemorySink {
    fn default() -> Self {
        Self::new(SinkCapabilities {
            batch_records: 100,
            batch_bytes: 1 << 20,
            in_flight: 4,
            ids: IdAssignment::OnWrite,
        })
    }
}

impl MemorySink {
    /// A sink that takes so much at once.
    #[must_use]
    pub fn new(capabilities: SinkCapabilities) -> Self {
        Self { capabilities, inner: Mutex::default() }
    }

    /// Names the fields of an index, for lookups.
    pub fn index(&self, table: &TableName, index: &str, fields: &[&str]) {
        let fields = fields.iter().map(|&field| field.to_owned()).collect();
        self.inner().indexes.insert((table.clone(), index.to_owned()), fields);
    }

    /// Puts in a document that was there before the run.
    pub fn insert(&self, table: &TableName, fields: &[(&str, Value)]) -> SinkId {
        let mut inner = self.inner();
        let id = inner.new_id();
        let fields = fields.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        let document = Document { id: id.clone(), key: None, fields };
        inner.tables.entry(table.clone()).or_default().push(document);
        id
    }

    /// All documents of a table, in the order they came.
    pub fn documents(&self, table: &TableName) -> Vec<Document> {
        self.inner().tables.get(table).cloned().unwrap_or_default()
    }

    /// How many records each call of `write_batch` had.
    pub fn calls(&self) -> Vec<usize> {
        self.inner().calls.clone()
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn new_id(&mut self) -> SinkId {
        self.next_id += 1;
        SinkId::new(format!("doc{}", self.next_id))
    }

    fn upsert(&mut self, table: &TableName, record: &WriteRecord) -> WriteOutcome {
        let fields = named_fields(record);
        let documents = self.tables.entry(table.clone()).or_default();
        if let Some(known) = documents.iter_mut().find(|document| document.key.as_ref() == Some(&record.key)) {
            return known.set(fields);
        }
        let id = self.new_id();
        let fields = fields.into_iter().filter(|(_, value)| !matches!(value, Value::Absent)).collect();
        let document = Document { id: id.clone(), key: Some(record.key.clone()), fields };
        self.tables.entry(table.clone()).or_default().push(document);
        WriteOutcome::Written { id, effect: WriteEffect::Inserted }
    }
}

impl Document {
    /// Brings these fields to these values; absent ones are removed.
    fn set(&mut self, fields: Vec<(String, Value)>) -> WriteOutcome {
        let before = self.fields.clone();
        for (name, value) in fields {
            match value {
                Value::Absent => self.fields.remove(&name),
                value => self.fields.insert(name, value),
            };
        }
        let effect = if before == self.fields { WriteEffect::Unchanged } else { WriteEffect::Updated };
        WriteOutcome::Written { id: self.id.clone(), effect }
    }
}

fn named_fields(record: &WriteRecord) -> Vec<(String, Value)> {
    let names = record.record.shape.fields.iter().map(FieldName::to_string);
    names.zip(record.record.values.iter().cloned()).collect()
}

#[async_trait]
impl Sink for MemorySink {
    fn capabilities(&self) -> SinkCapabilities {
        self.capabilities
    }

    fn measure(&self, record: &WriteRecord) -> Result<usize, RowError> {
        Ok(record.record.values.iter().map(|value| value.key_text().map_or(1, |text| text.len())).sum::<usize>() + 1)
    }

    async fn check(&self, _: &[TableName]) -> Result<()> {
        Ok(())
    }

    async fn lookup(&self, table: &TableName, index: &str, keys: &[NaturalKey]) -> Result<Vec<Match>> {
        let inner = self.inner();
        let fields = inner.indexes.get(&(table.clone(), index.to_owned())).ok_or_else(|| {
            Error::new(ErrorKind::FunctionMissing, "look documents up by an index that is not there")
                .with_context("table", table)
                .with_context("index", index)
        })?;
        let documents = inner.tables.get(table).map(Vec::as_slice).unwrap_or_default();
        let found = |key: &NaturalKey| {
            let mut matching = documents.iter().filter(|document| {
                fields.iter().zip(key).all(|(field, value)| document.fields.get(field) == Some(value))
            });
            match (matching.next(), matching.next()) {
                (None, _) => Match::None,
                (Some(only), None) => Match::One(only.id.clone()),
                (Some(_), Some(_)) => Match::Several,
            }
        };
        Ok(keys.iter().map(found).collect())
    }

    async fn write_batch(&self, batch: WriteBatch<'_>) -> Result<Vec<WriteOutcome>> {
        let mut inner = self.inner();
        inner.calls.push(batch.records.len());
        let mut outcomes = Vec::with_capacity(batch.records.len());
        for record in batch.records {
            outcomes.push(match batch.mode {
                WriteMode::Upsert => inner.upsert(batch.table, record),
                WriteMode::Patch => {
                    let documents = inner.tables.entry(batch.table.clone()).or_default();
                    let known = documents.iter_mut().find(|document| Some(&document.id) == record.id.as_ref());
                    match known {
                        Some(document) => document.set(named_fields(record)),
                        None => {
                            return Err(Error::new(ErrorKind::RecordFailed, "patch a document that is not there")
                                .with_context("table", batch.table)
                                .with_context("key", &record.key));
                        }
                    }
                }
            });
        }
        Ok(outcomes)
    }

    async fn finish(&self, _: &[TableName]) -> Result<()> {
        Ok(())
    }
}

/// The field that [`SinkProbe`] shows a document's key in.
const KEY_FIELD: &str = "supabaseId";

#[async_trait]
impl SinkProbe for MemorySink {
    async fn count(&self, table: &TableName) -> Result<Option<u64>> {
        Ok(Some(u64::try_from(self.documents(table).len()).unwrap_or(u64::MAX)))
    }

    async fn count_page(&self, table: &TableName, cursor: Option<&str>) -> Result<CountPage> {
        let page = SinkProbe::read_page(self, table, cursor, usize::MAX).await?;
        let next = page.next.clone();
        Ok(CountPage { documents: u64::try_from(page.into_documents()?.len()).unwrap_or(u64::MAX), next })
    }

    async fn read_page(&self, table: &TableName, cursor: Option<&str>, limit: usize) -> Result<DocumentPage> {
        let documents = self.documents(table);
        let start: usize = cursor.and_then(|cursor| cursor.parse().ok()).unwrap_or(0);
        let end = documents.len().min(start + limit.min(self.capabilities.batch_records));
        let shown = |document: &Document| {
            let key = document.key.iter().map(|key| (KEY_FIELD.into(), Value::text(key.as_str())));
            let fields = document.fields.iter().map(|(name, value)| (name.as_str().into(), value.clone()));
            verify::Document { id: document.id.clone(), creation_time: 0.0, fields: key.chain(fields).collect() }
        };
        let page = documents.get(start..end).unwrap_or_default().iter().map(shown).collect();
        Ok(DocumentPage::of(page, (end < documents.len()).then(|| end.to_string())))
    }

    async fn read_keys(&self, _: Option<&str>, _: usize) -> Result<KeyPage> {
        Ok(KeyPage { entries: Vec::new(), next: None })
    }
}
