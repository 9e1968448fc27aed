//! Values of Convex's encoded JSON, read straight into [`Value`].
//!
//! Source: the backend's `value/src/json/mod.rs` (`convex_encoded_json`). Every JSON number is a double; 64-bit integers,
//! bytes, and the doubles that JSON has no number for are objects with one key that begins with `$`.

use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use migrate_core::names::SinkId;
use migrate_core::value::Value;
use migrate_core::verify::Document;
use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

/// Items that room is made for before they are there.
const ROOM: usize = 1024;

/// Names that a reader keeps at most; a document has 1,024 fields at most.
const NAMES: usize = 1024;

/// A value in its encoded form.
#[derive(Debug)]
pub(crate) struct Encoded(pub(crate) Value);

impl<'de> Deserialize<'de> for Encoded {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyValue).map(Self)
    }
}

/// Reads documents one after the other, and keeps the names of their fields: all of a table mostly have the same.
#[derive(Debug, Default)]
pub(crate) struct DocumentReader {
    names: Vec<Arc<str>>,
    /// Where the name after the last one is, should the fields be as those of the last document.
    next: usize,
}

impl DocumentReader {
    /// A document with its system fields, in its encoded form.
    pub(crate) fn read(&mut self, text: &[u8]) -> serde_json::Result<Document> {
        let mut deserializer = serde_json::Deserializer::from_slice(text);
        let document = deserializer.deserialize_map(WholeDocument(self))?;
        deserializer.end()?;
        Ok(document)
    }

    fn name(&mut self, name: &str) -> Arc<str> {
        let is_next = self.names.get(self.next).is_some_and(|known| **known == *name);
        let at = if is_next { Some(self.next) } else { self.names.iter().position(|known| **known == *name) };
        if let Some(known) = at.and_then(|at| self.names.get(at)) {
            self.next = at.unwrap_or_default() + 1;
            return known.clone();
        }
        let new: Arc<str> = name.into();
        if self.names.len() < NAMES {
            self.names.push(new.clone());
            self.next = self.names.len();
        }
        new
    }
}

impl<'de> DeserializeSeed<'de> for &mut DocumentReader {
    type Value = Arc<str>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Arc<str>, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for &mut DocumentReader {
    type Value = Arc<str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a field's name")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<Arc<str>, E> {
        Ok(self.name(name))
    }
}

struct AnyValue;

impl<'de> Visitor<'de> for AnyValue {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value in Convex's encoded form")
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    #[expect(clippy::cast_precision_loss, reason = "the digits are those of a double, and this is the nearest one")]
    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Float64(value as f64))
    }

    #[expect(clippy::cast_precision_loss, reason = "the digits are those of a double, and this is the nearest one")]
    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Float64(value as f64))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Ok(Value::Float64(value))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Value, E> {
        Ok(Value::text(text))
    }

    fn visit_string<E: Error>(self, text: String) -> Result<Value, E> {
        Ok(Value::text(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut read = Vec::with_capacity(items.size_hint().unwrap_or(0).min(ROOM));
        while let Some(Encoded(item)) = items.next_element()? {
            read.push(item);
        }
        Ok(Value::Array(read))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut read: Vec<(Box<str>, Value)> = Vec::new();
        while let Some(key) = entries.next_key::<Box<str>>()? {
            if key.starts_with('$') {
                // No object of a document has such a key: it stands for a value, and alone.
                let text: String = entries.next_value()?;
                if !read.is_empty() || entries.next_key::<Box<str>>()?.is_some() {
                    return Err(A::Error::custom("a key with `$` is not alone"));
                }
                return special(&key, &text).ok_or_else(|| A::Error::custom("an unknown kind of value"));
            }
            let Encoded(value) = entries.next_value()?;
            read.push((key, value));
        }
        Ok(Value::Object(read))
    }
}

/// `$integer`, `$float` and `$bytes`.
fn special(key: &str, text: &str) -> Option<Value> {
    let bytes = STANDARD.decode(text).ok()?;
    match key {
        "$integer" => Some(Value::Int64(i64::from_le_bytes(bytes.try_into().ok()?))),
        "$float" => Some(Value::Float64(f64::from_le_bytes(bytes.try_into().ok()?))),
        "$bytes" => Some(Value::Bytes(bytes.into())),
        _ => None,
    }
}

struct WholeDocument<'a>(&'a mut DocumentReader);

impl<'de> Visitor<'de> for WholeDocument<'_> {
    type Value = Document;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a document")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Document, A::Error> {
        let Self(reader) = self;
        let (mut id, mut creation_time, mut fields) = (None, None, Vec::with_capacity(reader.names.len()));
        reader.next = 0;
        while let Some(name) = entries.next_key_seed(&mut *reader)? {
            match (&*name, entries.next_value::<Encoded>()?.0) {
                ("_id", Value::Text(text)) => id = Some(SinkId::new(text.into_string())),
                ("_creationTime", Value::Float64(time)) => creation_time = Some(time),
                (_, value) => fields.push((name, value)),
            }
        }
        let id = id.ok_or_else(|| A::Error::missing_field("_id"))?;
        let creation_time = creation_time.ok_or_else(|| A::Error::missing_field("_creationTime"))?;
        Ok(Document { id, creation_time, fields })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Value {
        serde_json::from_str::<Encoded>(text).unwrap().0
    }

    #[test]
    fn every_kind_is_read_as_it_is() {
        // The vectors of `$integer` and `$float` are those that `convexToJson` of the package `convex` gives.
        for (text, expected) in [
            ("null", Value::Null),
            ("true", Value::Bool(true)),
            ("5", Value::Float64(5.0)),
            ("-5", Value::Float64(-5.0)),
            ("1152921504606847000", Value::Float64(1_152_921_504_606_846_976.0)),
            ("1e300", Value::Float64(1e300)),
            (r#"{"$integer":"AQAAAAAAAAA="}"#, Value::Int64(1)),
            (r#"{"$integer":"AAAAAAAAAIA="}"#, Value::Int64(i64::MIN)),
            (r#"{"$float":"AAAAAAAA8P8="}"#, Value::Float64(f64::NEG_INFINITY)),
            (r#"{"$bytes":"AQL/"}"#, Value::Bytes(Box::new([1, 2, 255]))),
            (r#""\u00e9""#, Value::text("é")),
            ("[null,[]]", Value::Array(vec![Value::Null, Value::Array(vec![])])),
            (r#"{"b":null,"a":1}"#, Value::Object(vec![("b".into(), Value::Null), ("a".into(), Value::Float64(1.0))])),
        ] {
            assert_eq!(read(text), expected, "{text}");
        }
        let bits = |text: &str| match read(text) {
            Value::Float64(value) => value.to_bits(),
            other => panic!("{other:?}"),
        };
        assert_eq!(bits(r#"{"$float":"AAAAAAAAAIA="}"#), (-0.0_f64).to_bits());
        assert_eq!(bits(r#"{"$float":"AAAAAAAA+H8="}"#), f64::NAN.to_bits());
        for bad in
            [r#"{"$integer":"AQ=="}"#, r#"{"$other":"AQ=="}"#, r#"{"$bytes":"AQ==","a":1}"#, r#"{"a":1,"$bytes":""}"#]
        {
            assert!(serde_json::from_str::<Encoded>(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_document_has_its_system_fields() {
        let text = r#"{"_creationTime":1.5,"_id":"j57","n":{"$integer":"AQAAAAAAAAA="}}"#;
        let mut reader = DocumentReader::default();
        let document = reader.read(text.as_bytes()).unwrap();
        assert_eq!((document.id.as_str(), document.creation_time), ("j57", 1.5));
        assert_eq!(document.fields, [("n".into(), Value::Int64(1))]);
        for bad in
            [r#"{"_id":"j57"}"#, r#"{"_creationTime":1.5,"_id":"j57"}5"#, "[]", r#"{"_creationTime":1.5,"_id":"j5"#]
        {
            assert!(reader.read(bad.as_bytes()).is_err(), "{bad}");
        }
    }

    #[test]
    fn names_are_shared_whatever_their_order() {
        let mut reader = DocumentReader::default();
        let mut names = |text: &str| -> Vec<Arc<str>> {
            let text = format!(r#"{{"_creationTime":1,"_id":"j",{text}}}"#);
            reader.read(text.as_bytes()).unwrap().fields.into_iter().map(|(name, _)| name).collect()
        };
        let first = names(r#""a":1,"b":2"#);
        let other = names(r#""b":2,"\u0061":1,"c":3"#);
        assert_eq!(other.iter().map(|name| &**name).collect::<Vec<_>>(), ["b", "a", "c"]);
        assert!(Arc::ptr_eq(&first[0], &other[1]) && Arc::ptr_eq(&first[1], &other[0]));
        assert!(Arc::ptr_eq(&names(r#""c":1"#)[0], &other[2]));
    }
}
