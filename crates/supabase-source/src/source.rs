//! [`SupabaseSource`]: the contract of [`Source`] over PostgREST.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, PoisonError};

use async_trait::async_trait;
use migrate_core::catalog::{Catalog, ScalarKind, TableSchema};
use migrate_core::names::{FieldName, SourceKey, TableName};
use migrate_core::record::{Record, RecordShape};
use migrate_core::source::{Cursor, KeyRange, Page, PageRequest};
use migrate_core::value::Value;
use migrate_core::{Error, ErrorKind, Result, Source};

use crate::client::Client;
use crate::error_rules::LIFT_TIMEOUT;
use crate::key::{KeyKind, require_full_sight};
use crate::page_size::{PageSizes, is_too_large};
use crate::partition::{integer_ranges, uuid_ranges};
use crate::query::{ReadQuery, keyset_queries, quote};
use crate::settings::SupabaseSettings;
use crate::table_read::TableRead;
use crate::{discover, fetch};

type Reads = HashMap<(TableName, Arc<[FieldName]>), Arc<TableRead>>;

/// A Supabase project, read through its data API.
///
/// Pages are stateless but for two things that are learned: the columns' types, from the OpenAPI document or a catalog
/// that is given, and how many rows a page of each table can have. It does not retry; put a retry layer around it.
#[derive(Debug)]
pub struct SupabaseSource {
    settings: SupabaseSettings,
    client: Client,
    known: tokio::sync::Mutex<Known>,
    reads: std::sync::Mutex<Reads>,
    page_sizes: PageSizes,
}

/// Tables whose columns are known.
#[derive(Debug, Default)]
struct Known {
    tables: HashMap<TableName, Arc<TableSchema>>,
    /// Schemas whose document has been read.
    schemas: HashSet<String>,
}

impl SupabaseSource {
    /// A source for the project. It sends nothing yet.
    ///
    /// # Errors
    /// `Config` for an address, a key, an agent or a connection string that cannot be one, and for two addresses of
    /// different projects; a blinded key is refused by `check`.
    pub fn new(settings: SupabaseSettings) -> Result<Self> {
        let client = Client::new(&settings)?;
        discover::postgres(&settings)?;
        Ok(Self {
            settings,
            client,
            known: tokio::sync::Mutex::default(),
            reads: std::sync::Mutex::default(),
            page_sizes: PageSizes::default(),
        })
    }

    /// Takes the columns' types from a catalog that was made earlier, so that reading needs no discovery.
    #[must_use]
    pub fn with_catalog(mut self, catalog: &Catalog) -> Self {
        self.known.get_mut().learn(&catalog.tables);
        self
    }

    /// The kind of key in use.
    pub fn key_kind(&self) -> &KeyKind {
        self.client.key()
    }

    /// The table's columns. Where nothing is known of it, its schema's document is read, once.
    async fn table(&self, name: &TableName) -> Result<Arc<TableSchema>> {
        let mut known = self.known.lock().await;
        if !known.tables.contains_key(name) && !known.schemas.contains(name.schema()) {
            let (_, tables) = discover::listed(&self.client, name.schema()).await?;
            known.learn(&tables);
            known.schemas.insert(name.schema().to_owned());
        }
        if let Some(table) = known.tables.get(name) {
            return Ok(table.clone());
        }
        drop(known);
        // Not listed: the count says whether it is missing or forbidden.
        self.client.count(name).await?;
        Err(Error::new(ErrorKind::Config, "read a table whose columns the OpenAPI document does not list")
            .with_context("table", name)
            .with_remedy("run: notify pgrst, 'reload schema'; then migrate-discover again"))
    }

    async fn prepare(&self, table: &TableName, columns: &Arc<[FieldName]>) -> Result<Arc<TableRead>> {
        let key = (table.clone(), columns.clone());
        if let Some(read) = self.reads.lock().unwrap_or_else(PoisonError::into_inner).get(&key) {
            return Ok(read.clone());
        }
        let read = Arc::new(TableRead::new(&*self.table(table).await?, columns)?);
        Ok(self.reads.lock().unwrap_or_else(PoisonError::into_inner).entry(key).or_insert(read).clone())
    }

    /// One attempt at a page of at most `limit` rows.
    async fn try_page(&self, read: &TableRead, request: &PageRequest, limit: usize) -> Result<Page> {
        let PageRequest { table, range, after, .. } = request;
        let mut bytes = 0;
        for query in keyset_queries(table, &read.key, range, after.as_ref(), &read.select, limit)? {
            let (records, size) = self.client.rows(&query, read, "read a page").await?;
            bytes += size;
            if !records.is_empty() {
                let next = Some(last_cursor(&records, read, after.as_ref(), limit)?);
                return Ok(Page { records, next, bytes });
            }
        }
        Ok(Page { records: Vec::new(), next: None, bytes })
    }

    /// The smallest or largest leading key; `None` for an empty table.
    async fn outermost(&self, read: &TableRead, leading: &FieldName, direction: &str) -> Result<Option<i64>> {
        let query = ReadQuery {
            select: Some(read.select.clone()),
            order: Some(format!("{}.{direction}", quote(leading.as_str()))),
            limit: Some(1),
            ..ReadQuery::of(&read.shape.table)
        };
        let (records, _) = self.client.rows(&query, read, "read the outermost keys").await?;
        Ok(records.first().and_then(|record| match record.get(leading.as_str()) {
            Some(Value::Int64(key)) => Some(*key),
            _ => None,
        }))
    }
}

impl Known {
    /// Takes tables with columns; what is known already stays.
    fn learn(&mut self, tables: &[TableSchema]) {
        for table in tables.iter().filter(|table| !table.columns.is_empty()) {
            self.tables.entry(table.name.clone()).or_insert_with(|| Arc::new(table.clone()));
        }
    }
}

/// The place after the last record.
///
/// Order cannot be checked on texts, whose collation only the database knows. But a page that repeats a key, or that
/// starts or ends where it should continue, would be read without end; it is refused.
fn last_cursor(records: &[Record], read: &TableRead, after: Option<&Cursor>, limit: usize) -> Result<Cursor> {
    let refuse = |text: String| {
        Err(Error::new(ErrorKind::Protocol, format!("read a page: {text}"))
            .with_context("table", &read.shape.table)
            .with_remedy(
                "something between this program and PostgREST changes the query, or the table's key is not unique",
            ))
    };
    if records.len() > limit {
        return refuse(format!("{} rows came where {limit} were asked for", records.len()));
    }
    let mut seen = HashSet::with_capacity(records.len());
    let mut last = Cursor(Vec::new());
    for record in records {
        let key = match record.texts(&read.shape.key) {
            Ok(key) => Cursor(key),
            Err(error) => return refuse(error.message),
        };
        if after == Some(&key) || !seen.insert(key.clone()) {
            return refuse("a key came twice".to_owned());
        }
        last = key;
    }
    Ok(last)
}

#[async_trait]
impl Source for SupabaseSource {
    async fn check(&self) -> Result<()> {
        require_full_sight(self.client.key(), self.settings.allow_partial)?;
        for schema in &self.settings.schemas {
            self.client.reach(schema, "reach the data API").await?;
        }
        Ok(())
    }

    async fn discover(&self) -> Result<Catalog> {
        let catalog = discover::discover_all(&self.client, &self.settings).await?;
        let mut fresh = Known::default();
        fresh.learn(&catalog.tables);
        *self.known.lock().await = fresh;
        self.reads.lock().unwrap_or_else(PoisonError::into_inner).clear();
        Ok(catalog)
    }

    async fn count(&self, table: &TableName) -> Result<Option<u64>> {
        match self.client.count(table).await {
            Ok(rows) => Ok(Some(rows)),
            Err(error) if error.kind() == ErrorKind::TooLarge => {
                tracing::warn!(%table, "counting the rows takes longer than the statement timeout");
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    async fn partitions(&self, table: &TableName, wanted: usize) -> Result<Vec<KeyRange>> {
        let schema = self.table(table).await?;
        let read = TableRead::new(&schema, &schema.primary_key)?;
        let (Some(leading), Some(leading_type)) = (read.key.first(), read.key_types.first()) else {
            return Ok(vec![KeyRange::all()]);
        };
        match leading_type.scalar {
            _ if wanted <= 1 || leading_type.array => Ok(vec![KeyRange::all()]),
            ScalarKind::Uuid => Ok(uuid_ranges(wanted)),
            ScalarKind::Int4 | ScalarKind::Int8 => {
                let smallest = self.outermost(&read, leading, "asc").await?;
                let largest = self.outermost(&read, leading, "desc").await?;
                match (smallest, largest) {
                    (Some(smallest), Some(largest)) => Ok(integer_ranges(smallest, largest, wanted)),
                    _ => Ok(vec![KeyRange::all()]),
                }
            }
            _ => Ok(vec![KeyRange::all()]),
        }
    }

    async fn read_page(&self, request: PageRequest) -> Result<Page> {
        let table = &request.table;
        let read = self.prepare(table, &request.columns).await?;
        let mut limit = self.page_sizes.limit(table, request.limit);
        loop {
            let error = match self.try_page(&read, &request, limit).await {
                Ok(page) => {
                    self.page_sizes.good_page(table, request.limit);
                    return Ok(page);
                }
                Err(error) => error,
            };
            let too_large = is_too_large(&error);
            if !too_large && error.kind() != ErrorKind::TimedOut {
                return Err(error);
            }
            let smaller = self.page_sizes.shrink(table, limit);
            tracing::info!(%table, limit, smaller, code = error.code(), "the page was too large");
            match smaller {
                Some(smaller) if too_large => limit = smaller,
                // A timeout of our own: the retry layer waits first.
                Some(_) => return Err(error),
                None => {
                    let place =
                        request.after.as_ref().map_or_else(|| "the start".to_owned(), |Cursor(key)| key.join(", "));
                    return Err(error
                        .with_context("rows asked for", 1)
                        .with_context("after", place)
                        .with_remedy(format!("not even one row comes in time; {LIFT_TIMEOUT}")));
                }
            }
        }
    }

    async fn fetch(&self, table: &TableName, keys: &[SourceKey], columns: &[FieldName]) -> Result<Vec<Option<Record>>> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let key = self.table(table).await?.primary_key.clone();
        let hidden = key.iter().filter(|column| !columns.contains(column));
        let all: Arc<[FieldName]> = columns.iter().chain(hidden).cloned().collect();
        let read = self.prepare(table, &all).await?;
        let is_whole = all.len() == columns.len();
        let shape = Arc::new(RecordShape {
            table: table.clone(),
            fields: columns.to_vec(),
            key: if is_whole { read.shape.key.clone() } else { Vec::new() },
        });
        fetch::fetch(&self.client, &read, &shape, keys).await
    }
}
