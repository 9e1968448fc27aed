use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use convex_sink::{ConvexSettings, ConvexSink};
use migrate_core::catalog::Catalog;
use migrate_core::layer::{Bisect, DryRun, Limit, Retry, RetryPolicy, Timeout};
use migrate_core::names::TableName;
use migrate_core::observe::{Fanout, Observer};
use migrate_core::pipeline::{Pipeline, Stop};
use migrate_core::plan::{MigrateConfig, Plan, WriteMethod};
use migrate_core::report::{Report, ReportBuilder};
use migrate_core::state::{MemoryState, SqliteState, StateStore};
use migrate_core::{Error, ErrorKind, Result, Sink, Source};
use supabase_source::SupabaseSource;

use super::snapshot::{Asked, Snapshot, SnapshotArguments};
use super::{ProjectArguments, fail, help, supabase};
use crate::environment::Environment;
use crate::progress::Progress;
use crate::run_folder::RunFolder;
use crate::{exit, files, output, render};

/// Longest wait for one answer of Supabase, whose own limit is 60 s, and of Convex, whose own limit is 300 s.
const SOURCE_TIMEOUT: Duration = Duration::from_secs(75);
const SINK_TIMEOUT: Duration = Duration::from_secs(315);

const EXAMPLES: &[(&str, &str)] = &[
    ("migrate-run --dry-run", "try everything, write nothing"),
    ("migrate-run", "migrate, or go on"),
    ("migrate-run --tables orders,order_lines", "these tables only"),
    ("migrate-run --fresh", "go through all rows once more"),
    ("migrate-run --out snapshot.zip", "a snapshot: write the archive only"),
    ("migrate-run --json --quiet > report.json", "in a script"),
];

/// Migrates by plan.json, or goes on where the last run stopped
///
/// Running it again doubles nothing: a document keeps its row's key, and is written only where it differs. A row that
/// cannot be migrated is a reject: it is kept with the reason, and the others go on. Report and rejects are in
/// .migrate/<run>/, which holds personal data.
///
/// The first Ctrl-C lets what is on the way finish, and the same command goes on later; the second stops at once.
///
/// Needs the Supabase settings of migrate-discover, and CONVEX_URL with CONVEX_DEPLOY_KEY (self-hosted:
/// CONVEX_SELF_HOSTED_URL with CONVEX_SELF_HOSTED_ADMIN_KEY), from the environment, else .env.local, else .env.
#[expect(clippy::doc_markdown, reason = "the text is shown as help")]
#[derive(Debug, Parser)]
#[command(name = "migrate-run", version, max_term_width = 100)]
#[command(after_long_help = help::after(EXAMPLES, &[]))]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of the command line")]
pub(super) struct Arguments {
    #[command(flatten)]
    project: ProjectArguments,
    /// Read, convert and resolve every row, but write nothing
    ///
    /// The functions must be deployed. No run folder is made, and none is changed.
    #[arg(long)]
    dry_run: bool,
    /// Begin anew, in a run folder of its own
    ///
    /// Every row is read again. Documents that are there are found by their key and updated where they differ.
    #[arg(long)]
    fresh: bool,
    /// Only these tables, by their names in Supabase
    ///
    /// Tables that they refer to must be among them, or be migrated in this run folder already.
    #[arg(long, value_delimiter = ',', value_name = "TABLE,…")]
    tables: Vec<TableName>,
    /// Stop once more rows than this are rejected
    ///
    /// Without it, run.max_rejects of migrate.toml counts; without that too, there is no limit.
    #[arg(long, value_name = "ROWS")]
    max_rejects: Option<u64>,
    /// Print the report as JSON, instead of a table
    #[arg(long)]
    json: bool,
    /// Show no progress; the report is printed all the same
    #[arg(long)]
    quiet: bool,
    /// Write into a production deployment without asking
    #[arg(long)]
    yes: bool,
    /// Accept a Supabase key that may not see every row
    ///
    /// Row-level security hides rows from a publishable or anon key, and nothing tells how many.
    #[arg(long)]
    allow_partial: bool,
    #[command(flatten)]
    snapshot: SnapshotArguments,
}

pub(super) async fn main(arguments: Arguments) -> u8 {
    let (config, _) = match arguments.project.read() {
        Ok(read) => read,
        Err(code) => return code,
    };
    let prepared = prepare(&arguments, &config).await;
    let mut run = match prepared {
        Ok(run) => run,
        Err(error) => return fail(&error, exit::of_setup(&error)),
    };
    listen(run.pipeline.stop());
    let result = match run.snapshot.take() {
        Some(snapshot) => snapshot.run(&run.pipeline, &arguments.tables, &run.builder).await,
        None => run.pipeline.run().await,
    };
    if let Some(progress) = &run.progress {
        progress.finish();
    }
    finish(&arguments, &run, result).await
}

struct Run {
    plan: Plan,
    pipeline: Pipeline,
    builder: Arc<ReportBuilder>,
    progress: Option<Arc<Progress>>,
    state: Arc<dyn StateStore>,
    folder: Option<RunFolder>,
    snapshot: Option<Snapshot>,
}

/// Everything up to the first write: files, keys, both sides' checks, and last the run folder.
async fn prepare(arguments: &Arguments, config: &MigrateConfig) -> Result<Run> {
    let plan: Plan = files::read_current(&arguments.project.plan(), "migrate-plan")?;
    arguments.snapshot.check(&plan)?;
    let environment = Environment::read(arguments.project.folder())?;
    let mut settings = supabase(&environment, config, arguments.allow_partial)?;
    settings.filters = plan
        .tables
        .iter()
        .filter_map(|table| table.filter.clone().map(|filter| (table.read_from().clone(), filter)))
        .collect();
    let source = SupabaseSource::new(settings)?;
    let convex = convex(&environment, config, &plan);
    let is_production = convex.as_ref().is_ok_and(ConvexSettings::is_production_key);
    confirm_production(arguments, is_production)?;
    let progress = Progress::new(arguments.quiet).map(Arc::new);
    let builder =
        Arc::new(ReportBuilder::start(concat!("migrate-run ", env!("CARGO_PKG_VERSION")), &plan, arguments.dry_run));
    let mut observers: Vec<Arc<dyn Observer>> = vec![builder.clone()];
    observers.extend(progress.clone().map(|progress| progress as Arc<dyn Observer>));
    let observer: Arc<dyn Observer> = Arc::new(Fanout::new(observers));

    let policy = RetryPolicy::default();
    let calls = plan.run.in_flight.max(1);
    let source = Limit::new(source, plan.run.tables_in_parallel.max(1));
    let source: Arc<dyn Source> = Arc::new(Retry::new(Timeout::new(source, SOURCE_TIMEOUT), policy, observer.clone()));
    let layers = |settings: ConvexSettings| {
        let sink = Limit::new(ConvexSink::new(settings)?, calls);
        Ok(Retry::new(Timeout::new(sink, SINK_TIMEOUT), policy, observer.clone()))
    };
    let mut snapshot = None;
    let sink: Arc<dyn Sink> = if plan.sink.write == WriteMethod::Snapshot {
        let lookups = |settings| Ok(Arc::new(layers(settings)?) as Arc<dyn Sink>);
        let asked = Asked { yes: arguments.yes, quiet: arguments.quiet, dry_run: arguments.dry_run };
        let prepared = Snapshot::prepare(&arguments.snapshot, asked, &plan, convex, lookups).await?;
        let sink = prepared.sink()?;
        snapshot = Some(prepared);
        sink
    } else if arguments.dry_run {
        Arc::new(DryRun::new(layers(convex?)?))
    } else {
        Arc::new(Bisect::new(layers(convex?)?))
    };

    // The checks come before the state: a run that cannot begin leaves nothing behind.
    let check = Pipeline::new(plan.clone(), source.clone(), sink.clone(), Arc::new(MemoryState::new()));
    with_options(check, arguments).check().await?;
    refuse_drift(arguments, &plan, &*source).await?;
    let (folder, state): (Option<RunFolder>, Arc<dyn StateStore>) = if arguments.dry_run {
        (None, Arc::new(MemoryState::new()))
    } else {
        let folder = RunFolder::open(arguments.project.folder(), arguments.fresh)?;
        let state = SqliteState::open(&folder.state())?;
        (Some(folder), Arc::new(state))
    };
    state.bind(&plan.fingerprint).await?;
    let pipeline = if let Some(snapshot) = &mut snapshot {
        if let Some(folder) = &folder {
            snapshot.open(&plan, folder.path())?;
        }
        let sink = snapshot.sink()?;
        Pipeline::new(plan.clone(), source, sink.clone(), state.clone()).derived_ids(sink)
    } else {
        Pipeline::new(plan.clone(), source, sink, state.clone())
    };
    let pipeline = with_options(pipeline, arguments).observer(observer);
    Ok(Run { plan, pipeline, builder, progress, state, folder, snapshot })
}

/// A plan is for the schema it was made for: what has changed since would be lost or refused row by row.
async fn refuse_drift(arguments: &Arguments, plan: &Plan, source: &dyn Source) -> Result<()> {
    let planned: Catalog = files::read_current(&arguments.project.catalog(), "migrate-discover")?;
    let drifted = |message: &str, remedy: &str| Err(Error::new(ErrorKind::Config, message).with_remedy(remedy));
    if planned.digest(plan.source_tables()) != plan.source_schema {
        return drifted("use plan.json: catalog.json is of another schema than it was made for", "run: migrate-plan");
    }
    let lines = planned.drift(&source.discover().await?, plan.source_tables());
    if lines.is_empty() {
        return Ok(());
    }
    for line in &lines {
        output::note(&format!("  {line}"));
    }
    drifted(
        "use plan.json: the source's schema has changed since, as listed above",
        "run: migrate-discover, then migrate-plan",
    )
}

fn with_options(mut pipeline: Pipeline, arguments: &Arguments) -> Pipeline {
    if !arguments.tables.is_empty() {
        pipeline = pipeline.tables(arguments.tables.iter().cloned());
    }
    if let Some(limit) = arguments.max_rejects {
        pipeline = pipeline.max_rejects(limit);
    }
    pipeline
}

fn convex(environment: &Environment, config: &MigrateConfig, plan: &Plan) -> Result<ConvexSettings> {
    let url = environment.convex_url(config.convex.url.as_deref())?;
    let mut settings = if plan.sink.public_functions {
        ConvexSettings::with_secret(url, environment.migration_secret()?)
    } else {
        let (name, key) = environment.convex_key()?;
        ConvexSettings { admin_key_name: name.to_owned(), ..ConvexSettings::new(url, key) }
    };
    settings.module.clone_from(&plan.sink.module);
    settings.legacy_id_field = plan.sink.legacy_id_field.clone();
    settings.legacy_ids = plan.sink.legacy_ids;
    settings.in_flight = plan.run.in_flight.max(1);
    settings.lookup_tables = plan.adopted.iter().map(|table| (table.sink.clone(), table.index.clone())).collect();
    let linked = plan.tables.iter().filter(|table| table.cut_fields().next().is_some());
    settings.patch_tables = linked.map(|table| table.sink.clone()).collect();
    Ok(settings)
}

/// A production deployment wants a word typed, or `--yes`.
fn confirm_production(arguments: &Arguments, is_production: bool) -> Result<()> {
    use std::io::IsTerminal as _;
    if arguments.yes || arguments.dry_run || arguments.snapshot.only_writes_a_file() || !is_production {
        return Ok(());
    }
    let refused = Error::new(ErrorKind::Config, "write into a production deployment without being told to")
        .with_remedy("add --yes, or use the key of a development deployment");
    if !std::io::stdin().is_terminal() {
        return Err(refused);
    }
    output::note("This key is of a production deployment. Type `production` to go on:");
    let mut answer = String::new();
    let _ = std::io::stdin().read_line(&mut answer);
    if answer.trim() == "production" { Ok(()) } else { Err(refused) }
}

/// Ctrl-C and SIGTERM: the first asks the run to stop, the second ends the process.
fn listen(stop: Stop) {
    tokio::spawn(async move {
        interrupted().await;
        output::note("stopping: what is on the way is finished; once more stops at once");
        stop.request();
        interrupted().await;
        std::process::exit(i32::from(exit::INTERRUPTED));
    });
}

async fn interrupted() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let Ok(mut terminate) = signal(SignalKind::terminate()) {
            tokio::select! {
                _ = tokio::signal::ctrl_c() => {}
                _ = terminate.recv() => {}
            }
            return;
        }
    }
    let _ = tokio::signal::ctrl_c().await;
}

/// Report, rejects and exit code, however the run ended.
async fn finish(arguments: &Arguments, run: &Run, result: Result<()>) -> u8 {
    let report = run.builder.report(result.as_ref().err());
    let mut code = match &result {
        Ok(()) if report.has_findings() => exit::FINDINGS,
        Ok(()) => exit::OK,
        Err(error) => exit::of_run(error),
    };
    if let Err(lines) = report.check() {
        for line in lines {
            output::error(&format!("the report does not balance: {line}"));
        }
        code = exit::UNEXPECTED;
    }
    let mut written = None;
    if let Some(folder) = &run.folder {
        match write_files(folder, run, &report).await {
            Ok(rejects) => written = Some((folder, rejects)),
            Err(error) => code = fail(&error, exit::of_run(&error)),
        }
    }
    if arguments.json {
        output::data(&serde_json::to_string_pretty(&report).unwrap_or_default());
    } else {
        output::data(&render::text(&report, output::width()));
    }
    if let Some((folder, rejects)) = written {
        output::note(&format!("report: {}", folder.report().display()));
        if rejects > 0 {
            output::note(&format!("rejects: {}", folder.path().join("rejects").display()));
        }
    }
    if let Err(error) = &result {
        output::failure(error);
        if code == exit::INTERRUPTED {
            output::note("the same command goes on where this run stopped");
        }
    }
    code
}

/// Writes the report and all rejects; gives how many those are.
async fn write_files(folder: &RunFolder, run: &Run, report: &Report) -> Result<u64> {
    files::write_json(&folder.report(), report)?;
    let mut rejects = 0;
    for table in &run.plan.tables {
        rejects += folder.write_rejects(&*run.state, &table.source).await?;
    }
    Ok(rejects)
}
