//! Postgres itself, over connections of its own: its catalog, and the rows in one snapshot.

mod address;
mod binary;
mod binary_numeric;
mod binary_time;
mod checks;
mod connect;
mod copies;
mod copy;
mod defaults;
mod errors;
mod expression;
mod filter_sql;
mod inventory;
mod lookup;
mod pooler;
mod ranges;
mod read;
mod relations;
mod snapshot;
mod source;
mod sql;
mod statement;
mod table_copy;
mod types;

use std::collections::BTreeMap;
use std::time::Duration;

use migrate_core::catalog::{CATALOG_VERSION, Catalog};
use migrate_core::names::{DEFAULT_SCHEMA, TableName};
use migrate_core::{Error, ErrorKind, Result};
use secrecy::{ExposeSecret as _, SecretString};
use tokio_postgres::IsolationLevel;

pub use self::source::PostgresSource;

use self::address::Address;
pub use self::address::{DatabaseAddress, DatabaseHost};
use self::read::{Reader, Scope};
use crate::settings::SupabaseSettings;

/// Which catalog to read, and how.
#[derive(Debug, Clone)]
pub struct PostgresSettings {
    /// A connection string, `postgresql://user:password@host:port/database`; its debug form is redacted.
    ///
    /// `sslmode` is libpq's: `disable`, `prefer`, `require` (encrypted, whoever answers) and `verify-full` (`verify-ca` is
    /// taken as this), by default `require`, and `prefer` for this very host. `verify-full` trusts the system's
    /// certificates, or those of the file `sslrootcert`, which makes `verify-full` the default. Hosted projects have
    /// certificates of their own, which the database settings offer for download. Parameters that are not known are left
    /// out, so that `pgbouncer=true` does no harm.
    pub url: SecretString,
    /// The schemas that are discovered.
    pub schemas: Vec<String>,
    /// Tables of other schemas that are discovered too, and views that are to be migrated.
    pub expected_tables: Vec<TableName>,
    /// Counts the rows of tables of up to 64 MiB exactly, and asks larger ones for one row only, as counting reads a
    /// whole table. Without it, a table that can be read is `Present` and its rows are not known. Views and foreign
    /// tables are never counted, as what is behind them may be slow.
    pub count_rows: bool,
    /// Time to connect, over all addresses of the host.
    pub connect_timeout: Duration,
    /// Time for one statement of discovery.
    pub statement_timeout: Duration,
    /// Which rows of a table [`PostgresSource`] reads, in PostgREST's query syntax, as in
    /// [`SupabaseSettings`](crate::SupabaseSettings).
    pub filters: BTreeMap<TableName, String>,
    /// Accepts a role that row-level security hides rows from.
    pub allow_partial: bool,
    /// Connections that [`PostgresSource`] reads pages over at once, beside the one that holds the snapshot and two for
    /// look-ups and counts.
    pub connections: usize,
}

impl PostgresSettings {
    /// Settings with the defaults: schema `public`, no counts, 10 s to connect, 60 s for a statement, 4 connections.
    pub fn new(url: impl Into<SecretString>) -> Self {
        Self {
            url: url.into(),
            schemas: vec![DEFAULT_SCHEMA.to_owned()],
            expected_tables: Vec::new(),
            count_rows: false,
            connect_timeout: Duration::from_secs(10),
            statement_timeout: Duration::from_mins(1),
            filters: BTreeMap::new(),
            allow_partial: false,
            connections: 4,
        }
    }

    /// Those of a project that is read through its data API; `None` where no connection string is set.
    pub(crate) fn of(settings: &SupabaseSettings) -> Option<Self> {
        Some(Self {
            schemas: settings.schemas.clone(),
            expected_tables: settings.expected_tables.clone(),
            connect_timeout: settings.connect_timeout,
            statement_timeout: settings.request_timeout,
            ..Self::new(settings.database_url.clone()?)
        })
    }
}

/// Discovery in Postgres: `pg_catalog`, in one read-only transaction.
///
/// It tells what a data API cannot: unique keys, indexes, checks, references of several columns and to other schemas,
/// generated columns, digits, domains, and the inventory of what rows leave behind. Poolers are fine, in transaction mode
/// too. What the role may not read becomes an entry in [`Catalog::unknown`], with the remedy.
#[derive(Debug)]
pub struct PostgresCatalog {
    settings: PostgresSettings,
    address: Address,
}

impl PostgresCatalog {
    /// A reader of the catalog. It connects to nothing yet.
    ///
    /// # Errors
    /// `Config` for what is no connection string. It is never shown: it holds a password.
    pub fn new(settings: PostgresSettings) -> Result<Self> {
        let address = Address::parse(settings.url.expose_secret())?;
        Ok(Self { settings, address })
    }

    /// Where it connects to.
    #[must_use]
    pub fn address(&self) -> DatabaseAddress {
        self.address.public()
    }

    /// Refuses a connection string of another project than the one at `host`, where both name theirs.
    ///
    /// # Errors
    /// `Config`.
    pub(crate) fn require_project(&self, host: &str) -> Result<()> {
        match (self.address.project(), host.strip_suffix(".supabase.co")) {
            (Some(of_database), Some(of_api)) if of_database != of_api => {
                Err(Error::new(ErrorKind::Config, "use a database URL of another project than the Supabase URL's")
                    .with_context("project of the Supabase URL", of_api)
                    .with_context("project of the database URL", of_database)
                    .with_remedy("set SUPABASE_URL and SUPABASE_DB_URL from one project"))
            }
            _ => Ok(()),
        }
    }

    /// The catalog of the settings' schemas and expected tables.
    ///
    /// Tables that the role may not select from are `Forbidden`; expected ones that are not there are `Missing`.
    ///
    /// # Errors
    /// `Config`, `Unauthorized`, `Unreachable`, `Unavailable` or `TimedOut` for a connection that cannot be made;
    /// `Forbidden` or `Protocol` where the server refuses to show its catalog.
    pub async fn discover(&self) -> Result<Catalog> {
        let mut client = connect::connect(&self.address, self.settings.connect_timeout).await?;
        let failed = |error: tokio_postgres::Error| errors::query_error(&error, "read the catalog", &self.address);
        let transaction = client
            .build_transaction()
            .isolation_level(IsolationLevel::RepeatableRead)
            .read_only(true)
            .start()
            .await
            .map_err(failed)?;
        transaction.batch_execute(sql::SETTINGS).await.map_err(failed)?;
        // A pooler in transaction mode knows no start-up options, so the limit is set here.
        let limit = self.settings.statement_timeout.as_millis();
        transaction.batch_execute(&format!("set local statement_timeout = {limit}")).await.map_err(failed)?;
        let mut reader = Reader::new(transaction, &self.address, Scope::of(&self.settings));
        let (version, role) = reader.server().await?;
        let mut unknown = Vec::new();
        let relations = relations::read(&mut reader, &role, self.settings.count_rows, &mut unknown).await?;
        let inventory = inventory::read(&mut reader, &relations, &self.settings, &role, &mut unknown).await?;
        let mut tables: Vec<_> = relations.into_iter().map(|relation| relation.table).collect();
        relations::add_missing(&mut tables, &self.settings.expected_tables);
        Ok(Catalog {
            version: CATALOG_VERSION,
            origin: format!("PostgreSQL {version}"),
            unknown,
            differences: Vec::new(),
            tables,
            inventory,
        })
    }
}
