//! The text of a binary `numeric`, digit by digit (`numeric.c`, `numeric_send` and `get_str_from_var`).

use super::binary::Bytes;
use crate::decode::Found;

/// Decimal digits in one digit of the number's base.
const DIGITS: usize = 4;
const BASE: u16 = 10_000;

const POSITIVE: u16 = 0x0000;
const NEGATIVE: u16 = 0x4000;
const NAN: u16 = 0xC000;
const INFINITY: u16 = 0xD000;
const MINUS_INFINITY: u16 = 0xF000;

/// As `numeric_out` writes it: all digits of its scale, no exponent.
pub(super) fn numeric(bytes: &mut Bytes<'_>) -> Result<Box<str>, Found> {
    // The longest number has one more than the half that is signed.
    let count = usize::from(u16::from_be_bytes(bytes.array()?));
    let weight = i32::from(bytes.int2()?);
    let sign = u16::from_be_bytes(bytes.array()?);
    let scale = usize::from(u16::from_be_bytes(bytes.array()?));
    let digits = bytes.take(2 * count)?;
    match sign {
        NAN => return Ok("NaN".into()),
        INFINITY => return Ok("Infinity".into()),
        MINUS_INFINITY => return Ok("-Infinity".into()),
        POSITIVE | NEGATIVE => {}
        _ => return Err("a number with an unknown sign"),
    }
    // The digit for BASE to the power of `weight - place`; zeros at both ends are not stored.
    let digit = |place: i32| -> Result<u16, Found> {
        let stored = usize::try_from(place).ok().and_then(|place| digits.get(2 * place..2 * place + 2));
        match stored {
            Some(&[high, low]) => {
                let digit = u16::from_be_bytes([high, low]);
                if digit < BASE { Ok(digit) } else { Err("a digit that is over its base") }
            }
            _ => Ok(0),
        }
    };
    let whole = usize::try_from(weight + 1).unwrap_or(0).max(1);
    let mut text = Vec::with_capacity(2 + whole * DIGITS + scale + DIGITS);
    if sign == NEGATIVE {
        text.push(b'-');
    }
    if weight < 0 {
        text.push(b'0');
    }
    for place in 0..=weight {
        push(&mut text, digit(place)?, place == 0);
    }
    if scale > 0 {
        text.push(b'.');
        let end = text.len() + scale;
        let mut place = weight + 1;
        while text.len() < end {
            push(&mut text, digit(place)?, false);
            place += 1;
        }
        text.truncate(end);
    }
    String::from_utf8(text).map(String::into_boxed_str).map_err(|_| "a number that has no text")
}

/// Four decimal digits; zeros in front are left out of the first.
fn push(text: &mut Vec<u8>, digit: u16, is_first: bool) {
    let mut is_leading = is_first;
    for unit in [1000, 100, 10, 1] {
        let decimal = u8::try_from(digit / unit % 10).unwrap_or(0);
        is_leading &= decimal == 0 && unit > 1;
        if !is_leading {
            text.push(b'0' + decimal);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(weight: i16, sign: u16, scale: u16, digits: &[u16]) -> Result<Box<str>, Found> {
        let mut bytes = Vec::new();
        bytes.extend(i16::try_from(digits.len()).unwrap().to_be_bytes());
        bytes.extend(weight.to_be_bytes());
        bytes.extend(sign.to_be_bytes());
        bytes.extend(scale.to_be_bytes());
        bytes.extend(digits.iter().flat_map(|digit| digit.to_be_bytes()));
        numeric(&mut Bytes(&bytes))
    }

    #[test]
    fn digits_are_kept_to_the_scale() {
        for (weight, sign, scale, digits, expected) in [
            (0, POSITIVE, 0, &[][..], "0"),
            (0, POSITIVE, 3, &[], "0.000"),
            (0, NEGATIVE, 3, &[1, 5000], "-1.500"),
            (1, POSITIVE, 0, &[1], "10000"),
            (1, POSITIVE, 2, &[12, 34, 500], "120034.05"),
            (-1, POSITIVE, 2, &[500], "0.05"),
            (-3, NEGATIVE, 10, &[12], "-0.0000000000"),
            (-3, NEGATIVE, 12, &[12], "-0.000000000012"),
        ] {
            assert_eq!(text(weight, sign, scale, digits).as_deref(), Ok(expected));
        }
        assert_eq!(text(0, NAN, 0, &[]).as_deref(), Ok("NaN"));
        assert_eq!(text(0, MINUS_INFINITY, 0, &[]).as_deref(), Ok("-Infinity"));
        assert!(text(0, 0x1234, 0, &[]).is_err() && text(0, POSITIVE, 0, &[10_000]).is_err());
    }
}
