//! Tells a connection of one's own from a pooler's that gives every transaction another server process: such a pooler
//! holds no snapshot for a whole run, and a run would take its few processes away from the live application.

use std::time::Duration;

use migrate_core::{Error, ErrorKind, Result};
use tokio_postgres::Client;
use tokio_postgres::config::Host;

use super::address::Address;
use super::connect::connect;
use super::errors::{HOLD_SESSION, query_error};
use super::snapshot::first_text;

/// The port of Supabase's poolers in transaction mode (Supabase docs, "Connect to your database").
const TRANSACTION_PORT: u16 = 6543;

/// Refuses a pooler in transaction or statement mode, by its address or by what it does.
///
/// What it does: two connections are of two server processes, and each keeps its own. A pooler gives the process that the
/// one has just left to the other's transaction.
///
/// # Errors
/// `Config` naming the pooler; those of a connection.
pub(super) async fn require_session(address: &Address, limit: Duration) -> Result<()> {
    if is_of_transactions(address) {
        return Err(refuse(address, "a pooler in transaction mode (port 6543)"));
    }
    let (one, other) = (connect(address, limit).await?, connect(address, limit).await?);
    let before = process(&one, address).await?;
    if let Err(error) = other.batch_execute("begin").await {
        let is_refused = error.as_db_error().is_some_and(|refusal| refusal.code().code() == "08P01");
        return Err(if is_refused {
            refuse(address, "a pooler in statement mode")
        } else {
            query_error(&error, "begin a transaction", address)
        });
    }
    let of_other = process(&other, address).await?;
    let after = process(&one, address).await?;
    let ended = other.batch_execute("rollback").await;
    ended.map_err(|error| query_error(&error, "end a transaction", address))?;
    if before == of_other || before != after {
        return Err(refuse(address, "a pooler in transaction mode, such as PgBouncer or Supavisor"));
    }
    Ok(())
}

fn is_of_transactions(address: &Address) -> bool {
    let port = address.config.get_ports().first().copied();
    let is_hosted = match address.config.get_hosts().first() {
        Some(Host::Tcp(name)) => name.ends_with(".supabase.com") || name.ends_with(".supabase.co"),
        _ => false,
    };
    port == Some(TRANSACTION_PORT) && is_hosted
}

async fn process(client: &Client, address: &Address) -> Result<String> {
    let answer = client.simple_query("select pg_catalog.pg_backend_pid()").await;
    let answer = answer.map_err(|error| query_error(&error, "ask for the server process", address))?;
    first_text(&answer).ok_or_else(|| Error::new(ErrorKind::Protocol, "ask for the server process: none is named"))
}

fn refuse(address: &Address, what: &str) -> Error {
    Error::new(ErrorKind::Config, format!("read rows from Postgres in one snapshot through {what}: it holds none"))
        .with_context("address", &address.shown)
        .with_remedy(format!("{HOLD_SESSION}; or set supabase.access = \"rest\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosted_poolers_are_known_by_their_port() {
        let is_known = |url: &str| is_of_transactions(&Address::parse(url).unwrap());
        assert!(is_known("postgres://postgres.abc:x@aws-0-eu.pooler.supabase.com:6543/postgres"));
        assert!(is_known("postgres://postgres:x@db.abc.supabase.co:6543/postgres"));
        assert!(!is_known("postgres://postgres.abc:x@aws-0-eu.pooler.supabase.com:5432/postgres"));
        assert!(!is_known("postgres://postgres:x@127.0.0.1:6543/postgres"));
    }
}
