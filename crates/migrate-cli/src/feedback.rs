//! Who is told how a run, an assessment or a verification stands: a person by progress, a program by events, and the log.

use std::sync::Arc;

use migrate_core::catalog::Catalog;
use migrate_core::names::TableName;
use migrate_core::observe::Observer;
use migrate_core::plan::Plan;
use migrate_core::report::Report;
use migrate_core::verify::{Level, Verdict};

use crate::events::{EventWriter, EventsFormat, RunEvent};
use crate::log::EventLog;
use crate::progress::{Progress, Work};

/// All who are told.
#[derive(Debug, Clone)]
pub(crate) struct Feedback {
    progress: Option<Arc<Progress>>,
    events: Option<Arc<EventWriter>>,
}

impl Feedback {
    /// Progress unless `quiet`, and events where they are asked for. Must be called within a runtime.
    pub(crate) fn new(quiet: bool, events: Option<EventsFormat>, plan: &Plan, work: Work) -> Self {
        let events = events.map(|EventsFormat::Ndjson| Arc::new(EventWriter::start()));
        Self { progress: Progress::new(quiet, plan, work).map(Arc::new), events }
    }

    /// As observers of the run.
    pub(crate) fn observers(&self) -> Vec<Arc<dyn Observer>> {
        let progress = self.progress.clone().map(|progress| progress as Arc<dyn Observer>);
        let events = self.events.clone().map(|events| events as Arc<dyn Observer>);
        progress.into_iter().chain(events).chain([Arc::new(EventLog) as Arc<dyn Observer>]).collect()
    }

    /// Tells that the run begins.
    pub(crate) fn started(&self, tool: &str, plan: &Plan, dry_run: bool) {
        if let Some(events) = &self.events {
            events.write(RunEvent::RunStarted {
                tool: tool.to_owned(),
                plan_fingerprint: plan.fingerprint.clone(),
                dry_run,
                tables: plan.tables.iter().map(|table| table.source.clone()).collect(),
            });
        }
    }

    /// Tells that the rows of an assessment are about to be read.
    pub(crate) fn scan_started(&self, tool: &str, plan: &Plan) {
        if let Some(events) = &self.events {
            let tables = plan.tables.iter().filter(|table| table.part_of.is_none());
            let tables = tables.map(|table| table.source.clone()).collect();
            events.write(RunEvent::ScanStarted { tool: tool.to_owned(), tables });
        }
    }

    /// Tells the end of an assessment to programs, and waits until they could read it.
    pub(crate) fn scan_finished(&self, exit_code: u8, error: Option<String>, assessment: Option<String>) {
        if let Some(events) = &self.events {
            events.finish(RunEvent::ScanFinished { exit_code, error, assessment });
        }
    }

    /// Tells that both sides are about to be read and compared, of these tables.
    pub(crate) fn verification_started(&self, tool: &str, plan: &Plan, level: Level, tables: Vec<TableName>) {
        if let Some(progress) = &self.progress {
            progress.select(|table| tables.contains(table));
        }
        if let Some(events) = &self.events {
            let (tool, plan_fingerprint) = (tool.to_owned(), plan.fingerprint.clone());
            events.write(RunEvent::VerificationStarted { tool, plan_fingerprint, level, tables });
        }
    }

    /// Tells the end of a verification to programs, and waits until they could read it.
    pub(crate) fn verification_finished(
        &self,
        verdict: Verdict,
        exit_code: u8,
        error: Option<String>,
        verification: Option<String>,
    ) {
        if let Some(events) = &self.events {
            events.finish(RunEvent::VerificationFinished { verdict, exit_code, error, verification });
        }
    }

    /// Says how large tables are that have not begun, by the catalog.
    pub(crate) fn estimate(&self, plan: &Plan, catalog: &Catalog) {
        let Some(progress) = &self.progress else { return };
        progress.estimate(|table| {
            let read_from = plan.tables.iter().find(|planned| planned.source == *table)?.read_from();
            catalog.tables.iter().find(|known| known.name == *read_from)?.rows
        });
    }

    /// Says which tables have a turn: those of a selection, with what is split off of them.
    pub(crate) fn select(&self, plan: &Plan, selected: &[TableName]) {
        let Some(progress) = &self.progress else { return };
        let parts = plan.tables.iter().filter(|table| selected.contains(table.read_from()));
        let parts: Vec<&TableName> = parts.map(|table| &table.source).collect();
        progress.select(|table| selected.contains(table) || parts.contains(&table));
    }

    /// Tells of a step beside the tables, with how much of it is done.
    pub(crate) fn activity(&self, what: &str, part: Option<(u64, u64)>) {
        if let Some(progress) = &self.progress {
            progress.activity(what, part);
        }
        if let Some(events) = self.events.as_ref().filter(|_| !what.is_empty()) {
            let (done, all) = part.unzip();
            events.write(RunEvent::Activity { what: what.to_owned(), done, all });
        }
    }

    /// Does what a person at the terminal answers, without lines that are drawn meanwhile.
    pub(crate) fn aside<T>(&self, ask: impl FnOnce() -> T) -> T {
        match &self.progress {
            Some(progress) => progress.aside(ask),
            None => ask(),
        }
    }

    /// Takes progress away: what follows is the report.
    pub(crate) fn ended(&self) {
        if let Some(progress) = &self.progress {
            progress.finish();
        }
    }

    /// True where stdout belongs to the events.
    pub(crate) fn has_events(&self) -> bool {
        self.events.is_some()
    }

    /// Tells the end to programs, and waits until they could read it.
    pub(crate) fn finished(&self, report: &Report, exit_code: u8, file: Option<String>) {
        if let Some(events) = &self.events {
            events.finish(RunEvent::finished(report, exit_code, file));
        }
    }
}
