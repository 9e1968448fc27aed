use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::{Connection, OptionalExtension as _, params};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::canonical::Salt;
use crate::error::{Error, ErrorKind, Result};

/// Marks the file as ours, in SQLite's `application_id`: "S2CV".
const APPLICATION_ID: i64 = 0x5332_4356;

const TABLES: &str = "
    create table facts (name text primary key, value text not null) strict, without rowid;
    create table legacy (id text not null, place integer not null, key text not null) strict;
    create table missing (place integer not null, key text not null, primary key (place, key)) strict, without rowid;
    create table alternates (space text not null, alternate text not null, key text not null,
        primary key (space, alternate)) strict, without rowid;
";

/// What was read from the sink, in one SQLite file: a line for each document, with its row's key and its hash, but
/// without its values. So memory does not grow with the tables, and a verification that was stopped goes on.
#[derive(Debug, Clone)]
pub(super) struct Spool {
    path: PathBuf,
    connection: Arc<Mutex<Connection>>,
    pub(super) salt: Salt,
    /// True where another verification of the same had begun it.
    pub(super) resumed: bool,
}

impl Spool {
    /// Opens the spool of this verification in a folder, or begins it: where another one's is there, anew.
    pub(super) async fn open(folder: PathBuf, identity: String, fresh: bool) -> Result<Self> {
        blocking(move || {
            let path = folder.join("verify.sqlite");
            if !fresh
                && path.exists()
                && let Ok(Some(known)) = Self::reopen(&path, &identity)
            {
                return Ok(known);
            }
            remove(&path)?;
            let failed = |error: rusqlite::Error| spool_error(&path, error);
            let connection = connect(&path)?;
            let made = format!("begin; {TABLES} pragma application_id = {APPLICATION_ID}; commit;");
            connection.execute_batch(&made).map_err(failed)?;
            let salt: [u8; 16] = connection.query_row("select randomblob(16)", [], |row| row.get(0)).map_err(failed)?;
            connection
                .execute("insert into facts values ('identity', ?1), ('salt', ?2)", params![identity, json(&salt)?])
                .map_err(failed)?;
            Ok(Self { connection: Arc::new(Mutex::new(connection)), salt, resumed: false, path })
        })
        .await
    }

    /// The spool that is there, where it is of this verification.
    fn reopen(path: &Path, identity: &str) -> Result<Option<Self>> {
        let connection = connect(path)?;
        let failed = |error: rusqlite::Error| spool_error(path, error);
        let fact = |name: &str| {
            let found = connection.query_row("select value from facts where name = ?1", [name], |row| row.get(0));
            found.optional().map_err(failed)
        };
        let (known, salt): (Option<String>, Option<String>) = (fact("identity")?, fact("salt")?);
        let salt = salt.and_then(|salt| serde_json::from_str(&salt).ok());
        let Some(salt) = salt.filter(|_| known.as_deref() == Some(identity)) else { return Ok(None) };
        Ok(Some(Self { connection: Arc::new(Mutex::new(connection)), salt, resumed: true, path: path.to_owned() }))
    }

    /// Removes the files: the verification is at its end.
    pub(super) async fn remove(self) -> Result<()> {
        blocking(move || {
            drop(self.connection);
            remove(&self.path)?;
            remove(&adopted_path(&self.path))
        })
        .await
    }

    /// The file that keeps which documents adopted rows have.
    pub(super) fn adopted(&self) -> Result<PathBuf> {
        let path = adopted_path(&self.path);
        if !self.resumed {
            remove(&path)?;
        }
        Ok(path)
    }

    /// Runs `work` in one transaction, on a thread that may block.
    pub(super) async fn with<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T> {
        let spool = self.clone();
        blocking(move || spool.with_blocking(work)).await
    }

    /// Runs `work` in one transaction, on this thread.
    pub(super) fn with_blocking<T>(&self, work: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T> {
        let mut connection = self.connection.lock().unwrap_or_else(PoisonError::into_inner);
        let transaction = connection.transaction().map_err(|error| spool_error(&self.path, error))?;
        let done = work(&transaction).and_then(|value| transaction.commit().map(|()| value));
        done.map_err(|error| spool_error(&self.path, error))
    }

    /// A fact that was kept.
    pub(super) async fn fact<T: DeserializeOwned>(&self, name: String) -> Result<Option<T>> {
        let text: Option<String> = self
            .with(move |connection| {
                let mut query = connection.prepare_cached("select value from facts where name = ?1")?;
                query.query_row([name], |row| row.get(0)).optional()
            })
            .await?;
        Ok(text.and_then(|text| serde_json::from_str(&text).ok()))
    }

    /// Keeps a fact.
    pub(super) async fn set_fact<T: Serialize>(&self, name: String, value: &T) -> Result<()> {
        let text = json(value)?;
        self.with(move |connection| {
            connection.execute("insert or replace into facts values (?1, ?2)", [name, text]).map(drop)
        })
        .await
    }
}

fn connect(path: &Path) -> Result<Connection> {
    let failed = |error: rusqlite::Error| spool_error(path, error);
    let connection = Connection::open(path).map_err(failed)?;
    // One connection reads and writes, and nearly all that it writes is new: a write-ahead log would have it twice.
    connection.pragma_update(None, "journal_mode", "truncate").map_err(failed)?;
    // What a power cut may lose is read again.
    connection.pragma_update(None, "synchronous", "off").map_err(failed)?;
    // In KiB. An index is sorted in as much again, by so many threads besides this one.
    connection.pragma_update(None, "cache_size", -4_096).map_err(failed)?;
    connection.pragma_update(None, "threads", 3).map_err(failed)?;
    connection.set_prepared_statement_cache_capacity(64);
    Ok(connection)
}

fn adopted_path(path: &Path) -> PathBuf {
    path.with_file_name("verify-adopted.sqlite")
}

fn remove(path: &Path) -> Result<()> {
    // The other file's state has a write-ahead log, and so had this one's older form.
    for ending in ["", "-journal", "-wal", "-shm"] {
        let mut file = path.as_os_str().to_owned();
        file.push(ending);
        match std::fs::remove_file(&file) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(Error::new(ErrorKind::Io, "remove a verification's file")
                    .with_context("file", Path::new(&file).display())
                    .with_source(error));
            }
            _ => {}
        }
    }
    Ok(())
}

fn json<T: Serialize>(value: &T) -> Result<String> {
    serde_json::to_string(value)
        .map_err(|error| Error::new(ErrorKind::Unexpected, "write a verification's facts as JSON").with_source(error))
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|_| Err(Error::new(ErrorKind::Unexpected, "finish a step of the verification's thread")))
}

fn spool_error(path: &Path, error: rusqlite::Error) -> Error {
    Error::new(ErrorKind::Io, "keep what was read of the sink")
        .with_context("file", path.display())
        .with_remedy("check the folder's rights and the disk's free space, and that no other verification runs; --fresh begins anew")
        .with_source(error)
}

pub(super) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

pub(super) fn number(place: usize) -> i64 {
    i64::try_from(place).unwrap_or(i64::MAX)
}
