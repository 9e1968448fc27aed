use std::path::PathBuf;

use clap::{Parser, ValueEnum};
use migrate_core::report::Report;

use super::{fail, help};
use crate::output::OutputArguments;
use crate::{VERSION, exit, files, output, render};

const EXAMPLES: &[(&str, &str)] = &[
    ("migrate-report .migrate/20260101T120000000Z/report.json", ""),
    ("migrate-report report.json --format markdown > summary.md", ""),
    ("migrate-report report.json --format json | jq .totals", ""),
];

/// Shows the report of a run
///
/// migrate-run writes it to .migrate/<run>/report.json; the run is named by the time it began. The exit code says
/// whether the report could be shown, not what is in it.
#[derive(Debug, Parser)]
#[command(name = "migrate-report", version = VERSION, max_term_width = 100)]
#[command(after_long_help = help::after(EXAMPLES, help::SIMPLE))]
pub(super) struct Arguments {
    /// The report, such as .migrate/<run>/report.json
    file: PathBuf,
    /// How to show it
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    #[command(flatten)]
    output: OutputArguments,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Format {
    /// A table and notes, fitted to the terminal
    Text,
    /// The same in Markdown, with nothing left out
    Markdown,
    /// The report itself
    Json,
}

pub(super) fn main(arguments: &Arguments) -> u8 {
    arguments.output.apply();
    let report: Report = match files::read_json(&arguments.file, "migrate-run") {
        Ok(report) => report,
        Err(error) => return fail(&error, exit::SETUP),
    };
    match arguments.format {
        Format::Text => {
            let shown = [render::text(&report, output::width())].into_iter().chain(render::failure(&report));
            output::data(&shown.collect::<Vec<_>>().join("\n"));
        }
        Format::Markdown => output::data(&render::markdown(&report)),
        Format::Json => output::json(&serde_json::to_string_pretty(&report).unwrap_or_default()),
    }
    exit::OK
}
