//! The local stack: real parts, without containers, on free loopback ports and in temporary folders.
//!
//! - [`Postgres`]: the real server, found in `PATH` or below `/usr/lib/postgresql`.
//! - [`Supabase`]: a database with Supabase's roles and grants, the real `PostgREST` from npm with its row cap on, and
//!   a [`Gateway`] with Supabase's rules for keys, a request log, and faults on demand.
//! - [`ConvexLocal`]: the official `convex` and `convex-test` packages behind Convex's HTTP protocol. It is a
//!   stand-in: it runs functions and validates like the real thing, and proves nothing about throughput or conflicts.
//! - [`type_check`]: the real TypeScript compiler against the real `convex` package; [`is_formatted`]: prettier.
//!
//! Every process ends with the value that started it, or with this process, however that ends.

mod account;
mod convex_local;
mod error;
mod gateway;
mod generated;
mod installed;
mod keys;
mod npm;
mod postgres;
mod python;
mod supabase;
mod supervised;
mod tsc;

pub(crate) use self::account::find_program;
pub use self::convex_local::ConvexLocal;
pub use self::error::{Error, Result};
pub use self::gateway::{Fault, FaultAction, Gateway, GatewayRequest};
pub use self::generated::write_generated;
pub use self::installed::target_folder;
pub use self::npm::ensure_npm_packages;
pub(crate) use self::npm::{ensure_peer_packages, node};
pub use self::postgres::Postgres;
pub(crate) use self::python::ensure_python_packages;
pub use self::supabase::{Supabase, SupabaseOptions};
pub use self::supervised::Supervised;
pub use self::tsc::{is_formatted, type_check, type_check_all};
