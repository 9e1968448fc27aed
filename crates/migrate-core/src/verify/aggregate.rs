use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use serde::{Deserialize, Serialize};

use super::canonical::Salt;
use super::report::ColumnSums;
use crate::value::Value;

/// The kinds that a sink has, absent first, by their names in messages.
const KINDS: [&str; 9] = ["absent", "null", "boolean", "integer", "float", "text", "bytes", "array", "object"];

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

    /// Adds one value, with its one form; an absent one has none.
    pub(super) fn add(&mut self, column: usize, value: &Value, form: &[u8], salt: &Salt) {
        let Some(sums) = self.0.get_mut(column) else { return };
        let kind = KINDS.iter().position(|kind| *kind == value.kind());
        if let Some(count) = kind.and_then(|kind| sums.counts.get_mut(kind)) {
            *count += 1;
        }
        let length = match value {
            Value::Text(text) => text.len(),
            Value::Bytes(bytes) => bytes.len(),
            _ => 0,
        };
        sums.bytes += u64::try_from(length).unwrap_or(u64::MAX);
        if !form.is_empty() {
            let mut hasher = DefaultHasher::new();
            salt.hash(&mut hasher);
            hasher.write(form);
            sums.content = sums.content.wrapping_add(hasher.finish());
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
