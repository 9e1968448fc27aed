//! What the programs are told by, for shells and manuals: `migrate completions` and `migrate man`.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use clap::{Args, Command, CommandFactory as _};
use clap_complete::Shell;
use migrate_core::{Error, ErrorKind, Result};

use super::{discover, doctor, front, plan, replay, report, run, schema, verify};
use crate::output;

/// `migrate completions`.
#[derive(Debug, Args)]
pub(super) struct CompletionsArguments {
    /// bash, elvish, fish, powershell or zsh
    #[arg(hide_possible_values = true)]
    shell: Shell,
    /// Write a file for each program to this folder, instead of all to stdout
    folder: Option<PathBuf>,
}

/// `migrate man`.
#[derive(Debug, Args)]
pub(super) struct ManArguments {
    /// The folder to write to; made where it is missing
    folder: PathBuf,
}

/// Every program but the front door, by its verb.
pub(super) fn programs() -> Vec<(&'static str, Command)> {
    vec![
        ("doctor", doctor::Arguments::command()),
        ("discover", discover::Arguments::command()),
        ("plan", plan::Arguments::command()),
        ("run", run::Arguments::command()),
        ("replay", replay::Arguments::command()),
        ("verify", verify::Arguments::command()),
        ("report", report::Arguments::command()),
        ("schema", schema::Arguments::command()),
    ]
}

/// All programs, the front door with its verbs' options.
fn all() -> Vec<Command> {
    let own = programs().into_iter().map(|(_, command)| command);
    [front::whole()].into_iter().chain(own).collect()
}

/// Writes completions.
///
/// # Errors
/// `Io`.
pub(super) fn completions(arguments: &CompletionsArguments) -> Result<()> {
    let Some(folder) = &arguments.folder else {
        let mut script = Vec::new();
        for mut command in all() {
            let name = command.get_name().to_owned();
            clap_complete::generate(arguments.shell, &mut command, name, &mut script);
        }
        output::json(String::from_utf8_lossy(&script).trim_end());
        return Ok(());
    };
    make(folder)?;
    for mut command in all() {
        let name = command.get_name().to_owned();
        let written = clap_complete::generate_to(arguments.shell, &mut command, name, folder);
        let path = written.map_err(|error| failed(folder, error))?;
        output::note(&format!("wrote {}", path.display()));
    }
    Ok(())
}

/// Writes a manual page for each program.
///
/// # Errors
/// `Io`.
pub(super) fn manuals(arguments: &ManArguments) -> Result<()> {
    make(&arguments.folder)?;
    for command in all() {
        let path = arguments.folder.join(format!("{}.1", command.get_name()));
        let mut page = Vec::new();
        clap_mangen::Man::new(command).render(&mut page).map_err(|error| failed(&path, error))?;
        let written = fs::File::create(&path).and_then(|mut file| file.write_all(&page));
        written.map_err(|error| failed(&path, error))?;
        output::note(&format!("wrote {}", path.display()));
    }
    Ok(())
}

fn make(folder: &Path) -> Result<()> {
    fs::create_dir_all(folder).map_err(|error| failed(folder, error))
}

fn failed(path: &Path, error: std::io::Error) -> Error {
    Error::new(ErrorKind::Io, "write a file")
        .with_context("file", path.display())
        .with_remedy("check the folder's rights and the disk's free space")
        .with_source(error)
}
