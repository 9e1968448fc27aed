use std::sync::Arc;

use clap::Parser;
use migrate_core::layer::{Bisect, DryRun};
use migrate_core::names::TableName;
use migrate_core::pipeline::Pipeline;
use migrate_core::plan::{MigrateConfig, Plan, WriteMethod};
use migrate_core::state::{MemoryState, SqliteState, StateStore};
use migrate_core::{Result, Sink};

use super::ending::Ending;
use super::sides::{Purpose, RunOptions, Sides, refuse_drift};
use super::snapshot::{Asked, Snapshot, SnapshotArguments};
use super::{ProjectArguments, help, not_begun};
use crate::progress::Work;
use crate::run_folder::RunFolder;
use crate::{VERSION, files, signals};

const EXAMPLES: &[(&str, &str)] = &[
    ("migrate-run --dry-run", "try everything, write nothing"),
    ("migrate-run", "migrate, or go on"),
    ("migrate-run --tables orders,order_lines", "these tables only"),
    ("migrate-run --fresh", "go through all rows once more"),
    ("migrate-run --out snapshot.zip", "a snapshot: write the archive only"),
    ("migrate-run --json --quiet > report.json", "in a script"),
    ("migrate-run --events ndjson | jq -r .event", "in a program that watches it"),
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
#[command(name = "migrate-run", version = VERSION, max_term_width = 100)]
#[command(after_long_help = help::after(EXAMPLES, &[]))]
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
    #[command(flatten)]
    options: RunOptions,
    #[command(flatten)]
    snapshot: SnapshotArguments,
}

pub(super) async fn main(arguments: Arguments) -> u8 {
    let (config, _) = match arguments.project.read() {
        Ok(read) => read,
        Err(code) => return code,
    };
    let prepared = prepare(&arguments, &config).await;
    let Prepared { pipeline, ending, snapshot } = match prepared {
        Ok(prepared) => prepared,
        Err(error) => return not_begun(&error, "nothing was written yet"),
    };
    let result = match snapshot {
        Some(snapshot) => snapshot.run(&pipeline, &arguments.tables, &ending.builder).await,
        None => pipeline.run().await,
    };
    ending.finish(result).await
}

/// A run that can begin.
struct Prepared {
    pipeline: Pipeline,
    ending: Ending,
    snapshot: Option<Snapshot>,
}

/// Everything up to the first write: files, keys, both sides' checks, and last the run folder.
async fn prepare(arguments: &Arguments, config: &MigrateConfig) -> Result<Prepared> {
    let (project, options, dry_run) = (&arguments.project, &arguments.options, arguments.dry_run);
    let plan: Plan = files::read_current(&project.plan(), "migrate-plan")?;
    arguments.snapshot.check(&plan)?;
    let tool = concat!("migrate-run ", env!("CARGO_PKG_VERSION"));
    let writes = !dry_run && !arguments.snapshot.only_writes_a_file();
    let purpose = Purpose { tool, work: Work::Copying, dry_run, writes };
    let sides = Sides::connect(project, options, config, &plan, purpose)?;
    signals::listen(sides.stop.clone());
    // The checks come before the state: a run that cannot begin leaves nothing behind.
    let checked = async {
        let mut snapshot = None;
        let sink: Arc<dyn Sink> = if plan.sink.write == WriteMethod::Snapshot {
            let goes_on_in = if arguments.fresh { None } else { RunFolder::latest(project.folder())? };
            let asked = Asked {
                yes: options.yes,
                quiet: options.quiet,
                dry_run,
                feedback: sides.feedback.clone(),
                tables: arguments.tables.clone(),
                goes_on_in,
            };
            let prepared = Snapshot::prepare(&arguments.snapshot, asked, &plan, &sides).await?;
            let sink = prepared.sink()?;
            snapshot = Some(prepared);
            sink
        } else if dry_run {
            Arc::new(DryRun::new(sides.convex()?))
        } else {
            Arc::new(Bisect::new(sides.convex()?))
        };
        let check = Pipeline::new(plan.clone(), sides.source.clone(), sink.clone(), Arc::new(MemoryState::new()));
        with_options(check, arguments).check().await?;
        let catalog = refuse_drift(project, &plan, &*sides.source).await?;
        sides.builder.source(&catalog);
        Ok((snapshot, sink, catalog))
    };
    let (mut snapshot, sink, catalog) = signals::until_stopped(&sides.stop, checked).await?;
    let (folder, state): (Option<RunFolder>, Arc<dyn StateStore>) = if dry_run {
        (None, Arc::new(MemoryState::new()))
    } else {
        let folder = RunFolder::open(project.folder(), arguments.fresh)?;
        let state = SqliteState::open(&folder.state())?;
        (Some(folder), Arc::new(state))
    };
    state.bind(&plan.fingerprint).await?;
    let Sides { source, observer, builder, feedback, stop, .. } = sides;
    let pipeline = if let Some(snapshot) = &mut snapshot {
        if let Some(folder) = &folder {
            snapshot.open(&plan, folder.path())?;
        }
        let sink = snapshot.sink()?;
        Pipeline::new(plan.clone(), source, sink.clone(), state.clone()).derived_ids(sink)
    } else {
        Pipeline::new(plan.clone(), source, sink, state.clone())
    };
    let pipeline = with_options(pipeline, arguments).observer(observer).with_stop(stop);
    feedback.estimate(&plan, &catalog);
    if !arguments.tables.is_empty() {
        feedback.select(&plan, &arguments.tables);
    }
    feedback.started(tool, &plan, dry_run);
    let ending = Ending { plan, builder, feedback, state, folder, json: options.json };
    Ok(Prepared { pipeline, ending, snapshot })
}

fn with_options(mut pipeline: Pipeline, arguments: &Arguments) -> Pipeline {
    if !arguments.tables.is_empty() {
        pipeline = pipeline.tables(arguments.tables.iter().cloned());
    }
    arguments.options.apply(pipeline)
}
