//! One file per verb; here is what they share.

mod assess;
mod discover;
mod doctor;
mod ending;
mod front;
mod help;
mod plan;
mod programs;
mod replay;
mod report;
mod run;
mod schema;
mod sides;
mod snapshot;
mod source;
mod verify;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{ArgAction, Args, Parser};
use migrate_core::names::TableName;
use migrate_core::plan::MigrateConfig;
use migrate_core::{Error, ErrorKind, Result};
use supabase_source::SupabaseSettings;

use crate::environment::Environment;
use crate::files::{self, ConfigFailure};
use crate::output::OutputArguments;
use crate::{exit, log, output};

/// The commands, one binary each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    /// `migrate`
    Front,
    /// `migrate-doctor`
    Doctor,
    /// `migrate-discover`
    Discover,
    /// `migrate-plan`
    Plan,
    /// `migrate-run`
    Run,
    /// `migrate-replay`
    Replay,
    /// `migrate-verify`
    Verify,
    /// `migrate-report`
    Report,
    /// `migrate-schema`
    Schema,
}

/// Runs a command with this process's arguments.
#[must_use]
pub fn main(verb: Verb) -> ExitCode {
    let code = match verb {
        Verb::Front => front::main(),
        Verb::Doctor => with_runtime(doctor::main(doctor::Arguments::parse())),
        Verb::Discover => with_runtime(discover::main(discover::Arguments::parse())),
        Verb::Plan => plan::main(&plan::Arguments::parse()),
        Verb::Run => with_runtime(run::main(run::Arguments::parse())),
        Verb::Replay => with_runtime(replay::main(replay::Arguments::parse())),
        Verb::Verify => with_runtime(verify::main(verify::Arguments::parse())),
        Verb::Report => report::main(&report::Arguments::parse()),
        Verb::Schema => schema::main(&schema::Arguments::parse()),
    };
    ExitCode::from(code)
}

fn with_runtime(command: impl Future<Output = u8>) -> u8 {
    let Ok(runtime) = tokio::runtime::Builder::new_multi_thread().enable_all().build() else {
        output::error("failed to start the program's threads");
        return exit::UNEXPECTED;
    };
    let code = runtime.block_on(command);
    runtime.shutdown_background();
    code
}

/// Where a project's files are, and how the output looks.
#[derive(Debug, Args)]
struct ProjectArguments {
    /// The configuration; catalog.json, plan.json and .migrate/ are beside it
    ///
    /// Without it, migrate.toml in this folder; where that is not there, the defaults.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Log steps on stderr; twice, each request too
    ///
    /// The log names tables, codes, counts and times; it holds no row's value and no secret.
    #[arg(short, long, action = ArgAction::Count, display_order = 99)]
    verbose: u8,
    #[command(flatten)]
    output: OutputArguments,
}

impl ProjectArguments {
    fn folder(&self) -> &Path {
        self.config_path().parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
    }

    fn config_path(&self) -> &Path {
        self.config.as_deref().unwrap_or(Path::new("migrate.toml"))
    }

    fn catalog(&self) -> PathBuf {
        self.folder().join("catalog.json")
    }

    fn plan(&self) -> PathBuf {
        self.folder().join("plan.json")
    }

    /// The configuration and its text; what is wrong is printed, and the exit code returned.
    fn read(&self) -> std::result::Result<(MigrateConfig, String), u8> {
        self.begin();
        self.read_file(self.config.is_some())
    }

    /// As [`ProjectArguments::read`], for a command that may make the file.
    fn read_or_default(&self) -> std::result::Result<(MigrateConfig, String), u8> {
        self.begin();
        self.read_file(false)
    }

    /// Sets how all looks that is printed.
    fn begin(&self) {
        self.output.apply();
        log::start(self.verbose);
    }

    fn read_file(&self, required: bool) -> std::result::Result<(MigrateConfig, String), u8> {
        files::config(self.config_path(), required).map_err(|failure| match failure {
            ConfigFailure::Io(error) => fail(&error, exit::SETUP),
            ConfigFailure::Text(error) => {
                output::error(&error.to_string());
                exit::SETUP
            }
        })
    }
}

/// How both sides may be reached.
#[derive(Debug, Clone, Copy, Args)]
struct AccessOptions {
    /// Accept a Supabase key that may not see every row
    ///
    /// Row-level security hides rows from a publishable or anon key, and nothing tells how many.
    #[arg(long)]
    allow_partial: bool,
    /// Accept plain http to another host than this one
    ///
    /// Keys and rows are sent in the clear: only where the network in between is your own.
    #[arg(long, hide_short_help = true)]
    allow_http: bool,
}

fn fail(error: &Error, code: u8) -> u8 {
    output::failure(error);
    code
}

/// Tells why a command ended before its work began: what it wanted is not done at all. Gives the exit code.
fn not_begun(error: &Error, undone: &str) -> u8 {
    if error.kind() == ErrorKind::Interrupted {
        output::note(&format!("stopped: {undone}"));
        return exit::INTERRUPTED;
    }
    fail(error, exit::of_setup(error))
}

/// How the source is reached that the environment and the configuration name.
fn supabase(environment: &Environment, config: &MigrateConfig, access: AccessOptions) -> Result<SupabaseSettings> {
    let url = environment.supabase_url(config.supabase.url.as_deref())?;
    let mut settings = SupabaseSettings::new(url, environment.supabase_key()?);
    settings.schemas.clone_from(&config.supabase.schemas);
    settings.database_url = environment.database_url();
    settings.allow_partial = access.allow_partial;
    settings.allow_http = access.allow_http;
    settings.expected_tables = expected_tables(config);
    Ok(settings)
}

/// The tables that the configuration names: discovery tells of them even where the source does not list them.
fn expected_tables(config: &MigrateConfig) -> Vec<TableName> {
    let mut expected: Vec<TableName> = config.named_tables().collect();
    expected.sort();
    expected.dedup();
    expected
}
