use std::path::{Path, PathBuf};

use clap::{Args, Parser, Subcommand, ValueEnum};
use migrate_core::report::{Report, ReportDiff};
use migrate_core::{Error, ErrorKind, Result};
use serde::Serialize;

use super::{fail, help};
use crate::output::OutputArguments;
use crate::{VERSION, exit, files, output, render};

const EXAMPLES: &[(&str, &str)] = &[
    ("migrate-report .migrate/20260101T120000000Z/report.json", ""),
    ("migrate-report report.json --format html > report.html", ""),
    ("migrate-report report.json --format markdown > summary.md", ""),
    ("migrate-report report.json --format json | jq .totals", ""),
    ("migrate-report diff monday/report.json tuesday/report.json", "what changed"),
];

/// Shows the report of a run, or what changed between two
///
/// migrate-run writes it to .migrate/<run>/report.json, and as a page to report.html beside it; the run is named by the
/// time it began. What migrate-verify found is shown with it, from the verify.json beside it. The exit code says whether the report could be shown, not what is in it.
#[derive(Debug, Parser)]
#[command(name = "migrate-report", version = VERSION, max_term_width = 100)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
#[command(disable_help_subcommand = true)]
#[command(after_long_help = help::after(EXAMPLES, help::SIMPLE))]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    /// The report, such as .migrate/<run>/report.json
    #[arg(required = true)]
    file: Option<PathBuf>,
    #[command(flatten)]
    look: Look,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Shows what changed from one run to another
    ///
    /// Totals, tables, rejected rows by cause, lossy edits and times.
    Diff {
        /// The report of the first run
        before: PathBuf,
        /// The report of the other
        after: PathBuf,
        #[command(flatten)]
        look: Look,
    },
}

#[derive(Debug, Clone, Copy, Args)]
struct Look {
    /// How to show it
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    #[command(flatten)]
    output: OutputArguments,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Format {
    /// Tables and notes, fitted to the terminal
    Text,
    /// The same in Markdown, with nothing left out
    Markdown,
    /// A page in one file, which loads nothing from the network
    Html,
    /// The data itself
    Json,
}

pub(super) fn main(arguments: &Arguments) -> u8 {
    let (look, shown) = match (&arguments.command, &arguments.file) {
        (Some(Command::Diff { before, after, look }), _) => {
            look.output.apply();
            let both = files::report(before).and_then(|before| Ok((before, files::report(after)?)));
            (look, both.and_then(|(before, after)| show_diff(&ReportDiff::of(&before, &after), look.format)))
        }
        (None, Some(file)) => {
            arguments.look.output.apply();
            (&arguments.look, files::report(file).and_then(|report| show(&report, file, arguments.look.format)))
        }
        (None, None) => return exit::USAGE,
    };
    match shown {
        // Both are data for programs; a page ends with its own line's end.
        Ok(text) if matches!(look.format, Format::Html | Format::Json) => output::json(text.trim_end()),
        Ok(text) => output::data(&text),
        Err(error) => return fail(&error, exit::of_setup(&error)),
    }
    exit::OK
}

/// The report with the verification beside its file; as JSON it is that file alone.
fn show(report: &Report, file: &Path, format: Format) -> Result<String> {
    let verification = || files::verification_beside(file);
    match format {
        Format::Text => {
            let shown = [render::text(report, verification().as_ref(), output::width())]
                .into_iter()
                .chain(render::failure(report));
            Ok(shown.collect::<Vec<_>>().join("\n"))
        }
        Format::Markdown => Ok(render::markdown(report, verification().as_ref())),
        Format::Html => render::html::report(report, verification().as_ref()),
        Format::Json => json(report),
    }
}

fn show_diff(diff: &ReportDiff, format: Format) -> Result<String> {
    match format {
        Format::Text => Ok(render::diff::text(diff)),
        Format::Markdown => Ok(render::diff::markdown(diff)),
        Format::Html => render::html::diff(diff),
        Format::Json => json(diff),
    }
}

fn json(value: &impl Serialize) -> Result<String> {
    serde_json::to_string_pretty(value)
        .map_err(|error| Error::new(ErrorKind::Unexpected, "write JSON").with_source(error))
}
