use tokio::sync::watch;

/// Asks a run to stop: batches in flight are finished and committed, nothing new is begun.
#[derive(Debug, Clone)]
pub struct Stop(watch::Sender<bool>);

impl Default for Stop {
    fn default() -> Self {
        Self(watch::Sender::new(false))
    }
}

impl Stop {
    /// Asks. Asking again changes nothing.
    pub fn request(&self) {
        self.0.send_replace(true);
    }

    /// True once it was asked.
    #[must_use]
    pub fn is_requested(&self) -> bool {
        *self.0.borrow()
    }

    /// Waits until it is asked.
    pub async fn requested(&self) {
        // An error means that no sender is left; this handle is one.
        let _ = self.0.subscribe().wait_for(|requested| *requested).await;
    }
}
