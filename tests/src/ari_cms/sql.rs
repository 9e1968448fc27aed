//! SQL text: literals and INSERT statements.

use std::fmt::Write as _;

/// Rows of one INSERT statement. Larger than most tables here, small enough to keep a statement readable.
const ROWS_PER_STATEMENT: usize = 250;

/// NULL.
pub(super) const NULL: &str = "NULL";

/// A value, or NULL where `null` holds.
pub(super) fn unless(null: bool, value: String) -> String {
    if null { NULL.to_owned() } else { value }
}

/// A text literal; with `standard_conforming_strings` on, only the quote needs care.
pub(super) fn text(value: &str) -> String {
    format!("'{}'", value.replace('\'', "''"))
}

/// A JSON literal of type jsonb.
pub(super) fn jsonb(value: &str) -> String {
    format!("{}::jsonb", text(value))
}

/// An array of text without NULL elements.
pub(super) fn text_array(values: &[&str]) -> String {
    let elements: Vec<_> = values.iter().map(|value| text(value)).collect();
    format!("ARRAY[{}]::text[]", elements.join(", "))
}

/// A point in time, given in microseconds since 1970-01-01 UTC.
pub(super) fn timestamp(micros: i64) -> String {
    let (seconds, fraction) = (micros.div_euclid(1_000_000), micros.rem_euclid(1_000_000));
    let (days, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let (year, month, day) = civil_date(days);
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    format!("'{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}.{fraction:06}+00'")
}

/// The Gregorian date of a day counted from 1970-01-01 (Hinnant: "chrono-Compatible Low-Level Date Algorithms").
fn civil_date(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day)
}

/// The rows of one table, ready to be written as INSERT statements.
#[derive(Debug)]
pub(super) struct Rows {
    table: &'static str,
    columns: &'static [&'static str],
    values: Vec<Vec<String>>,
}

impl Rows {
    pub(super) fn new(table: &'static str, columns: &'static [&'static str]) -> Self {
        Self { table, columns, values: Vec::new() }
    }

    /// Adds one row: a SQL expression for each column.
    pub(super) fn push<const N: usize>(&mut self, row: [String; N]) {
        assert_eq!(N, self.columns.len(), "a row of {} has a value for each column", self.table);
        self.values.push(row.into());
    }

    pub(super) fn table(&self) -> &'static str {
        self.table
    }

    pub(super) fn len(&self) -> usize {
        self.values.len()
    }

    pub(super) fn write_to(&self, out: &mut String) {
        for rows in self.values.chunks(ROWS_PER_STATEMENT) {
            let _ = writeln!(out, "INSERT INTO {} ({}) VALUES", self.table, self.columns.join(", "));
            for (position, row) in rows.iter().enumerate() {
                let end = if position + 1 == rows.len() { ";" } else { "," };
                let _ = writeln!(out, "  ({}){end}", row.join(", "));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_literals() {
        assert_eq!(text("it's"), "'it''s'");
        assert_eq!(text_array(&["a", "b'c"]), "ARRAY['a', 'b''c']::text[]");
        assert_eq!(text_array(&[]), "ARRAY[]::text[]");
        assert_eq!(timestamp(0), "'1970-01-01 00:00:00.000000+00'");
        assert_eq!(timestamp(1_709_208_000_123_456), "'2024-02-29 12:00:00.123456+00'");
        assert_eq!(timestamp(-1), "'1969-12-31 23:59:59.999999+00'");
    }

    #[test]
    fn writes_statements() {
        let mut rows = Rows::new("t", &["a", "b"]);
        rows.push([text("x"), NULL.to_owned()]);
        rows.push([text("y"), "1".to_owned()]);
        let mut out = String::new();
        rows.write_to(&mut out);
        assert_eq!(out, "INSERT INTO t (a, b) VALUES\n  ('x', NULL),\n  ('y', 1);\n");
    }
}
