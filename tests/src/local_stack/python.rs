//! Python packages, each set in a virtual environment of its own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::account::find_program;
use super::error::{Context, Error, Result};
use super::installed::once;

/// Installs what a requirements file pins, unless that was done before, and gives the virtual environment's folder.
///
/// # Errors
/// There is no Python 3 with `venv`, or pip failed; the message has its last output.
pub(crate) fn ensure_python_packages(requirements: &str) -> Result<PathBuf> {
    once("python", requirements, |folder| install(requirements, folder))
}

fn install(requirements: &str, folder: &Path) -> Result<()> {
    let python = find_program("python3").ok_or_else(|| Error::new("found no `python3` in PATH: install Python 3"))?;
    run(Command::new(python).args(["-m", "venv"]).arg(folder))?;
    let file = folder.join("requirements.txt");
    fs::write(&file, requirements).context(format_args!("write {}", file.display()))?;
    let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--only-binary", ":all:", "-r"];
    run(Command::new(folder.join("bin/python")).args(pip).arg(file))
}

fn run(command: &mut Command) -> Result<()> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.output().context(format_args!("run {name}"))?;
    if output.status.success() {
        return Ok(());
    }
    let text = [output.stdout, output.stderr].concat();
    Err(Error::new(format!(
        "{name} ended with {}. It printed:\n{}",
        output.status,
        String::from_utf8_lossy(&text).trim()
    )))
}
