//! Rows of `COPY … (FORMAT binary)` as values: the tuple's fields straight from the buffer, by the type of each column.
//!
//! Forms are those of the types' send functions (Postgres docs, "COPY", "Binary Format"; `src/backend/utils/adt`). Where
//! a form is not worth reading, or depends on the server's version, the column is selected as JSON and read as PostgREST's
//! answers are: [`Form::AsJson`].

use migrate_core::catalog::SourceType;
use migrate_core::value::{TimeKind, Value};

use super::binary_numeric::numeric;
use super::binary_time::{date, time, time_tz, timestamp, timestamp_tz};
use crate::decode::{Found, value_of};

/// Dimensions of an array, of which Postgres has six at most (`MAXDIM`).
const MAX_DIMENSIONS: i32 = 6;

/// Begins every binary COPY; 4 bytes of flags and 4 of an extension's length follow.
const SIGNATURE: &[u8] = b"PGCOPY\n\xff\r\n\0";

/// How a column's bytes are read.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Form {
    Bool,
    Int2,
    Int4,
    Int8,
    Float8,
    Numeric,
    Text,
    Uuid,
    /// `json`, or anything else whose text is JSON.
    Json,
    /// A version byte before the text.
    Jsonb,
    Bytes,
    TimestampTz,
    Timestamp,
    Date,
    Time,
    TimeTz,
    /// Elements of one form.
    Array(Box<Form>),
    /// Selected by `to_json`, and read like an answer of the data API.
    AsJson(SourceType),
}

/// A part of a row: its fields are taken from the front.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bytes<'b>(pub(super) &'b [u8]);

const CUT: Found = "bytes that end early";

impl<'b> Bytes<'b> {
    pub(super) fn take(&mut self, count: usize) -> Result<&'b [u8], Found> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or(CUT)?;
        self.0 = rest;
        Ok(taken)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], Found> {
        let (taken, rest) = self.0.split_first_chunk::<N>().ok_or(CUT)?;
        self.0 = rest;
        Ok(*taken)
    }

    pub(super) fn int2(&mut self) -> Result<i16, Found> {
        self.array().map(i16::from_be_bytes)
    }

    pub(super) fn int4(&mut self) -> Result<i32, Found> {
        self.array().map(i32::from_be_bytes)
    }

    pub(super) fn int8(&mut self) -> Result<i64, Found> {
        self.array().map(i64::from_be_bytes)
    }

    /// A length and so many bytes; `None` for NULL.
    fn field(&mut self) -> Result<Option<Bytes<'b>>, Found> {
        match self.int4()? {
            -1 => Ok(None),
            length => {
                let length = usize::try_from(length).map_err(|_| "a negative length")?;
                self.take(length).map(|bytes| Some(Bytes(bytes)))
            }
        }
    }

    /// Leaves the header out, where it is the first thing.
    pub(super) fn skip_header(&mut self) -> Result<(), Found> {
        if self.take(SIGNATURE.len())? != SIGNATURE {
            return Err("another signature than that of a binary COPY");
        }
        self.int4()?;
        let extension = usize::try_from(self.int4()?).map_err(|_| "a negative length")?;
        self.take(extension).map(drop)
    }

    /// The number of the next tuple's fields; `None` for the trailer.
    pub(super) fn tuple(&mut self) -> Result<Option<usize>, Found> {
        let fields = self.int2()?;
        Ok(usize::try_from(fields).ok())
    }

    /// The next field of a tuple as a value.
    pub(super) fn value(&mut self, form: &Form) -> Result<Value, Found> {
        match self.field()? {
            Some(bytes) => form.read(bytes),
            None => Ok(Value::Null),
        }
    }
}

impl Form {
    /// Reads a value that is not NULL; all of the bytes are its.
    fn read(&self, mut bytes: Bytes<'_>) -> Result<Value, Found> {
        let value = match self {
            Self::Bool => Value::Bool(bytes.array::<1>()? != [0]),
            Self::Int2 => Value::Int64(bytes.int2()?.into()),
            Self::Int4 => Value::Int64(bytes.int4()?.into()),
            Self::Int8 => Value::Int64(bytes.int8()?),
            Self::Float8 => {
                let number = f64::from_be_bytes(bytes.array()?);
                // There are many, and PostgREST writes all of them as NaN.
                Value::Float64(if number.is_nan() { f64::NAN } else { number })
            }
            Self::Numeric => Value::Decimal(numeric(&mut bytes)?),
            Self::Text => return text(bytes).map(Value::Text),
            Self::Uuid => Value::Text(uuid(bytes.array()?)),
            Self::Json => return text(bytes).map(Value::Json),
            Self::Jsonb => match bytes.array::<1>()? {
                [1] => return text(bytes).map(Value::Json),
                _ => return Err("jsonb of an unknown version"),
            },
            Self::Bytes => return Ok(Value::Bytes(bytes.0.into())),
            Self::TimestampTz => Value::Time(TimeKind::TimestampTz, timestamp_tz(bytes.int8()?)),
            Self::Timestamp => Value::Time(TimeKind::Timestamp, timestamp(bytes.int8()?)),
            Self::Date => Value::Time(TimeKind::Date, date(bytes.int4()?)),
            Self::Time => Value::Time(TimeKind::Time, time(bytes.int8()?)?),
            Self::TimeTz => Value::Time(TimeKind::TimeTz, time_tz(bytes.int8()?, bytes.int4()?)?),
            Self::Array(element) => array(&mut bytes, element)?,
            Self::AsJson(source_type) => {
                let text = std::str::from_utf8(bytes.0).map_err(|_| NO_UTF8)?;
                return value_of(text, source_type);
            }
        };
        if bytes.0.is_empty() { Ok(value) } else { Err("more bytes than the type has") }
    }
}

const NO_UTF8: Found = "text that is not in UTF-8";

fn text(bytes: Bytes<'_>) -> Result<Box<str>, Found> {
    std::str::from_utf8(bytes.0).map(Box::from).map_err(|_| NO_UTF8)
}

/// `array_send`: dimensions, whether there are NULLs, the elements' type, length and lower bound of each dimension, and
/// the elements in row-major order. Lower bounds are left out, as in JSON.
fn array(bytes: &mut Bytes<'_>, element: &Form) -> Result<Value, Found> {
    let dimensions = bytes.int4()?;
    bytes.int4()?;
    bytes.int4()?;
    if !(0..=MAX_DIMENSIONS).contains(&dimensions) {
        return Err("an array of more dimensions than there are");
    }
    let mut lengths = Vec::new();
    for _ in 0..dimensions {
        lengths.push(usize::try_from(bytes.int4()?).map_err(|_| "a negative length")?);
        bytes.int4()?;
    }
    if lengths.is_empty() { Ok(Value::Array(Vec::new())) } else { items_of(bytes, element, &lengths) }
}

/// The elements of the dimensions with these lengths, or the one element where there is none.
fn items_of(bytes: &mut Bytes<'_>, element: &Form, lengths: &[usize]) -> Result<Value, Found> {
    let Some((length, inner)) = lengths.split_first() else { return bytes.value(element) };
    // Every element has 4 bytes at least, so a wrong length takes no memory.
    let mut items = Vec::with_capacity((*length).min(bytes.0.len() / 4));
    for _ in 0..*length {
        items.push(items_of(bytes, element, inner)?);
    }
    Ok(Value::Array(items))
}

fn uuid(bytes: [u8; 16]) -> Box<str> {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = [b'-'; 36];
    // Where the dashes leave room for the pairs of digits.
    let pairs = [0, 2, 4, 6, 9, 11, 14, 16, 19, 21, 24, 26, 28, 30, 32, 34];
    for (byte, at) in bytes.into_iter().zip(pairs) {
        let digits = [byte >> 4, byte & 15].map(|digit| DIGITS.get(usize::from(digit)).copied().unwrap_or(b'0'));
        if let Some(pair) = text.get_mut(at..at + 2) {
            pair.copy_from_slice(&digits);
        }
    }
    ascii(&text)
}

/// Digits and signs, as text.
pub(super) fn ascii(bytes: &[u8]) -> Box<str> {
    std::str::from_utf8(bytes).map(Box::from).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(form: &Form, bytes: &[u8]) -> Result<Value, Found> {
        form.read(Bytes(bytes))
    }

    #[test]
    fn fields_end_where_they_say() {
        assert_eq!(read(&Form::Int4, &[0, 0, 1, 0]), Ok(Value::Int64(256)));
        assert_eq!(read(&Form::Int4, &[0, 0, 1]), Err(CUT));
        assert_eq!(read(&Form::Int2, &[0, 0, 1]), Err("more bytes than the type has"));
        assert_eq!(read(&Form::Text, &[0xff]), Err(NO_UTF8));
        assert_eq!(read(&Form::Jsonb, b"\x02{}"), Err("jsonb of an unknown version"));
        let row = [0, 0, 0, 1, b'a', 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 9];
        let mut row = Bytes(&row);
        assert_eq!(row.value(&Form::Text), Ok(Value::text("a")));
        assert_eq!(row.value(&Form::Text), Ok(Value::Null));
        assert_eq!(row.value(&Form::Text), Err(CUT));
    }

    #[test]
    fn what_is_no_copy_is_refused() {
        let mut header = Bytes(b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\x02xx\0\x01");
        header.skip_header().unwrap();
        assert_eq!(header.tuple(), Ok(Some(1)));
        assert!(Bytes(b"PGCOPY\n\xff\r\n\0\0\0\0\0").skip_header().is_err());
        assert!(Bytes(b"select 1, 2, 3, 4, 5").skip_header().is_err());
        assert_eq!(Bytes(&[0xff, 0xff]).tuple(), Ok(None));
    }

    #[test]
    fn a_wrong_length_takes_no_memory() {
        let mut array = vec![0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 25];
        array.extend([0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 1]);
        assert_eq!(read(&Form::Array(Box::new(Form::Text)), &array), Err(CUT));
    }

    #[test]
    fn identifiers_are_written_as_postgres_does() {
        let bytes: Vec<u8> = (0..16).map(|byte| byte * 0x11).collect();
        assert_eq!(read(&Form::Uuid, &bytes), Ok(Value::text("00112233-4455-6677-8899-aabbccddeeff")));
    }
}
