//! What each code and status means for a reader: the tables behind [`crate::errors::parse_error`].
//!
//! Codes are those of PostgREST's `errors.rst` and of Postgres' Appendix A; statuses beyond them come from gateways and
//! the hosted edge (Supabase docs, "HTTP status codes").

use migrate_core::ErrorKind;
use migrate_core::ErrorKind::{
    Config, Forbidden, Protocol, RateLimited, TableMissing, TimedOut, TooLarge, Unauthorized, Unavailable, Unexpected,
    UnknownOutcome,
};

/// How much of the server's own words may be passed on: they can hold values of rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Show {
    /// The code alone.
    Code,
    /// `message`.
    Message,
    /// `message` and `hint`.
    Hint,
}

/// What one code means; a code that ends in `*` stands for all that start so.
#[derive(Debug)]
pub(crate) struct CodeRule {
    pub(crate) code: &'static str,
    pub(crate) kind: ErrorKind,
    pub(crate) text: &'static str,
    pub(crate) remedy: &'static str,
    pub(crate) show: Show,
}

/// What a status means where no code is known.
#[derive(Debug)]
pub(crate) struct StatusRule {
    pub(crate) first: u16,
    pub(crate) last: u16,
    pub(crate) kind: ErrorKind,
    pub(crate) text: &'static str,
    pub(crate) remedy: &'static str,
}

const fn code(code: &'static str, kind: ErrorKind, show: Show, text: &'static str, remedy: &'static str) -> CodeRule {
    CodeRule { code, kind, text, remedy, show }
}

const fn status(first: u16, last: u16, kind: ErrorKind, text: &'static str, remedy: &'static str) -> StatusRule {
    StatusRule { first, last, kind, text, remedy }
}

pub(crate) const LIFT_TIMEOUT: &str =
    "run: alter role service_role set statement_timeout = '60s'; notify pgrst, 'reload config';";
const REDISCOVER: &str = "the schema may have changed: run migrate-discover again";
const REPORT: &str = "this is a fault of this program: please report it";
const USER_CODE: &str = "look at the project's own functions: a db-pre-request function, a view or a trigger raised it";
const ROLE: &str = "check that the key belongs to this project and has not been rotated";

/// The first rule that fits is taken, so exact codes stand before their class.
pub(crate) const CODE_RULES: &[CodeRule] = &[
    code("PGRST000", Unavailable, Show::Code, "the data API cannot connect to its database", ""),
    code("PGRST001", Unavailable, Show::Code, "the data API lost its connection to the database", ""),
    code(
        "PGRST002",
        Unavailable,
        Show::Code,
        "the data API has not loaded the schema yet",
        "if it stays so: the database is down, or an exposed schema does not exist",
    ),
    code(
        "PGRST003",
        RateLimited,
        Show::Code,
        "the data API has no database connection to spare",
        "lower the concurrency, or migrate at a quieter hour",
    ),
    code("PGRST106", Config, Show::Hint, "the schema is not exposed", "add it to the exposed schemas of the data API"),
    code("PGRST125", Protocol, Show::Code, "the path is not one of the data API", REPORT),
    code(
        "PGRST126",
        Config,
        Show::Code,
        "the OpenAPI document is switched off",
        "set openapi-mode to follow-privileges for the time of the migration",
    ),
    code("PGRST1*", Protocol, Show::Code, "the data API did not take the request", REPORT),
    code("PGRST204", Config, Show::Message, "a column does not exist", REDISCOVER),
    code(
        "PGRST205",
        TableMissing,
        Show::Hint,
        "the table does not exist or is not exposed",
        "check its name, and that its schema is among the exposed schemas",
    ),
    code("PGRST2*", Protocol, Show::Message, "the data API did not take the request", REPORT),
    code("PGRST300", Config, Show::Code, "the data API has no JWT secret", "set the JWT secret of the data API"),
    code("PGRST301", Unauthorized, Show::Message, "the key was refused", ROLE),
    code("PGRST302", Unauthorized, Show::Message, "the data API takes no anonymous requests", ROLE),
    code(
        "PGRST303",
        Unavailable,
        Show::Message,
        "the key's claims were refused for now",
        "if it stays so: the clocks of the server and of the one who issued the key differ",
    ),
    code("PGRSTX*", UnknownOutcome, Show::Code, "the data API failed inside", ""),
    code("42501", Forbidden, Show::Message, "the key lacks a right", ""),
    code(
        "42P01",
        TableMissing,
        Show::Message,
        "the table does not exist",
        "check its name, and that its schema is among the exposed schemas",
    ),
    code("42703", Config, Show::Hint, "a column does not exist", REDISCOVER),
    code(
        "42883",
        Config,
        Show::Message,
        "a column's type has no order",
        "such a column cannot be part of a key that is read by",
    ),
    code(
        "42P17",
        Config,
        Show::Code,
        "a row-level security policy calls itself without end",
        "use a key that row-level security does not apply to, or mend the policy",
    ),
    code("57014", TooLarge, Show::Message, "the statement took too long", LIFT_TIMEOUT),
    code("54000", TooLarge, Show::Code, "the page is over a limit of Postgres", "plan to leave out the largest column"),
    code("53*", Unavailable, Show::Message, "the database is short of memory, disk or connections", ""),
    code(
        "55P03",
        Unavailable,
        Show::Message,
        "the table is locked",
        "if it stays so: end the long transaction that holds the lock",
    ),
    code(
        "55000",
        Config,
        Show::Message,
        "it cannot be read in the state it is in",
        "a materialized view is filled by: refresh materialized view",
    ),
    code("40001", Unavailable, Show::Code, "the statement gave way to another transaction", ""),
    code("40P01", Unavailable, Show::Message, "the statement gave way to another transaction", ""),
    code("57P*", Unavailable, Show::Message, "the database restarts", ""),
    code("08*", Unavailable, Show::Code, "the data API lost its connection to the database", ""),
    code(
        "XX000",
        UnknownOutcome,
        Show::Code,
        "the database failed inside",
        "if it stays so: the database's log says why",
    ),
    code(
        "58*",
        UnknownOutcome,
        Show::Code,
        "the database's storage failed",
        "if it stays so: the database's log says why",
    ),
    code(
        "XX*",
        Unexpected,
        Show::Code,
        "the database says that stored data is damaged",
        "restore the table from a backup first",
    ),
    code("25006", Config, Show::Code, "reading it writes", "leave the view out: it calls a function that writes"),
    code("22023", Unauthorized, Show::Code, "the key names a role that the database does not know", ROLE),
    code("22*", Protocol, Show::Code, "the database did not take a key value", REPORT),
    code("P0*", Unexpected, Show::Code, "a function of the project raised an error", USER_CODE),
    code("PT*", Unexpected, Show::Code, "a function of the project raised an error", USER_CODE),
];

pub(crate) const STATUS_RULES: &[StatusRule] = &[
    status(
        300,
        399,
        Config,
        "the address redirects elsewhere, and the key is not sent there",
        "give the address it redirects to",
    ),
    status(401, 401, Unauthorized, "the key was refused", ROLE),
    status(
        402,
        402,
        Config,
        "the project is over its quota or has unpaid invoices",
        "open the organisation's billing page",
    ),
    status(403, 403, Forbidden, "the key lacks a right", "use a secret key or the legacy service_role key"),
    status(404, 404, Config, "there is no data API at this address", "check the project URL"),
    status(408, 408, TimedOut, "the request took too long to arrive", ""),
    status(414, 414, Protocol, "the address of the request is too long", REPORT),
    status(429, 429, RateLimited, "too many requests", ""),
    status(500, 500, UnknownOutcome, "the server failed inside", ""),
    status(502, 503, Unavailable, "the server cannot serve for now", ""),
    status(504, 504, TimedOut, "a gateway stopped waiting", LIFT_TIMEOUT),
    status(524, 524, TimedOut, "the edge stopped waiting", LIFT_TIMEOUT),
    status(520, 530, Unavailable, "the edge cannot reach the project for now", ""),
    status(540, 540, Config, "the project is paused", "restore it in the Supabase dashboard, then run again"),
    status(544, 544, TimedOut, "the project's gateway stopped waiting", LIFT_TIMEOUT),
    status(505, 599, Unavailable, "the server cannot serve for now", ""),
    status(400, 499, Protocol, "the request was refused", ""),
];

/// The rule of a code.
pub(crate) fn code_rule(code: &str) -> Option<&'static CodeRule> {
    CODE_RULES.iter().find(|rule| match rule.code.strip_suffix('*') {
        Some(class) => code.starts_with(class),
        None => rule.code == code,
    })
}

/// The rule of a status.
pub(crate) fn status_rule(status: u16) -> Option<&'static StatusRule> {
    STATUS_RULES.iter().find(|rule| (rule.first..=rule.last).contains(&status))
}

#[cfg(test)]
mod tests {
    use migrate_core::Disposition;

    use super::*;

    #[test]
    fn no_rule_hides_a_later_one() {
        for (position, rule) in CODE_RULES.iter().enumerate() {
            let code = rule.code.trim_end_matches('*');
            let hidden = CODE_RULES.iter().take(position).any(|earlier| match earlier.code.strip_suffix('*') {
                Some(class) => code.starts_with(class),
                None => earlier.code == rule.code,
            });
            assert!(!hidden, "{} is never reached", rule.code);
        }
    }

    #[test]
    fn the_retry_classes_are_kept() {
        for code in [
            "PGRST000", "PGRST001", "PGRST002", "PGRST003", "PGRST303", "PGRSTX00", "08006", "08P01", "53100", "53200",
            "53300", "53400", "57P01", "57P02", "57P03", "40001", "40P01", "55P03", "XX000", "58030",
        ] {
            assert_eq!(code_rule(code).unwrap().kind.disposition(), Disposition::Retry, "{code}");
        }
        for code in ["57014", "54000"] {
            assert_eq!(code_rule(code).unwrap().kind.disposition(), Disposition::Split, "{code}");
        }
        for code in [
            "PGRST100", "PGRST103", "PGRST106", "PGRST111", "PGRST116", "PGRST121", "PGRST125", "PGRST126", "PGRST200",
            "PGRST202", "PGRST204", "PGRST205", "PGRST300", "PGRST301", "PGRST302", "42501", "42P01", "42P17", "42703",
            "42883", "22P02", "22007", "22023", "25006", "55000", "P0001", "PT418", "XX001", "XX002",
        ] {
            assert_eq!(code_rule(code).unwrap().kind.disposition(), Disposition::Abort, "{code}");
        }
        for status in [408, 429, 500, 502, 503, 504, 520, 522, 524, 530, 544] {
            assert_eq!(status_rule(status).unwrap().kind.disposition(), Disposition::Retry, "{status}");
        }
        for status in [301, 400, 401, 402, 403, 404, 406, 414, 540] {
            assert_eq!(status_rule(status).unwrap().kind.disposition(), Disposition::Abort, "{status}");
        }
        assert!(code_rule("23505").is_none());
    }
}
