//! The course of a verification.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use tokio::sync::{OnceCell, Semaphore};
use tokio::task::JoinSet;

use super::SinkProbe;
use super::describe::{Describer, one};
use super::layout::Layout;
use super::report::{ColumnVerification, Content, Difference, DifferenceKind, Level, TableVerification};
use super::results::Results;
use super::sink_side::{read_documents, read_keys};
use super::source_side::{SMALL, Seen, compare_rows, read_alternates};
use super::spool::Spool;
use crate::error::{Error, ErrorKind, Result};
use crate::names::{SinkId, SourceKey, TableName};
use crate::observe::{Event, Observer};
use crate::pipeline::MakeTransform;
use crate::plan::{Plan, PlanReference, PlanTable};
use crate::resolve::IdResolver;
use crate::sink::Sink;
use crate::source::Source;
use crate::stop::Stop;

/// What all tables of a verification share.
pub(super) struct Shared {
    pub(super) plan: Arc<Plan>,
    /// The plan's tables, as they are compared.
    pub(super) tables: Vec<Arc<PlanTable>>,
    pub(super) layouts: Vec<Layout>,
    pub(super) places: HashMap<TableName, usize>,
    /// The numbers of rows that are known, by place.
    pub(super) counted: Vec<OnceCell<Option<u64>>>,
    pub(super) source: Arc<dyn Source>,
    pub(super) sink: Arc<dyn Sink>,
    pub(super) probe: Arc<dyn SinkProbe>,
    pub(super) resolver: Arc<dyn IdResolver>,
    pub(super) spool: Spool,
    pub(super) observer: Arc<dyn Observer>,
    pub(super) results: Arc<Results>,
    pub(super) stop: Stop,
    pub(super) transforms: Vec<MakeTransform>,
    /// Turns of what is read at once.
    pub(super) readers: Semaphore,
    pub(super) exclusive: bool,
    pub(super) show_values: bool,
    /// What chooses the rows of a sample; none where all are compared.
    pub(super) seed: Option<u64>,
    /// Differences of one table that are described at most.
    pub(super) limit: usize,
}

impl Shared {
    pub(super) fn table(&self, place: usize) -> Result<&Arc<PlanTable>> {
        self.tables.get(place).ok_or_else(|| Error::new(ErrorKind::Unexpected, "find a table of the plan"))
    }

    pub(super) fn layout(&self, place: usize) -> Result<&Layout> {
        self.layouts.get(place).ok_or_else(|| Error::new(ErrorKind::Unexpected, "find a table of the plan"))
    }

    /// Where a table stands in the plan; none for one that is not migrated.
    pub(super) fn place_of(&self, table: &TableName) -> Option<usize> {
        self.places.get(table).copied()
    }

    /// Which document has this id, among those that were read back.
    pub(super) async fn whose(&self, id: &str) -> Result<Option<(usize, Option<SourceKey>)>> {
        let mut read = Vec::new();
        for place in 0..self.tables.len() {
            if self.spool.sink_side(place).await?.is_some() {
                read.push(place);
            }
        }
        self.spool.whose(SinkId::new(id), read).await
    }

    /// Tells of documents that were read back, or of rows that were compared.
    pub(super) fn tell_read(&self, place: usize, documents: usize, rows: usize) {
        let Some(table) = self.tables.get(place) else { return };
        let [documents, rows] = [documents, rows].map(|count| u64::try_from(count).unwrap_or(u64::MAX));
        self.observer.on_event(&Event::VerificationRead { table: table.source.clone(), documents, rows });
    }

    /// The exact number of a table's rows, which is asked once: it may be a scan of all of them.
    pub(super) async fn rows(&self, place: usize) -> Result<Option<u64>> {
        let table = self.table(place)?;
        let Some(counted) = self.counted.get(place) else { return self.source.count(table.read_from()).await };
        counted.get_or_try_init(|| self.source.count(table.read_from())).await.copied()
    }

    /// Tells how much will be read of a table, which is open where its rows are compared.
    async fn tell_expected(&self, place: usize, is_open: bool) -> Result<()> {
        let table = self.table(place)?;
        let documents = match self.spool.sink_side(place).await? {
            Some(_) => Some(0),
            // Documents are not read twice only to show how far the verification is.
            None => self.probe.count(&table.sink).await?,
        };
        let rows = if is_open { self.rows(place).await? } else { Some(0) };
        // How many rows the ranges of a sample have is not known.
        let rows = rows.filter(|rows| self.seed.is_none() || *rows <= SMALL);
        self.observer.on_event(&Event::VerificationExpected { table: table.source.clone(), documents, rows });
        Ok(())
    }
}

/// The tables to read back for comparing those at `selected`: these, and those that their references lead to.
pub(super) fn needed(plan: &Plan, places: &HashMap<TableName, usize>, selected: &[usize]) -> Vec<usize> {
    let mut needed: HashSet<usize> = selected.iter().copied().collect();
    for table in selected.iter().filter_map(|&place| plan.tables.get(place)) {
        let references = table.fields.iter().filter_map(|field| field.reference());
        needed.extend(references.flat_map(PlanReference::tables).filter_map(|name| places.get(name).copied()));
    }
    // A natural key of an adopted parent may refer to a table that is migrated.
    for field in plan.adopted.iter().flat_map(|table| &table.natural_key) {
        let tables = field.reference().into_iter().flat_map(PlanReference::tables);
        needed.extend(tables.filter_map(|name| places.get(name).copied()));
    }
    let mut needed: Vec<usize> = needed.into_iter().collect();
    needed.sort_unstable();
    needed
}

/// Compares the tables at `selected`; what is known of each is put into the results.
pub(super) async fn compare_all(shared: &Arc<Shared>, selected: &[usize]) -> Result<()> {
    let mut open = Vec::new();
    for &place in selected {
        match shared.spool.fact::<TableVerification>(result_fact(place)).await? {
            Some(known) => shared.results.add(place, known),
            None => open.push(place),
        }
    }
    if open.is_empty() {
        return Ok(());
    }
    read_keys(shared).await?;
    let mut needed = needed(&shared.plan, &shared.places, &open);
    // Of a table that an earlier verification compared, nothing is left to read.
    needed.retain(|place| open.contains(place) || !selected.contains(place));
    side_by_side(shared, &needed, |shared, place| {
        let is_open = open.contains(&place);
        async move { shared.tell_expected(place, is_open).await }
    })
    .await?;
    side_by_side(shared, &needed, |shared, place| {
        let rows_follow = open.contains(&place);
        async move {
            {
                let turn = shared.readers.acquire().await;
                let _turn = turn.map_err(|_| Error::new(ErrorKind::Unexpected, "wait for a turn to read"))?;
                read_documents(&shared, place).await?;
            }
            read_alternates(&shared, place).await?;
            let table = shared.table(place)?.source.clone();
            shared.observer.on_event(&Event::TableReadBack { table, rows_follow });
            Ok(())
        }
    })
    .await?;
    let mut levels: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for &place in &open {
        levels.entry(shared.table(place)?.level).or_default().push(place);
    }
    for level in levels.values() {
        side_by_side(shared, level, |shared, place| async move {
            let result = compare_table(&shared, place).await?;
            shared.spool.set_fact(result_fact(place), &result).await?;
            shared.results.add(place, result);
            Ok(())
        })
        .await?;
    }
    Ok(())
}

/// Does `work` for all places at once; it takes its turns itself.
async fn side_by_side<F>(shared: &Arc<Shared>, places: &[usize], work: impl Fn(Arc<Shared>, usize) -> F) -> Result<()>
where
    F: Future<Output = Result<()>> + Send + 'static,
{
    let mut running: JoinSet<Result<()>> = JoinSet::new();
    for &place in places {
        running.spawn(work(shared.clone(), place));
    }
    while let Some(joined) = running.join_next().await {
        joined.map_err(|_| Error::new(ErrorKind::Unexpected, "finish a table's task")).flatten()?;
    }
    Ok(())
}

async fn compare_table(shared: &Arc<Shared>, place: usize) -> Result<TableVerification> {
    let table = shared.table(place)?;
    let missing =
        || Error::new(ErrorKind::Unexpected, "find what was read of the sink").with_context("table", &table.sink);
    let side = shared.spool.sink_side(place).await?.ok_or_else(missing)?;
    shared.spool.forget_missing(place).await?;
    let seen = Arc::new(Seen::new(side.lines));
    let mut found = compare_rows(shared, place, &seen).await?;
    let mut describer = Describer::new(shared, place);
    let mut differences = describer.describe(&mut found).await?;
    // Of a sample, most documents' rows are not read.
    let is_whole = found.sampled.is_none();
    if is_whole && seen.count() < side.keyed {
        let (count, first) = describer.without_rows(&seen, shared.limit).await?;
        found.unexpected += count;
        differences.extend(first);
    }
    if shared.exclusive {
        differences.extend(describer.foreign(shared.limit).await?);
        let unplanned = |(name, count): (&String, &u64)| Difference {
            field: Some(name.clone()),
            ..one(DifferenceKind::UnplannedField, None, None, "no such field", format!("in {count} documents"))
        };
        differences.extend(side.unplanned.iter().map(unplanned));
    }
    differences.truncate(shared.limit);
    let sums = found.sums.columns().zip(side.sums.columns());
    let columns = shared.layout(place)?.names().zip(sums);
    let hex = |value: u128| format!("{value:032x}");
    Ok(TableVerification {
        is_compared: true,
        source: found.source,
        sampled: found.sampled,
        expected: found.expected,
        rejected: found.rejects.values().sum(),
        skipped: found.skipped,
        reject_codes: found.rejects,
        documents: side.keyed,
        foreign: side.lines - side.keyed,
        same: found.same,
        differing: found.differing,
        missing: found.missing,
        unexpected: found.unexpected,
        duplicates: found.duplicates,
        unplanned_fields: side.unplanned,
        content: is_whole.then(|| Content { source: hex(found.content.value()), sink: hex(side.content.value()) }),
        columns: columns
            .filter(|_| is_whole)
            .map(|(name, (source, sink))| (name.to_owned(), ColumnVerification { source, sink }))
            .collect(),
        differences,
        ..TableVerification::of(table.sink.clone())
    })
}

fn result_fact(place: usize) -> String {
    format!("table {place}")
}

/// Grows when the spool has another form, or other hashes: one of another form is not gone on with.
const SPOOL_FORM: u32 = 2;

/// What names a verification: only one of the same is gone on with.
pub(super) fn identity(
    fingerprint: &str,
    tool: &str,
    level: Level,
    places: &[usize],
    flags: [bool; 2],
    seed: Option<u64>,
    limit: usize,
) -> String {
    serde_json::json!([super::VERIFICATION_VERSION, SPOOL_FORM, tool, fingerprint, level, places, flags, seed, limit])
        .to_string()
}
