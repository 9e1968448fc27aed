//! Convex's limits on arguments and documents, and its measure of size (convex-backend, `crates/value/src/size.rs`,
//! `crates/value/src/{array,object}.rs`, `crates/common/src/document.rs`, `crates/common/src/knobs.rs`).
//!
//! Most texts are far from every limit, and their length alone shows it; only the others are taken apart.

use serde_json::{Map, Value, value::RawValue};

use super::functions::Failure;

/// The body of a request to run a function: 16 MiB of arguments and a little around them.
pub(super) const MAX_BODY: usize = (16 << 20) + 2_000;
/// Index ranges that one transaction may read: an upsert, a patch and a look-up of one key take one each.
pub(super) const MAX_INDEX_RANGES: usize = 4_096;

const MAX_ARGUMENTS: usize = 16 << 20;
const MAX_WRITTEN: usize = 16 << 20;
const MAX_DOCUMENT: usize = 1 << 20;
const MAX_NESTING: usize = 16;
const MAX_ARRAY: usize = 8_192;
const MAX_FIELDS: usize = 1_024;
const MAX_NAME: usize = 1_024;
const SYSTEM_FIELD_NAMES: [&str; 2] = ["_id", "_creationTime"];
/// `_id` and `_creationTime` in every document.
const SYSTEM_FIELDS: usize = 38 + 23;
/// A value never takes more bytes than this many for each character of JSON: a number of one digit, with its comma,
/// takes nine.
const MAX_GROWTH: usize = 5;

/// Checks the arguments of a call as a whole.
pub(super) fn check_arguments(path: &str, arguments: &RawValue) -> Result<(), Failure> {
    let text = arguments.get();
    if text.len() * MAX_GROWTH <= MAX_ARGUMENTS {
        return Ok(());
    }
    let size = serde_json::from_str(text).map_or(0, |value| size(&value));
    if size > MAX_ARGUMENTS {
        let message =
            format!("Arguments for {path} are too large (actual: {size} bytes, limit: {MAX_ARGUMENTS} bytes)");
        return Err(Failure::Plain(message));
    }
    Ok(())
}

/// Checks the length of an array among the arguments.
pub(super) fn check_array(path: &str, length: usize) -> Result<(), Failure> {
    if length > MAX_ARRAY {
        let message =
            format!("Invalid arguments for {path}: Array length is too long ({length} > maximum length {MAX_ARRAY})");
        return Err(Failure::Plain(message));
    }
    Ok(())
}

/// Checks the name of a document's field.
pub(super) fn check_field_name(name: &str) -> Result<(), Failure> {
    if name.starts_with('_') {
        let message =
            format!("Field '{name}' starts with an underscore, which is only allowed for system fields like '_id'");
        return Err(Failure::Thrown(message));
    }
    check_key(name).map_err(Failure::Thrown)
}

/// Checks a document that is to be stored.
pub(super) fn check_document(text: &str) -> Result<(), Failure> {
    let nesting = nesting(text);
    if nesting > MAX_NESTING {
        let message = format!("Document is too nested (nested {nesting} levels deep > maximum nesting {MAX_NESTING})");
        return Err(Failure::Thrown(message));
    }
    // An array of 8,193 items takes twice as many characters, and 1,025 fields take more than four each.
    if text.len() <= 4 * MAX_FIELDS && !may_hold_an_odd_name(text) {
        return Ok(());
    }
    let value: Value = serde_json::from_str(text).map_err(|error| Failure::Thrown(error.to_string()))?;
    check_value(&value).map_err(Failure::Thrown)?;
    let size = size(&value) + SYSTEM_FIELDS;
    if size > MAX_DOCUMENT {
        return Err(Failure::Thrown(format!("Value is too large ({size} bytes > maximum size {MAX_DOCUMENT} bytes)")));
    }
    Ok(())
}

/// Checks a document of an import, with its system fields: a time that is still to be given counts, too.
pub(super) fn check_stored(document: &Map<String, Value>) -> Result<(), String> {
    for name in document.keys().filter(|name| name.starts_with('_')) {
        if !SYSTEM_FIELD_NAMES.contains(&name.as_str()) {
            return Err(format!(
                "Field '{name}' starts with an underscore, which is only allowed for system fields like '_id'"
            ));
        }
    }
    check_fields(document)?;
    let nesting = 1 + document.values().map(depth).max().unwrap_or(0);
    if nesting > MAX_NESTING {
        return Err(format!("Document is too nested (nested {nesting} levels deep > maximum nesting {MAX_NESTING})"));
    }
    let fields = document.iter().filter(|(name, _)| !name.starts_with('_'));
    let size = 2 + fields.map(|(name, value)| name.len() + 1 + size(value)).sum::<usize>() + SYSTEM_FIELDS;
    if size > MAX_DOCUMENT {
        return Err(format!("Value is too large ({size} bytes > maximum size {MAX_DOCUMENT} bytes)"));
    }
    Ok(())
}

/// How deep arrays and objects lie in a value; one that stands for a scalar is none.
fn depth(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        Value::Object(fields) if encoded_size(value).is_none() => 1 + fields.values().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}

/// Whether some field's name may be one that Convex refuses, judged by the characters of the whole text.
fn may_hold_an_odd_name(text: &str) -> bool {
    let is_odd = |(at, _): (usize, &str)| !is_encoded_scalar(text, at);
    !text.is_ascii() || text.contains("\\u") || text.match_indices('$').any(is_odd)
}

/// Whether the `$` there begins the name in an object that stands for a scalar: `{"$integer":"…"}` and nothing beside.
/// A quote inside a text is escaped, so this is none.
fn is_encoded_scalar(text: &str, at: usize) -> bool {
    let value = |name: &str| text.get(at..).and_then(|rest| rest.strip_prefix(name));
    text.get(..at).is_some_and(|before| before.ends_with("{\""))
        && ["$integer\":\"", "$float\":\"", "$bytes\":\""].into_iter().find_map(value).is_some_and(|value| {
            value.split_once(['"', '\\']).is_some_and(|(encoded, rest)| {
                value.as_bytes().get(encoded.len()) == Some(&b'"') && rest.starts_with('}')
            })
        })
}

/// Checks what a transaction writes in all.
pub(super) fn check_written<'a>(documents: impl Iterator<Item = &'a str> + Clone) -> Result<(), Failure> {
    let characters: usize = documents.clone().map(str::len).sum();
    if characters * MAX_GROWTH <= MAX_WRITTEN {
        return Ok(());
    }
    let written = |text| serde_json::from_str(text).map_or(0, |value| size(&value) + SYSTEM_FIELDS);
    if documents.map(written).sum::<usize>() > MAX_WRITTEN { Err(too_many_bytes()) } else { Ok(()) }
}

/// The error of a transaction that writes too much.
pub(super) fn too_many_bytes() -> Failure {
    Failure::Thrown(format!("Too many bytes written in a single function execution (limit: {MAX_WRITTEN} bytes)"))
}

/// Checks how many index ranges a transaction reads.
pub(super) fn check_index_ranges(count: usize) -> Result<(), Failure> {
    if count > MAX_INDEX_RANGES {
        let message = format!("Too many reads in a single function execution (limit: {MAX_INDEX_RANGES})");
        return Err(Failure::Thrown(message));
    }
    Ok(())
}

/// How deep arrays and objects lie in each other, without parsing.
fn nesting(text: &str) -> usize {
    let (mut depth, mut deepest) = (0_usize, 0);
    let (mut in_text, mut escaped) = (false, false);
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_text => escaped = true,
            b'"' => in_text = !in_text,
            b'[' | b'{' if !in_text => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b']' | b'}' if !in_text => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

fn check_value(value: &Value) -> Result<(), String> {
    match value {
        Value::Array(items) if items.len() > MAX_ARRAY => {
            Err(format!("Array length is too long ({} > maximum length {MAX_ARRAY})", items.len()))
        }
        Value::Array(items) => items.iter().try_for_each(check_value),
        Value::Object(fields) if encoded_size(value).is_none() => check_fields(fields),
        _ => Ok(()),
    }
}

fn check_fields(fields: &Map<String, Value>) -> Result<(), String> {
    if fields.len() > MAX_FIELDS {
        return Err(format!("Object has too many fields ({} > maximum number {MAX_FIELDS})", fields.len()));
    }
    fields.iter().try_for_each(|(name, value)| check_key(name).and_then(|()| check_value(value)))
}

fn check_key(name: &str) -> Result<(), String> {
    if name.len() > MAX_NAME {
        return Err(format!("Field name {name} exceeds maximum field name length {MAX_NAME}."));
    }
    if name.starts_with('$') {
        return Err(format!("Field name {name} starts with a '$', which is reserved."));
    }
    if !name.bytes().all(|byte| (0x20..=0x7e).contains(&byte)) {
        return Err(format!(
            "Field name {name} has an invalid character: Field names can only contain non-control ASCII characters"
        ));
    }
    Ok(())
}

/// The size of a value as Convex counts it.
fn size(value: &Value) -> usize {
    match value {
        Value::Null | Value::Bool(_) => 1,
        Value::Number(_) => 9,
        Value::String(text) => 2 + text.len(),
        Value::Array(items) => 2 + items.iter().map(size).sum::<usize>(),
        Value::Object(fields) => encoded_size(value).unwrap_or_else(|| {
            let field = |(name, value): (&String, &Value)| name.len() + 1 + size(value);
            2 + fields.iter().map(field).sum::<usize>()
        }),
    }
}

/// The size of a value that JSON has no form for: `{"$integer": …}`, `{"$float": …}`, `{"$bytes": …}`.
fn encoded_size(value: &Value) -> Option<usize> {
    let fields = value.as_object().filter(|fields| fields.len() == 1)?;
    let (name, value) = fields.iter().next()?;
    match (name.as_str(), value.as_str()?) {
        ("$integer" | "$float", _) => Some(9),
        ("$bytes", text) => Some(2 + text.trim_end_matches('=').len() * 3 / 4),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn measures_as_convex_does() {
        assert_eq!(size(&json!({})), 2);
        assert_eq!(size(&json!({"a": null, "bc": [1, "é"]})), 2 + (2 + 1) + (3 + 2 + 9 + 4));
        assert_eq!(size(&json!({"$integer": "AQAAAAAAAAA="})), 9);
        assert_eq!(size(&json!({"$bytes": "AQID"})), 2 + 3);
        assert_eq!(size(&json!({"$bytes": "AQI="})), 2 + 2);
    }

    #[test]
    fn counts_nesting_outside_of_texts_only() {
        assert_eq!(nesting("1"), 0);
        assert_eq!(nesting(r#"{"a":[{"b":"[[[\"{{{"}],"c":[]}"#), 3);
    }

    #[test]
    fn refuses_documents_over_a_limit() {
        let message = |value: &Value| match check_document(&value.to_string()) {
            Err(Failure::Thrown(message)) => message,
            other => panic!("{other:?}"),
        };
        assert!(message(&json!({"a": "x".repeat(MAX_DOCUMENT)})).starts_with("Value is too large"));
        assert!(message(&json!({"a": vec![1; MAX_ARRAY + 1]})).starts_with("Array length is too long"));
        let fields = (0..=MAX_FIELDS).map(|number| (format!("f{number}"), json!(1))).collect();
        assert!(message(&Value::Object(fields)).starts_with("Object has too many fields"));
        let nested = (0..MAX_NESTING).fold(json!(1), |inner, _| json!([inner]));
        assert!(message(&json!({"a": nested})).starts_with("Document is too nested"));
    }

    #[test]
    fn accepts_documents_at_the_limit() {
        let room = MAX_DOCUMENT - SYSTEM_FIELDS - 2 - 2 - 2;
        assert!(check_document(&json!({"a": "x".repeat(room)}).to_string()).is_ok());
        assert!(check_document(&json!({"a": "x".repeat(room + 1)}).to_string()).is_err());
        assert!(check_document(&json!({"a": vec![true; MAX_ARRAY]}).to_string()).is_ok());
    }

    #[test]
    fn refuses_field_names() {
        assert!(check_field_name("_hidden").is_err());
        assert!(check_field_name("$integer").is_err());
        assert!(check_field_name("größe").is_err());
        assert!(check_field_name("first name").is_ok());
        assert!(check_document(r#"{"a":{"größe":1}}"#).is_err());
        assert!(check_document(r#"{"a":{"\u0024x":1}}"#).is_err());
        assert!(check_document(r#"{"a":{"$integer":"AQAAAAAAAAA="}}"#).is_ok());
        assert!(check_document(r#"{"a":{"$integer":"AQAAAAAAAAA=","b":1}}"#).is_err());
        assert!(check_document(r#"{"a":{"b":1,"$integer":"AQAAAAAAAAA="}}"#).is_err());
        assert!(check_document(r#"{"a":"{\"$integer\":\"\"}","b":{"$x":1}}"#).is_err());
    }
}
