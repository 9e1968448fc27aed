//! The faults that convex-bench can inject.

use std::{fmt, str::FromStr, time::Duration};

use crate::fault_plan::InvalidFault;

/// One way in which a call goes wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// 429 `TooManyWrites`; nothing is committed. The header `Retry-After` is sent where a time is given, in whole
    /// seconds, rounded up.
    TooManyRequests429 {
        /// How long the client is asked to wait.
        retry_after: Option<Duration>,
    },
    /// 503 `OptimisticConcurrencyControlFailure`; nothing is committed.
    Occ503,
    /// 500 `InternalServerError` although the mutation was committed.
    Internal500AfterCommit,
    /// 500 `InternalServerError`; nothing is committed.
    Internal500BeforeCommit,
    /// The connection is reset without an answer although the mutation was committed.
    ResetAfterCommit,
    /// The connection is reset without an answer; nothing is committed.
    ResetBeforeCommit,
    /// No answer ever comes; nothing is committed. The connection stays open until the client or the server ends it.
    Hang,
    /// The answer comes later by this much, and is otherwise right.
    Slow(Duration),
    /// 200 with the first half of the right answer, which is no JSON. The mutation was committed.
    Malformed,
    /// 502 with an HTML page, as a proxy sends it; nothing is committed.
    HtmlError502,
    /// A batch that contains the record with this legacy id fails as a whole, with 200 and an error that names no record.
    BadRecord(String),
    /// A batch of more records than this fails as a whole, with 200 and "Too many bytes written".
    TooLarge(usize),
    /// 200 with the error of a function that is not deployed.
    FunctionMissing,
    /// 401 `BadAdminKey`, for this call and every later one until the key is restored.
    KeyRevoked,
}

/// The names of the faults, without their parameters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(missing_docs, reason = "they are described at `Fault`")]
pub enum FaultKind {
    TooManyRequests429,
    Occ503,
    Internal500AfterCommit,
    Internal500BeforeCommit,
    ResetAfterCommit,
    ResetBeforeCommit,
    Hang,
    Slow,
    Malformed,
    HtmlError502,
    BadRecord,
    TooLarge,
    FunctionMissing,
    KeyRevoked,
}

impl FaultKind {
    /// Every kind.
    pub const ALL: [Self; 14] = [
        Self::TooManyRequests429,
        Self::Occ503,
        Self::Internal500AfterCommit,
        Self::Internal500BeforeCommit,
        Self::ResetAfterCommit,
        Self::ResetBeforeCommit,
        Self::Hang,
        Self::Slow,
        Self::Malformed,
        Self::HtmlError502,
        Self::BadRecord,
        Self::TooLarge,
        Self::FunctionMissing,
        Self::KeyRevoked,
    ];

    /// The name on the command line and in messages.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::TooManyRequests429 => "too-many-requests-429",
            Self::Occ503 => "occ-503",
            Self::Internal500AfterCommit => "internal-500-after-commit",
            Self::Internal500BeforeCommit => "internal-500-before-commit",
            Self::ResetAfterCommit => "reset-after-commit",
            Self::ResetBeforeCommit => "reset-before-commit",
            Self::Hang => "hang",
            Self::Slow => "slow",
            Self::Malformed => "malformed",
            Self::HtmlError502 => "html-error-502",
            Self::BadRecord => "bad-record",
            Self::TooLarge => "too-large",
            Self::FunctionMissing => "function-missing",
            Self::KeyRevoked => "key-revoked",
        }
    }
}

impl fmt::Display for FaultKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Fault {
    /// Whether the fault needs nothing of a call but that it comes: such faults end it, the others delay it or look at
    /// its records.
    pub(super) const fn applies_to_every_call(&self) -> bool {
        !matches!(self, Self::Slow(_) | Self::BadRecord(_) | Self::TooLarge(_))
    }

    /// The fault's name.
    #[must_use]
    pub const fn kind(&self) -> FaultKind {
        match self {
            Self::TooManyRequests429 { .. } => FaultKind::TooManyRequests429,
            Self::Occ503 => FaultKind::Occ503,
            Self::Internal500AfterCommit => FaultKind::Internal500AfterCommit,
            Self::Internal500BeforeCommit => FaultKind::Internal500BeforeCommit,
            Self::ResetAfterCommit => FaultKind::ResetAfterCommit,
            Self::ResetBeforeCommit => FaultKind::ResetBeforeCommit,
            Self::Hang => FaultKind::Hang,
            Self::Slow(_) => FaultKind::Slow,
            Self::Malformed => FaultKind::Malformed,
            Self::HtmlError502 => FaultKind::HtmlError502,
            Self::BadRecord(_) => FaultKind::BadRecord,
            Self::TooLarge(_) => FaultKind::TooLarge,
            Self::FunctionMissing => FaultKind::FunctionMissing,
            Self::KeyRevoked => FaultKind::KeyRevoked,
        }
    }
}

impl FromStr for Fault {
    type Err = InvalidFault;

    /// Reads `name` or `name=value`. Times are in milliseconds: `slow=250`, `too-many-requests-429=2000`,
    /// `bad-record=<legacy id>`, `too-large=500`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (name, value) = text.split_once('=').map_or((text, None), |(name, value)| (name, Some(value)));
        let known = FaultKind::ALL.into_iter().find(|kind| kind.name() == name);
        let kind = known.ok_or_else(|| InvalidFault::Name(name.to_owned()))?;
        let wrong = |takes| InvalidFault::Value { fault: kind.name(), takes };
        let millis = |value: &str| value.parse().ok().map(Duration::from_millis);
        match (kind, value) {
            (FaultKind::TooManyRequests429, None) => Ok(Self::TooManyRequests429 { retry_after: None }),
            (FaultKind::TooManyRequests429, Some(value)) => {
                let retry_after = millis(value).ok_or_else(|| wrong("nothing or milliseconds: `=2000`"))?;
                Ok(Self::TooManyRequests429 { retry_after: Some(retry_after) })
            }
            (FaultKind::Slow, value) => {
                value.and_then(millis).map(Self::Slow).ok_or_else(|| wrong("milliseconds: `=250`"))
            }
            (FaultKind::BadRecord, value) => {
                value.map(|id| Self::BadRecord(id.to_owned())).ok_or_else(|| wrong("a legacy id: `=<id>`"))
            }
            (FaultKind::TooLarge, value) => {
                let limit = value.and_then(|value| value.parse().ok());
                limit.map(Self::TooLarge).ok_or_else(|| wrong("a number of records: `=500`"))
            }
            (FaultKind::Occ503, None) => Ok(Self::Occ503),
            (FaultKind::Internal500AfterCommit, None) => Ok(Self::Internal500AfterCommit),
            (FaultKind::Internal500BeforeCommit, None) => Ok(Self::Internal500BeforeCommit),
            (FaultKind::ResetAfterCommit, None) => Ok(Self::ResetAfterCommit),
            (FaultKind::ResetBeforeCommit, None) => Ok(Self::ResetBeforeCommit),
            (FaultKind::Hang, None) => Ok(Self::Hang),
            (FaultKind::Malformed, None) => Ok(Self::Malformed),
            (FaultKind::HtmlError502, None) => Ok(Self::HtmlError502),
            (FaultKind::FunctionMissing, None) => Ok(Self::FunctionMissing),
            (FaultKind::KeyRevoked, None) => Ok(Self::KeyRevoked),
            (_, Some(_)) => Err(wrong("no value")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_names_and_values() {
        for kind in FaultKind::ALL {
            let parsed =
                [kind.name().to_owned(), format!("{kind}=7")].iter().find_map(|text| text.parse::<Fault>().ok());
            assert_eq!(parsed.map(|fault| fault.kind()), Some(kind));
        }
        assert_eq!("slow=250".parse(), Ok(Fault::Slow(Duration::from_millis(250))));
        assert_eq!("bad-record=a=b".parse(), Ok(Fault::BadRecord("a=b".to_owned())));
    }

    #[test]
    fn refuses_other_texts() {
        let message = |text: &str| text.parse::<Fault>().unwrap_err().to_string();
        assert_eq!(message("explode"), "no fault is named `explode`");
        assert_eq!(message("slow"), "fault `slow` takes milliseconds: `=250`");
        assert_eq!(message("hang=1"), "fault `hang` takes no value");
    }
}
