use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::{Connection, OptionalExtension as _, params};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::aggregate::Aggregates;
use super::canonical::Salt;
use crate::error::{Error, ErrorKind, Result};
use crate::names::{KeySpace, SinkId, SourceKey};

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

/// One document to keep.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) id: SinkId,
    /// The row's key; none for a document that is not the migration's.
    pub(super) key: Option<SourceKey>,
    pub(super) hash: u128,
}

/// A kept document.
#[derive(Debug, Clone)]
pub(super) struct Kept {
    pub(super) position: usize,
    pub(super) id: SinkId,
    pub(super) hash: u128,
    pub(super) page: u64,
}

/// All documents of a table together.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct SinkSide {
    /// Lines that were kept.
    pub(super) lines: u64,
    /// Of these: with a row's key.
    pub(super) keyed: u64,
    /// Fields that the plan does not know, with how many documents have each.
    pub(super) unplanned: BTreeMap<String, u64>,
    pub(super) sums: Aggregates,
    pub(super) content: Sum,
}

/// A sum of hashes, which JSON has no number for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Sum(u64, u64);

impl Sum {
    /// Adds the hash of a document together with its key.
    pub(super) fn add(&mut self, other: u128) {
        *self = Self::of(self.value().wrapping_add(other));
    }

    pub(super) fn value(self) -> u128 {
        (u128::from(self.0) << 64) | u128::from(self.1)
    }

    #[expect(clippy::cast_possible_truncation, reason = "the halves are cut out")]
    fn of(value: u128) -> Self {
        Self((value >> 64) as u64, value as u64)
    }
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
    async fn with<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T> {
        let (connection, path) = (self.connection.clone(), self.path.clone());
        blocking(move || {
            let mut connection = connection.lock().unwrap_or_else(PoisonError::into_inner);
            let transaction = connection.transaction().map_err(|error| spool_error(&path, error))?;
            let done = work(&transaction).and_then(|value| transaction.commit().map(|()| value));
            done.map_err(|error| spool_error(&path, error))
        })
        .await
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

    /// Begins the documents of a table, anew where some were kept.
    pub(super) async fn begin(&self, place: usize) -> Result<()> {
        self.with(move |connection| {
            connection.execute_batch(&format!(
                "drop table if exists d{place}; drop table if exists p{place};
                 create table d{place} (position integer primary key, key text, id text not null, hash blob not null,
                     page integer not null) strict;
                 create table p{place} (page integer primary key, cursor text) strict;"
            ))
        })
        .await
    }

    /// Keeps the documents of a page that began at `cursor`.
    pub(super) async fn add(
        &self,
        place: usize,
        page: u64,
        cursor: Option<String>,
        first: u64,
        lines: Vec<Line>,
    ) -> Result<()> {
        self.with(move |connection| {
            connection
                .prepare_cached(&format!("insert into p{place} values (?1, ?2)"))?
                .execute(params![signed(page), cursor])?;
            let mut insert = connection.prepare_cached(&format!("insert into d{place} values (?1, ?2, ?3, ?4, ?5)"))?;
            for (position, line) in (first..).zip(lines) {
                insert.execute(params![
                    signed(position),
                    line.key.as_ref().map(SourceKey::as_str),
                    line.id.as_str(),
                    line.hash.to_be_bytes(),
                    signed(page)
                ])?;
            }
            Ok(())
        })
        .await
    }

    /// Ends the documents of a table: they can be found by their keys from now on.
    pub(super) async fn end(&self, place: usize, side: &SinkSide) -> Result<()> {
        self.with(move |connection| {
            connection.execute_batch(&format!("create index k{place} on d{place} (key) where key is not null"))
        })
        .await?;
        self.set_fact(sink_fact(place), side).await
    }

    /// The documents of a table, where all of them are kept.
    pub(super) async fn sink_side(&self, place: usize) -> Result<Option<SinkSide>> {
        self.fact(sink_fact(place)).await
    }

    /// Keeps entries of the side table of legacy ids: id, place of the table, key.
    pub(super) async fn add_legacy(&self, entries: Vec<(SinkId, usize, SourceKey)>) -> Result<()> {
        self.with(move |connection| {
            let mut insert = connection.prepare_cached("insert into legacy values (?1, ?2, ?3)")?;
            for (id, place, key) in entries {
                insert.execute(params![id.as_str(), number(place), key.as_str()])?;
            }
            Ok(())
        })
        .await
    }

    /// Begins the side table's entries anew, or ends them.
    pub(super) async fn legacy_index(&self, end: bool) -> Result<()> {
        let text = if end {
            "create index legacy_id on legacy (id)"
        } else {
            "drop index if exists legacy_id; delete from legacy"
        };
        self.with(move |connection| connection.execute_batch(text)).await
    }

    /// Per document, the keys that the side table has for it in a table.
    pub(super) async fn legacy_keys(&self, place: usize, ids: Vec<SinkId>) -> Result<Vec<Vec<SourceKey>>> {
        self.with(move |connection| {
            let mut query = connection.prepare_cached("select key from legacy where id = ?1 and place = ?2")?;
            let mut keys = |id: SinkId| -> rusqlite::Result<Vec<SourceKey>> {
                let found = query.query_map(params![id.as_str(), number(place)], |row| row.get::<_, String>(0))?;
                found.map(|key| key.map(SourceKey::new)).collect()
            };
            ids.into_iter().map(&mut keys).collect()
        })
        .await
    }

    /// Per key, the documents that have it, in the sink's order.
    pub(super) async fn find(&self, place: usize, keys: Vec<SourceKey>) -> Result<Vec<Vec<Kept>>> {
        self.with(move |connection| {
            let text = format!("select position, id, hash, page from d{place} where key = ?1 order by position");
            let mut query = connection.prepare_cached(&text)?;
            let mut found = |key: SourceKey| query.query_map([key.as_str()], kept)?.collect();
            keys.into_iter().map(&mut found).collect()
        })
        .await
    }

    /// Per key, the id of the first document that has it; of a row whose document is known to be missing, a text that
    /// is no id.
    pub(super) async fn resolve(&self, place: usize, keys: Vec<SourceKey>) -> Result<Vec<Option<SinkId>>> {
        self.with(move |connection| {
            let text = format!("select id from d{place} where key = ?1 order by position limit 1");
            let mut query = connection.prepare_cached(&text)?;
            let mut missing = connection.prepare_cached("select 1 from missing where place = ?1 and key = ?2")?;
            let mut one = |key: SourceKey| -> rusqlite::Result<Option<SinkId>> {
                let id: Option<String> = query.query_row([key.as_str()], |row| row.get(0)).optional()?;
                Ok(match id {
                    Some(id) => Some(SinkId::new(id)),
                    None if missing.exists(params![number(place), key.as_str()])? => Some(missing_id(place, &key)),
                    None => None,
                })
            };
            let mut known: HashMap<SourceKey, Option<SinkId>> = HashMap::new();
            let mut ids = Vec::with_capacity(keys.len());
            for key in keys {
                // Children of one parent often stand together.
                let id = match known.get(&key) {
                    Some(id) => id.clone(),
                    None => {
                        let id = one(key.clone())?;
                        known.insert(key, id.clone());
                        id
                    }
                };
                ids.push(id);
            }
            Ok(ids)
        })
        .await
    }

    /// Keeps rows whose documents are missing.
    pub(super) async fn add_missing(&self, place: usize, keys: Vec<SourceKey>) -> Result<()> {
        self.with(move |connection| {
            let mut insert = connection.prepare_cached("insert or ignore into missing values (?1, ?2)")?;
            keys.iter().try_for_each(|key| insert.execute(params![number(place), key.as_str()]).map(drop))
        })
        .await
    }

    /// Forgets which rows of a table have no document.
    pub(super) async fn forget_missing(&self, place: usize) -> Result<()> {
        self.with(move |connection| {
            connection.execute("delete from missing where place = ?1", [number(place)]).map(drop)
        })
        .await
    }

    /// Keeps the keys of rows by other columns.
    pub(super) async fn add_alternates(&self, space: &KeySpace, keys: Vec<(SourceKey, SourceKey)>) -> Result<()> {
        let space = space.to_string();
        self.with(move |connection| {
            let mut insert = connection.prepare_cached("insert or replace into alternates values (?1, ?2, ?3)")?;
            for (alternate, key) in keys {
                insert.execute([space.as_str(), alternate.as_str(), key.as_str()])?;
            }
            Ok(())
        })
        .await
    }

    /// Per key in other columns, the row's own key.
    pub(super) async fn alternates(&self, space: &KeySpace, keys: Vec<SourceKey>) -> Result<Vec<Option<SourceKey>>> {
        let space = space.to_string();
        self.with(move |connection| {
            let mut query =
                connection.prepare_cached("select key from alternates where space = ?1 and alternate = ?2")?;
            let mut one = |key: SourceKey| {
                let found = query.query_row([space.as_str(), key.as_str()], |row| row.get::<_, String>(0));
                found.optional().map(|key| key.map(SourceKey::new))
            };
            keys.into_iter().map(&mut one).collect()
        })
        .await
    }

    /// Which document has this id: its table's place, and its row's key, where it has one.
    pub(super) async fn whose(&self, id: SinkId, places: Vec<usize>) -> Result<Option<(usize, Option<SourceKey>)>> {
        self.with(move |connection| {
            for place in places {
                // Made when the first difference wants it: most verifications never do.
                connection.execute_batch(&format!("create index if not exists i{place} on d{place} (id)"))?;
                let mut query = connection.prepare_cached(&format!("select key from d{place} where id = ?1"))?;
                let found: Option<Option<String>> = query.query_row([id.as_str()], |row| row.get(0)).optional()?;
                if let Some(key) = found {
                    return Ok(Some((place, key.map(SourceKey::new))));
                }
            }
            Ok(None)
        })
        .await
    }

    /// Documents of a table in order, those with a key or those without, from a position on.
    pub(super) async fn lines(
        &self,
        place: usize,
        with_key: bool,
        from: usize,
        limit: usize,
    ) -> Result<Vec<(Kept, Option<SourceKey>)>> {
        self.with(move |connection| {
            let condition = if with_key { "key is not null" } else { "key is null" };
            let text = format!(
                "select position, id, hash, page, key from d{place} where position >= ?1 and {condition}
                 order by position limit ?2"
            );
            let mut query = connection.prepare_cached(&text)?;
            let lines = query.query_map(params![number(from), number(limit)], |row| {
                Ok((kept(row)?, row.get::<_, Option<String>>(4)?.map(SourceKey::new)))
            })?;
            lines.collect()
        })
        .await
    }

    /// The cursor that a page was read from; none for the first.
    pub(super) async fn cursor(&self, place: usize, page: u64) -> Result<Option<String>> {
        self.with(move |connection| {
            let mut query = connection.prepare_cached(&format!("select cursor from p{place} where page = ?1"))?;
            query.query_row([signed(page)], |row| row.get(0)).optional().map(Option::flatten)
        })
        .await
    }
}

/// The text that stands for the id of a row whose document is missing.
pub(super) fn missing_id(place: usize, key: &SourceKey) -> SinkId {
    SinkId::new(format!("missing:{place}:{key}"))
}

/// The place and key of such a text.
pub(super) fn of_missing_id(id: &str) -> Option<(usize, SourceKey)> {
    let (place, key) = id.strip_prefix("missing:")?.split_once(':')?;
    Some((place.parse().ok()?, SourceKey::from(key)))
}

fn sink_fact(place: usize) -> String {
    format!("sink {place}")
}

fn kept(row: &rusqlite::Row<'_>) -> rusqlite::Result<Kept> {
    Ok(Kept {
        position: usize::try_from(row.get::<_, i64>(0)?).unwrap_or(usize::MAX),
        id: SinkId::new(row.get::<_, String>(1)?),
        hash: u128::from_be_bytes(row.get(2)?),
        page: u64::try_from(row.get::<_, i64>(3)?).unwrap_or_default(),
    })
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn number(place: usize) -> i64 {
    i64::try_from(place).unwrap_or(i64::MAX)
}

fn connect(path: &Path) -> Result<Connection> {
    let failed = |error: rusqlite::Error| spool_error(path, error);
    let connection = Connection::open(path).map_err(failed)?;
    connection.pragma_update(None, "journal_mode", "wal").map_err(failed)?;
    // What a power cut may lose is read again.
    connection.pragma_update(None, "synchronous", "off").map_err(failed)?;
    connection.pragma_update(None, "cache_size", -32_768).map_err(failed)?;
    connection.set_prepared_statement_cache_capacity(64);
    Ok(connection)
}

fn adopted_path(path: &Path) -> PathBuf {
    path.with_file_name("verify-adopted.sqlite")
}

fn remove(path: &Path) -> Result<()> {
    for ending in ["", "-wal", "-shm"] {
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
