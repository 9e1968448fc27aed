//! Reads a Supabase project: a [`migrate_core::Source`] over PostgREST, at `/rest/v1`, and one over Postgres itself.
//!
//! Pages are read by a key, or by the place of rows that have none, and end on an empty page only, numbers and JSON keep
//! their exact text, and a key or a role that row-level security would blind is refused. Over PostgREST, every request is
//! a GET or a HEAD, so any call may be repeated; this crate repeats none but the ones that were too large, in smaller
//! pages. Retries are a layer of `migrate-core`.
//!
//! The catalog comes from the data API's OpenAPI document and, where a connection string is given, from Postgres itself,
//! which tells what the document cannot; [`merge`] puts the two together. [`PostgresCatalog`] works without a data API,
//! and so does [`PostgresSource`], which reads all tables in one snapshot.

#[cfg(feature = "benchmarking")]
pub mod benchmarking;
mod client;
mod decode;
mod discover;
mod error_rules;
mod errors;
mod fetch;
mod filter;
mod key;
mod key_order;
mod merge;
mod openapi;
mod page_size;
mod partition;
mod place;
mod postgres;
mod probe;
mod query;
mod reply;
mod settings;
mod source;
mod source_type;
mod table_read;
#[cfg(feature = "testing")]
pub mod testing;

pub use key::KeyKind;
pub use merge::merge;
pub use postgres::{DatabaseAddress, DatabaseHost, PostgresCatalog, PostgresSettings, PostgresSource};
pub use probe::{AdminProof, DataApi, MaxRows, SupabaseProbe};
pub use settings::{DEFAULT_USER_AGENT, SupabaseSettings};
pub use source::SupabaseSource;
