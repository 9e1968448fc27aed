//! How a call ends: with its answer, or with what a fault makes of it.

use std::{sync::atomic::Ordering, time::Duration};

use axum::{
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};

use super::{
    connection::Connection,
    fault::Fault,
    protocol::{self, SystemError},
    server::Shared,
};

/// How a call ends.
pub(super) enum Ending {
    /// An answer to a call that stored nothing.
    Response(Response),
    /// An answer, or what is left of it, to a call that ran to its end.
    Committed(Response),
    /// No answer, and a reset.
    Cut { committed: bool },
    /// No answer for ever.
    Hang,
}

impl Ending {
    /// The end of a call that a fault ends before it does anything; `None` when it goes on.
    pub(super) fn before(fault: Option<&Fault>, shared: &Shared) -> Option<Self> {
        let response = match fault? {
            Fault::KeyRevoked => {
                shared.key_revoked.store(true, Ordering::SeqCst);
                SystemError::bad_admin_key().into_response()
            }
            Fault::TooManyRequests429 { retry_after } => too_many_requests(*retry_after),
            Fault::Occ503 => conflict().into_response(),
            Fault::HtmlError502 => bad_gateway(),
            Fault::Internal500BeforeCommit => SystemError::internal().into_response(),
            Fault::ResetBeforeCommit => return Some(Self::Cut { committed: false }),
            Fault::Hang => return Some(Self::Hang),
            _ => return None,
        };
        Some(Self::Response(response))
    }

    /// The end of a call that ran to its end and has this to say, in JSON.
    pub(super) fn after(fault: Option<&Fault>, mut body: String) -> Self {
        match fault {
            Some(Fault::Internal500AfterCommit) => Self::Committed(SystemError::internal().into_response()),
            Some(Fault::ResetAfterCommit) => Self::Cut { committed: true },
            Some(Fault::Malformed) => {
                body.truncate(body.len() / 2);
                Self::Committed(protocol::json_response(StatusCode::OK, body))
            }
            _ => Self::Committed(protocol::json_response(StatusCode::OK, body)),
        }
    }

    /// Whether what the call was to do is done.
    pub(super) fn is_committed(&self) -> bool {
        matches!(self, Self::Committed(_) | Self::Cut { committed: true })
    }

    /// Answers, or cuts the connection where there is no answer.
    pub(super) async fn send(self, shared: &Shared, connection: &Connection) -> Response {
        match self {
            Self::Response(response) | Self::Committed(response) => return response,
            Self::Cut { .. } => {}
            Self::Hang => {
                let mut stopping = shared.stopping.clone();
                // An error means that the server is gone, which ends the wait as well.
                let _ = stopping.wait_for(|stopping| *stopping).await;
            }
        }
        connection.cut();
        StatusCode::OK.into_response()
    }
}

fn too_many_requests(retry_after: Option<Duration>) -> Response {
    let message = "Too many writes per second. Your deployment is limited to 4 MiB bytes written per 1 second.";
    let mut response = SystemError::new(StatusCode::TOO_MANY_REQUESTS, "TooManyWrites", message).into_response();
    if let Some(time) = retry_after {
        let seconds = time.as_secs() + u64::from(time.subsec_nanos() > 0);
        response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
    }
    response
}

fn conflict() -> SystemError {
    let message = "Data read or written in this mutation changed while it was being run.";
    SystemError::new(StatusCode::SERVICE_UNAVAILABLE, "OptimisticConcurrencyControlFailure", message)
}

fn bad_gateway() -> Response {
    let page = "<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>\r\n<h1>502 Bad Gateway</h1>\r\n</body>\r\n</html>\r\n";
    (StatusCode::BAD_GATEWAY, [(header::CONTENT_TYPE, "text/html")], page).into_response()
}
