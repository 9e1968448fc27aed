//! What a snapshot is made of while it is written: the chunks of every table, and which documents in them count.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use migrate_core::Plan;
use migrate_core::error::{Error, ErrorKind, Result};
use migrate_core::names::{FieldName, SourceKey, TableName};
use migrate_core::plan::LegacyIds;
use migrate_core::record::RowError;
use migrate_core::sink::WriteRecord;

use super::chunk::{Chunk, ChunkFile, NewChunk, Piece, io_error};
use super::numbers::TableNumbers;
use super::uniform;
use super::validate::{References, Validator};
use crate::document_id::{DocumentId, IdMaker};
use crate::encode::{fields, write_text};
use crate::names::LEGACY_IDS_TABLE;

/// All tables of a snapshot.
#[derive(Debug)]
pub(crate) struct Spool {
    pub(crate) tables: Vec<SpoolTable>,
    by_source: HashMap<TableName, usize>,
    by_sink: HashMap<TableName, usize>,
    legacy_ids: LegacyIds,
    legacy_id_field: FieldName,
    /// Makes the ids of the documents that keep the rows' keys, where those have a table of their own.
    key_ids: Option<IdMaker>,
    buffers: Mutex<Vec<Vec<u8>>>,
}

/// One table of a snapshot.
#[derive(Debug)]
pub(crate) struct SpoolTable {
    pub(crate) source: TableName,
    pub(crate) sink: TableName,
    pub(crate) ids: IdMaker,
    validator: Validator,
    content: Mutex<Content>,
}

/// A table's documents.
#[derive(Debug)]
pub(crate) struct Content {
    pub(crate) file: ChunkFile,
    /// Per chunk, the documents that do not count, a bit each; empty where all count.
    dead: Vec<Vec<u64>>,
}

impl Content {
    pub(crate) fn chunk(&self, at: usize) -> Option<Chunk> {
        self.file.chunks().get(at).copied()
    }

    pub(crate) fn is_dead(&self, chunk: usize, row: u32) -> bool {
        let words = self.dead.get(chunk);
        let word = words.and_then(|words| words.get(row as usize / 64)).copied().unwrap_or_default();
        word >> (row % 64) & 1 == 1
    }

    /// How many documents of a chunk do not count.
    pub(crate) fn dead_rows(&self, chunk: usize) -> u32 {
        self.dead.get(chunk).map_or(0, |words| words.iter().map(|word| word.count_ones()).sum())
    }

    pub(crate) fn bury(&mut self, chunk: usize, row: u32) {
        if self.dead.len() <= chunk {
            self.dead.resize(chunk + 1, Vec::new());
        }
        let rows = self.chunk(chunk).map_or(0, |chunk| chunk.rows as usize);
        if let Some(words) = self.dead.get_mut(chunk) {
            words.resize(rows.div_ceil(64), 0);
            if let Some(word) = words.get_mut(row as usize / 64) {
                *word |= 1 << (row % 64);
            }
        }
    }

    /// Documents that count.
    pub(crate) fn documents(&self) -> u64 {
        let chunks = self.file.chunks().iter().enumerate();
        chunks.map(|(at, chunk)| u64::from(chunk.rows - self.dead_rows(at))).sum()
    }
}

impl SpoolTable {
    /// The table's documents, held until the guard is dropped.
    pub(crate) fn content(&self) -> MutexGuard<'_, Content> {
        self.content.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A batch as lines, before it is compressed.
#[derive(Debug)]
pub(crate) struct Lines {
    documents: Vec<u8>,
    keys: Vec<u8>,
    ids: Vec<u8>,
    references: Vec<u8>,
}

/// The references of the document at hand.
#[derive(Debug, Default)]
struct Found(Vec<DocumentId>);

impl References for Found {
    fn refers(&mut self, to: DocumentId) {
        self.0.push(to);
    }
}

impl Spool {
    /// Opens the chunks of a plan's tables in a folder, or begins them.
    ///
    /// # Errors
    /// `Config` for a table without a number, `Io`.
    pub(crate) fn open(plan: &Plan, numbers: &TableNumbers, folder: &Path) -> Result<Self> {
        let stream = plan.sink.id_stream.clone().unwrap_or_default();
        let migrated: Vec<TableName> = plan.tables.iter().map(|table| table.sink.clone()).collect();
        let number = |table: &str| {
            numbers.get(table).ok_or_else(|| {
                Error::new(ErrorKind::Config, "know the number of every table").with_context("table", table)
            })
        };
        let mut tables = Vec::with_capacity(plan.tables.len());
        for table in &plan.tables {
            tables.push(SpoolTable {
                source: table.source.clone(),
                sink: table.sink.clone(),
                ids: IdMaker::new(&stream, &table.source, number(table.sink.name())?),
                validator: Validator::new(&table.fields, numbers, &migrated),
                content: Mutex::new(Content {
                    file: ChunkFile::open(&path_of(folder, &table.sink))?,
                    dead: Vec::new(),
                }),
            });
        }
        let places = |name: fn(&SpoolTable) -> &TableName| {
            tables.iter().enumerate().map(|(at, table)| (name(table).clone(), at)).collect()
        };
        let key_ids = match plan.sink.legacy_ids {
            LegacyIds::Field => None,
            LegacyIds::SideTable => {
                let name = TableName::new("convex", LEGACY_IDS_TABLE)?;
                Some(IdMaker::new(&stream, &name, number(LEGACY_IDS_TABLE)?))
            }
        };
        Ok(Self {
            by_source: places(|table| &table.source),
            by_sink: places(|table| &table.sink),
            tables,
            legacy_ids: plan.sink.legacy_ids,
            legacy_id_field: plan.sink.legacy_id_field.clone(),
            key_ids,
            buffers: Mutex::default(),
        })
    }

    /// The place of a table by its name at the source.
    pub(crate) fn of_source(&self, table: &TableName) -> Option<usize> {
        self.by_source.get(table).copied()
    }

    /// The place of a table by its name at the sink.
    pub(crate) fn of_sink(&self, table: &TableName) -> Option<usize> {
        self.by_sink.get(table).copied()
    }

    /// Whether the rows' keys have a table of their own.
    pub(crate) fn has_key_table(&self) -> bool {
        self.key_ids.is_some()
    }

    fn buffer(&self) -> Vec<u8> {
        self.buffers.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default()
    }

    fn give_back(&self, mut buffer: Vec<u8>) {
        buffer.clear();
        self.buffers.lock().unwrap_or_else(PoisonError::into_inner).push(buffer);
    }

    /// Writes records as lines; tells of each its id, or why it has none.
    pub(crate) fn encode(
        &self,
        table: &SpoolTable,
        records: &[WriteRecord],
    ) -> (Lines, Vec<std::result::Result<DocumentId, RowError>>) {
        let mut lines = Lines {
            documents: self.buffer(),
            keys: self.buffer(),
            ids: Vec::with_capacity(records.len() * super::chunk::ID_BYTES),
            references: Vec::new(),
        };
        let mut found = Found::default();
        let mut row = 0_u32;
        let outcomes = records
            .iter()
            .map(|record| {
                found.0.clear();
                let (documents, keys) = (lines.documents.len(), lines.keys.len());
                let written = self.encode_one(table, record, &mut lines, &mut found).inspect_err(|_| {
                    lines.documents.truncate(documents);
                    lines.keys.truncate(keys);
                })?;
                lines.ids.extend_from_slice(&written.internal());
                for parent in &found.0 {
                    lines.references.extend(parent.internal().iter().take(8));
                    lines.references.extend_from_slice(&row.to_le_bytes());
                }
                row += 1;
                Ok(written)
            })
            .collect();
        (lines, outcomes)
    }

    fn encode_one(
        &self,
        table: &SpoolTable,
        record: &WriteRecord,
        lines: &mut Lines,
        found: &mut Found,
    ) -> std::result::Result<DocumentId, RowError> {
        table.validator.check(&record.record, found)?;
        let id = table.ids.id(&record.key);
        let legacy = (self.legacy_ids == LegacyIds::Field).then_some((&self.legacy_id_field, &record.key));
        uniform::write_document(&mut lines.documents, id, legacy, fields(&record.record))?;
        if let Some(maker) = &self.key_ids {
            let name = table.sink.name();
            let out = &mut lines.keys;
            out.extend_from_slice(b"{\"_id\":\"");
            maker.id(&SourceKey::from_parts(&[name, record.key.as_str()])).write_to(out);
            out.extend_from_slice(b"\",\"table\":");
            write_text(out, name);
            out.extend_from_slice(b",\"legacyId\":");
            write_text(out, record.key.as_str());
            out.extend_from_slice(b",\"documentId\":\"");
            id.write_to(out);
            out.extend_from_slice(b"\"}\n");
        }
        Ok(id)
    }

    /// Compresses lines and appends them to a table; returns the chunk's place. For a thread that may block.
    pub(crate) fn append(&self, table: &SpoolTable, lines: Lines) -> Result<usize> {
        let Lines { documents, keys, ids, references } = lines;
        let packed = Piece::pack(&documents).and_then(|packed| Ok((packed, Piece::pack(&keys)?)));
        self.give_back(documents);
        self.give_back(keys);
        let (documents, keys) = packed?;
        let mut content = table.content();
        content.file.append(&NewChunk { ids, references, documents, keys })?;
        Ok(content.file.chunks().len() - 1)
    }

    /// Removes the files of all tables; what is open stays readable until it is closed.
    pub(crate) fn remove_files(&self, folder: &Path) -> Result<()> {
        for table in &self.tables {
            let path = path_of(folder, &table.sink);
            match fs::remove_file(&path) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(io_error(&path, error)),
                _ => {}
            }
        }
        Ok(())
    }

    /// The keys of some rows of a chunk, read from its lines.
    ///
    /// # Errors
    /// `State` when a line has none; `Io`.
    pub(crate) fn keys_of(&self, content: &mut Content, chunk: usize, rows: &[u32]) -> Result<Vec<SourceKey>> {
        let Some(chunk) = content.chunk(chunk) else { return Ok(Vec::new()) };
        let (lines, field) = match self.legacy_ids {
            LegacyIds::Field => (content.file.documents(chunk)?, self.legacy_id_field.as_str()),
            LegacyIds::SideTable => (content.file.keys(chunk)?, "legacyId"),
        };
        let lines: Vec<&[u8]> = lines.split(|&byte| byte == b'\n').collect();
        let key = |row: &u32| {
            let line = lines.get(*row as usize).copied().unwrap_or_default();
            let document: serde_json::Value = serde_json::from_slice(line).unwrap_or_default();
            document.get(field).and_then(|key| key.as_str()).map(SourceKey::from).ok_or_else(|| {
                Error::new(ErrorKind::State, "read a document of the snapshot again").with_remedy("begin anew: --fresh")
            })
        };
        rows.iter().map(key).collect()
    }
}

fn path_of(folder: &Path, table: &TableName) -> PathBuf {
    folder.join(format!("{}.chunks", table.name()))
}
