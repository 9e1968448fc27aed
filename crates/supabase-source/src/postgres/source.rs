//! [`PostgresSource`]: the contract of [`Source`] over a connection to Postgres itself.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::{Arc, MutexGuard, PoisonError};

use async_trait::async_trait;
use migrate_core::catalog::{Catalog, TableSchema, TableState};
use migrate_core::names::{FieldName, SourceKey, TableName};
use migrate_core::record::Record;
use migrate_core::source::{KeyRange, Page, PageRequest};
use migrate_core::{Error, ErrorKind, Result, Source};
use secrecy::ExposeSecret as _;

use super::address::Address;
use super::connect::connect;
use super::copies::{Copies, Open, Place, Taken};
use super::copy::{Copy, Next};
use super::errors::{SEE_ALL_ROWS, query_error, table_error};
use super::snapshot::{Reader, Snapshot, first_text};
use super::table_copy::TableCopy;
use super::{PostgresCatalog, PostgresSettings, filter_sql, lookup, pooler, ranges, sql, statement};
use crate::errors::grant_statement;
use crate::filter::RowFilter;
use crate::partition::block_ranges;
use crate::table_read::columns_with_key;

/// By table, columns and key.
type Prepared = HashMap<(TableName, Arc<[FieldName]>, Arc<[FieldName]>), Arc<TableCopy>>;

/// A Supabase project, read straight from its Postgres: every table as it was at one moment.
///
/// The first read takes a snapshot, which all later ones share, counts too; rows that change meanwhile are not seen. It
/// lives as long as the source and its leading connection: when that breaks, the next read takes another and logs a
/// warning. Rows come by `COPY … (FORMAT binary)`, in key order. A page that goes on where the last one of its range ended
/// is a slice of the COPY that is open there; any other opens one of its own.
///
/// A transaction stays open all the while. It holds up `VACUUM`, and every change to the definition of a table that it
/// has read.
pub struct PostgresSource {
    settings: PostgresSettings,
    address: Address,
    filters: BTreeMap<TableName, Translated>,
    known: tokio::sync::Mutex<HashMap<TableName, Arc<TableSchema>>>,
    prepared: std::sync::Mutex<Prepared>,
    snapshot: tokio::sync::Mutex<Option<Arc<Snapshot>>>,
    copies: Copies,
}

/// A row filter and its SQL.
#[derive(Debug)]
struct Translated {
    filter: RowFilter,
    conditions: Vec<String>,
}

impl fmt::Debug for PostgresSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresSource").field("address", &self.address.shown).finish_non_exhaustive()
    }
}

/// A reader with the place among the connections that it takes.
struct Seat {
    reader: Reader,
    place: Place,
    snapshot: Arc<Snapshot>,
}

impl Seat {
    /// Gives back a reader whose statements all succeeded.
    fn leave(self) {
        self.snapshot.put_back(self.reader);
    }
}

impl PostgresSource {
    /// A source for the database. It connects to nothing yet.
    ///
    /// # Errors
    /// `Config` for what is no connection string, which is never shown, and for a row filter that has no SQL.
    pub fn new(settings: PostgresSettings) -> Result<Self> {
        let address = Address::parse(settings.url.expose_secret())?;
        let translate = |(table, text): (&TableName, &String)| {
            let filter = RowFilter::parse(table, text)?;
            let conditions = filter_sql::conditions(&filter)?;
            Ok((table.clone(), Translated { filter, conditions }))
        };
        let filters = settings.filters.iter().map(translate).collect::<Result<_>>()?;
        let copies = Copies::new(settings.connections);
        Ok(Self {
            settings,
            address,
            filters,
            known: tokio::sync::Mutex::default(),
            prepared: std::sync::Mutex::default(),
            snapshot: tokio::sync::Mutex::default(),
            copies,
        })
    }

    /// Takes the columns' types from a catalog that was made earlier, so that reading needs no discovery.
    #[must_use]
    pub fn with_catalog(mut self, catalog: &Catalog) -> Self {
        *self.known.get_mut() = readable(catalog);
        self
    }

    fn prepared(&self) -> MutexGuard<'_, Prepared> {
        self.prepared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn conditions(&self, table: &TableName) -> &[String] {
        self.filters.get(table).map_or(&[], |translated| &translated.conditions)
    }

    /// Names the table's row filter in an error that it may have caused.
    fn explain(&self, table: &TableName) -> impl Fn(Error) -> Error {
        let translated = self.filters.get(table);
        move |error| match translated {
            Some(Translated { filter, .. }) => filter.explain(error),
            None => error,
        }
    }

    /// The snapshot of this source; the first call takes it.
    async fn snapshot(&self) -> Result<Arc<Snapshot>> {
        let mut held = self.snapshot.lock().await;
        if let Some(snapshot) = held.as_ref().filter(|snapshot| snapshot.is_alive()) {
            return Ok(snapshot.clone());
        }
        let settings = &self.settings;
        let taken = Snapshot::take(&self.address, settings.connect_timeout, settings.allow_partial).await?;
        if held.is_some() {
            tracing::warn!(
                "the connection that held the snapshot broke: what follows is read as the database is now, so that rows of \
                 different tables may not fit together"
            );
        }
        *held = Some(taken.clone());
        Ok(taken)
    }

    async fn seat(&self, place: Place) -> Result<Seat> {
        let snapshot = self.snapshot().await?;
        let reader = snapshot.reader(&self.address, self.settings.connect_timeout).await?;
        Ok(Seat { reader, place, snapshot })
    }

    /// The table as the catalog has it.
    ///
    /// # Errors
    /// `TableMissing`, `Forbidden`; those of discovery, which is done for a table that is not known yet.
    async fn table(&self, name: &TableName) -> Result<Arc<TableSchema>> {
        let mut known = self.known.lock().await;
        if let Some(table) = known.get(name) {
            return Ok(table.clone());
        }
        let settings =
            PostgresSettings { schemas: Vec::new(), expected_tables: vec![name.clone()], ..self.settings.clone() };
        let catalog = PostgresCatalog::new(settings)?.discover().await?;
        let found = catalog.tables.into_iter().find(|table| table.name == *name);
        match found {
            Some(table) if table.state == TableState::Forbidden => {
                let role = self.address.config.get_user().unwrap_or_default();
                Err(Error::new(ErrorKind::Forbidden, "read a table that the role may not select from")
                    .with_context("table", name)
                    .with_remedy(format!("as the owner, run: {}", grant_statement(name, role))))
            }
            Some(table) if table.state != TableState::Missing => {
                let table = Arc::new(table);
                known.insert(name.clone(), table.clone());
                Ok(table)
            }
            _ => Err(Error::new(ErrorKind::TableMissing, "read a table that does not exist")
                .with_context("table", name)
                .with_remedy("check its name and its schema")),
        }
    }

    async fn prepare(
        &self,
        table: &TableName,
        columns: &Arc<[FieldName]>,
        key: &Arc<[FieldName]>,
    ) -> Result<Arc<TableCopy>> {
        let of = (table.clone(), columns.clone(), key.clone());
        if let Some(copy) = self.prepared().get(&of) {
            return Ok(copy.clone());
        }
        let schema = self.table(table).await?;
        let seat = self.seat(self.copies.short_place().await?).await?;
        let copy = Arc::new(TableCopy::prepare(&schema, columns, key, &seat.reader, &self.address).await?);
        seat.leave();
        Ok(self.prepared().entry(of).or_insert(copy).clone())
    }

    /// The first column of what a statement about a table gives, as texts.
    async fn texts(&self, table: &TableName, statement: &str, action: &str) -> Result<Vec<String>> {
        let seat = self.seat(self.copies.short_place().await?).await?;
        let failed = |error: tokio_postgres::Error| table_error(&error, action, table, &self.address);
        let path = format!("set local search_path = {}, public, extensions", statement::quoted(table.schema()));
        seat.reader.client.batch_execute(&path).await.map_err(failed)?;
        let rows = seat.reader.client.query_typed(statement, &[]).await.map_err(failed)?;
        seat.leave();
        let unread = |_| Error::new(ErrorKind::Protocol, format!("{action}: the answer is not in the form of one"));
        rows.iter().map(|row| row.try_get(0).map_err(unread)).collect()
    }

    /// Proves at the end of a range that no row was left out because a key column of it is NULL.
    async fn require_no_nulls(&self, copy: &TableCopy) -> Result<()> {
        let table = &copy.read.shape.table;
        let nulls = copy.read.nullable_key.iter().map(|name| format!("{} is null", statement::column(name)));
        let nulls: Vec<String> = nulls.collect();
        if nulls.is_empty() {
            return Ok(());
        }
        let mut conditions = vec![format!("({})", nulls.join(" or "))];
        conditions.extend(self.conditions(table).iter().cloned());
        let statement = format!("select 'found' from {}{} limit 1", copy.from, statement::conditions(&conditions));
        if self.texts(table, &statement, "look for rows without a key").await?.is_empty() {
            return Ok(());
        }
        Err(Error::new(ErrorKind::Config, "read all rows: the key of some is NULL")
            .with_context("table", table)
            .with_remedy(
                "name other columns as its key, or leave these rows out by a row filter such as id=not.is.null",
            ))
    }

    async fn next_page(&self, request: &PageRequest) -> Result<Page> {
        let copy = self.prepare(&request.table, &request.columns, &request.key).await?;
        let open = match self.copies.take(request) {
            Taken::Open(open) => *open,
            Taken::Ended => return self.end(&copy, 0).await,
            Taken::Nothing => {
                let Seat { reader, place, snapshot } = self.seat(self.copies.place().await?).await?;
                let conditions = self.conditions(&request.table);
                let copy = Copy::begin(copy.clone(), request, conditions, reader, &self.address).await?;
                Open { copy, place, snapshot }
            }
        };
        let Open { copy: begun, place, snapshot } = open;
        let (page, open) = match begun.next(request.limit.max(1), &self.address).await? {
            Next::Page(page, copy) => (page, Some(Open { copy, place, snapshot })),
            Next::Last(page, reader) => {
                snapshot.put_back(reader);
                drop(place);
                (page, None)
            }
        };
        match page.next.clone() {
            Some(next) => {
                self.copies.put(request, next, open);
                Ok(page)
            }
            None => self.end(&copy, page.bytes).await,
        }
    }

    /// The empty page that ends a range.
    async fn end(&self, copy: &TableCopy, bytes: u64) -> Result<Page> {
        self.require_no_nulls(copy).await?;
        Ok(Page { records: Vec::new(), next: None, bytes })
    }

    /// Refuses a role that row-level security hides rows from, naming the tables.
    async fn require_full_sight(&self) -> Result<()> {
        if self.settings.allow_partial {
            return Ok(());
        }
        let client = connect(&self.address, self.settings.connect_timeout).await?;
        let schemas: Vec<String> = self.settings.schemas.iter().map(|name| statement::literal(name)).collect();
        let names = self.settings.expected_tables.iter();
        let names: Vec<String> = names
            .map(|table| format!("({}, {})", statement::literal(table.schema()), statement::literal(table.name())))
            .collect();
        let answer = client.simple_query(&sql::hidden_tables(&schemas, &names)).await;
        let answer = answer.map_err(|error| query_error(&error, "ask for row-level security", &self.address))?;
        match first_text(&answer) {
            Some(hidden) if !hidden.is_empty() => {
                Err(Error::new(ErrorKind::Config, "read every row: row-level security hides rows from this role")
                    .with_context("tables", hidden)
                    .with_remedy(SEE_ALL_ROWS))
            }
            _ => Ok(()),
        }
    }
}

/// The tables that can be read, by name.
fn readable(catalog: &Catalog) -> HashMap<TableName, Arc<TableSchema>> {
    let there = |table: &&TableSchema| {
        !table.columns.is_empty() && matches!(table.state, TableState::Present | TableState::Empty)
    };
    catalog.tables.iter().filter(there).map(|table| (table.name.clone(), Arc::new(table.clone()))).collect()
}

#[async_trait]
impl Source for PostgresSource {
    async fn check(&self) -> Result<()> {
        pooler::require_session(&self.address, self.settings.connect_timeout).await?;
        self.require_full_sight().await
    }

    async fn discover(&self) -> Result<Catalog> {
        let catalog = PostgresCatalog::new(self.settings.clone())?.discover().await?;
        *self.known.lock().await = readable(&catalog);
        self.prepared().clear();
        Ok(catalog)
    }

    async fn count(&self, table: &TableName) -> Result<Option<u64>> {
        self.table(table).await?;
        let conditions = statement::conditions(self.conditions(table));
        let statement = format!("select count(*)::text from {} t{conditions}", statement::relation(table));
        let counted = self.texts(table, &statement, "count the rows").await.map_err(self.explain(table))?;
        Ok(counted.first().and_then(|count| count.parse().ok()))
    }

    async fn partitions(&self, table: &TableName, key: &[FieldName], wanted: usize) -> Result<Vec<KeyRange>> {
        let copy = self.prepare(table, &key.into(), &key.into()).await?;
        let is_of_several_tables = copy.read.by_place && !copy.is_in_place_order();
        if wanted <= 1 || !copy.is_stored || is_of_several_tables {
            return Ok(vec![KeyRange::all()]);
        }
        if copy.read.by_place {
            let name = statement::literal(&statement::relation(table));
            let size = format!("select (pg_catalog.pg_relation_size({name}::regclass) / 8192)::text");
            let blocks = self.texts(table, &size, "ask for the table's size").await?;
            let last =
                blocks.first().and_then(|blocks| blocks.parse().ok()).map_or(0, |blocks: u64| blocks.saturating_sub(1));
            return Ok(block_ranges(last, wanted));
        }
        let conditions = self.conditions(table);
        let statements = [ranges::histogram(&copy), ranges::sample(&copy, conditions, wanted)];
        for statement in statements.into_iter().flatten() {
            let keys = self.texts(table, &statement, "look for even parts of the table").await;
            let keys = keys.map_err(self.explain(table))?;
            if keys.len() >= wanted {
                return Ok(ranges::ranges(&keys, wanted));
            }
        }
        Ok(vec![KeyRange::all()])
    }

    async fn read_page(&self, request: PageRequest) -> Result<Page> {
        self.next_page(&request).await.map_err(self.explain(&request.table))
    }

    async fn fetch(&self, table: &TableName, keys: &[SourceKey], columns: &[FieldName]) -> Result<Vec<Option<Record>>> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let row_key = self.table(table).await?.row_key();
        let key = row_key.fields();
        let copy = self.prepare(table, &columns_with_key(columns, key), &key.into()).await?;
        let shape = copy.read.shape_of(columns);
        let mut seat = self.seat(self.copies.short_place().await?).await?;
        let found = lookup::fetch(&copy, &shape, keys, &mut seat.reader, &self.address).await?;
        seat.leave();
        Ok(found)
    }
}
