//! Writes a migration into Convex through mutations or as one snapshot, and generates the functions it calls.
//!
//! [`ConvexSink`] implements [`migrate_core::Sink`] over Convex's HTTP functions API; [`generate`] makes the functions it
//! calls and the schema they need from a [`migrate_core::Plan`]. The two agree on names through [`FunctionNames`], and
//! on the functions' arguments. [`SnapshotSink`] makes one archive of all documents, and [`Import`] has it imported.

#[cfg(feature = "benchmarking")]
pub mod benchmarking;
mod client;
mod codegen;
mod compare;
mod decode;
mod document_id;
mod encode;
mod errors;
mod names;
mod probe;
mod read_back;
mod redact;
mod scale;
mod settings;
mod sink;
mod size;
mod snapshot;
#[cfg(feature = "testing")]
pub mod testing;

pub use codegen::{AppSchema, GENERATED_MARKER, GeneratedCode, generate};
pub use document_id::{DocumentId, InvalidDocumentId};
pub use names::{CONVEX_RULES, FunctionNames};
pub use probe::{BackendInfo, ConvexProbe, FunctionCheck, FunctionState, KeyRights};
pub use scale::{CONVEX_SCALE, ConvexMeasure};
pub use settings::{ConvexSettings, DEFAULT_KEY_NAME, DeploymentKind};
pub use sink::ConvexSink;
pub use size::{DOCUMENT_LIMITS, DocumentLimit};
pub use snapshot::{Archive, Encoding, Import, ImportMode, ImportNews, ImportOutcome, SnapshotSink, TableNumbers};
