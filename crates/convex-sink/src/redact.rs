//! What may be repeated of a function's own error text.
//!
//! Convex's validators print the offending value and the whole object, so a text is never passed on as it is: only its
//! known fixed parts, the path, the validator and the class of a JavaScript error are.

use std::fmt::Write as _;

/// Longest validator text that is passed on, in bytes.
const VALIDATOR_LENGTH: usize = 160;
/// Longest path that is passed on, in bytes.
const PATH_LENGTH: usize = 200;

/// Fixed beginnings of a validator's complaint (backend: `common/src/schemas/validator.rs`), and what is said instead.
const COMPLAINTS: &[(&str, &str)] = &[
    ("Object is missing the required field `", "a required field is missing"),
    ("Object contains extra field `", "a field is not in the validator"),
    ("Value does not match validator.", "a value does not match the validator"),
    ("Found ID ", "an id is of another table"),
];

/// The text of a function's failure without its request id, `Server Error` and `Uncaught`: `[Request ID: …] Server
/// Error\nUncaught Error: <detail>` becomes the class `Error` and `<detail>`.
///
/// Source: `application/src/redaction.rs`. In production the detail may be missing altogether.
pub(crate) fn strip_prefix(text: &str) -> (Option<&str>, &str) {
    let mut rest = text.trim_start();
    while let Some((_, after)) = rest.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        rest = after.trim_start();
    }
    rest = rest.strip_prefix("Server Error").unwrap_or(rest).trim_start();
    rest = rest.strip_prefix("Uncaught ").unwrap_or(rest);
    match rest.split_once(": ") {
        Some((class, detail)) if is_error_class(class) => (Some(class), detail),
        _ => (None, rest),
    }
}

/// True for names such as `TypeError` and `ArgumentValidationError`.
fn is_error_class(text: &str) -> bool {
    text.len() <= 40 && text.ends_with("Error") && text.bytes().all(|byte| byte.is_ascii_alphabetic())
}

/// What may be repeated of a validator's complaint: fixed words, field, path and validator, never a value.
pub(crate) fn complaint(detail: &str) -> String {
    let (first, below) = detail.split_once('\n').unwrap_or((detail, ""));
    let path = below
        .lines()
        .take_while(|line| !line.starts_with("Object:") && !line.starts_with("Value:"))
        .find_map(|line| line.strip_prefix("Path: "))
        .filter(|path| is_path(path));
    let mut text = COMPLAINTS
        .iter()
        .find(|(beginning, _)| first.starts_with(beginning))
        .map_or("the validator refused a value", |&(_, words)| words)
        .to_owned();
    if let Some(field) = first.split('`').nth(1).filter(|field| names_a_field(first, field, path)) {
        let _ = write!(text, " `{field}`"); // writing to a String cannot fail
    }
    if let Some(path) = path {
        let _ = write!(text, ", at {path}");
    }
    if let Some(validator) = validator(below) {
        let _ = write!(text, ", validator {validator}");
    }
    text
}

/// A missing field's name comes from the validator. An extra one's is a field of the plan at the top, but below that
/// it may be a key of the row's own JSON.
fn names_a_field(first: &str, field: &str, path: Option<&str>) -> bool {
    let top = path.is_none_or(|path| {
        path.strip_prefix(".records[").is_some_and(|rest| rest.ends_with(']') && !rest.contains('.'))
    });
    crate::names::identifier_fault(field).is_none()
        && (first.starts_with("Object is missing") || (first.starts_with("Object contains extra field") && top))
}

/// The last `Validator:` line: one that a value pretends to have stands before it.
fn validator(text: &str) -> Option<String> {
    let line = text.lines().rev().find_map(|line| line.strip_prefix("Validator: "))?;
    if !line.starts_with("v.") {
        return None;
    }
    let mut end = line.len().min(VALIDATOR_LENGTH);
    while !line.is_char_boundary(end) {
        end -= 1;
    }
    let dots = if end < line.len() { "…" } else { "" };
    Some(format!("{}{dots}", &line[..end]))
}

fn is_path(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'[' | b']' | b'(' | b')');
    !text.is_empty() && text.len() <= PATH_LENGTH && text.bytes().all(allowed)
}

/// A code of the other side that may be repeated: one word, as codes are.
pub(crate) fn safe_code(text: &str) -> Option<&str> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    (!text.is_empty() && text.len() <= 64 && text.bytes().all(allowed)).then_some(text)
}

/// The permission that a refusal names: `deployment:data:write` of `… (deployment:data:write)`.
pub(crate) fn permission(text: &str) -> Option<&str> {
    let start = text.find("deployment:")?;
    let rest = &text[start..];
    let end = rest.find(|other: char| !other.is_ascii_alphanumeric() && other != ':').unwrap_or(rest.len());
    Some(rest[..end].trim_end_matches(':'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_lose_what_the_server_puts_before_them() {
        for (text, class, detail) in [
            ("[Request ID: 9c97] Server Error\nUncaught Error: Too many writes", Some("Error"), "Too many writes"),
            ("[Request ID: 9c97] Server Error\nArgumentValidationError: Path", Some("ArgumentValidationError"), "Path"),
            ("[CONVEX M(a:b)] [Request ID: 1] Server Error\nUncaught TypeError: x", Some("TypeError"), "x"),
            ("[Request ID: 9c97] Server Error", None, ""),
            ("Server Error", None, ""),
            ("Could not find public function for 'a:b'.", None, "Could not find public function for 'a:b'."),
            ("Secret text: more", None, "Secret text: more"),
        ] {
            assert_eq!(strip_prefix(text), (class, detail), "{text}");
        }
    }

    #[test]
    fn a_complaint_keeps_path_and_validator_only() {
        let text = "Value does not match validator.\nPath: .records[3].city\nValue: \"CANARY\nValidator: CANARY\"\nValidator: v.string()\n    at handler";
        assert_eq!(complaint(text), "a value does not match the validator, at .records[3].city, validator v.string()");
        let missing = "Object is missing the required field `phase`. Consider wrapping.\nPath: .state[2]\nObject: {a: \"CANARY\"}\nValidator: v.object({a: v.string()})";
        assert_eq!(
            complaint(missing),
            "a required field is missing `phase`, at .state[2], validator v.object({a: v.string()})"
        );
        assert_eq!(complaint("CANARY `CANARY` CANARY"), "the validator refused a value");
        assert_eq!(complaint("Found ID \"CANARY\" from table `x`"), "an id is of another table");
    }

    #[test]
    fn an_extra_field_is_named_only_at_the_top() {
        let extra = |path: &str| format!("Object contains extra field `shown` that is not in the validator.\n{path}");
        assert_eq!(complaint(&extra("")), "a field is not in the validator `shown`");
        assert_eq!(complaint(&extra("Path: .records[0]\n")), "a field is not in the validator `shown`, at .records[0]");
        assert_eq!(
            complaint(&extra("Path: .records[0].meta\n")),
            "a field is not in the validator, at .records[0].meta"
        );
        assert_eq!(complaint(&extra("Path: .metadata\n")), "a field is not in the validator, at .metadata");
    }

    #[test]
    fn long_validators_are_cut() {
        let text = format!("Value does not match validator.\nValidator: v.union({})", "é".repeat(200));
        let shown = complaint(&text);
        assert!(shown.ends_with('…') && shown.len() < 260, "{shown}");
    }

    #[test]
    fn codes_and_permissions() {
        assert_eq!(safe_code("TooManyWrites"), Some("TooManyWrites"));
        assert_eq!(safe_code("a b"), None);
        assert_eq!(permission("no (deployment:data:write)."), Some("deployment:data:write"));
        assert_eq!(permission("no"), None);
    }
}
