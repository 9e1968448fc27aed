//! The reject file as the user may have mended it.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::{Map, Value as Json};

use super::{Reject, decode};
use crate::catalog::{PLACE, PLACE_TABLE, TableSchema};
use crate::error::{Error, ErrorKind, Result};
use crate::names::{FieldName, SourceKey};
use crate::plan::PlanTable;
use crate::record::RejectCode;
use crate::value::Value;

/// One line: the row's key, and the row. All else in it is for the reader.
#[derive(Debug, Deserialize)]
pub(super) struct Line {
    pub(super) key: SourceKey,
    pub(super) record: Map<String, Json>,
    /// Where it stands, `file:line`.
    #[serde(skip)]
    pub(super) at: String,
}

/// The lines of a reject file, blank ones left out; `None` where there is no file.
pub(super) fn lines(path: &Path) -> Result<Option<impl Iterator<Item = Result<Line>>>> {
    let failed = |error, path: &PathBuf| {
        Error::new(ErrorKind::Io, "read the rejects").with_context("file", path.display()).with_source(error)
    };
    let path = path.to_owned();
    let file = match File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error, &path)),
    };
    let numbered = BufReader::new(file).lines().enumerate();
    Ok(Some(numbered.filter_map(move |(number, text)| {
        let at = format!("{}:{}", path.display(), number + 1);
        match text {
            Ok(text) if text.trim().is_empty() => None,
            Ok(text) => Some(line(&text, at)),
            Err(error) => Some(Err(failed(error, &path))),
        }
    })))
}

/// serde's own message may quote a value.
fn line(text: &str, at: String) -> Result<Line> {
    match serde_json::from_str::<Line>(text) {
        Ok(line) => Ok(Line { at, ..line }),
        Err(error) if error.is_data() => Err(unreadable(&at, "it has no text `key` and no object `record`")),
        Err(error) => Err(unreadable(&at, "it is not JSON").with_context("character", error.column())),
    }
}

fn unreadable(at: &str, what: &str) -> Error {
    Error::new(ErrorKind::Config, format!("read a rejected row: {what}"))
        .with_context("file", at)
        .with_remedy("mend the line, or delete it: then the row stays rejected; or add --refetch")
}

/// The columns that a reject's row must have: those of the pass that it waits for, and of the one after it.
pub(super) fn columns(table: &PlanTable, code: RejectCode) -> Vec<FieldName> {
    let cut = table.cut_fields().flat_map(|field| &field.columns);
    let of_links = table.key.iter().chain(cut);
    let others = table.alternate_keys.iter().flatten().chain(table.fields.iter().flat_map(|field| &field.columns));
    let mut columns: Vec<FieldName> = match code {
        RejectCode::ReferenceUnlinked => of_links.cloned().collect(),
        _ => of_links.chain(others).cloned().collect(),
    };
    let mut known = std::collections::HashSet::new();
    columns.retain(|column| known.insert(column.clone()));
    columns
}

/// Proves that a line can stand for its reject: that all values are read, and that the key is the same.
pub(super) fn check(line: &Line, reject: &Reject, table: &PlanTable, schema: &TableSchema) -> Result<()> {
    let strange = line
        .record
        .keys()
        .find(|name| schema.column(name.as_str()).is_none() && !matches!(name.as_str(), PLACE | PLACE_TABLE));
    if let Some(name) = strange {
        return Err(unreadable(&line.at, "the table has no such column").with_context("column", name));
    }
    let columns = columns(table, reject.code);
    let values = decode::values(&line.record, schema, &columns)
        .map_err(|(column, what)| unreadable(&line.at, &what).with_context("column", column))?;
    let key = table.key.iter().map(|name| {
        let position = columns.iter().position(|column| column == name);
        position.and_then(|position| values.get(position)).and_then(Value::key_text)
    });
    let texts: Option<Vec<String>> = key.collect();
    if texts.is_some_and(|texts| SourceKey::from_parts(&texts) == line.key) {
        return Ok(());
    }
    let names: Vec<&str> = table.key.iter().map(FieldName::as_str).collect();
    Err(unreadable(&line.at, "its key is not the row's any more; a key cannot be mended here")
        .with_context("column", names.join(", ")))
}
