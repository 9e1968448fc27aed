//! The archive that is imported: the tables' numbers, and the documents of every table.

use std::collections::BTreeMap;
use std::path::Path;

use migrate_core::error::{Error, ErrorKind, Result};
use migrate_core::names::TableName;
use serde::{Deserialize, Serialize};

use super::chunk::{Piece, io_error};
use super::numbers::TableNumbers;
use super::shape::TableShape;
use super::spool::Spool;
use super::uniform::UNIFORM_SCHEMA;
use super::zip::{ZipWriter, sha256_of};
use crate::names::LEGACY_IDS_TABLE;

/// How the values of an archive are written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Encoding {
    /// Exact by itself. Understood since March 2026.
    #[default]
    Uniform,
    /// Exact by a description of every table's shape, for deployments that are older.
    Shape,
}

/// A finished archive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Archive {
    /// Its size.
    pub bytes: u64,
    /// Its SHA-256, in hex.
    pub sha256: String,
    /// How its values are written.
    pub encoding: Encoding,
    /// Documents by table.
    pub documents: BTreeMap<String, u64>,
}

/// Which lines of a chunk are meant.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Documents,
    Keys,
}

/// Writes the archive of the included tables through a temporary file beside it: an import would empty the others. For a
/// thread that may block.
///
/// # Errors
/// `Io`; `State` for a file that is not what was written.
pub(crate) fn write(
    spool: &Spool,
    numbers: &TableNumbers,
    shapes: &[TableShape],
    included: &[TableName],
    path: &Path,
    encoding: Encoding,
) -> Result<Archive> {
    let mut partial = path.as_os_str().to_owned();
    partial.push(".partial");
    let partial = Path::new(&partial);
    let mut zip = ZipWriter::create(partial)?;
    let is_included = |at: &usize| spool.tables.get(*at).is_some_and(|table| included.contains(&table.source));
    let places: Vec<usize> = (0..spool.tables.len()).filter(is_included).collect();
    let names = places.iter().filter_map(|&at| spool.tables.get(at)).map(|table| table.sink.name());
    let numbers = numbers.of(names.chain(spool.has_key_table().then_some(LEGACY_IDS_TABLE)))?;
    add_lines(&mut zip, "_tables/documents.jsonl", &table_lines(&numbers))?;
    let mut documents = BTreeMap::new();
    let mut all = 0;
    for &at in &places {
        let Some(table) = spool.tables.get(at) else { continue };
        let shape = shapes.get(at).filter(|_| encoding == Encoding::Shape);
        let schema = add_entry(&mut zip, spool, &[at], table.sink.name(), Part::Documents, shape)?;
        add_lines(&mut zip, &format!("{}/generated_schema.jsonl", table.sink.name()), &schema)?;
        let count = table.content().documents();
        all += count;
        documents.insert(table.sink.name().to_owned(), count);
    }
    if spool.has_key_table() {
        // Its values are texts only, which every encoding writes the same.
        add_entry(&mut zip, spool, &places, LEGACY_IDS_TABLE, Part::Keys, None)?;
        let schema = match encoding {
            Encoding::Uniform => UNIFORM_SCHEMA.to_vec(),
            Encoding::Shape => TableShape::of_keys().schema(),
        };
        add_lines(&mut zip, &format!("{LEGACY_IDS_TABLE}/generated_schema.jsonl"), &schema)?;
        documents.insert(LEGACY_IDS_TABLE.to_owned(), all);
    }
    let (bytes, file) = zip.finish()?;
    // Both take their time, and neither needs the other.
    let (durable, sha256) = std::thread::scope(|scope| {
        let durable = scope.spawn(|| file.sync_all().map_err(|error| io_error(partial, error)));
        let sha256 = sha256_of(partial);
        let lost = |_| Error::new(ErrorKind::Unexpected, "make the archive durable");
        (durable.join().unwrap_or_else(|panic| Err(lost(panic))), sha256)
    });
    durable?;
    let sha256 = sha256?;
    std::fs::rename(partial, path).map_err(|error| io_error(path, error))?;
    Ok(Archive { bytes, sha256, encoding, documents })
}

fn table_lines(numbers: &TableNumbers) -> Vec<u8> {
    let line = |(name, number): (&str, u32)| format!("{}\n", serde_json::json!({ "name": name, "id": number }));
    numbers.iter().map(line).collect::<String>().into_bytes()
}

fn add_lines(zip: &mut ZipWriter, name: &str, lines: &[u8]) -> Result<()> {
    let piece = Piece::pack(lines)?;
    zip.begin_entry(name, piece.size.raw.into())?;
    zip.add(&piece.packed, piece.size)?;
    zip.end_entry()
}

/// Adds the documents of some tables as one entry; returns what their `generated_schema.jsonl` says.
fn add_entry(
    zip: &mut ZipWriter,
    spool: &Spool,
    tables: &[usize],
    name: &str,
    part: Part,
    shape: Option<&TableShape>,
) -> Result<Vec<u8>> {
    let tables = || tables.iter().filter_map(|&at| spool.tables.get(at));
    let size = |part: Part| -> u64 {
        let of_table = |chunks: &[super::chunk::Chunk]| -> u64 {
            let raw = chunks.iter().map(|chunk| match part {
                Part::Documents => chunk.documents.raw,
                Part::Keys => chunk.keys.raw,
            });
            raw.map(u64::from).sum()
        };
        tables().map(|table| of_table(table.content().file.chunks())).sum()
    };
    // The older encoding writes an integer in two more characters, and nothing else longer by more than that.
    let at_most = size(part).saturating_mul(if shape.is_some() { 3 } else { 1 });
    zip.begin_entry(&format!("{name}/documents.jsonl"), at_most)?;
    let mut schema = shape.map_or_else(|| UNIFORM_SCHEMA.to_vec(), TableShape::schema);
    for table in tables() {
        let mut content = table.content();
        for at in 0..content.file.chunks().len() {
            let Some(chunk) = content.chunk(at) else { continue };
            if content.dead_rows(at) == 0 && shape.is_none() {
                match part {
                    Part::Documents => zip.add(&content.file.packed_documents(chunk)?, chunk.documents)?,
                    Part::Keys => zip.add(&content.file.packed_keys(chunk)?, chunk.keys)?,
                }
                continue;
            }
            let lines = match part {
                Part::Documents => content.file.documents(chunk)?,
                Part::Keys => content.file.keys(chunk)?,
            };
            let mut kept = Vec::with_capacity(lines.len());
            for (row, line) in (0..chunk.rows).zip(lines.split_inclusive(|&byte| byte == b'\n')) {
                match shape {
                    _ if content.is_dead(at, row) => {}
                    None => kept.extend_from_slice(line),
                    Some(shape) => shape.write_line(line, &mut kept, &mut schema).map_err(|()| {
                        Error::new(ErrorKind::State, "read a document of the snapshot again")
                            .with_context("table", &table.sink)
                            .with_remedy("begin anew: --fresh")
                    })?,
                }
            }
            let piece = Piece::pack(&kept)?;
            zip.add(&piece.packed, piece.size)?;
        }
    }
    zip.end_entry()?;
    Ok(schema)
}
