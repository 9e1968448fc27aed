//! The driver's errors as the pipeline's. No password and no value of a row passes through here.

use std::error::Error as StdError;
use std::io;

use migrate_core::{Error, ErrorKind};

use super::address::Address;

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

/// The error of a statement. What the server says of a right or a name is shown; the rest may quote values.
pub(super) fn query_error(error: &tokio_postgres::Error, action: &str, address: &Address) -> Error {
    let made = match error.as_db_error() {
        Some(refusal) => {
            let code = refusal.code().code();
            let kind = match code {
                "42501" => ErrorKind::Forbidden,
                "57014" => ErrorKind::TimedOut,
                "57P01" | "57P02" | "57P03" | "40001" | "40P01" | "55P03" => ErrorKind::Unavailable,
                _ if code.starts_with("08") || code.starts_with("53") => ErrorKind::Unavailable,
                _ => ErrorKind::Protocol,
            };
            let text = match code {
                "42501" => format!("{action}: {}", refusal.message()),
                "57014" => format!("{action}: the statement took too long"),
                _ => format!("{action}: the server refused the statement"),
            };
            Error::new(kind, text).with_code(code)
        }
        None if error.is_closed() || io_error(error).is_some() => {
            Error::new(ErrorKind::Unavailable, format!("{action}: the connection broke"))
        }
        None => Error::new(ErrorKind::Protocol, format!("{action}: the answer is not in the form of one")),
    };
    made.with_context("address", &address.shown)
}

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
