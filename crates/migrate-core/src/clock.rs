//! A server's clock beside this machine's.

use std::time::{Duration, SystemTime};

/// By how many seconds a server's clock is ahead of this machine's, by the `Date` header of an answer (RFC 9110, §6.6.1)
/// to a request that was sent and answered at these times here; negative where it is behind. `None` where the text is no
/// HTTP date.
///
/// A date has no parts of a second, and it was set at some moment between the two: what both explain is no difference.
///
/// For adapters, which tell it in their probes.
#[must_use]
pub fn clock_skew(date: &str, sent: SystemTime, answered: SystemTime) -> Option<i64> {
    let date = httpdate::parse_http_date(date).ok()?;
    let earliest = sent.checked_sub(Duration::from_secs(1)).unwrap_or(sent);
    let seconds = |time: Duration| i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
    Some(match (date.duration_since(answered), earliest.duration_since(date)) {
        (Ok(ahead), _) => seconds(ahead),
        (_, Ok(behind)) => -seconds(behind),
        _ => 0,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_round_trip_does_not_explain_is_a_difference() {
        // The date that RFC 9110 shows, §5.6.7: 784111777 seconds after 1970.
        let date = "Sun, 06 Nov 1994 08:49:37 GMT";
        let at = |milliseconds: u64| SystemTime::UNIX_EPOCH + Duration::from_millis(milliseconds);
        for (sent, answered, skew) in [
            (784_111_777_000, 784_111_777_200, 0),
            (784_111_777_990, 784_111_778_100, 0),
            (784_111_770_000, 784_111_777_000, 0),
            (784_111_717_000, 784_111_717_100, 59),
            (784_111_898_000, 784_111_898_500, -120),
        ] {
            assert_eq!(clock_skew(date, at(sent), at(answered)), Some(skew), "{sent}");
        }
        assert_eq!(clock_skew("soon", at(0), at(1)), None);
    }
}
