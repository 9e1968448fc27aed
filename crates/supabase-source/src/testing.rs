//! What is made of a server's bytes, as plain functions of them: for fuzzing.

use migrate_core::Result;
use migrate_core::catalog::{Column, TableSchema, TableState};
use migrate_core::names::{FieldName, TableName};
use migrate_core::record::Record;
use reqwest::StatusCode;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};

use crate::decode::decode;
use crate::discover;
use crate::errors::{Attempt, parse_error};
use crate::key::KeyKind;
use crate::source_type::source_type;
use crate::table_read::TableRead;

const COLUMN: &str = "value";

/// The records of a page of a table whose only column, `value`, is of the type `format`.
///
/// # Errors
/// As reading a page.
pub fn read_page(format: &str, body: &[u8]) -> Result<Vec<Record>> {
    let column = FieldName::from(COLUMN);
    let table = TableSchema {
        state: TableState::Present,
        columns: vec![Column::new(column.clone(), source_type(format, Vec::new()))],
        ..TableSchema::new(TableName::new("public", "things")?)
    };
    let columns = [column];
    decode(body, &TableRead::new(&table, &columns, &columns)?)
}

/// The tables of an OpenAPI document.
///
/// # Errors
/// As discovery by the data API alone.
pub fn read_document(body: &[u8]) -> Result<Vec<TableSchema>> {
    let (_, tables) = discover::read_document(body, "public", &attempt("read the OpenAPI document"))?;
    Ok(tables)
}

/// The error of an answer without success; headers that cannot be ones are left out.
#[must_use]
pub fn read_failure(status: u16, headers: &[(&'static str, &[u8])], body: &[u8]) -> migrate_core::Error {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers: HeaderMap = headers
        .iter()
        .filter_map(|(name, value)| {
            Some((HeaderName::from_bytes(name.as_bytes()).ok()?, HeaderValue::from_bytes(value).ok()?))
        })
        .collect();
    parse_error(status, &headers, body, &attempt("read a page"))
}

fn attempt(action: &'static str) -> Attempt<'static> {
    Attempt { action, table: None, key: &KeyKind::Secret, address: "abc.supabase.co:443" }
}
