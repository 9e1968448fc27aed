use std::borrow::Cow;
use std::fmt::{self, Write as _};

use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::number::{exact_double, nearest_double};
use crate::plan::FieldType;
use crate::record::RejectCode;
use crate::value::Value;

/// Deeper JSON than any sink takes is not followed.
const MAX_DEPTH: usize = 100;

/// How the keys of objects are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Keys {
    AsTheyAre,
    /// See [`escape_key`].
    Escaped,
}

/// What was done to a JSON value while it was parsed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Notes {
    /// A number became another one.
    pub(super) rounded: bool,
    /// A key was escaped.
    pub(super) escaped: bool,
}

/// Parses a JSON column's text. Numbers become doubles.
pub(super) fn parse_json(text: &str, keys: Keys, notes: &mut Notes) -> Result<Value, (RejectCode, &'static str)> {
    if let Some(value) = parse_plain(text, keys, notes) {
        return Ok(value);
    }
    let raw: &RawValue = serde_json::from_str(text).map_err(|_| MALFORMED)?;
    parse_raw(raw, keys, notes, 0)
}

/// A key that every sink takes, and that percent-decoding turns back: of printable ASCII, not empty, and led neither by
/// `$` nor by `_`. The empty key is `%`. A key that is fine and has no `%` stays as it is.
#[must_use]
pub fn escape_key(key: &str) -> Cow<'_, str> {
    let is_plain = |position: usize, byte: u8| {
        matches!(byte, 0x20..=0x7e) && byte != b'%' && !(position == 0 && matches!(byte, b'$' | b'_'))
    };
    if key.is_empty() {
        return Cow::Borrowed("%");
    }
    if key.bytes().enumerate().all(|(position, byte)| is_plain(position, byte)) {
        return Cow::Borrowed(key);
    }
    let mut escaped = String::with_capacity(key.len() + 8);
    for (position, byte) in key.bytes().enumerate() {
        if is_plain(position, byte) {
            escaped.push(char::from(byte));
        } else {
            let _ = write!(escaped, "%{byte:02X}");
        }
    }
    Cow::Owned(escaped)
}

const MALFORMED: (RejectCode, &str) = (RejectCode::NotRepresentable, "is not valid JSON");

fn parse_raw(raw: &RawValue, keys: Keys, notes: &mut Notes, depth: usize) -> Result<Value, (RejectCode, &'static str)> {
    if depth > MAX_DEPTH {
        return Err((RejectCode::TooDeep, "is nested deeper than 100 levels"));
    }
    let text = raw.get();
    match text.as_bytes().first() {
        Some(b'n') => Ok(Value::Null),
        Some(b't') => Ok(Value::Bool(true)),
        Some(b'f') => Ok(Value::Bool(false)),
        Some(b'"') => serde_json::from_str::<String>(text).map(Value::text).map_err(|_| MALFORMED),
        Some(b'[') => {
            let items: Vec<&RawValue> = serde_json::from_str(text).map_err(|_| MALFORMED)?;
            items
                .into_iter()
                .map(|item| parse_raw(item, keys, notes, depth + 1))
                .collect::<Result<_, _>>()
                .map(Value::Array)
        }
        Some(b'{') => {
            let Fields(fields) = serde_json::from_str(text).map_err(|_| MALFORMED)?;
            let mut object: Vec<(Box<str>, Value)> = Vec::with_capacity(fields.len());
            for (name, raw) in fields {
                let value = parse_raw(raw, keys, notes, depth + 1)?;
                set(&mut object, name, value, keys, notes);
            }
            Ok(Value::Object(object))
        }
        Some(_) => {
            let (double, other) = nearest_double(text)
                .ok_or((RejectCode::NotRepresentable, "holds a number outside the range of doubles"))?;
            notes.rounded |= other;
            Ok(Value::Float64(double))
        }
        None => Err(MALFORMED),
    }
}

/// Adds a field. A json column may repeat a key; the last one counts, as it does in jsonb and in JavaScript.
fn set(object: &mut Vec<(Box<str>, Value)>, name: Cow<'_, str>, value: Value, keys: Keys, notes: &mut Notes) {
    let name = match keys {
        Keys::AsTheyAre => name,
        Keys::Escaped => {
            let escaped = escape_key(&name);
            notes.escaped |= *escaped != *name;
            Cow::Owned(escaped.into_owned())
        }
    };
    match object.iter_mut().find(|(known, _)| **known == *name) {
        Some((_, slot)) => *slot = value,
        None => object.push((name.into(), value)),
    }
}

/// JSON whose numbers are all integers that doubles hold, parsed in one pass; `None` for any other.
///
/// A number's own text, which tells whether a double is another number, takes a second look at every value
/// ([`parse_raw`]): most JSON does without. `cargo bench --bench stages` measures it as a part of `transform`.
fn parse_plain(text: &str, keys: Keys, notes: &mut Notes) -> Option<Value> {
    let mut own = *notes;
    let mut parser = serde_json::Deserializer::from_str(text);
    let value = Plain { keys, notes: &mut own, depth: 0 }.deserialize(&mut parser).ok()?;
    parser.end().ok()?;
    *notes = own;
    Some(value)
}

struct Plain<'n> {
    keys: Keys,
    notes: &'n mut Notes,
    depth: usize,
}

impl Plain<'_> {
    fn inner(&mut self) -> Plain<'_> {
        Plain { keys: self.keys, notes: &mut *self.notes, depth: self.depth + 1 }
    }
}

impl<'de> DeserializeSeed<'de> for Plain<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        if self.depth > MAX_DEPTH {
            return Err(D::Error::custom("too deep"));
        }
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Plain<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON whose numbers are integers")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<Value, E> {
        i64::try_from(value).ok().and_then(exact_double).ok_or_else(|| E::custom("no integer that doubles hold"))
    }

    fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<Value, E> {
        exact_double(value).ok_or_else(|| E::custom("no integer that doubles hold"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::text(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut items: A) -> Result<Value, A::Error> {
        let mut array = Vec::new();
        while let Some(item) = items.next_element_seed(self.inner())? {
            array.push(item);
        }
        Ok(Value::Array(array))
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut entries: A) -> Result<Value, A::Error> {
        let mut object = Vec::new();
        while let Some(name) = entries.next_key_seed(Name)? {
            let value = entries.next_value_seed(self.inner())?;
            set(&mut object, name, value, self.keys, self.notes);
        }
        Ok(Value::Object(object))
    }
}

/// A key of an object, without a copy where it has no escapes.
struct Name;

impl<'de> DeserializeSeed<'de> for Name {
    type Value = Cow<'de, str>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Name {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_borrowed_str<E>(self, name: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(name))
    }

    fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(name.to_owned()))
    }
}

struct Fields<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Fields<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct FieldsVisitor;
        impl<'de> Visitor<'de> for FieldsVisitor {
            type Value = Vec<(Cow<'de, str>, &'de RawValue)>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut fields = Vec::new();
                while let Some(name) = map.next_key_seed(Name)? {
                    fields.push((name, map.next_value()?));
                }
                Ok(fields)
            }
        }
        deserializer.deserialize_map(FieldsVisitor).map(Fields)
    }
}

/// A literal of a plan as a value of the field's type.
pub fn json_to_value(json: &serde_json::Value, field_type: &FieldType) -> Value {
    use serde_json::Value as Json;
    match (json, field_type) {
        (Json::Null, _) => Value::Null,
        (Json::Bool(value), _) => Value::Bool(*value),
        (Json::String(text), _) => Value::text(text.as_str()),
        (Json::Number(number), FieldType::Int64) if number.is_i64() => {
            number.as_i64().map_or(Value::Null, Value::Int64)
        }
        (json, FieldType::Nullable(inner)) => json_to_value(json, inner),
        (Json::Number(number), _) => number.as_f64().map_or(Value::Null, Value::Float64),
        (Json::Array(items), FieldType::Array(inner)) => {
            Value::Array(items.iter().map(|item| json_to_value(item, inner)).collect())
        }
        (Json::Array(items), other) => Value::Array(items.iter().map(|item| json_to_value(item, other)).collect()),
        (Json::Object(fields), other) => Value::Object(
            fields.iter().map(|(name, value)| (name.as_str().into(), json_to_value(value, other))).collect(),
        ),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{Just, Strategy, any};

    use super::*;

    fn parse(text: &str) -> (Value, bool) {
        let mut notes = Notes::default();
        (parse_json(text, Keys::AsTheyAre, &mut notes).unwrap(), notes.rounded)
    }

    #[test]
    fn escaped_keys_are_taken_and_can_be_undone() {
        for (key, escaped) in [
            ("plain key", "plain key"),
            ("a$b_c", "a$b_c"),
            ("$ref", "%24ref"),
            ("_id", "%5Fid"),
            ("", "%"),
            ("50%", "50%25"),
            ("größe", "gr%C3%B6%C3%9Fe"),
            ("a\n", "a%0A"),
        ] {
            assert_eq!(escape_key(key), escaped);
        }
        let mut notes = Notes::default();
        let value = parse_json(r#"{"$a": {"_b": 1}, "c": 2}"#, Keys::Escaped, &mut notes).unwrap();
        let inner = Value::Object(vec![("%5Fb".into(), Value::Float64(1.0))]);
        assert_eq!(value, Value::Object(vec![("%24a".into(), inner), ("c".into(), Value::Float64(2.0))]));
        assert_eq!(notes, Notes { rounded: false, escaped: true });
    }

    fn unescape(key: &str) -> String {
        if key == "%" {
            return String::new();
        }
        let mut bytes = Vec::new();
        let mut rest = key.bytes();
        while let Some(byte) = rest.next() {
            bytes.push(match byte {
                b'%' => {
                    let pair = [rest.next().unwrap(), rest.next().unwrap()];
                    u8::from_str_radix(std::str::from_utf8(&pair).unwrap(), 16).unwrap()
                }
                byte => byte,
            });
        }
        String::from_utf8(bytes).unwrap()
    }

    /// JSON of all kinds, keys that are escaped or come twice and numbers of any spelling among it.
    fn documents() -> impl Strategy<Value = String> {
        let scalar = proptest::prop_oneof![
            Just("null".to_owned()),
            Just("true".to_owned()),
            proptest::num::i64::ANY.prop_map(|number| number.to_string()),
            (-9_i64..9).prop_map(|number| number.to_string()),
            Just("-0".to_owned()),
            Just("1.0".to_owned()),
            Just("9007199254740993".to_owned()),
            Just("18446744073709551615".to_owned()),
            any::<String>().prop_map(|text| serde_json::Value::from(text).to_string()),
        ];
        let key = proptest::prop_oneof![Just("a".to_owned()), Just("$b".to_owned()), any::<String>()];
        scalar.prop_recursive(4, 24, 5, move |inner| {
            let entries = proptest::collection::vec((key.clone(), inner.clone()), 0..5);
            proptest::prop_oneof![
                proptest::collection::vec(inner, 0..5).prop_map(|items| format!("[{}]", items.join(", "))),
                entries.prop_map(|entries| {
                    let entry = |(key, value): (String, String)| format!("{}: {value}", serde_json::Value::from(key));
                    format!("{{{}}}", entries.into_iter().map(entry).collect::<Vec<_>>().join(","))
                }),
            ]
        })
    }

    proptest::proptest! {
        /// What is parsed in one pass is what a second look at every value gives.
        #[test]
        fn one_pass_gives_the_same(text in documents(), escaped: bool) {
            let keys = if escaped { Keys::Escaped } else { Keys::AsTheyAre };
            let (mut plain, mut exact) = (Notes::default(), Notes::default());
            let raw: &RawValue = serde_json::from_str(&text).unwrap();
            let expected = parse_raw(raw, keys, &mut exact, 0).unwrap();
            match parse_plain(&text, keys, &mut plain) {
                Some(value) => proptest::prop_assert_eq!((value, plain), (expected, exact)),
                None => proptest::prop_assert!(text.contains(|digit: char| digit.is_ascii_digit())),
            }
        }

        #[test]
        fn any_key_can_be_undone(key in proptest::prelude::any::<String>()) {
            let escaped = escape_key(&key);
            proptest::prop_assert!(escaped.bytes().all(|byte| matches!(byte, 0x20..=0x7e)) && !escaped.is_empty());
            proptest::prop_assert!(!escaped.starts_with(['$', '_']));
            proptest::prop_assert_eq!(unescape(&escaped), key);
        }
    }

    #[test]
    fn keeps_order_null_and_the_last_of_repeated_keys() {
        let (value, rounded) = parse(r#"{"b": 1, "a": [null, true, "x\u2028"], "b": 2.5}"#);
        let expected = Value::Object(vec![
            ("b".into(), Value::Float64(2.5)),
            ("a".into(), Value::Array(vec![Value::Null, Value::Bool(true), Value::text("x\u{2028}")])),
        ]);
        assert_eq!((value, rounded), (expected, false));
        assert_eq!(parse("null"), (Value::Null, false));
    }

    /// Without `serde_json`'s feature `float_roundtrip` it is read as `31.24527019143944`, the next double.
    #[test]
    fn a_plans_doubles_are_read_exactly() {
        let json = serde_json::from_str("31.245270191439438").unwrap();
        assert_eq!(json_to_value(&json, &FieldType::Number), Value::Float64(31.245_270_191_439_438));
    }

    #[test]
    fn tells_of_rounded_numbers_and_refuses_what_no_double_holds() {
        assert!(parse("[9007199254740993]").1);
        assert!(!parse("[9007199254740992, 1e20, 0.1]").1);
        let mut notes = Notes::default();
        assert!(parse_json("1e999", Keys::AsTheyAre, &mut notes).is_err());
        assert!(parse_json("{", Keys::AsTheyAre, &mut notes).is_err());
        let deep = format!("{}1{}", "[".repeat(200), "]".repeat(200));
        assert_eq!(parse_json(&deep, Keys::AsTheyAre, &mut notes).unwrap_err().0, RejectCode::TooDeep);
    }
}
