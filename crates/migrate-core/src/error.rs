//! The one error type of the pipeline, classified by what its caller does about it.

use std::error::Error as StdError;
use std::fmt;
use std::time::Duration;

/// Result of every fallible operation in this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

type Cause = Box<dyn StdError + Send + Sync>;

/// What went wrong, in the words of the caller: each kind has exactly one [`Disposition`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The configuration, the catalog or the plan cannot be used as it is.
    Config,
    /// Nothing answered at the address.
    Unreachable,
    /// The key was refused.
    Unauthorized,
    /// The key is good but lacks a right.
    Forbidden,
    /// The table does not exist on that side.
    TableMissing,
    /// The function that should write a table is not deployed.
    FunctionMissing,
    /// The other side asks for less (429).
    RateLimited,
    /// The other side cannot serve for now (503, connection reset before an answer).
    Unavailable,
    /// The call did not end in time.
    TimedOut,
    /// The call may or may not have taken effect (500, reset after send).
    UnknownOutcome,
    /// The call carries or asks for more than the other side takes at once.
    TooLarge,
    /// A record inside the call made all of it fail.
    RecordFailed,
    /// The other side answered something its protocol does not allow.
    Protocol,
    /// The stored state belongs to another plan, is corrupt, or is newer than this program.
    State,
    /// A step that a person must confirm was not confirmed.
    Unconfirmed,
    /// A stop was asked for.
    Interrupted,
    /// More rows were rejected than the run allows.
    TooManyRejects,
    /// A local file could not be read or written.
    Io,
    /// Anything that nothing above names.
    Unexpected,
}

/// What a caller does about an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Disposition {
    /// Send the same call again, later. Safe because reads are pure and writes are idempotent by (table, key).
    Retry,
    /// Send the same records again in smaller calls.
    Split,
    /// Stop. Everything that is not classified is here.
    Abort,
}

/// The classification of every [`ErrorKind`]: kind, stable code, disposition, and whether the user mends it in the
/// set-up (keys, addresses, configuration, deployment) rather than by running again.
pub const ERROR_KINDS: &[(ErrorKind, &str, Disposition, bool)] = &[
    (ErrorKind::Config, "config", Disposition::Abort, true),
    (ErrorKind::Unreachable, "unreachable", Disposition::Retry, false),
    (ErrorKind::Unauthorized, "unauthorized", Disposition::Abort, true),
    (ErrorKind::Forbidden, "forbidden", Disposition::Abort, true),
    (ErrorKind::TableMissing, "table_missing", Disposition::Abort, true),
    (ErrorKind::FunctionMissing, "function_missing", Disposition::Abort, true),
    (ErrorKind::RateLimited, "rate_limited", Disposition::Retry, false),
    (ErrorKind::Unavailable, "unavailable", Disposition::Retry, false),
    (ErrorKind::TimedOut, "timed_out", Disposition::Retry, false),
    (ErrorKind::UnknownOutcome, "unknown_outcome", Disposition::Retry, false),
    (ErrorKind::TooLarge, "too_large", Disposition::Split, true),
    (ErrorKind::RecordFailed, "record_failed", Disposition::Split, false),
    (ErrorKind::Protocol, "protocol", Disposition::Abort, false),
    (ErrorKind::State, "state", Disposition::Abort, true),
    (ErrorKind::Unconfirmed, "unconfirmed", Disposition::Abort, false),
    (ErrorKind::Interrupted, "interrupted", Disposition::Abort, false),
    (ErrorKind::TooManyRejects, "too_many_rejects", Disposition::Abort, false),
    (ErrorKind::Io, "io", Disposition::Abort, true),
    (ErrorKind::Unexpected, "unexpected", Disposition::Abort, false),
];

/// What each [`ErrorKind`] means to a reader; documentation is generated from it.
pub const ERROR_MEANINGS: &[(ErrorKind, &str)] = &[
    (ErrorKind::Config, "the configuration, the catalog or the plan cannot be used as it is"),
    (ErrorKind::Unreachable, "nothing answers at the address"),
    (ErrorKind::Unauthorized, "the key is refused"),
    (ErrorKind::Forbidden, "the key lacks a right"),
    (ErrorKind::TableMissing, "the table is not there on that side"),
    (ErrorKind::FunctionMissing, "the function that writes a table is not deployed"),
    (ErrorKind::RateLimited, "the other side asks for less (429)"),
    (ErrorKind::Unavailable, "the other side cannot serve for now (503, or a reset before an answer)"),
    (ErrorKind::TimedOut, "the call did not end in time"),
    (ErrorKind::UnknownOutcome, "the call may have taken effect or not (500, or a reset after it was sent)"),
    (ErrorKind::TooLarge, "the call has more than the other side takes at once"),
    (ErrorKind::RecordFailed, "a record made the whole call fail"),
    (ErrorKind::Protocol, "an answer that the protocol does not allow"),
    (ErrorKind::State, "the run's state is of another plan, damaged, or newer than the program"),
    (ErrorKind::Unconfirmed, "a step that a person must confirm was not confirmed"),
    (ErrorKind::Interrupted, "a stop was asked for"),
    (ErrorKind::TooManyRejects, "more rows were rejected than the run allows"),
    (ErrorKind::Io, "a file cannot be read or written"),
    (ErrorKind::Unexpected, "what nothing above names"),
];

impl ErrorKind {
    fn row(self) -> (&'static str, Disposition, bool) {
        ERROR_KINDS
            .iter()
            .find(|(kind, ..)| *kind == self)
            .map_or(("unexpected", Disposition::Abort, false), |&(_, code, disposition, setup)| {
                (code, disposition, setup)
            })
    }

    /// Stable name for logs, reports and scripts.
    #[must_use]
    pub fn code(self) -> &'static str {
        self.row().0
    }

    /// What a caller does about an error of this kind.
    #[must_use]
    pub fn disposition(self) -> Disposition {
        self.row().1
    }

    /// True when the user mends it in keys, addresses, configuration or deployment.
    #[must_use]
    pub fn is_setup(self) -> bool {
        self.row().2
    }
}

/// An error with what happened, where, and what to do next.
///
/// Messages are lower-case fragments that fit after "failed to …". They name tables, columns and keys, never the value
/// of a row and never a secret.
pub struct Error(Box<Inner>);

struct Inner {
    kind: ErrorKind,
    code: Option<String>,
    message: String,
    remedy: Option<String>,
    context: Vec<(&'static str, String)>,
    retry_after: Option<Duration>,
    source: Option<Cause>,
}

impl Error {
    /// An error of `kind` with a message that fits after "failed to …".
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self(Box::new(Inner {
            kind,
            code: None,
            message: message.into(),
            remedy: None,
            context: Vec::new(),
            retry_after: None,
            source: None,
        }))
    }

    /// Names the other side's own stable code, such as `PGRST205` or `TooManyWrites`.
    #[must_use]
    pub fn with_code(mut self, code: impl Into<String>) -> Self {
        self.0.code = Some(code.into());
        self
    }

    /// Says the next step for the person who reads it.
    #[must_use]
    pub fn with_remedy(mut self, remedy: impl Into<String>) -> Self {
        self.0.remedy = Some(remedy.into());
        self
    }

    /// Adds one place: `("table", "ari_payments")`.
    #[must_use]
    pub fn with_context(mut self, name: &'static str, value: impl fmt::Display) -> Self {
        self.0.context.push((name, value.to_string()));
        self
    }

    /// How long the other side asked us to wait.
    #[must_use]
    pub fn with_retry_after(mut self, delay: Duration) -> Self {
        self.0.retry_after = Some(delay);
        self
    }

    /// Keeps the cause, which must hold no secret and no row value.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Cause>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// What went wrong.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// What a caller does about it.
    #[must_use]
    pub fn disposition(&self) -> Disposition {
        self.0.kind.disposition()
    }

    /// The other side's own code where it gave one, else the kind's.
    #[must_use]
    pub fn code(&self) -> &str {
        self.0.code.as_deref().unwrap_or_else(|| self.0.kind.code())
    }

    /// The message alone, without context and remedy.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// The next step, where one is known.
    #[must_use]
    pub fn remedy(&self) -> Option<&str> {
        self.0.remedy.as_deref()
    }

    /// Places, in the order they were added.
    pub fn context(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.0.context.iter().map(|(name, value)| (*name, value.as_str()))
    }

    /// How long the other side asked us to wait, if it did.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.0.retry_after
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)?;
        if !self.0.context.is_empty() {
            f.write_str(" (")?;
            for (position, (name, value)) in self.0.context.iter().enumerate() {
                let comma = if position == 0 { "" } else { ", " };
                write!(f, "{comma}{name}: {value}")?;
            }
            f.write_str(")")?;
        }
        if let Some(remedy) = &self.0.remedy {
            write!(f, "; {remedy}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Error");
        debug.field("kind", &self.0.kind).field("code", &self.code()).field("message", &self.0.message);
        debug.field("context", &self.0.context).field("remedy", &self.0.remedy).field("source", &self.0.source).finish()
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_ref().map(|source| &**source as &(dyn StdError + 'static))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_is_classified_once() {
        for (position, (kind, code, ..)) in ERROR_KINDS.iter().enumerate() {
            let again = ERROR_KINDS.iter().skip(position + 1).any(|(other, text, ..)| other == kind || text == code);
            assert!(!again, "{kind:?} or {code} stands twice");
            let meanings = ERROR_MEANINGS.iter().filter(|(other, _)| other == kind).count();
            assert_eq!(meanings, 1, "{kind:?} has {meanings} meanings");
        }
    }

    #[test]
    fn shows_message_place_and_remedy() {
        let error = Error::new(ErrorKind::Forbidden, "read the table")
            .with_context("table", "ari_payments")
            .with_remedy("run: grant select on public.ari_payments to service_role;");
        assert_eq!(
            error.to_string(),
            "read the table (table: ari_payments); run: grant select on public.ari_payments to service_role;"
        );
        assert_eq!(error.disposition(), Disposition::Abort);
    }
}
