//! What `migrate-run` does where `convex.write = "snapshot"`: an archive of all documents, and its import.

use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::{Args, ValueEnum};
use convex_sink::{Archive, Encoding, Import, ImportMode, ImportNews, SnapshotSink, TableNumbers};
use migrate_core::layer::RetryPolicy;
use migrate_core::names::TableName;
use migrate_core::pipeline::Pipeline;
use migrate_core::plan::{Plan, WriteMethod};
use migrate_core::report::{ImportReport, ReportBuilder, SnapshotReport};
use migrate_core::{Error, ErrorKind, Result, Sink};
use tempfile::TempDir;

use super::sides::Sides;
use crate::feedback::Feedback;
use crate::{confirm, output};

/// The file in which an import is remembered until it is finished.
const IMPORT_FILE: &str = "import.json";
/// The snapshot's folder in a run's.
const FOLDER: &str = "snapshot";

/// Choices for a snapshot.
#[derive(Debug, Args)]
pub(super) struct SnapshotArguments {
    /// Snapshot: write the archive there, import nothing
    ///
    /// For convex.write = "snapshot" in migrate.toml. `npx convex import FILE` imports it. The tables' numbers, which
    /// the documents' ids are made of, are read from the deployment; without CONVEX_URL and its key, they are those of a
    /// new deployment, in which no table was ever made.
    #[expect(clippy::doc_markdown, reason = "the text is shown as help")]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Snapshot: what becomes of documents that are there
    ///
    /// For convex.write = "snapshot" in migrate.toml. `require-empty`, the default, refuses to begin where a table has
    /// any. `replace` drops them in the moment in which the new ones are there. `append` keeps them; it is not all or
    /// nothing.
    #[arg(long, value_enum, value_name = "MODE", hide_possible_values = true, hide_short_help = true)]
    import_mode: Option<Mode>,
    /// With --out: the tables' numbers, where no deployment can be asked
    #[arg(long, value_delimiter = ',', value_name = "TABLE=N,…", requires = "out", value_parser = table_number)]
    #[arg(hide_short_help = true)]
    table_numbers: Vec<(String, u32)>,
}

impl SnapshotArguments {
    /// True where nothing is written but a file.
    pub(super) fn only_writes_a_file(&self) -> bool {
        self.out.is_some()
    }

    /// Refuses choices for a snapshot where documents go by mutations.
    ///
    /// # Errors
    /// `Config`.
    pub(super) fn check(&self, plan: &Plan) -> Result<()> {
        if plan.sink.write == WriteMethod::Snapshot || (self.out.is_none() && self.import_mode.is_none()) {
            return Ok(());
        }
        Err(Error::new(ErrorKind::Config, "use --out or --import-mode: the plan writes by mutations")
            .with_remedy("set convex.write = \"snapshot\" in migrate.toml, then run: migrate-plan"))
    }
}

/// What becomes of documents that are there.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Mode {
    RequireEmpty,
    Replace,
    Append,
}

impl From<Mode> for ImportMode {
    fn from(mode: Mode) -> Self {
        match mode {
            Mode::RequireEmpty => Self::RequireEmpty,
            Mode::Replace => Self::Replace,
            Mode::Append => Self::Append,
        }
    }
}

fn table_number(text: &str) -> std::result::Result<(String, u32), String> {
    let (table, number) = text.split_once('=').ok_or("write TABLE=NUMBER")?;
    let number = number.trim().parse().map_err(|_| format!("{number:?} is no number"))?;
    Ok((table.trim().to_owned(), number))
}

/// A snapshot on its way.
pub(super) struct Snapshot {
    import: Option<Import>,
    lookups: Option<Arc<dyn Sink>>,
    numbers: Option<TableNumbers>,
    out: Option<PathBuf>,
    mode: ImportMode,
    yes: bool,
    quiet: bool,
    dry_run: bool,
    feedback: Feedback,
    open: Option<Open>,
}

/// A snapshot's folder. That of a dry run goes with it.
struct Open {
    sink: Arc<SnapshotSink>,
    folder: PathBuf,
    _temporary: Option<TempDir>,
}

/// What else `migrate-run` was asked.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    pub(super) yes: bool,
    pub(super) quiet: bool,
    pub(super) dry_run: bool,
    pub(super) feedback: Feedback,
    /// The selected tables; all where there is none.
    pub(super) tables: Vec<TableName>,
    /// The run folder that it goes on in, if there is one.
    pub(super) goes_on_in: Option<PathBuf>,
}

impl Snapshot {
    /// Reads the tables' numbers, where a deployment can be asked, and refuses tables that are not empty and must be.
    /// Writes nothing.
    ///
    /// # Errors
    /// `Config` for choices that need another terminal or a deployment, and for tables that hold documents; those of the
    /// deployment's check.
    pub(super) async fn prepare(
        arguments: &SnapshotArguments,
        asked: Asked,
        plan: &Plan,
        sides: &Sides<'_>,
    ) -> Result<Self> {
        let Asked { yes, quiet, dry_run, feedback, tables, goes_on_in } = asked;
        let mode: ImportMode = arguments.import_mode.unwrap_or(Mode::RequireEmpty).into();
        let mut snapshot = Self {
            import: None,
            lookups: None,
            numbers: None,
            out: arguments.out.clone(),
            mode,
            yes,
            quiet,
            dry_run,
            feedback,
            open: None,
        };
        let imports = !dry_run && arguments.out.is_none();
        if imports && mode != ImportMode::RequireEmpty && !yes && !std::io::stdin().is_terminal() {
            return Err(Error::new(ErrorKind::Unconfirmed, "import over or beside documents without being told to")
                .with_remedy("add --yes"));
        }
        let settings = match sides.convex_settings() {
            Ok(settings) => Some(settings),
            Err(error) if arguments.out.is_none() || !plan.adopted.is_empty() => return Err(error),
            Err(_) => None,
        };
        if let Some(settings) = settings {
            let import = Import::new(&settings, mode)?
                .retry(RetryPolicy::default(), sides.observer.clone())
                .stop(sides.stop.clone());
            import.check().await?;
            if arguments.table_numbers.is_empty() {
                snapshot.numbers = Some(import.table_numbers().await?);
            }
            snapshot.import = Some(import);
            if !plan.adopted.is_empty() {
                snapshot.lookups = Some(Arc::new(sides.convex()?));
            }
        }
        if !arguments.table_numbers.is_empty() {
            snapshot.numbers = Some(TableNumbers::new(arguments.table_numbers.clone()));
        }
        // What cannot be begun is refused before a run folder is made.
        let numbers = snapshot.numbers_for(plan, None)?;
        numbers.of(SnapshotSink::tables(plan))?;
        snapshot.refuse_documents(plan, &tables, goes_on_in.as_deref()).await?;
        snapshot.open_temporary(plan)?;
        Ok(snapshot)
    }

    /// Refuses what the import would refuse once all is read and uploaded; a dry run says so and goes on. Where an import of
    /// all these tables is begun already, the documents may be its own.
    async fn refuse_documents(&self, plan: &Plan, selected: &[TableName], run: Option<&Path>) -> Result<()> {
        let Some(import) = self.import.as_ref().filter(|_| self.out.is_none()) else { return Ok(()) };
        let left_out = plan.tables.iter().filter(|table| !selected.is_empty() && !selected.contains(table.read_from()));
        let left_out: Vec<&str> = left_out.map(|table| table.sink.name()).collect();
        let tables: Vec<&str> = SnapshotSink::tables(plan).filter(|table| !left_out.contains(table)).collect();
        let begun = run.map(|run| run.join(FOLDER)).filter(|folder| folder.join(IMPORT_FILE).exists());
        let begun = begun.map(|folder| SnapshotSink::last_archive(&folder)).transpose()?.flatten();
        if begun.is_some_and(|archive| tables.iter().all(|&table| archive.documents.contains_key(table))) {
            return Ok(());
        }
        match import.require_empty(tables).await {
            Err(error) if self.dry_run && error.kind() == ErrorKind::Config => {
                let remedy = error.remedy().unwrap_or_default();
                self.note(&format!("a run would be refused: failed to {error}; {remedy}"));
                Ok(())
            }
            checked => checked,
        }
    }

    fn numbers_for(&self, plan: &Plan, folder: Option<&Path>) -> Result<TableNumbers> {
        if let Some(numbers) = &self.numbers {
            return Ok(numbers.clone());
        }
        let begun = folder.map(SnapshotSink::begun_numbers).transpose()?.flatten();
        Ok(begun.unwrap_or_else(|| TableNumbers::of_new_deployment(SnapshotSink::tables(plan))))
    }

    fn open_temporary(&mut self, plan: &Plan) -> Result<()> {
        let failed = |error| Error::new(ErrorKind::Io, "make a temporary folder").with_source(error);
        let temporary = tempfile::tempdir().map_err(failed)?;
        let folder = temporary.path().join(FOLDER);
        self.open_at(plan, folder, Some(temporary))
    }

    /// Opens the snapshot in a run folder.
    pub(super) fn open(&mut self, plan: &Plan, run_folder: &Path) -> Result<()> {
        self.open_at(plan, run_folder.join(FOLDER), None)
    }

    fn open_at(&mut self, plan: &Plan, folder: PathBuf, temporary: Option<TempDir>) -> Result<()> {
        let numbers = self.numbers_for(plan, Some(&folder))?;
        let sink = Arc::new(SnapshotSink::open(plan, &numbers, &folder, self.lookups.clone())?);
        self.open = Some(Open { sink, folder, _temporary: temporary });
        Ok(())
    }

    /// The sink, which computes ids, too.
    pub(super) fn sink(&self) -> Result<Arc<SnapshotSink>> {
        Ok(self.opened()?.sink.clone())
    }

    fn opened(&self) -> Result<&Open> {
        self.open.as_ref().ok_or_else(|| Error::new(ErrorKind::Unexpected, "open the snapshot's folder"))
    }

    /// Reads the tables into the archive, unless it is finished, and imports it or puts it where it was asked for.
    pub(super) async fn run(
        mut self,
        pipeline: &Pipeline,
        selected: &[TableName],
        report: &ReportBuilder,
    ) -> Result<()> {
        let done = pipeline.done_tables().await?;
        let is_read = |tables: &[TableName]| !done.is_empty() && tables.iter().all(|table| done.contains(table));
        let sink = self.sink()?;
        let planned = pipeline.planned_tables();
        let wanted = if selected.is_empty() { &planned } else { selected };
        let finished = if is_read(wanted) { sink.finished_archive(&done)? } else { None };
        let (path, archive) = if let Some(finished) = finished {
            self.note("the archive is finished: nothing is read again");
            pipeline.recall().await?;
            finished
        } else {
            pipeline.run().await?;
            if self.dry_run {
                return Ok(());
            }
            check_written(&sink, report)?;
            self.feedback.activity("writing the archive", None);
            sink.finish_archive(&pipeline.done_tables().await?, Encoding::default()).await?
        };
        report.snapshot(shown(&path, &archive));
        match (self.out.take(), self.import.take()) {
            (Some(out), _) => self.put(&path, &out, &archive, report),
            (None, Some(import)) => {
                let tables = pipeline.done_tables().await?;
                self.import(import, &tables, path, archive, report).await
            }
            (None, None) => Err(Error::new(ErrorKind::Config, "import a snapshot without a deployment")),
        }
    }

    fn put(&self, path: &Path, out: &Path, archive: &Archive, report: &ReportBuilder) -> Result<()> {
        let failed = |error: std::io::Error| {
            Error::new(ErrorKind::Io, "write the archive")
                .with_context("file", out.display())
                .with_remedy("check the folder's rights and the disk's free space")
                .with_source(error)
        };
        let mut partial = out.as_os_str().to_owned();
        partial.push(".partial");
        std::fs::copy(path, &partial).and_then(|_| std::fs::rename(&partial, out)).map_err(failed)?;
        report.snapshot(shown(out, archive));
        self.note(&format!("archive: {}; import it: npx convex import {}", out.display(), out.display()));
        Ok(())
    }

    async fn import(
        &self,
        import: Import,
        tables: &[TableName],
        mut path: PathBuf,
        mut archive: Archive,
        report: &ReportBuilder,
    ) -> Result<()> {
        let Open { sink, folder, .. } = self.opened()?;
        let record = folder.join(IMPORT_FILE);
        let news = |news: ImportNews| self.tell(&news);
        let numbers = sink.numbers().of(archive.documents.keys().map(String::as_str))?;
        let confirm = |summary: &str, is_required: bool| self.confirm(summary, is_required);
        let mut imported = import.run(&path, &archive.sha256, &numbers, &record, confirm, news).await;
        if imported.as_ref().is_err_and(Import::wants_older_encoding) && archive.encoding == Encoding::Uniform {
            self.note("the deployment is an older one: writing the archive in the older encoding");
            check_written(sink, report)?;
            (path, archive) = sink.finish_archive(tables, Encoding::Shape).await?;
            report.snapshot(shown(&path, &archive));
            imported = import.run(&path, &archive.sha256, &numbers, &record, confirm, news).await;
        }
        let outcome = imported?;
        self.feedback.activity("", None);
        let mode = match self.mode {
            ImportMode::RequireEmpty => "require_empty",
            ImportMode::Replace => "replace",
            ImportMode::Append => "append",
        };
        self.note(&format!("imported: {} documents", outcome.documents.unwrap_or_else(|| total(&archive))));
        let done = ImportReport { id: outcome.id, mode: mode.to_owned(), documents: outcome.documents };
        report.snapshot(SnapshotReport { import: Some(done), ..shown(&path, &archive) });
        if let Err(error) = sink.remove_chunks(&archive) {
            self.note(&format!("the import is done; what it was made of is left: failed to {error}"));
        }
        Ok(())
    }

    /// Shows what the deployment says it will do. Where documents are there or would go, a word is typed.
    fn confirm(&self, summary: &str, is_required: bool) -> bool {
        if self.yes || (!is_required && self.mode == ImportMode::RequireEmpty) {
            self.note(summary);
            return true;
        }
        output::note(summary);
        let word = if self.mode == ImportMode::Append { "append" } else { "replace" };
        self.feedback.aside(|| confirm::is_typed("", word))
    }

    fn note(&self, text: &str) {
        if !self.quiet && !text.is_empty() {
            output::note(text);
        }
    }

    fn tell(&self, news: &ImportNews) {
        match news {
            ImportNews::WaitingForOther => self.feedback.activity("waiting for another import to end", None),
            ImportNews::Uploading { sent, total } => self.feedback.activity("uploading", Some((*sent, *total))),
            ImportNews::Reading => self.feedback.activity("the deployment reads the archive", None),
            ImportNews::Writing { message } => self.feedback.activity(message, None),
            _ => {}
        }
    }
}

/// Refuses a snapshot that lacks what the state says was written: after a power cut, one may be behind the other, and after
/// an import, what the archive was made of is gone.
fn check_written(sink: &SnapshotSink, report: &ReportBuilder) -> Result<()> {
    for table in report.report(None).tables.values() {
        let written = sink.written(&table.table);
        if written < table.migrated {
            return Err(Error::new(ErrorKind::State, "find all documents that were written before")
                .with_context("table", &table.table)
                .with_context("written", written)
                .with_context("committed", table.migrated)
                .with_remedy("begin anew: --fresh"));
        }
    }
    Ok(())
}

fn total(archive: &Archive) -> u64 {
    archive.documents.values().sum()
}

fn shown(path: &Path, archive: &Archive) -> SnapshotReport {
    let encoding = match archive.encoding {
        Encoding::Uniform => "uniform",
        Encoding::Shape => "shape",
    };
    SnapshotReport {
        file: path.display().to_string(),
        bytes: archive.bytes,
        sha256: archive.sha256.clone(),
        encoding: encoding.to_owned(),
        documents: total(archive),
        import: None,
    }
}
