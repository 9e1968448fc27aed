//! Ctrl-C and SIGTERM.

use migrate_core::Result;
use migrate_core::stop::Stop;
use tokio::signal::ctrl_c;

use crate::{exit, output};

/// The signals that ask a process to end. From the first call on, they no longer end it by themselves.
struct Interrupts {
    #[cfg(unix)]
    terminate: Option<tokio::signal::unix::Signal>,
}

impl Interrupts {
    fn new() -> Self {
        Self {
            #[cfg(unix)]
            terminate: tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()).ok(),
        }
    }

    #[cfg(unix)]
    async fn next(&mut self) {
        match &mut self.terminate {
            Some(terminate) => tokio::select! {
                _ = ctrl_c() => {}
                _ = terminate.recv() => {}
            },
            None => drop(ctrl_c().await),
        }
    }

    #[cfg(not(unix))]
    async fn next(&mut self) {
        drop(ctrl_c().await);
    }
}

/// The first signal asks to stop, the second ends the process.
pub(crate) fn listen(stop: Stop) {
    let mut interrupts = Interrupts::new();
    tokio::spawn(async move {
        interrupts.next().await;
        output::note("stopping: what is on the way is finished; once more stops at once");
        stop.request();
        interrupts.next().await;
        std::process::exit(i32::from(exit::INTERRUPTED));
    });
}

/// What must be done before the first write: a stop ends it at once.
pub(crate) async fn until_stopped<T>(stop: &Stop, work: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::select! {
        biased;
        () = stop.requested() => Err(migrate_core::stop::stopped()),
        result = work => result,
    }
}
