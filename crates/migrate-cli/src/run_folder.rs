//! The folder of one run: state, report and rejects. It holds personal data, so only its owner may look into it.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};

use migrate_core::names::TableName;
use migrate_core::state::StateStore;
use migrate_core::{Error, ErrorKind, Result};

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
        let all = project.join(".migrate");
        private_folder(&all)?;
        let ignore = all.join(".gitignore");
        if !ignore.exists() {
            fs::write(&ignore, "*\n").map_err(|error| io_error("write .gitignore", &all, error))?;
        }
        let newest = if fresh { None } else { newest(&all)? };
        let path = newest.unwrap_or_else(|| all.join(jiff::Timestamp::now().strftime("%Y%m%dT%H%M%S%3fZ").to_string()));
        private_folder(&path)?;
        let lock = lock(&path)?;
        let folder = Self { path, _lock: lock };
        // SQLite gives the files beside it the rights of this one.
        private_options()
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
        self.path.join("report.json")
    }

    /// Writes the rejects of a table as one JSON line each; removes the file where there are none.
    pub(crate) async fn write_rejects(&self, state: &dyn StateStore, table: &TableName) -> Result<u64> {
        const STEP: usize = 500;
        let folder = self.path.join("rejects");
        let path = folder.join(format!("{}.jsonl", table.to_string().replace(['/', '\\'], "_")));
        let mut after: u64 = 0;
        let mut file: Option<File> = None;
        loop {
            let rejects = state.rejects(table, after, STEP).await?;
            if rejects.is_empty() {
                break;
            }
            after += u64::try_from(rejects.len()).unwrap_or(u64::MAX);
            if file.is_none() {
                private_folder(&folder)?;
                file = Some(private_file(&path)?);
            }
            for reject in &rejects {
                let line = serde_json::to_string(reject)
                    .map_err(|error| Error::new(ErrorKind::Unexpected, "write a reject").with_source(error))?;
                if let Some(file) = &mut file {
                    writeln!(file, "{line}").map_err(|error| io_error("write the rejects", &path, error))?;
                }
            }
        }
        if after == 0 && path.exists() {
            fs::remove_file(&path).map_err(|error| io_error("remove old rejects", &path, error))?;
        }
        Ok(after)
    }
}

/// Options for a file that only its owner may open.
fn private_options() -> OpenOptions {
    let mut options = OpenOptions::new();
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

fn private_file(path: &Path) -> Result<File> {
    private_options()
        .write(true)
        .create(true)
        .truncate(true)
        .open(path)
        .map_err(|error| io_error("write the rejects", path, error))
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
