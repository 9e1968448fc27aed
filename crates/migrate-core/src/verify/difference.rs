//! Where two documents differ.

use super::report::{DifferenceKind, Values};
use crate::value::Value;

/// Characters of a value that are shown at most.
const SHOWN: usize = 200;

/// A place in a field where two documents differ.
#[derive(Debug, PartialEq)]
pub(super) struct Place<'a> {
    /// The place inside the field, such as `.tags[2]`; empty for the field itself.
    pub(super) path: String,
    pub(super) expected: &'a Value,
    pub(super) found: &'a Value,
}

impl Place<'_> {
    /// Whether it is the value that differs, or its kind.
    pub(super) fn kind(&self) -> DifferenceKind {
        if self.expected.kind() == self.found.kind() { DifferenceKind::Value } else { DifferenceKind::Kind }
    }

    /// Both values as people read them.
    pub(super) fn values(&self) -> Values {
        Values { expected: shown(self.expected), found: shown(self.found) }
    }

    /// What a message says of both sides: their kinds; of one kind, and where lengths tell, those too.
    pub(super) fn described(&self) -> (String, String) {
        (described(self.expected), described(self.found))
    }
}

const ABSENT: Value = Value::Absent;

/// The first place where two values differ, in the order of keys and items; none where they are the same to the bit.
pub(super) fn first_place<'a>(expected: &'a Value, found: &'a Value) -> Option<Place<'a>> {
    let here = || Some(Place { path: String::new(), expected, found });
    let within = |step: String, place: Place<'a>| Place { path: step + &place.path, ..place };
    match (expected, found) {
        (Value::Float64(one), Value::Float64(other)) => {
            if one.to_bits() == other.to_bits() {
                None
            } else {
                here()
            }
        }
        (Value::Array(ours), Value::Array(theirs)) => (0..ours.len().max(theirs.len())).find_map(|at| {
            let place = first_place(ours.get(at).unwrap_or(&ABSENT), theirs.get(at).unwrap_or(&ABSENT))?;
            Some(within(format!("[{at}]"), place))
        }),
        (Value::Object(ours), Value::Object(theirs)) => {
            let mut keys: Vec<&str> = ours.iter().chain(theirs).map(|(key, _)| &**key).collect();
            keys.sort_unstable();
            keys.dedup();
            keys.into_iter().find_map(|key| {
                let place = first_place(entry(ours, key), entry(theirs, key))?;
                Some(within(format!(".{key}"), place))
            })
        }
        (one, other) if one == other => None,
        _ => here(),
    }
}

fn entry<'a>(entries: &'a [(Box<str>, Value)], key: &str) -> &'a Value {
    entries.iter().find(|(name, _)| &**name == key).map_or(&ABSENT, |(_, value)| value)
}

fn described(value: &Value) -> String {
    match value {
        Value::Text(text) => format!("text of {} bytes", text.len()),
        Value::Bytes(bytes) => format!("{} bytes", bytes.len()),
        Value::Array(items) => format!("array of {}", items.len()),
        Value::Object(entries) => format!("object of {}", entries.len()),
        other => other.kind().to_owned(),
    }
}

fn shown(value: &Value) -> String {
    let text = match value {
        Value::Text(text) => format!("{text:?}"),
        Value::Array(items) => format!("[{}]", items.iter().map(shown).collect::<Vec<_>>().join(",")),
        Value::Object(entries) => {
            let entries: Vec<String> = entries.iter().map(|(key, value)| format!("{key:?}:{}", shown(value))).collect();
            format!("{{{}}}", entries.join(","))
        }
        other => other.exact_text().unwrap_or_else(|| other.kind().to_owned()),
    };
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(entries: &[(&str, Value)]) -> Value {
        Value::Object(entries.iter().map(|(key, value)| ((*key).into(), value.clone())).collect())
    }

    #[test]
    fn the_first_place_is_named() {
        let tags = |items: &[&str]| Value::Array(items.iter().map(|&item| Value::text(item)).collect());
        let nested = |tags: Value, price: Value| object(&[("tags", tags), ("price", price)]);
        let one = nested(tags(&["a", "b"]), Value::Float64(1.0));
        let cases = [
            (nested(tags(&["a", "c"]), Value::Float64(2.0)), ".price", DifferenceKind::Value),
            (nested(tags(&["a", "c"]), Value::Float64(1.0)), ".tags[1]", DifferenceKind::Value),
            (nested(tags(&["a"]), Value::Float64(1.0)), ".tags[1]", DifferenceKind::Kind),
            (nested(tags(&["a", "b"]), Value::Int64(1)), ".price", DifferenceKind::Kind),
            (object(&[("price", Value::Float64(1.0))]), ".tags", DifferenceKind::Kind),
            (Value::Null, "", DifferenceKind::Kind),
        ];
        for (other, path, kind) in cases {
            let place = first_place(&one, &other).unwrap();
            assert_eq!((place.path.as_str(), place.kind()), (path, kind), "{other:?}");
        }
        let turned = object(&[("price", Value::Float64(1.0)), ("tags", tags(&["a", "b"]))]);
        assert_eq!(first_place(&one, &turned), None);
        assert_eq!(first_place(&Value::Float64(f64::NAN), &Value::Float64(f64::NAN)), None);
        assert!(first_place(&Value::Float64(0.0), &Value::Float64(-0.0)).is_some());
        assert!(first_place(&Value::Null, &Value::Absent).is_some());
    }

    #[test]
    fn what_is_said_of_a_difference_has_no_value() {
        let (one, other) = (Value::text("CANARY"), Value::text("CANARIES"));
        let place = first_place(&one, &other).unwrap();
        assert_eq!(place.described(), ("text of 6 bytes".to_owned(), "text of 8 bytes".to_owned()));
        assert_eq!(place.values().found, "\"CANARIES\"");
        let long = Value::text("é".repeat(500));
        let place = first_place(&one, &long).unwrap();
        assert_eq!(place.values().found.chars().count(), 201);
    }
}
