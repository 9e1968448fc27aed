//! Convex document ids: the codec, and ids that are computed from rows' keys.
//!
//! An id is the table's number as a LEB128 varint, sixteen bytes, and a Fletcher-16 checksum, in Crockford's base32.
//! Source: `value/src/id_v6.rs` and `value/src/base32.rs` of the Convex backend.

use std::error::Error as StdError;
use std::fmt;
use std::str::FromStr;

use migrate_core::names::{SinkId, SourceKey, TableName};
use sha2::{Digest as _, Sha256};

const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
/// Bytes that tell documents of one table apart.
const INTERNAL_BYTES: usize = 16;
/// Of those, the ones that a server draws at random.
const RANDOM_BYTES: usize = 14;
const FOOTER_BYTES: usize = 2;
const VARINT_BYTES: usize = 5;
const MAX_BYTES: usize = VARINT_BYTES + INTERNAL_BYTES + FOOTER_BYTES;
/// Characters of the longest id.
const MAX_TEXT: usize = (MAX_BYTES * 8).div_ceil(5);
/// Characters of an id, for table numbers of one byte to five.
const TEXT_LENGTHS: [usize; VARINT_BYTES] = [31, 32, 34, 36, 37];
/// The first number that Convex gives to a table of a user; what is below belongs to the system.
pub(crate) const FIRST_USER_TABLE: u32 = 10_001;

/// The day of all derived ids: 2024-10-04.
///
/// It is fixed, because a row's id must be the same on every day, and it is past, so that no server makes such ids now.
/// Convex checks no byte of it.
const DERIVED_DAY: u16 = 20_000;

/// The id of a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct DocumentId {
    table: u32,
    internal: [u8; INTERNAL_BYTES],
}

impl DocumentId {
    /// The id of a table's document; `None` where no table has that number.
    #[must_use]
    pub fn new(table_number: u32, internal: [u8; 16]) -> Option<Self> {
        (table_number > 0).then_some(Self { table: table_number, internal })
    }

    /// The number that the deployment gave the table.
    #[must_use]
    pub fn table_number(self) -> u32 {
        self.table
    }

    /// What tells the table's documents apart: fourteen bytes, and the day since 1970 with the high byte first.
    #[must_use]
    pub fn internal(self) -> [u8; 16] {
        self.internal
    }

    /// Appends the id's text to a buffer.
    pub(crate) fn write_to(self, out: &mut Vec<u8>) {
        self.with_text(|text| out.extend_from_slice(text.as_bytes()));
    }

    /// The id as core passes it on.
    pub(crate) fn to_sink_id(self) -> SinkId {
        self.with_text(|text| SinkId::from(text))
    }

    fn with_text<T>(self, with: impl FnOnce(&str) -> T) -> T {
        let mut bytes = [0; MAX_BYTES];
        let length = self.encode(&mut bytes);
        let mut text = [0; MAX_TEXT];
        let length = write_base32(bytes.get(..length).unwrap_or_default(), &mut text);
        // The alphabet is ASCII.
        with(text.get(..length).and_then(|text| std::str::from_utf8(text).ok()).unwrap_or_default())
    }

    /// Writes number, bytes and footer; returns how many bytes those are.
    fn encode(self, bytes: &mut [u8; MAX_BYTES]) -> usize {
        let mut number = self.table;
        let mut length = 0;
        for slot in bytes.iter_mut() {
            let [low, ..] = number.to_le_bytes();
            number >>= 7;
            length += 1;
            *slot = if number == 0 { low } else { low | 0x80 };
            if number == 0 {
                break;
            }
        }
        let mut checksum = Fletcher::default();
        bytes.iter().take(length).for_each(|&byte| checksum.add(byte));
        for (slot, &byte) in bytes.iter_mut().skip(length).zip(&self.internal) {
            *slot = byte;
            checksum.add(byte);
        }
        length += INTERNAL_BYTES;
        for (slot, byte) in bytes.iter_mut().skip(length).zip(checksum.footer()) {
            *slot = byte;
        }
        length + FOOTER_BYTES
    }
}

impl fmt::Display for DocumentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.with_text(|text| f.write_str(text))
    }
}

/// Why a text is no document id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InvalidDocumentId(&'static str);

impl fmt::Display for InvalidDocumentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl StdError for InvalidDocumentId {}

impl FromStr for DocumentId {
    type Err = InvalidDocumentId;

    /// Reads an id in the one spelling that Convex takes.
    fn from_str(text: &str) -> Result<Self, InvalidDocumentId> {
        let number_bytes = TEXT_LENGTHS.iter().position(|&length| length == text.len());
        let number_bytes = number_bytes.ok_or(InvalidDocumentId("no id has that many characters"))? + 1;
        let bytes = read_base32(text)?;
        let mut checksum = Fletcher::default();
        let mut table = 0_u64;
        for (position, byte) in bytes.iter().take(number_bytes).enumerate() {
            let is_last = position + 1 == number_bytes;
            if (byte & 0x80 == 0) != is_last {
                return Err(InvalidDocumentId("its table number is of another length"));
            }
            table |= u64::from(byte & 0x7f) << (7 * position);
            checksum.add(*byte);
        }
        let (internal, footer) = bytes
            .get(number_bytes..)
            .and_then(|rest| rest.split_first_chunk::<INTERNAL_BYTES>())
            .and_then(|(internal, rest)| Some((*internal, *rest.first_chunk::<FOOTER_BYTES>()?)))
            .ok_or(InvalidDocumentId("no id has that many characters"))?;
        for &byte in &internal {
            checksum.add(byte);
        }
        let id = u32::try_from(table).ok().and_then(|table| Self::new(table, internal));
        let id = id.ok_or(InvalidDocumentId("no table has its number"))?;
        // A number that fits into fewer bytes has a spelling of that length.
        if number_bytes > 1 && table >> (7 * (number_bytes - 1)) == 0 {
            return Err(InvalidDocumentId("its table number is of another length"));
        }
        if footer == checksum.footer() { Ok(id) } else { Err(InvalidDocumentId("its checksum does not match")) }
    }
}

/// Fletcher-16 with both sums modulo 256, the plain sum first; the format's version, zero, is mixed in by XOR.
#[derive(Default)]
struct Fletcher {
    sum: u8,
    sum_of_sums: u8,
}

impl Fletcher {
    fn add(&mut self, byte: u8) {
        self.sum = self.sum.wrapping_add(byte);
        self.sum_of_sums = self.sum_of_sums.wrapping_add(self.sum);
    }

    fn footer(&self) -> [u8; FOOTER_BYTES] {
        [self.sum, self.sum_of_sums]
    }
}

/// Writes the digits of some bytes; returns how many those are.
fn write_base32(bytes: &[u8], out: &mut [u8; MAX_TEXT]) -> usize {
    let (mut bits, mut held) = (0_u32, 0_u32);
    let (mut slots, mut length) = (out.iter_mut(), 0);
    let mut digit = |bits: u32| {
        if let Some((slot, digit)) = slots.next().zip(ALPHABET.get((bits & 31) as usize)) {
            *slot = *digit;
            length += 1;
        }
    };
    for &byte in bytes {
        bits = (bits << 8) | u32::from(byte);
        held += 8;
        while held >= 5 {
            held -= 5;
            digit(bits >> held);
        }
        bits &= (1 << held) - 1;
    }
    if held > 0 {
        digit(bits << (5 - held));
    }
    length
}

/// No digit.
const NONE: u8 = 32;

/// The value of each character.
const DIGITS: [u8; 256] = {
    let mut digits = [NONE; 256];
    let mut value = 0;
    while value < ALPHABET.len() {
        // The alphabet has 32 characters.
        #[expect(clippy::cast_possible_truncation, reason = "it is below 32")]
        let digit = value as u8;
        digits[ALPHABET[value] as usize] = digit;
        value += 1;
    }
    digits
};

/// The bytes of a text, and zeros behind them.
fn read_base32(text: &str) -> Result<[u8; MAX_BYTES], InvalidDocumentId> {
    let mut bytes = [0; MAX_BYTES];
    // What is no digit has the one bit that no digit has.
    let mut all = 0;
    let mut rest = 0;
    // Eight characters are five bytes.
    for (chars, slots) in text.as_bytes().chunks(8).zip(bytes.chunks_mut(5)) {
        let mut bits = 0_u64;
        for &char in chars {
            let digit = DIGITS.get(usize::from(char)).copied().unwrap_or(NONE);
            all |= digit;
            bits = (bits << 5) | u64::from(digit & (NONE - 1));
        }
        bits <<= 5 * (8 - chars.len());
        let [_, _, _, spelled @ ..] = bits.to_be_bytes();
        let whole = chars.len() * 5 / 8;
        for (slot, byte) in slots.iter_mut().zip(spelled.into_iter().take(whole)) {
            *slot = byte;
        }
        rest = spelled.into_iter().skip(whole).fold(0, |rest, byte| rest | byte);
    }
    if all & NONE != 0 {
        return Err(InvalidDocumentId("a character of it is in no id"));
    }
    // The bits that fill the last character are zeros in the one spelling.
    if rest == 0 { Ok(bytes) } else { Err(InvalidDocumentId("its last character is another one")) }
}

/// Makes the ids of one table's documents from its rows' keys.
///
/// The sixteen bytes are the first fourteen of `SHA-256(len(stream) stream len(table) table key)`, lengths as 32 bits with
/// the high byte first, and a fixed day. The same row always gets the same id, in whatever order and however often.
#[derive(Debug, Clone)]
pub(crate) struct IdMaker {
    number: u32,
    /// Has taken in what all rows of the table share.
    prefix: Sha256,
}

impl IdMaker {
    /// For the rows of a table at the source, which has that number at the sink. `stream` tells migrations apart that go
    /// into one deployment.
    pub(crate) fn new(stream: &str, table: &TableName, number: u32) -> Self {
        let mut prefix = Sha256::new();
        for part in [stream, &table.to_string()] {
            prefix.update(u32::try_from(part.len()).unwrap_or(u32::MAX).to_be_bytes());
            prefix.update(part);
        }
        Self { number, prefix }
    }

    pub(crate) fn id(&self, key: &SourceKey) -> DocumentId {
        let mut hasher = self.prefix.clone();
        hasher.update(key.as_str());
        let hash = hasher.finalize();
        let [day_high, day_low] = DERIVED_DAY.to_be_bytes();
        let mut internal = [0; INTERNAL_BYTES];
        let day = [day_high, day_low];
        for (slot, byte) in internal.iter_mut().zip(hash.into_iter().take(RANDOM_BYTES).chain(day)) {
            *slot = byte;
        }
        DocumentId { table: self.number, internal }
    }
}

#[cfg(test)]
#[path = "document_id_tests.rs"]
mod tests;
