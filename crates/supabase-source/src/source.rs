//! [`SupabaseSource`]: the contract of [`Source`] over PostgREST.

use std::cmp::Ordering;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, PoisonError};

use async_trait::async_trait;
use migrate_core::catalog::{Catalog, TableSchema};
use migrate_core::names::{FieldName, SourceKey, TableName};
use migrate_core::record::Record;
use migrate_core::source::{Cursor, KeyRange, Page, PageRequest};
use migrate_core::{Error, ErrorKind, Result, Source};

use crate::client::Client;
use crate::discover::Probes;
use crate::error_rules::LIFT_TIMEOUT;
use crate::filter::RowFilter;
use crate::key::{KeyKind, require_full_sight};
use crate::key_order;
use crate::page_size::{CUT_OFF, OneRow, PageSizes, asks_to_wait, is_too_large};
use crate::partition::Ranges;
use crate::place::{PlaceRead, Windows};
use crate::query::{Filter, ReadQuery, keyset_queries, quote};
use crate::settings::SupabaseSettings;
use crate::table_read::{TableRead, columns_with_key};
use crate::{discover, fetch};

/// By table, columns and key.
type Reads = HashMap<(TableName, Arc<[FieldName]>, Arc<[FieldName]>), Arc<TableRead>>;

/// A Supabase project, read through its data API.
///
/// Pages are stateless but for two things that are learned: the columns' types, from the OpenAPI document or a catalog
/// that is given, and how many rows, or blocks of rows, a page of each table can have. It does not retry; put a retry
/// layer around it.
#[derive(Debug)]
pub struct SupabaseSource {
    settings: SupabaseSettings,
    client: Client,
    known: tokio::sync::Mutex<Known>,
    reads: std::sync::Mutex<Reads>,
    page_sizes: PageSizes,
    windows: Windows,
    probes: Probes,
    filters: BTreeMap<TableName, RowFilter>,
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
    /// `Config` for an address, a key, an agent, a row filter or a connection string that cannot be one, and for two
    /// addresses of different projects; a blinded key is refused by `check`.
    pub fn new(settings: SupabaseSettings) -> Result<Self> {
        let client = Client::new(&settings)?;
        discover::postgres(&settings)?;
        let parse = |(table, text): (&TableName, &String)| Ok((table.clone(), RowFilter::parse(table, text)?));
        let filters = settings.filters.iter().map(parse).collect::<Result<_>>()?;
        Ok(Self {
            filters,
            settings,
            client,
            known: tokio::sync::Mutex::default(),
            reads: std::sync::Mutex::default(),
            page_sizes: PageSizes::default(),
            windows: Windows::default(),
            probes: Probes::default(),
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

    async fn prepare(
        &self,
        table: &TableName,
        columns: &Arc<[FieldName]>,
        row_key: &Arc<[FieldName]>,
    ) -> Result<Arc<TableRead>> {
        let key = (table.clone(), columns.clone(), row_key.clone());
        if let Some(read) = self.reads.lock().unwrap_or_else(PoisonError::into_inner).get(&key) {
            return Ok(read.clone());
        }
        let read = Arc::new(TableRead::new(&*self.table(table).await?, columns, row_key)?);
        if read.by_place {
            tracing::warn!(
                %table,
                "the table has no key and is read by the place of its rows: one that is updated meanwhile may come twice \
                 or not at all"
            );
        }
        Ok(self.reads.lock().unwrap_or_else(PoisonError::into_inner).entry(key).or_insert(read).clone())
    }

    /// The conditions of the table's row filter.
    fn filters(&self, table: &TableName) -> &[Filter] {
        self.filters.get(table).map_or(&[], |filter| &filter.parameters)
    }

    /// Names the table's row filter in an error that it may have caused.
    fn explain(&self, table: &TableName) -> impl Fn(Error) -> Error {
        let filter = self.filters.get(table);
        move |error| match filter {
            Some(filter) => filter.explain(error),
            None => error,
        }
    }

    /// One attempt at a page of at most `limit` rows.
    async fn try_page(&self, read: &TableRead, request: &PageRequest, limit: usize) -> Result<Page> {
        let (mut records, bytes) = if read.by_place {
            let filters = self.filters(&request.table);
            let places = PlaceRead { client: &self.client, read, filters, windows: &self.windows };
            places.rows(request, limit).await?
        } else {
            self.next_by_key(read, request, limit).await?
        };
        if records.is_empty() {
            return Ok(Page { records, next: None, bytes });
        }
        let next = Some(last_cursor(&records, read, request.after.as_ref(), limit)?);
        if read.columns.len() > read.shape.fields.len() {
            for record in &mut records {
                record.values.truncate(read.shape.fields.len());
            }
        }
        Ok(Page { records, next, bytes })
    }

    async fn next_by_key(&self, read: &TableRead, request: &PageRequest, limit: usize) -> Result<(Vec<Record>, u64)> {
        let PageRequest { table, range, after, .. } = request;
        let filters = self.filters(table);
        let mut bytes = 0;
        for query in keyset_queries(table, &read.key, range, after.as_ref(), filters, &read.select, limit)? {
            let (records, size) = self.client.rows(&query, read, "read a page").await?;
            bytes += size;
            if !records.is_empty() {
                return Ok((records, bytes));
            }
        }
        self.require_no_nulls(read).await?;
        Ok((Vec::new(), bytes))
    }

    /// Proves at the end of a range that no row was left out because a key column of it is NULL: no comparison finds it.
    async fn require_no_nulls(&self, read: &TableRead) -> Result<()> {
        if read.nullable_key.is_empty() {
            return Ok(());
        }
        let table = &read.shape.table;
        let nulls: Vec<String> =
            read.nullable_key.iter().map(|column| format!("{}.is.null", quote(column.as_str()))).collect();
        let query = ReadQuery {
            select: Some(read.select.clone()),
            filters: std::iter::once(Filter::Or(nulls.join(","))).chain(self.filters(table).iter().cloned()).collect(),
            limit: Some(1),
            ..ReadQuery::of(table)
        };
        if self.client.rows(&query, read, "look for rows without a key").await?.0.is_empty() {
            return Ok(());
        }
        Err(Error::new(ErrorKind::Config, "read all rows: the key of some is NULL")
            .with_context("table", table)
            .with_remedy(
                "name other columns as its key, or leave these rows out by a row filter such as id=not.is.null",
            ))
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
/// A page that repeats keys or goes back would be read without end; it is refused. Where the order is not known, as for
/// texts, whose collation only the database knows, that is a key that comes twice in it or is the one it goes on after.
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
        let before = if last.0.is_empty() { after } else { Some(&last) };
        if before.and_then(|before| key_order::compare(&before.0, &key.0, &read.key_types)) == Some(Ordering::Greater) {
            return refuse("its rows do not lead on from the page before, in the order asked for".to_owned());
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
        let catalog = discover::discover_all(&self.client, &self.settings, &self.probes).await?;
        let mut fresh = Known::default();
        fresh.learn(&catalog.tables);
        *self.known.lock().await = fresh;
        self.reads.lock().unwrap_or_else(PoisonError::into_inner).clear();
        Ok(catalog)
    }

    async fn count(&self, table: &TableName) -> Result<Option<u64>> {
        match self.client.count_where(table, self.filters(table)).await.map_err(self.explain(table)) {
            Ok(rows) => Ok(Some(rows)),
            Err(error) if error.kind() == ErrorKind::TooLarge => {
                tracing::warn!(%table, "counting the rows takes longer than the statement timeout");
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    async fn partitions(&self, table: &TableName, key: &[FieldName], wanted: usize) -> Result<Vec<KeyRange>> {
        let read = TableRead::new(&*self.table(table).await?, key, key)?;
        let (Some(leading), Some(leading_type)) = (read.key.first(), read.key_types.first()) else {
            return Ok(vec![KeyRange::all()]);
        };
        if wanted <= 1 || leading_type.array {
            return Ok(vec![KeyRange::all()]);
        }
        let cut = Ranges { client: &self.client, read: &read, filters: self.filters(table), wanted };
        match cut.by_kind(leading, leading_type.scalar).await {
            // What cannot be asked in time is no reason not to read it.
            Err(error) if is_too_large(&error) => Ok(vec![KeyRange::all()]),
            ranges => ranges.map_err(self.explain(table)),
        }
    }

    async fn read_page(&self, request: PageRequest) -> Result<Page> {
        let table = &request.table;
        let read = self.prepare(table, &request.columns, &request.key).await?;
        let mut limit = self.page_sizes.limit(table, request.limit);
        let mut one_row = OneRow::default();
        loop {
            let error = match self.try_page(&read, &request, limit).await {
                Ok(page) => {
                    self.page_sizes.good_page(table, request.limit, &page);
                    return Ok(page);
                }
                Err(error) => error,
            };
            let too_large = is_too_large(&error);
            if !too_large && error.kind() != ErrorKind::TimedOut {
                return Err(self.explain(table)(error));
            }
            self.windows.shrink(table);
            // Each answer that is cut off has cost the server all of it: fewer of them in bigger steps.
            let tried = if error.code() == CUT_OFF { (limit / 2).max(2) } else { limit };
            let smaller = self.page_sizes.shrink(table, tried);
            tracing::info!(%table, limit, smaller, code = error.code(), "the page was too large");
            match smaller {
                Some(smaller) if too_large && !asks_to_wait(&error) => limit = smaller,
                // A timeout of our own, or a server that asks to wait: the retry layer waits first.
                Some(_) => return Err(error),
                None if one_row.may_be_tried_again(&error) => {}
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
        let row_key = self.table(table).await?.row_key();
        let key = row_key.fields();
        let read = self.prepare(table, &columns_with_key(columns, key), &key.into()).await?;
        let shape = read.shape_of(columns);
        fetch::fetch(&self.client, &read, &shape, keys).await
    }
}
