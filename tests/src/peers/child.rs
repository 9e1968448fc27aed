//! What this program does when it measures itself: started anew, so that what it takes is its own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use clap::Subcommand;

use super::{floors, null_sink};
use crate::local_stack::{Error, Result};
use crate::measured::{Measured, run_logged};

/// What this program was started for.
#[derive(Debug, Subcommand)]
pub enum Child {
    /// Read a COPY of Postgres at `SUPABASE_DB_URL` and throw it away
    #[command(hide = true)]
    ThrowAwayCopy {
        /// The statement
        statement: String,
        /// Messages that are no row: the end of a binary copy
        #[arg(long, default_value_t = 0)]
        besides: u64,
    },
    /// Read pages of the data API with `SUPABASE_SECRET_KEY` and throw them away
    #[command(hide = true)]
    ThrowAwayPages {
        /// The project's address
        url: String,
        /// A file with the key of each page's last row, in order
        keys: PathBuf,
        /// Parts that are read side by side
        #[arg(long)]
        parts: usize,
    },
    /// Migrate from Postgres at `SUPABASE_DB_URL` into nothing
    #[command(hide = true)]
    MigrateIntoNothing {
        /// The plan
        plan: PathBuf,
        /// Where the state will be
        state: PathBuf,
    },
}

/// Does it, and gives the number of rows.
///
/// # Errors
/// When the other side is not there or refuses.
pub async fn run_child(child: Child) -> Result<u64> {
    match child {
        Child::ThrowAwayCopy { statement, besides } => {
            let messages = floors::throw_copy_away(&variable("SUPABASE_DB_URL")?, &statement).await?;
            Ok(messages.saturating_sub(besides))
        }
        Child::ThrowAwayPages { url, keys, parts } => {
            floors::throw_pages_away(&url, &variable("SUPABASE_SECRET_KEY")?, &keys, parts).await
        }
        Child::MigrateIntoNothing { plan, state } => {
            null_sink::migrate(&plan, variable("SUPABASE_DB_URL")?, &state).await
        }
    }
}

fn variable(name: &str) -> Result<String> {
    std::env::var(name).map_err(|error| Error::new(format!("failed to read {name}: {error}")))
}

/// This program, which must be `peers` or another that knows [`Child`].
pub(super) fn this_program() -> Result<Command> {
    let own = std::env::current_exe().map_err(|error| Error::new(format!("failed to find this program: {error}")))?;
    Ok(Command::new(own))
}

/// A run that must print `answer`, its number of rows, last.
pub(super) async fn counted(command: Command, folder: &Path, answer: &str) -> Result<Measured> {
    let log = folder.join("rows");
    let measured = run_logged(command, &log).await?;
    let printed = fs::read_to_string(&log).unwrap_or_default();
    match printed.lines().last() {
        Some(last) if last == answer => Ok(measured),
        last => Err(Error::new(format!("the rows that came are {last:?}, not {answer:?}"))),
    }
}
