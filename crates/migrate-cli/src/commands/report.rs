use std::path::PathBuf;

use clap::{Parser, ValueEnum};
use migrate_core::report::Report;

use super::{EXIT_HELP, fail};
use crate::{exit, files, output, render};

/// Shows a run's report.
#[derive(Debug, Parser)]
#[command(name = "migrate-report", version, after_help = EXIT_HELP)]
pub(super) struct Arguments {
    /// The report, such as .migrate/<run>/report.json
    file: PathBuf,
    /// How to show it
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Format {
    /// A table for the terminal
    Text,
    /// A table in Markdown
    Markdown,
    /// The report itself
    Json,
}

pub(super) fn main(arguments: &Arguments) -> u8 {
    let report: Report = match files::read_json(&arguments.file, "migrate-run") {
        Ok(report) => report,
        Err(error) => return fail(&error, exit::SETUP),
    };
    output::data(&match arguments.format {
        Format::Text => render::text(&report, None),
        Format::Markdown => render::markdown(&report),
        Format::Json => serde_json::to_string_pretty(&report).unwrap_or_default(),
    });
    exit::OK
}
