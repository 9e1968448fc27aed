//! Convex's values, and a reader of their encoded JSON that shares nothing with the sink's writer.
//!
//! Source: `value/src/json/mod.rs` of the Convex backend (`convex_encoded_json`).

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::value::RawValue;

/// A value as Convex has it. Doubles are kept by their bits, so that -0 is not 0 and NaN is itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wire {
    Null,
    Boolean(bool),
    Int64(i64),
    Float64(u64),
    String(String),
    Bytes(Vec<u8>),
    Array(Vec<Wire>),
    Object(Fields),
}

/// The fields of an object or a document.
pub type Fields = BTreeMap<String, Wire>;

impl Wire {
    pub fn double(value: f64) -> Self {
        Self::Float64(value.to_bits())
    }
}

/// The entries of a JSON object; of a repeated key the last one, as in JavaScript.
pub fn entries(text: &str) -> BTreeMap<String, Box<RawValue>> {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error} in {}", shorten(text)))
}

/// The items of a JSON array.
pub fn items(text: &str) -> Vec<&RawValue> {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error} in {}", shorten(text)))
}

/// The text of a JSON string.
pub fn unquoted(text: &str) -> String {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error} in {}", shorten(text)))
}

/// Reads a value in its encoded form. Numbers are parsed here, as `serde_json`'s doubles may be off by one bit.
pub fn decode(text: &str) -> Wire {
    let text = text.trim();
    match text.as_bytes()[0] {
        b'n' => Wire::Null,
        b't' => Wire::Boolean(true),
        b'f' => Wire::Boolean(false),
        b'"' => Wire::String(unquoted(text)),
        b'[' => Wire::Array(items(text).into_iter().map(|item| decode(item.get())).collect()),
        b'{' => {
            let entries = entries(text);
            let special = entries.iter().next().filter(|(key, _)| entries.len() == 1 && key.starts_with('$'));
            if let Some((tag, value)) = special {
                return tagged(tag, &unquoted(value.get()));
            }
            Wire::Object(entries.into_iter().map(|(key, value)| (key, decode(value.get()))).collect())
        }
        _ => Wire::double(text.parse().unwrap()),
    }
}

fn tagged(tag: &str, text: &str) -> Wire {
    let bytes = STANDARD.decode(text).unwrap();
    let eight = || <[u8; 8]>::try_from(bytes.as_slice()).unwrap();
    match tag {
        "$integer" => Wire::Int64(i64::from_le_bytes(eight())),
        "$float" => Wire::double(f64::from_le_bytes(eight())),
        "$bytes" => Wire::Bytes(bytes),
        other => panic!("Convex has no tag {other}"),
    }
}

/// At most 200 bytes or so, for messages.
pub fn shorten(text: &str) -> String {
    if text.len() <= 200 {
        text.to_owned()
    } else {
        format!("{}… ({} bytes)", &text[..text.floor_char_boundary(200)], text.len())
    }
}
