use jiff::Timestamp;

/// Milliseconds since 1970-01-01T00:00Z of an instant as Postgres writes it in ISO form, and whether microseconds were
/// cut off. `None` for `infinity`, for BC years, and outside the years that are supported (-9999 to 9999).
pub(super) fn epoch_milliseconds(text: &str) -> Option<(i64, bool)> {
    let instant: Timestamp = text.parse().ok()?;
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
            ("infinity", None),
            ("0044-03-15T00:00:00+00:00 BC", None),
            ("", None),
        ];
        for (text, expected) in cases {
            assert_eq!(epoch_milliseconds(text), expected, "{text}");
        }
    }
}
