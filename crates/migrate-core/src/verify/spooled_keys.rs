//! Keys of rows in the spool: those of the side table, those by other columns, and those without a document.

use rusqlite::{OptionalExtension as _, params};

use super::spool::{Spool, number};
use crate::error::Result;
use crate::names::{KeySpace, SinkId, SourceKey};

impl Spool {
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

    /// Per document, the keys that the side table has for it in a table. Blocks.
    pub(super) fn legacy_keys(&self, place: usize, ids: Vec<SinkId>) -> Result<Vec<Vec<SourceKey>>> {
        self.with_blocking(move |connection| {
            let mut query = connection.prepare_cached("select key from legacy where id = ?1 and place = ?2")?;
            let mut keys = |id: SinkId| -> rusqlite::Result<Vec<SourceKey>> {
                let found = query.query_map(params![id.as_str(), number(place)], |row| row.get::<_, String>(0))?;
                found.map(|key| key.map(SourceKey::new)).collect()
            };
            ids.into_iter().map(&mut keys).collect()
        })
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
            keys.into_iter().map(&mut one).collect()
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
