//! How a run or a replay ends: its report, its rejects and its exit code.

use std::sync::Arc;

use migrate_core::Result;
use migrate_core::plan::Plan;
use migrate_core::report::{Report, ReportBuilder};
use migrate_core::state::StateStore;

use super::fail;
use crate::feedback::Feedback;
use crate::run_folder::{RejectFiles, RunFolder};
use crate::{exit, output, render};

/// What is told and written at the end.
pub(super) struct Ending {
    pub(super) plan: Plan,
    pub(super) builder: Arc<ReportBuilder>,
    pub(super) feedback: Feedback,
    pub(super) state: Arc<dyn StateStore>,
    /// None for a dry run.
    pub(super) folder: Option<RunFolder>,
    /// The report as JSON rather than as a table.
    pub(super) json: bool,
}

impl Ending {
    /// Report, rejects and exit code, however it ended.
    pub(super) async fn finish(&self, result: Result<()>) -> u8 {
        self.feedback.ended();
        let report = self.builder.report(result.as_ref().err());
        let mut code = match &result {
            Ok(()) if report.has_findings() => exit::FINDINGS,
            Ok(()) => exit::OK,
            Err(error) => exit::of_run(error),
        };
        if let Err(lines) = report.check() {
            for line in lines {
                output::error(&format!("the report does not balance: {line}"));
            }
            code = exit::UNEXPECTED;
        }
        let mut written = None;
        if let Some(folder) = &self.folder {
            match self.write_files(folder, &report).await {
                Ok(rejects) => written = Some((folder, rejects)),
                Err(error) => code = fail(&error, exit::of_run(&error)),
            }
        }
        if self.feedback.has_events() {
            let file = written.as_ref().map(|(folder, _)| folder.report().display().to_string());
            self.feedback.finished(&report, code, file);
        } else if self.json {
            output::json(&serde_json::to_string_pretty(&report).unwrap_or_default());
        } else {
            output::data(&render::text(&report, None, output::width()));
        }
        if let Some((folder, rejects)) = written {
            output::note(&format!("report: {}", folder.page().display()));
            if rejects > 0 {
                output::note(&format!("rejects: {}", folder.path().join("rejects").display()));
            }
        }
        if let Err(error) = &result {
            output::failure(error);
            if code == exit::INTERRUPTED {
                output::note("the same command goes on where this run stopped");
            }
        }
        code
    }

    /// Writes the report, its page and all rejects; gives how many rejects those are.
    async fn write_files(&self, folder: &RunFolder, report: &Report) -> Result<u64> {
        folder.write_report(report)?;
        let mut rejects = 0;
        let files = RejectFiles::of(&self.plan);
        for table in &self.plan.tables {
            rejects += folder.write_rejects(&*self.state, &files, &table.source).await?;
        }
        Ok(rejects)
    }
}
