//! Compares a source with a sink, and trusts nothing that a run noted.
//!
//! First the sink's documents are read back ([`SinkProbe`]) into a spool on disk: each with its row's key, its id and a
//! hash of its one form. Then the source is read again, and every row goes through the plan's rules as in a run; its
//! references are resolved by what was read back. What the plan makes of a row must have the hash of the row's document.
//! Where it has another, the document is read once more, and the fields and places that differ are named.
//!
//! So a row that the plan rejects or leaves out is found to be so anew, a reference to a wrong document, to one of
//! another table and to none are told apart, and documents that no row has are found as well.

mod aggregate;
mod canonical;
mod count;
mod describe;
mod difference;
mod layout;
mod probe;
mod report;
mod resolve;
mod results;
mod run;
mod sink_side;
mod source_side;
mod spool;
mod spooled_documents;
mod spooled_keys;

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio::sync::{OnceCell, Semaphore};

pub use probe::{CountPage, Document, DocumentPage, DocumentPart, KeyEntry, KeyPage, SinkProbe};
pub use report::{
    ColumnSums, ColumnVerification, Content, DIFFERENCE_KINDS, Difference, DifferenceKind, Level, Sampled,
    TableVerification, VERIFICATION_VERSION, Values, Verdict, Verification,
};

use crate::error::{Error, ErrorKind, Result};
use crate::names::TableName;
use crate::observe::{Fanout, Observer};
use crate::pipeline::MakeTransform;
use crate::plan::{Conversion, MissingParent, Plan, PlanTable};
use crate::resolve::AdoptedIds;
use crate::sink::Sink;
use crate::source::Source;
use crate::state::{SqliteState, StateStore};
use crate::stop::Stop;
use crate::transform::Transform;
use count::Counter;
use layout::Layout;
use resolve::SpooledIds;
use results::Results;
use run::{Shared, compare_all, identity};
use spool::Spool;

/// Differences of one table that are described, where the caller does not say.
const DIFFERENCES: usize = 20;

/// A comparison of what a plan makes of a source's rows with what a sink holds.
///
/// It reads both sides and writes nothing but a file in its folder, which it removes when it is done.
pub struct Verifier {
    plan: Arc<Plan>,
    source: Arc<dyn Source>,
    sink: Arc<dyn Sink>,
    probe: Arc<dyn SinkProbe>,
    folder: PathBuf,
    tool: String,
    level: Level,
    selected: Option<HashSet<TableName>>,
    observer: Arc<dyn Observer>,
    stop: Stop,
    transforms: Vec<MakeTransform>,
    exclusive: bool,
    show_values: bool,
    fresh: bool,
    differences: usize,
    seed: Option<u64>,
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Verifier");
        debug.field("fingerprint", &self.plan.fingerprint).field("source", &self.source).field("probe", &self.probe);
        debug.field("folder", &self.folder).field("level", &self.level).finish_non_exhaustive()
    }
}

impl Verifier {
    /// A full verification of all tables of `plan`. Wrap `source`, `sink` and `probe` in the layers they need first.
    ///
    /// `sink` only measures documents and looks adopted ones up; it is never written to. `folder` is there already, and
    /// takes what is kept until the end.
    pub fn new(
        plan: Plan,
        source: Arc<dyn Source>,
        sink: Arc<dyn Sink>,
        probe: Arc<dyn SinkProbe>,
        folder: &Path,
    ) -> Self {
        Self {
            plan: Arc::new(plan),
            source,
            sink,
            probe,
            folder: folder.to_owned(),
            tool: concat!("migrate-core ", env!("CARGO_PKG_VERSION")).to_owned(),
            level: Level::default(),
            selected: None,
            observer: Arc::new(Fanout::default()),
            stop: Stop::default(),
            transforms: Vec::new(),
            exclusive: false,
            show_values: false,
            fresh: false,
            differences: DIFFERENCES,
            seed: None,
        }
    }

    /// Names the program in the verification.
    #[must_use]
    pub fn tool(mut self, tool: impl Into<String>) -> Self {
        self.tool = tool.into();
        self
    }

    /// How closely both sides are compared.
    #[must_use]
    pub fn level(mut self, level: Level) -> Self {
        self.level = level;
        self
    }

    /// Compares only these tables, by their names at the source, with what is split off of them. The tables that they
    /// refer to are read back, too.
    #[must_use]
    pub fn tables(mut self, tables: impl IntoIterator<Item = TableName>) -> Self {
        self.selected = Some(tables.into_iter().collect());
        self
    }

    /// Tells `observer` of what will be read and is read, and of each table's result.
    #[must_use]
    pub fn observer(mut self, observer: Arc<dyn Observer>) -> Self {
        self.observer = observer;
        self
    }

    /// Heeds this stop.
    #[must_use]
    pub fn with_stop(mut self, stop: Stop) -> Self {
        self.stop = stop;
        self
    }

    /// Adds a rule after the plan's own to the tables that `make` gives one for: those that the run had, too.
    #[must_use]
    pub fn transform(
        mut self,
        make: impl Fn(&PlanTable) -> Option<Box<dyn Transform>> + Send + Sync + 'static,
    ) -> Self {
        self.transforms.push(Arc::new(make));
        self
    }

    /// The tables hold nothing but what the migration wrote: documents without a row's key, and fields that the plan
    /// does not know, are differences.
    #[must_use]
    pub fn exclusive(mut self, exclusive: bool) -> Self {
        self.exclusive = exclusive;
        self
    }

    /// Puts the values of differences into the verification.
    #[must_use]
    pub fn show_values(mut self, show_values: bool) -> Self {
        self.show_values = show_values;
        self
    }

    /// Begins anew where an earlier verification was stopped.
    #[must_use]
    pub fn fresh(mut self, fresh: bool) -> Self {
        self.fresh = fresh;
        self
    }

    /// Chooses the rows of a sample by this number, instead of by chance.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// Describes so many differences of each table; the others are counted.
    #[must_use]
    pub fn differences(mut self, differences: usize) -> Self {
        self.differences = differences.max(1);
        self
    }

    /// Compares both sides.
    ///
    /// What is known is given however it ends; a verification that was stopped, or failed, goes on at the table it was
    /// at when it is run again in the same folder.
    pub async fn run(&self) -> (Verification, Result<()>) {
        let (started, timestamp) = (Instant::now(), Timestamp::now());
        let results = Arc::new(Results::new(self.plan.clone(), self.observer.clone()));
        let (selected, ended, (resumed, seed)) = match self.selected() {
            Ok(selected) => {
                let (ended, kept) = self.compare(&selected, &results).await;
                (selected, ended, kept)
            }
            Err(error) => (Vec::new(), Err(error), (false, None)),
        };
        let mut results = results.take();
        let verdict = match &ended {
            Err(error) if error.kind() == ErrorKind::Interrupted => Verdict::Interrupted,
            Err(_) => Verdict::Failed,
            Ok(()) if results.values().all(|table| table.found() == 0) => Verdict::Same,
            Ok(()) => Verdict::Different,
        };
        let tables = selected.iter().filter_map(|&place| {
            let table = self.plan.tables.get(place)?;
            let result = results.remove(&place).unwrap_or_else(|| TableVerification::of(table.sink.clone()));
            Some((table.source.to_string(), result))
        });
        let verification = Verification {
            version: VERIFICATION_VERSION,
            tool: self.tool.clone(),
            timestamp: timestamp.to_string(),
            plan_fingerprint: self.plan.fingerprint.clone(),
            level: self.level,
            resumed,
            seed,
            verdict,
            error: ended.as_ref().err().map(ToString::to_string),
            tables: tables.collect(),
            not_compared: self.not_compared(),
            duration_seconds: (started.elapsed() + Duration::from_millis(500)).as_secs(),
        };
        (verification, ended)
    }

    /// The tables that are compared, in the plan's order.
    ///
    /// # Errors
    /// `Config` where one of those that were asked for is not in the plan.
    pub fn compared(&self) -> Result<Vec<TableName>> {
        let tables = self.selected()?.into_iter().filter_map(|place| self.plan.tables.get(place));
        Ok(tables.map(|table| table.source.clone()).collect())
    }

    /// The places of the tables to compare.
    fn selected(&self) -> Result<Vec<usize>> {
        let Some(selected) = &self.selected else { return Ok((0..self.plan.tables.len()).collect()) };
        if let Some(unknown) = selected.iter().find(|name| !self.plan.tables.iter().any(|table| table.source == **name))
        {
            return Err(Error::new(ErrorKind::Config, "compare a table that the plan does not migrate")
                .with_context("table", unknown)
                .with_remedy("see the tables that migrate-plan lists"));
        }
        // With a table, what is split off of it.
        let is_selected = |table: &PlanTable| selected.contains(&table.source) || selected.contains(table.read_from());
        let tables = self.plan.tables.iter().enumerate().filter(|(_, table)| is_selected(table));
        Ok(tables.map(|(place, _)| place).collect())
    }

    /// Also gives whether an earlier verification is gone on with, and what chose the rows of a sample.
    async fn compare(&self, selected: &[usize], results: &Arc<Results>) -> (Result<()>, (bool, Option<u64>)) {
        if self.level == Level::Counts {
            let (source, probe, observer) = (&*self.source, &*self.probe, &*self.observer);
            let counter = Counter { source, probe, observer, stop: &self.stop };
            return (counter.count_all(&self.plan, selected, results).await, (false, None));
        }
        match self.share(selected, results.clone()).await {
            Ok(shared) => {
                let shared = Arc::new(shared);
                let kept = (shared.spool.resumed, shared.seed);
                let done = tokio::select! {
                    biased;
                    () = self.stop.requested() => Err(crate::stop::stopped()),
                    done = compare_all(&shared, selected) => done,
                };
                // Only a file that nobody has open can be removed everywhere.
                let spool = shared.spool.clone();
                drop(shared);
                let done = match done {
                    Ok(()) => spool.remove().await,
                    failed => failed,
                };
                (done, kept)
            }
            Err(error) => (Err(error), (false, None)),
        }
    }

    async fn share(&self, selected: &[usize], results: Arc<Results>) -> Result<Shared> {
        let plan = self.plan.clone();
        let flags = [self.exclusive, self.show_values];
        let identity =
            identity(&plan.fingerprint, &self.tool, self.level, selected, flags, self.seed, self.differences);
        let spool = Spool::open(self.folder.clone(), identity, self.fresh).await?;
        let seed = self.sample_seed(&spool).await?;
        let places: HashMap<TableName, usize> =
            plan.tables.iter().enumerate().map(|(place, table)| (table.source.clone(), place)).collect();
        let layouts = plan.tables.iter().map(|table| Layout::new(&plan, table)).collect();
        let tables = plan.tables.iter().map(|table| Arc::new(without_ends(table))).collect();
        let adopted: Arc<dyn StateStore> = Arc::new(SqliteState::open(&spool.adopted()?)?);
        let spooled = Arc::new(SpooledIds::new(spool.clone(), places.clone()));
        let resolver = AdoptedIds::new(self.source.clone(), self.sink.clone(), adopted, &plan.adopted);
        Ok(Shared {
            counted: plan.tables.iter().map(|_| OnceCell::new()).collect(),
            tables,
            layouts,
            places,
            source: self.source.clone(),
            sink: self.sink.clone(),
            probe: self.probe.clone(),
            resolver: Arc::new(resolver.with_migrated(spooled)),
            spool,
            observer: self.observer.clone(),
            results,
            stop: self.stop.clone(),
            transforms: self.transforms.clone(),
            readers: Semaphore::new(plan.run.tables_in_parallel.max(1)),
            exclusive: self.exclusive,
            show_values: self.show_values,
            seed,
            limit: self.differences,
            plan,
        })
    }

    /// What chooses the rows of a sample: what the caller says, else what an earlier, stopped one had, else chance.
    async fn sample_seed(&self, spool: &Spool) -> Result<Option<u64>> {
        const FACT: &str = "seed";
        if self.level != Level::Sample {
            return Ok(None);
        }
        let kept = spool.fact(FACT.to_owned()).await?;
        // A number that every reader of JSON takes.
        let seed = self.seed.or(kept).unwrap_or_else(|| fastrand::u64(..1 << 32));
        spool.set_fact(FACT.to_owned(), &seed).await?;
        Ok(Some(seed))
    }

    /// What a reader should know is not proven.
    fn not_compared(&self) -> Vec<String> {
        let mut lines = Vec::new();
        if self.level == Level::Counts {
            lines.push("what is in the documents: only rows and documents are counted".to_owned());
            lines.push("rows that the plan rejects or leaves out: they count as rows that should be there".to_owned());
            let parts = self.plan.tables.iter().filter(|table| table.part_of.is_some());
            lines.extend(
                parts.map(|table| format!("{}: rows in which all of it is NULL have no document", table.source)),
            );
        }
        if self.level == Level::Sample {
            lines.push("rows outside the sample, and documents that no row has".to_owned());
        }
        let adopted = self.plan.adopted.iter();
        lines.extend(adopted.map(|table| {
            format!(
                "{}: adopted; only whether references lead to the document that {} finds",
                table.source, table.index
            )
        }));
        if !self.exclusive {
            lines.push("documents and fields that are not the migration's own".to_owned());
        }
        lines
    }
}

/// The table as it is compared: a parent that is missing never ends the verification.
fn without_ends(table: &PlanTable) -> PlanTable {
    let mut table = table.clone();
    for field in &mut table.fields {
        if let Conversion::Reference(reference) = &mut field.conversion
            && reference.on_missing == MissingParent::Fail
        {
            reference.on_missing = MissingParent::Reject;
        }
    }
    table
}
