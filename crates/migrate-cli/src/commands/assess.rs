//! The assessment of a project, which `migrate-discover` makes where it is asked for.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::{ArgGroup, Args, ValueEnum};
use convex_sink::{CONVEX_RULES, CONVEX_SCALE, ConvexMeasure};
use migrate_core::assess::{Assessment, Prospect, Scan, Scanned};
use migrate_core::catalog::Catalog;
use migrate_core::observe::{Fanout, Observer};
use migrate_core::plan::{ConfigError, MigrateConfig};
use migrate_core::stop::Stop;
use migrate_core::{ErrorKind, Result, Source as _};

use super::{AccessOptions, ProjectArguments, fail, not_begun, source};
use crate::environment::Environment;
use crate::events::EventsFormat;
use crate::feedback::Feedback;
use crate::progress::Work;
use crate::{exit, files, output, render, signals};

const TOOL: &str = concat!("migrate-discover ", env!("CARGO_PKG_VERSION"));
/// Pages of each table that a sample reads.
const SAMPLE_PAGES: usize = 10;

/// What to assess, and where to write it.
#[derive(Debug, Clone, Args)]
pub(super) struct AssessArguments {
    /// Assess the project and write a page of it, by default assessment.html beside migrate.toml
    ///
    /// One file that needs no network, with readiness of each table, decisions, types and losses, what is wrong with
    /// the rows, sizes and times. Reads all rows unless --scan says otherwise.
    #[expect(clippy::option_option, reason = "the option may be there without a file")]
    #[arg(long, value_name = "FILE", num_args = 0..=1)]
    html: Option<Option<PathBuf>>,
    /// Assess the project, reading these rows
    #[arg(long, value_enum, value_name = "ROWS")]
    scan: Option<ScanRows>,
    /// Pages of each table that --scan sample reads, spread over the table
    #[arg(long, value_name = "PAGES", default_value_t = SAMPLE_PAGES, hide_short_help = true,
        value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(1..))]
    sample_pages: usize,
    /// Print what happens as lines of JSON, instead of the assessment; needs --html or --scan
    #[arg(
        long,
        value_enum,
        value_name = "FORMAT",
        conflicts_with = "json",
        requires = "assessment",
        hide_short_help = true
    )]
    events: Option<EventsFormat>,
}

/// What asks for an assessment.
pub(super) fn asking() -> ArgGroup {
    ArgGroup::new("assessment").args(["html", "scan"]).multiple(true)
}

impl AssessArguments {
    pub(super) fn is_asked(&self) -> bool {
        self.html.is_some() || self.scan.is_some()
    }

    fn rows(&self) -> ScanRows {
        self.scan.unwrap_or(ScanRows::Full)
    }
}

/// Which rows to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ScanRows {
    /// All of them: every count is exact
    Full,
    /// Some pages of each table; whether keys are unique is not looked at
    Sample,
    /// None: what the catalog alone tells
    None,
}

/// What is printed beside the files.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shown {
    pub(super) json: bool,
    pub(super) quiet: bool,
}

/// Assesses what `catalog` shows, and gives the exit code.
pub(super) async fn run(
    project: &ProjectArguments,
    arguments: &AssessArguments,
    access: AccessOptions,
    catalog: &Catalog,
    shown: Shown,
) -> u8 {
    // It is read again: `--init` may have made it since.
    let (config, text) = match project.read_or_default() {
        Ok(read) => read,
        Err(code) => return code,
    };
    let prospect = match Prospect::new(&config, catalog, &CONVEX_RULES) {
        Ok(prospect) => prospect,
        Err(issues) => {
            let file = project.config_path().display().to_string();
            for error in ConfigError::from_issues(&file, &text, &issues) {
                output::error(&error.to_string());
            }
            return exit::SETUP;
        }
    };
    let feedback = Feedback::new(
        shown.quiet || arguments.rows() == ScanRows::None,
        arguments.events,
        prospect.plan(),
        Work::Checking,
    );
    let scanned = match scan(project, arguments, access, &config, catalog, &prospect, &feedback).await {
        Ok(scanned) => scanned,
        Err(error) => return not_begun(&error, "nothing was read yet"),
    };
    let (mut code, mut error) = (exit::OK, None);
    if let Some(failure) = scanned.as_ref().and_then(Scanned::failure) {
        error = Some(failure.to_string());
        code = exit::of_run(failure);
        if failure.kind() == ErrorKind::Interrupted {
            output::note("stopped: the assessment has what was read so far");
        } else {
            output::failure(failure);
        }
    }
    let assessment = prospect.assess(TOOL, &config, catalog, scanned, &CONVEX_SCALE);
    let file = match write(project.folder(), arguments, &assessment, shown) {
        Ok(file) => Some(file.display().to_string()),
        Err(failure) => {
            code = fail(&failure, exit::of_setup(&failure));
            None
        }
    };
    feedback.scan_finished(code, error, file);
    code
}

async fn scan(
    project: &ProjectArguments,
    arguments: &AssessArguments,
    access: AccessOptions,
    config: &MigrateConfig,
    catalog: &Catalog,
    prospect: &Prospect,
    feedback: &Feedback,
) -> Result<Option<Scanned>> {
    let (plan, rows) = (prospect.plan(), arguments.rows());
    if rows == ScanRows::None {
        feedback.scan_started(TOOL, plan);
        return Ok(None);
    }
    let environment = Environment::read(project.folder())?;
    feedback.estimate(plan, catalog);
    let observer: Arc<dyn Observer> = Arc::new(Fanout::new(feedback.observers()));
    let stop = Stop::default();
    signals::listen(stop.clone());
    let source = source::bare(&environment, config, Some(plan), access)?;
    let source = source::layered(source, config, plan, observer.clone(), stop.clone());
    let measure = Arc::new(ConvexMeasure::new(&plan.sink));
    let mut scan = Scan::new(plan.clone(), catalog.clone(), source.clone(), measure)
        .observer(observer)
        .with_stop(stop.clone())
        .index_entry_bytes(CONVEX_SCALE.index_entry_bytes);
    if rows == ScanRows::Sample {
        scan = scan.sample(arguments.sample_pages);
    }
    signals::until_stopped(&stop, source.check()).await?;
    feedback.scan_started(TOOL, plan);
    let scanned = scan.run().await;
    feedback.ended();
    scanned.map(Some)
}

fn write(folder: &Path, arguments: &AssessArguments, assessment: &Assessment, shown: Shown) -> Result<PathBuf> {
    let file = folder.join("assessment.json");
    let mut written = vec![file.clone()];
    files::write_json(&file, assessment)?;
    if let Some(page) = &arguments.html {
        let path = page.clone().unwrap_or_else(|| folder.join("assessment.html"));
        files::write(&path, &render::html::assessment::page(assessment)?)?;
        written.push(path);
    }
    if arguments.events.is_some() {
        // stdout is the events'.
    } else if shown.json {
        output::json(&serde_json::to_string_pretty(assessment).unwrap_or_default());
    } else if !shown.quiet {
        output::data(&render::assessment::text(assessment, output::width()));
    }
    if !shown.quiet {
        for path in written {
            output::note(&format!("wrote {}", path.display()));
        }
    }
    Ok(file)
}
