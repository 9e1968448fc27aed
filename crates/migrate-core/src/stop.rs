//! How a run is asked to end early.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use crate::error::{Error, ErrorKind, Result};

/// How long calls that are on the way may take once a stop was asked for.
pub const GRACE: Duration = Duration::from_secs(7);

/// Asks a run to stop: batches in flight are finished and committed, nothing new is begun.
///
/// What is not finished within [`GRACE`] is given up, and done again by the next run, to the same effect.
#[derive(Debug, Clone)]
pub struct Stop(watch::Sender<Option<Instant>>);

impl Default for Stop {
    fn default() -> Self {
        Self(watch::Sender::new(None))
    }
}

impl Stop {
    /// Asks. Asking again changes nothing.
    pub fn request(&self) {
        self.0.send_if_modified(|asked| {
            let is_first = asked.is_none();
            asked.get_or_insert_with(Instant::now);
            is_first
        });
    }

    /// True once it was asked.
    #[must_use]
    pub fn is_requested(&self) -> bool {
        self.0.borrow().is_some()
    }

    /// Waits until it is asked.
    pub async fn requested(&self) {
        // An error means that no sender is left; this handle is one.
        let _ = self.0.subscribe().wait_for(Option::is_some).await;
    }

    /// Lets a call go on until [`GRACE`] after it is asked.
    ///
    /// # Errors
    /// The call's own, or `Interrupted` when its time is over. A write that was given up so may have taken effect.
    pub async fn bound<T>(&self, call: impl Future<Output = Result<T>>) -> Result<T> {
        tokio::select! {
            biased;
            result = call => result,
            () = self.expired() => Err(stopped()),
        }
    }

    async fn expired(&self) {
        let mut asked = self.0.subscribe();
        let asked = asked.wait_for(Option::is_some).await.ok().and_then(|asked| *asked);
        match asked {
            Some(asked) => tokio::time::sleep_until(asked + GRACE).await,
            None => std::future::pending().await,
        }
    }
}

/// The error of what is not begun, or not waited for, because of a stop.
#[must_use]
pub fn stopped() -> Error {
    Error::new(ErrorKind::Interrupted, "go on: a stop was asked for")
}
