//! What an answer of a deployment means, in one place.
//!
//! A function that fails answers 200 with `status: "error"`; other statuses are failures of the system. Sources: the
//! backend's `errors/src/lib.rs` for codes and statuses, `local_backend/src/public_api.rs` for the shape of answers.

use std::time::Duration;

use migrate_core::error::{Error, ErrorKind};
use serde::Deserialize;

use crate::redact;

/// What was called, for classification and messages.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Call<'a> {
    /// The function's path, or the endpoint's.
    pub(crate) name: &'a str,
    /// True when the call may change something.
    pub(crate) writes: bool,
    /// The key's name where the user set it.
    pub(crate) key_name: &'a str,
    /// The command that deploys functions there.
    pub(crate) deploy_command: &'static str,
}

/// The failure of a function inside an answer with status 200 (or 560).
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct FunctionFailure {
    #[serde(default)]
    error_message: String,
    #[serde(default)]
    error_data: serde_json::Value,
}

/// A failure of the system, with another status.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct SystemFailure {
    code: Option<String>,
    message: String,
}

struct Rule {
    /// The code, or the text's beginning.
    sign: &'static str,
    kind: ErrorKind,
    message: &'static str,
    remedy: &'static str,
}

const fn rule(sign: &'static str, kind: ErrorKind, message: &'static str, remedy: &'static str) -> Rule {
    Rule { sign, kind, message, remedy }
}

/// The index that a lookup asks for is not in the deployed functions.
pub(crate) const LOOKUP_UNKNOWN: &str = "lookup_unknown";

/// Codes that the generated functions throw in a `ConvexError`.
const DATA_RULES: &[Rule] = &[
    rule(
        "legacy_id_ambiguous",
        ErrorKind::RecordFailed,
        "tell which document a row became: several have its legacy id",
        "leave one document with that legacy id in the table",
    ),
    rule(
        "document_missing",
        ErrorKind::RecordFailed,
        "set a reference on a document that is no longer there",
        "run again with --fresh, which writes the document anew",
    ),
    rule(
        "secret_unset",
        ErrorKind::Config,
        "be let in: the deployment's environment has no MIGRATION_SECRET of 32 or more characters",
        "set it: npx convex env set MIGRATION_SECRET, with the value that is set here",
    ),
    rule(
        "secret_wrong",
        ErrorKind::Unauthorized,
        "be let in: MIGRATION_SECRET here is not the deployment's",
        "set it to what `npx convex env get MIGRATION_SECRET` shows",
    ),
    rule(
        LOOKUP_UNKNOWN,
        ErrorKind::FunctionMissing,
        "look documents up by an index that the deployed functions do not know",
        "generate the functions again and deploy them",
    ),
    rule(
        "lookup_key_length",
        ErrorKind::FunctionMissing,
        "look documents up by a key of another length than the deployed functions know",
        "generate the functions again and deploy them",
    ),
];

const SPLIT: &str = "smaller batches are tried; lower run.batch_records if it goes on";
const DASHBOARD: &str = "see the deployment's state and plan in the dashboard, then run again";

/// Beginnings of a function failure's text, where the text itself is the only sign.
const TEXT_RULES: &[Rule] = &[
    rule(
        "Too many writes in a single function execution",
        ErrorKind::TooLarge,
        "write so many documents at once",
        SPLIT,
    ),
    rule("Too many bytes written in a single function", ErrorKind::TooLarge, "write so many bytes at once", SPLIT),
    rule("Too many documents read in a single function", ErrorKind::TooLarge, "read so many documents at once", SPLIT),
    rule("Too many bytes read in a single function", ErrorKind::TooLarge, "read so many bytes at once", SPLIT),
    rule(
        "Too many reads in a single function execution",
        ErrorKind::TooLarge,
        "read so many index ranges at once",
        SPLIT,
    ),
    rule("Arguments for ", ErrorKind::TooLarge, "send arguments as large as that", SPLIT),
    rule("Function execution timed out", ErrorKind::TooLarge, "do all of it in the time a function has", SPLIT),
    rule("JavaScript execution ran out of memory", ErrorKind::TooLarge, "do it in the memory a function has", SPLIT),
    rule(
        "Cannot run functions while this deployment is",
        ErrorKind::Forbidden,
        "call a deployment that is paused or disabled",
        DASHBOARD,
    ),
    rule("You have exceeded the ", ErrorKind::Forbidden, "call a deployment that is over its plan's limits", DASHBOARD),
];

/// Beginnings of the text for a function that is not there, is of another type, or is internal while the key is no admin's.
const MISSING_FUNCTION: &[&str] = &["Could not find public function for", "Could not find function for"];
/// The beginning of a document's refusal by the schema; the validator's complaint follows after a colon.
const SCHEMA_REFUSAL: &str = "Failed to insert or update a document in table ";

/// What is known of a status with a code, in the order it is searched; `""` stands for every code, none included.
const STATUS_RULES: &[(u16, &str, ErrorKind, &str, &str)] = &[
    (400, "SystemTimeoutError", ErrorKind::TooLarge, "do all of it in the time the system gives", SPLIT),
    (400, "BackendIsNotRunning", ErrorKind::Forbidden, "call a deployment that is not running", DASHBOARD),
    (404, "FunctionPathNotFound", ErrorKind::FunctionMissing, "find the function", ""),
    (
        404,
        "",
        ErrorKind::Protocol,
        "find Convex's HTTP API at the address",
        "check the address; a deployment made just now may need a minute",
    ),
    (408, "", ErrorKind::UnknownOutcome, "get an answer before the deployment gave up", ""),
    (413, "", ErrorKind::TooLarge, "send a body that large past the proxy before the deployment", SPLIT),
    (429, "TooManyWrites", ErrorKind::RateLimited, "write that fast", "lower run.in_flight if it goes on"),
    (429, "", ErrorKind::RateLimited, "run that many calls at once", "lower run.in_flight if it goes on"),
];

/// The error for an answer with another status than 200 and 560.
pub(crate) fn parse_system_failure(call: Call<'_>, status: u16, retry_after: Option<Duration>, body: &[u8]) -> Error {
    let failure: SystemFailure = serde_json::from_slice(body).unwrap_or_default();
    let code = failure.code.as_deref().and_then(redact::safe_code);
    let found = STATUS_RULES
        .iter()
        .find(|(of, sign, ..)| *of == status && (sign.is_empty() || Some(*sign) == code))
        .map(|&(_, _, kind, message, remedy)| (kind, message.to_owned(), remedy.to_owned()));
    let (kind, message, remedy) = found.unwrap_or_else(|| match (status, code) {
        (401, _) => unauthorized(call),
        (403, _) => forbidden(call, &failure.message),
        (503, Some(_)) => (ErrorKind::Unavailable, "be served: the deployment is overloaded".to_owned(), String::new()),
        (500.., _) => (ErrorKind::UnknownOutcome, "learn what became of the call".to_owned(), String::new()),
        (300..=399, _) => (
            ErrorKind::Protocol,
            "call an address that redirects to another one".to_owned(),
            "give the deployment's own address".to_owned(),
        ),
        _ => (ErrorKind::Protocol, "be understood by the deployment".to_owned(), String::new()),
    });
    let kind = if call.writes || kind != ErrorKind::UnknownOutcome { kind } else { ErrorKind::Unavailable };
    let remedy = if kind == ErrorKind::FunctionMissing { deploy_remedy(call) } else { remedy };
    let mut error = at(Error::new(kind, message), call).with_context("status", status);
    if let Some(code) = code {
        error = error.with_context("code", code).with_code(code);
    }
    if let Some(delay) = retry_after {
        error = error.with_retry_after(delay);
    }
    if remedy.is_empty() { error } else { error.with_remedy(remedy) }
}

fn unauthorized(call: Call<'_>) -> (ErrorKind, String, String) {
    let message = format!("be let in with the key of {} in the header `Authorization: Convex …`", call.key_name);
    let remedy = "use a deploy key of this very deployment: dashboard, Settings, Deploy keys; or generate_admin_key.sh";
    (ErrorKind::Unauthorized, message, remedy.to_owned())
}

fn forbidden(call: Call<'_>, text: &str) -> (ErrorKind, String, String) {
    let permission = redact::permission(text);
    let message = match permission {
        Some(permission) => format!("act with a key that lacks the permission {permission}"),
        None => "act with a key that is not an admin's or a deploy key".to_owned(),
    };
    let right = permission.unwrap_or("deployment:functions:runInternalMutations");
    (ErrorKind::Forbidden, message, format!("give {} a key with {right}", call.key_name))
}

/// The error for a function that failed: by the code in its data first, then by the beginning of its text.
pub(crate) fn parse_function_failure(call: Call<'_>, failure: &FunctionFailure) -> Error {
    let code = failure.error_data.get("code").and_then(serde_json::Value::as_str).and_then(redact::safe_code);
    let known = DATA_RULES.iter().find(|rule| Some(rule.sign) == code);
    let (class, detail) = redact::strip_prefix(&failure.error_message);
    let error = if let Some(rule) = known {
        let error = Error::new(rule.kind, rule.message).with_remedy(rule.remedy);
        match failure.error_data.get("index").and_then(serde_json::Value::as_u64) {
            Some(index) => error.with_context("record", index),
            None => error,
        }
    } else if code.is_some() || !failure.error_data.is_null() {
        Error::new(ErrorKind::RecordFailed, "write a record that the function refuses with a ConvexError")
    } else {
        parse_text(call, class, detail)
    };
    let error = at(error, call);
    match code {
        Some(code) => error.with_context("code", code).with_code(code),
        None => error,
    }
}

fn parse_text(call: Call<'_>, class: Option<&str>, detail: &str) -> Error {
    if MISSING_FUNCTION.iter().any(|beginning| detail.starts_with(beginning)) {
        return Error::new(ErrorKind::FunctionMissing, "find the function").with_remedy(deploy_remedy(call));
    }
    if let Some(rule) = TEXT_RULES.iter().find(|rule| detail.starts_with(rule.sign)) {
        return Error::new(rule.kind, rule.message).with_remedy(rule.remedy);
    }
    if class == Some("ArgumentValidationError") {
        let message = format!("pass the function's argument validator: {}", redact::complaint(detail));
        return Error::new(ErrorKind::RecordFailed, message).with_code("ArgumentValidationError");
    }
    if class == Some("ReturnsValidationError") {
        let message = format!("pass the function's returns validator: {}", redact::complaint(detail));
        return Error::new(ErrorKind::RecordFailed, message).with_code("ReturnsValidationError");
    }
    if let Some(refusal) = detail.strip_prefix(SCHEMA_REFUSAL) {
        let complaint = refusal.split_once("the schema: ").map_or("", |(_, complaint)| complaint);
        let message = format!("pass the table's schema: {}", redact::complaint(complaint));
        return Error::new(ErrorKind::RecordFailed, message)
            .with_code("schema_mismatch")
            .with_remedy("bring schema.ts and the plan in line, and deploy");
    }
    let message = match class {
        Some(class) => format!("write a record: the function threw {class}"),
        None => "write a record: the function failed".to_owned(),
    };
    Error::new(ErrorKind::RecordFailed, message).with_remedy("see the function's log in the deployment's dashboard")
}

/// The error for a call that got no answer at all.
pub(crate) fn parse_transport(call: Call<'_>, host: &str, error: reqwest::Error) -> Error {
    let error = error.without_url();
    let (kind, message) = if error.is_connect() {
        (ErrorKind::Unreachable, "connect to the Convex deployment")
    } else if error.is_builder() {
        (ErrorKind::Unexpected, "make the request")
    } else if call.writes {
        (ErrorKind::UnknownOutcome, "learn what became of the call: no whole answer came")
    } else if error.is_timeout() {
        (ErrorKind::TimedOut, "get an answer in time")
    } else {
        (ErrorKind::Unavailable, "get a whole answer")
    };
    let shown = at(Error::new(kind, message), call).with_context("host", host);
    let shown = if kind == ErrorKind::Unreachable {
        shown.with_remedy("check the address, and that the deployment runs and can be reached from here")
    } else {
        shown
    };
    shown.with_source(error)
}

/// The error for an answer that ends in the middle: something on the way cut it, and what it was about took place.
pub(crate) fn parse_cut(call: Call<'_>) -> Error {
    let kind = if call.writes { ErrorKind::UnknownOutcome } else { ErrorKind::Unavailable };
    at(Error::new(kind, "read the whole answer: it ends in the middle"), call)
}

/// The error for an answer that the protocol does not allow. The answer is not shown: it may hold values.
pub(crate) fn protocol(call: Call<'_>, message: impl Into<String>) -> Error {
    at(Error::new(ErrorKind::Protocol, message), call).with_remedy(
        "check that the address is a Convex deployment's and that the deployed functions are the generated ones",
    )
}

fn deploy_remedy(call: Call<'_>) -> String {
    format!("deploy the generated functions: {}", call.deploy_command)
}

fn at(error: Error, call: Call<'_>) -> Error {
    error.with_context("function", call.name)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const CALL: Call<'_> = Call {
        name: "migrate:bulkInsertA",
        writes: true,
        key_name: "CONVEX_DEPLOY_KEY",
        deploy_command: "npx convex deploy",
    };

    fn function(failure: serde_json::Value) -> Error {
        parse_function_failure(CALL, &serde_json::from_value(failure).unwrap())
    }

    fn text(text: &str) -> Error {
        function(json!({ "errorMessage": format!("[Request ID: 9c97] Server Error\n{text}") }))
    }

    #[test]
    fn texts_are_classified_by_their_beginning() {
        for (message, kind) in [
            (
                "Could not find public function for 'migrate:x'. Did you forget to run `npx convex dev`?",
                ErrorKind::FunctionMissing,
            ),
            ("Uncaught Error: Too many writes in a single function execution (limit: 16000)", ErrorKind::TooLarge),
            ("Too many bytes written in a single function execution (limit: 16777216 bytes).", ErrorKind::TooLarge),
            (
                "Uncaught Error: Too many documents read in a single function execution (limit: 32000).",
                ErrorKind::TooLarge,
            ),
            ("Too many bytes read in a single function execution (limit: 1 bytes).", ErrorKind::TooLarge),
            ("Too many reads in a single function execution (limit: 4096).", ErrorKind::TooLarge),
            ("Arguments for migrate:x are too large", ErrorKind::TooLarge),
            ("Function execution timed out (maximum duration: 1s)", ErrorKind::TooLarge),
            ("JavaScript execution ran out of memory (maximum memory usage: 64 MB)", ErrorKind::TooLarge),
            ("Cannot run functions while this deployment is paused. Resume it.", ErrorKind::Forbidden),
            ("You have exceeded the free plan limits, so your deployments have been disabled.", ErrorKind::Forbidden),
            ("Uncaught TypeError: CANARY is not a function\n    at handler", ErrorKind::RecordFailed),
            ("CANARY", ErrorKind::RecordFailed),
            ("", ErrorKind::RecordFailed),
            ("Uncaught Error: CANARY Cannot run functions while this deployment is paused", ErrorKind::RecordFailed),
            ("Uncaught Error: Value is too large (CANARY)", ErrorKind::RecordFailed),
        ] {
            let error = text(message);
            assert_eq!(error.kind(), kind, "{message}");
            assert!(!format!("{error} {error:?}").contains("CANARY"), "{error}");
        }
        assert!(text("Uncaught TypeError: x").message().contains("TypeError"));
        assert!(text("Could not find public function for 'a'").to_string().contains("npx convex deploy"));
    }

    #[test]
    fn validators_are_redacted() {
        let error = text(
            "ArgumentValidationError: Value does not match validator.\nPath: .records[3].city\nValue: \"CANARY\"\nValidator: v.string()",
        );
        assert_eq!(error.kind(), ErrorKind::RecordFailed);
        assert_eq!(error.code(), "ArgumentValidationError");
        assert_eq!(
            error.to_string(),
            "pass the function's argument validator: a value does not match the validator, at .records[3].city, \
             validator v.string() (function: migrate:bulkInsertA)"
        );
        let error = text(
            "Uncaught Error: Failed to insert or update a document in table \"a\" because it does not match the schema: \
             Object contains extra field `supabaseId` that is not in the validator.\n\nObject: {city: \"CANARY\"}\n\
             Validator: v.object({city: v.string()})",
        );
        assert_eq!(error.kind(), ErrorKind::RecordFailed);
        assert!(error.message().contains("`supabaseId`"), "{error}");
        assert!(!format!("{error} {error:?}").contains("CANARY"), "{error}");
    }

    #[test]
    fn the_code_of_the_data_comes_first() {
        for (code, kind) in [
            ("legacy_id_ambiguous", ErrorKind::RecordFailed),
            ("document_missing", ErrorKind::RecordFailed),
            ("lookup_unknown", ErrorKind::FunctionMissing),
            ("of_the_users_own", ErrorKind::RecordFailed),
        ] {
            let error = function(json!({
                "errorMessage": "Uncaught ConvexError: Could not find public function for CANARY",
                "errorData": { "code": code, "index": 7, "value": "CANARY" },
            }));
            assert_eq!((error.kind(), error.code()), (kind, code));
            assert!(!format!("{error} {error:?}").contains("CANARY"), "{error}");
        }
        let error = function(json!({ "errorMessage": "Server Error", "errorData": "CANARY text" }));
        assert_eq!(error.kind(), ErrorKind::RecordFailed);
        assert!(!format!("{error} {error:?}").contains("CANARY"), "{error}");
    }

    #[test]
    fn statuses() {
        use ErrorKind as E;
        for (status, code, kind) in [
            (400, "BadConvexFunctionIdentifier", E::Protocol),
            (400, "BadJsonBody", E::Protocol),
            (400, "InvalidHeaderFailure", E::Protocol),
            (400, "SystemTimeoutError", E::TooLarge),
            (400, "BackendIsNotRunning", E::Forbidden),
            (401, "BadAdminKey", E::Unauthorized),
            (403, "BadDeployKey", E::Forbidden),
            (403, "OperationNotPermitted", E::Forbidden),
            (404, "FunctionPathNotFound", E::FunctionMissing),
            (404, "", E::Protocol),
            (307, "", E::Protocol),
            (408, "", E::UnknownOutcome),
            (413, "", E::TooLarge),
            (429, "TooManyWrites", E::RateLimited),
            (429, "TooManyConcurrentRequests", E::RateLimited),
            (429, "", E::RateLimited),
            (500, "InternalServerError", E::UnknownOutcome),
            (502, "", E::UnknownOutcome),
            (503, "OptimisticConcurrencyControlFailure", E::Unavailable),
            (503, "CommitterFullError", E::Unavailable),
            (503, "ExpiredInQueue", E::Unavailable),
            (503, "", E::UnknownOutcome),
            (504, "", E::UnknownOutcome),
            (599, "", E::UnknownOutcome),
        ] {
            let body = match code {
                "" => Vec::from(&b"<html>CANARY</html>"[..]),
                code => json!({ "code": code, "message": "CANARY" }).to_string().into_bytes(),
            };
            let error = parse_system_failure(CALL, status, Some(Duration::from_secs(7)), &body);
            assert_eq!(error.kind(), kind, "{status} {code}");
            assert_eq!(error.retry_after(), Some(Duration::from_secs(7)));
            assert!(!format!("{error} {error:?}").contains("CANARY"), "{error}");
            let read = parse_system_failure(Call { writes: false, ..CALL }, status, None, &body);
            assert_ne!(read.kind(), E::UnknownOutcome, "a query has no outcome to be unknown");
        }
        let body = br#"{"code":"OperationNotPermitted","message":"Not permitted (deployment:data:write)"}"#;
        let error = parse_system_failure(CALL, 403, None, body);
        assert!(error.to_string().contains("deployment:data:write"), "{error}");
        let error = parse_system_failure(CALL, 401, None, b"");
        assert!(
            error.to_string().contains("CONVEX_DEPLOY_KEY") && error.to_string().contains("Authorization"),
            "{error}"
        );
    }
}
