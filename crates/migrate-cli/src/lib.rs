//! The migrate commands as a library: each binary is one call of [`main`].

mod commands;
mod confirm;
mod environment;
mod events;
pub mod exit;
mod feedback;
mod files;
mod init;
mod log;
mod output;
mod printable;
mod progress;
mod render;
mod run_folder;
mod signals;
#[cfg(feature = "testing")]
pub mod testing;
mod wrap;

pub use commands::{Verb, main};

/// Rows are made on one thread and freed on another, which the system's allocator is slow at. Without huge pages: their
/// ends would count as memory that is never used.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The programs' version, with the commit where it is known.
pub const VERSION: &str = env!("MIGRATE_VERSION");

#[doc = include_str!("../../../README.md")]
#[cfg(doctest)]
#[derive(Debug)]
pub struct Readme;

#[doc = include_str!("../../../docs/embedding.md")]
#[cfg(doctest)]
#[derive(Debug)]
pub struct Embedding;
