//! The one error of this module tree.

use std::fmt::Display;

/// Result of starting or using a part of the local stack.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A part of the local stack did not start or did not answer; the message says what to do about it.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    message: String,
}

impl Error {
    /// An error with this message.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into() }
    }
}

/// Adds what was being done to a foreign error.
pub(super) trait Context<T> {
    /// Prefixes the error with `doing`, as in "failed to `doing`: `error`".
    fn context(self, doing: impl Display) -> Result<T>;
}

impl<T, E: std::error::Error> Context<T> for std::result::Result<T, E> {
    fn context(self, doing: impl Display) -> Result<T> {
        self.map_err(|error| {
            let mut message = format!("failed to {doing}: {error}");
            let mut cause = error.source();
            while let Some(inner) = cause {
                message.push_str(": ");
                message.push_str(&inner.to_string());
                cause = inner.source();
            }
            Error::new(message)
        })
    }
}
