//! What a person must type before it is done.

use std::io::{IsTerminal as _, stdin};

use migrate_core::{Error, ErrorKind, Result};

use crate::output;

/// Asks for `word` at the terminal; `action` fits after "failed to …".
///
/// # Errors
/// `Unconfirmed` when another word is typed, and when nobody can be asked.
pub(crate) fn ask(question: &str, word: &str, action: &str, remedy: &str) -> Result<()> {
    if is_typed(&format!("{question} "), word) {
        return Ok(());
    }
    Err(Error::new(ErrorKind::Unconfirmed, action).with_remedy(remedy))
}

/// Whether `word` is typed at the terminal when it is asked for, behind `question`; false where nobody can be asked.
pub(crate) fn is_typed(question: &str, word: &str) -> bool {
    if !stdin().is_terminal() {
        return false;
    }
    output::note(&format!("{question}Type `{word}` to go on:"));
    let mut answer = String::new();
    stdin().read_line(&mut answer).is_ok() && answer.trim() == word
}
