//! Files of a project: read with a clear error, written whole or not at all.

use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::path::Path;

use migrate_core::catalog::{CATALOG_VERSION, Catalog};
use migrate_core::plan::{ConfigError, MigrateConfig, PLAN_VERSION, Plan, read_config};
use migrate_core::report::{REPORT_VERSION, Report};
use migrate_core::verify::{VERIFICATION_VERSION, Verification};
use migrate_core::{Error, ErrorKind, Result};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::output;

fn io_error(action: &str, path: &Path, error: std::io::Error) -> Error {
    Error::new(ErrorKind::Io, action).with_context("file", path.display()).with_source(error)
}

/// The configuration with its text; the defaults where there is no file and `required` is false.
pub(crate) fn config(path: &Path, required: bool) -> Result<(MigrateConfig, String), ConfigFailure> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && !required => {
            return Ok((MigrateConfig::default(), String::new()));
        }
        Err(error) => return Err(ConfigFailure::Io(io_error("read the configuration", path, error))),
    };
    let config =
        read_config(&path.display().to_string(), &text).map_err(|error| ConfigFailure::Text(Box::new(error)))?;
    Ok((config, text))
}

/// Why a configuration cannot be used.
pub(crate) enum ConfigFailure {
    /// The file cannot be read.
    Io(Error),
    /// Its text is wrong.
    Text(Box<ConfigError>),
}

/// A file format with a version in it.
pub(crate) trait Versioned {
    /// The version this program reads and writes.
    const VERSION: u32;
    /// The version of the file.
    fn version(&self) -> u32;
}

impl Versioned for Catalog {
    const VERSION: u32 = CATALOG_VERSION;
    fn version(&self) -> u32 {
        self.version
    }
}

impl Versioned for Plan {
    const VERSION: u32 = PLAN_VERSION;
    fn version(&self) -> u32 {
        self.version
    }
}

impl Versioned for Verification {
    const VERSION: u32 = VERIFICATION_VERSION;
    fn version(&self) -> u32 {
        self.version
    }
}

/// Reads a JSON file that a command before this one wrote, of this program's version.
pub(crate) fn read_current<T: DeserializeOwned + Versioned>(path: &Path, made_by: &str) -> Result<T> {
    let read: T = read_json(path, made_by)?;
    if read.version() == T::VERSION {
        return Ok(read);
    }
    let message = format!("read a file of format {}; this program knows {}", read.version(), T::VERSION);
    Err(Error::new(ErrorKind::Config, message)
        .with_context("file", path.display())
        .with_remedy(format!("make it anew: {made_by}")))
}

/// Reads a JSON file that a command before this one wrote.
pub(crate) fn read_json<T: DeserializeOwned>(path: &Path, made_by: &str) -> Result<T> {
    let text = fs::read_to_string(path)
        .map_err(|error| io_error("read a file", path, error).with_remedy(format!("make it: {made_by}")))?;
    serde_json::from_str(&text).map_err(|error| {
        Error::new(ErrorKind::Config, "read the file's JSON")
            .with_context("file", path.display())
            .with_context("line", error.line())
            .with_remedy(format!("make it anew: {made_by}"))
    })
}

/// A report of this version, or of an earlier one.
pub(crate) fn report(path: &Path) -> Result<Report> {
    let report: Report = read_json(path, "migrate-run")?;
    if report.version <= REPORT_VERSION {
        return Ok(report);
    }
    let message = format!("read a report of format {}; this program knows {REPORT_VERSION}", report.version);
    Err(Error::new(ErrorKind::Config, message)
        .with_context("file", path.display())
        .with_remedy("use the version of the program that wrote it"))
}

/// The name of a verification's file, which belongs to the report beside it.
pub(crate) const VERIFICATION: &str = "verify.json";

/// The verification beside a report. One that cannot be read is told of and left out: the report is whole without.
pub(crate) fn verification_beside(report: &Path) -> Option<Verification> {
    let path = report.with_file_name(VERIFICATION);
    if !path.exists() {
        return None;
    }
    let read = read_current(&path, "migrate-verify");
    read.inspect_err(|error| output::note(&format!("shown without its verification: failed to {error}"))).ok()
}

/// The text of a file, if there is one.
pub(crate) fn read_if_there(path: &Path) -> Result<Option<String>> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(io_error("read the file", path, error)),
    }
}

/// Writes a text file through a temporary one beside it, so that no reader sees half of it.
pub(crate) fn write(path: &Path, text: &str) -> Result<()> {
    make_folder_of(path)?;
    let mut partial = path.as_os_str().to_owned();
    partial.push(".partial");
    let partial = Path::new(&partial);
    fs::write(partial, text).map_err(|error| io_error("write the file", partial, error))?;
    fs::rename(partial, path).map_err(|error| io_error("write the file", path, error))
}

/// Makes the folder of a file, where there is none.
pub(crate) fn make_folder_of(path: &Path) -> Result<()> {
    match path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        Some(folder) => fs::create_dir_all(folder).map_err(|error| io_error("make the folder", folder, error)),
        None => Ok(()),
    }
}

/// Writes a value as indented JSON with a newline at its end.
pub(crate) fn write_json<T: Serialize>(path: &Path, value: &T) -> Result<()> {
    write(path, &to_json(value)?)
}

/// Options for a file that only its owner may open.
pub(crate) fn private_options() -> OpenOptions {
    let mut options = OpenOptions::new();
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

/// A new file that only its owner may open, in place of one that is there: that one's rights would stay as they are.
pub(crate) fn private_file(path: &Path) -> std::io::Result<File> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    private_options().write(true).create_new(true).open(path)
}

/// Writes a text file that only its owner may read, whole or not at all.
pub(crate) fn write_private(path: &Path, text: &str) -> Result<()> {
    let mut partial = path.as_os_str().to_owned();
    partial.push(".partial");
    let partial = Path::new(&partial);
    let written = || {
        let mut file = private_file(partial)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(partial, path)
    };
    written().map_err(|error| {
        io_error("write the file", path, error)
            .with_remedy("check the folder's owner and rights, and the disk's free space")
    })
}

/// A value as indented JSON with a newline at its end.
pub(crate) fn to_json<T: Serialize>(value: &T) -> Result<String> {
    let text = serde_json::to_string_pretty(value)
        .map_err(|error| Error::new(ErrorKind::Unexpected, "write JSON").with_source(error))?;
    Ok(text + "\n")
}

/// Writes a text file where there is none yet; says whether it did.
pub(crate) fn write_new(path: &Path, text: &str) -> Result<bool> {
    match OpenOptions::new().write(true).create_new(true).open(path) {
        Ok(mut file) => {
            file.write_all(text.as_bytes()).map(|()| true).map_err(|error| io_error("write the file", path, error))
        }
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(io_error("write the file", path, error)),
    }
}

/// Writes generated code, unless a file of the user's is there.
pub(crate) fn write_generated(path: &Path, text: &str, marker: &str) -> Result<()> {
    match read_if_there(path)? {
        Some(known) if !known.starts_with(marker) => {
            Err(Error::new(ErrorKind::Config, "overwrite a file that was not generated")
                .with_context("file", path.display())
                .with_remedy("move it away, or choose another convex.module or convex.functions in migrate.toml"))
        }
        _ => write(path, text),
    }
}
