//! A connection string, taken apart: what the driver is told, and how the connection is encrypted.

use std::path::PathBuf;
use std::time::Duration;

use migrate_core::{Error, ErrorKind, Result};
use percent_encoding::percent_decode_str;
use tokio_postgres::Config;
use tokio_postgres::config::Host;

const EXAMPLE: &str = "give the connection string of the project's Connect dialog, such as \
    postgresql://postgres.<ref>:<password>@aws-0-<region>.pooler.supabase.com:5432/postgres, \
    with special characters of the password percent-encoded";

/// Where poolers work in transaction mode (Supabase docs, "Connect to your database").
const TRANSACTION_PORT: u16 = 6543;

/// How the connection is encrypted, by libpq's names (Postgres docs, "SSL Support", table of `sslmode`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SslMode {
    /// Not at all.
    Disable,
    /// Where the server can, without asking who it is.
    Prefer,
    /// Always, without asking who the server is.
    Require,
    /// Always, with a certificate for the host's name. `verify-ca`, which asks for less, is taken as this.
    VerifyFull,
}

/// Where a connection string leads, as far as it may be shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatabaseAddress {
    /// The host's name or address, or the folder of a socket.
    pub host: String,
    /// The port.
    pub port: u16,
    /// What answers there.
    pub kind: DatabaseHost,
}

/// What answers at an address, by Supabase's names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DatabaseHost {
    /// A hosted project's own host, `db.<ref>.supabase.co`, which has an IPv6 address only, unless it was bought an IPv4
    /// one.
    Direct,
    /// The pooler in session mode.
    SessionPooler,
    /// The pooler in transaction mode, port 6543: each transaction may be on another connection.
    TransactionPooler,
    /// Any other server.
    Other,
    /// A socket of this machine.
    Socket,
}

/// Where to connect.
#[derive(Debug, Clone)]
pub(super) struct Address {
    /// What the driver is told; its debug form hides the password.
    pub(super) config: Config,
    pub(super) ssl_mode: SslMode,
    /// Certificates that are trusted instead of the system's: `sslrootcert`.
    pub(super) root_certificate: Option<PathBuf>,
    /// Host and port, to be shown.
    pub(super) shown: String,
    pub(super) is_pooler: bool,
}

impl Address {
    /// Takes a connection string apart. Parameters of other programs, such as `pgbouncer=true`, are left out.
    ///
    /// # Errors
    /// `Config`, without any part of the string.
    pub(super) fn parse(url: &str) -> Result<Self> {
        let config_error =
            |text: &str, remedy: &str| Error::new(ErrorKind::Config, text).with_remedy(remedy.to_owned());
        let url = url.trim();
        if !url.starts_with("postgres://") && !url.starts_with("postgresql://") {
            return Err(config_error("use a database URL that is no Postgres connection string", EXAMPLE));
        }
        if url.contains("[YOUR-PASSWORD]") {
            return Err(config_error(
                "use a database URL with [YOUR-PASSWORD] in it",
                "put the database password there; it can be reset in the project's database settings",
            ));
        }
        let (base, query) = url.split_once('?').unwrap_or((url, ""));
        let mut kept = Vec::new();
        let (mut mode, mut root_certificate) = (None, None);
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let decoded = || percent_decode_str(value).decode_utf8_lossy().into_owned();
            match name {
                "sslmode" => mode = Some(decoded()),
                "sslrootcert" if decoded() != "system" => root_certificate = Some(PathBuf::from(decoded())),
                "user" | "password" | "dbname" | "host" | "hostaddr" | "port" | "options" | "channel_binding" => {
                    kept.push(pair);
                }
                _ => {}
            }
        }
        let text = if kept.is_empty() { base.to_owned() } else { format!("{base}?{}", kept.join("&")) };
        let mut config: Config = text.parse().map_err(|_| config_error("read the database URL", EXAMPLE))?;
        let Some(host) = config.get_hosts().first() else {
            return Err(config_error("use a database URL without a host", EXAMPLE));
        };
        if config.get_user().is_none() {
            return Err(config_error("use a database URL without a user", EXAMPLE));
        }
        let port = config.get_ports().first().copied().unwrap_or(5432);
        let (shown, is_local, is_pooler) = match host {
            Host::Tcp(name) => (format!("{name}:{port}"), is_loopback(name), name.ends_with(".pooler.supabase.com")),
            #[cfg(unix)]
            Host::Unix(path) => (path.display().to_string(), true, false),
        };
        let ssl_mode = match (mode.as_deref(), &root_certificate) {
            (Some("disable"), _) => SslMode::Disable,
            (Some("allow" | "prefer"), _) => SslMode::Prefer,
            (Some("verify-ca" | "verify-full"), _) | (Some("require") | None, Some(_)) => SslMode::VerifyFull,
            (None, None) if is_local => SslMode::Prefer,
            (Some("require") | None, None) => SslMode::Require,
            (Some(_), _) => {
                return Err(config_error(
                    "use a database URL with an unknown sslmode",
                    "use one of disable, prefer, require, verify-full",
                ));
            }
        };
        config.ssl_mode(match ssl_mode {
            SslMode::Disable => tokio_postgres::config::SslMode::Disable,
            SslMode::Prefer => tokio_postgres::config::SslMode::Prefer,
            SslMode::Require | SslMode::VerifyFull => tokio_postgres::config::SslMode::Require,
        });
        config.application_name("supabase-to-convex").keepalives_idle(Duration::from_secs(30));
        Ok(Self { config, ssl_mode, root_certificate, shown, is_pooler })
    }

    /// The reference of the Supabase project, where host or user name it: `db.<ref>.supabase.co`, `postgres.<ref>`.
    pub(super) fn project(&self) -> Option<&str> {
        if self.is_pooler {
            return self.config.get_user()?.split_once('.').map(|(_, project)| project);
        }
        match self.config.get_hosts().first()? {
            Host::Tcp(name) => name.strip_prefix("db.")?.strip_suffix(".supabase.co"),
            #[cfg(unix)]
            Host::Unix(_) => None,
        }
    }

    /// Where it leads, without user and password.
    pub(super) fn public(&self) -> DatabaseAddress {
        let port = self.config.get_ports().first().copied().unwrap_or(5432);
        let (host, kind) = match self.config.get_hosts().first() {
            #[cfg(unix)]
            Some(Host::Unix(path)) => (path.display().to_string(), DatabaseHost::Socket),
            Some(Host::Tcp(name)) if self.is_pooler && port == TRANSACTION_PORT => {
                (name.clone(), DatabaseHost::TransactionPooler)
            }
            Some(Host::Tcp(name)) if self.is_pooler => (name.clone(), DatabaseHost::SessionPooler),
            Some(Host::Tcp(name)) if self.is_direct() => (name.clone(), DatabaseHost::Direct),
            Some(Host::Tcp(name)) => (name.clone(), DatabaseHost::Other),
            None => (String::new(), DatabaseHost::Other),
        };
        DatabaseAddress { host, port, kind }
    }

    /// Whether this is the direct host of a hosted project, which has an IPv6 address only.
    pub(super) fn is_direct(&self) -> bool {
        !self.is_pooler && self.project().is_some()
    }
}

fn is_loopback(host: &str) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sslmode_is_libpqs_and_other_programs_parameters_are_left_out() {
        let mode = |url: &str| Address::parse(url).unwrap().ssl_mode;
        let remote = "postgresql://postgres.abc:hunter2@aws-0-eu-west-1.pooler.supabase.com:6543/postgres";
        assert_eq!(mode(remote), SslMode::Require);
        assert_eq!(mode(&format!("{remote}?pgbouncer=true&connection_limit=1&sslmode=disable")), SslMode::Disable);
        assert_eq!(mode(&format!("{remote}?sslmode=verify-ca")), SslMode::VerifyFull);
        assert_eq!(mode(&format!("{remote}?sslrootcert=/etc/prod-ca-2021.crt")), SslMode::VerifyFull);
        assert_eq!(mode("postgres://postgres:postgres@127.0.0.1:54322/postgres"), SslMode::Prefer);
        assert_eq!(mode("postgres://postgres@localhost/postgres?sslmode=require"), SslMode::Require);
    }

    #[test]
    fn projects_are_known_by_their_address() {
        let pooled = Address::parse("postgres://postgres.abc:x@aws-0-eu.pooler.supabase.com:5432/postgres").unwrap();
        assert_eq!((pooled.project(), pooled.is_pooler, pooled.is_direct()), (Some("abc"), true, false));
        let direct = Address::parse("postgres://postgres:x@db.abc.supabase.co/postgres").unwrap();
        assert_eq!((direct.project(), direct.is_direct()), (Some("abc"), true));
        assert_eq!(direct.shown, "db.abc.supabase.co:5432");
        let local = Address::parse("postgres://postgres:x@127.0.0.1:54322/postgres").unwrap();
        assert_eq!((local.project(), local.is_direct()), (None, false));
    }

    #[test]
    fn hosts_are_told_apart_without_the_password() {
        for (url, host, port, kind) in [
            (
                "postgres.abc:hunter2@aws-0-eu.pooler.supabase.com:6543",
                "aws-0-eu.pooler.supabase.com",
                6543,
                "TransactionPooler",
            ),
            (
                "postgres.abc:hunter2@aws-0-eu.pooler.supabase.com:5432",
                "aws-0-eu.pooler.supabase.com",
                5432,
                "SessionPooler",
            ),
            ("postgres:hunter2@db.abc.supabase.co", "db.abc.supabase.co", 5432, "Direct"),
            ("postgres:hunter2@db.example.com:6543", "db.example.com", 6543, "Other"),
            ("postgres:hunter2@%2Fvar%2Frun", "/var/run", 5432, "Socket"),
        ] {
            let address = Address::parse(&format!("postgres://{url}/postgres")).unwrap().public();
            assert_eq!((address.host.as_str(), address.port), (host, port));
            assert_eq!(format!("{:?}", address.kind), kind, "{url}");
        }
    }

    #[test]
    fn what_is_no_connection_string_is_refused_without_showing_it() {
        for url in [
            "https://abc.supabase.co?x=hunter2",
            "host=localhost password=hunter2",
            "postgres://postgres:hunter2@db.abc.supabase.co:x/postgres",
            "postgres://postgres:hunter2@db.abc.supabase.co/postgres?sslmode=hunter2",
            "postgres://db.abc.supabase.co/hunter2",
            "postgres://postgres:hunter2@",
            "postgresql://postgres:[YOUR-PASSWORD]@db.hunter2.supabase.co:5432/postgres",
        ] {
            let error = Address::parse(url).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Config, "{url}");
            assert!(!format!("{error} {error:?}").contains("hunter2"), "{url}");
        }
        let kept = Address::parse("postgres://postgres:hunter2@localhost/postgres").unwrap();
        assert!(!format!("{kept:?}").contains("hunter2"));
    }
}
