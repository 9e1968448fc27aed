//! The conformance suites of `migrate-core` on the real adapters, bare and below every layer: `SupabaseSource` on the
//! real PostgREST, `PostgresSource` on the real Postgres, `ConvexSink` on convex-local and on convex-bench.

mod cases;
mod sink;
mod source;

use std::sync::Arc;
use std::time::Duration;

use migrate_core::layer::RetryPolicy;
use migrate_core::names::TableName;
use migrate_core::{Fanout, Observer};

/// Longer than any call takes here.
const LONGEST: Duration = Duration::from_mins(1);

/// Shorter than a call that hangs, and longer than most that do not.
const SHORT: Duration = Duration::from_millis(500);

fn name(text: &str) -> TableName {
    TableName::new("public", text).unwrap()
}

/// Repeats at once, and often enough for every fault that a test plans.
fn eager() -> RetryPolicy {
    let delay = Duration::from_millis(1);
    RetryPolicy { first_delay: delay, longest_delay: delay, repeats: 8, jitter_seed: Some(7), ..RetryPolicy::default() }
}

fn silent() -> Arc<dyn Observer> {
    Arc::new(Fanout::default())
}
