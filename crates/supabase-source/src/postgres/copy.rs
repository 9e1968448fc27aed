//! A COPY that is under way: pages are slices of its stream.

use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes as Buffer;
use futures::StreamExt as _;
use migrate_core::record::Record;
use migrate_core::source::{Cursor, Page, PageRequest};
use migrate_core::value::Value;
use migrate_core::{Error, ErrorKind, Result};
use tokio_postgres::CopyOutStream;

use super::address::Address;
use super::binary::Bytes;
use super::errors::table_error;
use super::snapshot::Reader;
use super::statement::{column, conditions, key_conditions, order};
use super::table_copy::TableCopy;
use crate::decode::Found;
use crate::place::{Place, several_tables};

/// Bytes after which a page ends, so that wide rows take no more memory than narrow ones.
const PAGE_BYTES: u64 = 4 << 20;

/// An open COPY of the rows of one range that come after one place.
pub(super) struct Copy {
    table: Arc<TableCopy>,
    stream: Pin<Box<CopyOutStream>>,
    reader: Reader,
    is_begun: bool,
    /// The last row of the page before.
    last: Option<Vec<Value>>,
    stored_in: Option<Value>,
    /// What a message still holds.
    rest: Buffer,
}

/// What comes of reading a page.
pub(super) enum Next {
    /// There may be more.
    Page(Page, Copy),
    /// These were the last rows, or there were none; the reader is free.
    Last(Page, Reader),
}

impl Copy {
    /// Begins to copy the rows of `request` for which `filters` hold.
    ///
    /// # Errors
    /// The server's; `Config` for a cursor of another key.
    pub(super) async fn begin(
        table: Arc<TableCopy>,
        request: &PageRequest,
        filters: &[String],
        mut reader: Reader,
        address: &Address,
    ) -> Result<Self> {
        let read = &table.read;
        let mut found = key_conditions(read, &request.range, request.after.as_ref())?;
        // What no comparison holds for would come last, and could not be gone on after.
        found.extend(read.nullable_key.iter().map(|name| format!("{} is not null", column(name))));
        found.extend(filters.iter().cloned());
        let statement = format!(
            "copy (select {} from {}{}{}) to stdout (format binary)",
            table.select,
            table.from,
            conditions(&found),
            order(read),
        );
        let failed = |error: tokio_postgres::Error| table_error(&error, "read rows", &request.table, address);
        reader.client.batch_execute(&table.settings()).await.map_err(failed)?;
        reader.is_copying = true;
        let stream = Box::pin(reader.client.copy_out(&statement).await.map_err(failed)?);
        Ok(Self { stream, reader, is_begun: false, last: None, stored_in: None, rest: Buffer::new(), table })
    }

    /// The next rows, at most `limit`.
    ///
    /// # Errors
    /// The server's; `Protocol` for bytes that are not of the columns' types; `Config` for rows of several tables that
    /// are read by their place.
    pub(super) async fn next(mut self, limit: usize, address: &Address) -> Result<Next> {
        let shape = self.table.read.shape.clone();
        let mut records: Vec<Record> = Vec::with_capacity(limit.min(1000));
        let mut size = 0;
        let mut is_end = false;
        'page: while records.len() < limit && size < PAGE_BYTES {
            while self.rest.is_empty() {
                let Some(message) = self.stream.next().await else {
                    is_end = true;
                    break 'page;
                };
                self.rest = message.map_err(|error| table_error(&error, "read rows", &shape.table, address))?;
                size += self.rest.len() as u64;
            }
            if let Some(mut record) = self.record()? {
                self.check(&record, records.last())?;
                record.values.truncate(shape.fields.len());
                records.push(record);
            }
        }
        let next = match records.last() {
            Some(record) => Some(Cursor(record.texts(&shape.key).map_err(|error| self.refuse(&error.message))?)),
            None => None,
        };
        self.last = records.last().map(|record| record.values.clone()).or(self.last);
        let page = Page { records, next, bytes: size };
        if is_end {
            let Self { stream, reader, .. } = self;
            drop(stream);
            return Ok(Next::Last(page, reader));
        }
        Ok(Next::Page(page, self))
    }

    /// The next row of what is at hand; `None` for the end of the rows.
    fn record(&mut self) -> Result<Option<Record>> {
        let mut bytes = Bytes(&self.rest);
        let before = bytes.0.len();
        if !self.is_begun {
            bytes.skip_header().map_err(|found| self.refuse(found))?;
        }
        let record = self.tuple(&mut bytes)?;
        let used = before - bytes.0.len();
        self.is_begun = true;
        self.rest = self.rest.slice(used..);
        Ok(record)
    }

    fn tuple(&self, bytes: &mut Bytes<'_>) -> Result<Option<Record>> {
        // The header may come in a message of its own.
        if bytes.0.is_empty() {
            return Ok(None);
        }
        let Some(fields) = bytes.tuple().map_err(|found| self.refuse(found))? else { return Ok(None) };
        if fields != self.table.forms.len() {
            return Err(self.refuse("a row of other columns than were asked for"));
        }
        let mut values = Vec::with_capacity(fields);
        for (position, form) in self.table.forms.iter().enumerate() {
            values.push(bytes.value(form).map_err(|found| self.unfit(position, found))?);
        }
        Ok(Some(Record { shape: self.table.read.shape.clone(), values }))
    }

    /// Refuses a row that could not be gone on after: with the key of the one before, or out of order.
    fn check(&mut self, record: &Record, previous: Option<&Record>) -> Result<()> {
        let read = &self.table.read;
        let stored_in = read.stored_in.and_then(|at| record.values.get(at));
        if stored_in.is_some_and(|found| self.stored_in.get_or_insert_with(|| found.clone()) != found) {
            return Err(several_tables(&read.shape.table));
        }
        let previous = previous.map(|record| &record.values).or(self.last.as_ref());
        let Some(previous) = previous else { return Ok(()) };
        if read.shape.key.iter().all(|&at| record.values.get(at) == previous.get(at)) {
            return Err(self.refuse("a key came twice").with_remedy("name columns as its key that no two rows share"));
        }
        if self.table.is_in_place_order() {
            let place = |values: &[Value]| match read.shape.key.first().and_then(|&at| values.get(at)) {
                Some(Value::Text(text)) => Place::parse(text),
                _ => None,
            };
            if place(&record.values) <= place(previous) {
                return Err(self.refuse("the rows do not come in the order they are stored in"));
            }
        }
        Ok(())
    }

    fn refuse(&self, text: &str) -> Error {
        Error::new(ErrorKind::Protocol, format!("read rows: {text}"))
            .with_context("table", &self.table.read.shape.table)
    }

    /// The error of a value that is not one of its column's type; it is not shown.
    fn unfit(&self, position: usize, found: Found) -> Error {
        let read = &self.table.read;
        let name = read.shape.fields.get(position).map_or("", |field| field.as_str());
        let of_type = read.columns.get(position).map_or("", |column| column.source_type.name.as_str());
        Error::new(ErrorKind::Protocol, format!("read {found} as {of_type}"))
            .with_context("table", &read.shape.table)
            .with_context("column", name)
            .with_remedy("the schema may have changed: run migrate-discover again")
    }
}
