//! The faults that the proxy can inject.

use std::{fmt, str::FromStr, time::Duration};

use crate::fault_plan::InvalidFault;

/// The names of the faults.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum FaultKind {
    /// 429 with an HTML page, as an edge sends it, with `Retry-After` where the fault has one.
    TooManyRequests429,
    /// 503 with an HTML page, with `Retry-After` where the fault has one.
    Unavailable503,
    /// 503 PGRST002, as while the schema cache is loaded, with `Retry-After: 0`.
    SchemaCache503,
    /// 503 PGRST001: the data API lost its connection to the database.
    DatabaseLost503,
    /// 503 57P01: the database restarts.
    DatabaseRestart503,
    /// 504 PGRST003: no connection of the pool was free in time.
    PoolExhausted504,
    /// 500 57014: the statement timeout.
    StatementTimeout500,
    /// 500 XX000: Postgres failed inside.
    InternalError500,
    /// 502 with an HTML page.
    HtmlError502,
    /// 504 with an HTML page.
    HtmlError504,
    /// 520 with an HTML page: the edge met something that it cannot name.
    HtmlError520,
    /// 540 with an HTML page: the project is paused.
    ProjectPaused540,
    /// 500 with a code that nobody knows.
    UnknownCode500,
    /// 200 with an HTML page, as a captive portal sends it.
    HtmlPage200,
    /// The connection is reset without an answer.
    ResetBeforeAnswer,
    /// The connection is reset after half of the body.
    ResetInBody,
    /// Half of the body, with its own `Content-Length`: JSON that ends in the middle.
    TruncatedJson,
    /// The whole body, with a `Content-Length` that promises more; then the connection ends.
    LongContentLength,
    /// The whole body, with a `Content-Length` of half of it.
    ShortContentLength,
    /// A page of the same table that was answered before.
    RepeatedPage,
    /// No answer ever comes. The connection stays open until the client or the proxy ends it.
    Hang,
    /// The answer comes later, and is otherwise right.
    Slow,
    /// 401 for this request and every later one, until the key is restored.
    KeyRevoked,
}

/// How a fault shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Effect {
    /// This answer instead of the real one, which nobody is asked for.
    Answer { status: u16, body: &'static str },
    /// The real answer, damaged.
    Damage(Damage),
    /// A reset, and no answer.
    Reset,
    /// Nothing at all.
    Silence,
    /// The real answer, later.
    Delay,
}

/// What is done to a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Damage {
    Reset,
    Halve,
    PromiseMore,
    PromiseLess,
    Repeat,
}

const BUSY: &str = "<html><head><title>Too many requests</title></head><body>a page of the edge</body></html>";
const AWAY: &str = "<html>\r\n<head><title>Error</title></head>\r\n<body>a page of the edge</body>\r\n</html>\r\n";
const PAUSED: &str = "<!doctype html><html><title>Project paused</title><body>a page of the edge</body></html>";

const fn answer(status: u16, body: &'static str) -> Effect {
    Effect::Answer { status, body }
}

/// Every kind with its name on a command line and in messages, and what it does.
const KINDS: [(FaultKind, &str, Effect); 23] = [
    (FaultKind::TooManyRequests429, "too-many-requests-429", answer(429, BUSY)),
    (FaultKind::Unavailable503, "unavailable-503", answer(503, AWAY)),
    (
        FaultKind::SchemaCache503,
        "schema-cache-503",
        answer(
            503,
            r#"{"code":"PGRST002","details":null,"hint":null,"message":"Could not query the database for the schema cache. Retrying."}"#,
        ),
    ),
    (
        FaultKind::DatabaseLost503,
        "database-lost-503",
        answer(
            503,
            r#"{"code":"PGRST001","details":"no connection to the server\n","hint":null,"message":"Database client error. Retrying the connection."}"#,
        ),
    ),
    (
        FaultKind::DatabaseRestart503,
        "database-restart-503",
        answer(
            503,
            r#"{"code":"57P01","details":null,"hint":null,"message":"terminating connection due to administrator command"}"#,
        ),
    ),
    (
        FaultKind::PoolExhausted504,
        "pool-exhausted-504",
        answer(
            504,
            r#"{"code":"PGRST003","details":null,"hint":null,"message":"Timed out acquiring connection from connection pool."}"#,
        ),
    ),
    (
        FaultKind::StatementTimeout500,
        "statement-timeout-500",
        answer(
            500,
            r#"{"code":"57014","details":null,"hint":null,"message":"canceling statement due to statement timeout"}"#,
        ),
    ),
    (
        FaultKind::InternalError500,
        "internal-error-500",
        answer(500, r#"{"code":"XX000","details":null,"hint":null,"message":"cache lookup failed"}"#),
    ),
    (FaultKind::HtmlError502, "html-error-502", answer(502, AWAY)),
    (FaultKind::HtmlError504, "html-error-504", answer(504, AWAY)),
    (FaultKind::HtmlError520, "html-error-520", answer(520, AWAY)),
    (FaultKind::ProjectPaused540, "project-paused-540", answer(540, PAUSED)),
    (
        FaultKind::UnknownCode500,
        "unknown-code-500",
        answer(500, r#"{"code":"39P03","details":null,"hint":null,"message":"a row value"}"#),
    ),
    (FaultKind::HtmlPage200, "html-page-200", answer(200, AWAY)),
    (FaultKind::ResetBeforeAnswer, "reset-before-answer", Effect::Reset),
    (FaultKind::ResetInBody, "reset-in-body", Effect::Damage(Damage::Reset)),
    (FaultKind::TruncatedJson, "truncated-json", Effect::Damage(Damage::Halve)),
    (FaultKind::LongContentLength, "long-content-length", Effect::Damage(Damage::PromiseMore)),
    (FaultKind::ShortContentLength, "short-content-length", Effect::Damage(Damage::PromiseLess)),
    (FaultKind::RepeatedPage, "repeated-page", Effect::Damage(Damage::Repeat)),
    (FaultKind::Hang, "hang", Effect::Silence),
    (FaultKind::Slow, "slow", Effect::Delay),
    (FaultKind::KeyRevoked, "key-revoked", answer(401, r#"{"message":"Invalid API key"}"#)),
];

impl FaultKind {
    /// Every kind.
    pub fn all() -> impl Iterator<Item = Self> {
        KINDS.iter().map(|(kind, ..)| *kind)
    }

    fn row(self) -> (&'static str, Effect) {
        let row = KINDS.iter().find(|(kind, ..)| *kind == self);
        row.map_or(("", Effect::Reset), |(_, name, effect)| (name, *effect))
    }

    /// The name on a command line and in messages.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.row().0
    }

    pub(super) fn effect(self) -> Effect {
        self.row().1
    }
}

impl fmt::Display for FaultKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The header `Retry-After`, in one of its two forms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RetryAfter {
    /// So many seconds.
    Seconds(u64),
    /// The date that is so many seconds from the answer.
    Date(u64),
}

/// One way in which a request goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fault {
    pub(super) kind: FaultKind,
    pub(super) retry_after: Option<RetryAfter>,
    pub(super) delay: Duration,
    /// How many pages lie between the repeated one and the one that was asked for.
    pub(super) pages_back: usize,
}

impl From<FaultKind> for Fault {
    /// The fault without a `Retry-After` of its own, with a delay of 50 ms, and with the page before.
    fn from(kind: FaultKind) -> Self {
        let retry_after = (kind == FaultKind::SchemaCache503).then_some(RetryAfter::Seconds(0));
        Self { kind, retry_after, delay: Duration::from_millis(50), pages_back: 1 }
    }
}

impl Fault {
    /// The fault's name.
    #[must_use]
    pub const fn kind(&self) -> FaultKind {
        self.kind
    }

    /// As the answer says it, for those that are answers.
    #[must_use]
    pub const fn with_retry_after(self, retry_after: RetryAfter) -> Self {
        Self { retry_after: Some(retry_after), ..self }
    }

    /// [`FaultKind::Slow`] by this much.
    #[must_use]
    pub fn slow(delay: Duration) -> Self {
        Self { delay, ..Self::from(FaultKind::Slow) }
    }

    /// [`FaultKind::RepeatedPage`] with the page that many before the one that was asked for; at most 3.
    #[must_use]
    pub fn repeated_page(pages_back: usize) -> Self {
        Self { pages_back, ..Self::from(FaultKind::RepeatedPage) }
    }
}

impl FromStr for Fault {
    type Err = InvalidFault;

    /// Reads `name` or `name=value`: `slow=250` in milliseconds, `repeated-page=2`, and for answers the seconds of
    /// `Retry-After`, as `too-many-requests-429=2` or, for a date, `too-many-requests-429=date:2`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (name, value) = text.split_once('=').map_or((text, None), |(name, value)| (name, Some(value)));
        let known = FaultKind::all().find(|kind| kind.name() == name);
        let kind = known.ok_or_else(|| InvalidFault::Name(name.to_owned()))?;
        let fault = Self::from(kind);
        let Some(value) = value else { return Ok(fault) };
        let wrong = |takes| move |_| InvalidFault::Value { fault: kind.name(), takes };
        match kind.effect() {
            Effect::Answer { .. } => {
                let takes = "nothing, seconds or the seconds to a date: `=2`, `=date:2`";
                let (form, seconds): (fn(u64) -> RetryAfter, _) = match value.strip_prefix("date:") {
                    Some(seconds) => (RetryAfter::Date, seconds),
                    None => (RetryAfter::Seconds, value),
                };
                Ok(fault.with_retry_after(form(seconds.parse().map_err(wrong(takes))?)))
            }
            Effect::Delay => {
                Ok(Self::slow(Duration::from_millis(value.parse().map_err(wrong("milliseconds: `=250`"))?)))
            }
            Effect::Damage(Damage::Repeat) => {
                Ok(Self::repeated_page(value.parse().map_err(wrong("a number of pages: `=2`"))?))
            }
            _ => Err(InvalidFault::Value { fault: kind.name(), takes: "no value" }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_one_row_and_is_read_by_its_name() {
        for kind in FaultKind::all() {
            assert_eq!(KINDS.iter().filter(|(other, name, _)| *other == kind || *name == kind.name()).count(), 1);
            assert_eq!(kind.name().parse::<Fault>().unwrap().kind(), kind);
        }
        let busy = Fault::from(FaultKind::TooManyRequests429);
        assert_eq!("too-many-requests-429=2".parse(), Ok(busy.with_retry_after(RetryAfter::Seconds(2))));
        assert_eq!("too-many-requests-429=date:2".parse(), Ok(busy.with_retry_after(RetryAfter::Date(2))));
        assert_eq!("slow=7".parse(), Ok(Fault::slow(Duration::from_millis(7))));
        assert_eq!("repeated-page=2".parse(), Ok(Fault::repeated_page(2)));
    }

    #[test]
    fn refuses_other_texts() {
        let message = |text: &str| text.parse::<Fault>().unwrap_err().to_string();
        assert_eq!(message("explode"), "no fault is named `explode`");
        assert_eq!(message("slow=soon"), "fault `slow` takes milliseconds: `=250`");
        assert_eq!(message("hang=1"), "fault `hang` takes no value");
    }
}
