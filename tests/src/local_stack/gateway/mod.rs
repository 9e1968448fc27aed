//! What stands in front of `PostgREST` in a hosted project: `/rest/v1`, keys, and, for tests, faults on demand.

mod connection;
mod faults;
mod rules;

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures::StreamExt;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use self::connection::{Cut, CuttableListener};
use self::faults::Faults;
pub use self::faults::{Fault, FaultAction};
use self::rules::{Admission, PREFIX, admit};
use super::error::{Context, Result};
use super::keys::Keys;
use crate::recent::Recent;

/// Headers that belong to one connection and are not passed on (RFC 9110, section 7.6.1).
const HOP_BY_HOP: [HeaderName; 5] =
    [header::CONNECTION, header::TRANSFER_ENCODING, header::TE, header::TRAILER, header::UPGRADE];

/// One request as the gateway saw it.
#[derive(Debug, Clone)]
pub struct GatewayRequest {
    /// `GET`, `HEAD`, …
    pub method: String,
    /// Path and query as sent, with the value of an `apikey` parameter replaced.
    pub path_and_query: String,
    /// Headers in the order sent, names in lower case. Keys are replaced by their kind, such as `<secret key>`.
    pub headers: Vec<(String, String)>,
    /// Status of the answer; `None` when the connection was cut instead.
    pub status: Option<u16>,
    /// Whether a [`Fault`] made the answer.
    pub fault: bool,
}

impl GatewayRequest {
    /// The first header of this name, given in lower case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }
}

/// The gateway, serving on loopback from a task of the current runtime until it is dropped.
#[derive(Debug)]
pub struct Gateway {
    url: String,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

#[derive(Debug)]
struct Shared {
    upstream: String,
    keys: Keys,
    client: reqwest::Client,
    faults: Faults,
    requests: Mutex<Recent<GatewayRequest>>,
}

impl Gateway {
    /// Serves `/rest/v1` from `PostgREST` at `upstream`, on a free port.
    pub(super) async fn start(upstream: String, keys: Keys) -> Result<Self> {
        let client = reqwest::Client::builder()
            .no_proxy()
            // PostgREST may close an idle connection just as the next request goes out on it.
            .pool_max_idle_per_host(0)
            .no_gzip()
            .no_brotli()
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .context("build the gateway's HTTP client")?;
        let shared = Arc::new(Shared { upstream, keys, client, faults: Faults::default(), requests: Mutex::default() });
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.context("open the gateway's port")?;
        let address = listener.local_addr().context("read the gateway's port")?;
        let router = Router::new().fallback(handle).with_state(Arc::clone(&shared));
        let service = router.into_make_service_with_connect_info::<Cut>();
        let task = tokio::spawn(async move {
            // `serve` ends with this task only.
            let _ = axum::serve(CuttableListener(listener), service).await;
        });
        Ok(Self { url: format!("http://{address}"), shared, task })
    }

    /// Base URL, to which `/rest/v1` is appended.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Makes the gateway misbehave from now on, until the fault is used up. Faults are tried in the order injected.
    pub fn inject(&self, fault: Fault) {
        self.shared.faults.inject(fault);
    }

    /// Removes all faults.
    pub fn clear_faults(&self) {
        self.shared.faults.clear();
    }

    /// The last 10,000 requests, in the order they were answered.
    #[must_use]
    pub fn requests(&self) -> Vec<GatewayRequest> {
        self.shared.requests().iter().cloned().collect()
    }

    /// Forgets the requests so far, and returns the last 10,000.
    #[must_use]
    pub fn take_requests(&self) -> Vec<GatewayRequest> {
        std::mem::take(&mut *self.shared.requests()).into()
    }

    /// Number of requests among the last 10,000 whose path and query start with `prefix`.
    #[must_use]
    pub fn count(&self, prefix: &str) -> usize {
        self.shared.requests().iter().filter(|request| request.path_and_query.starts_with(prefix)).count()
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Shared {
    fn requests(&self) -> MutexGuard<'_, Recent<GatewayRequest>> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn record(&self, mut entry: GatewayRequest, status: Option<StatusCode>, fault: bool) {
        entry.status = status.map(|status| status.as_u16());
        entry.fault = fault;
        self.requests().push(entry);
    }
}

async fn handle(State(shared): State<Arc<Shared>>, ConnectInfo(cut): ConnectInfo<Cut>, request: Request) -> Response {
    let entry = describe(&shared.keys, &request);
    let fault = shared.faults.take(&entry.path_and_query);
    match fault {
        Some(FaultAction::Respond { status, headers, body }) => {
            shared.record(entry, Some(status), true);
            (status, headers, body).into_response()
        }
        Some(FaultAction::Reset) => {
            shared.record(entry, None, true);
            cut.now();
            StatusCode::OK.into_response()
        }
        Some(FaultAction::Truncate { after }) => {
            let response = answer(&shared, request).await;
            shared.record(entry, Some(response.status()), true);
            truncate(response, after)
        }
        Some(FaultAction::Delay(time)) => {
            tokio::time::sleep(time).await;
            let response = answer(&shared, request).await;
            shared.record(entry, Some(response.status()), true);
            response
        }
        None => {
            let response = answer(&shared, request).await;
            shared.record(entry, Some(response.status()), false);
            response
        }
    }
}

/// Applies the key rules and passes the request on.
async fn answer(shared: &Shared, request: Request) -> Response {
    match admit(&shared.keys, request.uri(), request.headers()) {
        Admission::Answered { status, body } => {
            (status, [(header::CONTENT_TYPE, "application/json")], body).into_response()
        }
        Admission::Passed { path_and_query, authorization } => {
            forward(shared, request, &path_and_query, authorization).await
        }
    }
}

async fn forward(
    shared: &Shared,
    request: Request,
    path_and_query: &str,
    authorization: Option<HeaderValue>,
) -> Response {
    let (parts, body) = request.into_parts();
    let mut headers = parts.headers;
    for name in HOP_BY_HOP.iter().chain([&header::HOST, &header::ACCEPT_ENCODING]) {
        headers.remove(name);
    }
    headers.remove("apikey");
    headers.remove(header::AUTHORIZATION);
    if let Some(authorization) = authorization {
        headers.insert(header::AUTHORIZATION, authorization);
    }
    let has_body = headers.contains_key(header::CONTENT_LENGTH) || parts.method == axum::http::Method::POST;
    let url = format!("{}{path_and_query}", shared.upstream);
    let mut upstream = shared.client.request(parts.method, url).headers(headers);
    if has_body {
        upstream = upstream.body(reqwest::Body::wrap_stream(body.into_data_stream()));
    }
    match upstream.send().await {
        Ok(response) => {
            let status = response.status();
            let headers = end_to_end(response.headers());
            let mut answer = Response::new(Body::from_stream(response.bytes_stream()));
            *answer.status_mut() = status;
            *answer.headers_mut() = headers;
            answer
        }
        Err(error) => {
            let body =
                format!("{{\"message\":\"An invalid response was received from the upstream server: {error}\"}}");
            (StatusCode::BAD_GATEWAY, [(header::CONTENT_TYPE, "application/json")], body).into_response()
        }
    }
}

fn end_to_end(headers: &HeaderMap) -> HeaderMap {
    let mut kept = headers.clone();
    for name in &HOP_BY_HOP {
        kept.remove(name);
    }
    kept
}

/// Ends the connection after so many bytes of the body, while the headers promise all of it.
fn truncate(response: Response, after: usize) -> Response {
    let (parts, body) = response.into_parts();
    let mut left = after;
    let cut_short = body.into_data_stream().map(move |chunk| {
        let chunk = chunk.map_err(io::Error::other)?;
        if left == 0 {
            return Err(io::Error::from(io::ErrorKind::ConnectionReset));
        }
        let kept = chunk.slice(..chunk.len().min(left));
        left -= kept.len();
        Ok(kept)
    });
    let end = futures::stream::once(async { Err(io::Error::from(io::ErrorKind::ConnectionReset)) });
    Response::from_parts(parts, Body::from_stream(cut_short.chain(end)))
}

fn describe(keys: &Keys, request: &Request) -> GatewayRequest {
    let headers = request.headers().iter();
    let headers = headers.map(|(name, value)| {
        let value = String::from_utf8_lossy(value.as_bytes());
        let secret = name == "apikey" || name == header::AUTHORIZATION;
        (name.as_str().to_owned(), if secret { rules::redact(keys, &value) } else { value.into_owned() })
    });
    let path_and_query = request.uri().path_and_query().map_or(PREFIX, |path| path.as_str());
    GatewayRequest {
        method: request.method().to_string(),
        path_and_query: rules::redact(keys, path_and_query),
        headers: headers.collect(),
        status: None,
        fault: false,
    }
}
