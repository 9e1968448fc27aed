//! What is there: the OpenAPI document, for each table probes for what the document does not say, and Postgres' own
//! catalog where it can be reached.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures::{StreamExt as _, stream};
use migrate_core::catalog::{
    CATALOG_VERSION, Catalog, InventoryItem, InventoryKind, TableKind, TableSchema, TableState,
};
use migrate_core::names::TableName;
use migrate_core::{Disposition, ErrorKind, Result};

use crate::client::Client;
use crate::errors::{Attempt, grant_statement, protocol_error};
use crate::merge::merge;
use crate::openapi::{Document, NOT_IN_OPENAPI};
use crate::page_size::is_too_large;
use crate::postgres::{PostgresCatalog, PostgresSettings};
use crate::query::ReadQuery;
use crate::settings::SupabaseSettings;

/// The tables and views of `schema` as the OpenAPI document lists them, and the document's origin. One request.
///
/// # Errors
/// As [`crate::errors::parse_error`]; `Protocol` for another document than PostgREST's.
pub(crate) async fn listed(client: &Client, schema: &str) -> Result<(String, Vec<TableSchema>)> {
    let action = "read the OpenAPI document";
    let reply = client.root(schema, action).await?;
    let attempt = client.attempt(action, None);
    read_document(&reply.body, schema, &attempt)
}

/// The tables of an OpenAPI document, with what made it.
///
/// # Errors
/// `Unavailable` when it ends early, `Protocol` when it is not one of PostgREST.
pub(crate) fn read_document(body: &[u8], schema: &str, attempt: &Attempt<'_>) -> Result<(String, Vec<TableSchema>)> {
    let document: Document = serde_json::from_slice(body).map_err(|error| {
        if error.is_eof() {
            migrate_core::Error::new(ErrorKind::Unavailable, format!("{}: it ends in the middle", attempt.action))
        } else {
            protocol_error(attempt, "it is not one of PostgREST; db-root-spec may have replaced it")
        }
    })?;
    let tables = document.tables(schema).map_err(|name| {
        protocol_error(attempt, "a definition in it is not in the form of one").with_context("table", name)
    })?;
    Ok((document.origin(), tables))
}

/// The reader of Postgres' own catalog; `None` where no connection string is set.
///
/// # Errors
/// `Config` for what is no connection string, or one of another project.
pub(crate) fn postgres(settings: &SupabaseSettings) -> Result<Option<PostgresCatalog>> {
    let Some(of_postgres) = PostgresSettings::of(settings) else { return Ok(None) };
    let postgres = PostgresCatalog::new(of_postgres)?;
    postgres.require_project(settings.rest_url()?.host_str().unwrap_or_default())?;
    Ok(Some(postgres))
}

/// The catalog of the settings' schemas and of expected tables, from the data API and, where it is set, from Postgres.
///
/// # Errors
/// As [`discover`] and [`PostgresCatalog::discover`].
pub(crate) async fn discover_all(client: &Client, settings: &SupabaseSettings, known: &Probes) -> Result<Catalog> {
    let of_postgres = match postgres(settings)? {
        Some(postgres) => Some(postgres.discover().await?),
        None => None,
    };
    with_postgres(client, settings, of_postgres, known).await
}

/// The catalog of the data API, merged with Postgres', where that is known.
///
/// # Errors
/// As [`discover`].
pub(crate) async fn with_postgres(
    client: &Client,
    settings: &SupabaseSettings,
    of_postgres: Option<Catalog>,
    known: &Probes,
) -> Result<Catalog> {
    let Some(of_postgres) = of_postgres else { return discover(client, settings, &[], known).await };
    // Those that the document does not list are asked for by name: a table may be forbidden, or new.
    let there = of_postgres.tables.iter().filter(|table| !table.columns.is_empty()).map(|table| table.name.clone());
    let there: Vec<TableName> = there.collect();
    let of_api = discover(client, settings, &there, known).await?;
    Ok(merge(of_api, of_postgres))
}

/// The catalog of the settings' schemas, of the schemas of expected tables, and of the tables `there`, as the data API
/// tells it.
///
/// It goes on after a few requests that failed, and `known` keeps what the others said: the next attempt asks for the
/// rest alone, or a project of many tables would hardly be discovered while requests fail.
///
/// # Errors
/// Those of the requests, but for tables that are missing or forbidden: that is their state.
pub(crate) async fn discover(
    client: &Client,
    settings: &SupabaseSettings,
    there: &[TableName],
    known: &Probes,
) -> Result<Catalog> {
    let mut origin = String::new();
    let mut unknown: Vec<String> = NOT_IN_OPENAPI.iter().copied().map(str::to_owned).collect();
    let mut found: BTreeMap<TableName, TableSchema> = BTreeMap::new();
    for schema in &settings.schemas {
        let (document, tables) = listed(client, schema).await?;
        origin = document;
        found.extend(by_name(tables));
    }
    let expected: BTreeSet<&TableName> = settings.expected_tables.iter().collect();
    let mut others: BTreeSet<&str> = expected.iter().map(|table| table.schema()).collect();
    others.retain(|other| !settings.schemas.iter().any(|schema| schema == other));
    let mut closed = BTreeSet::new();
    for schema in others {
        match listed(client, schema).await {
            Ok((_, tables)) => found.extend(by_name(tables).into_iter().filter(|(name, _)| expected.contains(name))),
            Err(error) if error.code() == "PGRST106" => {
                unknown
                    .push(format!("the schema {schema} is not exposed: add it to the exposed schemas of the data API"));
                closed.insert(schema);
            }
            Err(error) => return Err(error),
        }
    }
    for name in expected.iter().copied().chain(there) {
        if !found.contains_key(name) {
            found.insert(name.clone(), TableSchema::new(name.clone()));
        }
    }
    let probes = found.into_values().map(|table| {
        let closed = closed.contains(table.name.schema());
        async move {
            let probe = if closed { Probe::Missing } else { known.probe(client, &table).await? };
            Ok::<_, migrate_core::Error>((table, probe))
        }
    });
    let mut probes = stream::iter(probes).buffered(settings.concurrency.max(1));
    let (mut tables, mut inventory) = (Vec::new(), Vec::new());
    let mut failed = Vec::new();
    while let Some(answer) = probes.next().await {
        let (mut table, probe) = match answer {
            Ok(found) => found,
            Err(error) if error.disposition() == Disposition::Retry && failed.len() < FAILURES => {
                failed.push(error);
                continue;
            }
            Err(error) => return Err(error),
        };
        let is_listed = !table.columns.is_empty();
        let name = qualified(&table.name);
        match &probe {
            Probe::Forbidden => {
                let grant = grant_statement(&table.name, client.key().role());
                unknown.push(format!("table {name} may not be read with this key; run: {grant}"));
            }
            Probe::Broken(code) => unknown.push(format!(
                "rows of {name}: reading them fails with {code} of Postgres; select from it in SQL to see why"
            )),
            Probe::Unanswered => unknown.push(format!(
                "rows of {name}: the data API gives no answer for it, as its name has a control character; with \
                 supabase.access = \"postgres\" they can be read"
            )),
            Probe::Readable { .. } if !is_listed => unknown.push(unlisted(&table.name)),
            Probe::Readable { rows: None, .. } => {
                unknown.push(format!("the number of rows of table {name}: counting them takes too long"));
            }
            Probe::Readable { .. } | Probe::Missing => {}
        }
        (table.state, table.rows) = match probe {
            Probe::Readable { rows: Some(0), .. } => (TableState::Empty, Some(0)),
            Probe::Readable { rows, .. } => (TableState::Present, rows),
            Probe::Forbidden | Probe::Broken(_) | Probe::Unanswered => (TableState::Forbidden, None),
            Probe::Missing => (TableState::Missing, None),
        };
        if matches!(probe, Probe::Readable { is_view: true, .. }) {
            table.kind = TableKind::View;
            if !expected.contains(&table.name) {
                inventory.push(InventoryItem { kind: InventoryKind::View, name: table.name.to_string(), detail: None });
            }
        }
        tables.push(table);
    }
    if let Some(error) = failed.into_iter().next() {
        return Err(error);
    }
    known.forget();
    Ok(Catalog { version: CATALOG_VERSION, origin, unknown, differences: Vec::new(), tables, inventory })
}

/// That the document does not list a table which can be read.
pub(crate) fn unlisted(table: &TableName) -> String {
    format!(
        "columns of table {}: it can be read, but the OpenAPI document does not list it; run: notify pgrst, 'reload schema';",
        qualified(table)
    )
}

/// Tables whose probes may fail in one attempt, in the hope that others do better; after more it is given up.
const FAILURES: usize = 3;

/// How long an attempt may rest on what an earlier one found: longer than any wait between two.
const KEPT: Duration = Duration::from_mins(10);

/// What the probes said until an attempt at the discovery failed.
#[derive(Debug, Default)]
pub(crate) struct Probes(Mutex<HashMap<TableName, (Instant, Probe)>>);

impl Probes {
    async fn probe(&self, client: &Client, table: &TableSchema) -> Result<Probe> {
        let known = self.lock().get(&table.name).filter(|(at, _)| at.elapsed() < KEPT).map(|(_, known)| known.clone());
        if let Some(known) = known {
            return Ok(known);
        }
        let found = probe(client, table).await?;
        self.lock().insert(table.name.clone(), (Instant::now(), found.clone()));
        Ok(found)
    }

    fn forget(&self) {
        self.lock().clear();
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<TableName, (Instant, Probe)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the probes of one listed name say.
#[derive(Debug, Clone)]
enum Probe {
    /// A table or view, and its rows unless counting them takes too long.
    Readable {
        rows: Option<u64>,
        is_view: bool,
    },
    Missing,
    Forbidden,
    /// It is there, and Postgres fails to read it, with this code: a view that raises, a server that is gone.
    Broken(String),
    /// Its name has a control character, and no answer comes: PostgREST 12 writes the name as it is into a header.
    Unanswered,
}

async fn probe(client: &Client, table: &TableSchema) -> Result<Probe> {
    let rows = match client.count(&table.name).await {
        Ok(rows) => Some(rows),
        Err(error) if error.kind() == ErrorKind::TableMissing => return Ok(Probe::Missing),
        Err(error) if error.kind() == ErrorKind::Forbidden => return Ok(Probe::Forbidden),
        Err(error) if is_too_large(&error) => None,
        // One such table must not be the end of all others, however often it is tried.
        Err(error) if error.disposition() == Disposition::Retry && has_control(&table.name) => {
            return Ok(Probe::Unanswered);
        }
        Err(error) if is_of_the_table(&error) => return Ok(Probe::Broken(error.code().to_owned())),
        Err(error) => return Err(error),
    };
    // A view has no ctid: 42703. Without rows the query is planned only.
    let ctid = ReadQuery { select: Some("ctid".to_owned()), limit: Some(0), ..ReadQuery::of(&table.name) };
    match client.probe(&ctid, "tell a table from a view").await {
        Err(error) if error.code() == "42703" => Ok(Probe::Readable { rows, is_view: true }),
        // A right on columns only does not cover system columns, but tables are what it is given on.
        Err(error) if error.kind() != ErrorKind::Forbidden => Err(error),
        _ => Ok(Probe::Readable { rows, is_view: false }),
    }
}

/// Whether Postgres itself failed, with an error that another attempt meets again.
fn is_of_the_table(error: &migrate_core::Error) -> bool {
    let is_sqlstate = error.code().len() == 5;
    let kinds = [ErrorKind::Protocol, ErrorKind::Config, ErrorKind::Unexpected];
    is_sqlstate && kinds.contains(&error.kind())
}

fn has_control(table: &TableName) -> bool {
    table.to_string().contains(char::is_control)
}

fn by_name(tables: Vec<TableSchema>) -> BTreeMap<TableName, TableSchema> {
    tables.into_iter().map(|table| (table.name.clone(), table)).collect()
}

fn qualified(name: &TableName) -> String {
    format!("{}.{}", name.schema(), name.name())
}
