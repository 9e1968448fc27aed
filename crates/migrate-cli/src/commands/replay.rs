use std::sync::Arc;

use clap::Parser;
use migrate_core::layer::Bisect;
use migrate_core::pipeline::Pipeline;
use migrate_core::plan::{MigrateConfig, Plan, WriteMethod};
use migrate_core::reject::Replay;
use migrate_core::state::{MemoryState, SqliteState, StateStore};
use migrate_core::{Error, ErrorKind, Result, Sink};

use super::ending::Ending;
use super::sides::{Purpose, RunOptions, Sides, refuse_drift};
use super::{ProjectArguments, help, not_begun};
use crate::progress::Work;
use crate::run_folder::{RejectFiles, RunFolder};
use crate::{VERSION, files, output, signals};

const EXAMPLES: &[(&str, &str)] = &[
    ("migrate-replay", "after mending rejects/<table>.jsonl, or the plan"),
    ("migrate-replay --refetch", "after mending the rows in Supabase"),
    ("migrate-replay --refetch --fail-fast", "one reject after the other"),
];

/// Sends rejected rows through the plan again
///
/// It takes up the newest run of this folder: each line of its .migrate/<run>/rejects/<table>.jsonl, with the record as
/// you may have mended it. A row whose line you delete stays rejected as it is; the next replay has its line again. What
/// goes through leaves the list, parents before children, and links that could not be set are set. report.json is then
/// what the run would have written had these rows gone through at first, but for times and for what this run did.
///
/// The plan may be mended too, with the same tables and keys: run migrate-plan, deploy, then this. Rows that are
/// migrated stay as the plan before made them; `migrate-run --fresh` would write all of them anew.
///
/// Needs the settings of migrate-run. Running it again doubles nothing.
#[derive(Debug, Parser)]
#[command(name = "migrate-replay", version = VERSION, max_term_width = 100)]
#[command(after_long_help = help::after(EXAMPLES, &[]))]
pub(super) struct Arguments {
    #[command(flatten)]
    project: ProjectArguments,
    /// Read the rows anew from Supabase, by their keys, instead of taking them from the files
    ///
    /// All rejected rows are taken up, and what was edited in the files is not used. A row that is gone from Supabase
    /// leaves the list.
    #[arg(long)]
    refetch: bool,
    #[command(flatten)]
    options: RunOptions,
}

pub(super) async fn main(arguments: Arguments) -> u8 {
    let (config, _) = match arguments.project.read() {
        Ok(read) => read,
        Err(code) => return code,
    };
    let (pipeline, replay, ending) = match prepare(&arguments, &config).await {
        Ok(prepared) => prepared,
        Err(error) => return not_begun(&error, "nothing was written yet"),
    };
    let result = pipeline.replay(&replay).await;
    ending.finish(result).await
}

/// Everything up to the first write: files, keys, both sides' checks, the run folder, and every line of its rejects.
async fn prepare(arguments: &Arguments, config: &MigrateConfig) -> Result<(Pipeline, Replay, Ending)> {
    let project = &arguments.project;
    let plan: Plan = files::read_current(&project.plan(), "migrate-plan")?;
    if plan.sink.write == WriteMethod::Snapshot {
        return Err(Error::new(
            ErrorKind::Config,
            "replay rejects of a snapshot: it is written and imported as a whole",
        )
        .with_remedy("mend rows or plan, then run: migrate-run --fresh"));
    }
    let tool = concat!("migrate-replay ", env!("CARGO_PKG_VERSION"));
    let purpose = Purpose { tool, work: Work::Copying, dry_run: false, writes: true };
    let sides = Sides::connect(project, &arguments.options, config, &plan, purpose)?;
    let sink: Arc<dyn Sink> = Arc::new(Bisect::new(sides.convex()?));
    let Sides { source, observer, builder, feedback, stop, .. } = sides;
    signals::listen(stop.clone());
    let check = Pipeline::new(plan.clone(), source.clone(), sink.clone(), Arc::new(MemoryState::new()));
    let catalog = signals::until_stopped(&stop, async {
        check.check().await?;
        refuse_drift(project, &plan, &*source).await
    })
    .await?;
    builder.source(&catalog);
    let folder = RunFolder::newest(project.folder())?;
    let state: Arc<dyn StateStore> = Arc::new(SqliteState::open(&folder.state())?);
    let replay = if arguments.refetch {
        Replay::refetched(&*state, &plan, catalog).await?
    } else {
        let files = RejectFiles::of(&plan);
        Replay::mended(&*state, &plan, catalog, |table| folder.rejects(&files, table)).await?
    };
    tell(&replay, &plan);
    let pipeline = Pipeline::new(plan.clone(), source, sink, state.clone()).observer(observer).with_stop(stop);
    let pipeline = arguments.options.apply(pipeline);
    let json = arguments.options.json;
    feedback.started(tool, &plan, false);
    Ok((pipeline, replay, Ending { plan, builder, feedback, state, folder: Some(folder), json }))
}

/// What a reader should know before it begins.
fn tell(replay: &Replay, plan: &Plan) {
    let short = |fingerprint: &str| fingerprint.chars().take(12).collect::<String>();
    if let Some(before) = &replay.mended_plan {
        let (before, now) = (short(before), short(&plan.fingerprint));
        output::note(&format!(
            "the plan is another than the run's ({before}, now {now}): rows that are migrated stay as it made them, and \
             migrate-run goes on by the new one; migrate-run --fresh writes all rows by it"
        ));
    }
    output::note(&format!("{} rejects to replay", replay.taken_up));
    if replay.left > 0 {
        output::note(&format!("{} rejects have no line in their file, and stay as they are", replay.left));
    }
    if replay.passed > 0 {
        output::note(&format!("{} lines are of rows that are not rejected any more: left alone", replay.passed));
    }
}
