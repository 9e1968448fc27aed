//! What happened so far: numbers, and one line for each call.

use std::collections::BTreeMap;

use serde::{Serialize, Serializer};

use super::fault::FaultKind;

/// Sums over all calls of functions.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Counters {
    /// Calls of functions, with those that failed.
    pub calls: u64,
    /// Bytes of their bodies.
    pub bytes: u64,
    /// Documents that an upsert made.
    pub inserted: u64,
    /// Documents that an upsert changed.
    pub updated: u64,
    /// Records of upserts whose document was so already.
    pub unchanged: u64,
    /// Records of upserts whose legacy id came earlier in the same call.
    pub duplicates: u64,
    /// Documents that a patch changed.
    pub patched: u64,
    /// Records of patches whose document was so already.
    pub patch_unchanged: u64,
    /// Keys that were looked up.
    pub lookups: u64,
    /// Requests to the routes of imports.
    pub import_calls: u64,
    /// Bytes of their bodies.
    pub import_bytes: u64,
    /// Documents that imports brought.
    pub imported: u64,
    /// Calls that ended in an error of the function, injected ones included.
    pub function_errors: u64,
    /// Faults that were injected, by kind.
    pub faults: BTreeMap<FaultKind, u64>,
}

/// One call of a function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// The function's path as it was sent.
    pub path: String,
    /// The number of records, or of keys to look up. Zero when the arguments were not understood, or not read.
    pub record_count: usize,
    /// The faults that were injected.
    pub faults: Vec<FaultKind>,
    /// Whether the function ran to its end and its writes are stored.
    pub committed: bool,
}

impl Serialize for FaultKind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}
