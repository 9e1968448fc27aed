//! Amounts as people read them at a glance.

use std::time::Duration;

const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];

/// Bytes in the largest unit of which there is one.
pub(crate) fn bytes(count: u64) -> String {
    let mut unit = 0;
    let mut tenths = u128::from(count) * 10;
    while tenths >= 10_235 && unit + 1 < UNITS.len() {
        tenths = (tenths + 512) / 1024;
        unit += 1;
    }
    let name = UNITS.get(unit).copied().unwrap_or_default();
    if unit == 0 || tenths >= 1000 {
        format!("{} {name}", (tenths + 5) / 10)
    } else {
        format!("{}.{} {name}", tenths / 10, tenths % 10)
    }
}

/// A guess of time, no finer than a guess is.
pub(crate) fn left(time: Duration) -> String {
    let seconds = time.as_secs() + u64::from(time.subsec_nanos() > 0);
    match seconds {
        0..90 => format!("~{seconds} s"),
        90..5400 => format!("~{} min", seconds.div_ceil(60)),
        5400..360_000 => format!("~{} h", seconds.div_ceil(3600)),
        _ => "> 99 h".to_owned(),
    }
}

/// `part` of `whole` in percent, rounded down; 100 only where nothing is missing.
pub(crate) fn percent(part: u64, whole: u64) -> u64 {
    if part >= whole {
        return 100;
    }
    u64::try_from(u128::from(part) * 100 / u128::from(whole.max(1))).unwrap_or(100)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_short() {
        for (count, shown) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (1536, "1.5 KiB"),
            (120 * 1024, "120 KiB"),
            (1024 * 1024 - 1, "1.0 MiB"),
            (5 << 30, "5.0 GiB"),
            (u64::MAX, "16777216 TiB"),
        ] {
            assert_eq!(bytes(count), shown, "{count}");
        }
        for (seconds, shown) in
            [(0, "~0 s"), (89, "~89 s"), (90, "~2 min"), (5399, "~90 min"), (5400, "~2 h"), (360_000, "> 99 h")]
        {
            assert_eq!(left(Duration::from_secs(seconds)), shown, "{seconds}");
        }
    }

    #[test]
    fn no_part_is_over_a_hundred_percent() {
        for (part, whole, shown) in
            [(0, 0, 100), (0, 3, 0), (2, 3, 66), (999, 1000, 99), (5, 3, 100), (u64::MAX, u64::MAX, 100)]
        {
            assert_eq!(percent(part, whole), shown, "{part} of {whole}");
        }
    }
}
