use std::sync::mpsc::{Sender, channel};
use std::sync::{Mutex, PoisonError};
use std::thread::JoinHandle;

use jiff::Timestamp;
use migrate_core::observe::{Event, Observer};

use super::{EVENTS_VERSION, EventLine, RunEvent};
use crate::output;

/// Writes events to stdout, a line each, from a thread of its own: a run never waits for whoever reads them.
#[derive(Debug)]
pub(crate) struct EventWriter {
    lines: Mutex<Option<Sender<String>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl EventWriter {
    /// Begins to write.
    pub(crate) fn start() -> Self {
        let (lines, written) = channel::<String>();
        let thread = std::thread::spawn(move || {
            for line in written {
                // A closed pipe is the reader's choice: the run goes on.
                if output::event(&line).is_err() {
                    break;
                }
            }
        });
        Self { lines: Mutex::new(Some(lines)), thread: Mutex::new(Some(thread)) }
    }

    /// Writes one event.
    pub(crate) fn write(&self, event: RunEvent) {
        // The time is read while nobody else writes, so that lines are in its order.
        let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        let time = format!("{:.3}", Timestamp::now());
        let line = serde_json::to_string(&EventLine { version: EVENTS_VERSION, time, event });
        if let (Some(lines), Ok(line)) = (lines.as_ref(), line) {
            // The thread is gone once nobody reads.
            let _ = lines.send(line);
        }
    }

    /// Writes the last event, and waits until all are written.
    pub(crate) fn finish(&self, last: RunEvent) {
        self.write(last);
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).take();
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            let _ = thread.join();
        }
    }
}

impl Observer for EventWriter {
    fn on_event(&self, event: &Event) {
        if let Some(event) = RunEvent::of(event) {
            self.write(event);
        }
    }
}
