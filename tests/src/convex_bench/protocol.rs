//! Requests and answers of Convex's HTTP functions API (convex-backend, `crates/local_backend/src/public_api.rs`).

use axum::{
    body::Body,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use futures::StreamExt as _;
use serde::Deserialize;
use serde_json::{Value, json, value::RawValue};

use super::{functions::Failure, limits::MAX_BODY};

/// A refusal of the whole request: a status that is not 200, and `{"code", "message"}`.
#[derive(Debug)]
pub(super) struct SystemError {
    pub(super) status: StatusCode,
    pub(super) code: &'static str,
    pub(super) message: String,
}

impl SystemError {
    pub(super) fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into() }
    }

    pub(super) fn bad_admin_key() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "BadAdminKey", "The provided admin key was invalid for this instance")
    }

    pub(super) fn internal() -> Self {
        let message = "Your request couldn't be completed. Try again later.";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "InternalServerError", message)
    }

    fn bad_json(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "BadJsonBody", message)
    }
}

impl IntoResponse for SystemError {
    fn into_response(self) -> Response {
        json_response(self.status, json!({ "code": self.code, "message": self.message }).to_string())
    }
}

/// An answer with a JSON body.
pub(super) fn json_response(status: StatusCode, body: String) -> Response {
    (status, [(header::CONTENT_TYPE, "application/json")], body).into_response()
}

/// The body of a call that returned this value, which is JSON already.
pub(super) fn success(value: &str) -> String {
    format!(r#"{{"status":"success","value":{value}}}"#)
}

/// The body of a call that returned no value. `request` is the number that stands for the request's id.
pub(super) fn failure(failure: &Failure, module: &str, request: u64) -> String {
    let at = format!("\n    at handler (../convex/{module}.ts)");
    let (detail, data) = match failure {
        Failure::Plain(message) => (message.clone(), None),
        Failure::Thrown(message) => (format!("Uncaught Error: {message}{at}"), None),
        Failure::ConvexError(data) => (format!("Uncaught ConvexError: {data}{at}"), Some(data)),
    };
    let mut body = json!({
        "status": "error",
        "errorMessage": format!("[Request ID: {request:016x}] Server Error\n{detail}"),
    });
    if let Some(data) = data {
        body["errorData"] = data.clone();
    }
    body.to_string()
}

/// The failure of a call to a function that is not there, or not for this caller.
pub(super) fn function_missing(path: &str) -> Failure {
    Failure::Plain(format!(
        "Could not find public function for '{path}'. Did you forget to run `npx convex dev` or `npx convex deploy`?"
    ))
}

/// Who calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Caller {
    /// No `Authorization` header: public functions only, and there are none.
    Anonymous,
    /// The admin key was given.
    Admin,
}

/// Reads `Authorization: Convex <key>`. What stands before a key's first colon only names the deployment.
pub(super) fn authorize(headers: &HeaderMap, admin_key: &str) -> Result<Caller, SystemError> {
    let Some(header) = headers.get(header::AUTHORIZATION) else { return Ok(Caller::Anonymous) };
    let invalid = |message| {
        SystemError::new(StatusCode::BAD_REQUEST, "InvalidHeaderFailure", format!("Authorization: {message}"))
    };
    let text = header.to_str().map_err(|_| invalid("not ASCII"))?;
    let (scheme, key) = text.split_once(' ').ok_or_else(|| invalid("no credential"))?;
    if !scheme.eq_ignore_ascii_case("convex") {
        let message = "this stand-in knows no user tokens: send `Convex <admin key>`";
        return Err(SystemError::new(StatusCode::UNAUTHORIZED, "Unauthenticated", message));
    }
    let secret = |key: &str| key.split_once(':').map_or_else(|| key.to_owned(), |(_, secret)| secret.to_owned());
    if secret(key.trim()) == secret(admin_key) { Ok(Caller::Admin) } else { Err(SystemError::bad_admin_key()) }
}

/// Requires the admin key, where a route has no use for anyone else.
pub(super) fn require_admin(caller: Caller) -> Result<(), SystemError> {
    match caller {
        Caller::Admin => Ok(()),
        Caller::Anonymous => {
            let message = "You do not have permission to perform this operation: an admin key is required";
            Err(SystemError::new(StatusCode::FORBIDDEN, "BadDeployKey", message))
        }
    }
}

/// Checks `Convex-Client`, which is optional and of the form `<name>-<version>`.
pub(super) fn check_client(headers: &HeaderMap) -> Result<(), SystemError> {
    match headers.get("convex-client").map(|header| header.to_str()) {
        None => Ok(()),
        Some(Ok(client)) if client.contains('-') => Ok(()),
        Some(_) => {
            let message = "Convex-Client is not of the form <name>-<version>";
            Err(SystemError::new(StatusCode::BAD_REQUEST, "InvalidClientVersion", message))
        }
    }
}

/// Reads a request's JSON text. All of it is read, also when it is too much: a client that is still sending would miss
/// the answer.
pub(super) async fn read_json(headers: &HeaderMap, body: Body) -> Result<Vec<u8>, SystemError> {
    let mut chunks = body.into_data_stream();
    let (mut bytes, mut size) = (Vec::new(), 0);
    while let Some(chunk) = chunks.next().await {
        let chunk =
            chunk.map_err(|error| SystemError::bad_json(format!("Failed to buffer the request body: {error}")))?;
        size += chunk.len();
        if size <= MAX_BODY {
            bytes.extend_from_slice(&chunk);
        }
    }
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|header| header.to_str().ok()).unwrap_or_default();
    let media_type = content_type.split(';').next().unwrap_or_default().trim();
    if !media_type.eq_ignore_ascii_case("application/json") {
        return Err(SystemError::bad_json("Expected request with `Content-Type: application/json`"));
    }
    if size > MAX_BODY {
        return Err(SystemError::bad_json("Failed to buffer the request body: length limit exceeded"));
    }
    Ok(bytes)
}

/// The body of a call.
#[derive(Debug)]
pub(super) struct FunctionRequest<'a> {
    pub(super) path: String,
    pub(super) args: &'a RawValue,
    pub(super) format: Format,
}

/// How values are written in an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    /// Readable: an integer is a text.
    Plain,
    /// Exact: an integer is an object.
    Encoded,
}

impl Format {
    const NAMES: [(&str, Self); 4] = [
        ("json", Self::Plain),
        ("convex_clean_json", Self::Plain),
        ("convex_encoded_json", Self::Encoded),
        ("convex_json", Self::Encoded),
    ];

    /// An `Int64`.
    pub(super) fn integer(self, value: i64) -> Value {
        match self {
            Self::Plain => value.to_string().into(),
            Self::Encoded => json!({ "$integer": BASE64_STANDARD.encode(value.to_le_bytes()) }),
        }
    }
}

impl<'a> FunctionRequest<'a> {
    /// Reads `{path, args, format?}`, where `args` is an object or an array of one object.
    pub(super) fn parse(bytes: &'a [u8]) -> Result<Self, SystemError> {
        #[derive(Deserialize)]
        struct Wire<'a> {
            path: String,
            #[serde(borrow)]
            args: &'a RawValue,
            format: Option<String>,
        }
        let not_json = |error: serde_json::Error| {
            SystemError::bad_json(format!("Failed to parse the request body as JSON: {error}"))
        };
        let Wire { path, args, format } = serde_json::from_slice(bytes).map_err(not_json)?;
        let name = format.as_deref().unwrap_or("json");
        let Some((_, format)) = Format::NAMES.into_iter().find(|(known, _)| *known == name) else {
            return Err(SystemError::new(StatusCode::BAD_REQUEST, "BadFormat", format!("unknown format {name}")));
        };
        if args.get().starts_with('[') {
            let list: Vec<&RawValue> = serde_json::from_str(args.get()).map_err(not_json)?;
            let [args] = list[..] else {
                return Err(SystemError::bad_json("args must be an object or an array of one object"));
            };
            return Ok(Self { path, args, format });
        }
        Ok(Self { path, args, format })
    }
}
