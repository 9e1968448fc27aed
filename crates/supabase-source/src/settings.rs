//! What the source is told: address, key, schema, and what it may do.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use migrate_core::names::{DEFAULT_SCHEMA, TableName};
use migrate_core::{Error, ErrorKind, Result};
use reqwest::Url;
use secrecy::SecretString;

/// The `User-Agent` of every request. Secret keys are refused with 401 for agents that look like a browser, and an
/// absent one is a poor guest in the project's logs.
pub const DEFAULT_USER_AGENT: &str = concat!("supabase-to-convex/", env!("CARGO_PKG_VERSION"));

const PROJECT_URL: &str = "give the project URL, such as https://abcdefghijklmnopqrst.supabase.co";

/// How to reach a project and how to behave there.
#[derive(Debug, Clone)]
pub struct SupabaseSettings {
    /// The project URL, `https://<ref>.supabase.co`; `/rest/v1` is appended unless it ends in it.
    pub url: String,
    /// A secret key (`sb_secret_…`) or a legacy JWT key. Its debug form is redacted.
    pub key: SecretString,
    /// The schemas that are discovered; `public` by default. Tables name their own schema when they are read.
    pub schemas: Vec<String>,
    /// A Postgres connection string of the same project, as `SUPABASE_DB_URL` holds it: discovery then reads the catalog
    /// of Postgres too, which tells more. Its debug form is redacted.
    pub database_url: Option<SecretString>,
    /// Tables that discovery reports even where the project does not list them.
    pub expected_tables: Vec<TableName>,
    /// Which rows of a table are read, in PostgREST's query syntax: `status=eq.active&or=(price.gt.1,price.is.null)`.
    ///
    /// It is written as in an address: `%26` is `&`, and as `+` means a space, a plus sign is `%2B`. It holds for pages
    /// and counts, not for rows that are fetched by key or counted by discovery.
    pub filters: BTreeMap<TableName, String>,
    /// Accepts a key that row-level security hides rows from.
    pub allow_partial: bool,
    /// Accepts plain HTTP to another host than this one, which sends the key in the clear.
    pub allow_http: bool,
    /// The `User-Agent` header.
    pub user_agent: String,
    /// Time to reach the server.
    pub connect_timeout: Duration,
    /// Time for one request with its whole answer. The hosted data API ends a request after 60 s.
    pub request_timeout: Duration,
    /// Requests that discovery has under way at once. Hosted projects share 10 connections with the live application.
    pub concurrency: usize,
}

impl SupabaseSettings {
    /// Settings with the defaults: schema `public`, 10 s to connect, 70 s for a request, 4 requests at once.
    pub fn new(url: impl Into<String>, key: impl Into<SecretString>) -> Self {
        Self {
            url: url.into(),
            key: key.into(),
            schemas: vec![DEFAULT_SCHEMA.to_owned()],
            database_url: None,
            expected_tables: Vec::new(),
            filters: BTreeMap::new(),
            allow_partial: false,
            allow_http: false,
            user_agent: DEFAULT_USER_AGENT.to_owned(),
            connect_timeout: Duration::from_secs(10),
            request_timeout: Duration::from_secs(70),
            concurrency: 4,
        }
    }

    /// The address of PostgREST, without a slash at its end.
    ///
    /// # Errors
    /// `Config` for what is no project URL. The URL itself is not shown: it may hold a password.
    pub(crate) fn rest_url(&self) -> Result<Url> {
        let config = |message: &str, remedy: &str| Error::new(ErrorKind::Config, message).with_remedy(remedy);
        let mut url = Url::parse(self.url.trim()).map_err(|_| config("read the Supabase URL", PROJECT_URL))?;
        match url.scheme() {
            "https" => {}
            "http" if self.allow_http || is_loopback(&url) => {}
            "http" => {
                return Err(config(
                    "send the Supabase key over plain HTTP",
                    "use https, or allow plain HTTP if the network in between is yours",
                ));
            }
            "postgres" | "postgresql" => {
                return Err(config("use a Postgres connection string as the Supabase URL", PROJECT_URL));
            }
            _ => return Err(config("use a Supabase URL that is neither http nor https", PROJECT_URL)),
        }
        if matches!(url.host_str(), Some("supabase.com" | "www.supabase.com" | "api.supabase.com")) {
            return Err(config("use an address of supabase.com as the Supabase URL", PROJECT_URL));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(config("use a Supabase URL that holds a user name or a password", PROJECT_URL));
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(config("use a Supabase URL with a query or a fragment", PROJECT_URL));
        }
        let path = url.path().trim_end_matches('/');
        let path = if path.ends_with("/rest/v1") { path.to_owned() } else { format!("{path}/rest/v1") };
        url.set_path(&path);
        Ok(url)
    }
}

/// Whether the URL leads to this very host.
pub(crate) fn is_loopback(url: &Url) -> bool {
    url.host_str().is_some_and(|host| {
        let host = host.trim_start_matches('[').trim_end_matches(']');
        host == "localhost"
            || host.ends_with(".localhost")
            || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rest(url: &str) -> Result<String> {
        SupabaseSettings::new(url, "sb_secret_x").rest_url().map(String::from)
    }

    #[test]
    fn the_data_api_is_found_under_the_project_url() {
        for url in ["https://abc.supabase.co", "https://abc.supabase.co/", "https://abc.supabase.co/rest/v1/"] {
            assert_eq!(rest(url).unwrap(), "https://abc.supabase.co/rest/v1");
        }
        assert_eq!(rest("http://127.0.0.1:54321").unwrap(), "http://127.0.0.1:54321/rest/v1");
        assert_eq!(rest("http://[::1]:1/").unwrap(), "http://[::1]:1/rest/v1");
        assert_eq!(rest("https://me.example/supabase/").unwrap(), "https://me.example/supabase/rest/v1");
    }

    #[test]
    fn what_is_no_project_url_is_refused_without_showing_it() {
        for url in [
            "abc.supabase.co",
            "http://abc.supabase.co",
            "postgres://postgres:hunter2@db.abc.supabase.co:5432/postgres",
            "https://user:hunter2@abc.supabase.co",
            "https://abc.supabase.co?apikey=hunter2",
            "https://supabase.com/dashboard/project/abc",
            "ftp://abc.supabase.co",
        ] {
            let error = rest(url).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Config, "{url}");
            assert!(!format!("{error:?}").contains("hunter2"), "{url}");
        }
        let mut settings = SupabaseSettings::new("http://10.0.0.7", "sb_secret_x");
        settings.allow_http = true;
        assert_eq!(settings.rest_url().unwrap().as_str(), "http://10.0.0.7/rest/v1");
        assert!(!format!("{settings:?}").contains("sb_secret_x"));
    }
}
