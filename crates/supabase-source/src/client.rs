//! Sends requests. The only file that knows the package `postgrest`.
//!
//! `postgrest` 1.6.0 composes a request well, but its own client has no timeout, no status check and an old HTTP stack,
//! and its `limit`, `exact_count`, `auth` and `schema` have sharp edges. So it composes, and what it built is sent by our
//! own client, with our own headers.

#![expect(clippy::disallowed_types, reason = "this is the one place for it")]

use std::fmt;
use std::time::{Duration, Instant};

use migrate_core::names::TableName;
use migrate_core::record::Record;
use migrate_core::{Error, ErrorKind, Result};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use postgrest::Postgrest;
use reqwest::header::{ACCEPT, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use reqwest::redirect::Policy;
use reqwest::{Method, Url};

use crate::decode::decode;
use crate::errors::{Attempt, parse_error, protocol_error, proxy_status_code, require_success, transport_error};
use crate::key::{self, KeyKind};
use crate::page_size::MOST_BYTES;
use crate::query::{Comparison, Filter, ReadQuery};
use crate::reply::{Reply, read_body};
use crate::settings::{SupabaseSettings, is_loopback};
use crate::table_read::TableRead;

/// What a path segment keeps as it is.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'_').remove(b'-').remove(b'.');

const ACCEPT_PROFILE: HeaderName = HeaderName::from_static("accept-profile");
const PREFER: HeaderName = HeaderName::from_static("prefer");

/// The preference of every read of rows: timestamps come in UTC (PostgREST 12 and later).
pub(crate) const IN_UTC: &str = "timezone=UTC";
const COUNTED: &str = "count=exact";

/// The connection to one project.
pub(crate) struct Client {
    http: reqwest::Client,
    composer: Postgrest,
    /// The list of users of Supabase Auth, which is beside the data API.
    users: Url,
    address: String,
    key: KeyKind,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("address", &self.address).field("key", &self.key).finish_non_exhaustive()
    }
}

/// A composed request: address and what `postgrest` wants in its headers.
struct Composed {
    url: Url,
    headers: HeaderMap,
}

impl Client {
    /// A client for the settings' project. It sends nothing yet.
    ///
    /// # Errors
    /// `Config` for an address or a key that cannot be one.
    pub(crate) fn new(settings: &SupabaseSettings) -> Result<Self> {
        let base = settings.rest_url()?;
        let (key, headers) = key::headers(&settings.key)?;
        let mut http = reqwest::Client::builder()
            .default_headers(headers)
            .user_agent(&settings.user_agent)
            .connect_timeout(settings.connect_timeout)
            .timeout(settings.request_timeout)
            .pool_idle_timeout(Duration::from_secs(90))
            .redirect(Policy::none());
        if is_loopback(&base) {
            http = http.no_proxy();
        }
        let http = http.build().map_err(|error| {
            Error::new(ErrorKind::Config, "set up the HTTP client").with_source(error.without_url())
        })?;
        let address = match (base.host_str(), base.port_or_known_default()) {
            (Some(host), Some(port)) => format!("{host}:{port}"),
            _ => String::new(),
        };
        let mut users = base.clone();
        users.set_path(&format!("{}/auth/v1/admin/users", base.path().trim_end_matches("/rest/v1")));
        users.set_query(Some("page=1&per_page=1"));
        Ok(Self { http, composer: Postgrest::new(base.as_str()), users, address, key })
    }

    /// Host and port.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// The kind of key in use.
    pub(crate) fn key(&self) -> &KeyKind {
        &self.key
    }

    /// What is tried, for an error.
    pub(crate) fn attempt<'a>(&'a self, action: &'a str, table: Option<&'a TableName>) -> Attempt<'a> {
        Attempt { action, table, key: &self.key, address: &self.address }
    }

    /// Reads rows, with the size of their body in bytes, decompressed.
    ///
    /// # Errors
    /// As [`parse_error`] and [`decode`]; `TooLarge` for a body of more than [`MOST_BYTES`], unless one row was asked for; `Unavailable` when fewer rows came than the answer's `Content-Range` says;
    /// `Protocol` when there are instants among them and the server does not say that it wrote them in UTC.
    pub(crate) async fn rows(&self, query: &ReadQuery, read: &TableRead, action: &str) -> Result<(Vec<Record>, u64)> {
        let attempt = self.attempt(action, Some(&query.table));
        let most = if query.limit == Some(1) { u64::MAX } else { MOST_BYTES };
        let reply = self.send_up_to(most, Method::GET, self.compose(query, &attempt)?, IN_UTC, &attempt).await?;
        require_success(reply.status, &reply.headers, &reply.body, &attempt)?;
        let records = decode(&reply.body, read)?;
        if reply.row_span().is_some_and(|rows| rows != records.len() as u64) {
            let text = format!("{action}: the answer holds fewer rows than it says");
            return Err(Error::new(ErrorKind::Unavailable, text).with_context("table", &query.table));
        }
        if read.has_instants() && !records.is_empty() && !reply.is_applied(IN_UTC) {
            let text = format!("{action}: the server does not say that it writes timestamptz in UTC");
            return Err(Error::new(ErrorKind::Protocol, text).with_context("table", &query.table).with_remedy(
                "use PostgREST 12 or later with db-timezone-enabled, and let no proxy take the headers Prefer and \
                 Preference-Applied away",
            ));
        }
        tracing::debug!(table = %query.table, rows = records.len(), bytes = reply.body.len(), "read rows");
        Ok((records, reply.body.len() as u64))
    }

    /// Asks whether a query without rows would succeed.
    ///
    /// # Errors
    /// As [`parse_error`].
    pub(crate) async fn probe(&self, query: &ReadQuery, action: &str) -> Result<()> {
        let attempt = self.attempt(action, Some(&query.table));
        let reply = self.send(Method::GET, self.compose(query, &attempt)?, IN_UTC, &attempt).await?;
        require_success(reply.status, &reply.headers, &reply.body, &attempt)
    }

    /// The exact number of rows, by a HEAD that reads none of them.
    ///
    /// A failed HEAD has no body: `Proxy-Status` names the code since PostgREST 13, else the same is asked with GET, but
    /// not of a server that asks to wait.
    ///
    /// # Errors
    /// As [`parse_error`].
    pub(crate) async fn count(&self, table: &TableName) -> Result<u64> {
        self.count_where(table, &[]).await
    }

    /// As [`Client::count`], of the rows that filters hold for.
    ///
    /// # Errors
    /// As [`parse_error`].
    pub(crate) async fn count_where(&self, table: &TableName, filters: &[Filter]) -> Result<u64> {
        let attempt = self.attempt("count the rows", Some(table));
        let query = ReadQuery { limit: Some(0), filters: filters.to_vec(), ..ReadQuery::of(table) };
        let mut reply = self.send(Method::HEAD, self.compose(&query, &attempt)?, COUNTED, &attempt).await?;
        let says_nothing = proxy_status_code(&reply.headers).is_none() && !reply.headers.contains_key(RETRY_AFTER);
        if !reply.status.is_success() && says_nothing {
            reply = self.send(Method::GET, self.compose(&query, &attempt)?, COUNTED, &attempt).await?;
        }
        if !reply.status.is_success() {
            return Err(parse_error(reply.status, &reply.headers, &reply.body, &attempt));
        }
        reply.total().ok_or_else(|| protocol_error(&attempt, "the answer does not say how many there are"))
    }

    /// By a HEAD, how many rows of a query one answer has, and how many there are.
    ///
    /// # Errors
    /// As [`parse_error`].
    pub(crate) async fn span(&self, query: &ReadQuery, action: &str) -> Result<Option<(u64, u64)>> {
        let attempt = self.attempt(action, Some(&query.table));
        let reply = self.send(Method::HEAD, self.compose(query, &attempt)?, COUNTED, &attempt).await?;
        require_success(reply.status, &reply.headers, &reply.body, &attempt)?;
        Ok(reply.row_span().zip(reply.total()))
    }

    /// Asks Supabase Auth for its users, whatever it answers.
    ///
    /// # Errors
    /// As [`transport_error`].
    pub(crate) async fn list_users(&self) -> Result<Reply> {
        let attempt = self.attempt("ask Supabase Auth for the key's rights", None);
        let composed = Composed { url: self.users.clone(), headers: HeaderMap::new() };
        self.send(Method::GET, composed, "", &attempt).await
    }

    /// The root of the data API: the OpenAPI document of `schema`.
    ///
    /// # Errors
    /// As [`parse_error`].
    pub(crate) async fn root(&self, schema: &str, action: &str) -> Result<Reply> {
        let attempt = self.attempt(action, None);
        let reply = self.send(Method::GET, self.compose_root(schema, &attempt)?, "", &attempt).await?;
        require_success(reply.status, &reply.headers, &reply.body, &attempt)?;
        Ok(reply)
    }

    /// Whether the root answers to this key, without the document where that succeeds.
    ///
    /// # Errors
    /// As [`parse_error`].
    pub(crate) async fn reach(&self, schema: &str, action: &str) -> Result<()> {
        let attempt = self.attempt(action, None);
        let reply = self.send(Method::HEAD, self.compose_root(schema, &attempt)?, "", &attempt).await?;
        if reply.status.is_success() { Ok(()) } else { self.root(schema, action).await.map(drop) }
    }

    async fn send(
        &self,
        method: Method,
        composed: Composed,
        prefer: &'static str,
        attempt: &Attempt<'_>,
    ) -> Result<Reply> {
        self.send_up_to(u64::MAX, method, composed, prefer, attempt).await
    }

    /// Sends, and reads the answer's body unless it has more bytes than `most`.
    async fn send_up_to(
        &self,
        most: u64,
        method: Method,
        composed: Composed,
        prefer: &'static str,
        attempt: &Attempt<'_>,
    ) -> Result<Reply> {
        let (asked, started) = (method.clone(), Instant::now());
        let mut request = self.http.request(method, composed.url).headers(composed.headers);
        if !prefer.is_empty() {
            request = request.header(PREFER, HeaderValue::from_static(prefer));
        }
        let response = request.send().await.map_err(|error| transport_error(error, attempt))?;
        let (status, headers) = (response.status(), response.headers().clone());
        let body = read_body(response, most, attempt).await?;
        // Neither the address, whose query has keys of rows, nor the body is for a log.
        tracing::debug!(
            method = %asked,
            action = attempt.action,
            table = attempt.table.map(tracing::field::display),
            status = status.as_u16(),
            bytes = body.len(),
            ms = started.elapsed().as_millis(),
            "request"
        );
        Ok(Reply { status, headers, body })
    }

    fn compose(&self, query: &ReadQuery, attempt: &Attempt<'_>) -> Result<Composed> {
        let name = query.table.name();
        if matches!(name, "." | "..") {
            return Err(protocol_error(attempt, "no address leads to a table of that name"));
        }
        let mut builder = self.composer.from(utf8_percent_encode(name, SEGMENT).to_string());
        if let Some(select) = &query.select {
            builder = builder.select(select);
        }
        let mut parameters: Vec<(&str, String)> = Vec::new();
        for filter in &query.filters {
            builder = match filter {
                Filter::Compare(column, Comparison::Eq, value) => builder.eq(column, value),
                Filter::Compare(column, Comparison::Gt, value) => builder.gt(column, value),
                Filter::Compare(column, Comparison::Gte, value) => builder.gte(column, value),
                Filter::Compare(column, Comparison::Lt, value) => builder.lt(column, value),
                Filter::In(column, values) => builder.in_(column, values),
                Filter::Or(conditions) => builder.or(conditions),
                Filter::Parameter(name, value) => {
                    parameters.push((name, value.clone()));
                    builder
                }
            };
        }
        if let Some(order) = &query.order {
            builder = builder.order(order);
        }
        parameters.extend(query.limit.iter().map(|limit| ("limit", limit.to_string())));
        let built = builder.build().query(&parameters).build();
        let built = built.map_err(|_| protocol_error(attempt, "the request cannot be built"))?;
        let headers = built.headers().iter().map(|(name, value)| (name.as_str(), value.as_bytes()));
        Self::composed(built.url().as_str(), headers, query.table.schema(), attempt)
    }

    fn compose_root(&self, schema: &str, attempt: &Attempt<'_>) -> Result<Composed> {
        let built = self.composer.from("").build().build();
        let built = built.map_err(|_| protocol_error(attempt, "the request cannot be built"))?;
        let headers = [(ACCEPT.as_str(), "application/openapi+json".as_bytes())];
        Self::composed(built.url().as_str(), headers.into_iter(), schema, attempt)
    }

    /// Takes a built request over to our own HTTP stack, and names the schema: the composer panics on one outside ASCII.
    fn composed<'h>(
        url: &str,
        built: impl Iterator<Item = (&'h str, &'h [u8])>,
        schema: &str,
        attempt: &Attempt<'_>,
    ) -> Result<Composed> {
        let refused = || protocol_error(attempt, "the request cannot be built");
        let mut headers = HeaderMap::new();
        for (name, value) in built {
            let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| refused())?;
            headers.insert(name, HeaderValue::from_bytes(value).map_err(|_| refused())?);
        }
        headers.insert(ACCEPT_PROFILE, HeaderValue::from_bytes(schema.as_bytes()).map_err(|_| refused())?);
        Ok(Composed { url: Url::parse(url).map_err(|_| refused())?, headers })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_composed_and_encoded() {
        let client = Client::new(&SupabaseSettings::new("https://abc.supabase.co", "sb_secret_hunter2")).unwrap();
        let table = TableName::new("schéma", "a b/c?#é").unwrap();
        let query = ReadQuery {
            select: Some("\"id\",\"j\":\"meta\"::text".into()),
            filters: vec![
                Filter::Compare("\"id\"".into(), Comparison::Gt, "2024-01-01T00:00:00+05:30".into()),
                Filter::In("\"k\"".into(), vec!["\"a,b\"".into(), "\"c\"".into()]),
                Filter::Or("and(\"a\".eq.\"x\")".into()),
                Filter::Parameter("or".into(), "(a.gt.1,b.eq.+)".into()),
            ],
            order: Some("\"id\".asc".into()),
            limit: Some(7),
            table,
        };
        let composed = client.compose(&query, &client.attempt("read", None)).unwrap();
        assert_eq!(
            composed.url.as_str(),
            "https://abc.supabase.co/rest/v1/a%20b%2Fc%3F%23%C3%A9?select=%22id%22%2C%22j%22%3A%22meta%22%3A%3Atext\
             &%22id%22=gt.2024-01-01T00%3A00%3A00%2B05%3A30&%22k%22=in.%28%22a%2Cb%22%2C%22c%22%29\
             &or=%28and%28%22a%22.eq.%22x%22%29%29&order=%22id%22.asc\
             &or=%28a.gt.1%2Cb.eq.%2B%29&limit=7"
        );
        assert_eq!(composed.headers[ACCEPT], "application/json");
        assert_eq!(composed.headers[ACCEPT_PROFILE].as_bytes(), "schéma".as_bytes());
        assert!(!composed.headers.contains_key("range"));
        let root = client.compose_root("public", &client.attempt("read", None)).unwrap();
        assert_eq!(root.url.as_str(), "https://abc.supabase.co/rest/v1/");
        assert_eq!(root.headers[ACCEPT], "application/openapi+json");
        assert!(!format!("{client:?}").contains("hunter2"));
    }
}
