//! One snapshot of the database, and the connections that read in it.
//!
//! The leader's transaction exports the snapshot and stays open; every reader's transaction takes it over (Postgres docs,
//! "Snapshot Synchronization Functions"). A reader that is lost costs nothing but its connection. When the leader is lost,
//! its snapshot cannot be taken over any more, and the next read begins another.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use migrate_core::{Error, ErrorKind, Result};
use tokio::task::JoinHandle;
use tokio_postgres::{Client, SimpleQueryMessage};

use super::address::Address;
use super::connect::{connect, open};
use super::errors::query_error;

const BEGIN: &str = "begin isolation level repeatable read, read only";

/// What a transaction sets for itself: texts in one form whatever the role's settings, and time without a limit, as one
/// statement reads a whole range. `row_security = off` makes a statement fail that would not see every row.
const SETTINGS: &str = "
set local standard_conforming_strings = on;
set local datestyle = 'ISO, YMD';
set local intervalstyle = 'postgres';
set local timezone = 'UTC';
set local extra_float_digits = 1;
set local bytea_output = 'hex';
set local statement_timeout = 0;
set local idle_in_transaction_session_timeout = 0;
set local lock_timeout = '30s';
set local jit = off;
set local synchronize_seqscans = off;
";

/// A limit that only newer servers have.
const LIFT_TRANSACTION_TIMEOUT: &str =
    "select set_config(name, '0', true) from pg_catalog.pg_settings where name = 'transaction_timeout'";

/// A connection whose transaction sees the snapshot.
pub(super) struct Reader {
    pub(super) client: Client,
    task: JoinHandle<()>,
    /// Set while a COPY is under way: its rows would be read to the end before the connection could close.
    pub(super) is_copying: bool,
}

impl Drop for Reader {
    fn drop(&mut self) {
        if self.is_copying {
            self.task.abort();
        }
    }
}

/// An exported snapshot.
pub(super) struct Snapshot {
    id: String,
    leader: Client,
    idle: Mutex<Vec<Reader>>,
    sees_part: bool,
}

impl Snapshot {
    /// Takes one. `sees_part` accepts that row-level security hides rows.
    ///
    /// # Errors
    /// Those of a connection; `Config` where a pooler holds no transaction.
    pub(super) async fn take(address: &Address, limit: Duration, sees_part: bool) -> Result<Arc<Self>> {
        let leader = connect(address, limit).await?;
        begin(&leader, address, None, sees_part).await?;
        let exported = leader.simple_query("select pg_catalog.pg_export_snapshot()").await;
        let exported = exported.map_err(|error| query_error(&error, "export a snapshot", address))?;
        let id = first_text(&exported)
            .ok_or_else(|| Error::new(ErrorKind::Protocol, "export a snapshot: the server names none"))?;
        Ok(Arc::new(Self { id, leader, idle: Mutex::default(), sees_part }))
    }

    /// Whether readers may still take it over.
    pub(super) fn is_alive(&self) -> bool {
        !self.leader.is_closed()
    }

    /// A connection that sees it: one that is idle, else a new one.
    ///
    /// # Errors
    /// Those of a connection; `Unavailable` when the leader is gone.
    pub(super) async fn reader(&self, address: &Address, limit: Duration) -> Result<Reader> {
        while let Some(reader) = self.idle().pop() {
            if !reader.client.is_closed() {
                return Ok(reader);
            }
        }
        let (client, task) = open(address, limit).await?;
        begin(&client, address, Some(&self.id), self.sees_part).await?;
        Ok(Reader { client, task, is_copying: false })
    }

    /// Takes back a reader whose last statement succeeded. One that failed is dropped: its transaction is aborted.
    pub(super) fn put_back(&self, mut reader: Reader) {
        reader.is_copying = false;
        self.idle().push(reader);
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Reader>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn begin(client: &Client, address: &Address, snapshot: Option<&str>, sees_part: bool) -> Result<()> {
    let failed = |error: tokio_postgres::Error| query_error(&error, "begin to read in a snapshot", address);
    client.batch_execute(BEGIN).await.map_err(failed)?;
    if let Some(id) = snapshot {
        let taken = client.batch_execute(&format!("set transaction snapshot '{id}'")).await;
        taken.map_err(|error| match error.as_db_error() {
            // The server knows no such snapshot, or its leader has ended.
            Some(_) => Error::new(ErrorKind::Unavailable, "take over the snapshot: it is gone")
                .with_context("address", &address.shown),
            None => failed(error),
        })?;
    }
    client.batch_execute(SETTINGS).await.map_err(failed)?;
    if !sees_part {
        client.batch_execute("set local row_security = off").await.map_err(failed)?;
    }
    client.simple_query(LIFT_TRANSACTION_TIMEOUT).await.map_err(failed)?;
    Ok(())
}

/// The first column of the first row.
pub(super) fn first_text(messages: &[SimpleQueryMessage]) -> Option<String> {
    messages.iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
        _ => None,
    })
}
