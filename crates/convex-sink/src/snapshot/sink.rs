//! [`SnapshotSink`]: records as lines of an archive.

use std::collections::BTreeSet;
use std::fs::{self, DirBuilder};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use async_trait::async_trait;
use migrate_core::Plan;
use migrate_core::error::{Error, ErrorKind, Result};
use migrate_core::names::{KeySpace, SinkId, SourceKey, TableName};
use migrate_core::plan::LegacyIds;
use migrate_core::record::RowError;
use migrate_core::resolve::{DerivedIds, IdResolver, Resolution};
use migrate_core::sink::{
    IdAssignment, Match, NaturalKey, Sink, SinkCapabilities, WriteBatch, WriteEffect, WriteMode, WriteOutcome,
    WriteRecord,
};
use serde::{Deserialize, Serialize};

use super::archive::{self, Archive, Encoding};
use super::chunk::{ID_BYTES, io_error};
use super::closure::Closure;
use super::numbers::TableNumbers;
use super::shape::TableShape;
use super::spool::{Spool, SpoolTable};
use crate::document_id::DocumentId;
use crate::names::LEGACY_IDS_TABLE;
use crate::size::document_size;

/// Version of the files in a snapshot's folder.
const FOLDER_VERSION: u32 = 1;
/// Records of one chunk at most.
const BATCH_RECORDS: usize = 1024;
/// Bytes of one chunk, by Convex's own formula: large enough to compress well, small enough to hold several.
const BATCH_BYTES: usize = 2 * 1024 * 1024;
const FOLDER_FILE: &str = "snapshot.json";
const ARCHIVE_FILE: &str = "archive.json";
const ARCHIVE: &str = "snapshot.zip";

/// Keeps the documents of a plan in a folder, and makes one archive of them.
///
/// It knows every document's id before it is written: give it to [`migrate_core::Pipeline::derived_ids`], too. Nothing
/// reaches a deployment by it.
#[derive(Debug)]
pub struct SnapshotSink {
    shared: Arc<Shared>,
    folder: PathBuf,
    plan: Plan,
    numbers: TableNumbers,
    /// Finds documents of adopted tables; none where no deployment is asked.
    lookups: Option<Arc<dyn Sink>>,
}

#[derive(Debug)]
struct Shared {
    spool: Spool,
    closure: RwLock<Closure>,
}

/// What a folder was made for.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct FolderFile {
    version: u32,
    plan_fingerprint: String,
    numbers: TableNumbers,
}

impl Shared {
    fn closure(&self) -> RwLockReadGuard<'_, Closure> {
        self.closure.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn closure_mut(&self) -> RwLockWriteGuard<'_, Closure> {
        self.closure.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl SnapshotSink {
    /// The tables whose numbers a snapshot of a plan needs.
    pub fn tables(plan: &Plan) -> impl Iterator<Item = &str> {
        let keys = (plan.sink.legacy_ids == LegacyIds::SideTable).then_some(LEGACY_IDS_TABLE);
        plan.tables.iter().map(|table| table.sink.name()).chain(keys)
    }

    /// The numbers that a folder's snapshot was begun with; none where none was.
    ///
    /// # Errors
    /// `Io`; `State` for a file of another format.
    pub fn begun_numbers(folder: &Path) -> Result<Option<TableNumbers>> {
        Ok(read_json::<FolderFile>(&folder.join(FOLDER_FILE))?.map(|file| file.numbers))
    }

    /// The archive that a folder's snapshot was finished with last, whether or not its file is still there.
    ///
    /// # Errors
    /// `Io`; `State` for a file of another format.
    pub fn last_archive(folder: &Path) -> Result<Option<Archive>> {
        read_json(&folder.join(ARCHIVE_FILE))
    }

    /// Opens the snapshot of a plan in a folder, or begins it.
    ///
    /// `numbers` are those of the deployment now, or the ones to be used; adopted tables may be among them.
    ///
    /// # Errors
    /// `State` when the folder's snapshot is of another plan, or the numbers have changed since; `Config` for a table
    /// without a number; `Io`.
    pub fn open(plan: &Plan, numbers: &TableNumbers, folder: &Path, lookups: Option<Arc<dyn Sink>>) -> Result<Self> {
        let needed = numbers.of(Self::tables(plan))?;
        let mut builder = DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(folder).map_err(|error| io_error(folder, error))?;
        let path = folder.join(FOLDER_FILE);
        let fingerprint = plan.fingerprint.clone();
        match read_json::<FolderFile>(&path)? {
            Some(known) if known.version != FOLDER_VERSION || known.plan_fingerprint != fingerprint => {
                return Err(Error::new(ErrorKind::State, "go on with a snapshot of another plan")
                    .with_context("folder", folder.display())
                    .with_remedy("begin anew: --fresh"));
            }
            Some(known) => known.numbers.check(&needed)?,
            None => {
                let file =
                    FolderFile { version: FOLDER_VERSION, plan_fingerprint: fingerprint, numbers: needed.clone() };
                write_json(&path, &file)?;
            }
        }
        let spool = Spool::open(plan, numbers, folder)?;
        let shared = Arc::new(Shared { spool, closure: RwLock::default() });
        Ok(Self { shared, folder: folder.to_owned(), plan: plan.clone(), numbers: needed, lookups })
    }

    /// The numbers of the snapshot's tables.
    #[must_use]
    pub fn numbers(&self) -> &TableNumbers {
        &self.numbers
    }

    /// The archive that was finished before, where its file is still whole and holds these tables, by their names at the
    /// source.
    ///
    /// # Errors
    /// `Io`; `State` for a file of another format.
    pub fn finished_archive(&self, tables: &[TableName]) -> Result<Option<(PathBuf, Archive)>> {
        let path = self.folder.join(ARCHIVE);
        let archive = Self::last_archive(&self.folder)?;
        let planned = self.plan.tables.iter().filter(|table| tables.contains(&table.source));
        let mut wanted: BTreeSet<&str> = planned.map(|table| table.sink.name()).collect();
        wanted.extend(self.shared.spool.has_key_table().then_some(LEGACY_IDS_TABLE));
        let is_whole = |archive: &Archive| {
            archive.documents.keys().map(String::as_str).eq(wanted.iter().copied())
                && fs::metadata(&path).is_ok_and(|file| file.len() == archive.bytes)
        };
        Ok(archive.filter(is_whole).map(|archive| (path.clone(), archive)))
    }

    /// Writes the archive of some tables, by their names at the source; in it are exactly the documents that were written
    /// and not withdrawn.
    ///
    /// # Errors
    /// `Io`; `State` for chunks that are not what was written.
    pub async fn finish_archive(&self, tables: &[TableName], encoding: Encoding) -> Result<(PathBuf, Archive)> {
        let path = self.folder.join(ARCHIVE);
        let (shared, numbers, target) = (self.shared.clone(), self.numbers.clone(), path.clone());
        let included = tables.to_vec();
        let shapes: Vec<TableShape> =
            self.plan.tables.iter().map(|table| TableShape::of(table, &self.plan.sink)).collect();
        let archive =
            blocking(move || archive::write(&shared.spool, &numbers, &shapes, &included, &target, encoding)).await?;
        write_json(&self.folder.join(ARCHIVE_FILE), &archive)?;
        Ok((path, archive))
    }

    /// Removes the chunks that an archive was made of, once it was imported: they are about as large as the archive, which
    /// stays. Does nothing where tables of the plan are not in the archive, because the next one is made of these chunks and
    /// theirs.
    ///
    /// # Errors
    /// `Io`.
    pub fn remove_chunks(&self, imported: &Archive) -> Result<()> {
        let is_whole = Self::tables(&self.plan).all(|table| imported.documents.contains_key(table));
        if is_whole { self.shared.spool.remove_files(&self.folder) } else { Ok(()) }
    }

    /// Records of a table, by its name at the source, that were written, each time counted that they were.
    ///
    /// Less than a state says were committed means that the machine stopped before they were on disk, or that the chunks
    /// were removed after an import.
    #[must_use]
    pub fn written(&self, table: &TableName) -> u64 {
        let place = self.shared.spool.of_source(table);
        let content = place.and_then(|place| self.shared.spool.tables.get(place)).map(SpoolTable::content);
        content.map_or(0, |content| content.file.chunks().iter().map(|chunk| u64::from(chunk.rows)).sum())
    }

    fn table(&self, place: Option<usize>, name: &TableName) -> Result<&SpoolTable> {
        place.and_then(|place| self.shared.spool.tables.get(place)).ok_or_else(|| {
            Error::new(ErrorKind::Unexpected, "find a table that is not in the plan").with_context("table", name)
        })
    }

    fn lookups(&self) -> Result<&Arc<dyn Sink>> {
        self.lookups.as_ref().ok_or_else(|| {
            Error::new(ErrorKind::Config, "look up documents of adopted tables without a deployment")
                .with_remedy("set CONVEX_URL and CONVEX_DEPLOY_KEY, too")
        })
    }
}

#[async_trait]
impl Sink for SnapshotSink {
    fn capabilities(&self) -> SinkCapabilities {
        SinkCapabilities {
            batch_records: BATCH_RECORDS,
            batch_bytes: BATCH_BYTES,
            in_flight: self.plan.run.in_flight.max(1),
            ids: IdAssignment::BeforeWrite,
        }
    }

    fn measure(&self, record: &WriteRecord) -> Result<usize, RowError> {
        document_size(&self.plan.sink.legacy_id_field, self.plan.sink.legacy_ids, record)
    }

    /// Tries the lookups of adopted tables only: an import needs no function.
    async fn check(&self, _: &[TableName]) -> Result<()> {
        if self.plan.adopted.is_empty() {
            return Ok(());
        }
        self.lookups()?.check(&[]).await
    }

    async fn lookup(&self, table: &TableName, index: &str, keys: &[NaturalKey]) -> Result<Vec<Match>> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        self.lookups()?.lookup(table, index, keys).await
    }

    /// One chunk for the batch. What the schema would refuse is rejected here; the same record again replaces the one
    /// before.
    async fn write_batch(&self, batch: WriteBatch<'_>) -> Result<Vec<WriteOutcome>> {
        if batch.mode == WriteMode::Patch {
            return Err(Error::new(ErrorKind::Unexpected, "change documents of a snapshot: they are written once"));
        }
        let place = self.shared.spool.of_sink(batch.table);
        let table = self.table(place, batch.table)?;
        let (lines, written) = self.shared.spool.encode(table, batch.records);
        let numbers: Vec<u128> =
            written.iter().flatten().map(|id: &DocumentId| u128::from_be_bytes(id.internal())).collect();
        if !numbers.is_empty() {
            let shared = self.shared.clone();
            blocking(move || {
                if let Some(table) = place.and_then(|place| shared.spool.tables.get(place)) {
                    shared.spool.append(table, lines)?;
                    shared.closure_mut().written(&shared.spool, &numbers);
                }
                Ok(())
            })
            .await?;
        }
        let outcome = |written: Result<DocumentId, RowError>| match written {
            Ok(id) => WriteOutcome::Written { id: id.to_sink_id(), effect: WriteEffect::Inserted },
            Err(error) => WriteOutcome::Rejected(error),
        };
        Ok(written.into_iter().map(outcome).collect())
    }

    async fn finish(&self, _: &[TableName]) -> Result<()> {
        Ok(())
    }
}

#[async_trait]
impl IdResolver for SnapshotSink {
    /// Finds every row of the plan's tables by its key; rows of other tables, and by other columns, it misses.
    async fn resolve(&self, table: &KeySpace, keys: &[SourceKey]) -> Result<Vec<Resolution>> {
        let known = self.shared.spool.of_source(table.table()).filter(|_| table.columns().is_empty());
        let known = known.and_then(|place| self.shared.spool.tables.get(place));
        let resolve = |key: &SourceKey| match known {
            Some(known) => Resolution::Found(known.ids.id(key).to_sink_id()),
            None => Resolution::Missing { table: table.clone(), key: key.clone() },
        };
        Ok(keys.iter().map(resolve).collect())
    }
}

#[async_trait]
impl DerivedIds for SnapshotSink {
    async fn unclosed(&self, limit: usize) -> Result<Vec<(TableName, SourceKey)>> {
        let shared = self.shared.clone();
        blocking(move || shared.closure_mut().unclosed(&shared.spool, limit)).await
    }

    fn is_missing(&self, id: &SinkId) -> bool {
        id.as_str().parse().is_ok_and(|id| self.shared.closure().is_missing(id))
    }

    async fn withdraw(&self, table: &TableName, keys: &[SourceKey]) -> Result<()> {
        let known = self.table(self.shared.spool.of_source(table), table)?;
        let ids: Vec<u128> = keys.iter().map(|key| u128::from_be_bytes(known.ids.id(key).internal())).collect();
        let shared = self.shared.clone();
        blocking(move || shared.closure_mut().withdraw(&shared.spool, &ids)).await
    }
}

/// Runs `work` on a thread that may block.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|_| Err(Error::new(ErrorKind::Unexpected, "finish a step of the snapshot's thread")))
}

fn read_json<T: for<'de> Deserialize<'de>>(path: &Path) -> Result<Option<T>> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(io_error(path, error)),
    };
    serde_json::from_str(&text).map(Some).map_err(|_| {
        Error::new(ErrorKind::State, "read a file of the snapshot: it has another format")
            .with_context("file", path.display())
            .with_remedy("begin anew: --fresh")
    })
}

fn write_json<T: Serialize>(path: &Path, value: &T) -> Result<()> {
    let text = serde_json::to_string(value)
        .map_err(|error| Error::new(ErrorKind::Unexpected, "write JSON").with_source(error))?;
    let mut partial = path.as_os_str().to_owned();
    partial.push(".partial");
    let written = fs::write(&partial, text + "\n").and_then(|()| fs::rename(&partial, path));
    written.map_err(|error| io_error(path, error))
}

const _: () = assert!(ID_BYTES == size_of::<u128>());
