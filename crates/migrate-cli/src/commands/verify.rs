//! `migrate-verify`: source against sink.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::{Parser, ValueEnum};
use migrate_core::names::TableName;
use migrate_core::plan::{MigrateConfig, Plan};
use migrate_core::verify::{Level, Verdict, Verification, Verifier};
use migrate_core::{Error, Result, Source as _};

use super::sides::{Purpose, RunOptions, Sides, refuse_drift};
use super::{AccessOptions, ProjectArguments, fail, help, not_begun};
use crate::events::EventsFormat;
use crate::feedback::Feedback;
use crate::progress::Work;
use crate::run_folder::VerifyFolder;
use crate::{VERSION, exit, files, output, render, signals};

const EXAMPLES: &[(&str, &str)] = &[
    ("migrate-verify", "compare every row"),
    ("migrate-verify --level counts", "count rows and documents only"),
    ("migrate-verify --level sample", "compare some rows of each table"),
    ("migrate-verify --tables orders,order_lines", "these tables only"),
    ("migrate-verify --exclusive", "nothing else is in the tables"),
    ("migrate-verify --show-values", "with the values that differ"),
    ("migrate-verify --json --quiet > verify.json", "in a script"),
    ("migrate-verify --events ndjson | jq -r .event", "in a program that watches it"),
];

const CODES: &[u8] = &[exit::OK, exit::UNEXPECTED, exit::USAGE, exit::SETUP, exit::INTERRUPTED, exit::DIFFERENT];

/// Compares what is in Convex with what the plan makes of Supabase's rows
///
/// Nothing that a run noted is trusted: both sides are read again. Every row goes through the plan's rules, and must
/// have exactly one document with exactly these values; every reference must lead to the document of its row. Rows that
/// the plan rejects or leaves out are found to be so anew; they are counted, and are no differences.
///
/// It writes nothing but verify.json, in the newest run's folder, and what it found into that run's report.html. It is for
/// a migration at its end: rows or documents that change meanwhile are differences, and so are legacy ids that were scrubbed. A verification that was stopped goes
/// on at the tables that it had not compared.
///
/// Needs the settings of migrate-run, and a key that may read data (deployment:data:view) or, more slowly, call the
/// generated functions (deployment:functions:runInternalQueries). With public functions, it needs a key beside the secret.
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of the command line")]
#[derive(Debug, Parser)]
#[command(name = "migrate-verify", version = VERSION, max_term_width = 100)]
#[command(after_long_help = help::after(EXAMPLES, CODES))]
pub(super) struct Arguments {
    #[command(flatten)]
    project: ProjectArguments,
    /// How closely to compare
    #[arg(long, value_enum, default_value_t = LevelArgument::Full, value_name = "LEVEL")]
    level: LevelArgument,
    /// With --level sample: choose the rows by this number, as verify.json has it of another sample
    #[arg(long, value_name = "NUMBER", hide_short_help = true)]
    seed: Option<u64>,
    /// Only these tables, by their names in Supabase
    #[arg(long, value_delimiter = ',', value_name = "TABLE,…")]
    tables: Vec<TableName>,
    /// Let the tables hold nothing but the migration's
    ///
    /// Documents without a row's key, and fields outside the plan, are differences.
    #[arg(long)]
    exclusive: bool,
    /// Show the values that differ; they are personal data
    #[arg(long)]
    show_values: bool,
    /// Describe so many differences of each table; all are counted
    #[arg(long, value_name = "COUNT", default_value_t = 20, hide_short_help = true)]
    differences: usize,
    /// Begin anew where a verification was stopped
    #[arg(long, hide_short_help = true)]
    fresh: bool,
    /// Write verify.json there, not into the newest run and its page
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Print the verification as JSON, instead of tables
    #[arg(long)]
    json: bool,
    /// Write what happens to stdout as ndjson, a JSON object on each line, instead of tables
    ///
    /// The last one tells the verdict; verify.json is written all the same. jsonschemas/event.schema.json, which
    /// migrate-schema writes, says what they hold: no key of a row, no id and no value.
    #[arg(long, value_enum, value_name = "FORMAT", hide_possible_values = true, hide_short_help = true)]
    #[arg(conflicts_with = "json")]
    events: Option<EventsFormat>,
    /// Show no progress
    #[arg(long)]
    quiet: bool,
    #[command(flatten)]
    access: AccessOptions,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum LevelArgument {
    /// Count rows and documents
    Counts,
    /// Compare a tenth of the rows of each table of over 1,000, and all of the others
    Sample,
    /// Compare every row with its document, field by field
    Full,
}

impl From<LevelArgument> for Level {
    fn from(level: LevelArgument) -> Self {
        match level {
            LevelArgument::Counts => Self::Counts,
            LevelArgument::Sample => Self::Sample,
            LevelArgument::Full => Self::Full,
        }
    }
}

/// A verification that can begin.
struct Prepared {
    verifier: Verifier,
    folder: VerifyFolder,
    feedback: Feedback,
}

pub(super) async fn main(arguments: Arguments) -> u8 {
    let (config, _) = match arguments.project.read() {
        Ok(read) => read,
        Err(code) => return code,
    };
    let Prepared { verifier, folder, feedback } = match prepare(&arguments, &config).await {
        Ok(prepared) => prepared,
        Err(error) => return not_begun(&error, "nothing was compared yet"),
    };
    let (verification, result) = verifier.run().await;
    feedback.ended();
    let mut code = match (&result, verification.verdict) {
        (Err(error), _) => exit::of_run(error),
        (Ok(()), Verdict::Same) => exit::OK,
        (Ok(()), _) => exit::DIFFERENT,
    };
    let written = match &arguments.out {
        Some(file) => write(file, &verification).map(|()| file.clone()),
        None => folder.write(&verification),
    };
    if let Err(error) = &written {
        code = fail(error, exit::of_run(error));
    }
    if feedback.has_events() {
        let error = result.as_ref().err().or(written.as_ref().err()).map(without_key);
        let file = written.as_ref().ok().map(|file| file.display().to_string());
        feedback.verification_finished(verification.verdict, code, error, file);
    } else if arguments.json {
        output::json(&serde_json::to_string_pretty(&verification).unwrap_or_default());
    } else {
        output::data(&render::verification::text(&verification, output::width()));
    }
    if let Ok(file) = written {
        output::note(&format!("verification: {}", file.display()));
    }
    if let Err(error) = &result {
        output::failure(error);
        if code == exit::INTERRUPTED {
            output::note("the same command goes on where this one stopped");
        }
    }
    code
}

/// An error as `Display` has it, but for the key of a row: events name none.
fn without_key(error: &Error) -> String {
    let context: Vec<String> =
        error.context().filter(|(name, _)| *name != "key").map(|(name, value)| format!("{name}: {value}")).collect();
    let context = if context.is_empty() { String::new() } else { format!(" ({})", context.join(", ")) };
    let remedy = error.remedy().map(|remedy| format!("; {remedy}")).unwrap_or_default();
    format!("{}{context}{remedy}", error.message())
}

/// Writes verify.json where it was asked for.
fn write(file: &Path, verification: &Verification) -> Result<()> {
    files::make_folder_of(file)?;
    files::write_private(file, &files::to_json(verification)?)
}

/// Everything up to the first row: files, keys, both sides' checks, and the folder.
async fn prepare(arguments: &Arguments, config: &MigrateConfig) -> Result<Prepared> {
    let project = &arguments.project;
    let plan: Plan = files::read_current(&project.plan(), "migrate-plan")?;
    let options = RunOptions {
        max_rejects: None,
        fail_fast: false,
        json: arguments.json,
        events: arguments.events,
        quiet: arguments.quiet,
        yes: true,
        write_rate: None,
        access: arguments.access,
    };
    let tool = concat!("migrate-verify ", env!("CARGO_PKG_VERSION"));
    let purpose = Purpose { tool, work: Work::Comparing, dry_run: true, writes: false };
    let sides = Sides::connect(project, &options, config, &plan, purpose)?;
    let (sink, probe) = (Arc::new(sides.convex()?), Arc::new(sides.convex_with_key()?));
    signals::listen(sides.stop.clone());
    signals::until_stopped(&sides.stop, async {
        sides.source.check().await?;
        refuse_drift(project, &plan, &*sides.source).await
    })
    .await?;
    let folder = VerifyFolder::open(project.folder())?;
    let Sides { source, observer, feedback, stop, .. } = sides;
    let mut verifier = Verifier::new(plan.clone(), source, sink, probe, folder.path())
        .tool(tool)
        .level(arguments.level.into())
        .exclusive(arguments.exclusive)
        .show_values(arguments.show_values)
        .differences(arguments.differences)
        .fresh(arguments.fresh)
        .observer(observer)
        .with_stop(stop);
    if let Some(seed) = arguments.seed {
        verifier = verifier.seed(seed);
    }
    if !arguments.tables.is_empty() {
        verifier = verifier.tables(arguments.tables.iter().cloned());
    }
    feedback.verification_started(tool, &plan, arguments.level.into(), verifier.compared()?);
    Ok(Prepared { verifier, folder, feedback })
}
