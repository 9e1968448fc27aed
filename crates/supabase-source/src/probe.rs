//! What a project says of itself, one question at a time, for a diagnosis.

use std::time::SystemTime;

use futures::{StreamExt as _, stream};
use migrate_core::catalog::{Catalog, TableSchema, TableState};
use migrate_core::clock::clock_skew;
use migrate_core::names::TableName;
use migrate_core::{Error, ErrorKind, Result};
use reqwest::StatusCode;
use reqwest::header::{DATE, HeaderMap, SERVER};

use crate::client::Client;
use crate::discover;
use crate::key::KeyKind;
use crate::openapi::Document;
use crate::page_size::is_too_large;
use crate::postgres::PostgresCatalog;
use crate::query::{ReadQuery, quote};
use crate::reply::Reply;
use crate::settings::SupabaseSettings;

/// Rows that are asked for to find how many come: hosted projects allow no larger `db-max-rows`.
const MANY_ROWS: u64 = 1_000_000;

/// Asks a project what a diagnosis wants to know. It reads no rows, and repeats nothing.
#[derive(Debug)]
pub struct SupabaseProbe {
    client: Client,
    settings: SupabaseSettings,
}

/// What the root of the data API tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataApi {
    /// PostgREST's version, such as `12.0.2`, from its OpenAPI document, else from the `Server` header.
    pub version: Option<String>,
    /// Seconds that its clock is ahead of this machine's; negative where it is behind. None where it sends no date.
    pub clock_skew: Option<i64>,
}

/// Whether Supabase Auth takes the key for an administrator's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AdminProof {
    /// It shows the list of users.
    Proven,
    /// It refuses to.
    Refused,
    /// There is no Supabase Auth, or it failed for another reason.
    Untold,
}

/// How many rows one answer has at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MaxRows {
    /// Exactly so many: more were asked for, and more are there.
    Exactly(u64),
    /// As many as the largest table has, or more.
    AtLeast(u64),
}

impl SupabaseProbe {
    /// A probe of the settings' project. It sends nothing yet.
    ///
    /// # Errors
    /// `Config` for an address or a key that cannot be one.
    pub fn new(settings: SupabaseSettings) -> Result<Self> {
        Ok(Self { client: Client::new(&settings)?, settings })
    }

    /// Host and port of the project.
    #[must_use]
    pub fn address(&self) -> &str {
        self.client.address()
    }

    /// The kind of key in use, by its form.
    #[must_use]
    pub fn key_kind(&self) -> &KeyKind {
        self.client.key()
    }

    /// The reader of Postgres' own catalog; `None` where no connection string is set.
    ///
    /// # Errors
    /// `Config` for what is no connection string, or one of another project.
    pub fn postgres(&self) -> Result<Option<PostgresCatalog>> {
        discover::postgres(&self.settings)
    }

    /// Proves that the data API answers and exposes the schema.
    ///
    /// # Errors
    /// Those of the request: `Unreachable`, `Unauthorized`, `Forbidden` for a key that may not see the schema, `Config` with
    /// the code `PGRST106` for a schema that is not exposed.
    pub async fn data_api(&self, schema: &str) -> Result<DataApi> {
        let sent = SystemTime::now();
        let reply = self.client.root(schema, "reach the data API").await?;
        let answered = SystemTime::now();
        let date = text(&reply.headers, &DATE).and_then(|date| clock_skew(date, sent, answered));
        Ok(DataApi { version: version(&reply), clock_skew: date })
    }

    /// Asks Supabase Auth for the list of users, which it shows to administrators alone (`internal/api/auth.go` of its
    /// repository). Who is in it is not read.
    ///
    /// # Errors
    /// Those of a request that gets no answer.
    pub async fn admin(&self) -> Result<AdminProof> {
        Ok(match self.client.list_users().await?.status {
            StatusCode::OK => AdminProof::Proven,
            StatusCode::FORBIDDEN => AdminProof::Refused,
            _ => AdminProof::Untold,
        })
    }

    /// The catalog, as [`migrate_core::Source::discover`] makes it, from the data API and what Postgres told, if it did.
    ///
    /// # Errors
    /// Those of the requests, but for tables that are missing or forbidden: that is their state.
    pub async fn catalog(&self, of_postgres: Option<Catalog>) -> Result<Catalog> {
        discover::with_postgres(&self.client, &self.settings, of_postgres, &discover::Probes::default()).await
    }

    /// Why the tables that the catalog says are forbidden cannot be read, each error with the statement that mends it.
    pub async fn unreadable(&self, catalog: &Catalog) -> Vec<(TableName, Error)> {
        let forbidden = catalog.tables.iter().filter(|table| table.state == TableState::Forbidden);
        let asked = forbidden.map(|table| async {
            let answer = self.client.count(&table.name).await;
            answer.err().map(|error| (table.name.clone(), error))
        });
        let answers = stream::iter(asked).buffered(self.settings.concurrency.max(1));
        answers.filter_map(|answer| async { answer }).collect().await
    }

    /// How many rows one answer has at most, by asking the largest table for very many. Only their number comes.
    ///
    /// `None` where no table of a known number of rows can be read.
    ///
    /// # Errors
    /// Those of the request.
    pub async fn max_rows(&self, catalog: &Catalog) -> Result<Option<MaxRows>> {
        let Some((table, rows)) = largest(catalog) else { return Ok(None) };
        let column = table.primary_key.first().or_else(|| table.columns.first().map(|column| &column.name));
        let query = ReadQuery {
            select: column.map(|column| quote(column.as_str())),
            limit: usize::try_from(MANY_ROWS).ok(),
            ..ReadQuery::of(&table.name)
        };
        match self.client.span(&query, "find how many rows an answer has").await {
            Ok(Some((span, total))) if span < total.min(MANY_ROWS) => Ok(Some(MaxRows::Exactly(span))),
            Ok(Some((span, _))) => Ok(Some(MaxRows::AtLeast(span))),
            Ok(None) => Ok(None),
            // It would take more time than a statement has.
            Err(error) if is_too_large(&error) || error.kind() == ErrorKind::TimedOut => {
                tracing::debug!(table = %table.name, rows, "the number of rows of an answer is not known");
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }
}

/// The table with the most rows, of those that can be read.
fn largest(catalog: &Catalog) -> Option<(&TableSchema, u64)> {
    let counted = catalog.tables.iter().filter(|table| table.state == TableState::Present && !table.kind.is_view());
    counted.filter_map(|table| Some((table, table.rows?))).max_by_key(|(_, rows)| *rows)
}

fn version(reply: &Reply) -> Option<String> {
    let document: Option<Document> = serde_json::from_slice(&reply.body).ok();
    let of_document = document.and_then(|document| document.version().map(str::to_owned));
    let of_header = || text(&reply.headers, &SERVER)?.strip_prefix("postgrest/").map(str::to_owned);
    let is_version = |text: &String| text.starts_with(|first: char| first.is_ascii_digit()) && text.len() < 40;
    of_document.filter(is_version).or_else(of_header).filter(is_version)
}

fn text<'h>(headers: &'h HeaderMap, name: &reqwest::header::HeaderName) -> Option<&'h str> {
    headers.get(name)?.to_str().ok()
}
