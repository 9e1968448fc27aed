//! Whether every reference in a snapshot leads to a document that is in it.
//!
//! Convex checks an id's form and table, never that the document exists, so an import would take a reference that leads
//! nowhere. Ids are hashes, so they spread evenly: the ids of one range of hashes after the other are held in memory, and
//! the references into that range are looked up in them. Memory is that of one range, however many documents there are.

use std::collections::{HashMap, HashSet};

use migrate_core::error::{Error, ErrorKind, Result};
use migrate_core::names::{SourceKey, TableName};

use super::chunk::{ID_BYTES, REFERENCE_BYTES};
use super::spool::{Content, Spool};
use crate::document_id::DocumentId;

/// Ids that are held in memory at once: 16 MiB of them.
const IDS_AT_ONCE: u64 = 1024 * 1024;
/// Parents that may be missing. A migration that lacks more of them lacks a table, and should say so.
const MISSING_AT_MOST: usize = 2 * 1024 * 1024;

/// Where a document is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place {
    table: usize,
    chunk: usize,
    row: u32,
}

/// How far the references of a snapshot are closed.
#[derive(Debug)]
pub(crate) struct Closure {
    ids_at_once: u64,
    /// The first half of the bytes of parents that no document is.
    missing: HashSet<u64>,
    /// Documents that were given out as unclosed and not settled yet, by their bytes.
    pending: HashMap<u128, Place>,
    is_computed: bool,
    /// Documents were withdrawn since the scan began: it begins again when it is through.
    is_changed: bool,
    /// Documents were written since the missing parents were computed.
    is_outdated: bool,
    /// Table and chunk that the scan goes on with.
    cursor: (usize, usize),
}

impl Default for Closure {
    fn default() -> Self {
        Self::holding(IDS_AT_ONCE)
    }
}

/// The bytes of an id as one number, and its first half, which references have.
fn number_of(bytes: &[u8]) -> u128 {
    bytes.try_into().map(u128::from_be_bytes).unwrap_or_default()
}

fn half_of(number: u128) -> u64 {
    u64::try_from(number >> 64).unwrap_or_default()
}

/// The parent's half and the row of each reference.
fn references(bytes: &[u8]) -> impl Iterator<Item = (u64, u32)> {
    bytes.chunks_exact(REFERENCE_BYTES).filter_map(|bytes| {
        let (half, row) = bytes.split_first_chunk::<8>()?;
        Some((u64::from_be_bytes(*half), u32::from_le_bytes(row.try_into().ok()?)))
    })
}

impl Closure {
    pub(crate) fn holding(ids_at_once: u64) -> Self {
        Self {
            ids_at_once,
            missing: HashSet::new(),
            pending: HashMap::new(),
            is_computed: false,
            is_changed: false,
            is_outdated: false,
            cursor: (0, 0),
        }
    }

    pub(crate) fn is_missing(&self, id: DocumentId) -> bool {
        self.missing.contains(&half_of(u128::from_be_bytes(id.internal())))
    }

    /// Rows whose references are not closed, at most `limit`. For a thread that may block.
    pub(crate) fn unclosed(&mut self, spool: &Spool, limit: usize) -> Result<Vec<(TableName, SourceKey)>> {
        if !self.pending.is_empty() {
            return Err(Error::new(ErrorKind::Unexpected, "close references: rows were neither written nor withdrawn"));
        }
        if !self.is_computed {
            self.compute(spool)?;
        }
        loop {
            let found = if self.missing.is_empty() { Vec::new() } else { self.scan(spool, limit.max(1))? };
            if !found.is_empty() {
                return Ok(found);
            }
            if self.is_outdated {
                self.compute(spool)?;
            } else if !self.is_changed {
                return Ok(found);
            }
            self.is_changed = false;
            self.cursor = (0, 0);
        }
    }

    /// Hears of documents that were written: they replace what was given out as unclosed.
    pub(crate) fn written(&mut self, spool: &Spool, ids: &[u128]) {
        if !self.is_computed {
            return;
        }
        self.is_outdated = true;
        for id in ids {
            if let Some(place) = self.pending.remove(id) {
                bury(spool, place);
            }
        }
    }

    /// Takes documents out that were given out as unclosed.
    pub(crate) fn withdraw(&mut self, spool: &Spool, ids: &[u128]) -> Result<()> {
        for id in ids {
            let place = self.pending.remove(id).ok_or_else(|| {
                Error::new(ErrorKind::Unexpected, "withdraw a row whose references were not found to be open")
            })?;
            bury(spool, place);
            self.note_missing(half_of(*id))?;
            self.is_changed = true;
        }
        Ok(())
    }

    fn note_missing(&mut self, half: u64) -> Result<()> {
        self.missing.insert(half);
        if self.missing.len() <= MISSING_AT_MOST {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::Config,
            format!("close the references of the snapshot: more than {MISSING_AT_MOST} parents are missing"),
        )
        .with_remedy("include the tables that are referred to, or plan their columns as values"))
    }

    /// Goes on through the references from where the last call stopped.
    fn scan(&mut self, spool: &Spool, limit: usize) -> Result<Vec<(TableName, SourceKey)>> {
        let mut found = Vec::new();
        while let Some(table) = spool.tables.get(self.cursor.0) {
            let mut content = table.content();
            while let Some(chunk) = content.chunk(self.cursor.1) {
                let mut rows: Vec<u32> = references(&content.file.references(chunk)?)
                    .filter(|(half, row)| self.missing.contains(half) && !content.is_dead(self.cursor.1, *row))
                    .map(|(_, row)| row)
                    .collect();
                rows.dedup();
                rows.truncate(limit - found.len());
                if !rows.is_empty() {
                    let ids = content.file.ids(chunk)?;
                    for &row in &rows {
                        let start = row as usize * ID_BYTES;
                        let id = number_of(ids.get(start..start + ID_BYTES).unwrap_or_default());
                        self.pending.insert(id, Place { table: self.cursor.0, chunk: self.cursor.1, row });
                    }
                    let keys = spool.keys_of(&mut content, self.cursor.1, &rows)?;
                    found.extend(keys.into_iter().map(|key| (table.source.clone(), key)));
                }
                // The chunk may have more: it is looked at again by the next call.
                if found.len() >= limit {
                    return Ok(found);
                }
                self.cursor.1 += 1;
            }
            self.cursor = (self.cursor.0 + 1, 0);
        }
        Ok(found)
    }

    /// Finds the parents that are missing, and buries documents that were written again later.
    fn compute(&mut self, spool: &Spool) -> Result<()> {
        let mut rows = 0_u64;
        for table in &spool.tables {
            rows += table.content().file.chunks().iter().map(|chunk| u64::from(chunk.rows)).sum::<u64>();
        }
        let ranges = rows.div_ceil(self.ids_at_once.max(1)).max(1);
        let mut twice: HashSet<u128> = HashSet::new();
        for range in 0..ranges {
            let in_range = |half: &u64| (u128::from(*half) * u128::from(ranges)) >> 64 == u128::from(range);
            // Hashes spread evenly: one range has hardly more than its share.
            let share = usize::try_from(rows / ranges).unwrap_or_default();
            let mut ids: Vec<u128> = Vec::with_capacity(share + share / 50 + 64);
            each_chunk(spool, |content, at| {
                let Some(chunk) = content.chunk(at) else { return Ok(()) };
                let bytes = content.file.ids(chunk)?;
                let numbers = bytes.chunks_exact(ID_BYTES).map(number_of).zip(0_u32..);
                let live = numbers.filter(|&(id, row)| in_range(&half_of(id)) && !content.is_dead(at, row));
                ids.extend(live.map(|(id, _)| id));
                Ok(())
            })?;
            ids.sort_unstable();
            twice.extend(ids.windows(2).filter(|pair| pair.first() == pair.last()).filter_map(|pair| pair.first()));
            each_chunk(spool, |content, at| {
                let Some(chunk) = content.chunk(at) else { return Ok(()) };
                for (half, _) in references(&content.file.references(chunk)?).filter(|(half, _)| in_range(half)) {
                    let at = ids.partition_point(|id| half_of(*id) < half);
                    if ids.get(at).is_none_or(|id| half_of(*id) != half) {
                        self.note_missing(half)?;
                    }
                }
                Ok(())
            })?;
        }
        if !twice.is_empty() {
            bury_earlier(spool, &twice)?;
        }
        self.is_computed = true;
        self.is_outdated = false;
        Ok(())
    }
}

fn bury(spool: &Spool, place: Place) {
    if let Some(table) = spool.tables.get(place.table) {
        table.content().bury(place.chunk, place.row);
    }
}

fn each_chunk(spool: &Spool, mut each: impl FnMut(&mut Content, usize) -> Result<()>) -> Result<()> {
    for table in &spool.tables {
        let mut content = table.content();
        for at in 0..content.file.chunks().len() {
            each(&mut content, at)?;
        }
    }
    Ok(())
}

/// Of documents with one id, only the one that was written last counts: the others are of a batch that was written again
/// after a crash, or of rows with the same key.
fn bury_earlier(spool: &Spool, twice: &HashSet<u128>) -> Result<()> {
    for table in &spool.tables {
        let mut content = table.content();
        let mut seen: HashSet<u128> = HashSet::new();
        for at in (0..content.file.chunks().len()).rev() {
            let Some(chunk) = content.chunk(at) else { continue };
            let bytes = content.file.ids(chunk)?;
            let ids: Vec<(u128, u32)> = bytes.chunks_exact(ID_BYTES).map(number_of).zip(0..).collect();
            for (id, row) in ids.into_iter().rev().filter(|(id, _)| twice.contains(id)) {
                if !content.is_dead(at, row) && !seen.insert(id) {
                    content.bury(at, row);
                }
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::sync::Arc;

    use migrate_core::Source as _;
    use migrate_core::catalog::ScalarKind;
    use migrate_core::plan::{Plan, build_plan, read_config};
    use migrate_core::record::{Record, RecordShape};
    use migrate_core::sink::WriteRecord;
    use migrate_core::testing::{MemorySource, column, table};
    use migrate_core::value::Value;

    use super::*;
    use crate::CONVEX_RULES;
    use crate::snapshot::TableNumbers;

    async fn plan() -> Plan {
        let source = MemorySource::new(1);
        let columns = ["id", "next"].map(|name| column(name, ScalarKind::Text)).to_vec();
        source.insert(table("nodes", &["id"], columns).unwrap(), Vec::new());
        let config = "[convex]\nwrite = \"snapshot\"\n[tables.nodes]\ncolumns.next.references = \"nodes\"";
        let config = read_config("migrate.toml", config).unwrap();
        build_plan(&config, &source.discover().await.unwrap(), &CONVEX_RULES).unwrap()
    }

    /// A row that refers to another, or to none.
    fn row(spool: &Spool, key: usize, next: Option<usize>) -> WriteRecord {
        let nodes = &spool.tables[0];
        let id = |key: usize| nodes.ids.id(&SourceKey::from(key.to_string().as_str())).to_string();
        let next = next.map_or(Value::Absent, |next| Value::text(id(next)));
        let shape = RecordShape { table: nodes.sink.clone(), fields: vec!["next".into()], key: vec![] };
        let values = vec![next];
        WriteRecord {
            key: SourceKey::from(key.to_string().as_str()),
            id: None,
            record: Record { shape: Arc::new(shape), values },
        }
    }

    fn write(spool: &Spool, rows: &[WriteRecord]) {
        let (lines, written) = spool.encode(&spool.tables[0], rows);
        assert!(written.iter().all(Result::is_ok));
        spool.append(&spool.tables[0], lines).unwrap();
    }

    fn keys(found: Vec<(TableName, SourceKey)>) -> BTreeSet<String> {
        found.into_iter().map(|(_, key)| key.to_string()).collect()
    }

    /// However few ids are held at once, the same rows are found, at most as many as asked for.
    #[tokio::test]
    async fn ranges_of_ids_find_what_all_at_once_would() {
        const ROWS: usize = 500;
        let plan = plan().await;
        for ids_at_once in [1, 3, 64, 1 << 20] {
            let folder = tempfile::tempdir().unwrap();
            let numbers = TableNumbers::of_new_deployment(["nodes"]);
            let spool = Spool::open(&plan, &numbers, folder.path()).unwrap();
            let rows: Vec<WriteRecord> = (0..ROWS).map(|key| row(&spool, key, Some(key * 3))).collect();
            rows.chunks(40).for_each(|rows| write(&spool, rows));
            // A batch that was written again counts once.
            write(&spool, &rows[..40]);
            let mut closure = Closure::holding(ids_at_once);
            let mut found = BTreeSet::new();
            loop {
                let rows = closure.unclosed(&spool, 30).unwrap();
                if rows.is_empty() {
                    break;
                }
                assert!(rows.len() <= 30);
                let ids: Vec<u128> =
                    rows.iter().map(|(_, key)| u128::from_be_bytes(spool.tables[0].ids.id(key).internal())).collect();
                closure.withdraw(&spool, &ids).unwrap();
                let rows = keys(rows);
                assert!(found.is_disjoint(&rows), "a row is given out once");
                found.extend(rows);
            }
            // What leads out of the rows, in however many steps: all but the row that refers to itself.
            let expected: BTreeSet<String> = (1..ROWS).map(|key| key.to_string()).collect();
            assert_eq!(found, expected, "{ids_at_once}");
            assert_eq!(spool.tables[0].content().documents(), 1);
        }
    }

    #[tokio::test]
    async fn what_is_written_instead_counts() {
        let (plan, folder) = (plan().await, tempfile::tempdir().unwrap());
        let numbers = TableNumbers::of_new_deployment(["nodes"]);
        let spool = Spool::open(&plan, &numbers, folder.path()).unwrap();
        write(&spool, &[row(&spool, 1, Some(2)), row(&spool, 2, None), row(&spool, 3, Some(9))]);
        let mut closure = Closure::default();
        assert_eq!(keys(closure.unclosed(&spool, 10).unwrap()), BTreeSet::from(["3".to_owned()]));
        assert!(closure.unclosed(&spool, 10).is_err(), "a row was neither written nor withdrawn");
        let instead = row(&spool, 3, Some(8));
        let id = u128::from_be_bytes(spool.tables[0].ids.id(&instead.key).internal());
        write(&spool, &[instead]);
        closure.written(&spool, &[id]);
        // It leads nowhere again, by another way.
        assert_eq!(keys(closure.unclosed(&spool, 10).unwrap()), BTreeSet::from(["3".to_owned()]));
        write(&spool, &[row(&spool, 3, None)]);
        closure.written(&spool, &[id]);
        assert_eq!(keys(closure.unclosed(&spool, 10).unwrap()), BTreeSet::new());
        assert_eq!(spool.tables[0].content().documents(), 3);
    }
}
