use std::time::{Duration, SystemTime};

/// The wait that a `Retry-After` asks for: whole seconds, or an HTTP date in any of its three forms (RFC 9110, §10.2.3
/// and §5.6.7). A date in the past is no wait. `None` where the text is neither.
///
/// For adapters, which give it to [`crate::Error::with_retry_after`].
#[must_use]
pub fn retry_after(text: &str) -> Option<Duration> {
    wait_from(text, SystemTime::now())
}

fn wait_from(text: &str, now: SystemTime) -> Option<Duration> {
    let text = text.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = httpdate::parse_http_date(text).ok()?;
    Some(date.duration_since(now).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_are_read_in_every_form() {
        // 1994-11-06 08:49:07 UTC, half a minute before the date that the RFC shows in its three forms.
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_747);
        for (text, wait) in [
            ("7", Some(Duration::from_secs(7))),
            (" 0 ", Some(Duration::ZERO)),
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(Duration::from_secs(30))),
            ("Sunday, 06-Nov-94 08:49:37 GMT", Some(Duration::from_secs(30))),
            ("Sun Nov  6 08:49:37 1994", Some(Duration::from_secs(30))),
            ("Sun, 06 Nov 1994 08:49:00 GMT", Some(Duration::ZERO)),
            ("soon", None),
            ("-1", None),
            ("1.5", None),
            ("", None),
        ] {
            assert_eq!(wait_from(text, now), wait, "{text:?}");
        }
    }
}
