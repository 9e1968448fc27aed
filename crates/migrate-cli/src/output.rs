//! The only place that prints: stdout carries data, stderr everything else.

use std::io::{self, Write as _};

/// Writes a line of data. A closed pipe is the reader's choice, not an error.
pub(crate) fn data(line: &str) {
    let _ = writeln!(io::stdout().lock(), "{line}");
}

/// Writes a line for the person at the terminal.
pub(crate) fn note(line: &str) {
    let _ = writeln!(io::stderr().lock(), "{line}");
}

/// Writes an error, as "error: failed to …".
pub(crate) fn error(message: &str) {
    note(&format!("error: {message}"));
}
