//! The fast way to read a page: one pass over the body, each value straight into the kind that its column has.
//!
//! Only where every row has the columns in the order they were asked for, and every value the usual form of its type:
//! anything else is left to [`super::decode`], which knows every form, and tells what is wrong where. The bench `decode`
//! of `stages` measures it.

use std::fmt;

use migrate_core::catalog::{ScalarKind, SourceType};
use migrate_core::record::Record;
use migrate_core::value::Value;
use serde::Deserializer as _;
use serde::de::{Deserialize as _, DeserializeSeed, Error, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::{ColumnPosition, of_string, value_of};
use crate::table_read::TableRead;

/// The records of a body; `None` where it has to be looked at closely.
pub(super) fn records(body: &[u8], read: &TableRead) -> Option<Vec<Record>> {
    let mut parser = serde_json::Deserializer::from_slice(body);
    let records = parser.deserialize_seq(Rows(read)).ok()?;
    parser.end().ok()?;
    Some(records)
}

struct Rows<'c>(&'c TableRead);

impl<'de> Visitor<'de> for Rows<'_> {
    type Value = Vec<Record>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of rows")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut rows: A) -> Result<Self::Value, A::Error> {
        let mut records = Vec::new();
        while let Some(values) = rows.next_element_seed(Row(self.0))? {
            records.push(Record { shape: self.0.shape.clone(), values });
        }
        Ok(records)
    }
}

struct Row<'c>(&'c TableRead);

impl<'de> DeserializeSeed<'de> for Row<'_> {
    type Value = Vec<Value>;

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Row<'_> {
    type Value = Vec<Value>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a row")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut row: A) -> Result<Self::Value, A::Error> {
        let columns = &self.0.columns;
        let mut values = Vec::with_capacity(columns.len());
        for (expected, column) in columns.iter().enumerate() {
            if row.next_key_seed(ColumnPosition { columns, expected })? != Some(expected) {
                return Err(A::Error::custom("columns in another order"));
            }
            values.push(row.next_value_seed(OfType(&column.source_type))?);
        }
        // A further column is an error of the map's own.
        Ok(values)
    }
}

/// A value of a column.
struct OfType<'c>(&'c SourceType);

impl<'de> DeserializeSeed<'de> for OfType<'_> {
    type Value = Value;

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        let of_string = of_string(self.0.scalar).filter(|_| !self.0.array);
        let is_direct = of_string.is_some()
            || (!self.0.array && matches!(self.0.scalar, ScalarKind::Bool | ScalarKind::Int4 | ScalarKind::Int8));
        if is_direct {
            return deserializer.deserialize_any(Direct { kind: self.0.scalar, of_string });
        }
        // A decimal is its digits, and what has parts is read by its text.
        let raw = <&RawValue>::deserialize(deserializer)?;
        value_of(raw.get(), self.0).map_err(D::Error::custom)
    }
}

/// A value whose JSON form has all of it.
struct Direct {
    kind: ScalarKind,
    of_string: Option<fn(Box<str>) -> Value>,
}

impl Visitor<'_> for Direct {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value of the column's type")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        match self.kind {
            ScalarKind::Bool => Ok(Value::Bool(value)),
            _ => Err(E::custom("a boolean")),
        }
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        match self.kind {
            ScalarKind::Int4 | ScalarKind::Int8 => Ok(Value::Int64(value)),
            _ => Err(E::custom("a number")),
        }
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        self.visit_i64(i64::try_from(value).map_err(|_| E::custom("a number over 2^63"))?)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Value, E> {
        self.of_string.map(|value| value(text.into())).ok_or_else(|| E::custom("a string"))
    }
}
