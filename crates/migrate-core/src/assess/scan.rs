//! Reads the rows of a plan's tables and counts what a run would meet, in memory that does not grow with them.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;

use super::jobs::{Job, Jobs, references};
use super::model::{ScanMode, ScanSummary, TableScan};
use super::parents::{self, Fetched, Parents};
use super::rows::{Checker, Counts, Measure};
use super::second::Second;
use super::spool::Spool;
use super::waves::waves;
use crate::catalog::{Catalog, RowKey};
use crate::error::{Error, ErrorKind, Result};
use crate::names::{FieldName, TableName};
use crate::observe::{Event, Fanout, Observer, TableStatus};
use crate::pipeline::{Forward, partition_count};
use crate::plan::{Plan, PlanReference};
use crate::source::{KeyRange, Page, PageRequest, Source};
use crate::state::Totals;
use crate::stop::{Stop, stopped};

/// Pages that are read ahead of the one that is checked.
const PAGES_AHEAD: usize = 2;

/// Reads rows and counts what a migration by a plan would meet. It writes nothing.
///
/// Tables are read parents before children, several at once. Keys that others refer to are kept in a temporary file,
/// so that missing parents and shared keys are exact; a reference that leads on to rows not read yet, as in a cycle, is
/// looked at in a second pass over keys and references alone. In a sample, parents are looked up at the source.
pub struct Scan {
    plan: Arc<Plan>,
    catalog: Catalog,
    source: Arc<dyn Source>,
    measure: Arc<dyn Measure>,
    observer: Arc<dyn Observer>,
    stop: Stop,
    sample_pages: Option<usize>,
    entry_bytes: u64,
}

impl fmt::Debug for Scan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Scan");
        debug.field("source", &self.source).field("sample_pages", &self.sample_pages).finish_non_exhaustive()
    }
}

/// What a scan found, by table at the source.
#[derive(Debug)]
pub struct Scanned {
    pub(super) summary: ScanSummary,
    pub(super) tables: Vec<(TableName, TableScan)>,
    failure: Option<Error>,
}

impl Scanned {
    /// Why it did not read all, if it did not: a stop, or the first table's failure.
    #[must_use]
    pub fn failure(&self) -> Option<&Error> {
        self.failure.as_ref()
    }
}

/// What the tasks of a scan share.
pub(super) struct Shared {
    pub(super) plan: Arc<Plan>,
    pub(super) source: Arc<dyn Source>,
    pub(super) measure: Arc<dyn Measure>,
    pub(super) observer: Arc<dyn Observer>,
    pub(super) stop: Stop,
    pub(super) parents: Arc<dyn Parents>,
    pub(super) spool: Option<Spool>,
    readers: Semaphore,
    sample_pages: Option<usize>,
    entry_bytes: u64,
}

/// A table with its sums, and what ended its scan early.
struct TableEnd {
    job: Arc<Job>,
    counts: Counts,
    failure: Option<Error>,
}

impl Scan {
    /// A scan of all rows that `plan` reads. `source` has the plan's row filters, and the layers it needs.
    pub fn new(plan: Plan, catalog: Catalog, source: Arc<dyn Source>, measure: Arc<dyn Measure>) -> Self {
        Self {
            plan: Arc::new(plan),
            catalog,
            source,
            measure,
            observer: Arc::new(Fanout::default()),
            stop: Stop::default(),
            sample_pages: None,
            entry_bytes: 0,
        }
    }

    /// Tells `observer` of tables, pages and rows.
    #[must_use]
    pub fn observer(mut self, observer: Arc<dyn Observer>) -> Self {
        self.observer = observer;
        self
    }

    /// Stops with others that have this handle: what was found by then is kept.
    #[must_use]
    pub fn with_stop(mut self, stop: Stop) -> Self {
        self.stop = stop;
        self
    }

    /// Reads only so many pages of each table, spread over it.
    #[must_use]
    pub fn sample(mut self, pages: usize) -> Self {
        self.sample_pages = Some(pages.max(1));
        self
    }

    /// What an index entry has beside the values of its fields: [`super::SinkScale::index_entry_bytes`].
    #[must_use]
    pub fn index_entry_bytes(mut self, bytes: u64) -> Self {
        self.entry_bytes = bytes;
        self
    }

    /// Scans. A table that cannot be read to its end, and a stop, end nothing but what they are about:
    /// [`Scanned::failure`].
    ///
    /// # Errors
    /// `Io` where the temporary file cannot be made.
    pub async fn run(&self) -> Result<Scanned> {
        let started = Instant::now();
        let jobs = Jobs::of(&self.plan, &self.catalog);
        let spool = if self.sample_pages.is_some() { None } else { Some(Spool::new()?) };
        let fetchable = self.fetchable();
        let parents: Arc<dyn Parents> = match &spool {
            Some(spool) => Arc::new(parents::Scanned { spool: spool.clone(), spaces: jobs.spaces.clone() }),
            None => Arc::new(Fetched::new(self.source.clone(), fetchable.clone())),
        };
        let shared = Arc::new(Shared {
            plan: self.plan.clone(),
            source: self.source.clone(),
            measure: self.measure.clone(),
            observer: self.observer.clone(),
            stop: self.stop.clone(),
            parents,
            spool,
            readers: Semaphore::new(self.plan.run.tables_in_parallel.max(1)),
            sample_pages: self.sample_pages,
            entry_bytes: self.entry_bytes,
        });
        let mut unchecked = Vec::new();
        if self.sample_pages.is_some() {
            unchecked.push("whether keys are unique: --scan full".to_owned());
        }
        let mut ended: Vec<TableEnd> = Vec::new();
        let mut second: Vec<(Arc<Job>, Vec<usize>)> = Vec::new();
        for wave in waves(&jobs.list) {
            let mut running: JoinSet<TableEnd> = JoinSet::new();
            for (job, links) in wave {
                let is_fetchable = |&position: &usize| self.is_fetchable(&job, position, &fetchable);
                let (now, later): (Vec<usize>, Vec<usize>) = match self.sample_pages {
                    Some(_) => references(&job.fields).map(|(position, _)| position).partition(is_fetchable),
                    None => references(&job.fields).map(|(at, _)| at).partition(|position| links.contains(position)),
                };
                if self.sample_pages.is_none() {
                    if !later.is_empty() {
                        second.push((job.clone(), later));
                    }
                } else {
                    let names = later.iter().filter_map(|&at| job.fields.get(at));
                    unchecked
                        .extend(names.map(|field| format!("the parents of {}.{}: --scan full", job.name, field.field)));
                }
                let shared = shared.clone();
                running.spawn(async move { scan_table(&shared, job, now).await });
            }
            while let Some(joined) = running.join_next().await {
                ended.push(joined.map_err(|_| Error::new(ErrorKind::Unexpected, "finish a table's task"))?);
            }
        }
        ended.sort_by_key(|end| jobs.list.iter().position(|job| job.name == end.job.name));
        for (job, links) in second {
            let Some(end) = ended.iter_mut().find(|end| end.job.name == job.name) else { continue };
            let mut second = Second::new(&shared, job, &links, &jobs);
            let failure = second.run(&mut end.counts).await.err();
            end.failure = end.failure.take().or(failure);
        }
        for end in &mut ended {
            shared.shared_keys(end).await?;
        }
        let mut failure = None;
        let mut tables: Vec<(TableName, TableScan)> = Vec::new();
        for TableEnd { job, counts, failure: own } in ended {
            add(&mut tables, &job, counts, own.as_ref());
            // An interruption is told only where nothing else is the matter.
            let is_graver = |known: &Error| known.kind() == ErrorKind::Interrupted;
            if own.is_some() && failure.as_ref().is_none_or(is_graver) {
                failure = own;
            }
        }
        let summary = ScanSummary {
            mode: if self.sample_pages.is_some() { ScanMode::Sample } else { ScanMode::Full },
            complete: failure.is_none(),
            rows: tables.iter().map(|(_, table)| table.rows).sum(),
            bytes: tables.iter().map(|(_, table)| table.source_bytes).sum(),
            seconds: started.elapsed().as_secs_f64(),
            unchecked,
        };
        Ok(Scanned { summary, tables, failure })
    }

    /// Tables whose rows can be looked up as a run would find them: by their own key, without a filter.
    fn fetchable(&self) -> BTreeMap<TableName, Vec<FieldName>> {
        let is_own_key = |table: &TableName, key: &[FieldName]| {
            let known = self.catalog.table(table).map(crate::catalog::TableSchema::row_key);
            matches!(known, Some(RowKey::Columns(columns)) if columns == key)
        };
        let planned = self.plan.tables.iter().filter(|table| table.filter.is_none() && table.part_of.is_none());
        let planned = planned.map(|table| (&table.source, &table.key));
        let all = planned.chain(self.plan.adopted.iter().map(|table| (&table.source, &table.key)));
        all.filter(|(table, key)| is_own_key(table, key)).map(|(table, key)| (table.clone(), key.clone())).collect()
    }

    /// Whether all parents of a field can be looked up: texts that are no key of the parent would fail the call.
    fn is_fetchable(&self, job: &Job, position: usize, fetchable: &BTreeMap<TableName, Vec<FieldName>>) -> bool {
        let Some(field) = job.fields.get(position) else { return false };
        let Some(PlanReference { parents, discriminator: None, .. }) = field.reference() else { return false };
        let child = self.catalog.table(&job.read_from);
        let kinds = |schema: Option<&crate::catalog::TableSchema>, columns: &[FieldName]| {
            let of = |column: &FieldName| schema?.column(column.as_str()).map(|column| column.source_type.scalar);
            columns.iter().map(of).collect::<Option<Vec<_>>>()
        };
        let own = kinds(child, &field.columns);
        parents.iter().all(|parent| {
            let key = fetchable.get(parent.to.table()).filter(|_| parent.to.columns().is_empty());
            own.is_some() && key.is_some_and(|key| kinds(self.catalog.table(parent.to.table()), key) == own)
        })
    }
}

impl Shared {
    /// Counts the rows that share a key of a space of the table, where no constraint rules that out.
    async fn shared_keys(&self, end: &mut TableEnd) -> Result<()> {
        /// Of a column that is unique by its name, so many times the rows that share a value are fewer than all: where
        /// more do, it is not meant to be unique.
        const FEW: u64 = 10;
        let (Some(spool), true) = (&self.spool, end.failure.is_none()) else { return Ok(()) };
        for space in &end.job.own {
            let Some((kind, effect)) = space.shared else { continue };
            let found = spool.shared(space.id).await?;
            let is_meant = effect != super::Effect::Kept || found.count.saturating_mul(FEW) <= end.counts.rows;
            if is_meant {
                end.counts.findings.add_all(kind, space.label(&end.job), effect, found);
            }
        }
        Ok(())
    }
}

/// Adds a table's counts; those of a part that is split off to the table it is of.
fn add(tables: &mut Vec<(TableName, TableScan)>, job: &Job, counts: Counts, failure: Option<&Error>) {
    let Counts { rows, source_bytes, documents, rejected, skipped, document_bytes, largest, indexed, findings } =
        counts;
    let index_bytes = match indexed {
        (0, _) => 0,
        (measured, bytes) => {
            u64::try_from(u128::from(bytes) * u128::from(documents) / u128::from(measured)).unwrap_or(0)
        }
    };
    let found = findings.into_list();
    let error = failure.map(ToString::to_string);
    let own = TableScan {
        rows,
        source_bytes,
        documents,
        rejected,
        skipped,
        document_bytes,
        index_bytes,
        largest_document: largest,
        findings: found,
        error,
    };
    match tables.iter_mut().find(|(name, _)| *name == job.read_from) {
        Some((_, table)) if job.is_part => {
            table.source_bytes += own.source_bytes;
            table.documents += own.documents;
            table.document_bytes += own.document_bytes;
            table.index_bytes += own.index_bytes;
            table.largest_document = table.largest_document.max(own.largest_document);
            table.findings.extend(own.findings);
            table.findings.sort_by_key(|found| found.effect);
            table.error = table.error.take().or(own.error);
        }
        _ => tables.push((job.read_from.clone(), own)),
    }
}

/// Scans the ranges of a table side by side.
async fn scan_table(shared: &Arc<Shared>, job: Arc<Job>, links: Vec<usize>) -> TableEnd {
    let event = |event: Event| shared.observer.on_event(&event);
    event(Event::TableStarted { table: job.name.clone(), expected: job.rows, resumed: Box::new(Totals::default()) });
    let (counts, failure) = match shared.ranges(&job).await {
        Ok(ranges) => {
            let checker = Arc::new(Checker::new(job.clone(), links, shared.entry_bytes));
            side_by_side(shared, ranges, move |shared, range| {
                let checker = checker.clone();
                async move { scan_range(&shared, &checker, range).await }
            })
            .await
        }
        Err(error) => (Counts::default(), Some(error)),
    };
    let status = if failure.is_some() { TableStatus::Incomplete } else { TableStatus::Complete };
    let error = failure.as_ref().map(ToString::to_string);
    event(Event::TableFinished { table: job.name.clone(), status, counted: None, error });
    TableEnd { job, counts, failure }
}

/// Does `work` on ranges in their turns, and sums in the ranges' order, so that samples of keys are the first.
pub(super) async fn side_by_side<F>(
    shared: &Arc<Shared>,
    ranges: Vec<KeyRange>,
    work: impl Fn(Arc<Shared>, KeyRange) -> F,
) -> (Counts, Option<Error>)
where
    F: Future<Output = (Counts, Option<Error>)> + Send + 'static,
{
    let mut running = JoinSet::new();
    for (position, range) in ranges.into_iter().enumerate() {
        let (task, shared) = (work(shared.clone(), range), shared.clone());
        running.spawn(async move {
            let _turn = shared.readers.acquire().await;
            (position, task.await)
        });
    }
    let mut parts = BTreeMap::new();
    let mut failure = None;
    while let Some(joined) = running.join_next().await {
        match joined {
            Ok((position, (counts, error))) => {
                parts.insert(position, counts);
                failure = failure.or(error);
            }
            Err(_) => failure = Some(Error::new(ErrorKind::Unexpected, "finish the task of a part of a table")),
        }
    }
    let mut sum = Counts::default();
    for counts in parts.into_values() {
        sum.absorb(counts);
    }
    (sum, failure)
}

async fn scan_range(shared: &Arc<Shared>, checker: &Checker, range: KeyRange) -> (Counts, Option<Error>) {
    let mut counts = Counts::default();
    let mut pages = shared.pages(checker.job(), checker.columns().clone(), range);
    let scanned = async {
        loop {
            let page = pages.recv().await.unwrap_or_else(|| Err(stopped()))?;
            if page.records.is_empty() {
                return Ok(());
            }
            let (rows, rejected) = (page.records.len(), counts.rejected);
            counts.source_bytes += page.bytes;
            let entries = checker.check(page.records, &*shared.parents, &*shared.measure, &mut counts).await?;
            if let Some(spool) = &shared.spool {
                spool.add(entries).await?;
            }
            shared.observer.on_event(&Event::RowsChecked {
                table: checker.job().name.clone(),
                rows,
                rejected: counts.rejected - rejected,
            });
            if shared.sample_pages.is_some() {
                return Ok(());
            }
        }
    };
    let failure = scanned.await.err();
    (counts, failure)
}

impl Shared {
    /// The ranges of a table that are scanned side by side; of a sample, those of which the first page is read.
    pub(super) async fn ranges(&self, job: &Job) -> Result<Vec<KeyRange>> {
        if self.stop.is_requested() {
            return Err(stopped());
        }
        let wanted = match self.sample_pages {
            Some(pages) => pages,
            None => partition_count(&self.plan.run, job.rows),
        };
        self.source.partitions(&job.read_from, &job.key, wanted).await
    }

    /// Reads pages ahead in a task of its own. An empty page or an error is the last item.
    pub(super) fn pages(
        self: &Arc<Self>,
        job: &Job,
        columns: Arc<[FieldName]>,
        range: KeyRange,
    ) -> mpsc::Receiver<Result<Page>> {
        let (sender, receiver) = mpsc::channel(PAGES_AHEAD);
        let shared = self.clone();
        let (name, table, key) = (job.name.clone(), job.read_from.clone(), Arc::from(job.key.as_slice()));
        tokio::spawn(async move {
            let mut forward = Forward::default();
            let mut after = None;
            loop {
                let request = PageRequest {
                    table: table.clone(),
                    columns: columns.clone(),
                    key: Arc::clone(&key),
                    range: range.clone(),
                    after: after.clone(),
                    limit: shared.plan.run.page_rows.max(1),
                };
                let started = Instant::now();
                let page = tokio::select! {
                    biased;
                    () = shared.stop.requested() => Err(stopped()),
                    () = sender.closed() => return,
                    page = shared.source.read_page(request) => page,
                };
                let page = page.and_then(|page| forward.check(&name, page, after.as_ref()));
                if let Ok(page) = &page {
                    let (records, bytes, elapsed) = (page.records.len(), page.bytes, started.elapsed());
                    shared.observer.on_event(&Event::PageRead { table: name.clone(), records, bytes, elapsed });
                    after.clone_from(&page.next);
                }
                let is_last = page.as_ref().map_or(true, |page| page.records.is_empty());
                if sender.send(page).await.is_err() || is_last {
                    return;
                }
            }
        });
        receiver
    }
}
