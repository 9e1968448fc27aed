//! Looks rows up by key, many with one statement.

use std::sync::Arc;

use futures::StreamExt as _;
use migrate_core::names::SourceKey;
use migrate_core::record::{Record, RecordShape};
use migrate_core::{Error, ErrorKind, Result};

use super::address::Address;
use super::binary::{Bytes, Form};
use super::errors::table_error;
use super::snapshot::Reader;
use super::statement::{column, literal};
use super::table_copy::TableCopy;
use crate::decode::Found;

/// Keys in one statement.
const KEYS: usize = 1000;

/// The rows with `keys`, in their order; `None` where there is none. The records have the first `shape.fields.len()` of
/// the columns of `copy`. Equality is the key's own type's.
///
/// # Errors
/// The server's; `Config` for a key that was not made of this table's key.
pub(super) async fn fetch(
    copy: &TableCopy,
    shape: &Arc<RecordShape>,
    keys: &[SourceKey],
    reader: &mut Reader,
    address: &Address,
) -> Result<Vec<Option<Record>>> {
    let mut found: Vec<Option<Record>> = vec![None; keys.len()];
    let table = &copy.read.shape.table;
    let failed = |error: tokio_postgres::Error| table_error(&error, "look rows up by key", table, address);
    reader.client.batch_execute(&copy.settings()).await.map_err(failed)?;
    for (chunk, keys) in keys.chunks(KEYS).enumerate() {
        let statement = statement(copy, keys)?;
        reader.is_copying = true;
        let mut stream = Box::pin(reader.client.copy_out(&statement).await.map_err(failed)?);
        let mut is_begun = false;
        while let Some(message) = stream.next().await {
            let message = message.map_err(failed)?;
            let rows = rows(copy, &message, &mut is_begun).map_err(|found| {
                Error::new(ErrorKind::Protocol, format!("look rows up by key: read {found}"))
                    .with_context("table", table)
                    .with_remedy("the schema may have changed: run migrate-discover again")
            })?;
            for (place, mut values) in rows {
                values.truncate(shape.fields.len());
                if let Some(slot) = found.get_mut(chunk * KEYS + place) {
                    *slot = Some(Record { shape: shape.clone(), values });
                }
            }
        }
        reader.is_copying = false;
    }
    Ok(found)
}

type Row = (usize, Vec<migrate_core::value::Value>);

fn rows(copy: &TableCopy, message: &[u8], is_begun: &mut bool) -> Result<Vec<Row>, Found> {
    let mut bytes = Bytes(message);
    if !std::mem::replace(is_begun, true) {
        bytes.skip_header()?;
    }
    let mut rows = Vec::new();
    while !bytes.0.is_empty() {
        let Some(fields) = bytes.tuple()? else { break };
        if fields != copy.forms.len() + 1 {
            return Err("a row of other columns than were asked for");
        }
        let migrate_core::value::Value::Int64(place) = bytes.value(&Form::Int4)? else {
            return Err("a row without a place");
        };
        let place = usize::try_from(place).map_err(|_| "a row without a place")?;
        let values = copy.forms.iter().map(|form| bytes.value(form)).collect::<Result<_, _>>()?;
        rows.push((place, values));
    }
    Ok(rows)
}

/// A join with the keys as rows of their own, each with its number.
fn statement(copy: &TableCopy, keys: &[SourceKey]) -> Result<String> {
    let key = &copy.read.key;
    let mut rows = Vec::with_capacity(keys.len());
    for (number, wanted) in keys.iter().enumerate() {
        let parts = wanted.parts(key.len()).ok_or_else(|| {
            Error::new(ErrorKind::Config, format!("look up a key that is not of {} columns", key.len()))
                .with_context("table", &copy.read.shape.table)
        })?;
        let typed = parts.iter().zip(&copy.key_types).map(|(part, of_type)| format!("{}::{of_type}", literal(part)));
        rows.push(format!("({number}::int4, {})", typed.collect::<Vec<_>>().join(", ")));
    }
    let names: Vec<String> = (0..key.len()).map(|place| format!("k{place}")).collect();
    let equal = key.iter().zip(&names).map(|(name, wanted)| format!("{} = k.{wanted}", column(name)));
    Ok(format!(
        "copy (select k.number, {} from (values {}) as k (number, {}) join {} on {}) to stdout (format binary)",
        copy.select,
        rows.join(", "),
        names.join(", "),
        copy.from,
        equal.collect::<Vec<_>>().join(" and ")
    ))
}
