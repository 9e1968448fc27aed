use std::sync::Arc;

use clap::Parser;
use migrate_core::Result;
use migrate_core::names::TableName;
use migrate_core::pipeline::{Pipeline, Stop};
use migrate_core::plan::{MigrateConfig, Plan};
use migrate_core::state::{MemoryState, SqliteState, StateStore};

use super::ending::Ending;
use super::sides::{RunOptions, Sides, refuse_drift};
use super::{ProjectArguments, fail, help};
use crate::run_folder::RunFolder;
use crate::{exit, files, output};

const EXAMPLES: &[(&str, &str)] = &[
    ("migrate-run --dry-run", "try everything, write nothing"),
    ("migrate-run", "migrate, or go on"),
    ("migrate-run --tables orders,order_lines", "these tables only"),
    ("migrate-run --fresh", "go through all rows once more"),
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
}

pub(super) async fn main(arguments: Arguments) -> u8 {
    let (config, _) = match arguments.project.read() {
        Ok(read) => read,
        Err(code) => return code,
    };
    let prepared = prepare(&arguments, &config).await;
    let (pipeline, ending) = match prepared {
        Ok(prepared) => prepared,
        Err(error) => return fail(&error, exit::of_setup(&error)),
    };
    listen(pipeline.stop());
    let result = pipeline.run().await;
    ending.finish(result).await
}

/// Everything up to the first write: files, keys, both sides' checks, and last the run folder.
async fn prepare(arguments: &Arguments, config: &MigrateConfig) -> Result<(Pipeline, Ending)> {
    let project = &arguments.project;
    let plan: Plan = files::read_current(&project.plan(), "migrate-plan")?;
    let tool = concat!("migrate-run ", env!("CARGO_PKG_VERSION"));
    let sides = Sides::connect(tool, project, &arguments.options, config, &plan, arguments.dry_run)?;
    let Sides { source, sink, observer, builder, progress } = sides;

    // The checks come before the state: a run that cannot begin leaves nothing behind.
    let check = Pipeline::new(plan.clone(), source.clone(), sink.clone(), Arc::new(MemoryState::new()));
    with_options(check, arguments).check().await?;
    refuse_drift(project, &plan, &*source).await?;
    let (folder, state): (Option<RunFolder>, Arc<dyn StateStore>) = if arguments.dry_run {
        (None, Arc::new(MemoryState::new()))
    } else {
        let folder = RunFolder::open(project.folder(), arguments.fresh)?;
        let state = SqliteState::open(&folder.state())?;
        (Some(folder), Arc::new(state))
    };
    state.bind(&plan.fingerprint).await?;
    let pipeline = with_options(Pipeline::new(plan.clone(), source, sink, state.clone()), arguments).observer(observer);
    Ok((pipeline, Ending { plan, builder, progress, state, folder, json: arguments.options.json }))
}

fn with_options(mut pipeline: Pipeline, arguments: &Arguments) -> Pipeline {
    if !arguments.tables.is_empty() {
        pipeline = pipeline.tables(arguments.tables.iter().cloned());
    }
    arguments.options.apply(pipeline)
}

/// Ctrl-C and SIGTERM: the first asks the run to stop, the second ends the process.
pub(super) fn listen(stop: Stop) {
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
