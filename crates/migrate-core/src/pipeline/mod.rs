//! Runs a plan: read, transform, resolve, write, commit.

mod batch;
mod closing;
mod forward;
mod link;
mod partitions;
mod prepare;
mod read_ahead;
mod references;
mod replay;
mod run;
mod table;

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use tokio::sync::Semaphore;

use crate::error::{Error, ErrorKind, Result};
use crate::names::TableName;
use crate::observe::{Fanout, Observer, TableStatus};
use crate::plan::{Plan, PlanTable};
use crate::reject::Replay;
use crate::resolve::{AdoptedIds, ChainResolver, DerivedIds, IdResolver, StoredIds};
use crate::sink::{IdAssignment, Sink};
use crate::source::Source;
use crate::state::{Checkpoint, PartitionId, Progress, StateStore};
use crate::stop::Stop;
use crate::transform::Transform;
pub(crate) use batch::Prepared;
pub(crate) use forward::Forward;
pub(crate) use partitions::{partition_count, ranges};
pub(crate) use prepare::{Preparer, key_of};
pub(crate) use read_ahead::PageReader;
use run::Shared;
pub(crate) use run::{MakeTransform, chain};

/// A run of a plan from a source to a sink, on a state.
///
/// Reading, preparing and writing overlap; pages and batches in flight are bounded, so memory does not grow with the
/// tables. Running it again on the same state goes on where it stopped.
pub struct Pipeline {
    plan: Arc<Plan>,
    source: Arc<dyn Source>,
    sink: Arc<dyn Sink>,
    state: Arc<dyn StateStore>,
    observer: Arc<dyn Observer>,
    resolver: Option<Arc<dyn IdResolver>>,
    derived: Option<Arc<dyn DerivedIds>>,
    transforms: Vec<MakeTransform>,
    selected: Option<HashSet<TableName>>,
    max_rejects: Option<u64>,
    fail_fast: bool,
    stop: Stop,
}

impl fmt::Debug for Pipeline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Pipeline");
        debug.field("fingerprint", &self.plan.fingerprint).field("source", &self.source).field("sink", &self.sink);
        debug.field("selected", &self.selected).field("max_rejects", &self.max_rejects).finish_non_exhaustive()
    }
}

impl Pipeline {
    /// A run of all tables of `plan`. Wrap `source` and `sink` in the layers they need first.
    pub fn new(plan: Plan, source: Arc<dyn Source>, sink: Arc<dyn Sink>, state: Arc<dyn StateStore>) -> Self {
        let max_rejects = plan.run.max_rejects;
        Self {
            plan: Arc::new(plan),
            source,
            sink,
            state,
            observer: Arc::new(Fanout::default()),
            resolver: None,
            derived: None,
            transforms: Vec::new(),
            selected: None,
            max_rejects,
            fail_fast: false,
            stop: Stop::default(),
        }
    }

    /// Tells `observer` of every step.
    #[must_use]
    pub fn observer(mut self, observer: Arc<dyn Observer>) -> Self {
        self.observer = observer;
        self
    }

    /// Resolves references by `resolver` instead of by stored and adopted ids.
    #[must_use]
    pub fn resolver(mut self, resolver: Arc<dyn IdResolver>) -> Self {
        self.resolver = Some(resolver);
        self
    }

    /// Computes ids from rows' keys, for a sink that knows them before it writes: it is asked before stored and adopted
    /// ids.
    #[must_use]
    pub fn derived_ids(mut self, derived: Arc<dyn DerivedIds>) -> Self {
        self.derived = Some(derived);
        self
    }

    /// Adds a rule after the plan's own to the tables that `make` gives one for.
    #[must_use]
    pub fn transform(
        mut self,
        make: impl Fn(&PlanTable) -> Option<Box<dyn Transform>> + Send + Sync + 'static,
    ) -> Self {
        self.transforms.push(Arc::new(make));
        self
    }

    /// Runs only these tables.
    #[must_use]
    pub fn tables(mut self, tables: impl IntoIterator<Item = TableName>) -> Self {
        self.selected = Some(tables.into_iter().collect());
        self
    }

    /// Stops after more than this many rejected rows, instead of the plan's own limit.
    #[must_use]
    pub fn max_rejects(mut self, limit: u64) -> Self {
        self.max_rejects = Some(limit);
        self
    }

    /// Stops with others that have this handle, such as the layers of both sides.
    #[must_use]
    pub fn with_stop(mut self, stop: Stop) -> Self {
        self.stop = stop;
        self
    }

    /// Stops at the first row that is rejected, and at the first link that cannot be set; those of earlier runs do not
    /// count.
    #[must_use]
    pub fn fail_fast(mut self, on: bool) -> Self {
        self.fail_fast = on;
        self
    }

    /// The handle that stops it.
    #[must_use]
    pub fn stop(&self) -> Stop {
        self.stop.clone()
    }

    /// Proves that both sides can be reached, that the keys suffice, and that what the plan needs is deployed. Writes
    /// nothing.
    ///
    /// # Errors
    /// The first side's refusal; `Config` for a selected table that the plan does not know.
    pub async fn check(&self) -> Result<()> {
        for table in self.selected.iter().flatten() {
            if !self.plan.tables.iter().any(|planned| planned.source == *table) {
                let known: Vec<String> = self.plan.tables.iter().map(|planned| planned.source.to_string()).collect();
                return Err(Error::new(ErrorKind::Config, "select a table that is not in the plan")
                    .with_context("table", table)
                    .with_remedy(format!("the plan's tables: {}", known.join(", "))));
            }
        }
        self.source.check().await?;
        let tables: Vec<TableName> = self.plan.tables.iter().map(|table| table.sink.clone()).collect();
        self.sink.check(&tables).await
    }

    /// The plan's tables, by their names at the source.
    #[must_use]
    pub fn planned_tables(&self) -> Vec<TableName> {
        self.plan.tables.iter().map(|table| table.source.clone()).collect()
    }

    /// The tables of the plan that are read to their ends, and of which nothing is left to do.
    ///
    /// # Errors
    /// Those of the state.
    pub async fn done_tables(&self) -> Result<Vec<TableName>> {
        let mut done = Vec::new();
        for table in &self.plan.tables {
            let partitions = self.state.partitions(&table.source).await?;
            let is_done = |(_, checkpoint): &(PartitionId, Checkpoint)| checkpoint.progress == Progress::Done;
            if !partitions.is_empty() && partitions.iter().all(is_done) {
                done.push(table.source.clone());
            }
        }
        Ok(done)
    }

    /// Tells the observer what earlier runs made durable, without reading or writing anything.
    ///
    /// # Errors
    /// Those of the state.
    pub async fn recall(&self) -> Result<()> {
        let done = self.done_tables().await?;
        for table in &self.plan.tables {
            let status = if done.contains(&table.source) { TableStatus::Complete } else { TableStatus::NotSelected };
            run::recall(&*self.state, &*self.observer, &table.source, status, None).await?;
        }
        Ok(())
    }

    /// Runs to the end, to the first error, or to a stop.
    ///
    /// # Errors
    /// The first error. What was committed before it stays; the same call goes on from there. `Interrupted` after a
    /// stop, `TooManyRejects` over the limit.
    pub async fn run(&self) -> Result<()> {
        run::run(&self.shared().await?, self.selected.as_ref()).await
    }

    /// Sends the rejects that `replay` takes up through the plan once more: parents before children, then the links.
    ///
    /// A row that goes through leaves the list, and is counted as if it had gone through at first; one that does not
    /// stays, with the new reason. Each commit is as whole as a run's, so a replay that ended early is finished by the
    /// next. It moves no table's place: what a run has not read is left for it.
    ///
    /// # Errors
    /// As for [`Pipeline::run`]; `Interrupted` with that remedy where the run itself is not at its end.
    pub async fn replay(&self, replay: &Replay) -> Result<()> {
        replay::run(&self.shared().await?, replay).await
    }

    async fn shared(&self) -> Result<Arc<Shared>> {
        self.state.bind(&self.plan.fingerprint).await?;
        self.state.rebind(&self.plan.bound()).await?;
        let resolver = self.resolver.clone().unwrap_or_else(|| {
            let adopted =
                AdoptedIds::new(self.source.clone(), self.sink.clone(), self.state.clone(), &self.plan.adopted);
            let derived = self.derived.clone().map(|derived| Box::new(derived) as Box<dyn IdResolver>);
            let others: [Box<dyn IdResolver>; 2] = [Box::new(StoredIds::new(self.state.clone())), Box::new(adopted)];
            Arc::new(ChainResolver::new(derived.into_iter().chain(others).collect()))
        });
        if (self.sink.capabilities().ids == IdAssignment::BeforeWrite) != self.derived.is_some() {
            return Err(Error::new(
                ErrorKind::Config,
                "resolve references: the sink and the pipeline differ in when ids are known",
            )
            .with_remedy(
                "give Pipeline::derived_ids what computes the ids of a sink that knows them before it writes",
            ));
        }
        let in_flight = self.plan.run.in_flight.min(self.sink.capabilities().in_flight).max(1);
        Ok(Arc::new(Shared {
            plan: self.plan.clone(),
            source: self.source.clone(),
            sink: self.sink.clone(),
            state: self.state.clone(),
            resolver,
            derived: self.derived.clone(),
            observer: self.observer.clone(),
            stop: self.stop.clone(),
            places: Arc::new(Semaphore::new(in_flight)),
            readers: Semaphore::new(self.plan.run.tables_in_parallel.max(1)),
            transforms: self.transforms.clone(),
            rejects: AtomicU64::new(0),
            max_rejects: self.max_rejects,
            fail_fast: self.fail_fast,
        }))
    }
}
