//! Which requests Supabase's gateway lets through, and as whom.
//!
//! Sources: Supabase's API keys guide ("Known limitations"), `pkg/fetcher/gateway.go` and `internal/start/start.go` of
//! its command line tool, and the removal of the schema document for publishable keys of 2026-04-08.

use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use serde_json::{Value, json};

use crate::local_stack::keys::Keys;

/// Where the gateway serves `PostgREST`.
pub(super) const PREFIX: &str = "/rest/v1";

/// Where Supabase Auth lists users, to admin roles only (`internal/api/auth.go` of its repository).
const ADMIN_USERS: &str = "/auth/v1/admin/users";

const BEARER: &str = "Bearer ";

/// What happens to a request.
#[derive(Debug)]
pub(super) enum Admission {
    /// It goes to `PostgREST` with this path, and this `Authorization`.
    Passed { path_and_query: String, authorization: Option<HeaderValue> },
    /// It is answered here.
    Answered { status: StatusCode, body: String },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum KeyKind {
    Secret,
    Publishable,
    ServiceRoleJwt,
    AnonJwt,
}

impl KeyKind {
    fn of(keys: &Keys, key: &str) -> Option<Self> {
        [
            (&keys.secret, Self::Secret),
            (&keys.publishable, Self::Publishable),
            (&keys.service_role_jwt, Self::ServiceRoleJwt),
            (&keys.anon_jwt, Self::AnonJwt),
        ]
        .into_iter()
        .find_map(|(known, kind)| (known == key).then_some(kind))
    }

    fn is_admin(self) -> bool {
        matches!(self, Self::Secret | Self::ServiceRoleJwt)
    }
}

/// Decides about one request.
pub(super) fn admit(keys: &Keys, uri: &Uri, headers: &HeaderMap) -> Admission {
    if uri.path() == ADMIN_USERS {
        return admin_users(keys, headers);
    }
    let Some(rest) = uri.path().strip_prefix(PREFIX).filter(|rest| rest.is_empty() || rest.starts_with('/')) else {
        return answered(StatusCode::NOT_FOUND, &json!({ "message": "no Route matched with those values" }));
    };
    let (in_query, query) = take_api_key(uri.query().unwrap_or_default());
    let Some(key) = text(headers, "apikey").or(in_query.as_deref()) else {
        let hint = "No `apikey` request header or url param was found.";
        return unauthorized("No API key found in request", hint);
    };
    let Some(kind) = KeyKind::of(keys, key) else {
        return unauthorized("Invalid API key", "Double check your Supabase `anon` or `service_role` API key.");
    };
    let agent = text(headers, header::USER_AGENT.as_str()).unwrap_or_default();
    if kind == KeyKind::Secret && agent.starts_with("Mozilla/") {
        return unauthorized(
            "Forbidden use of secret API key in browser",
            "Secret API keys can only be used in a protected environment and should never be used in a browser.",
        );
    }
    let authorization = match authorization(keys, key, kind, headers) {
        Ok(authorization) => authorization,
        Err(refused) => return refused,
    };
    if matches!(rest, "" | "/") && !kind.is_admin() {
        let status = if rest.is_empty() { StatusCode::UNAUTHORIZED } else { StatusCode::FORBIDDEN };
        let hint = "Accessing the schema via the Data API is only allowed using a secret API key.";
        return answered(status, &json!({ "message": "Access to schema is forbidden", "hint": hint }));
    }
    let path = if rest.is_empty() { "/" } else { rest };
    let path_and_query = if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") };
    Admission::Passed { path_and_query, authorization }
}

/// The list of users, of whom there are none. A JWT counts in `Authorization`, an `sb_` key in `apikey` alone.
fn admin_users(keys: &Keys, headers: &HeaderMap) -> Admission {
    let given = text(headers, header::AUTHORIZATION.as_str()).and_then(|value| value.strip_prefix(BEARER));
    match given.or(text(headers, "apikey")).and_then(|key| KeyKind::of(keys, key)) {
        Some(kind) if kind.is_admin() => answered(StatusCode::OK, &json!({ "users": [], "aud": "authenticated" })),
        Some(_) => answered(
            StatusCode::FORBIDDEN,
            &json!({ "code": 403, "error_code": "not_admin", "msg": "User not allowed" }),
        ),
        None => unauthorized("Invalid API key", "Double check your Supabase `anon` or `service_role` API key."),
    }
}

/// The `Authorization` for `PostgREST`. A token that is not an `sb_` key passes as it is; so does an `sb_` key that
/// equals `apikey`, and `PostgREST` then refuses it as not being a JWT.
fn authorization(keys: &Keys, key: &str, kind: KeyKind, headers: &HeaderMap) -> Result<Option<HeaderValue>, Admission> {
    if let Some(given) = headers.get(header::AUTHORIZATION) {
        let token = given.to_str().unwrap_or_default();
        let token = token.strip_prefix(BEARER).unwrap_or(token);
        if token.starts_with("sb_") && token != key {
            return Err(unauthorized("Invalid API key", "`Authorization` holds another key than `apikey`."));
        }
        return Ok(Some(given.clone()));
    }
    let jwt = match kind {
        KeyKind::Secret => &keys.service_role_jwt,
        KeyKind::Publishable => &keys.anon_jwt,
        // These are for both headers: alone in `apikey` they open the gateway, and `PostgREST` sees nobody.
        KeyKind::ServiceRoleJwt | KeyKind::AnonJwt => return Ok(None),
    };
    Ok(HeaderValue::from_str(&format!("{BEARER}{jwt}")).ok())
}

/// Takes the parameter `apikey` out of a query; the rest stays byte for byte.
fn take_api_key(query: &str) -> (Option<String>, String) {
    let mut key = None;
    let mut rest: Vec<&str> = Vec::new();
    for part in query.split('&').filter(|part| !part.is_empty()) {
        match part.strip_prefix("apikey=") {
            Some(value) => key = Some(value.to_owned()),
            None => rest.push(part),
        }
    }
    (key, rest.join("&"))
}

/// Replaces every key in `text` by its kind.
pub(super) fn redact(keys: &Keys, text: &str) -> String {
    [
        (&keys.secret, "<secret key>"),
        (&keys.publishable, "<publishable key>"),
        (&keys.service_role_jwt, "<service_role JWT>"),
        (&keys.anon_jwt, "<anon JWT>"),
    ]
    .into_iter()
    .fold(text.to_owned(), |text, (key, name)| text.replace(key.as_str(), name))
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

fn unauthorized(message: &str, hint: &str) -> Admission {
    answered(StatusCode::UNAUTHORIZED, &json!({ "message": message, "hint": hint }))
}

fn answered(status: StatusCode, body: &Value) -> Admission {
    Admission::Answered { status, body: body.to_string() }
}
