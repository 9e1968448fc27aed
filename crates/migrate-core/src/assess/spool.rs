//! Keys of rows, spooled to disk: which rows there are, and which share a key.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::{Connection, OptionalExtension as _, params};
use sha2::{Digest as _, Sha256};

use crate::catalog::hex;
use crate::error::{Error, ErrorKind, Result};
use crate::names::SourceKey;
use crate::state::{SAMPLE_KEYS, Tally};

/// Longer keys are kept as their digest.
const LONGEST_KEY: usize = 64;

/// Pages of SQLite's own cache, in KiB: what is beyond is on disk.
const CACHE: i64 = -16 * 1024;

/// `fate` is the best of the rows with that key; `row` names the first of them.
const TABLES: &str = "
    create table keys (
        space integer not null, key text not null, rows integer not null, fate integer not null, row text not null,
        primary key (space, key)
    ) strict, without rowid;
";

/// What becomes of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// It would be a document.
    Migrated,
    /// It would be rejected, or left out.
    LeftBehind,
}

/// What is known of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Seen {
    /// No row has it.
    Nowhere,
    /// One row has it, which becomes that.
    Once(Fate),
    /// Several rows have it.
    Several,
}

/// A key of a space, and the row that has it.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) space: usize,
    pub(super) key: SourceKey,
    pub(super) row: SourceKey,
    pub(super) fate: Fate,
}

/// Keys by space, in a database of SQLite's own making: private, in a temporary file where it outgrows the cache, and
/// gone when this is dropped.
#[derive(Clone)]
pub(super) struct Spool(Arc<Mutex<Connection>>);

impl fmt::Debug for Spool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Spool")
    }
}

fn failed(error: rusqlite::Error) -> Error {
    Error::new(ErrorKind::Io, "keep the keys of rows in a temporary file")
        .with_source(error)
        .with_remedy("free space in the folder for temporary files, or use --scan sample")
}

fn stored(key: &SourceKey) -> String {
    let text = key.as_str();
    if text.len() <= LONGEST_KEY { text.to_owned() } else { format!("#{}", hex(&Sha256::digest(text.as_bytes()))) }
}

impl Spool {
    pub(super) fn new() -> Result<Self> {
        // An empty name is a temporary file of SQLite's own, which no other process can open.
        let connection = Connection::open("").map_err(failed)?;
        connection.pragma_update(None, "cache_size", CACHE).map_err(failed)?;
        connection.pragma_update(None, "synchronous", "off").map_err(failed)?;
        connection.pragma_update(None, "journal_mode", "off").map_err(failed)?;
        connection.execute_batch(TABLES).map_err(failed)?;
        Ok(Self(Arc::new(Mutex::new(connection))))
    }

    /// Runs `work` on a thread that may block.
    async fn with<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T> {
        let connection = self.0.clone();
        let done =
            tokio::task::spawn_blocking(move || work(&mut connection.lock().unwrap_or_else(PoisonError::into_inner)));
        match done.await {
            Ok(result) => result.map_err(failed),
            Err(_) => Err(Error::new(ErrorKind::Unexpected, "finish a step of the spool's thread")),
        }
    }

    /// Adds keys; each call once for each row.
    pub(super) async fn add(&self, entries: Vec<Entry>) -> Result<()> {
        if entries.is_empty() {
            return Ok(());
        }
        self.with(move |connection| {
            let transaction = connection.transaction()?;
            {
                let mut insert = transaction.prepare_cached(
                    "insert into keys values (?1, ?2, 1, ?3, ?4) on conflict do update set
                         rows = rows + 1, fate = max(fate, excluded.fate)",
                )?;
                for Entry { space, key, row, fate } in &entries {
                    let is_migrated = *fate == Fate::Migrated;
                    let space = i64::try_from(*space).unwrap_or(i64::MAX);
                    insert.execute(params![space, stored(key), is_migrated, row.as_str()])?;
                }
            }
            transaction.commit()
        })
        .await
    }

    /// What is known of each key, in their order.
    pub(super) async fn see(&self, space: usize, keys: Vec<SourceKey>) -> Result<Vec<Seen>> {
        self.with(move |connection| {
            let mut find = connection.prepare_cached("select rows, fate from keys where space = ?1 and key = ?2")?;
            let space = i64::try_from(space).unwrap_or(i64::MAX);
            keys.iter()
                .map(|key| {
                    let found = find.query_row(params![space, stored(key)], |row| {
                        Ok((row.get::<_, i64>(0)?, row.get::<_, bool>(1)?))
                    });
                    Ok(match found.optional()? {
                        None => Seen::Nowhere,
                        Some((1, true)) => Seen::Once(Fate::Migrated),
                        Some((1, false)) => Seen::Once(Fate::LeftBehind),
                        Some(_) => Seen::Several,
                    })
                })
                .collect()
        })
        .await
    }

    /// Takes back that a row would be migrated.
    pub(super) async fn leave_behind(&self, space: usize, keys: Vec<SourceKey>) -> Result<()> {
        self.with(move |connection| {
            let transaction = connection.transaction()?;
            {
                let mut update =
                    transaction.prepare_cached("update keys set fate = 0 where space = ?1 and key = ?2")?;
                let space = i64::try_from(space).unwrap_or(i64::MAX);
                for key in &keys {
                    update.execute(params![space, stored(key)])?;
                }
            }
            transaction.commit()
        })
        .await
    }

    /// How many rows of a space share their key with another, and a row of each of some such keys.
    pub(super) async fn shared(&self, space: usize) -> Result<Tally> {
        self.with(move |connection| {
            let space = i64::try_from(space).unwrap_or(i64::MAX);
            let count: i64 = connection.query_row(
                "select coalesce(sum(rows), 0) from keys where space = ?1 and rows > 1",
                params![space],
                |row| row.get(0),
            )?;
            let mut some =
                connection.prepare("select row from keys where space = ?1 and rows > 1 order by key limit ?2")?;
            let limit = i64::try_from(SAMPLE_KEYS).unwrap_or(i64::MAX);
            let keys = some.query_map(params![space, limit], |row| row.get::<_, String>(0))?;
            let sample_keys = keys.map(|key| key.map(SourceKey::new)).collect::<rusqlite::Result<_>>()?;
            Ok(Tally { count: u64::try_from(count).unwrap_or(0), sample_keys })
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(space: usize, key: &str, row: &str, fate: Fate) -> Entry {
        Entry { space, key: key.into(), row: row.into(), fate }
    }

    #[tokio::test]
    async fn keys_are_counted_by_space() {
        let spool = Spool::new().unwrap();
        let long = "k".repeat(500);
        let entries = vec![
            entry(0, "a", "1", Fate::Migrated),
            entry(0, "b", "2", Fate::LeftBehind),
            entry(0, "c", "3", Fate::LeftBehind),
            entry(0, "c", "4", Fate::Migrated),
            entry(0, "c", "5", Fate::Migrated),
            entry(0, &long, "6", Fate::Migrated),
            entry(1, "b", "1", Fate::Migrated),
        ];
        spool.add(entries).await.unwrap();
        let keys = ["a", "b", "c", "d", &long].map(SourceKey::from).to_vec();
        let seen = spool.see(0, keys.clone()).await.unwrap();
        let once = Seen::Once(Fate::Migrated);
        assert_eq!(seen, [once, Seen::Once(Fate::LeftBehind), Seen::Several, Seen::Nowhere, once]);
        let seen = spool.see(1, keys).await.unwrap();
        assert_eq!(seen, [Seen::Nowhere, once, Seen::Nowhere, Seen::Nowhere, Seen::Nowhere]);
        assert_eq!(spool.shared(0).await.unwrap(), Tally { count: 3, sample_keys: vec!["3".into()] });
        assert_eq!(spool.shared(1).await.unwrap(), Tally::default());
        spool.leave_behind(0, vec!["a".into()]).await.unwrap();
        assert_eq!(spool.see(0, vec!["a".into()]).await.unwrap(), [Seen::Once(Fate::LeftBehind)]);
    }
}
