//! Exit codes, the same for every command.

use migrate_core::{Disposition, Error, ErrorKind};

/// Everything went well.
pub const OK: u8 = 0;
/// Something that nothing below names.
pub const UNEXPECTED: u8 = 1;
/// The command line is wrong, or lacks the word that a dangerous step asks for.
pub const USAGE: u8 = 2;
/// The run went to its end, and some rows are rejects or a count differs.
pub const FINDINGS: u8 = 3;
/// Keys, addresses, configuration, deployment or plan.
pub const SETUP: u8 = 4;
/// Stopped; the same command goes on.
pub const INTERRUPTED: u8 = 5;
/// A verification found a difference.
pub const DIFFERENT: u8 = 6;

/// The exit codes with their meaning; help and documentation are made of it.
pub const EXIT_CODES: &[(u8, &str)] = &[
    (OK, "all went well"),
    (UNEXPECTED, "unexpected error"),
    (USAGE, "wrong command line, or a step that needs --yes"),
    (
        FINDINGS,
        "finished, with rejected rows, unset links or a count that differs; or stopped at --max-rejects or --fail-fast",
    ),
    (SETUP, "to be mended: keys, addresses, configuration, deployment or plan"),
    (INTERRUPTED, "interrupted; the same command goes on"),
    (DIFFERENT, "verified, and something differs"),
];

/// The exit code of an error in a phase that writes nothing yet.
#[must_use]
pub fn of_setup(error: &Error) -> u8 {
    match error.kind() {
        kind if kind.is_setup() => SETUP,
        ErrorKind::Unconfirmed => USAGE,
        ErrorKind::Interrupted => INTERRUPTED,
        // Nothing has begun that could go on: the other side is to be looked at first.
        kind if kind.disposition() == Disposition::Retry => SETUP,
        _ => UNEXPECTED,
    }
}

/// The exit code of an error that ended a run: what waiting mends can be resumed.
#[must_use]
pub fn of_run(error: &Error) -> u8 {
    match error.kind() {
        kind if kind.is_setup() => SETUP,
        ErrorKind::TooManyRejects => FINDINGS,
        ErrorKind::Interrupted => INTERRUPTED,
        kind if kind.disposition() == Disposition::Retry => INTERRUPTED,
        _ => UNEXPECTED,
    }
}

#[cfg(test)]
mod tests {
    use migrate_core::error::ERROR_KINDS;

    use super::*;

    #[test]
    fn what_waiting_mends_is_never_unexpected() {
        for &(kind, code, disposition, is_setup) in ERROR_KINDS {
            let error = Error::new(kind, "go on");
            let codes = (of_setup(&error), of_run(&error));
            match disposition {
                Disposition::Retry => assert_eq!(codes, (SETUP, INTERRUPTED), "{code}"),
                _ if is_setup => assert_eq!(codes, (SETUP, SETUP), "{code}"),
                _ => assert!(codes.0 != SETUP && codes.1 != SETUP, "{code}: {codes:?}"),
            }
        }
        let codes = |kind| (of_setup(&Error::new(kind, "go on")), of_run(&Error::new(kind, "go on")));
        assert_eq!(codes(ErrorKind::Interrupted), (INTERRUPTED, INTERRUPTED));
        assert_eq!(codes(ErrorKind::TooManyRejects), (UNEXPECTED, FINDINGS));
        assert_eq!(codes(ErrorKind::Unexpected), (UNEXPECTED, UNEXPECTED));
    }
}
