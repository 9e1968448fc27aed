//! Reads a table without a key by the place of its rows: bounded windows of blocks.
//!
//! PostgREST takes system columns like others, and `ctid=gte.(B,0)&ctid=lt.(B+k,0)` reads these k blocks alone (a Tid
//! Range Scan, Postgres 14 and later), where `order=ctid&limit=N` without an upper bound reads the whole rest of the
//! table for every page. A page always goes on after the last row that came, so an answer that the server cut short
//! loses nothing, and only answers without a row move a window on.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use migrate_core::catalog::{PLACE, PLACE_TABLE};
use migrate_core::names::{FieldName, TableName};
use migrate_core::record::Record;
use migrate_core::source::{Cursor, KeyRange, PageRequest};
use migrate_core::value::Value;
use migrate_core::{Error, ErrorKind, Result};

use crate::client::Client;
use crate::page_size::is_too_large;
use crate::query::{Comparison, Filter, ReadQuery, ascending, quote};
use crate::table_read::TableRead;

/// Blocks that a table can have; the last number is kept for none (Postgres `storage/block.h`).
const MOST_BLOCKS: u64 = 0xFFFF_FFFF;

/// The widest window: 64 MiB of blocks of 8 KiB.
const WIDEST: u64 = 8 * 1024;

/// Rows that a block is taken to have before one was read; it has at most 291.
const ROWS_IN_BLOCK: u64 = 32;

/// Blocks that are searched for a row where the whole rest of the table takes too long: 1 GiB.
const SEARCHED: u64 = 128 * 1024;

/// A row's place, `(block,number)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    block: u64,
    number: u32,
}

impl Place {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (block, number) = text.strip_prefix('(')?.strip_suffix(')')?.split_once(',')?;
        let place = Self { block: block.parse().ok()?, number: number.parse().ok()? };
        (place.block < MOST_BLOCKS).then_some(place)
    }
}

/// The first place of a block; rows are numbered from 1.
pub(crate) fn block_start(block: impl std::fmt::Display) -> String {
    format!("({block},0)")
}

/// The block of a row that was read by its place.
pub(crate) fn block_of(record: &Record) -> Option<u64> {
    Some(place_in(record)?.block)
}

fn text_in<'r>(record: &'r Record, field: &str) -> Option<&'r str> {
    match record.get(field) {
        Some(Value::Text(text)) => Some(text),
        _ => None,
    }
}

fn place_in(record: &Record) -> Option<Place> {
    Place::parse(text_in(record, PLACE)?)
}

/// What was learned of tables that are read by place.
#[derive(Debug, Default)]
pub(crate) struct Windows(Mutex<HashMap<TableName, Learned>>);

#[derive(Debug, Clone, Default)]
struct Learned {
    /// Blocks of the next window.
    span: Option<u64>,
    /// The table that all rows so far are stored in.
    stored_in: Option<String>,
}

impl Windows {
    fn with<T>(&self, table: &TableName, use_it: impl FnOnce(&mut Learned) -> T) -> T {
        use_it(self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(table.clone()).or_default())
    }

    /// Blocks to read where at most `limit` rows are wanted.
    fn span(&self, table: &TableName, limit: usize) -> u64 {
        let first = (limit as u64 / ROWS_IN_BLOCK).clamp(1, WIDEST);
        self.with(table, |learned| learned.span.unwrap_or(first))
    }

    /// Learns from a window of `span` blocks, of which `rows` rows came, the last from its block `last`, counted from 1.
    fn learn(&self, table: &TableName, span: u64, rows: usize, limit: usize, last: u64) {
        let (rows, limit) = (rows as u64, limit as u64);
        let reached_end = last.saturating_add(span / 4) >= span;
        let next = if rows < limit && reached_end {
            // As many blocks as would fill the page, but no more than twice as many at once.
            (span.saturating_mul(limit) / rows.max(1)).min(span.saturating_mul(2))
        } else {
            last.saturating_add(1)
        };
        self.with(table, |learned| learned.span = Some(next.clamp(1, WIDEST)));
    }

    /// Halves the window after one that took too long.
    pub(crate) fn shrink(&self, table: &TableName) {
        self.with(table, |learned| learned.span = learned.span.map(|span| (span / 2).max(1)));
    }

    /// Refuses rows of several tables: their places repeat.
    fn require_one_table(&self, read: &TableRead, records: &[Record]) -> Result<()> {
        let Some(position) = read.stored_in else { return Ok(()) };
        let table = &read.shape.table;
        for record in records {
            let Some(Value::Text(found)) = record.values.get(position) else { continue };
            let is_same =
                self.with(table, |learned| **learned.stored_in.get_or_insert_with(|| found.to_string()) == **found);
            if !is_same {
                return Err(several_tables(table));
            }
        }
        Ok(())
    }
}

/// The error of rows whose places repeat.
pub(crate) fn several_tables(table: &TableName) -> Error {
    Error::new(ErrorKind::Config, "read by their place rows that several tables store")
        .with_context("table", table)
        .with_remedy(
            "the table has partitions or children, whose places repeat: set its kind to partitioned in catalog.json and \
             plan again, or give it a primary key",
        )
}

/// What is read, for every query of a page.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PlaceRead<'a> {
    pub(crate) client: &'a Client,
    pub(crate) read: &'a TableRead,
    pub(crate) filters: &'a [Filter],
    pub(crate) windows: &'a Windows,
}

impl PlaceRead<'_> {
    /// The next rows after `request.after`, in the order of their places, and the bytes of the answers; none at the end
    /// of the range only.
    ///
    /// Rows of several partitions with the same place are ordered by their table. All partitions are read side by side:
    /// a window over one of them alone would read the others' blocks too.
    ///
    /// # Errors
    /// Those of the requests; `Config` for a cursor or a range that is not made of places, and for a table whose rows are
    /// stored in several.
    pub(crate) async fn rows(&self, request: &PageRequest, limit: usize) -> Result<(Vec<Record>, u64)> {
        let (first, end) = self.bounds(&request.range)?;
        let mut bytes = 0;
        let mut from = compare(PLACE, Comparison::Gte, &block_start(first));
        let mut block = first;
        let mut lowest = Place { block, number: 0 };
        if let Some(cursor) = &request.after {
            let (place, text, stored_in) = self.cursor(cursor)?;
            if let Some(stored_in) = stored_in {
                let same = vec![compare(PLACE, Comparison::Eq, text), compare(PLACE_TABLE, Comparison::Gt, stored_in)];
                let records = self.send(same, PLACE_TABLE, limit, &mut bytes).await?;
                if !records.is_empty() {
                    return Ok((records, bytes));
                }
            }
            from = compare(PLACE, Comparison::Gt, text);
            block = place.block;
            lowest = Place { number: place.number.saturating_add(1), ..place };
        }
        loop {
            if block >= end {
                return Ok((Vec::new(), bytes));
            }
            let span = self.windows.span(&request.table, limit).min(end - block);
            let to = block + span;
            let window = vec![from, compare(PLACE, Comparison::Lt, &block_start(to))];
            let records = self.send(window, PLACE, limit, &mut bytes).await?;
            if let Some(last) = records.last() {
                let last = place_in(last).ok_or_else(|| self.no_place())?;
                self.windows.learn(&request.table, span, records.len(), limit, (last.block + 1).saturating_sub(block));
                self.require_order(&records, lowest)?;
                self.windows.require_one_table(self.read, &records)?;
                return Ok((records, bytes));
            }
            match self.next_block(to, end, &mut bytes).await? {
                Some(next) => block = next,
                None => return Ok((Vec::new(), bytes)),
            }
            from = compare(PLACE, Comparison::Gte, &block_start(block));
            lowest = Place { block, number: 0 };
        }
    }

    /// The first block from `from` on, below `end`, that holds a row; `None` where none does.
    ///
    /// Without an order the search ends at the first row that is met. That need not be the first of the table, so the
    /// blocks before it are searched again, until nothing is there.
    async fn next_block(&self, mut from: u64, end: u64, bytes: &mut u64) -> Result<Option<u64>> {
        let (mut found, mut step) = (None, MOST_BLOCKS);
        loop {
            let before = found.unwrap_or(end);
            if from >= before {
                return Ok(found);
            }
            let to = from.saturating_add(step).min(before);
            let window = vec![
                compare(PLACE, Comparison::Gte, &block_start(from)),
                compare(PLACE, Comparison::Lt, &block_start(to)),
            ];
            match self.send(window, "", 1, bytes).await {
                Ok(records) => {
                    if let Some(record) = records.first() {
                        let block = block_of(record).filter(|block| (from..to).contains(block));
                        found = Some(block.ok_or_else(|| self.no_place())?);
                    } else {
                        (from, step) = (to, step.saturating_mul(2));
                    }
                }
                // Many blocks without a live row: a search may take longer than the statement timeout.
                Err(error) if is_too_large(&error) && step > 1 => step = (step / 2).min(SEARCHED),
                Err(error) => return Err(error),
            }
        }
    }

    async fn send(&self, filters: Vec<Filter>, order: &str, limit: usize, bytes: &mut u64) -> Result<Vec<Record>> {
        let order: &[FieldName] = match (order, self.read.key.len()) {
            ("", _) => &[],
            (PLACE, 1) => &[FieldName::from(PLACE)],
            (PLACE, _) => &[FieldName::from(PLACE), FieldName::from(PLACE_TABLE)],
            _ => &[FieldName::from(PLACE_TABLE)],
        };
        let query = ReadQuery {
            select: Some(self.read.select.clone()),
            filters: filters.into_iter().chain(self.filters.iter().cloned()).collect(),
            order: (!order.is_empty()).then(|| ascending(order)),
            limit: Some(limit),
            ..ReadQuery::of(&self.read.shape.table)
        };
        let (records, size) = self.client.rows(&query, self.read, "read a page").await?;
        *bytes += size;
        Ok(records)
    }

    /// The range as blocks: the first, and the first after it.
    fn bounds(&self, range: &KeyRange) -> Result<(u64, u64)> {
        if self.read.key.len() > 1 && *range != KeyRange::all() {
            return Err(self.config("read a part of a table by the places in its partitions"));
        }
        let block = |text: &Option<String>, open| match text {
            Some(text) => match Place::parse(text) {
                Some(Place { block, number: 0 }) => Ok(block),
                _ => Err(self.config("read a range that does not begin and end with a block")),
            },
            None => Ok(open),
        };
        Ok((block(&range.lower, 0)?, block(&range.upper, MOST_BLOCKS)?))
    }

    /// The place in a cursor, as it is and as text, and the table where the key has one.
    fn cursor<'c>(&self, Cursor(texts): &'c Cursor) -> Result<(Place, &'c str, Option<&'c str>)> {
        let (place, stored_in) = match texts.as_slice() {
            [place] if self.read.key.len() == 1 => (place, None),
            [stored_in, place] if self.read.key.len() == 2 => (place, Some(stored_in.as_str())),
            _ => return Err(self.config("continue after a key that is no place")),
        };
        let parsed = Place::parse(place).ok_or_else(|| self.config("continue after a key that is no place"))?;
        Ok((parsed, place, stored_in))
    }

    /// Refuses a page that is not in the order asked for, or begins before `lowest`: what comes after it could not be told.
    fn require_order(&self, records: &[Record], lowest: Place) -> Result<()> {
        let mut last: Option<(Place, Option<u64>)> = None;
        for record in records {
            let table = if self.read.key.len() > 1 { text_in(record, PLACE_TABLE) } else { None };
            let place = place_in(record).ok_or_else(|| self.no_place())?;
            let place = (place, table.and_then(|text| text.parse().ok()));
            // Tables whose places repeat are told apart, and named, by `require_one_table`.
            let is_before =
                |last: &(Place, Option<u64>)| if place.1.is_some() { *last < place } else { last.0 <= place.0 };
            if place.0 < lowest || last.as_ref().is_some_and(|last| !is_before(last)) {
                return Err(Error::new(ErrorKind::Protocol, "read a page: its rows are not in the order asked for")
                    .with_context("table", &self.read.shape.table)
                    .with_remedy("something between this program and PostgREST changes the query"));
            }
            last = Some(place);
        }
        Ok(())
    }

    fn config(&self, message: &str) -> Error {
        Error::new(ErrorKind::Config, message)
            .with_context("table", &self.read.shape.table)
            .with_remedy("the table's key has changed since the checkpoint: run again with --fresh")
    }

    fn no_place(&self) -> Error {
        Error::new(ErrorKind::Protocol, "read a page: a row's place is not one that was asked for")
            .with_context("table", &self.read.shape.table)
    }
}

fn compare(column: &str, comparison: Comparison, value: &str) -> Filter {
    Filter::Compare(quote(column), comparison, value.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_ordered_by_block_and_number() {
        let place = |text: &str| Place::parse(text).unwrap();
        assert_eq!(place("(0,4)"), Place { block: 0, number: 4 });
        assert!(place("(9,2)") < place("(10,1)") && place("(9,2)") < place("(9,10)"));
        for text in ["", "(0,4", "0,4", "(,4)", "(0,4,5)", "(-1,4)", "(4294967295,1)", "(x,1)"] {
            assert_eq!(Place::parse(text), None, "{text}");
        }
    }

    #[test]
    fn windows_follow_how_many_rows_a_block_has() {
        let windows = Windows::default();
        let table: TableName = "log".parse().unwrap();
        assert_eq!(windows.span(&table, 1000), 31);
        assert_eq!(windows.span(&table, 1), 1);
        windows.learn(&table, 31, 1000, 1000, 12);
        assert_eq!(windows.span(&table, 1000), 13, "the page was full after 12 blocks");
        windows.learn(&table, 13, 800, 1000, 13);
        assert_eq!(windows.span(&table, 1000), 16, "13 blocks gave 800 rows");
        windows.learn(&table, 16, 10, 1000, 16);
        assert_eq!(windows.span(&table, 1000), 32);
        windows.learn(&table, 32, 100, 1000, 3);
        assert_eq!(windows.span(&table, 1000), 4, "the server may have cut the answer after 3 blocks");
        windows.shrink(&table);
        assert_eq!(windows.span(&table, 1000), 2);
        for _ in 0..40 {
            let span = windows.span(&table, 1000);
            windows.learn(&table, span, 1, 1000, span);
        }
        assert_eq!(windows.span(&table, 1000), WIDEST);
    }
}
