use jiff::Timestamp;
use jiff::civil::{Date, DateTime};
use jiff::tz::Offset;

use crate::value::TimeKind;

/// Milliseconds since 1970-01-01T00:00Z of a date or time as Postgres writes it in ISO form, and whether microseconds
/// were cut off. What has no zone is taken as UTC, a date as its midnight.
///
/// `None` for `infinity`, outside the years that are supported (9999 BC to 9999), and for a time of day.
pub(crate) fn epoch_milliseconds(kind: TimeKind, text: &str) -> Option<(i64, bool)> {
    // `0044-03-15 BC` is the year -43: there is no year 0 in Postgres.
    let rewritten;
    let text = match text.strip_suffix(" BC") {
        None => text,
        Some(before_christ) => {
            let (year, rest) = before_christ.split_once('-')?;
            let year = year.parse::<i32>().ok()?.checked_sub(1)?;
            rewritten = if year == 0 { format!("0000-{rest}") } else { format!("-{year:06}-{rest}") };
            &rewritten
        }
    };
    let instant: Timestamp = match kind {
        TimeKind::TimestampTz => text.parse().ok()?,
        TimeKind::Timestamp => Offset::UTC.to_timestamp(text.parse::<DateTime>().ok()?).ok()?,
        TimeKind::Date => Offset::UTC.to_timestamp(text.parse::<Date>().ok()?.at(0, 0, 0, 0)).ok()?,
        TimeKind::Time | TimeKind::TimeTz | TimeKind::Interval => return None,
    };
    let microseconds = instant.as_microsecond();
    Some((microseconds.div_euclid(1000), microseconds.rem_euclid(1000) != 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_instants_exactly() {
        let cases = [
            ("1970-01-01T00:00:00+00:00", Some((0, false))),
            ("2024-02-29T12:34:56.789+00:00", Some((1_709_210_096_789, false))),
            ("2024-02-29T12:34:56.789001+00:00", Some((1_709_210_096_789, true))),
            ("1969-12-31T23:59:59.9995+00:00", Some((-1, true))),
            ("2024-01-01T00:00:00+05:30", Some((1_704_047_400_000, false))),
            // select extract(epoch from timestamptz '0044-03-15 00:00:00+00 BC') * 1000
            ("0044-03-15T00:00:00+00:00 BC", Some((-63_517_824_000_000, false))),
            // select extract(epoch from timestamptz '0001-12-31 23:59:59+00 BC') * 1000
            ("0001-12-31T23:59:59+00:00 BC", Some((-62_135_596_801_000, false))),
            ("infinity", None),
            ("-infinity", None),
            ("12345-01-01T00:00:00+00:00", None),
            ("", None),
        ];
        for (text, expected) in cases {
            assert_eq!(epoch_milliseconds(TimeKind::TimestampTz, text), expected, "{text}");
        }
    }

    #[test]
    fn what_has_no_zone_is_utc() {
        assert_eq!(epoch_milliseconds(TimeKind::Date, "1970-01-02"), Some((86_400_000, false)));
        assert_eq!(epoch_milliseconds(TimeKind::Timestamp, "1970-01-01T00:00:01.5"), Some((1500, false)));
        assert_eq!(
            epoch_milliseconds(TimeKind::Timestamp, "0001-01-01T00:00:00 BC"),
            Some((-62_167_219_200_000, false))
        );
        assert_eq!(epoch_milliseconds(TimeKind::Time, "12:00:00"), None);
        assert_eq!(epoch_milliseconds(TimeKind::Date, "infinity"), None);
    }
}
