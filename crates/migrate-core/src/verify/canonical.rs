//! One form for documents of both sides, and their hash.
//!
//! | value | bytes |
//! |---|---|
//! | absent, null, false, true | `a`, `n`, `f`, `t` |
//! | 64-bit integer | `i`, then 8 bytes, the highest first |
//! | double | `d`, then its 64 bits: 0 and -0 differ, and every NaN from every other |
//! | text, bytes | `s` or `b`, then the length in 8 bytes, then the UTF-8 or the bytes |
//! | array | `[`, then the count in 8 bytes, then each item |
//! | object | `{`, then the count in 8 bytes, then each key, as text, with its value, in the order of the keys' bytes |
//!
//! A document is the forms of its fields in the order of the plan's, without their names: each of them is there, and what
//! is absent is told from null. An object within it has only what is present.

use sha2::{Digest as _, Sha256};

use super::aggregate::{Aggregates, Salted};
use crate::names::SourceKey;
use crate::value::Value;

/// Told apart from every other verification's, so that a hash tells nothing of a value to whoever guesses it.
pub(super) type Salt = [u8; 16];

/// Appends a value in its one form.
pub(super) fn write(out: &mut Vec<u8>, value: &Value) {
    match value {
        Value::Absent => out.push(b'a'),
        Value::Null => out.push(b'n'),
        Value::Bool(value) => out.push(if *value { b't' } else { b'f' }),
        Value::Int64(value) => {
            out.push(b'i');
            out.extend_from_slice(&value.to_be_bytes());
        }
        Value::Float64(value) => {
            out.push(b'd');
            out.extend_from_slice(&value.to_bits().to_be_bytes());
        }
        Value::Text(text) => write_bytes(out, b's', text.as_bytes()),
        Value::Bytes(bytes) => write_bytes(out, b'b', bytes),
        // No sink has these kinds: a transform turns them into others, or the row is a reject.
        Value::Decimal(text) => write_bytes(out, b'D', text.as_bytes()),
        Value::Time(_, text) => write_bytes(out, b'T', text.as_bytes()),
        Value::Json(text) => write_bytes(out, b'J', text.as_bytes()),
        Value::Array(items) => {
            write_count(out, b'[', items.len());
            for item in items {
                write(out, item);
            }
        }
        Value::Object(entries) => {
            let mut present: Vec<&(Box<str>, Value)> =
                entries.iter().filter(|(_, value)| !matches!(value, Value::Absent)).collect();
            present.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
            write_count(out, b'{', present.len());
            for (key, value) in present {
                write_bytes(out, b's', key.as_bytes());
                write(out, value);
            }
        }
    }
}

fn write_count(out: &mut Vec<u8>, tag: u8, count: usize) {
    out.push(tag);
    out.extend_from_slice(&u64::try_from(count).unwrap_or(u64::MAX).to_be_bytes());
}

fn write_bytes(out: &mut Vec<u8>, tag: u8, bytes: &[u8]) {
    write_count(out, tag, bytes.len());
    out.extend_from_slice(bytes);
}

/// Hashes documents of one table, and adds their fields up.
#[derive(Debug)]
pub(super) struct Hasher {
    salt: Salt,
    salted: Salted,
    buffer: Vec<u8>,
}

impl Hasher {
    pub(super) fn new(salt: Salt) -> Self {
        Self { salt, salted: Salted::new(&salt), buffer: Vec::with_capacity(1024) }
    }

    /// The hash of a document and its row's key; its fields, which are in the layout's order, are added to `sums`.
    ///
    /// Documents that are equal have one hash, and others, but for chance in 2^128, another one.
    pub(super) fn hash<'a>(
        &mut self,
        key: Option<&SourceKey>,
        values: impl IntoIterator<Item = &'a Value>,
        sums: &mut Aggregates,
    ) -> u128 {
        self.buffer.clear();
        if let Some(key) = key {
            write_bytes(&mut self.buffer, b'k', key.as_str().as_bytes());
        }
        for (position, value) in values.into_iter().enumerate() {
            let start = self.buffer.len();
            write(&mut self.buffer, value);
            sums.add(position, value, self.buffer.get(start..).unwrap_or_default(), &self.salted);
        }
        let digest = Sha256::new().chain_update(self.salt).chain_update(&self.buffer).finalize();
        let mut half = [0; 16];
        half.copy_from_slice(digest.get(..16).unwrap_or(&[0; 16]));
        u128::from_be_bytes(half)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn form(value: &Value) -> Vec<u8> {
        let mut out = Vec::new();
        write(&mut out, value);
        out
    }

    fn object(entries: &[(&str, Value)]) -> Value {
        Value::Object(entries.iter().map(|(key, value)| ((*key).into(), value.clone())).collect())
    }

    #[test]
    fn forms_are_as_computed_by_hand() {
        let cases: [(Value, &[u8]); 13] = [
            (Value::Null, b"n"),
            (Value::Bool(true), b"t"),
            (Value::Bool(false), b"f"),
            (Value::Int64(1), b"i\0\0\0\0\0\0\0\x01"),
            (Value::Int64(-2), b"i\xff\xff\xff\xff\xff\xff\xff\xfe"),
            // IEEE 754: 1.0 is 3FF0…, -0.0 is 8000…, infinity 7FF0….
            (Value::Float64(1.0), b"d\x3f\xf0\0\0\0\0\0\0"),
            (Value::Float64(0.0), b"d\0\0\0\0\0\0\0\0"),
            (Value::Float64(-0.0), b"d\x80\0\0\0\0\0\0\0"),
            (Value::Float64(f64::INFINITY), b"d\x7f\xf0\0\0\0\0\0\0"),
            (Value::text("é"), b"s\0\0\0\0\0\0\0\x02\xc3\xa9"),
            (Value::Bytes(Box::new([0xc3, 0xa9])), b"b\0\0\0\0\0\0\0\x02\xc3\xa9"),
            (Value::Array(vec![Value::Null]), b"[\0\0\0\0\0\0\0\x01n"),
            (
                object(&[("b", Value::Null), ("x", Value::Absent), ("a", Value::Bool(true))]),
                b"{\0\0\0\0\0\0\0\x02s\0\0\0\0\0\0\0\x01ats\0\0\0\0\0\0\0\x01bn",
            ),
        ];
        for (value, expected) in cases {
            assert_eq!(form(&value), expected, "{value:?}");
        }
    }

    #[test]
    fn bits_of_a_nan_count() {
        let quiet = f64::from_bits(0x7ff8_0000_0000_0000);
        let other = f64::from_bits(0x7ff8_0000_0000_0001);
        assert_eq!(form(&Value::Float64(quiet)), form(&Value::Float64(quiet)));
        assert_ne!(form(&Value::Float64(quiet)), form(&Value::Float64(other)));
    }

    #[test]
    fn the_hash_is_sha_256_of_salt_and_form() {
        // Of Python's hashlib, over 16 zero bytes, the key, and the forms of the integer 1 and of what is absent.
        let key = SourceKey::from("7");
        let values = [Value::Int64(1), Value::Absent];
        let hash = Hasher::new([0; 16]).hash(Some(&key), &values, &mut Aggregates::new(2));
        assert_eq!(format!("{hash:032x}"), "e9a1c60f20f38173b82c95f62768b470");
    }

    pub(crate) fn values() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::Bool),
            any::<i64>().prop_map(Value::Int64),
            any::<u64>().prop_map(|bits| Value::Float64(f64::from_bits(bits))),
            any::<String>().prop_map(|text| Value::text(text.as_str())),
            prop::collection::vec(any::<u8>(), 0..12).prop_map(|bytes| Value::Bytes(bytes.into())),
        ];
        leaf.prop_recursive(3, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::Array),
                prop::collection::btree_map("[a-z]{1,4}", inner, 0..4).prop_map(|entries| {
                    Value::Object(entries.into_iter().map(|(key, value)| (key.into(), value)).collect())
                }),
            ]
        })
    }

    /// Values that are the same to the bit.
    fn same(one: &Value, other: &Value) -> bool {
        match (one, other) {
            (Value::Float64(one), Value::Float64(other)) => one.to_bits() == other.to_bits(),
            (Value::Array(one), Value::Array(other)) => {
                one.len() == other.len() && one.iter().zip(other).all(|(one, other)| same(one, other))
            }
            (Value::Object(one), Value::Object(other)) => {
                one.len() == other.len()
                    && one.iter().zip(other).all(|(one, other)| one.0 == other.0 && same(&one.1, &other.1))
            }
            _ => one == other,
        }
    }

    /// The value with the entries of all its objects the other way round.
    fn reversed(value: &Value) -> Value {
        match value {
            Value::Array(items) => Value::Array(items.iter().map(reversed).collect()),
            Value::Object(entries) => {
                Value::Object(entries.iter().rev().map(|(key, value)| (key.clone(), reversed(value))).collect())
            }
            other => other.clone(),
        }
    }

    proptest! {
        #[test]
        fn the_order_of_keys_changes_nothing(value in values()) {
            prop_assert_eq!(form(&value), form(&reversed(&value)));
        }

        #[test]
        fn other_values_have_other_forms(one in values(), other in values()) {
            prop_assert_eq!(form(&one) == form(&other), same(&one, &other));
        }

        #[test]
        fn one_changed_field_changes_the_hash_and_the_order_of_documents_nothing(
            documents in prop::collection::vec(prop::collection::vec(values(), 3), 1..6),
            at in any::<prop::sample::Index>(), field in 0_usize..3, value in values(),
        ) {
            let all = |documents: &[Vec<Value>]| {
                let mut hasher = Hasher::new([7; 16]);
                let mut sums = Aggregates::new(3);
                let hashes = documents.iter().map(|document| hasher.hash(None, document, &mut sums));
                let hash = hashes.fold(0_u128, u128::wrapping_add);
                (hash, sums)
            };
            let mut others: Vec<Vec<Value>> = documents.iter().rev().cloned().collect();
            prop_assert_eq!(all(&documents), all(&others));
            let at = at.index(others.len());
            let was = std::mem::replace(&mut others[at][field], value.clone());
            prop_assert_eq!(all(&documents) == all(&others), same(&was, &value));
        }
    }
}
