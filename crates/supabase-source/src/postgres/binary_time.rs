//! The texts of binary dates and times, as PostgREST writes them in JSON for a session in UTC with ISO dates
//! (`datetime.c`, `EncodeDateTime` with XSD dates, and `json.c`, `JsonEncodeDateTime`).

use super::binary::ascii;
use crate::decode::Found;

/// Days from 1970-01-01 to 2000-01-01, where Postgres' own count begins.
const EPOCH_DAYS: i64 = 10_957;
const DAY: i64 = 86_400_000_000;
const SECOND: i64 = 1_000_000;

/// A text that is put together without a heap of its own. The longest is that of a timestamp: years have 6 digits.
struct Text {
    bytes: [u8; 48],
    length: usize,
}

impl Text {
    fn new() -> Self {
        Self { bytes: [0; 48], length: 0 }
    }

    fn push(&mut self, text: &[u8]) {
        if let Some(room) = self.bytes.get_mut(self.length..self.length + text.len()) {
            room.copy_from_slice(text);
            self.length += text.len();
        }
    }

    /// A number in so many digits at least.
    fn number(&mut self, number: u64, least: usize) {
        let mut digits = [b'0'; 20];
        let (mut rest, mut first) = (number, digits.len());
        while rest > 0 || digits.len() - first < least {
            first -= 1;
            if let Some(digit) = digits.get_mut(first) {
                *digit = b'0' + u8::try_from(rest % 10).unwrap_or(0);
            }
            rest /= 10;
        }
        self.push(digits.get(first..).unwrap_or_default());
    }

    fn date(&mut self, date: &Date) {
        self.number(if date.year > 0 { date.year } else { 1 - date.year }.unsigned_abs(), 4);
        self.push(b"-");
        self.number(date.month, 2);
        self.push(b"-");
        self.number(date.day, 2);
    }

    /// Microseconds of a day as `HH:MM:SS`, with the digits of the fraction that are not zeros at its end.
    fn time(&mut self, microseconds: i64) {
        let (seconds, fraction) = (microseconds / SECOND, (microseconds % SECOND).unsigned_abs());
        self.number((seconds / 3600).unsigned_abs(), 2);
        self.push(b":");
        self.number((seconds / 60 % 60).unsigned_abs(), 2);
        self.push(b":");
        self.number((seconds % 60).unsigned_abs(), 2);
        if fraction > 0 {
            self.push(b".");
            self.number(fraction, 6);
            while self.length > 0 && self.bytes.get(self.length - 1) == Some(&b'0') {
                self.length -= 1;
            }
        }
    }

    fn era(&mut self, date: &Date) {
        if date.year <= 0 {
            self.push(b" BC");
        }
    }

    fn finish(self) -> Box<str> {
        ascii(self.bytes.get(..self.length).unwrap_or_default())
    }
}

/// A day of the Gregorian calendar; the year before 1 is 0.
struct Date {
    year: i64,
    month: u64,
    day: u64,
}

impl Date {
    /// So many days after 2000-01-01. Years begin in March, so that the day that some lack is their last; 400 of them
    /// have 146,097 days.
    fn of(days: i64) -> Self {
        let days = days + EPOCH_DAYS + 719_468;
        let (cycle, day) = (days.div_euclid(146_097), days.rem_euclid(146_097));
        let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
        let day = day - (365 * year + year / 4 - year / 100);
        let month = (5 * day + 2) / 153;
        let day = day - (153 * month + 2) / 5 + 1;
        let month = if month < 10 { month + 3 } else { month - 9 };
        let year = year + 400 * cycle + i64::from(month <= 2);
        Self { year, month: month.unsigned_abs(), day: day.unsigned_abs() }
    }
}

/// The ends of a type's numbers stand for the ends of time.
fn infinite(number: i64, least: i64, largest: i64) -> Option<Box<str>> {
    match number {
        _ if number == largest => Some("infinity".into()),
        _ if number == least => Some("-infinity".into()),
        _ => None,
    }
}

pub(super) fn date(days: i32) -> Box<str> {
    if let Some(text) = infinite(days.into(), i32::MIN.into(), i32::MAX.into()) {
        return text;
    }
    let date = Date::of(days.into());
    let mut text = Text::new();
    text.date(&date);
    text.era(&date);
    text.finish()
}

pub(super) fn timestamp(microseconds: i64) -> Box<str> {
    instant(microseconds, b"")
}

pub(super) fn timestamp_tz(microseconds: i64) -> Box<str> {
    instant(microseconds, b"+00:00")
}

fn instant(microseconds: i64, offset: &[u8]) -> Box<str> {
    if let Some(text) = infinite(microseconds, i64::MIN, i64::MAX) {
        return text;
    }
    let date = Date::of(microseconds.div_euclid(DAY));
    let mut text = Text::new();
    text.date(&date);
    text.push(b"T");
    text.time(microseconds.rem_euclid(DAY));
    text.push(offset);
    text.era(&date);
    text.finish()
}

pub(super) fn time(microseconds: i64) -> Result<Box<str>, Found> {
    in_day(microseconds).map(Text::finish)
}

/// `zone` counts seconds west of UTC.
pub(super) fn time_tz(microseconds: i64, zone: i32) -> Result<Box<str>, Found> {
    let mut text = in_day(microseconds)?;
    let seconds = u64::from(zone.unsigned_abs());
    text.push(if zone <= 0 { b"+" } else { b"-" });
    text.number(seconds / 3600, 2);
    if seconds % 3600 > 0 {
        text.push(b":");
        text.number(seconds / 60 % 60, 2);
    }
    if seconds % 60 > 0 {
        text.push(b":");
        text.number(seconds % 60, 2);
    }
    Ok(text.finish())
}

fn in_day(microseconds: i64) -> Result<Text, Found> {
    if !(0..=DAY).contains(&microseconds) {
        return Err("a time of no day");
    }
    let mut text = Text::new();
    text.time(microseconds);
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_gregorian_calendar() {
        let text = |days: i32| date(days);
        assert_eq!(&*text(0), "2000-01-01");
        assert_eq!(&*text(59), "2000-02-29");
        assert_eq!(&*text(-1), "1999-12-31");
        assert_eq!(&*text(-10_957), "1970-01-01");
        assert_eq!(&*text(-730_119), "0001-01-01");
        assert_eq!(&*text(-730_120), "0001-12-31 BC");
        // The first and the last day that Postgres has.
        assert_eq!(&*text(-2_451_545), "4714-11-24 BC");
        assert_eq!(&*text(2_145_031_948), "5874897-12-31");
        assert_eq!((&*text(i32::MAX), &*text(i32::MIN)), ("infinity", "-infinity"));
    }

    #[test]
    fn times_keep_their_fraction() {
        assert_eq!(&*timestamp_tz(1), "2000-01-01T00:00:00.000001+00:00");
        assert_eq!(&*timestamp(-100_000), "1999-12-31T23:59:59.9");
        assert_eq!(&*timestamp_tz(i64::MIN), "-infinity");
        // The first microsecond that Postgres has.
        assert_eq!(&*timestamp_tz(-211_813_488_000_000_000), "4714-11-24T00:00:00+00:00 BC");
        assert_eq!(&*timestamp_tz(9_223_371_331_199_999_999), "294276-12-31T23:59:59.999999+00:00");
        assert_eq!(&*time(DAY).unwrap(), "24:00:00");
        assert!(time(DAY + 1).is_err() && time(-1).is_err());
        for (zone, offset) in
            [(0, "+00"), (-19_800, "+05:30"), (28_800, "-08"), (-1172, "+00:19:32"), (57_599, "-15:59:59")]
        {
            assert_eq!(time_tz(SECOND, zone).unwrap().strip_prefix("00:00:01"), Some(offset));
        }
    }
}
