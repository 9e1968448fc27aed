//! An answer's body as records, exactly: by the type each column was discovered with, from the raw text of each value.

mod typed;

use std::fmt;

use migrate_core::catalog::{ScalarKind, SourceType};
use migrate_core::record::Record;
use migrate_core::value::{TimeKind, Value};
use migrate_core::{Error, ErrorKind, Result};
use serde::Deserializer as _;
use serde::de::{DeserializeSeed, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::error::Category;
use serde_json::value::RawValue;

use crate::table_read::{ColumnRead, TableRead};

/// Arrays of more dimensions do not exist in Postgres (`MAXDIM`).
const MAX_DIMENSIONS: usize = 6;

/// The records of a body, in its order.
///
/// # Errors
/// `Unavailable` when the body ends early: it was cut, and the same request may be sent again. `Protocol` when it is no
/// array of rows with the columns of `read`. `Config` when a value does not fit its column's type, which a table that was
/// altered meanwhile shows by; the value is not shown.
pub(crate) fn decode(body: &[u8], read: &TableRead) -> Result<Vec<Record>> {
    if let Some(records) = typed::records(body, read) {
        return Ok(records);
    }
    let in_table = |error: Error| error.with_context("table", &read.shape.table);
    let mut parser = serde_json::Deserializer::from_slice(body);
    let rows = parser.deserialize_seq(Rows(&read.columns)).and_then(|rows| parser.end().map(|()| rows));
    // serde_json's own message may quote a value.
    let rows = rows.map_err(|error| match error.classify() {
        Category::Eof | Category::Io => {
            in_table(Error::new(ErrorKind::Unavailable, "read the whole answer: it ends in the middle"))
        }
        Category::Syntax => in_table(Error::new(ErrorKind::Protocol, "read the answer: it is not JSON")),
        Category::Data => {
            in_table(Error::new(ErrorKind::Protocol, "read the answer: its rows do not have the columns asked for"))
        }
    })?;
    let mut records = Vec::with_capacity(rows.len());
    for row in rows {
        let mut values = Vec::with_capacity(row.len());
        for (position, (raw, column)) in row.into_iter().zip(&read.columns).enumerate() {
            values.push(value_of(raw.get(), &column.source_type).map_err(|found| {
                let name = read.shape.fields.get(position).map_or("", |field| field.as_str());
                in_table(Error::new(ErrorKind::Config, format!("read {found} as {}", column.source_type.name)))
                    .with_context("column", name)
                    .with_remedy(match column.source_type.scalar {
                        ScalarKind::Bytes => "set bytea_output to hex for the data API's role",
                        _ => "the schema may have changed: run migrate-discover again",
                    })
            })?);
        }
        records.push(Record { shape: read.shape.clone(), values });
    }
    Ok(records)
}

struct Rows<'c>(&'c [ColumnRead]);

impl<'de> Visitor<'de> for Rows<'_> {
    type Value = Vec<Vec<&'de RawValue>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of rows")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut rows: A) -> Result<Self::Value, A::Error> {
        let mut read = Vec::new();
        while let Some(row) = rows.next_element_seed(Row(self.0))? {
            read.push(row);
        }
        Ok(read)
    }
}

struct Row<'c>(&'c [ColumnRead]);

impl<'de> DeserializeSeed<'de> for Row<'_> {
    type Value = Vec<&'de RawValue>;

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Row<'_> {
    type Value = Vec<&'de RawValue>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a row")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut row: A) -> Result<Self::Value, A::Error> {
        let mut values: Vec<Option<&'de RawValue>> = vec![None; self.0.len()];
        let mut expected = 0;
        while let Some(position) = row.next_key_seed(ColumnPosition { columns: self.0, expected })? {
            let slot = values.get_mut(position).ok_or_else(|| A::Error::custom("a column that was not asked for"))?;
            if slot.replace(row.next_value()?).is_some() {
                return Err(A::Error::custom("a column twice"));
            }
            expected = position + 1;
        }
        values.into_iter().collect::<Option<Vec<_>>>().ok_or_else(|| A::Error::custom("a column is missing"))
    }
}

/// Finds a column's position by its name, without taking a copy of it; the server keeps the order of `select`.
struct ColumnPosition<'c> {
    columns: &'c [ColumnRead],
    expected: usize,
}

impl<'de> DeserializeSeed<'de> for ColumnPosition<'_> {
    type Value = usize;

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<usize, D::Error> {
        deserializer.deserialize_identifier(self)
    }
}

impl Visitor<'_> for ColumnPosition<'_> {
    type Value = usize;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a column's name")
    }

    fn visit_str<E: serde::de::Error>(self, name: &str) -> Result<usize, E> {
        let named = |column: &ColumnRead| column.answered_as == name;
        if self.columns.get(self.expected).is_some_and(named) {
            return Ok(self.expected);
        }
        self.columns.iter().position(named).ok_or_else(|| E::custom("a column that was not asked for"))
    }
}

/// What was found where something else was due, in words: never the value.
pub(crate) type Found = &'static str;

/// One column's value, from its JSON text.
///
/// # Errors
/// What was found instead of a value of the type.
pub(crate) fn value_of(text: &str, source_type: &SourceType) -> Result<Value, Found> {
    match text {
        "null" => Ok(Value::Null),
        text if source_type.array => array(text, source_type.scalar, 1),
        text => scalar(text, source_type.scalar),
    }
}

/// An array, nested by dimension. Lower bounds are not in the answer. In an array of JSON the elements are JSON, so its
/// dimensions beyond the first and its elements' literal `null` cannot be told from JSON's own.
fn array(text: &str, kind: ScalarKind, dimension: usize) -> Result<Value, Found> {
    if !text.starts_with('[') || dimension > MAX_DIMENSIONS {
        return Err(kind_of(text));
    }
    let items: Vec<&RawValue> = serde_json::from_str(text).map_err(|_| "a malformed array")?;
    let item = |item: &RawValue| match item.get() {
        "null" => Ok(Value::Null),
        text if kind == ScalarKind::Json => Ok(Value::Json(text.into())),
        text if text.starts_with('[') => array(text, kind, dimension + 1),
        text => scalar(text, kind),
    };
    items.into_iter().map(item).collect::<Result<_, _>>().map(Value::Array)
}

/// The value of a kind that comes as a string and is kept as its text.
fn of_string(kind: ScalarKind) -> Option<fn(Box<str>) -> Value> {
    Some(match kind {
        ScalarKind::Text
        | ScalarKind::Uuid
        | ScalarKind::Enum
        | ScalarKind::Money
        | ScalarKind::Network
        | ScalarKind::Bits
        | ScalarKind::Xml
        | ScalarKind::Search
        | ScalarKind::Oid
        | ScalarKind::Range
        | ScalarKind::Shape
        | ScalarKind::Vector => Value::Text,
        // Selected as text, so the string holds the JSON.
        ScalarKind::Json => Value::Json,
        ScalarKind::TimestampTz => |text| Value::Time(TimeKind::TimestampTz, text),
        ScalarKind::Timestamp => |text| Value::Time(TimeKind::Timestamp, text),
        ScalarKind::Date => |text| Value::Time(TimeKind::Date, text),
        ScalarKind::Time => |text| Value::Time(TimeKind::Time, text),
        ScalarKind::TimeTz => |text| Value::Time(TimeKind::TimeTz, text),
        ScalarKind::Interval => |text| Value::Time(TimeKind::Interval, text),
        _ => return None,
    })
}

/// One value that is not NULL, from its JSON text.
fn scalar(text: &str, kind: ScalarKind) -> Result<Value, Found> {
    match kind {
        // A project may have its own cast from oid to JSON; the server's form is a string.
        ScalarKind::Oid if is_number(text) => Ok(Value::Text(text.into())),
        kind if let Some(value) = of_string(kind) => string(text).map(value),
        ScalarKind::Bool => boolean(text).ok_or_else(|| kind_of(text)),
        ScalarKind::Int4 | ScalarKind::Int8 => text.parse().map(Value::Int64).map_err(|_| kind_of(text)),
        ScalarKind::Numeric if is_number(text) => Ok(Value::Decimal(text.into())),
        ScalarKind::Numeric => match string(text)? {
            special if matches!(&*special, "NaN" | "Infinity" | "-Infinity") => Ok(Value::Decimal(special)),
            _ => Err(kind_of(text)),
        },
        ScalarKind::Float8 if is_number(text) => text.parse().map(Value::Float64).map_err(|_| kind_of(text)),
        ScalarKind::Float8 => match &*string(text)? {
            "NaN" => Ok(Value::Float64(f64::NAN)),
            "Infinity" => Ok(Value::Float64(f64::INFINITY)),
            "-Infinity" => Ok(Value::Float64(f64::NEG_INFINITY)),
            _ => Err(kind_of(text)),
        },
        ScalarKind::Bytes => bytes(&string(text)?).map(Value::Bytes).ok_or("bytes that are not in hex"),
        ScalarKind::Hstore | ScalarKind::Composite if text.starts_with('{') => Ok(Value::Json(text.into())),
        ScalarKind::Hstore | ScalarKind::Composite => Err(kind_of(text)),
        // `Other`, and what a later core may add. A `Geometry` comes as text, those in an array as GeoJSON.
        _ => match text.as_bytes().first() {
            Some(b'"') => string(text).map(Value::Text),
            Some(b't' | b'f') => boolean(text).ok_or_else(|| kind_of(text)),
            Some(b'{' | b'[') => Ok(Value::Json(text.into())),
            _ if is_number(text) => Ok(Value::Decimal(text.into())),
            _ => Err(kind_of(text)),
        },
    }
}

fn boolean(text: &str) -> Option<Value> {
    match text {
        "true" => Some(Value::Bool(true)),
        "false" => Some(Value::Bool(false)),
        _ => None,
    }
}

fn string(text: &str) -> Result<Box<str>, Found> {
    if !text.starts_with('"') {
        return Err(kind_of(text));
    }
    serde_json::from_str::<String>(text).map(String::into_boxed_str).map_err(|_| "a malformed string")
}

/// `\x…` (Postgres docs, "Binary Data Types", hex format).
fn bytes(text: &str) -> Option<Box<[u8]>> {
    let digits = text.strip_prefix("\\x")?.as_bytes();
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let pairs = digits.chunks(2).map(|pair| match *pair {
        [high, low] => Some(digit(high)? << 4 | digit(low)?),
        _ => None,
    });
    pairs.collect()
}

fn is_number(text: &str) -> bool {
    text.starts_with(|first: char| first == '-' || first.is_ascii_digit())
}

fn kind_of(text: &str) -> Found {
    match text.as_bytes().first() {
        Some(b'"') => "a string",
        Some(b'{') => "an object",
        Some(b'[') => "an array",
        Some(b't' | b'f') => "a boolean",
        Some(b'n') => "null",
        _ => "a number",
    }
}

#[cfg(test)]
mod tests;
