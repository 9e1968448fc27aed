//! Wrappers that are themselves a source or a sink.
//!
//! Order matters, from the outside in: `Bisect(Retry(Timeout(Limit(sink))))` and `Retry(Timeout(Limit(source)))`.
//! Bisect is outside retry, so that a record is only held guilty once the other side has answered for good; timeout is
//! inside retry, so that each attempt has its own time; limit is innermost, so that waiting for a slot holds none.

mod adapt;
mod bisect;
mod dry_run;
mod limit;
mod retry;
mod retry_after;
mod timeout;

pub use bisect::Bisect;
pub use dry_run::DryRun;
pub use limit::Limit;
pub use retry::{Retry, RetryPolicy};
pub use retry_after::retry_after;
pub use timeout::Timeout;
