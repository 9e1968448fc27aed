//! A whole migration as one archive that Convex imports at once.
//!
//! Documents get ids that are computed from their rows' keys ([`DocumentId`]), so that references need no order and no
//! second pass. [`SnapshotSink`] keeps every batch compressed on disk, finds references that lead nowhere, and writes the
//! archive; [`Import`] uploads it and has it imported.
//!
//! [`DocumentId`]: crate::DocumentId

mod archive;
mod chunk;
mod closure;
mod import;
mod import_client;
mod numbers;
mod shape;
mod sink;
mod spool;
mod uniform;
mod upload;
mod validate;
mod zip;

pub use archive::{Archive, Encoding};
pub use import::{Import, ImportMode, ImportNews, ImportOutcome};
pub use numbers::TableNumbers;
pub use sink::SnapshotSink;
pub(crate) use uniform::CREATION_TIME;
