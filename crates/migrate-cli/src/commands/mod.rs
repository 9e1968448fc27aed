//! One file per verb; here is what they share.

mod discover;
mod front;
mod help;
mod plan;
mod report;
mod run;
mod schema;
mod snapshot;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Parser};
use migrate_core::names::TableName;
use migrate_core::plan::MigrateConfig;
use migrate_core::{Error, Result};
use supabase_source::SupabaseSettings;

use crate::environment::Environment;
use crate::files::{self, ConfigFailure};
use crate::output::OutputArguments;
use crate::{exit, output};

/// The commands, one binary each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    /// `migrate`
    Front,
    /// `migrate-discover`
    Discover,
    /// `migrate-plan`
    Plan,
    /// `migrate-run`
    Run,
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
        Verb::Discover => with_runtime(discover::main(discover::Arguments::parse())),
        Verb::Plan => plan::main(&plan::Arguments::parse()),
        Verb::Run => with_runtime(run::main(run::Arguments::parse())),
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
        self.output.apply();
        self.read_file(self.config.is_some())
    }

    /// As [`ProjectArguments::read`], for a command that may make the file.
    fn read_or_default(&self) -> std::result::Result<(MigrateConfig, String), u8> {
        self.output.apply();
        self.read_file(false)
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

fn fail(error: &Error, code: u8) -> u8 {
    output::failure(error);
    code
}

/// How the source is reached that the environment and the configuration name.
fn supabase(environment: &Environment, config: &MigrateConfig, allow_partial: bool) -> Result<SupabaseSettings> {
    let url = environment.supabase_url(config.supabase.url.as_deref())?;
    let mut settings = SupabaseSettings::new(url, environment.supabase_key()?);
    settings.schemas.clone_from(&config.supabase.schemas);
    settings.database_url = environment.database_url();
    settings.allow_partial = allow_partial;
    let mut expected: Vec<TableName> = config.named_tables().collect();
    expected.sort();
    expected.dedup();
    settings.expected_tables = expected;
    Ok(settings)
}
