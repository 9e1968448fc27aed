//! Convex's HTTP functions API: `POST /api/mutation` and `/api/query`, and what a check asks.
//!
//! Source: `local_backend/src/public_api.rs` and `dashboard.rs` of the Convex backend.

use std::time::Duration;

use migrate_core::error::{Error, ErrorKind, Result};
use migrate_core::layer::retry_after;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use reqwest::{Method, StatusCode, redirect};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use crate::errors::{Call, FunctionFailure, parse_function_failure, parse_system_failure, parse_transport, protocol};
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
struct Answer {
    status: String,
    value: Option<Box<RawValue>>,
}

#[derive(Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct KeyAnswer {
    success: bool,
    is_read_only: bool,
}

impl Default for KeyAnswer {
    fn default() -> Self {
        Self { success: true, is_read_only: false }
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
    /// As [`crate::errors`] classifies; `TooLarge` before anything is sent; `Protocol` for a value of another shape.
    pub(crate) async fn call<T: DeserializeOwned>(&self, kind: FunctionKind, name: &str, body: Vec<u8>) -> Result<T> {
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
        let (status, retry_after, answer) = self.send(call, Method::POST, path, true, Some((JSON, body))).await?;
        if status != StatusCode::OK && status.as_u16() != STATUS_FUNCTION_FAILED {
            return Err(parse_system_failure(call, status.as_u16(), retry_after, &answer));
        }
        let envelope: Answer =
            serde_json::from_slice(&answer).map_err(|_| protocol(call, "read the answer: it is not Convex's JSON"))?;
        match (envelope.status.as_str(), envelope.value) {
            ("success", Some(value)) => serde_json::from_str(value.get())
                .map_err(|_| protocol(call, "read the function's value: it has another shape")),
            ("error", _) => {
                let failure: FunctionFailure = serde_json::from_slice(&answer)
                    .map_err(|_| protocol(call, "read the function's failure: it has another shape"))?;
                Err(parse_function_failure(call, &failure))
            }
            _ => Err(protocol(call, "read the answer: it is neither success nor error")),
        }
    }

    /// Proves that a deployment answers, and that it knows the key, if there is one, and lets it write.
    ///
    /// # Errors
    /// `Unreachable`, `Unauthorized`, `Forbidden`, `Protocol`.
    pub(crate) async fn check(&self) -> Result<()> {
        let version = self.named("/version", false);
        let (status, retry_after, body) = self.send(version, Method::GET, "/version", false, None).await?;
        if !status.is_success() {
            return Err(parse_system_failure(version, status.as_u16(), retry_after, &body));
        }
        if self.key.is_none() {
            return Ok(());
        }
        let check = self.named("/api/check_admin_key", false);
        let (status, retry_after, body) = self.send(check, Method::GET, "/api/check_admin_key", true, None).await?;
        if status == StatusCode::NOT_FOUND {
            // An old self-hosted backend may lack the endpoint; the calls that follow prove the key as well.
            tracing::debug!("the deployment has no /api/check_admin_key");
            return Ok(());
        }
        if !status.is_success() {
            return Err(parse_system_failure(check, status.as_u16(), retry_after, &body));
        }
        let answer: KeyAnswer = serde_json::from_slice(&body)
            .map_err(|_| protocol(check, "read the answer about the key: it is not Convex's JSON"))?;
        if !answer.success {
            return Err(parse_system_failure(check, StatusCode::UNAUTHORIZED.as_u16(), None, b""));
        }
        if answer.is_read_only {
            return Err(Error::new(ErrorKind::Forbidden, "write with a key that may only read")
                .with_context("key", &self.key_name)
                .with_remedy("give it a key with deployment:functions:runInternalMutations"));
        }
        Ok(())
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
    ) -> Result<(StatusCode, Option<Duration>, Vec<u8>)> {
        let mut request = self.http.request(method, format!("{}{path}", self.base)).header("Convex-Client", CLIENT);
        if let Some(key) = self.key.as_ref().filter(|_| with_key) {
            request = request.header(AUTHORIZATION, key.clone());
        }
        if let Some((content_type, body)) = body {
            request = request.header(CONTENT_TYPE, content_type).body(body);
        }
        let transport = |error| parse_transport(call, &self.host, error);
        let response = request.send().await.map_err(transport)?;
        let status = response.status();
        let asked = response.headers().get(RETRY_AFTER).and_then(|header| header.to_str().ok());
        let retry_after = asked.and_then(retry_after);
        let body = response.bytes().await.map_err(transport)?;
        Ok((status, retry_after, body.into()))
    }
}
