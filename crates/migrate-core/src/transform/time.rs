use std::borrow::Cow;

use jiff::Timestamp;
use jiff::civil::{Date, DateTime};
use jiff::tz::Offset;

use crate::value::TimeKind;

/// The furthest instants that a JavaScript `Date` has (ECMA-262, "Time Values and Time Range").
const MOST_MILLISECONDS: i64 = 8_640_000_000_000_000;
/// Milliseconds of 400 years, after which the Gregorian calendar repeats.
const CYCLE_MILLISECONDS: i64 = 146_097 * 86_400_000;
/// Days from the first of March of the year 0 to 1970-01-01.
const DAYS_TO_1970: i64 = 719_468;

/// Milliseconds since 1970-01-01T00:00Z of a date or time as Postgres writes it in ISO form, and whether microseconds
/// were cut off. What has no zone is taken as UTC, a date as its midnight.
///
/// `None` for `infinity`, for what is past a JavaScript `Date` (the years 271822 BC to 275760), and for a time of day.
pub(crate) fn epoch_milliseconds(kind: TimeKind, text: &str) -> Option<(i64, bool)> {
    match plain_microseconds(kind, text) {
        Some(microseconds) => Some((microseconds.div_euclid(1000), microseconds.rem_euclid(1000) != 0)),
        None => parsed_milliseconds(kind, text),
    }
}

/// Microseconds of an instant of the years 1 to 9999 in UTC, as nearly all are and Postgres writes them for a session in
/// UTC: a fifth of the time that the parser takes (the bench `stages`). `None` for whatever else it is.
fn plain_microseconds(kind: TimeKind, text: &str) -> Option<i64> {
    let text = match kind {
        TimeKind::TimestampTz => text.strip_suffix("+00:00")?,
        TimeKind::Timestamp => text,
        TimeKind::Date | TimeKind::Time | TimeKind::TimeTz | TimeKind::Interval => return None,
    };
    let (time, fraction) = text.as_bytes().split_first_chunk::<19>()?;
    let [y1, y2, y3, y4, b'-', mo1, mo2, b'-', d1, d2, b'T', h1, h2, b':', mi1, mi2, b':', s1, s2] = *time else {
        return None;
    };
    let fraction = match fraction {
        [] => 0,
        [b'.', digits @ ..] if (1..=6).contains(&digits.len()) => {
            (digits.len()..6).try_fold(digits_of(digits)?, |number, _| Some(number * 10))?
        }
        _ => return None,
    };
    let (year, month, day) = (digits_of(&[y1, y2, y3, y4])?, digits_of(&[mo1, mo2])?, digits_of(&[d1, d2])?);
    let (hour, minute, second) = (digits_of(&[h1, h2])?, digits_of(&[mi1, mi2])?, digits_of(&[s1, s2])?);
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let month_days = match month {
        2 => 28 + i64::from(is_leap),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    };
    let is_one = year > 0
        && (1..=12).contains(&month)
        && (1..=month_days).contains(&day)
        && hour < 24
        && minute < 60
        && second < 60;
    if !is_one {
        return None;
    }
    // Years that begin in March have the day that some lack at their end.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = 365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 1 - DAYS_TO_1970;
    Some((((days * 24 + hour) * 60 + minute) * 60 + second) * 1_000_000 + fraction)
}

/// The number that some digits are; `None` where one is none.
fn digits_of(digits: &[u8]) -> Option<i64> {
    digits.iter().try_fold(0, |number, digit| digit.is_ascii_digit().then(|| number * 10 + i64::from(digit - b'0')))
}

fn parsed_milliseconds(kind: TimeKind, text: &str) -> Option<(i64, bool)> {
    let (text, is_before_christ) = text.strip_suffix(" BC").map_or((text, false), |text| (text, true));
    let (year, rest) = text.split_once('-')?;
    if year.is_empty() || !year.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let year: i64 = year.parse::<u32>().ok()?.into();
    // There is no year 0 in Postgres: 1 BC is the year 0 of the calendar that is read here.
    let year = if is_before_christ { 1 - year } else { year };
    // Postgres has years that the parser has not; the same day of the years 2000 to 2399 stands for each.
    let cycles = year.div_euclid(400).checked_sub(2000 / 400)?;
    let text = match cycles {
        0 => Cow::Borrowed(text),
        _ => Cow::Owned(format!("{}-{rest}", 2000 + year.rem_euclid(400))),
    };
    let instant: Timestamp = match kind {
        TimeKind::TimestampTz => text.parse().ok()?,
        TimeKind::Timestamp => Offset::UTC.to_timestamp(text.parse::<DateTime>().ok()?).ok()?,
        TimeKind::Date => Offset::UTC.to_timestamp(text.parse::<Date>().ok()?.at(0, 0, 0, 0)).ok()?,
        TimeKind::Time | TimeKind::TimeTz | TimeKind::Interval => return None,
    };
    let microseconds = instant.as_microsecond();
    let milliseconds = microseconds.div_euclid(1000).checked_add(cycles.checked_mul(CYCLE_MILLISECONDS)?)?;
    let is_of_a_date = milliseconds.unsigned_abs() <= MOST_MILLISECONDS.unsigned_abs();
    is_of_a_date.then_some((milliseconds, microseconds.rem_euclid(1000) != 0))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// The library's own instants, and texts near to them.
        #[test]
        fn both_ways_agree(seconds in -62_200_000_000..=Timestamp::MAX.as_second(), microseconds in 0..1_000_000_i32, digits in 0..7_usize) {
            let instant = Timestamp::new(seconds, microseconds * 1000).unwrap();
            let text = format!("{instant:.digits$}");
            let text = text.trim_end_matches('Z');
            let timestamp = format!("{text}+00:00");
            for (kind, text) in [(TimeKind::TimestampTz, &*timestamp), (TimeKind::Timestamp, text)] {
                let parsed = parsed_milliseconds(kind, text);
                prop_assert_eq!(epoch_milliseconds(kind, text), parsed);
                if digits == 6 && !text.starts_with('-') && !text.starts_with("0000") {
                    prop_assert_eq!(plain_microseconds(kind, text), Some(instant.as_microsecond()));
                }
            }
        }

        #[test]
        fn what_is_no_instant_is_none_for_both(text in "(0000|1900|2000|2023)-(0|1)[0-9]-[0-3][0-9]T(0|2)[0-9]:[0-6][0-9]:[0-6][0-9](\\.[0-9]{0,7})?") {
            if let Some(microseconds) = plain_microseconds(TimeKind::Timestamp, &text) {
                let milliseconds = (microseconds.div_euclid(1000), microseconds.rem_euclid(1000) != 0);
                prop_assert_eq!(parsed_milliseconds(TimeKind::Timestamp, &text), Some(milliseconds));
            }
        }
    }

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
            // A sentinel that many tables have: select extract(epoch from timestamptz '9999-12-31 23:59:59.999999+00')
            ("9999-12-31T23:59:59.999999+00:00", Some((253_402_300_799_999, true))),
            // select extract(epoch from timestamptz '12345-01-01 00:00:00+00') * 1000
            ("12345-01-01T00:00:00+00:00", Some((327_403_382_400_000, false))),
            // select extract(epoch from timestamptz '4713-01-01 00:00:00+00 BC') * 1000
            ("4713-01-01T00:00:00+00:00 BC", Some((-210_863_520_000_000, false))),
            ("275760-09-13T00:00:00+00:00", Some((8_640_000_000_000_000, false))),
            ("275760-09-13T00:00:00.001+00:00", None),
            ("294276-12-31T23:59:59.999999+00:00", None),
            ("99999999999-01-01T00:00:00+00:00", None),
            ("4294967295-01-01T00:00:00+00:00", None),
            ("2023-02-29T00:00:00+00:00", None),
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
        assert_eq!(epoch_milliseconds(TimeKind::Date, "9999-12-31"), Some((253_402_214_400_000, false)));
        assert_eq!(epoch_milliseconds(TimeKind::Date, "5874897-12-31"), None);
        assert_eq!(epoch_milliseconds(TimeKind::Date, "infinity"), None);
        assert_eq!(epoch_milliseconds(TimeKind::Date, "-infinity"), None);
    }
}
