//! The local stack that the end-to-end tests and the demo run on: real Postgres, real PostgREST, and two stand-ins for
//! Convex.

pub mod ari_cms;
pub mod convex_bench;
pub mod large_table;
pub mod local_stack;
pub mod peak_memory;
pub mod project;
pub mod torture;
