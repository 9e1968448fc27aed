//! Repeating one call, for layers and for adapters whose calls no layer wraps.

use std::sync::Arc;
use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};

use crate::error::{Disposition, Error, Result};
use crate::names::TableName;
use crate::observe::{Event, Observer};
use crate::stop::{Stop, stopped};

/// How often and how long a call is repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Delay before the second attempt.
    pub first_delay: Duration,
    /// Longest delay of our own.
    pub longest_delay: Duration,
    /// Longest `Retry-After` that is waited for. A longer one ends the call: the run stops, and can go on later.
    pub longest_asked: Duration,
    /// Repeats after the first attempt.
    pub repeats: usize,
    /// Seed of the jitter; random where it is `None`.
    pub jitter_seed: Option<u64>,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            first_delay: Duration::from_millis(500),
            longest_delay: Duration::from_secs(30),
            longest_asked: Duration::from_mins(5),
            repeats: 8,
            jitter_seed: None,
        }
    }
}

impl RetryPolicy {
    /// Growing delays, each drawn evenly from zero up to its bound: calls that failed together do not come back
    /// together.
    fn delays(&self) -> impl Iterator<Item = Duration> {
        let mut random = self.jitter_seed.map_or_else(fastrand::Rng::new, fastrand::Rng::with_seed);
        let bounds = ExponentialBuilder::default()
            .with_min_delay(self.first_delay)
            .with_max_delay(self.longest_delay)
            .with_max_times(self.repeats)
            .build();
        bounds.map(move |bound| bound.mul_f64(random.f64()))
    }
}

/// Repeats a call whose error says so, with growing delays and full jitter.
///
/// Once a stop is asked for, nothing is repeated, waits end at once, and what is on the way gets [`crate::stop::GRACE`].
#[derive(Debug)]
pub struct Repeater {
    policy: RetryPolicy,
    observer: Arc<dyn Observer>,
    stop: Stop,
}

impl Repeater {
    /// Repeats by `policy`, and tells `observer` of each time.
    pub fn new(policy: RetryPolicy, observer: Arc<dyn Observer>) -> Self {
        Self { policy, observer, stop: Stop::default() }
    }

    /// Heeds this stop.
    #[must_use]
    pub fn with_stop(mut self, stop: Stop) -> Self {
        self.stop = stop;
        self
    }

    /// Makes a call until it succeeds, fails for good, or was repeated often enough. `operation` names it to the observer.
    ///
    /// # Errors
    /// The call's own; `Interrupted` after a stop.
    pub async fn repeat<R, F: Future<Output = Result<R>>>(
        &self,
        operation: &'static str,
        table: Option<&TableName>,
        mut call: impl FnMut() -> F,
    ) -> Result<R> {
        let mut delays = self.policy.delays();
        let mut attempt = 1;
        loop {
            let error = match self.stop.bound(call()).await {
                Ok(value) => return Ok(value),
                Err(error) if error.disposition() != Disposition::Retry => return Err(error),
                Err(error) => error,
            };
            let Some(delay) = delays.next() else {
                return Err(error.with_context("attempts", attempt));
            };
            let asked = error.retry_after().unwrap_or_default();
            if asked > self.policy.longest_asked {
                return Err(error.with_context("seconds to wait, as it says", asked.as_secs()));
            }
            let delay = asked + delay;
            self.tell(operation, table, attempt, delay, &error);
            tokio::select! {
                biased;
                () = self.stop.requested() => return Err(stopped().with_context("after", error.code()).with_source(error)),
                () = tokio::time::sleep(delay) => {}
            }
            attempt += 1;
        }
    }

    fn tell(&self, operation: &'static str, table: Option<&TableName>, attempt: usize, delay: Duration, error: &Error) {
        self.observer.on_event(&Event::Retried {
            operation,
            table: table.cloned(),
            attempt,
            delay,
            code: error.code().to_owned(),
            message: error.to_string(),
        });
    }
}
