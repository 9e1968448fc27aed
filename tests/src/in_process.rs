//! A migration in this process: the real adapters in the layers that `migrate-run` has, with short delays.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use convex_sink::{CONVEX_RULES, ConvexSettings, ConvexSink};
use migrate_core::layer::{Bisect, Limit, Retry, RetryPolicy, Timeout};
use migrate_core::observe::{Event, Fanout, Observer};
use migrate_core::plan::{Plan, build_plan, read_config};
use migrate_core::report::{Report, ReportBuilder};
use migrate_core::state::{MemoryState, StateStore};
use migrate_core::{Pipeline, Result, Sink, Source};
use supabase_source::{SupabaseSettings, SupabaseSource};

use crate::local_stack;

/// Times of the layers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Times {
    /// When a call is repeated.
    pub policy: RetryPolicy,
    /// Longest wait for an answer of either side.
    pub timeout: Duration,
}

impl Default for Times {
    /// As `migrate-run`, but with delays of a millisecond, and ten seconds for an answer.
    fn default() -> Self {
        let delay = Duration::from_millis(1);
        let policy =
            RetryPolicy { first_delay: delay, longest_delay: delay, jitter_seed: Some(7), ..Default::default() };
        Self { policy, timeout: Duration::from_secs(10) }
    }
}

/// A call that was repeated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repeat {
    /// The operation, such as `read_page`.
    pub operation: &'static str,
    /// The error's code.
    pub code: String,
    /// How long it waited.
    pub delay: Duration,
    /// The error's message.
    pub message: String,
}

/// Keeps the repeats of a run.
#[derive(Debug, Default)]
struct Repeats(Mutex<Vec<Repeat>>);

impl Repeats {
    fn list(&self) -> MutexGuard<'_, Vec<Repeat>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Observer for Repeats {
    fn on_event(&self, event: &Event) {
        if let Event::Retried { operation, code, delay, message, .. } = event {
            let (code, message) = (code.clone(), message.clone());
            self.list().push(Repeat { operation, code, delay: *delay, message });
        }
    }
}

/// A planned migration between two sides, with a state that its runs share.
#[derive(Debug)]
pub struct InProcess {
    /// The plan.
    pub plan: Plan,
    source: SupabaseSettings,
    sink: ConvexSettings,
    state: Arc<dyn StateStore>,
}

/// How a run went.
#[derive(Debug)]
pub struct Ran {
    /// What `migrate-run` would end with.
    pub result: Result<()>,
    /// Its report.
    pub report: Report,
    /// The calls that were repeated, in order.
    pub repeats: Vec<Repeat>,
}

impl Ran {
    /// Repeats by the error's code.
    #[must_use]
    pub fn repeats_by_code(&self) -> BTreeMap<&str, usize> {
        let mut counts = BTreeMap::new();
        for repeat in &self.repeats {
            *counts.entry(repeat.code.as_str()).or_default() += 1;
        }
        counts
    }
}

impl InProcess {
    /// Plans a migration by `configuration`, the text of a `migrate.toml`. `planned_from` is asked for the catalog;
    /// runs read from `source`, which may be a proxy before the same project.
    ///
    /// # Errors
    /// When the project does not answer, or the configuration is wrong.
    pub async fn plan(
        configuration: &str,
        planned_from: SupabaseSettings,
        source: SupabaseSettings,
        sink: ConvexSettings,
    ) -> local_stack::Result<Self> {
        let failed = |error: &dyn std::fmt::Debug| local_stack::Error::new(format!("failed to plan: {error:?}"));
        let config = read_config("migrate.toml", configuration).map_err(|error| failed(&error))?;
        let planned_from = SupabaseSource::new(planned_from).map_err(|error| failed(&error))?;
        let catalog = planned_from.discover().await.map_err(|error| failed(&error))?;
        let plan = build_plan(&config, &catalog, &CONVEX_RULES).map_err(|issues| failed(&issues))?;
        Ok(Self { plan, source, sink, state: Arc::new(MemoryState::new()) })
    }

    /// Runs it as `migrate-run` does, from where the last run stopped.
    ///
    /// # Errors
    /// When the settings are wrong. How the run itself ended is in [`Ran::result`].
    pub async fn run(&self, times: Times) -> Result<Ran> {
        let builder = Arc::new(ReportBuilder::start("in-process", &self.plan, false));
        let repeats = Arc::new(Repeats::default());
        let observer: Arc<dyn Observer> =
            Arc::new(Fanout::new(vec![builder.clone() as Arc<dyn Observer>, repeats.clone() as Arc<dyn Observer>]));
        let Times { policy, timeout } = times;
        let run = &self.plan.run;
        let source = Timeout::new(SupabaseSource::new(self.source.clone())?, timeout);
        let source = Limit::new(source, run.tables_in_parallel.max(1));
        let source: Arc<dyn Source> = Arc::new(Retry::new(source, policy, observer.clone()));
        let sink = Limit::new(Timeout::new(ConvexSink::new(self.sink.clone())?, timeout), run.in_flight.max(1));
        let sink = Retry::new(sink, policy, observer.clone());
        let sink: Arc<dyn Sink> = Arc::new(Bisect::new(sink));
        let pipeline = Pipeline::new(self.plan.clone(), source, sink, self.state.clone()).observer(observer);
        let result = pipeline.run().await;
        let report = builder.report(result.as_ref().err());
        let repeats = std::mem::take(&mut *repeats.list());
        Ok(Ran { result, report, repeats })
    }

    /// The state that the runs share.
    #[must_use]
    pub fn state(&self) -> &Arc<dyn StateStore> {
        &self.state
    }
}
