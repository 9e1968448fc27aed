//! The uploaded ZIP: which tables it has, how their rows are written, and the rows one by one
//! (convex-backend, `crates/application/src/snapshot_import/parse.rs`). It stays on disk.

use std::{
    collections::{BTreeMap, HashMap},
    fmt::Display,
    fs::File,
    io::{BufRead as _, BufReader, Read as _},
    path::Path,
};

use serde::{Deserialize, de::IgnoredAny};
use serde_json::Value;
use zip::ZipArchive;

use crate::convex_bench::document_id::DocumentId;

use super::{
    decode::Encoding,
    shape::{Hint, Shape},
};

const TABLES: &str = "_tables";
const STORAGE: &str = "_storage";
const MAX_TABLE_NAME: usize = 64;
/// Far above every document: a line that is longer is no row.
const MAX_LINE: u64 = 64 << 20;

/// An archive that is open.
pub(super) struct Archive {
    zip: ZipArchive<BufReader<File>>,
    /// Tables with rows, in the order of the archive, and what is known of each.
    pub(super) tables: Vec<ArchiveTable>,
    /// What `_tables` says, in its order.
    pub(super) numbers: Vec<(String, u32)>,
}

/// A table of an archive.
#[derive(Debug, Default)]
pub(super) struct ArchiveTable {
    pub(super) name: String,
    pub(super) encoding: Encoding,
    /// The places of its files with rows.
    entries: Vec<usize>,
}

impl Archive {
    /// Opens the archive and reads all but the rows. `knows_uniform` is false for a backend that is older than the
    /// encoding of that name.
    pub(super) fn open(path: &Path, knows_uniform: bool) -> Result<Self, String> {
        let file = File::open(path).map_err(|error| error.to_string())?;
        let zip = ZipArchive::new(BufReader::new(file)).map_err(|error| damaged(&error))?;
        let mut archive = Self { zip, tables: Vec::new(), numbers: Vec::new() };
        let mut encodings = BTreeMap::new();
        let mut numbered = Vec::new();
        for entry in 0..archive.zip.len() {
            let name = archive.zip.name_for_index(entry).transpose().map_err(|error| damaged(&error))?;
            let name = name.unwrap_or_default().into_owned();
            match content_of(&name)? {
                Content::Rows(table) if table == TABLES => numbered.push(entry),
                Content::Rows(table) => archive.table(table).entries.push(entry),
                Content::Encoding(table) => {
                    let encoding = archive.encoding(entry, &name, knows_uniform)?;
                    encodings.insert(table.to_owned(), encoding);
                }
                Content::Nothing => {}
            }
        }
        for table in &mut archive.tables {
            table.encoding = encodings.remove(&table.name).unwrap_or_default();
        }
        for entry in numbered {
            let numbers = archive.table_numbers(entry)?;
            archive.numbers.extend(numbers);
        }
        Ok(archive)
    }

    fn table(&mut self, name: &str) -> &mut ArchiveTable {
        let position = self.tables.iter().position(|table| table.name == name).unwrap_or_else(|| {
            self.tables.push(ArchiveTable { name: name.to_owned(), ..ArchiveTable::default() });
            self.tables.len() - 1
        });
        &mut self.tables[position]
    }

    /// Gives every row of the table at this place, with its number from 1 on, until one is refused.
    pub(super) fn rows(
        &mut self,
        table: usize,
        mut row: impl FnMut(usize, &[u8]) -> Result<(), String>,
    ) -> Result<(), String> {
        let mut number = 0;
        for entry in self.tables[table].entries.clone() {
            self.lines(entry, |line| {
                number += 1;
                row(number, line)
            })?;
        }
        Ok(())
    }

    /// The table number in the id of the first row, the only one that is asked for it.
    pub(super) fn first_number(&mut self, table: usize) -> Result<Option<u32>, String> {
        #[derive(Deserialize)]
        struct Row {
            #[serde(rename = "_id")]
            id: Option<Value>,
        }
        let Some(entry) = self.tables[table].entries.first().copied() else { return Ok(None) };
        let mut line = Vec::new();
        let file = self.zip.by_index(entry).map_err(|error| damaged(&error))?;
        BufReader::new(file.take(MAX_LINE)).read_until(b'\n', &mut line).map_err(|error| damaged(&error))?;
        let row: Option<Row> = serde_json::from_slice(&line).ok();
        let id = row.and_then(|row| row.id).and_then(|id| id.as_str().and_then(|id| id.parse::<DocumentId>().ok()));
        Ok(id.map(|id| id.table_number))
    }

    fn lines(&mut self, entry: usize, mut each: impl FnMut(&[u8]) -> Result<(), String>) -> Result<(), String> {
        let file = self.zip.by_index(entry).map_err(|error| damaged(&error))?;
        let mut reader = BufReader::with_capacity(1 << 16, file);
        let mut line = Vec::new();
        loop {
            line.clear();
            // The end of the file is read, too: there its checksum is compared.
            let length =
                reader.by_ref().take(MAX_LINE).read_until(b'\n', &mut line).map_err(|error| damaged(&error))?;
            if length == 0 {
                return Ok(());
            }
            each(&line)?;
        }
    }

    fn encoding(&mut self, entry: usize, file: &str, knows_uniform: bool) -> Result<Encoding, String> {
        let mut lines = Vec::new();
        self.lines(entry, |line| {
            let number = lines.len() + 1;
            lines.push(serde_json::from_slice::<Value>(line).map_err(|error| invalid_json(number, &error))?);
            Ok(())
        })?;
        let mut lines = lines.into_iter();
        let first = lines.next().ok_or_else(|| format!("{file} is empty"))?;
        let text = first.as_str().ok_or("first line of generated_schema must be a string")?;
        if text == "uniform" && knows_uniform {
            return Ok(Encoding::Uniform);
        }
        let shape = Shape::parse(text).map_err(|error| format!("cannot parse {file}: {error}"))?;
        let mut hints = HashMap::new();
        for line in lines {
            let fields = line.as_object().filter(|fields| fields.len() == 1);
            let (id, hint) = fields.and_then(|fields| fields.iter().next()).ok_or("an override has one field")?;
            id.parse::<DocumentId>().map_err(|error| format!("invalid _id '{id}': {error}"))?;
            hints.insert(id.clone(), Hint::parse(hint)?);
        }
        Ok(Encoding::Shaped { shape, hints })
    }

    fn table_numbers(&mut self, entry: usize) -> Result<Vec<(String, u32)>, String> {
        #[derive(Deserialize)]
        struct Row {
            name: String,
            id: u32,
        }
        let mut numbers = Vec::new();
        self.lines(entry, |line| {
            let number = numbers.len() + 1;
            let Row { name, id } = serde_json::from_slice(line).map_err(|error| invalid_json(number, &error))?;
            // Tables of the deployment itself are in every export; they are not replaced.
            if !name.starts_with('_') {
                check_table_name(&name)?;
            }
            numbers.push((name, id));
            Ok(())
        })?;
        Ok(numbers.into_iter().filter(|(name, _)| !name.starts_with('_')).collect())
    }
}

/// The refusal of a line that is no JSON.
pub(super) fn invalid_json(row: usize, error: &serde_json::Error) -> String {
    format!("Row {row} wasn't valid JSON: {error}")
}

/// Whether a line, which must be JSON, is an object with an `_id`.
pub(super) fn has_id(row: usize, line: &[u8]) -> Result<bool, String> {
    #[derive(Deserialize)]
    struct Row {
        #[serde(rename = "_id")]
        id: Option<IgnoredAny>,
    }
    if let Ok(Row { id }) = serde_json::from_slice(line) {
        return Ok(id.is_some());
    }
    serde_json::from_slice::<IgnoredAny>(line).map(|_| false).map_err(|error| invalid_json(row, &error))
}

fn damaged(error: &impl Display) -> String {
    format!("invalid zip file: {error}")
}

/// What a file of an archive is for.
#[derive(Debug, PartialEq, Eq)]
enum Content<'a> {
    Rows(&'a str),
    Encoding(&'a str),
    Nothing,
}

fn content_of(name: &str) -> Result<Content<'_>, String> {
    let mut parts = name.rsplit('/');
    let (file, folder) = (parts.next().unwrap_or_default(), parts.next());
    if folder == Some(STORAGE) && !file.is_empty() {
        return Err(format!("this stand-in stores no files, but the archive has {name}"));
    }
    let (Some(table), "documents.jsonl" | "generated_schema.jsonl") = (folder, file) else {
        return Ok(Content::Nothing);
    };
    parts.next();
    if parts.next() == Some("_components") {
        return Err(format!("this stand-in has no components, but the archive has {name}"));
    }
    if table.starts_with('_') && table != TABLES {
        return Ok(Content::Nothing);
    }
    if table != TABLES {
        check_table_name(table)?;
    }
    Ok(if file == "documents.jsonl" { Content::Rows(table) } else { Content::Encoding(table) })
}

fn check_table_name(name: &str) -> Result<(), String> {
    let is_word = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    let starts = name.bytes().next().is_some_and(|byte| byte.is_ascii_alphabetic());
    if is_word && starts && name.len() <= MAX_TABLE_NAME { Ok(()) } else { Err(format!("table name '{name}' invalid")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_known_by_the_ends_of_their_names() {
        assert_eq!(content_of("documents.jsonl"), Ok(Content::Nothing));
        for prefix in ["", "snapshot_1/", "a/b/"] {
            let name = |end: &str| format!("{prefix}{end}");
            assert_eq!(content_of(&name("users/documents.jsonl")), Ok(Content::Rows("users")));
            assert_eq!(content_of(&name("users/generated_schema.jsonl")), Ok(Content::Encoding("users")));
            assert_eq!(content_of(&name("_tables/documents.jsonl")), Ok(Content::Rows("_tables")));
            for ignored in ["_auth/documents.jsonl", "users/README.md", "users/"] {
                assert_eq!(content_of(&name(ignored)), Ok(Content::Nothing), "{ignored}");
            }
            for refused in ["a b/documents.jsonl", "_storage/documents.jsonl", "_components/c/users/documents.jsonl"] {
                assert!(content_of(&name(refused)).is_err(), "{refused}");
            }
        }
    }
}
