use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::closing::{self, ClosingTable, close_references};
use super::link::link_partition;
use super::partitions::{Placed, place, side_by_side};
use super::read_ahead::PageReader;
use super::table::copy_partition;
use crate::error::{Error, ErrorKind, Result};
use crate::names::TableName;
use crate::observe::{Event, Observer, TableStatus};
use crate::plan::{Plan, PlanField, PlanReference, PlanTable};
use crate::resolve::{DerivedIds, IdResolver};
use crate::sink::Sink;
use crate::source::Source;
use crate::state::{Progress, StateStore, Totals};
use crate::stop::{Stop, stopped};
use crate::transform::{Chain, Transform};

/// Makes a further rule for a table, once per partition.
pub(crate) type MakeTransform = Arc<dyn Fn(&PlanTable) -> Option<Box<dyn Transform>> + Send + Sync>;

/// The rules of a table, then what was added to them; those of the second pass only where `with_links`.
pub(crate) fn chain(table: &PlanTable, transforms: &[MakeTransform], with_links: bool) -> Chain {
    // The second pass sets cut references; they are read now too, so that a reject is the whole row.
    let cut = table.cut_fields().flat_map(|field| &field.columns);
    let leading = table.key.iter().chain(table.alternate_keys.iter().flatten()).chain(cut);
    let fields = table.fields.iter().filter(|field| with_links || !field.is_cut());
    let fields: Vec<PlanField> = fields.chain(&table.creation_time).cloned().collect();
    let mut chain = Chain::with_columns(&table.sink, &fields, leading);
    for make in transforms {
        if let Some(step) = make(table) {
            chain.push(step);
        }
    }
    chain
}

/// What all tables of a run share.
pub(super) struct Shared {
    pub(super) plan: Arc<Plan>,
    pub(super) source: Arc<dyn Source>,
    pub(super) sink: Arc<dyn Sink>,
    pub(super) state: Arc<dyn StateStore>,
    pub(super) resolver: Arc<dyn IdResolver>,
    /// Where ids are known before documents are written.
    pub(super) derived: Option<Arc<dyn DerivedIds>>,
    pub(super) observer: Arc<dyn Observer>,
    pub(super) stop: Stop,
    pub(super) places: Arc<Semaphore>,
    /// Turns of the partitions that are read at once, over all tables.
    pub(super) readers: Semaphore,
    pub(super) transforms: Vec<MakeTransform>,
    pub(super) rejects: AtomicU64,
    pub(super) max_rejects: Option<u64>,
    pub(super) fail_fast: bool,
}

impl Shared {
    pub(super) fn batch_records(&self) -> usize {
        self.plan.run.batch_records.min(self.sink.capabilities().batch_records).max(1)
    }

    /// Batches of one table that may be on the way or waiting for an older one to be committed.
    pub(super) fn in_flight_per_table(&self) -> usize {
        self.plan.run.in_flight.min(self.sink.capabilities().in_flight).max(1)
    }

    pub(super) fn chain(&self, table: &PlanTable) -> Chain {
        chain(table, &self.transforms, false)
    }

    /// Reads pages of `source` as this run does.
    pub(super) fn reader(&self, source: Arc<dyn Source>) -> PageReader {
        let (observer, stop) = (self.observer.clone(), self.stop.clone());
        PageReader { source, observer, stop, page_rows: self.plan.run.page_rows }
    }

    /// True for a table that something is still done to when all its rows were read.
    pub(super) fn has_second_part(&self, table: &PlanTable) -> bool {
        self.derived.is_some() || table.cut_fields().next().is_some()
    }

    /// Counts rejects of the whole run against its limit.
    pub(super) fn count_rejects(&self, rejected: u64) -> Result<()> {
        let all = self.rejects.fetch_add(rejected, Ordering::Relaxed) + rejected;
        match self.max_rejects {
            Some(limit) if rejected > 0 && all > limit => Err(Error::new(
                ErrorKind::TooManyRejects,
                format!("go on: {all} rows are rejected, {limit} are allowed"),
            )
            .with_remedy("see the report for their causes; raise --max-rejects to go on")),
            _ => Ok(()),
        }
    }
}

impl Shared {
    /// Ends a run that shall stop at its first reject, or at its first link that cannot be set.
    pub(super) fn fail_fast(&self, rejected: u64) -> Result<()> {
        if !self.fail_fast || rejected == 0 {
            return Ok(());
        }
        Err(Error::new(ErrorKind::TooManyRejects, "go on: a row is rejected")
            .with_remedy("see the reject file; leave --fail-fast out to go on"))
    }
}

/// A table and how its partitions stand when it stops.
type TableEnd = (Arc<PlanTable>, Result<Vec<Placed>>);

/// How a table's turn begins.
struct TableRun {
    table: Arc<PlanTable>,
    partitions: Vec<Placed>,
}

/// Runs the tables of a plan: levels one after the other, the tables of a level side by side, then the second pass.
pub(super) async fn run(shared: &Arc<Shared>, selected: Option<&HashSet<TableName>>) -> Result<()> {
    let is_selected = |table: &TableName| selected.is_none_or(|selected| selected.contains(table));
    for absent in &shared.plan.absent {
        finished(shared, &absent.table, TableStatus::Missing, None, None);
    }
    let mut levels: BTreeMap<usize, Vec<Arc<PlanTable>>> = BTreeMap::new();
    for table in &shared.plan.tables {
        // What is split off of a table goes with it.
        if is_selected(&table.source) || is_selected(table.read_from()) {
            levels.entry(table.level).or_default().push(Arc::new(table.clone()));
        } else {
            leave_out(shared, &table.source, TableStatus::NotSelected, None).await?;
        }
    }
    check_parents(shared, &levels, &is_selected).await?;

    let mut open: Vec<TableRun> = Vec::new();
    let mut failure: Option<Error> = None;
    for tables in levels.into_values() {
        if failure.is_some() || shared.stop.is_requested() {
            for table in tables {
                leave_out(shared, &table.source, TableStatus::Incomplete, Some("not begun in this run".to_owned()))
                    .await?;
            }
            continue;
        }
        failure = run_level(shared, tables, &mut open).await.err();
    }
    if let Some(derived) = shared.derived.clone() {
        failure = close_all(shared, &derived, std::mem::take(&mut open), failure).await.err();
    }
    for TableRun { table, partitions } in open {
        if failure.is_some() || shared.stop.is_requested() {
            finished(
                shared,
                &table.source,
                TableStatus::Incomplete,
                None,
                Some("its links are not set yet".to_owned()),
            );
            continue;
        }
        shared.observer.on_event(&Event::LinkingStarted { table: table.source.clone() });
        let linked = link_table(shared, &table, partitions).await;
        failure = close(shared, &table, linked).await.err();
    }
    match failure {
        Some(error) => Err(error),
        None if shared.stop.is_requested() => Err(stopped()),
        None => {
            let written: Vec<TableName> = shared.plan.tables.iter().map(|table| table.sink.clone()).collect();
            shared.sink.finish(&written).await
        }
    }
}

/// Closes the references of tables that were read to their ends, where ids were known beforehand.
async fn close_all(
    shared: &Arc<Shared>,
    derived: &Arc<dyn DerivedIds>,
    open: Vec<TableRun>,
    failure: Option<Error>,
) -> Result<()> {
    let tables: Vec<Arc<PlanTable>> = open.iter().map(|run| run.table.clone()).collect();
    let closed = if let Some(error) = failure {
        Err(error)
    } else {
        let closing = |run: TableRun| ClosingTable::new(shared, derived, run.table, run.partitions);
        let mut closing: Vec<ClosingTable> = open.into_iter().map(closing).collect();
        shared.observer.on_event(&Event::ClosingStarted);
        match close_references(shared, &**derived, &mut closing).await {
            Ok(()) => closing::finish(shared, closing).await,
            Err(error) => Err(error),
        }
    };
    match closed {
        Ok(()) => {
            let mut failure = None;
            for table in &tables {
                failure = failure.or(close(shared, table, Ok(())).await.err());
            }
            failure.map_or(Ok(()), Err)
        }
        Err(error) => {
            let why = "its references are not closed yet".to_owned();
            for table in &tables {
                finished(shared, &table.source, TableStatus::Incomplete, None, Some(why.clone()));
            }
            Err(error)
        }
    }
}

/// Tells of a table that has no turn in this run, with what earlier runs made durable of it.
pub(super) async fn leave_out(
    shared: &Shared,
    table: &TableName,
    status: TableStatus,
    error: Option<String>,
) -> Result<()> {
    recall(&*shared.state, &*shared.observer, table, status, error).await
}

/// Tells of a table by what the state knows of it.
pub(super) async fn recall(
    state: &dyn StateStore,
    observer: &dyn Observer,
    table: &TableName,
    status: TableStatus,
    error: Option<String>,
) -> Result<()> {
    let mut resumed = Totals::default();
    for (_, checkpoint) in state.partitions(table).await? {
        resumed.absorb(&checkpoint.totals);
    }
    observer.on_event(&Event::TableStarted { table: table.clone(), expected: None, resumed: Box::new(resumed) });
    observer.on_event(&Event::TableFinished { table: table.clone(), status, counted: None, error });
    Ok(())
}

/// A table of a selection needs its parents: in the selection, or complete already.
async fn check_parents(
    shared: &Arc<Shared>,
    levels: &BTreeMap<usize, Vec<Arc<PlanTable>>>,
    is_selected: &impl Fn(&TableName) -> bool,
) -> Result<()> {
    for table in levels.values().flatten() {
        for parent in table.fields.iter().filter_map(PlanField::reference).flat_map(PlanReference::tables) {
            let is_planned = shared.plan.tables.iter().any(|other| other.source == *parent);
            if !is_planned || is_selected(parent) {
                continue;
            }
            let partitions = shared.state.partitions(parent).await?;
            let is_copied =
                |progress: &Progress| matches!(progress, Progress::Copied | Progress::Linking { .. } | Progress::Done);
            if partitions.is_empty() || !partitions.iter().all(|(_, checkpoint)| is_copied(&checkpoint.progress)) {
                return Err(Error::new(ErrorKind::Config, format!("run {} without its parent", table.source))
                    .with_context("parent", parent)
                    .with_remedy(format!("add it to the selection: --tables {parent},{}", table.source)));
            }
        }
    }
    Ok(())
}

/// Runs the tables of one level side by side. Those with cut references are added to `open`, for the second pass.
async fn run_level(shared: &Arc<Shared>, tables: Vec<Arc<PlanTable>>, open: &mut Vec<TableRun>) -> Result<()> {
    let turns = Arc::new(Semaphore::new(shared.plan.run.tables_in_parallel.max(1)));
    let mut running: JoinSet<TableEnd> = JoinSet::new();
    for table in tables {
        let (shared, turns) = (shared.clone(), turns.clone());
        running.spawn(async move {
            let _turn = turns.acquire().await;
            let result = copy_table(&shared, &table).await;
            if result.is_err() {
                // The others finish what is on the way and stop too: their children could not follow.
                shared.stop.request();
            }
            (table, result)
        });
    }
    let mut failure: Option<Error> = None;
    while let Some(joined) = running.join_next().await {
        let (table, result) = joined.map_err(|_| Error::new(ErrorKind::Unexpected, "finish a table's task"))?;
        match result {
            Ok(partitions) if shared.has_second_part(&table) => {
                shared.observer.on_event(&Event::TableCopied { table: table.source.clone() });
                open.push(TableRun { table, partitions });
            }
            result => {
                if let Err(error) = close(shared, &table, result).await {
                    // An interruption is only what another table's failure led to.
                    if failure.as_ref().is_none_or(|known| known.kind() == ErrorKind::Interrupted) {
                        failure = Some(error);
                    }
                }
            }
        }
    }
    failure.map_or(Ok(()), Err)
}

async fn copy_table(shared: &Arc<Shared>, table: &Arc<PlanTable>) -> Result<Vec<Placed>> {
    if shared.stop.is_requested() {
        return Err(Error::new(ErrorKind::Interrupted, "begin the table: a stop was asked for"));
    }
    let expected = shared.source.count(table.read_from()).await?;
    let partitions = place(shared, table, expected).await?;
    let mut resumed = Totals::default();
    for (_, checkpoint) in &partitions {
        resumed.absorb(&checkpoint.totals);
    }
    let rejected = resumed.rejected;
    shared.observer.on_event(&Event::TableStarted {
        table: table.source.clone(),
        expected,
        resumed: Box::new(resumed),
    });
    shared.count_rejects(rejected)?;
    let copy = |shared, partition, checkpoint| copy_partition(shared, table.clone(), partition, checkpoint);
    side_by_side(shared, partitions, copy).await
}

async fn link_table(shared: &Arc<Shared>, table: &Arc<PlanTable>, partitions: Vec<Placed>) -> Result<Vec<Placed>> {
    let link = |shared, partition, checkpoint| link_partition(shared, table.clone(), partition, checkpoint);
    side_by_side(shared, partitions, link).await
}

/// Ends a table's turn: counts it again and tells how it stands.
async fn close<T>(shared: &Arc<Shared>, table: &PlanTable, result: Result<T>) -> Result<()> {
    let counted = match result {
        Ok(_) => shared.source.count(table.read_from()).await,
        Err(error) => Err(error),
    };
    match counted {
        Ok(counted) => {
            finished(shared, &table.source, TableStatus::Complete, counted, None);
            Ok(())
        }
        Err(error) => {
            let status = match error.kind() {
                ErrorKind::TableMissing => TableStatus::Missing,
                ErrorKind::Forbidden => TableStatus::Forbidden,
                _ => TableStatus::Incomplete,
            };
            finished(shared, &table.source, status, None, Some(error.to_string()));
            Err(error)
        }
    }
}

pub(super) fn finished(
    shared: &Shared,
    table: &TableName,
    status: TableStatus,
    counted: Option<u64>,
    error: Option<String>,
) {
    shared.observer.on_event(&Event::TableFinished { table: table.clone(), status, counted, error });
}
