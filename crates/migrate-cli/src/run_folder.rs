//! The folder of one run: state, report and rejects. It holds personal data, so only its owner may look into it.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{BufWriter, Read as _, Write as _};
use std::path::{Path, PathBuf};

use migrate_core::names::TableName;
use migrate_core::plan::Plan;
use migrate_core::reject::{Counted, Reject};
use migrate_core::report::Report;
use migrate_core::state::StateStore;
use migrate_core::verify::Verification;
use migrate_core::{Error, ErrorKind, Result};

use crate::{files, output, render};

const REPORT: &str = "report.json";
const PAGE: &str = "report.html";

/// A run folder that this process holds.
pub(crate) struct RunFolder {
    path: PathBuf,
    _lock: File,
}

fn io_error(action: &str, path: &Path, error: std::io::Error) -> Error {
    Error::new(ErrorKind::Io, action)
        .with_context("folder", path.display())
        .with_remedy("check the folder's owner and rights, and the disk's free space")
        .with_source(error)
}

fn private_folder(path: &Path) -> Result<()> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path).map_err(|error| io_error("make the run folder", path, error))
}

impl RunFolder {
    /// Opens the newest run folder of a project, or makes one; always makes one where `fresh`.
    pub(crate) fn open(project: &Path, fresh: bool) -> Result<Self> {
        let all = all_runs(project)?;
        let newest = if fresh { None } else { newest(&all)? };
        let path = newest.unwrap_or_else(|| all.join(jiff::Timestamp::now().strftime("%Y%m%dT%H%M%S%3fZ").to_string()));
        private_folder(&path)?;
        Self::hold(path)
    }

    /// Opens the newest run folder of a project.
    pub(crate) fn newest(project: &Path) -> Result<Self> {
        Self::hold(Self::latest(project)?.ok_or_else(|| {
            Error::new(ErrorKind::State, "find a run")
                .with_context("folder", project.join(".migrate").display())
                .with_remedy("run: migrate-run")
        })?)
    }

    /// Where the newest run folder of a project is, if it has one. It may be another run's.
    pub(crate) fn latest(project: &Path) -> Result<Option<PathBuf>> {
        let all = project.join(".migrate");
        if all.is_dir() { newest(&all) } else { Ok(None) }
    }

    fn hold(path: PathBuf) -> Result<Self> {
        let lock = lock(&path)?;
        let folder = Self { path, _lock: lock };
        // SQLite gives the files beside it the rights of this one.
        files::private_options()
            .create(true)
            .append(true)
            .open(folder.state())
            .map_err(|error| io_error("open the state for writing", &folder.path, error))?;
        Ok(folder)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.path.join("state.sqlite")
    }

    pub(crate) fn report(&self) -> PathBuf {
        self.path.join(REPORT)
    }

    /// The report as a page.
    pub(crate) fn page(&self) -> PathBuf {
        self.path.join(PAGE)
    }

    /// Writes the report and its page, each whole or not at all. A verification of an earlier state is on the page, which
    /// says that it is one.
    pub(crate) fn write_report(&self, report: &Report) -> Result<()> {
        files::write_private(&self.report(), &files::to_json(report)?)?;
        let verification = files::verification_beside(&self.report());
        files::write_private(&self.page(), &render::html::report(report, verification.as_ref())?)
    }

    /// The file of a table's rejects.
    pub(crate) fn rejects(&self, files: &RejectFiles, table: &TableName) -> PathBuf {
        self.path.join("rejects").join(files.name(table))
    }

    /// Writes the rejects of a table as one JSON line each, whole or not at all; removes the file where there are none.
    pub(crate) async fn write_rejects(
        &self,
        state: &dyn StateStore,
        files: &RejectFiles,
        table: &TableName,
    ) -> Result<u64> {
        const STEP: usize = 500;
        let path = self.rejects(files, table);
        let mut partial = path.clone().into_os_string();
        partial.push(".partial");
        let partial = PathBuf::from(partial);
        let failed = |error| io_error("write the rejects", &path, error);
        let mut after: u64 = 0;
        let mut file: Option<BufWriter<File>> = None;
        loop {
            let rejects = state.rejects(table, after, STEP).await?;
            if rejects.is_empty() {
                break;
            }
            after += u64::try_from(rejects.len()).unwrap_or(u64::MAX);
            if file.is_none() {
                private_folder(&self.path.join("rejects"))?;
                file = Some(BufWriter::new(files::private_file(&partial).map_err(failed)?));
            }
            for reject in rejects {
                let line = serde_json::to_string(&Reject { counted: Counted::default(), ..reject })
                    .map_err(|error| Error::new(ErrorKind::Unexpected, "write a reject").with_source(error))?;
                if let Some(file) = &mut file {
                    writeln!(file, "{line}").map_err(failed)?;
                }
            }
        }
        match file {
            Some(file) => {
                file.into_inner().map_err(|error| failed(error.into_error()))?.sync_all().map_err(failed)?;
                fs::rename(&partial, &path).map_err(failed)?;
            }
            None if path.exists() => fs::remove_file(&path).map_err(failed)?,
            None => {}
        }
        Ok(after)
    }
}

/// Where a verification writes: the folder of the newest run, which no run may have open meanwhile; without a run, the
/// folder of all runs.
pub(crate) struct VerifyFolder {
    path: PathBuf,
    _lock: File,
}

impl VerifyFolder {
    /// Opens the folder, and makes it where there is none.
    pub(crate) fn open(project: &Path) -> Result<Self> {
        let all = all_runs(project)?;
        let path = newest(&all)?.unwrap_or(all);
        Ok(Self { _lock: lock(&path)?, path })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Writes the verification, and the page of the run's report anew: it shows what was verified.
    pub(crate) fn write(&self, verification: &Verification) -> Result<PathBuf> {
        let file = self.path.join(files::VERIFICATION);
        files::write_private(&file, &files::to_json(verification)?)?;
        let report = self.path.join(REPORT);
        if report.exists() {
            match files::report(&report) {
                Ok(report) => {
                    let page = render::html::report(&report, Some(verification))?;
                    files::write_private(&self.path.join(PAGE), &page)?;
                }
                // The verification stands without a run's report.
                Err(error) => output::note(&format!("{PAGE} stays as it is: failed to {error}")),
            }
        }
        Ok(file)
    }
}

/// The folder of all runs, which git ignores.
fn all_runs(project: &Path) -> Result<PathBuf> {
    let all = project.join(".migrate");
    private_folder(&all)?;
    let ignore = all.join(".gitignore");
    if !ignore.exists() {
        fs::write(&ignore, "*\n").map_err(|error| io_error("write .gitignore", &all, error))?;
    }
    Ok(all)
}

/// Names of the reject files of a plan's tables: the table's, with what a file name cannot have in percent escapes.
pub(crate) struct RejectFiles {
    /// Names that differ in nothing but case, which some file systems take for one.
    alike: HashSet<String>,
}

/// Bytes of a file name at most, without its ending; file systems allow 255.
const NAME_BYTES: usize = 180;

impl RejectFiles {
    pub(crate) fn of(plan: &Plan) -> Self {
        Self::new(plan.tables.iter().map(|table| table.source.to_string()))
    }

    fn new(names: impl Iterator<Item = String>) -> Self {
        let (mut seen, mut alike) = (HashSet::new(), HashSet::new());
        for folded in names.map(|name| name.to_lowercase()) {
            if !seen.insert(folded.clone()) {
                alike.insert(folded);
            }
        }
        Self { alike }
    }

    fn name(&self, table: &TableName) -> String {
        let (digest, table) = (table.digest(), table.to_string());
        let is_alike = self.alike.contains(&table.to_lowercase());
        let mut name = String::new();
        for (at, letter) in table.char_indices() {
            let is_safe =
                letter.is_alphanumeric() || matches!(letter, '_' | '-' | '+' | ' ') || (letter == '.' && at > 0);
            if is_safe && !(is_alike && letter.is_uppercase()) {
                name.push(letter);
            } else {
                let mut bytes = [0; 4];
                for byte in letter.encode_utf8(&mut bytes).bytes() {
                    let _ = write!(name, "%{byte:02X}");
                }
            }
        }
        if name.len() > NAME_BYTES {
            let end = (0..=NAME_BYTES).rev().find(|&at| name.is_char_boundary(at)).unwrap_or(0);
            name.truncate(end);
            name.push_str("%~");
            name.push_str(&digest);
        }
        name + ".jsonl"
    }
}

/// The run folder that was made last; names are times, so the greatest name.
fn newest(all: &Path) -> Result<Option<PathBuf>> {
    let entries = fs::read_dir(all).map_err(|error| io_error("list the run folders", all, error))?;
    let folders = entries.filter_map(|entry| entry.ok().map(|entry| entry.path())).filter(|path| path.is_dir());
    Ok(folders.max())
}

/// Keeps a second run out of the folder; the lock goes with the process, however it ends.
fn lock(folder: &Path) -> Result<File> {
    let path = folder.join("lock");
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(&path)
        .map_err(|error| io_error("open the run folder for writing", folder, error))?;
    match file.try_lock() {
        Ok(()) => {
            let written = file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id()));
            written.map_err(|error| io_error("write in the run folder", folder, error))?;
            Ok(file)
        }
        Err(TryLockError::WouldBlock) => {
            let mut holder = String::new();
            let _ = file.read_to_string(&mut holder);
            Err(Error::new(ErrorKind::State, "use a run folder that another run has open")
                .with_context("folder", folder.display())
                .with_context("process", holder.trim())
                .with_remedy("wait for it to end"))
        }
        Err(TryLockError::Error(error)) => Err(io_error("lock the run folder", folder, error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_rejects_never_collide() {
        let long = "x".repeat(200);
        let (one, other) = (format!("{long}1"), format!("{long}2"));
        let tables = [
            "orders",
            "Orders",
            "ORDERS",
            "shop.orders",
            "a/b",
            "a_b",
            "a%2Fb",
            "a\\b",
            "public..x",
            "public.a.b",
            "ö",
            "Ö",
            &one,
            &other,
        ];
        let files = RejectFiles::new(tables.iter().map(|&table| table.to_owned()));
        let names: Vec<String> = tables.iter().map(|table| files.name(&table.parse().unwrap())).collect();
        let folded: HashSet<String> = names.iter().map(|name| name.to_lowercase()).collect();
        assert_eq!(folded.len(), tables.len(), "{names:?}");
        assert!(names.iter().all(|name| name.len() < 255 && !name.contains(['/', '\\']) && !name.starts_with('.')));
        assert_eq!(names[0], "orders.jsonl");
        let alone = RejectFiles::new(std::iter::once("Orders".to_owned()));
        assert_eq!(alone.name(&"Orders".parse().unwrap()), "Orders.jsonl");
    }
}
