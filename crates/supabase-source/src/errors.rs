//! Answers and transport failures as the pipeline's errors. No row value and no key passes through here.

use std::time::Duration;

use migrate_core::layer::retry_after;
use migrate_core::names::TableName;
use migrate_core::{Error, ErrorKind, Result};
use reqwest::StatusCode;
use reqwest::header::{HeaderMap, RETRY_AFTER};
use serde::Deserialize;

use crate::error_rules::{Show, code_rule, status_rule};
use crate::key::KeyKind;

/// What is said of a failure whose code no rule has.
const UNKNOWN_CODE: &str = "the data API failed with a code that is not known here";

/// Longer texts of a server are cut.
const MESSAGE_CHARS: usize = 240;

/// What was tried, for the error that says it failed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Attempt<'a> {
    /// Fits after "failed to …".
    pub(crate) action: &'a str,
    /// The table it was about.
    pub(crate) table: Option<&'a TableName>,
    /// The kind of key it was tried with.
    pub(crate) key: &'a KeyKind,
    /// Host and port.
    pub(crate) address: &'a str,
}

/// The body of a PostgREST error. `details` is left out: it quotes values.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Body {
    code: Option<String>,
    message: Option<String>,
    hint: Option<String>,
}

/// The error that an answer without success means.
///
/// The code is taken from the body, else from `Proxy-Status` (`PostgREST; error=CODE`, PostgREST 13 and later, the only
/// sign on HEAD); without a code the status speaks, as for the HTML pages of gateways.
pub(crate) fn parse_error(status: StatusCode, headers: &HeaderMap, body: &[u8], attempt: &Attempt<'_>) -> Error {
    let body: Body = serde_json::from_slice(body).unwrap_or_default();
    let own_code = body.code.as_deref().filter(|code| is_code(code));
    let code = own_code.or_else(|| proxy_status_code(headers));
    let rule = code.and_then(code_rule);
    let (mut kind, text, remedy, mut show) = match (rule, status_rule(status.as_u16())) {
        (Some(rule), _) => (rule.kind, rule.text, rule.remedy, rule.show),
        // PostgREST and Postgres name what failed, and another attempt would meet it again.
        (None, Some(rule)) if code.is_some() && rule.kind == ErrorKind::UnknownOutcome => {
            (ErrorKind::Unexpected, UNKNOWN_CODE, "", Show::Code)
        }
        (None, Some(rule)) => (rule.kind, rule.text, rule.remedy, Show::Code),
        (None, None) => (ErrorKind::Protocol, "the answer has a status that means nothing here", "", Show::Code),
    };
    // The words are of the body, so its own code must say that they may pass.
    if own_code.is_none() {
        show = Show::Code;
    }
    let shown = body.message.as_deref().filter(|message| show != Show::Code && may_pass(code, message));
    if code == Some("PGRST303") && shown.is_some_and(|message| message.contains("expired")) {
        kind = ErrorKind::Unauthorized;
    }
    let text = match shown {
        Some(message) => format!("{}: {text}: {}", attempt.action, cut(message)),
        None => format!("{}: {text}", attempt.action),
    };
    let mut error = Error::new(kind, text);
    error = error.with_code(code.map_or_else(|| status.as_u16().to_string(), str::to_owned));
    if let Some(table) = attempt.table {
        error = error.with_context("table", table);
    }
    error = error.with_context("status", status.as_u16());
    if let Some(code) = code {
        error = error.with_context("code", code);
    }
    if let Some(delay) = asked_delay(headers) {
        error = error.with_retry_after(delay);
    }
    let remedy = match (kind, attempt.table) {
        (ErrorKind::Forbidden, _) if code == Some("42501") => grant_remedy(attempt, shown.unwrap_or_default()),
        (ErrorKind::Unauthorized, _) => refused_remedy(attempt, remedy),
        _ => match body.hint.as_deref().filter(|_| show == Show::Hint) {
            Some(hint) if !hint.is_empty() => format!("{} ({remedy})", cut(hint).trim_end_matches('.')),
            _ => remedy.to_owned(),
        },
    };
    if remedy.is_empty() { error } else { error.with_remedy(remedy) }
}

/// The error of a request that got no whole answer. The address is named without path and query.
pub(crate) fn transport_error(error: reqwest::Error, attempt: &Attempt<'_>) -> Error {
    let (kind, text) = if error.is_connect() {
        (ErrorKind::Unreachable, "nothing answers")
    } else if error.is_timeout() {
        (ErrorKind::TimedOut, "the answer did not come in time")
    } else if error.is_builder() {
        (ErrorKind::Protocol, "the request cannot be built")
    } else {
        (ErrorKind::Unavailable, "the connection broke before the answer was whole")
    };
    let made = Error::new(kind, format!("{}: {text}", attempt.action)).with_context("address", attempt.address);
    let made = match attempt.table {
        Some(table) => made.with_context("table", table),
        None => made,
    };
    let made = if kind == ErrorKind::Unreachable {
        made.with_remedy("check the project URL and the network; a paused project has no address either")
    } else {
        made
    };
    made.with_source(error.without_url())
}

/// An answer with success that breaks the protocol.
pub(crate) fn protocol_error(attempt: &Attempt<'_>, text: &str) -> Error {
    let error = Error::new(ErrorKind::Protocol, format!("{}: {text}", attempt.action));
    match attempt.table {
        Some(table) => error.with_context("table", table),
        None => error.with_context("address", attempt.address),
    }
}

/// The statement that lets `role` read a table. New tables of `public` have no grants since 2026, the service role's
/// included (Supabase changelog 45329).
pub(crate) fn grant_statement(table: &TableName, role: &str) -> String {
    format!("grant select on {}.{} to {};", identifier(table.schema()), identifier(table.name()), identifier(role))
}

/// The wait that a server asks for.
fn asked_delay(headers: &HeaderMap) -> Option<Duration> {
    retry_after(headers.get(RETRY_AFTER)?.to_str().ok()?)
}

/// The code in `Proxy-Status: PostgREST; error=CODE`.
pub(crate) fn proxy_status_code(headers: &HeaderMap) -> Option<&str> {
    let text = headers.get("proxy-status")?.to_str().ok()?;
    text.split(';').find_map(|part| part.trim().strip_prefix("error=")).map(str::trim).filter(|code| is_code(code))
}

/// `Err` with the error of `parse_error` unless the status is a success.
pub(crate) fn require_success(
    status: StatusCode,
    headers: &HeaderMap,
    body: &[u8],
    attempt: &Attempt<'_>,
) -> Result<()> {
    if status.is_success() { Ok(()) } else { Err(parse_error(status, headers, body, attempt)) }
}

/// Codes are passed on, so nothing else may look like one.
fn is_code(text: &str) -> bool {
    (5..=8).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit())
}

/// A function of the project may raise 42501 with words of its own.
fn may_pass(code: Option<&str>, message: &str) -> bool {
    code != Some("42501") || message.starts_with("permission denied for ")
}

fn cut(text: &str) -> String {
    text.chars().filter(|char| !char.is_control()).take(MESSAGE_CHARS).collect()
}

fn grant_remedy(attempt: &Attempt<'_>, message: &str) -> String {
    let role = attempt.key.role();
    match attempt.table {
        Some(table) if message.starts_with("permission denied for schema") => {
            format!("run: grant usage on schema {} to {};", identifier(table.schema()), identifier(role))
        }
        Some(table) => format!("run: {}", grant_statement(table, role)),
        None => "use a secret key or the legacy service_role key".to_owned(),
    }
}

fn refused_remedy(attempt: &Attempt<'_>, remedy: &str) -> String {
    format!(
        "{} was sent in {}; {remedy}; the keys are on the project's API keys page, where legacy keys may be disabled",
        attempt.key,
        attempt.key.headers_named()
    )
}

pub(crate) fn identifier(name: &str) -> String {
    let simple = name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
        && !name.starts_with(|char: char| char.is_ascii_digit());
    if simple { name.to_owned() } else { format!("\"{}\"", name.replace('"', "\"\"")) }
}

#[cfg(test)]
mod tests {
    use reqwest::header::HeaderValue;

    use super::*;

    fn parse(status: u16, body: &str) -> Error {
        let table: TableName = "payments".parse().unwrap();
        let attempt = Attempt {
            action: "read a page",
            table: Some(&table),
            key: &KeyKind::Secret,
            address: "abc.supabase.co:443",
        };
        parse_error(StatusCode::from_u16(status).unwrap(), &HeaderMap::new(), body.as_bytes(), &attempt)
    }

    #[test]
    fn a_missing_grant_names_the_statement() {
        let error = parse(
            403,
            r#"{"code":"42501","message":"permission denied for table payments","details":null,"hint":null}"#,
        );
        assert_eq!(error.kind(), ErrorKind::Forbidden);
        assert_eq!(error.remedy(), Some("run: grant select on public.payments to service_role;"));
        let error = parse(403, r#"{"code":"42501","message":"permission denied for schema shop"}"#);
        assert_eq!(error.remedy(), Some("run: grant usage on schema public to service_role;"));
        assert!(
            !parse(403, r#"{"code":"42501","message":"user ann@example.com may not"}"#).to_string().contains("ann@")
        );
        let odd = TableName::new("Shop", "order \"x\"").unwrap();
        assert_eq!(
            grant_statement(&odd, "service_role"),
            "grant select on \"Shop\".\"order \"\"x\"\"\" to service_role;"
        );
    }

    #[test]
    fn missing_tables_of_both_generations_are_one_kind() {
        let new = parse(
            404,
            r#"{"code":"PGRST205","message":"Could not find the table 'public.payments' in the schema cache","hint":"Perhaps you meant the table 'public.payment'"}"#,
        );
        let old = parse(404, r#"{"code":"42P01","message":"relation \"public.payments\" does not exist"}"#);
        assert_eq!((new.kind(), new.code()), (ErrorKind::TableMissing, "PGRST205"));
        assert_eq!((old.kind(), old.code()), (ErrorKind::TableMissing, "42P01"));
        assert!(new.remedy().unwrap().contains("public.payment'"));
        assert_eq!(parse(404, r#"{"code":"42883","message":"operator does not exist"}"#).kind(), ErrorKind::Config);
    }

    #[test]
    fn values_of_rows_do_not_pass() {
        for body in [
            r#"{"code":"22P02","message":"invalid input syntax for type uuid: \"ann@example.com\""}"#,
            r#"{"code":"23505","message":"duplicate","details":"Key (email)=(ann@example.com) already exists."}"#,
            r#"{"code":"P0001","message":"no such customer ann@example.com"}"#,
            r#"{"code":"PGRST100","message":"\"failed to parse filter (eq.ann@example.com)\""}"#,
            r#"{"code":"ann@example.com","message":"ann@example.com"}"#,
            r#"{"message":"ann@example.com"}"#,
            "<html>ann@example.com</html>",
        ] {
            let error = parse(400, body);
            assert!(!format!("{error} {error:?}").contains("ann@"), "{body}");
            assert_eq!(error.disposition(), migrate_core::Disposition::Abort, "{body}");
        }
    }

    #[test]
    fn a_refused_key_is_named_by_kind_and_header() {
        let error = parse(401, "");
        assert_eq!(error.kind(), ErrorKind::Unauthorized);
        let remedy = error.remedy().unwrap();
        assert!(remedy.contains("a secret key (sb_secret_…) was sent in the apikey header alone"), "{remedy}");
        assert!(remedy.contains("API keys page"), "{remedy}");
        assert_eq!(parse(401, r#"{"code":"PGRST303","message":"JWT expired"}"#).kind(), ErrorKind::Unauthorized);
        assert_eq!(
            parse(401, r#"{"code":"PGRST303","message":"JWT issued at future"}"#).kind(),
            ErrorKind::Unavailable
        );
    }

    #[test]
    fn gateways_speak_by_status() {
        let paused = parse(540, "<!doctype html><title>Paused</title>");
        assert_eq!(paused.kind(), ErrorKind::Config);
        assert!(paused.to_string().contains("paused"));
        assert_eq!((parse(504, "").kind(), parse(504, "").code()), (ErrorKind::TimedOut, "504".to_owned().as_str()));
        let pool =
            parse(504, r#"{"code":"PGRST003","message":"Timed out acquiring connection from connection pool."}"#);
        assert_eq!((pool.kind(), pool.code()), (ErrorKind::RateLimited, "PGRST003"));
        assert_eq!(
            parse(500, r#"{"code":"57014","message":"canceling statement due to statement timeout"}"#).kind(),
            ErrorKind::TooLarge
        );
        assert_eq!(parse(302, "").kind(), ErrorKind::Config);
    }

    #[test]
    fn head_answers_carry_the_code_in_proxy_status() {
        let mut headers = HeaderMap::new();
        headers.insert("proxy-status", HeaderValue::from_static("PostgREST; error=PGRST205"));
        assert_eq!(proxy_status_code(&headers), Some("PGRST205"));
        headers.insert("proxy-status", HeaderValue::from_static("edge; error=dns_timeout"));
        assert_eq!(proxy_status_code(&headers), None);
    }
}
