use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension, params};

use super::memory::foreign_plan;
use super::{BoundPlan, Checkpoint, Commit, PartitionId, StateStore};
use crate::error::{Error, ErrorKind, Result};
use crate::names::{KeySpace, SinkId, SourceKey, TableName};
use crate::reject::Reject;

/// Version of the state file's tables; kept in SQLite's `user_version`.
const STATE_VERSION: i64 = 2;

/// Bytes of rejects after which no more are read at once: they may be rejects because they are large.
const REJECT_BYTES: usize = 8 << 20;

/// Marks the file as ours, in SQLite's `application_id`: "S2C1".
const APPLICATION_ID: i64 = 0x5332_4331;

const TABLES: &str = "
    create table plan (only integer primary key check (only = 1), fingerprint text not null, identity text) strict;
    create table checkpoints (
        source text not null, range text not null, checkpoint text not null, primary key (source, range)
    ) strict, without rowid;
    create table ids (
        source text not null, key text not null, id text not null, primary key (source, key)
    ) strict, without rowid;
    create table rejects (
        position integer primary key autoincrement, source text not null, key text not null, reject text not null,
        unique (source, key)
    ) strict;
";

/// What a state of the version before lacks: what its plan shares with a mended one, which is not known then.
const UPGRADE_FROM_1: &str = "begin; alter table plan add column identity text; pragma user_version = 2; commit;";

/// A state in one SQLite file. One commit is one transaction.
///
/// The file is in write-ahead mode: a killed process loses nothing that was committed. A power cut may lose the last
/// commits, which are then written again; writes are idempotent.
#[derive(Debug)]
pub struct SqliteState {
    path: PathBuf,
    connection: Arc<Mutex<Connection>>,
}

impl SqliteState {
    /// Opens the file, or makes it.
    ///
    /// # Errors
    /// `State` when the file is corrupt, is not a state, or was made by a newer version; `Io` when it cannot be opened.
    pub fn open(path: &Path) -> Result<Self> {
        let failed = |error: rusqlite::Error| state_error(path, error);
        let connection = Connection::open(path).map_err(failed)?;
        connection.pragma_update(None, "journal_mode", "wal").map_err(failed)?;
        connection.pragma_update(None, "synchronous", "normal").map_err(failed)?;
        connection.busy_timeout(std::time::Duration::from_secs(5)).map_err(failed)?;
        let version: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0)).map_err(failed)?;
        let application: i64 =
            connection.pragma_query_value(None, "application_id", |row| row.get(0)).map_err(failed)?;
        match (application, version) {
            (0, 0) => {
                let made = format!(
                    "begin; {TABLES} pragma application_id = {APPLICATION_ID}; pragma user_version = {STATE_VERSION}; commit;"
                );
                connection.execute_batch(&made).map_err(failed)?;
            }
            (APPLICATION_ID, STATE_VERSION) => {}
            (APPLICATION_ID, 1) => connection.execute_batch(UPGRADE_FROM_1).map_err(failed)?,
            (APPLICATION_ID, newer) => {
                return Err(Error::new(
                    ErrorKind::State,
                    format!("read a state of version {newer}; this program knows {STATE_VERSION}"),
                )
                .with_context("file", path.display())
                .with_remedy("use the newer program, or start anew with --fresh"));
            }
            _ => {
                return Err(Error::new(ErrorKind::State, "use a file that is not a migration's state")
                    .with_context("file", path.display())
                    .with_remedy("name another run folder"));
            }
        }
        Ok(Self { path: path.to_owned(), connection: Arc::new(Mutex::new(connection)) })
    }

    /// Runs `work` on a thread that may block.
    async fn with<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T> {
        let connection = Arc::clone(&self.connection);
        let done =
            tokio::task::spawn_blocking(move || work(&mut connection.lock().unwrap_or_else(PoisonError::into_inner)));
        match done.await {
            Ok(result) => result.map_err(|error| state_error(&self.path, error)),
            Err(_) => Err(Error::new(ErrorKind::Unexpected, "finish a step of the state's thread")),
        }
    }
}

fn state_error(path: &Path, error: rusqlite::Error) -> Error {
    use rusqlite::ErrorCode;
    let (kind, message, remedy) = match error.sqlite_error_code() {
        Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => (
            ErrorKind::State,
            "read the state: the file is corrupt",
            "start anew with --fresh; nothing is doubled in the sink",
        ),
        Some(ErrorCode::DiskFull | ErrorCode::SystemIoFailure) => (
            ErrorKind::Io,
            "write the state: the disk is full or refuses it",
            "free space, or lift the limit on files, then run the same command",
        ),
        Some(ErrorCode::ReadOnly | ErrorCode::CannotOpen | ErrorCode::PermissionDenied) => {
            (ErrorKind::Io, "open the state for writing", "check the run folder's owner and rights")
        }
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            (ErrorKind::State, "use the state: another run has it open", "wait for the other run to end")
        }
        _ => (ErrorKind::State, "use the state", "start anew with --fresh; nothing is doubled in the sink"),
    };
    Error::new(kind, message).with_context("file", path.display()).with_remedy(remedy).with_source(error)
}

fn from_json<T: serde::de::DeserializeOwned>(text: &str) -> rusqlite::Result<T> {
    serde_json::from_str(text)
        .map_err(|error| rusqlite::Error::FromSqlConversionFailure(0, rusqlite::types::Type::Text, Box::new(error)))
}

fn to_json<T: serde::Serialize>(value: &T) -> Result<String> {
    serde_json::to_string(value)
        .map_err(|error| Error::new(ErrorKind::Unexpected, "write a checkpoint as JSON").with_source(error))
}

#[async_trait]
impl StateStore for SqliteState {
    async fn bind(&self, fingerprint: &str) -> Result<()> {
        let wanted = fingerprint.to_owned();
        let stored = self
            .with(move |connection| {
                connection.execute("insert into plan values (1, ?1, null) on conflict do nothing", [&wanted])?;
                connection.query_row("select fingerprint from plan", [], |row| row.get::<_, String>(0))
            })
            .await?;
        if stored == fingerprint { Ok(()) } else { Err(foreign_plan(&stored, fingerprint)) }
    }

    async fn bound(&self) -> Result<Option<BoundPlan>> {
        self.with(|connection| {
            let row = connection
                .query_row("select fingerprint, identity from plan", [], |row| {
                    Ok((row.get::<_, String>(0)?, row.get::<_, Option<String>>(1)?))
                })
                .optional()?;
            row.map(|(fingerprint, identity)| {
                Ok(BoundPlan { fingerprint, identity: identity.as_deref().map(from_json).transpose()? })
            })
            .transpose()
        })
        .await
    }

    async fn rebind(&self, plan: &BoundPlan) -> Result<()> {
        let (fingerprint, identity) = (plan.fingerprint.clone(), plan.identity.as_ref().map(to_json).transpose()?);
        self.with(move |connection| {
            connection.execute("insert or replace into plan values (1, ?1, ?2)", params![fingerprint, identity])
        })
        .await
        .map(drop)
    }

    async fn partitions(&self, table: &TableName) -> Result<Vec<(PartitionId, Checkpoint)>> {
        let (name, table) = (table.to_string(), table.clone());
        self.with(move |connection| {
            let mut query = connection
                .prepare_cached("select range, checkpoint from checkpoints where source = ?1 order by range")?;
            let rows = query.query_map([name], |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?)))?;
            rows.map(|row| {
                let (range, checkpoint) = row?;
                Ok((PartitionId { table: table.clone(), range: from_json(&range)? }, from_json(&checkpoint)?))
            })
            .collect()
        })
        .await
    }

    async fn load(&self, partition: &PartitionId) -> Result<Option<Checkpoint>> {
        let (table, range) = (partition.table.to_string(), to_json(&partition.range)?);
        self.with(move |connection| {
            connection
                .prepare_cached("select checkpoint from checkpoints where source = ?1 and range = ?2")?
                .query_row([table, range], |row| row.get::<_, String>(0))
                .optional()?
                .map(|text| from_json(&text))
                .transpose()
        })
        .await
    }

    async fn commit(&self, commit: Commit<'_>) -> Result<()> {
        let (table, range) = (commit.partition.table.to_string(), to_json(&commit.partition.range)?);
        let checkpoint = to_json(commit.checkpoint)?;
        let mut ids = vec![(table.clone(), commit.ids.to_vec())];
        ids.extend(commit.alternate_ids.iter().map(|(space, ids)| (space.to_string(), ids.clone())));
        let rejects = commit
            .rejects
            .iter()
            .map(|reject| Ok((reject.table.to_string(), reject.key.to_string(), to_json(reject)?)))
            .collect::<Result<Vec<_>>>()?;
        let settled = commit.settled.to_vec();
        self.with(move |connection| {
            let transaction = connection.transaction()?;
            for (space, ids) in &ids {
                insert_ids(&transaction, space, ids)?;
            }
            {
                let again: HashSet<&str> = rejects.iter().map(|(_, key, _)| key.as_str()).collect();
                let mut settle = transaction.prepare_cached("delete from rejects where source = ?1 and key = ?2")?;
                for key in settled.iter().filter(|key| !again.contains(key.as_str())) {
                    settle.execute([table.as_str(), key.as_str()])?;
                }
                let mut insert = transaction.prepare_cached(
                    "insert into rejects (source, key, reject) values (?1, ?2, ?3)
                         on conflict (source, key) do update set reject = excluded.reject",
                )?;
                for (table, key, reject) in &rejects {
                    insert.execute([table, key, reject])?;
                }
                transaction.prepare_cached("insert or replace into checkpoints values (?1, ?2, ?3)")?.execute([
                    &table,
                    &range,
                    &checkpoint,
                ])?;
            }
            transaction.commit()
        })
        .await
    }

    async fn ids(&self, table: &KeySpace, keys: &[SourceKey]) -> Result<Vec<Option<SinkId>>> {
        let (table, keys) = (table.to_string(), keys.to_vec());
        self.with(move |connection| {
            // One transaction for all of them: by itself, each query would lock the file and let it go.
            let transaction = connection.transaction()?;
            let mut query = transaction.prepare_cached("select id from ids where source = ?1 and key = ?2")?;
            keys.iter()
                .map(|key| {
                    let id = query.query_row(params![table, key.as_str()], |row| row.get::<_, String>(0)).optional()?;
                    Ok(id.map(SinkId::new))
                })
                .collect()
        })
        .await
    }

    async fn adopt(&self, table: &KeySpace, ids: &[(SourceKey, SinkId)]) -> Result<()> {
        let (table, ids) = (table.to_string(), ids.to_vec());
        self.with(move |connection| {
            let transaction = connection.transaction()?;
            insert_ids(&transaction, &table, &ids)?;
            transaction.commit()
        })
        .await
    }

    async fn rejected(&self, table: &TableName, keys: &[SourceKey]) -> Result<Vec<Option<Reject>>> {
        let (table, keys) = (table.to_string(), keys.to_vec());
        self.with(move |connection| {
            let mut query = connection.prepare_cached("select reject from rejects where source = ?1 and key = ?2")?;
            keys.iter()
                .map(|key| {
                    let found = query.query_row(params![table, key.as_str()], |row| row.get::<_, String>(0));
                    found.optional()?.map(|text| from_json(&text)).transpose()
                })
                .collect()
        })
        .await
    }

    async fn rejects(&self, table: &TableName, after: u64, limit: usize) -> Result<Vec<Reject>> {
        let (table, after) = (table.to_string(), i64::try_from(after).unwrap_or(i64::MAX));
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        self.with(move |connection| {
            let query = "select reject from rejects where source = ?1 order by position limit ?3 offset ?2";
            let mut query = connection.prepare_cached(query)?;
            let mut texts = query.query_map(params![table, after, limit], |row| row.get::<_, String>(0))?;
            let (mut rejects, mut bytes) = (Vec::new(), 0);
            while bytes < REJECT_BYTES
                && let Some(text) = texts.next().transpose()?
            {
                bytes += text.len();
                rejects.push(from_json(&text)?);
            }
            Ok(rejects)
        })
        .await
    }
}

fn insert_ids(connection: &Connection, table: &str, ids: &[(SourceKey, SinkId)]) -> rusqlite::Result<()> {
    let mut insert = connection.prepare_cached("insert or replace into ids values (?1, ?2, ?3)")?;
    for (key, id) in ids {
        insert.execute([table, key.as_str(), id.as_str()])?;
    }
    Ok(())
}
