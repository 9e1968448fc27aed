//! Faults that tests inject into the gateway.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};

/// Something that goes wrong for the next requests that match. By default it happens once, to any request.
#[derive(Debug, Clone)]
pub struct Fault {
    action: FaultAction,
    prefix: String,
    skip: usize,
    times: usize,
}

/// What goes wrong.
#[derive(Debug, Clone)]
pub enum FaultAction {
    /// This answer instead of the real one; `PostgREST` does not see the request.
    Respond {
        /// Status of the answer.
        status: StatusCode,
        /// Its headers.
        headers: HeaderMap,
        /// Its body, sent as it is.
        body: String,
    },
    /// The connection is reset and there is no answer; `PostgREST` does not see the request.
    Reset,
    /// The real answer, with the connection closed after so many bytes of its body.
    Truncate {
        /// Bytes of the body that arrive.
        after: usize,
    },
    /// The real answer, later.
    Delay(Duration),
}

impl Fault {
    /// Answers with `status` and `body`; the content type is JSON unless [`Fault::header`] says otherwise.
    ///
    /// # Panics
    /// `status` is not an HTTP status.
    pub fn respond(status: u16, body: impl Into<String>) -> Self {
        let status = StatusCode::from_u16(status).unwrap_or_else(|_| panic!("{status} is not an HTTP status"));
        let json = HeaderValue::from_static("application/json; charset=utf-8");
        let headers = HeaderMap::from_iter([(header::CONTENT_TYPE, json)]);
        Self::new(FaultAction::Respond { status, headers, body: body.into() })
    }

    /// Resets the connection.
    #[must_use]
    pub fn reset() -> Self {
        Self::new(FaultAction::Reset)
    }

    /// Ends the real answer after `after` bytes of its body.
    #[must_use]
    pub fn truncate(after: usize) -> Self {
        Self::new(FaultAction::Truncate { after })
    }

    /// Holds the real answer back.
    #[must_use]
    pub fn delay(time: Duration) -> Self {
        Self::new(FaultAction::Delay(time))
    }

    /// A fault with this action.
    #[must_use]
    pub fn new(action: FaultAction) -> Self {
        Self { action, prefix: String::new(), skip: 0, times: 1 }
    }

    /// Adds a header to a canned answer, such as `Retry-After`.
    ///
    /// # Panics
    /// The name or the value cannot be a header, or the fault is not an answer.
    #[must_use]
    pub fn header(mut self, name: &'static str, value: &str) -> Self {
        let FaultAction::Respond { headers, .. } = &mut self.action else {
            panic!("only a fault made with `respond` has headers");
        };
        let name = HeaderName::from_bytes(name.as_bytes()).unwrap_or_else(|error| panic!("{name}: {error}"));
        let value = HeaderValue::from_str(value).unwrap_or_else(|error| panic!("{name}: {error}"));
        headers.insert(name, value);
        self
    }

    /// Only for requests whose path and query start with `prefix`, such as `/rest/v1/contacts?`.
    #[must_use]
    pub fn on(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// Lets so many matching requests pass first.
    #[must_use]
    pub fn after(mut self, requests: usize) -> Self {
        self.skip = requests;
        self
    }

    /// Happens so many times.
    #[must_use]
    pub fn times(mut self, times: usize) -> Self {
        self.times = times;
        self
    }
}

/// Faults that are not used up.
#[derive(Debug, Default)]
pub(super) struct Faults(Mutex<VecDeque<Fault>>);

impl Faults {
    pub(super) fn inject(&self, fault: Fault) {
        self.queue().push_back(fault);
    }

    pub(super) fn clear(&self) {
        self.queue().clear();
    }

    /// The action of the first fault that matches, which is used up once by this.
    pub(super) fn take(&self, path_and_query: &str) -> Option<FaultAction> {
        let mut queue = self.queue();
        queue.retain(|fault| fault.times > 0);
        for fault in queue.iter_mut().filter(|fault| path_and_query.starts_with(&fault.prefix)) {
            if fault.skip > 0 {
                fault.skip -= 1;
                continue;
            }
            fault.times -= 1;
            return Some(fault.action.clone());
        }
        None
    }

    fn queue(&self) -> MutexGuard<'_, VecDeque<Fault>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
