//! Moves tables from a [`Source`] to a [`Sink`]: traits, plan, pipeline, transforms, id resolvers, state and report.
//!
//! This crate does no HTTP, reads no environment and names no adapter. `supabase-source` and `convex-sink` implement
//! its traits; `migrate-cli` composes them.

pub mod assess;
pub mod catalog;
pub mod clock;
pub mod error;
pub mod layer;
pub mod names;
pub mod observe;
pub mod pipeline;
pub mod plan;
pub mod record;
pub mod reject;
pub mod report;
pub mod resolve;
pub mod sink;
pub mod source;
pub mod state;
pub mod stop;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
pub mod transform;
pub mod value;
pub mod verify;

pub use error::{Disposition, Error, ErrorKind, Result};
pub use observe::{Event, Fanout, Observer};
pub use pipeline::Pipeline;
pub use plan::Plan;
pub use resolve::IdResolver;
pub use sink::Sink;
pub use source::Source;
pub use state::StateStore;
pub use transform::Transform;
