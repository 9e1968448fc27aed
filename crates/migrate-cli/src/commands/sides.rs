//! What a run and a replay share: their options, and both sides with all their layers.

use std::str::FromStr as _;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use convex_sink::{ConvexSettings, ConvexSink};
use migrate_core::catalog::Catalog;
use migrate_core::layer::{Limit, Retry, RetryPolicy, Timeout};
use migrate_core::observe::{Fanout, Observer};
use migrate_core::pipeline::Pipeline;
use migrate_core::plan::{MigrateConfig, Plan, RunConfig, WriteRate};
use migrate_core::report::ReportBuilder;
use migrate_core::stop::Stop;
use migrate_core::{Error, ErrorKind, Result, Source};

use super::{AccessOptions, ProjectArguments, source};
use crate::environment::Environment;
use crate::events::EventsFormat;
use crate::feedback::Feedback;
use crate::progress::Work;
use crate::{confirm, files, output};

/// Longest wait for one answer of Convex, whose own limit is 300 s.
const SINK_TIMEOUT: Duration = Duration::from_secs(315);

/// The options that a run and a replay share.
#[expect(clippy::doc_markdown, reason = "the text is shown as help")]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of the command line")]
#[derive(Debug, Args)]
pub(super) struct RunOptions {
    /// Stop once more rows than this are rejected
    ///
    /// Without it, run.max_rejects of migrate.toml counts; without that too, there is no limit.
    #[arg(long, value_name = "ROWS")]
    pub(super) max_rejects: Option<u64>,
    /// Stop at the first rejected row or unset link
    ///
    /// What is done so far stays, and the exit code is 3. Rejects of earlier runs do not count.
    #[arg(long)]
    pub(super) fail_fast: bool,
    /// Print the report as JSON, instead of a table
    #[arg(long)]
    pub(super) json: bool,
    /// Write what happens to stdout as ndjson, a JSON object on each line, instead of the report
    ///
    /// The last one tells the outcome. jsonschemas/event.schema.json, which migrate-schema writes, says what they hold.
    #[arg(long, value_enum, value_name = "FORMAT", hide_possible_values = true, hide_short_help = true)]
    #[arg(conflicts_with = "json")]
    pub(super) events: Option<EventsFormat>,
    /// Show no progress; the report is printed all the same
    #[arg(long)]
    pub(super) quiet: bool,
    /// Write into a production deployment without asking
    #[arg(long)]
    pub(super) yes: bool,
    /// Write no faster than so many bytes a second, such as 3MiB
    ///
    /// Without it, run.write_rate of migrate.toml counts. A deployment's class has a limit of its own: 4, 8, 32 or
    /// 64 MiB a second; what the app writes at the same time counts too.
    #[arg(long, value_name = "SIZE", value_parser = WriteRate::from_str, hide_short_help = true)]
    pub(super) write_rate: Option<WriteRate>,
    #[command(flatten)]
    pub(super) access: AccessOptions,
}

impl RunOptions {
    pub(super) fn apply(&self, pipeline: Pipeline) -> Pipeline {
        let pipeline = pipeline.fail_fast(self.fail_fast);
        match self.max_rejects {
            Some(limit) => pipeline.max_rejects(limit),
            None => pipeline,
        }
    }
}

/// What both sides are connected for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Purpose<'a> {
    /// The program and its version.
    pub(super) tool: &'a str,
    pub(super) work: Work,
    pub(super) dry_run: bool,
    /// True where documents are written.
    pub(super) writes: bool,
}

/// The source in its layers, the way to Convex, and who hears of what both do.
pub(super) struct Sides<'a> {
    pub(super) source: Arc<dyn Source>,
    pub(super) observer: Arc<dyn Observer>,
    pub(super) builder: Arc<ReportBuilder>,
    pub(super) feedback: Feedback,
    /// Ends the waits of both sides.
    pub(super) stop: Stop,
    environment: Environment,
    config: &'a MigrateConfig,
    plan: &'a Plan,
    options: &'a RunOptions,
}

impl<'a> Sides<'a> {
    /// Both sides by the environment, the configuration and the plan. Makes no call. Where it writes into a production
    /// deployment, it asks before.
    pub(super) fn connect(
        project: &ProjectArguments,
        options: &'a RunOptions,
        config: &'a MigrateConfig,
        plan: &'a Plan,
        purpose: Purpose<'_>,
    ) -> Result<Self> {
        let Purpose { tool, work, dry_run, writes } = purpose;
        let environment = Environment::read(project.folder())?;
        let source = source::bare(&environment, config, Some(plan), options.access)?;
        let run = RunConfig {
            max_rejects: options.max_rejects.or(plan.run.max_rejects),
            write_rate: options.write_rate.or(plan.run.write_rate),
            ..plan.run.clone()
        };
        let feedback = Feedback::new(options.quiet, options.events, plan, work);
        let builder = Arc::new(ReportBuilder::start(tool, plan, dry_run).with_run(run));
        let mut observers: Vec<Arc<dyn Observer>> = vec![builder.clone()];
        observers.extend(feedback.observers());
        let observer: Arc<dyn Observer> = Arc::new(Fanout::new(observers));
        let stop = Stop::default();
        let source = source::layered(source, config, plan, observer.clone(), stop.clone());
        let sides = Self { source, observer, builder, feedback, stop, environment, config, plan, options };
        if writes && !options.yes && sides.convex_settings().is_ok_and(|settings| settings.is_production_key()) {
            confirm_production()?;
        }
        Ok(sides)
    }

    /// How Convex is reached.
    ///
    /// # Errors
    /// `Config` where its address or key is missing.
    pub(super) fn convex_settings(&self) -> Result<ConvexSettings> {
        convex(&self.environment, self.config, self.plan, self.options.access, self.plan.sink.public_functions)
    }

    /// Convex's mutations in their layers, but for the outermost, which depends on what they are for.
    ///
    /// # Errors
    /// As for [`Sides::convex_settings`]; `Config` for settings that cannot be.
    pub(super) fn convex(&self) -> Result<Retry<Limit<Timeout<ConvexSink>>>> {
        self.layered(self.convex_settings()?)
    }

    /// The same with a deploy key, whether or not the functions ask for a secret instead: documents are read back by it.
    ///
    /// # Errors
    /// As for [`Sides::convex`].
    pub(super) fn convex_with_key(&self) -> Result<Retry<Limit<Timeout<ConvexSink>>>> {
        self.layered(convex(&self.environment, self.config, self.plan, self.options.access, false)?)
    }

    fn layered(&self, settings: ConvexSettings) -> Result<Retry<Limit<Timeout<ConvexSink>>>> {
        let sink = ConvexSink::new(settings)?;
        let mut sink = Limit::new(Timeout::new(sink, SINK_TIMEOUT), self.plan.run.in_flight.max(1));
        if let Some(rate) = self.options.write_rate.or(self.plan.run.write_rate) {
            sink = sink.with_write_rate(rate.bytes_per_second());
        }
        Ok(Retry::new(sink, RetryPolicy::default(), self.observer.clone()).with_stop(self.stop.clone()))
    }
}

/// A plan is for the schema it was made for: what has changed since would be lost or refused row by row.
///
/// Gives the catalog that the plan was made for.
pub(super) async fn refuse_drift(project: &ProjectArguments, plan: &Plan, source: &dyn Source) -> Result<Catalog> {
    let planned: Catalog = files::read_current(&project.catalog(), "migrate-discover")?;
    let drifted = |message: &str, remedy: &str| Err(Error::new(ErrorKind::Config, message).with_remedy(remedy));
    if planned.digest(plan.source_tables()) != plan.source_schema {
        return drifted("use plan.json: catalog.json is of another schema than it was made for", "run: migrate-plan");
    }
    let lines = planned.drift(&source.discover().await?, plan.source_tables());
    if lines.is_empty() {
        return Ok(planned);
    }
    for line in &lines {
        output::note(&format!("  {line}"));
    }
    drifted(
        "use plan.json: the source's schema has changed since, as listed above",
        "run: migrate-discover, then migrate-plan",
    )
}

fn convex(
    environment: &Environment,
    config: &MigrateConfig,
    plan: &Plan,
    access: AccessOptions,
    by_secret: bool,
) -> Result<ConvexSettings> {
    let url = environment.convex_url(config.convex.url.as_deref())?;
    let mut settings = if by_secret {
        ConvexSettings::with_secret(url, environment.migration_secret()?)
    } else {
        let (name, key) = environment.convex_key()?;
        ConvexSettings { admin_key_name: name.to_owned(), ..ConvexSettings::new(url, key) }
    };
    settings.allow_http = access.allow_http;
    settings.module.clone_from(&plan.sink.module);
    settings.legacy_id_field = plan.sink.legacy_id_field.clone();
    settings.legacy_ids = plan.sink.legacy_ids;
    settings.in_flight = plan.run.in_flight.max(1);
    settings.lookup_tables = plan.adopted.iter().map(|table| (table.sink.clone(), table.index.clone())).collect();
    let linked = plan.tables.iter().filter(|table| table.cut_fields().next().is_some());
    settings.patch_tables = linked.map(|table| table.sink.clone()).collect();
    Ok(settings)
}

/// A production deployment wants a word typed.
fn confirm_production() -> Result<()> {
    confirm::ask(
        "This key is of a production deployment.",
        "production",
        "write into a production deployment without being told to",
        "add --yes, or use the key of a development deployment",
    )
}
