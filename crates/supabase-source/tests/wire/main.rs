//! The source against servers that speak PostgREST's protocol, in the shapes of its older and newer versions.

#![expect(clippy::unwrap_used, reason = "a helper that cannot go on fails its test")]

mod answers;
mod discovery;
mod filters;
mod keys;
mod lookup;
mod malformed;
mod places;
mod probing;
mod reading;
mod simulated;

use std::sync::Arc;

use migrate_core::names::{FieldName, TableName};
use migrate_core::source::{Cursor, KeyRange, PageRequest};
use supabase_source::{SupabaseSettings, SupabaseSource};
use wiremock::MockServer;

pub(crate) const SECRET: &str = "sb_secret_0123456789abcdefghij";

pub(crate) fn settings(server: &MockServer) -> SupabaseSettings {
    SupabaseSettings::new(server.uri(), SECRET)
}

pub(crate) fn source(server: &MockServer) -> SupabaseSource {
    SupabaseSource::new(settings(server)).unwrap()
}

pub(crate) fn table(name: &str) -> TableName {
    name.parse().unwrap()
}

pub(crate) fn fields(names: &[&str]) -> Arc<[FieldName]> {
    names.iter().copied().map(FieldName::from).collect()
}

/// A page of the whole table, by `key`.
pub(crate) fn request(name: &str, key: &[&str], columns: &[&str], after: Option<Cursor>, limit: usize) -> PageRequest {
    let (columns, key) = (fields(columns), fields(key));
    PageRequest { table: table(name), columns, key, range: KeyRange::all(), after, limit }
}
