//! Documents in the spool.

use std::collections::BTreeMap;

use rusqlite::{OptionalExtension as _, params};
use serde::{Deserialize, Serialize};

use super::aggregate::Aggregates;
use super::spool::{Spool, number, signed};
use crate::error::Result;
use crate::names::{SinkId, SourceKey};

/// One document to keep.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) id: SinkId,
    /// The row's key; none for a document that is not the migration's.
    pub(super) key: Option<SourceKey>,
    pub(super) hash: u128,
}

/// The documents of one page.
#[derive(Debug)]
pub(super) struct KeptPage {
    pub(super) number: u64,
    /// What it was read from; none for the first.
    pub(super) cursor: Option<String>,
    pub(super) documents: usize,
    /// The position of its first line.
    pub(super) first: u64,
    pub(super) lines: Vec<Line>,
}

/// A document that has the key of a row.
#[derive(Debug)]
pub(super) struct Match {
    /// Which of the rows that were asked for.
    pub(super) of: usize,
    pub(super) position: usize,
    pub(super) hash: u128,
}

/// A kept document.
#[derive(Debug, Clone)]
pub(super) struct Kept {
    pub(super) position: usize,
    pub(super) id: SinkId,
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

    /// Keeps the documents of a page.
    pub(super) async fn add(&self, place: usize, page: KeptPage) -> Result<()> {
        let KeptPage { number: page, cursor, first, lines, .. } = page;
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
            connection.execute_batch(&format!("create index k{place} on d{place} (key, hash) where key is not null"))
        })
        .await?;
        self.set_fact(sink_fact(place), side).await
    }

    /// The documents of a table, where all of them are kept.
    pub(super) async fn sink_side(&self, place: usize) -> Result<Option<SinkSide>> {
        self.fact(sink_fact(place)).await
    }

    /// The documents that have the keys of these rows: by row, then in the sink's order. Gives the rows back.
    pub(super) async fn find<R: Send + 'static>(
        &self,
        place: usize,
        rows: Vec<R>,
        key: fn(&R) -> &SourceKey,
    ) -> Result<(Vec<R>, Vec<Match>)> {
        self.with(move |connection| {
            // Not ordered here: the index has them by their hashes, so that SQLite would begin a sort for each row.
            let text = format!("select position, hash from d{place} where key = ?1");
            let mut query = connection.prepare_cached(&text)?;
            let mut matches = Vec::with_capacity(rows.len());
            for (of, row) in rows.iter().enumerate() {
                let first = matches.len();
                let mut found = query.query([key(row).as_str()])?;
                while let Some(found) = found.next()? {
                    matches.push(Match { of, position: position(found)?, hash: u128::from_be_bytes(found.get(1)?) });
                }
                if let Some(of_row) = matches.get_mut(first..) {
                    of_row.sort_unstable_by_key(|found| found.position);
                }
            }
            Ok((rows, matches))
        })
        .await
    }

    /// The document at a position.
    pub(super) async fn kept(&self, place: usize, position: usize) -> Result<Kept> {
        self.with(move |connection| {
            let text = format!("select position, id, page from d{place} where position = ?1");
            connection.prepare_cached(&text)?.query_row([number(position)], kept)
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
                "select position, id, page, key from d{place} where position >= ?1 and {condition}
                 order by position limit ?2"
            );
            let mut query = connection.prepare_cached(&text)?;
            let lines = query.query_map(params![number(from), number(limit)], |row| {
                Ok((kept(row)?, row.get::<_, Option<String>>(3)?.map(SourceKey::new)))
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

fn sink_fact(place: usize) -> String {
    format!("sink {place}")
}

/// Of a row that begins with position, id and page.
fn kept(row: &rusqlite::Row<'_>) -> rusqlite::Result<Kept> {
    Ok(Kept {
        position: position(row)?,
        id: SinkId::new(row.get::<_, String>(1)?),
        page: u64::try_from(row.get::<_, i64>(2)?).unwrap_or_default(),
    })
}

/// Of a row that begins with it.
fn position(row: &rusqlite::Row<'_>) -> rusqlite::Result<usize> {
    Ok(usize::try_from(row.get::<_, i64>(0)?).unwrap_or(usize::MAX))
}
