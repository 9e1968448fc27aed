//! What a person must type before it is done.

use std::io::{IsTerminal as _, stdin};

use migrate_core::{Error, ErrorKind, Result};

use crate::output;

/// Asks for `word` at the terminal; `action` fits after "failed to …".
///
/// # Errors
/// `Unconfirmed` when another word is typed, and when nobody can be asked.
pub(crate) fn ask(question: &str, word: &str, action: &str, remedy: &str) -> Result<()> {
    let refused = || Error::new(ErrorKind::Unconfirmed, action).with_remedy(remedy);
    if !stdin().is_terminal() {
        return Err(refused());
    }
    output::note(&format!("{question} Type `{word}` to go on:"));
    let mut answer = String::new();
    match stdin().read_line(&mut answer) {
        Ok(_) if answer.trim() == word => Ok(()),
        _ => Err(refused()),
    }
}
