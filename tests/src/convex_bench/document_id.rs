//! Convex document ids: encoding and decoding.
//!
//! An id is the table's number as a LEB128 varint, sixteen bytes, and a Fletcher-16 checksum, all in Crockford's base32
//! (convex-backend, `crates/value/src/id_v6.rs` and `base32.rs`).

use std::{fmt, str::FromStr};

const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
const INTERNAL_BYTES: usize = 16;
const FOOTER_BYTES: usize = 2;
const MAX_NUMBER_BYTES: usize = 5;
const MAX_BYTES: usize = MAX_NUMBER_BYTES + INTERNAL_BYTES + FOOTER_BYTES;

/// The id of a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct DocumentId {
    /// The number that the deployment gave the table; users' tables start at 10001.
    pub table_number: u32,
    /// What tells documents of one table apart. The server makes it of 14 random bytes and the day since 1970 as two
    /// bytes, the high one first; no byte is checked.
    pub internal: [u8; INTERNAL_BYTES],
}

/// Why a text is not a document id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidId {
    /// No table number gives an id of this length.
    #[error("an id has 31 to 37 characters, this one has {0}")]
    Length(usize),
    /// A character is outside of the alphabet.
    #[error("ids are written with digits and lower-case letters except i, l, o and u")]
    Character,
    /// The table number is zero or does not fit 32 bits.
    #[error("the table number is not valid")]
    TableNumber,
    /// The checksum does not match.
    #[error("the checksum does not match")]
    Checksum,
    /// The text is another spelling of a valid id.
    #[error("the id is not in its canonical form")]
    NotCanonical,
}

impl DocumentId {
    /// An id from its parts; `day` counts from 1970-01-01.
    #[must_use]
    pub fn from_parts(table_number: u32, random: [u8; 14], day: u16) -> Self {
        let mut internal = [0; INTERNAL_BYTES];
        internal[..14].copy_from_slice(&random);
        internal[14..].copy_from_slice(&day.to_be_bytes());
        Self { table_number, internal }
    }

    /// Appends the id's text to `out`.
    pub fn write_to(&self, out: &mut String) {
        let mut bytes = [0_u8; MAX_BYTES];
        let mut length = 0;
        let mut number = self.table_number;
        loop {
            let [low, ..] = number.to_le_bytes();
            number >>= 7;
            bytes[length] = if number == 0 { low } else { low | 0x80 };
            length += 1;
            if number == 0 {
                break;
            }
        }
        bytes[length..length + INTERNAL_BYTES].copy_from_slice(&self.internal);
        length += INTERNAL_BYTES;
        let footer = checksum(&bytes[..length]);
        bytes[length..length + FOOTER_BYTES].copy_from_slice(&footer);
        write_base32(&bytes[..length + FOOTER_BYTES], out);
    }
}

impl fmt::Display for DocumentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::with_capacity(37);
        self.write_to(&mut text);
        f.write_str(&text)
    }
}

impl FromStr for DocumentId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if !(31..=37).contains(&text.len()) {
            return Err(InvalidId::Length(text.len()));
        }
        let bytes = read_base32(text)?;
        let (table_number, number_bytes) = read_varint(&bytes)?;
        let rest = &bytes[number_bytes..];
        if rest.len() != INTERNAL_BYTES + FOOTER_BYTES {
            return Err(InvalidId::Length(text.len()));
        }
        let (body, footer) = bytes.split_at(bytes.len() - FOOTER_BYTES);
        if checksum(body) != footer {
            return Err(InvalidId::Checksum);
        }
        let mut internal = [0; INTERNAL_BYTES];
        internal.copy_from_slice(&rest[..INTERNAL_BYTES]);
        let id = Self { table_number, internal };
        if id.to_string() == text { Ok(id) } else { Err(InvalidId::NotCanonical) }
    }
}

/// Fletcher-16 with both sums taken modulo 256, the plain sum first. The format's version, zero, is mixed in by XOR.
fn checksum(bytes: &[u8]) -> [u8; 2] {
    let (mut sum, mut sum_of_sums) = (0_u8, 0_u8);
    for byte in bytes {
        sum = sum.wrapping_add(*byte);
        sum_of_sums = sum_of_sums.wrapping_add(sum);
    }
    [sum, sum_of_sums]
}

fn read_varint(bytes: &[u8]) -> Result<(u32, usize), InvalidId> {
    let mut number = 0_u64;
    for (position, byte) in bytes.iter().take(MAX_NUMBER_BYTES).enumerate() {
        number |= u64::from(byte & 0x7f) << (7 * position);
        if byte & 0x80 == 0 {
            let number = u32::try_from(number).map_err(|_| InvalidId::TableNumber)?;
            return if number == 0 { Err(InvalidId::TableNumber) } else { Ok((number, position + 1)) };
        }
    }
    Err(InvalidId::TableNumber)
}

fn write_base32(bytes: &[u8], out: &mut String) {
    let (mut buffer, mut bits) = (0_u32, 0);
    let mut push = |five: u32| out.push(char::from(ALPHABET[(five & 31) as usize]));
    for byte in bytes {
        buffer = (buffer << 8) | u32::from(*byte);
        bits += 8;
        while bits >= 5 {
            bits -= 5;
            push(buffer >> bits);
        }
    }
    if bits > 0 {
        push(buffer << (5 - bits));
    }
}

fn read_base32(text: &str) -> Result<Vec<u8>, InvalidId> {
    let mut bytes = Vec::with_capacity(MAX_BYTES);
    let (mut buffer, mut bits) = (0_u32, 0);
    for character in text.bytes() {
        let five = ALPHABET.iter().position(|letter| *letter == character).ok_or(InvalidId::Character)?;
        buffer = (buffer << 5) | u32::try_from(five).map_err(|_| InvalidId::Character)?;
        bits += 5;
        if bits >= 8 {
            bits -= 8;
            let [.., byte] = (buffer >> bits).to_be_bytes();
            bytes.push(byte);
        }
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encodes_the_worked_example() {
        let random = std::array::from_fn(|position| u8::try_from(position).unwrap());
        let id = DocumentId::from_parts(10_001, random, 20_000);
        assert_eq!(id.to_string(), "j57000820c20a1g7104gm2rc1n721a4s");
        assert_eq!("j57000820c20a1g7104gm2rc1n721a4s".parse(), Ok(id));
    }

    #[test]
    fn encodes_the_vector_of_the_backends_own_test() {
        let mut power = 1_u8;
        let internal = std::array::from_fn(|_| {
            power = power.wrapping_mul(251);
            power
        });
        let id = DocumentId { table_number: 1_017, internal };
        assert_eq!(id.to_string(), "z43zp6c3e75gkmz1kfwj6mbbx5sw281h");
    }

    #[test]
    fn decodes_an_id_of_a_real_deployment() {
        let id: DocumentId = "kg27rxfv99gzp01wmph0gvt92d6hnvy6".parse().unwrap();
        assert_eq!(id.table_number, 540);
        assert_eq!(u16::from_be_bytes([id.internal[14], id.internal[15]]), 19_738);
        assert_eq!(id.to_string(), "kg27rxfv99gzp01wmph0gvt92d6hnvy6");
    }

    #[test]
    fn users_tables_start_with_the_known_prefixes() {
        let prefix = |table_number| DocumentId::from_parts(table_number, [0; 14], 0).to_string()[..3].to_owned();
        assert_eq!([10_001, 10_002, 10_003, 10_004].map(prefix), ["j57", "j97", "jd7", "jh7"]);
    }

    #[test]
    fn length_follows_the_table_number() {
        let length = |table_number| DocumentId::from_parts(table_number, [7; 14], 9).to_string().len();
        assert_eq!([1, 10_001, 16_383, 16_384, 1 << 21, u32::MAX].map(length), [31, 32, 32, 34, 36, 37]);
    }

    #[test]
    fn every_id_round_trips() {
        for number in [1, 127, 128, 10_001, 16_383, 16_384, 2_097_152, u32::MAX] {
            for fill in [0, 1, 0x5a, 0xff] {
                let id = DocumentId { table_number: number, internal: [fill; 16] };
                assert_eq!(id.to_string().parse(), Ok(id));
            }
        }
    }

    #[test]
    fn refuses_what_is_not_an_id() {
        let parse = |text: &str| text.parse::<DocumentId>().unwrap_err();
        assert_eq!(parse("j57"), InvalidId::Length(3));
        assert_eq!(parse("j57000820c20a1g7104gm2rc1n721a4t"), InvalidId::Checksum);
        assert_eq!(parse("J57000820c20a1g7104gm2rc1n721a4s"), InvalidId::Character);
        assert_eq!(parse("3f0e8c1a-aaaa-4bbb-8ccc-1234567890ab"), InvalidId::Character);
    }
}
