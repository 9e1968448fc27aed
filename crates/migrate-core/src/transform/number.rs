use crate::value::Value;

/// 2^53: doubles hold every integer up to it, and not every one above it.
pub(super) const EXACT_INTEGERS: u64 = 1 << 53;

/// A decimal of so many digits is what the double nearest to it is written as (C's `DBL_DIG`), but for exponents at the
/// ends of the range.
const FAITHFUL_DIGITS: usize = 15;

/// The double nearest to a decimal text, and whether the double's own shortest text is another number.
///
/// `None` where no finite double is near, or the text is no number.
pub(super) fn nearest_double(text: &str) -> Option<(f64, bool)> {
    match text {
        "NaN" => return Some((f64::NAN, false)),
        "Infinity" => return Some((f64::INFINITY, false)),
        "-Infinity" => return Some((f64::NEG_INFINITY, false)),
        _ => {}
    }
    let double: f64 = text.parse().ok()?;
    if !double.is_finite() || !text.bytes().all(|byte| byte.is_ascii_digit() || b"+-.eE".contains(&byte)) {
        return None;
    }
    let is_faithful = text.len() <= FAITHFUL_DIGITS && !text.contains(['e', 'E']);
    let rounded = !is_faithful && normal_form(text) != normal_form(&format!("{double:?}"));
    Some((double, rounded))
}

/// A decimal as (negative, significant digits, power of ten), so that `1.50` and `15e-1` are the same.
fn normal_form(text: &str) -> (bool, String, i64) {
    let (negative, unsigned) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let (mantissa, exponent) = unsigned.split_once(['e', 'E']).unwrap_or((unsigned, "0"));
    let exponent: i64 = exponent.parse().unwrap_or(0);
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{whole}{fraction}");
    let power = exponent - i64::try_from(fraction.len()).unwrap_or(i64::MAX);
    let without_leading = digits.trim_start_matches('0');
    let significant = without_leading.trim_end_matches('0');
    if significant.is_empty() {
        return (false, String::new(), 0);
    }
    let trimmed = without_leading.len() - significant.len();
    (negative, significant.to_owned(), power.saturating_add(i64::try_from(trimmed).unwrap_or(i64::MAX)))
}

/// An integer as a double, where a double holds it.
pub(super) fn exact_double(integer: i64) -> Option<Value> {
    #[expect(clippy::cast_precision_loss, reason = "integers up to 2^53 are exact")]
    (integer.unsigned_abs() <= EXACT_INTEGERS).then_some(Value::Float64(integer as f64))
}

/// A double as Postgres writes it: `1e+15`, `1e-05`, `-0`; a `real` has its exponent from 1e+06 on (`f2s.c` and `d2s.c`,
/// `to_chars`).
pub(super) fn double_text(double: f64, is_single: bool) -> String {
    if double.is_nan() {
        return "NaN".to_owned();
    }
    if double.is_infinite() {
        return if double > 0.0 { "Infinity" } else { "-Infinity" }.to_owned();
    }
    let scientific = format!("{double:e}");
    let Some((digits, exponent)) = scientific.split_once('e') else { return scientific };
    match exponent.parse::<i32>() {
        Ok(exponent) if exponent >= -4 && exponent < if is_single { 6 } else { 15 } => double.to_string(),
        Ok(exponent) => {
            let sign = if exponent < 0 { '-' } else { '+' };
            format!("{digits}e{sign}{:02}", exponent.unsigned_abs())
        }
        Err(_) => scientific,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Texts of `select x::float8`, and of `select x::float4`.
    #[test]
    fn doubles_have_the_text_of_postgres() {
        for text in [
            "0",
            "-0",
            "1",
            "-1.5",
            "0.1",
            "0.0001",
            "1e-05",
            "9.5367431640625e-07",
            "100000000000000",
            "1e+15",
            "9.007199254740992e+15",
            "1e+308",
            "1.7976931348623157e+308",
            "5e-324",
            "NaN",
            "Infinity",
            "-Infinity",
        ] {
            assert_eq!(double_text(text.parse().unwrap(), false), text);
        }
        for text in ["0.1", "999999", "1e+06", "1.6777216e+07", "3.4028235e+38", "1e-45", "1e-05"] {
            assert_eq!(double_text(text.parse().unwrap(), true), text);
        }
    }

    #[test]
    fn says_when_a_double_is_another_number() {
        for exact in ["0", "-0", "4.25", "0.1", "1.500", "100000", "1e20", "100000000000000000000", "-3.00"] {
            assert!(!nearest_double(exact).unwrap().1, "{exact}");
        }
        for rounded in ["9007199254740993", "12345678901234567890", "0.10000000000000000000000001"] {
            assert!(nearest_double(rounded).unwrap().1, "{rounded}");
        }
        for none in ["1e400", "abc", "", "inf", "nan", "0x10"] {
            assert!(nearest_double(none).is_none(), "{none}");
        }
        assert!(nearest_double("NaN").unwrap().0.is_nan());
    }
}
