//! The local stack that the end-to-end tests and the demo run on: real Postgres, real PostgREST, and two stand-ins for
//! Convex.

pub mod archive;
pub mod ari_cms;
pub mod browser;
pub mod convex_bench;
pub mod fault_plan;
pub mod fault_proxy;
pub mod in_process;
pub mod large_migration;
pub mod large_table;
pub mod local_stack;
pub mod measured;
pub mod peers;
pub mod project;
mod recent;
pub mod shop;
pub mod torture;
