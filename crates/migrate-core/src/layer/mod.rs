//! Wrappers that are themselves a source or a sink.
//!
//! Order matters, from the outside in: `Bisect(Retry(Limit(Timeout(sink))))` and `Retry(Limit(Timeout(source)))`.
//! Bisect is outside retry, so that a record is only held guilty once the other side has answered for good; limit is
//! inside retry, so that a call which waits to be repeated holds no place; timeout is innermost, so that each attempt has
//! its own time, and waiting for a place costs none of it.

mod bisect;
mod dry_run;
mod limit;
mod repeater;
mod retry;
mod retry_after;
mod slots;
mod timeout;

pub use bisect::Bisect;
pub use dry_run::DryRun;
pub use limit::Limit;
pub use repeater::{Repeater, RetryPolicy};
pub use retry::Retry;
pub use retry_after::retry_after;
pub use timeout::Timeout;
