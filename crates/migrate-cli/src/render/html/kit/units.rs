//! Numbers as people read them.

/// A number with a comma after every three digits.
pub(crate) fn thousands(number: u64) -> String {
    crate::render::thousands(number)
}

/// Bytes in the largest unit that has a digit before the point.
#[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
pub(crate) fn bytes(count: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if count < 1024 {
        return format!("{count} B");
    }
    let mut size = count as f64 / 1024.0;
    let mut unit = UNITS[0];
    for larger in &UNITS[1..] {
        // 1,023.95 would be shown as 1024.0.
        if size < 1023.95 {
            break;
        }
        size /= 1024.0;
        unit = larger;
    }
    format!("{} {unit}", digits(size))
}

/// A duration in its largest two units.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "it is not negative, and `as` stops at the end"
)]
pub(crate) fn seconds(duration: f64) -> String {
    let duration = if duration.is_finite() { duration.max(0.0) } else { 0.0 };
    if duration < 0.0005 {
        return "0 s".to_owned();
    }
    if duration < 0.9995 {
        return format!("{} ms", (duration * 1000.0).round());
    }
    if duration < 59.95 {
        return format!("{} s", digits(duration));
    }
    let whole = duration.round() as u64;
    match (whole / 86_400, whole / 3600 % 24, whole / 60 % 60, whole % 60) {
        (0, 0, minutes, seconds) => format!("{minutes} min {seconds} s"),
        (0, hours, minutes, _) => format!("{hours} h {minutes} min"),
        (days, hours, ..) => format!("{} d {hours} h", thousands(days)),
    }
}

/// A part of a whole in percent; what is there is never shown as nothing, and what lacks something never as all.
#[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
pub(crate) fn share(part: u64, whole: u64) -> String {
    let percent = if whole == 0 { 0.0 } else { part as f64 * 100.0 / whole as f64 };
    match percent {
        _ if part == 0 => "0 %".to_owned(),
        _ if part >= whole => "100 %".to_owned(),
        percent if percent < 0.1 => "< 0.1 %".to_owned(),
        percent if percent > 99.9 => "> 99.9 %".to_owned(),
        percent => format!("{} %", digits(percent)),
    }
}

/// Three digits or so: one after the point below 100, none from there on.
fn digits(number: f64) -> String {
    let shown = if number < 99.95 { format!("{number:.1}") } else { format!("{number:.0}") };
    shown.strip_suffix(".0").map_or_else(|| shown.clone(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_change_where_the_digits_do() {
        let shown = [0, 1023, 1024, 1536, 1_048_524, 1_048_575, 1 << 20, 5 << 30, u64::MAX].map(bytes);
        let expected = ["0 B", "1023 B", "1 KiB", "1.5 KiB", "1024 KiB", "1 MiB", "1 MiB", "5 GiB", "16384 PiB"];
        assert_eq!(shown, expected.map(str::to_owned));
        let shown = [0.0, 0.2504, 0.9996, 1.25, 59.96, 61.0, 3_600.0, 90_061.0, f64::NAN, -1.0].map(seconds);
        let expected =
            ["0 s", "250 ms", "1 s", "1.2 s", "1 min 0 s", "1 min 1 s", "1 h 0 min", "1 d 1 h", "0 s", "0 s"];
        assert_eq!(shown, expected.map(str::to_owned));
    }

    #[test]
    fn no_part_poses_as_none_or_all() {
        let shown =
            [(0, 0), (0, 5), (1, 100_000), (1, 3), (99_999, 100_000), (5, 5)].map(|(part, whole)| share(part, whole));
        assert_eq!(shown, ["0 %", "0 %", "< 0.1 %", "33.3 %", "> 99.9 %", "100 %"].map(str::to_owned));
    }
}
