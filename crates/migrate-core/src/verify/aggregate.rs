use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use serde::{Deserialize, Serialize};

use super::canonical::Salt;
use super::report::ColumnSums;
use crate::value::Value;

/// The kinds that a sink has, absent first, by their names in messages.
const KINDS: [&str; 9] = ["absent", "null", "boolean", "integer", "float", "text", "bytes", "array", "object"];

/// Where a value's kind is among [`KINDS`]; none for those that no sink has.
fn kind(value: &Value) -> Option<usize> {
    Some(match value {
        Value::Absent => 0,
        Value::Null => 1,
        Value::Bool(_) => 2,
        Value::Int64(_) => 3,
        Value::Float64(_) => 4,
        Value::Text(_) => 5,
        Value::Bytes(_) => 6,
        Value::Array(_) => 7,
        Value::Object(_) => 8,
        Value::Decimal(_) | Value::Time(..) | Value::Json(_) => return None,
    })
}

/// A hasher that the salt is in already.
#[derive(Debug, Clone)]
pub(super) struct Salted(DefaultHasher);

impl Salted {
    pub(super) fn new(salt: &Salt) -> Self {
        let mut hasher = DefaultHasher::new();
        salt.hash(&mut hasher);
        Self(hasher)
    }

    fn hash(&self, form: &[u8]) -> u64 {
        let mut hasher = self.0.clone();
        hasher.write(form);
        hasher.finish()
    }
}

/// The sums of all columns of a table, on one side.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Aggregates(Vec<Sums>);

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Sums {
    counts: [u64; KINDS.len()],
    bytes: u64,
    content: u64,
}

impl Aggregates {
    pub(super) fn new(columns: usize) -> Self {
        Self(vec![Sums::default(); columns])
    }

    /// Adds one value, with its one form, which `salted` is to hash.
    pub(super) fn add(&mut self, column: usize, value: &Value, form: &[u8], salted: &Salted) {
        let Some(sums) = self.0.get_mut(column) else { return };
        if let Some(count) = kind(value).and_then(|kind| sums.counts.get_mut(kind)) {
            *count += 1;
        }
        let length = match value {
            Value::Text(text) => text.len(),
            Value::Bytes(bytes) => bytes.len(),
            _ => 0,
        };
        sums.bytes += u64::try_from(length).unwrap_or(u64::MAX);
        if !matches!(value, Value::Absent) {
            sums.content = sums.content.wrapping_add(salted.hash(form));
        }
    }

    /// Adds another part of the table.
    pub(super) fn merge(&mut self, other: &Self) {
        for (sums, other) in self.0.iter_mut().zip(&other.0) {
            for (count, other) in sums.counts.iter_mut().zip(other.counts) {
                *count += other;
            }
            sums.bytes += other.bytes;
            sums.content = sums.content.wrapping_add(other.content);
        }
    }

    /// The columns as a report shows them, in the layout's order.
    pub(super) fn columns(&self) -> impl Iterator<Item = ColumnSums> {
        self.0.iter().map(|sums| ColumnSums {
            kinds: KINDS
                .iter()
                .zip(sums.counts)
                .filter(|(_, count)| *count > 0)
                .map(|(kind, count)| ((*kind).to_owned(), count))
                .collect(),
            bytes: sums.bytes,
            content: format!("{:016x}", sums.content),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::TimeKind;

    #[test]
    fn every_kind_is_counted_by_its_name() {
        let values = [
            Value::Absent,
            Value::Null,
            Value::Bool(true),
            Value::Int64(1),
            Value::Float64(1.0),
            Value::text("a"),
            Value::Bytes(Box::new([1])),
            Value::Array(vec![]),
            Value::Object(vec![]),
        ];
        for value in &values {
            assert_eq!(kind(value).map(|kind| KINDS[kind]), Some(value.kind()));
        }
        for value in [Value::Decimal("1".into()), Value::Time(TimeKind::Date, "".into()), Value::Json("1".into())] {
            assert_eq!(kind(&value), None);
        }
    }
}
