//! placeholder
pub mod ari_cms;
pub mod convex_bench;
pub mod local_stack;
