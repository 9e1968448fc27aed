//! The driver's errors as the pipeline's. No password and no value of a row passes through here.

use std::error::Error as StdError;
use std::io;

use migrate_core::names::TableName;
use migrate_core::{Error, ErrorKind};

use super::address::Address;
use crate::errors::grant_statement;

const POOLER: &str = "the direct host has an IPv6 address only: use the session pooler's connection string of the project's \
    Connect dialog, or the IPv4 add-on; a paused project has no address either; without \
    SUPABASE_DB_URL, discovery goes by the data API alone";

/// The error of a connection that was not made.
pub(super) fn connect_error(error: &tokio_postgres::Error, address: &Address) -> Error {
    let action = "connect to Postgres";
    let made = match (error.as_db_error(), io_error(error)) {
        (Some(refusal), _) => {
            let (kind, text, remedy) = refused(refusal.code().code(), refusal.message(), address);
            Error::new(kind, format!("{action}: {text}")).with_code(refusal.code().code()).with_remedy(remedy)
        }
        (None, Some(broken)) => {
            let (kind, text, remedy) = unreached(broken, address);
            Error::new(kind, format!("{action}: {text}")).with_remedy(remedy)
        }
        (None, None) => {
            let (kind, text, remedy) = unmade(error, address);
            Error::new(kind, format!("{action}: {text}")).with_remedy(remedy)
        }
    };
    made.with_context("address", &address.shown)
}

/// The error of a connection that took too long.
pub(super) fn connect_timeout(address: &Address) -> Error {
    let remedy = if address.is_direct() {
        POOLER
    } else {
        "check host and port, and that the project's network restrictions allow this address"
    };
    Error::new(ErrorKind::TimedOut, "connect to Postgres: nothing answers in time")
        .with_context("address", &address.shown)
        .with_remedy(remedy)
}

/// What a statement's SQLSTATE means (Postgres docs, "Error Codes"): the first that fits, one that ends in `*` by its
/// class. The server's own words are shown where they name a right or a thing; the others may quote values.
struct StateRule {
    code: &'static str,
    kind: ErrorKind,
    shows_message: bool,
    text: &'static str,
    remedy: &'static str,
}

const fn state(
    code: &'static str,
    kind: ErrorKind,
    shows_message: bool,
    text: &'static str,
    remedy: &'static str,
) -> StateRule {
    StateRule { code, kind, shows_message, text, remedy }
}

const REDISCOVER: &str = "the schema may have changed: run migrate-discover again";
const DATABASE_LOG: &str = "if it stays so: the database's log says why";

const STATE_RULES: &[StateRule] = &[
    state("42501", ErrorKind::Forbidden, true, "", ""),
    state("42P01", ErrorKind::TableMissing, true, "", "check its name and its schema"),
    state("42703", ErrorKind::Config, true, "", REDISCOVER),
    state("42883", ErrorKind::Config, true, "", "a column whose type has no order cannot be part of a key"),
    state("57014", ErrorKind::TimedOut, false, "the statement took too long", ""),
    state(
        "25006",
        ErrorKind::Config,
        false,
        "reading it writes",
        "leave the view out: it calls a function that writes",
    ),
    state(
        "25P0*",
        ErrorKind::Unavailable,
        false,
        "the transaction has ended",
        "if it stays so: lift idle_in_transaction_session_timeout and transaction_timeout",
    ),
    state(
        "55P03",
        ErrorKind::Unavailable,
        false,
        "the table is locked",
        "end the long transaction that holds the lock",
    ),
    state("57P*", ErrorKind::Unavailable, false, "the server refused the statement: it restarts", ""),
    state("40*", ErrorKind::Unavailable, false, "the statement gave way to another transaction", ""),
    state("08P01", ErrorKind::Config, false, "what is in between does not pass the statement on", HOLD_SESSION),
    state("08*", ErrorKind::Unavailable, false, "the server cannot serve for now", ""),
    state(
        "53300",
        ErrorKind::Unavailable,
        false,
        "all connections are taken",
        "lower run.tables_in_parallel, or close some",
    ),
    state("53*", ErrorKind::Unavailable, false, "the server cannot serve for now", ""),
    state("58*", ErrorKind::UnknownOutcome, false, "the database's storage failed", DATABASE_LOG),
    state("XX001", ErrorKind::Unexpected, false, "stored data is damaged", "restore the table from a backup first"),
    state("XX002", ErrorKind::Unexpected, false, "an index is damaged", "run reindex on the table"),
    state("XX*", ErrorKind::UnknownOutcome, false, "the database failed inside", DATABASE_LOG),
    state(
        "P0*",
        ErrorKind::Unexpected,
        false,
        "a function of the project raised an error",
        "look at the functions that the view or the column calls",
    ),
];

fn state_rule(code: &str) -> Option<&'static StateRule> {
    STATE_RULES.iter().find(|rule| match rule.code.strip_suffix('*') {
        Some(class) => code.starts_with(class),
        None => code == rule.code,
    })
}

/// Which connection strings hold a transaction open.
pub(super) const HOLD_SESSION: &str = "set SUPABASE_DB_URL to the session pooler's connection string (port 5432), or to \
    the direct host's: both are in the project's Connect dialog";

/// The error of a statement. What the server says of a right or a name is shown; the rest may quote values.
pub(super) fn query_error(error: &tokio_postgres::Error, action: &str, address: &Address) -> Error {
    let made = match error.as_db_error() {
        Some(refusal) => {
            let code = refusal.code().code();
            let rule = state_rule(code);
            let kind = rule.map_or(ErrorKind::Protocol, |rule| rule.kind);
            let text = match rule {
                Some(rule) if rule.shows_message => refusal.message(),
                Some(rule) => rule.text,
                None => "the server refused the statement",
            };
            let made = Error::new(kind, format!("{action}: {text}")).with_code(code);
            match rule.map(|rule| rule.remedy).filter(|remedy| !remedy.is_empty()) {
                Some(remedy) => made.with_remedy(remedy),
                None => made,
            }
        }
        None if error.is_closed() || io_error(error).is_some() => {
            Error::new(ErrorKind::Unavailable, format!("{action}: the connection broke"))
        }
        None => Error::new(ErrorKind::Protocol, format!("{action}: the answer is not in the form of one")),
    };
    made.with_context("address", &address.shown)
}

/// As [`query_error`], of a statement about one table.
pub(super) fn table_error(error: &tokio_postgres::Error, action: &str, table: &TableName, address: &Address) -> Error {
    let made = query_error(error, action, address).with_context("table", table);
    let Some(refusal) = error.as_db_error().filter(|_| made.kind() == ErrorKind::Forbidden) else { return made };
    if refusal.message().contains("row-level security") {
        return made.with_remedy(SEE_ALL_ROWS);
    }
    let role = address.config.get_user().and_then(|user| user.split('.').next()).unwrap_or_default();
    made.with_remedy(format!("as the owner, run: {}", grant_statement(table, role)))
}

/// Which roles see all rows.
pub(super) const SEE_ALL_ROWS: &str = "connect as postgres, or as another role with bypassrls, or pass --allow-partial to \
    migrate only the rows that this role sees";

/// Codes of "Error Codes" in the Postgres docs; Supavisor, the hosted pooler, answers an unknown project with `XX000`.
fn refused(code: &str, message: &str, address: &Address) -> (ErrorKind, &'static str, &'static str) {
    let message = message.to_lowercase();
    let is_unknown_tenant = message.contains("tenant or user not found") || message.contains("enotfound");
    match code {
        _ if is_unknown_tenant => (
            ErrorKind::Config,
            "the pooler does not know the project",
            "the user must be postgres.<ref> and the host the one of the project's region: copy both from the Connect dialog",
        ),
        "28P01" => (
            ErrorKind::Unauthorized,
            "the password was refused",
            "check the password in SUPABASE_DB_URL, with special characters percent-encoded; it can be reset in the \
             project's database settings",
        ),
        "28000"
            if message.starts_with("no pg_hba.conf entry")
                && ["no encryption", "ssl off"].iter().any(|words| message.contains(words)) =>
        {
            (ErrorKind::Config, "the server wants an encrypted connection", "use sslmode=require")
        }
        "28000" if address.is_pooler => {
            (ErrorKind::Unauthorized, "the user was refused", "the pooler's user is postgres.<ref>")
        }
        "28000" => (ErrorKind::Unauthorized, "the user was refused", "check the user in SUPABASE_DB_URL"),
        "3D000" => (ErrorKind::Config, "there is no such database", "a hosted project's database is called postgres"),
        "42501" => (ErrorKind::Forbidden, "the role may not connect", "grant connect on the database to it"),
        "53300" => (
            ErrorKind::Unavailable,
            "all connections are taken",
            "close some, or use the transaction pooler's connection string (port 6543)",
        ),
        "57P01" | "57P02" | "57P03" => (ErrorKind::Unavailable, "the server is starting or stopping", "try again"),
        _ if code.starts_with("08") || code.starts_with("53") => {
            (ErrorKind::Unavailable, "the server cannot serve for now", "try again")
        }
        _ => (ErrorKind::Unexpected, "the server refused the connection", "look up the code in the Postgres docs"),
    }
}

fn unreached(error: &io::Error, address: &Address) -> (ErrorKind, &'static str, &'static str) {
    let direct = |otherwise: &'static str| if address.is_direct() { POOLER } else { otherwise };
    match error.kind() {
        io::ErrorKind::ConnectionRefused => (ErrorKind::Unreachable, "nothing listens there", "check host and port"),
        io::ErrorKind::NetworkUnreachable | io::ErrorKind::HostUnreachable | io::ErrorKind::AddrNotAvailable => {
            (ErrorKind::Unreachable, "there is no way to the host", direct("check host and network"))
        }
        io::ErrorKind::TimedOut => (
            ErrorKind::TimedOut,
            "nothing answers in time",
            direct("check host and port, and that the project's network restrictions allow this address"),
        ),
        io::ErrorKind::InvalidData => (
            ErrorKind::Config,
            "the server's certificate is not trusted",
            "download the project's certificate and add sslrootcert=<file>, or use sslmode=require",
        ),
        io::ErrorKind::ConnectionReset | io::ErrorKind::UnexpectedEof | io::ErrorKind::BrokenPipe => {
            (ErrorKind::Unavailable, "the connection broke", "try again")
        }
        // The system's resolver has no kind of its own for a name without an address.
        _ if is_lookup(error) => (
            ErrorKind::Unreachable,
            "the host's name has no address here",
            direct("check the host's name and the network"),
        ),
        _ => (ErrorKind::Unreachable, "the host cannot be reached", direct("check host, port and network")),
    }
}

/// What the driver itself refuses: its errors have no kind that can be asked for.
fn unmade(error: &tokio_postgres::Error, address: &Address) -> (ErrorKind, &'static str, &'static str) {
    if address.config.get_password().is_none() {
        return (ErrorKind::Config, "the server asks for a password", "put the database password into SUPABASE_DB_URL");
    }
    if error.to_string().contains("TLS") {
        return (
            ErrorKind::Config,
            "no encrypted connection could be made",
            "the server may have none (sslmode=disable, on a network of your own only), or its certificate is not \
             trusted (sslrootcert=<file>)",
        );
    }
    if error.is_closed() {
        return (ErrorKind::Unavailable, "the connection broke", "try again");
    }
    (ErrorKind::Unexpected, "the connection was not made", "check SUPABASE_DB_URL")
}

fn is_lookup(error: &io::Error) -> bool {
    error.to_string().contains("lookup")
}

fn io_error(error: &tokio_postgres::Error) -> Option<&io::Error> {
    let mut cause = error.source();
    while let Some(found) = cause {
        if let Some(io) = found.downcast_ref() {
            return Some(io);
        }
        cause = found.source();
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_decide_on_the_remedy() {
        let direct = Address::parse("postgres://postgres:hunter2@db.abc.supabase.co/postgres").unwrap();
        let other = Address::parse("postgres://postgres:hunter2@db.example.com/postgres").unwrap();
        let lookup = || io::Error::other("failed to lookup address information: No address associated with hostname");
        let (kind, _, remedy) = unreached(&lookup(), &direct);
        assert_eq!(kind, ErrorKind::Unreachable);
        assert!(remedy.contains("session pooler"));
        assert!(!unreached(&lookup(), &other).2.contains("pooler"));
        assert!(unreached(&io::Error::from(io::ErrorKind::NetworkUnreachable), &direct).2.contains("IPv6"));
        assert!(connect_timeout(&direct).to_string().contains("db.abc.supabase.co:5432"));
    }

    #[test]
    fn poolers_name_what_they_do_not_know() {
        let pooled = Address::parse("postgres://postgres:x@aws-0-eu.pooler.supabase.com:6543/postgres").unwrap();
        assert_eq!(refused("XX000", "Tenant or user not found", &pooled).0, ErrorKind::Config);
        assert_eq!(refused("28P01", "password authentication failed", &pooled).0, ErrorKind::Unauthorized);
        assert_eq!(refused("53300", "too many clients", &pooled).0, ErrorKind::Unavailable);
    }
}
