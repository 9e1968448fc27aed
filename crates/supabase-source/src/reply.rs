//! Answers of the data API.

use migrate_core::{Error, ErrorKind, Result};
use reqwest::header::{CONTENT_RANGE, HeaderMap, HeaderName};
use reqwest::{Response, StatusCode};

use crate::errors::{Attempt, transport_error};
use crate::page_size::CUT_OFF;

const PREFERENCE_APPLIED: HeaderName = HeaderName::from_static("preference-applied");

/// An answer, whole.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

/// The body of an answer. The rest of one that is larger than `most` is left unread, with the connection.
pub(crate) async fn read_body(mut response: Response, most: u64, attempt: &Attempt<'_>) -> Result<Vec<u8>> {
    let failed = |error| transport_error(error, attempt);
    let promised = response.content_length();
    if most == u64::MAX {
        return Ok(response.bytes().await.map_err(failed)?.into());
    }
    let mut body = Vec::with_capacity(usize::try_from(promised.unwrap_or_default().min(most)).unwrap_or_default());
    let mut is_whole = promised.is_none_or(|promised| promised <= most);
    while is_whole && let Some(chunk) = response.chunk().await.map_err(failed)? {
        body.extend_from_slice(&chunk);
        is_whole = body.len() as u64 <= most;
    }
    if is_whole {
        return Ok(body);
    }
    let error = Error::new(ErrorKind::TooLarge, format!("{}: so many bytes in one answer", attempt.action));
    let error = error.with_code(CUT_OFF).with_remedy("fewer rows are asked for; lower run.page_rows if it goes on");
    Err(match attempt.table {
        Some(table) => error.with_context("table", table),
        None => error,
    })
}

impl Reply {
    /// The rows that `Content-Range: 0-24/*` says are in the body; none where there are none or it does not say.
    pub(crate) fn row_span(&self) -> Option<u64> {
        let (span, _) = self.content_range()?;
        let (first, last) = span.split_once('-')?;
        let (first, last): (u64, u64) = (first.parse().ok()?, last.parse().ok()?);
        last.checked_sub(first)?.checked_add(1)
    }

    /// Whether `Preference-Applied` names this preference (RFC 7240 §3; PostgREST `Preferences.hs`).
    pub(crate) fn is_applied(&self, preference: &str) -> bool {
        let values = self.headers.get_all(PREFERENCE_APPLIED).iter().filter_map(|value| value.to_str().ok());
        values.flat_map(|value| value.split(',')).any(|applied| applied.trim().eq_ignore_ascii_case(preference))
    }

    /// The total in `Content-Range: 0-24/3573`.
    pub(crate) fn total(&self) -> Option<u64> {
        self.content_range()?.1.parse().ok()
    }

    fn content_range(&self) -> Option<(&str, &str)> {
        self.headers.get(CONTENT_RANGE)?.to_str().ok()?.split_once('/')
    }
}

#[cfg(test)]
mod tests {
    use reqwest::header::HeaderValue;

    use super::*;
    use crate::client::IN_UTC;

    #[test]
    fn preferences_are_applied_when_they_are_named() {
        let applied = |text: &'static str| {
            let headers = HeaderMap::from_iter([(PREFERENCE_APPLIED, HeaderValue::from_static(text))]);
            Reply { status: StatusCode::OK, headers, body: Vec::new() }.is_applied(IN_UTC)
        };
        assert!(applied("timezone=UTC") && applied("handling=strict, timezone=UTC"));
        assert!(!applied("timezone=UTC+3") && !applied("count=exact"));
    }

    #[test]
    fn content_ranges() {
        let reply = |text: &'static str| {
            let headers = HeaderMap::from_iter([(CONTENT_RANGE, HeaderValue::from_static(text))]);
            let reply = Reply { status: StatusCode::OK, headers, body: Vec::new() };
            (reply.row_span(), reply.total())
        };
        assert_eq!(reply("0-24/*"), (Some(25), None));
        assert_eq!(reply("*/3573"), (None, Some(3573)));
        assert_eq!(reply("*/*"), (None, None));
    }
}
