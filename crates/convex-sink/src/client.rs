//! Convex's HTTP functions API: `POST /api/mutation` and `/api/query`, and what a check asks.
//!
//! Source: `local_backend/src/public_api.rs` and `dashboard.rs` of the Convex backend.

use std::borrow::Cow;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use migrate_core::clock::clock_skew;
use migrate_core::error::{Error, ErrorKind, Result};
use migrate_core::layer::retry_after;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, DATE, HeaderValue, RETRY_AFTER};
use reqwest::{Method, StatusCode, redirect};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use crate::errors::{
    Call, FunctionFailure, parse_cut, parse_function_failure, parse_system_failure, parse_transport, protocol,
};
use crate::settings::{ConvexSettings, is_loopback};

/// What names this program to the deployment: a name, `-` and a semantic version, or the header is refused.
const CLIENT: &str = concat!("supabase-to-convex-", env!("CARGO_PKG_VERSION"));
const USER_AGENT: &str = concat!("supabase-to-convex/", env!("CARGO_PKG_VERSION"));

/// Largest body that is sent. The deployment reads 16 MiB and 2,000 bytes (`MAX_BACKEND_PUBLIC_API_REQUEST_SIZE`) and
/// answers 400 above that, without saying why.
pub(crate) const MAX_BODY_BYTES: usize = 14 * 1024 * 1024;

/// The content type of all but a file's bytes.
pub(crate) const JSON: &str = "application/json";

/// Status that the official client names "UDF failed"; it is read like 200.
const STATUS_FUNCTION_FAILED: u16 = 560;
const STATUS_OK: u16 = 200;

/// A deployment that can be called.
#[derive(Debug)]
pub(crate) struct Client {
    http: reqwest::Client,
    base: String,
    host: String,
    /// None where functions are public and ask for a secret.
    key: Option<HeaderValue>,
    key_name: String,
    deploy_command: &'static str,
}

/// Which kind of function is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FunctionKind {
    Query,
    Mutation,
}

#[derive(Deserialize)]
struct Answer<'a, T> {
    #[serde(borrow)]
    status: Cow<'a, str>,
    value: Option<T>,
}

/// An answer, whole.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    retry_after: Option<Duration>,
    pub(crate) body: Bytes,
    /// Seconds that the deployment's clock is ahead of this machine's; none where it sends no date.
    pub(crate) clock_skew: Option<i64>,
}

/// What the deployment says of the key.
#[derive(Debug, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct KeyRights {
    success: bool,
    /// It may only read.
    pub(crate) is_read_only: bool,
    /// The operations that it may do; all where there is none.
    pub(crate) allowed_ops: Vec<String>,
}

impl Default for KeyRights {
    fn default() -> Self {
        Self { success: true, is_read_only: false, allowed_ops: Vec::new() }
    }
}

impl Client {
    /// A client for the settings' deployment. Makes no call.
    pub(crate) fn new(settings: &ConvexSettings) -> Result<Self> {
        let url = settings.base_url()?;
        let builder = reqwest::Client::builder()
            .user_agent(USER_AGENT)
            .connect_timeout(settings.connect_timeout)
            .timeout(settings.call_timeout)
            .redirect(redirect::Policy::none());
        let builder = if is_loopback(&url) { builder.no_proxy() } else { builder };
        let http = builder
            .build()
            .map_err(|error| Error::new(ErrorKind::Unexpected, "set up the HTTP client").with_source(error))?;
        let port = url.port_or_known_default().unwrap_or_default();
        Ok(Self {
            http,
            base: url.as_str().trim_end_matches('/').to_owned(),
            host: format!("{}:{port}", url.host_str().unwrap_or_default()),
            key: if settings.secret.is_none() { Some(settings.authorization()?) } else { None },
            key_name: settings.admin_key_name.clone(),
            deploy_command: settings.deployment_kind().deploy_command(),
        })
    }

    /// Calls a function with a body made by [`crate::encode`], and reads its value.
    ///
    /// # Errors
    /// As [`crate::errors`] classifies; `TooLarge` before anything is sent; `Protocol` for a value of another shape, but
    /// not for an answer that ends in the middle, after which the call is repeated.
    pub(crate) async fn call<T: DeserializeOwned>(&self, kind: FunctionKind, name: &str, body: Vec<u8>) -> Result<T> {
        let reply = self.ask(kind, name, body).await?;
        self.read(kind, name, &reply)
    }

    /// Calls a function, as [`Client::call`]; [`Client::read`] reads the answer.
    pub(crate) async fn ask(&self, kind: FunctionKind, name: &str, body: Vec<u8>) -> Result<Reply> {
        let call = self.named(name, kind == FunctionKind::Mutation);
        if body.len() > MAX_BODY_BYTES {
            return Err(Error::new(ErrorKind::TooLarge, "send a body that large")
                .with_context("function", name)
                .with_context("bytes", body.len()));
        }
        let path = match kind {
            FunctionKind::Query => "/api/query",
            FunctionKind::Mutation => "/api/mutation",
        };
        self.send(call, Method::POST, path, true, Some((JSON, body))).await
    }

    /// Reads the value that a function gave, which may borrow from the answer.
    pub(crate) fn read<'a, T: Deserialize<'a>>(&self, kind: FunctionKind, name: &str, reply: &'a Reply) -> Result<T> {
        let call = self.named(name, kind == FunctionKind::Mutation);
        read_answer(call, reply.status.as_u16(), reply.retry_after, &reply.body)
    }

    /// Proves that a deployment answers, and that it knows the key, if there is one, and lets it write.
    ///
    /// # Errors
    /// `Unreachable`, `Unauthorized`, `Forbidden`, `Protocol`.
    pub(crate) async fn check(&self) -> Result<()> {
        self.version().await?;
        match self.key_rights().await? {
            Some(rights) if rights.is_read_only => {
                Err(Error::new(ErrorKind::Forbidden, "write with a key that may only read")
                    .with_context("key", &self.key_name)
                    .with_remedy("give it a key with deployment:functions:runInternalMutations"))
            }
            _ => Ok(()),
        }
    }

    /// Asks for the backend's version, which any deployment tells.
    ///
    /// # Errors
    /// `Unreachable`, `Protocol`.
    pub(crate) async fn version(&self) -> Result<Reply> {
        let call = self.named("/version", false);
        let reply = self.send(call, Method::GET, "/version", false, None).await?;
        if reply.status.is_success() { Ok(reply) } else { Err(refused(call, &reply)) }
    }

    /// What the deployment says of the key; none where there is no key, or an old self-hosted backend lacks the endpoint:
    /// the calls that follow prove the key as well.
    ///
    /// # Errors
    /// `Unreachable`, `Unauthorized`, `Forbidden`, `Protocol`.
    pub(crate) async fn key_rights(&self) -> Result<Option<KeyRights>> {
        if self.key.is_none() {
            return Ok(None);
        }
        let call = self.named("/api/check_admin_key", false);
        let reply = self.send(call, Method::GET, "/api/check_admin_key", true, None).await?;
        if reply.status == StatusCode::NOT_FOUND {
            tracing::debug!("the deployment has no /api/check_admin_key");
            return Ok(None);
        }
        if !reply.status.is_success() {
            return Err(refused(call, &reply));
        }
        let rights: KeyRights = serde_json::from_slice(&reply.body)
            .map_err(|_| protocol(call, "read the answer about the key: it is not Convex's JSON"))?;
        if rights.success {
            Ok(Some(rights))
        } else {
            Err(parse_system_failure(call, StatusCode::UNAUTHORIZED.as_u16(), None, b""))
        }
    }

    /// Whether calls are made with a key, rather than with a secret among their arguments.
    pub(crate) fn has_key(&self) -> bool {
        self.key.is_some()
    }

    /// Host and port.
    pub(crate) fn host(&self) -> &str {
        &self.host
    }

    pub(crate) fn named<'a>(&'a self, name: &'a str, writes: bool) -> Call<'a> {
        Call { name, writes, key_name: &self.key_name, deploy_command: self.deploy_command }
    }

    /// Sends one request with a body of some content type, and reads the whole answer.
    pub(crate) async fn send(
        &self,
        call: Call<'_>,
        method: Method,
        path: &str,
        with_key: bool,
        body: Option<(&'static str, Vec<u8>)>,
    ) -> Result<Reply> {
        let mut request = self.http.request(method, format!("{}{path}", self.base)).header("Convex-Client", CLIENT);
        if let Some(key) = self.key.as_ref().filter(|_| with_key) {
            request = request.header(AUTHORIZATION, key.clone());
        }
        if let Some((content_type, body)) = body {
            request = request.header(CONTENT_TYPE, content_type).body(body);
        }
        let transport = |error| parse_transport(call, &self.host, error);
        let sent = SystemTime::now();
        let response = request.send().await.map_err(transport)?;
        let answered = SystemTime::now();
        let header = |name| response.headers().get(name).and_then(|header: &HeaderValue| header.to_str().ok());
        let clock_skew = header(DATE).and_then(|date| clock_skew(date, sent, answered));
        let (status, retry_after) = (response.status(), header(RETRY_AFTER).and_then(retry_after));
        let body = response.bytes().await.map_err(transport)?;
        let ms = sent.elapsed().unwrap_or_default().as_millis();
        tracing::debug!(call = call.name, status = status.as_u16(), bytes = body.len(), ms, "request");
        Ok(Reply { status, retry_after, body, clock_skew })
    }
}

/// The value in an answer to a function's call.
///
/// # Errors
/// As [`Client::call`].
pub(crate) fn read_answer<'a, T: Deserialize<'a>>(
    call: Call<'_>,
    status: u16,
    retry_after: Option<Duration>,
    answer: &'a [u8],
) -> Result<T> {
    if !matches!(status, STATUS_OK | STATUS_FUNCTION_FAILED) {
        return Err(parse_system_failure(call, status, retry_after, answer));
    }
    if let Ok(Answer { status, value: Some(value) }) = serde_json::from_slice::<Answer<'_, T>>(answer)
        && status == "success"
    {
        return Ok(value);
    }
    // Whatever it is else, is found out without the value.
    let envelope: Answer<'_, &RawValue> = serde_json::from_slice(answer).map_err(|error| {
        if error.is_eof() { parse_cut(call) } else { protocol(call, "read the answer: it is not Convex's JSON") }
    })?;
    match (&*envelope.status, envelope.value) {
        ("success", Some(_)) => Err(protocol(call, "read the function's value: it has another shape")),
        ("error", _) => {
            let failure: FunctionFailure = serde_json::from_slice(answer)
                .map_err(|_| protocol(call, "read the function's failure: it has another shape"))?;
            Err(parse_function_failure(call, &failure))
        }
        _ => Err(protocol(call, "read the answer: it is neither success nor error")),
    }
}

pub(crate) fn refused(call: Call<'_>, reply: &Reply) -> Error {
    parse_system_failure(call, reply.status.as_u16(), reply.retry_after, &reply.body)
}
