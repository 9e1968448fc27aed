//! The older encoding of exported rows: a shape for the whole table and hints for single documents say what a text
//! stands for (convex-backend, `crates/shape_inference/src/{pretty,export_context}.rs`).

use std::collections::{BTreeMap, BTreeSet};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde_json::{Map, Value};

use super::decode::{bytes, check_reserved, float, integer};

/// What the values of a table look like, as far as it tells what a text stands for.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Shape {
    Int64,
    Bytes,
    Infinite,
    /// Any float, NaN with it: nothing tells which NaN.
    AnyFloat,
    Text,
    Unknown,
    /// What is never exported as a text, such as `null` and `boolean`.
    Plain,
    Array(Box<Shape>),
    Object(Vec<(String, Shape)>),
    Record(Box<Shape>),
    Union(Vec<Shape>),
}

/// Names that stand for themselves. A name comes before those that it is the beginning of.
const UNITS: [(&str, Shape); 13] = [
    ("never", Shape::Plain),
    ("null", Shape::Plain),
    ("int64", Shape::Int64),
    ("float64", Shape::AnyFloat),
    ("-inf", Shape::Infinite),
    ("inf", Shape::Infinite),
    ("NaN", Shape::AnyFloat),
    ("normalfloat64", Shape::Plain),
    ("boolean", Shape::Plain),
    ("field_name", Shape::Text),
    ("string", Shape::Text),
    ("bytes", Shape::Bytes),
    ("unknown", Shape::Unknown),
];

impl Shape {
    /// Reads the whole text as a shape.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        match Self::union(text)? {
            (shape, "") => Ok(shape),
            (_, rest) => Err(unexpected(rest)),
        }
    }

    fn union(mut text: &str) -> Result<(Self, &str), String> {
        let mut variants = Vec::new();
        loop {
            let (variant, rest) = Self::one(text)?;
            variants.push(variant);
            let Some(more) = rest.strip_prefix(" | ") else {
                let shape = if variants.len() == 1 { variants.swap_remove(0) } else { Self::Union(variants) };
                return Ok((shape, rest));
            };
            text = more;
        }
    }

    fn one(text: &str) -> Result<(Self, &str), String> {
        for (name, shape) in UNITS {
            if let Some(rest) = text.strip_prefix(name) {
                return Ok((shape, rest));
            }
        }
        if let Some(rest) = text.strip_prefix('{') {
            return Self::object(rest);
        }
        if let Some(rest) = text.strip_prefix("id<") {
            return Ok((Self::Text, until(rest, ">")?.1));
        }
        if let Some(rest) = text.strip_prefix('"') {
            return Ok((Self::Text, until(rest, "\"")?.1));
        }
        if let Some(rest) = text.strip_prefix("array<") {
            let (element, rest) = Self::union(rest)?;
            return Ok((Self::Array(Box::new(element)), after(rest, ">")?));
        }
        if let Some(rest) = text.strip_prefix("record<") {
            let (_, rest) = Self::union(rest)?;
            let (value, rest) = Self::union(after(rest, ", ")?)?;
            return Ok((Self::Record(Box::new(value)), after(rest, ">")?));
        }
        Err(unexpected(text))
    }

    fn object(mut text: &str) -> Result<(Self, &str), String> {
        let mut fields = Vec::new();
        while !text.starts_with('}') {
            let (name, rest) = until(text, ": ")?;
            let name = name.strip_suffix('?').unwrap_or(name);
            let quoted = name.strip_prefix('"').and_then(|name| name.strip_suffix('"'));
            let name = quoted.ok_or_else(|| format!("cannot parse object key '{name}'"))?;
            let (shape, rest) = Self::union(rest)?;
            fields.push((name.to_owned(), shape));
            text = match rest.strip_prefix(", ") {
                Some(rest) => rest,
                None if rest.starts_with('}') => rest,
                None => return Err(unexpected(rest)),
            };
        }
        Ok((Self::Object(fields), &text[1..]))
    }

    fn elements<'a>(&'a self, found: &mut Vec<&'a Self>) {
        match self {
            Self::Array(element) => found.push(element),
            Self::Union(variants) => variants.iter().for_each(|variant| variant.elements(found)),
            Self::Unknown => found.push(self),
            _ => {}
        }
    }

    fn fields<'a>(&'a self, name: &str, found: &mut Vec<&'a Self>) {
        match self {
            Self::Object(fields) => {
                found.extend(fields.iter().filter(|(field, _)| field == name).map(|(_, shape)| shape));
            }
            Self::Union(variants) => variants.iter().for_each(|variant| variant.fields(name, found)),
            Self::Record(value) => found.push(value),
            Self::Unknown => found.push(self),
            _ => {}
        }
    }

    /// What a text of this shape may stand for.
    fn meanings(&self, found: &mut BTreeSet<Meaning>) {
        match self {
            Self::Int64 => drop(found.insert(Meaning::Int64)),
            Self::Bytes => drop(found.insert(Meaning::Bytes)),
            Self::Infinite => drop(found.insert(Meaning::Infinite)),
            Self::AnyFloat => found.extend([Meaning::NotANumber, Meaning::Infinite]),
            Self::Text => drop(found.insert(Meaning::Text)),
            Self::Unknown => found.extend(Meaning::ALL),
            Self::Union(variants) => variants.iter().for_each(|variant| variant.meanings(found)),
            Self::Plain | Self::Array(_) | Self::Object(_) | Self::Record(_) => {}
        }
    }
}

fn until<'a>(text: &'a str, end: &str) -> Result<(&'a str, &'a str), String> {
    text.split_once(end).ok_or_else(|| format!("{}. expected '{end}'", unexpected(text)))
}

fn after<'a>(text: &'a str, token: &str) -> Result<&'a str, String> {
    text.strip_prefix(token).ok_or_else(|| format!("{}. expected '{token}'", unexpected(text)))
}

fn unexpected(text: &str) -> String {
    format!("unexpected token at '{text}'")
}

/// What a text stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Meaning {
    Text,
    Int64,
    Infinite,
    NotANumber,
    Bytes,
}

impl Meaning {
    const ALL: [Self; 5] = [Self::Text, Self::Int64, Self::Infinite, Self::NotANumber, Self::Bytes];

    /// What a text of one of these shapes stands for: where they leave a choice, itself.
    fn inferred(shapes: &[&Shape]) -> Self {
        let mut found = BTreeSet::new();
        for shape in shapes {
            shape.meanings(&mut found);
        }
        match found.len() {
            1 => found.first().copied().unwrap_or(Self::Text),
            _ => Self::Text,
        }
    }
}

/// What is known of one document beyond its table's shape.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Hint {
    Infer,
    Int64,
    Infinite,
    NotANumber([u8; 8]),
    Bytes,
    Array(Vec<Hint>),
    Object(BTreeMap<String, Hint>),
}

impl Hint {
    pub(super) fn parse(value: &Value) -> Result<Self, String> {
        let invalid = || format!("invalid export context {value}");
        match value {
            Value::String(text) => match text.as_str() {
                "infer" => Ok(Self::Infer),
                "int64" => Ok(Self::Int64),
                "float64inf" => Ok(Self::Infinite),
                "bytes" => Ok(Self::Bytes),
                _ => Err(invalid()),
            },
            Value::Array(items) => Ok(Self::Array(items.iter().map(Self::parse).collect::<Result<_, _>>()?)),
            Value::Object(fields) => {
                if let Some(text) = fields.get("$float64NaN").and_then(Value::as_str) {
                    let bytes = BASE64_STANDARD.decode(text).map_err(|error| error.to_string())?;
                    let bits = bytes.try_into().map_err(|_| "Float64 must be exactly eight bytes")?;
                    return Ok(Self::NotANumber(bits));
                }
                let field = |(name, value): (&String, &Value)| Ok((name.clone(), Self::parse(value)?));
                Ok(Self::Object(fields.iter().map(field).collect::<Result<_, String>>()?))
            }
            _ => Err(invalid()),
        }
    }
}

/// Decodes an exported value into Convex's encoded form.
pub(super) fn decode(value: Value, shapes: &[&Shape], hint: &Hint) -> Result<Value, String> {
    match value {
        Value::Number(number) => Ok(float(number.as_f64().unwrap_or(f64::NAN))),
        Value::String(text) => decode_text(text, shapes, hint),
        Value::Array(items) => {
            let mut elements = Vec::new();
            for shape in shapes {
                shape.elements(&mut elements);
            }
            let hints: &[Hint] = match hint {
                Hint::Infer => &[],
                Hint::Array(hints) if hints.len() == items.len() => hints,
                Hint::Array(_) => return Err("Array lengths do not match".to_owned()),
                _ => return Err("unsupported shape hint for array value".to_owned()),
            };
            let item = |(position, item)| decode(item, &elements, hints.get(position).unwrap_or(&Hint::Infer));
            items.into_iter().enumerate().map(item).collect()
        }
        Value::Object(fields) => {
            let none = BTreeMap::new();
            let hints = match hint {
                Hint::Infer => &none,
                Hint::Object(hints) => hints,
                _ => return Err("unsupported shape hint for object value".to_owned()),
            };
            let mut decoded = Map::with_capacity(fields.len());
            for (name, value) in fields {
                check_reserved(&name)?;
                let mut of_field = Vec::new();
                for shape in shapes {
                    shape.fields(&name, &mut of_field);
                }
                let value = decode(value, &of_field, hints.get(&name).unwrap_or(&Hint::Infer))?;
                decoded.insert(name, value);
            }
            Ok(Value::Object(decoded))
        }
        plain => Ok(plain),
    }
}

fn decode_text(text: String, shapes: &[&Shape], hint: &Hint) -> Result<Value, String> {
    let meaning = match hint {
        Hint::Infer => Meaning::inferred(shapes),
        Hint::Int64 => Meaning::Int64,
        Hint::Infinite => Meaning::Infinite,
        Hint::Bytes => Meaning::Bytes,
        Hint::NotANumber(bits) if text == "NaN" => return Ok(float(f64::from_le_bytes(*bits))),
        Hint::NotANumber(_) => return Err("Unexpected serialization of a NaN value".to_owned()),
        Hint::Array(_) | Hint::Object(_) => return Err("unexpected shape hint for string".to_owned()),
    };
    match meaning {
        Meaning::Text => Ok(Value::String(text)),
        Meaning::Int64 => text.parse().map(integer).map_err(|_| "Unexpected string for i64".to_owned()),
        Meaning::Bytes => {
            BASE64_STANDARD.decode(text).map(|decoded| bytes(&decoded)).map_err(|error| error.to_string())
        }
        Meaning::Infinite | Meaning::NotANumber => match text.as_str() {
            "Infinity" => Ok(float(f64::INFINITY)),
            "-Infinity" => Ok(float(f64::NEG_INFINITY)),
            _ => Err("Unexpected string for f64".to_owned()),
        },
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn reads_the_grammar() {
        let shape = Shape::parse(r#"{"_id": string, "n"?: int64 | null, "tags": array<"a" | id<10001>>}"#).unwrap();
        let Shape::Object(fields) = &shape else { panic!("{shape:?}") };
        assert_eq!(fields[0], ("_id".to_owned(), Shape::Text));
        assert_eq!(fields[1], ("n".to_owned(), Shape::Union(vec![Shape::Int64, Shape::Plain])));
        let tags = Shape::Array(Box::new(Shape::Union(vec![Shape::Text, Shape::Text])));
        assert_eq!(fields[2], ("tags".to_owned(), tags));
        assert_eq!(Shape::parse("record<field_name, bytes>"), Ok(Shape::Record(Box::new(Shape::Bytes))));
        assert_eq!(Shape::parse("uniform"), Err("unexpected token at 'uniform'".to_owned()));
        assert_eq!(Shape::parse("null}"), Err("unexpected token at '}'".to_owned()));
        assert!(Shape::parse("{\"a\": null; }").is_err() && Shape::parse("array<null").is_err());
    }

    #[test]
    fn a_text_is_what_shape_or_hint_say_and_itself_where_they_leave_a_choice() {
        let read = |value: Value, shape: &str, hint: Value| {
            decode(value, &[&Shape::parse(shape).unwrap()], &Hint::parse(&hint).unwrap())
        };
        let infer = || json!("infer");
        let five = json!({ "$integer": "BQAAAAAAAAA=" });
        assert_eq!(read(json!({ "n": "5" }), r#"{"n": int64}"#, infer()), Ok(json!({ "n": five })));
        assert_eq!(read(json!({ "n": "5" }), r#"{"n": int64 | string}"#, infer()), Ok(json!({ "n": "5" })));
        let hint = json!({ "n": "int64" });
        assert_eq!(read(json!({ "n": "5" }), r#"{"n": int64 | string}"#, hint), Ok(json!({ "n": five })));
        assert_eq!(read(json!(["5", null]), "array<int64 | null>", infer()), Ok(json!([five, null])));
        assert_eq!(read(json!("AQI="), "bytes", infer()), Ok(json!({ "$bytes": "AQI=" })));
        let negative = json!({ "$float": "AAAAAAAA8P8=" });
        assert_eq!(read(json!("-Infinity"), "-inf | inf", infer()), Ok(negative));
        let nan = json!({ "$float": "AAAAAAAA+H8=" });
        let hint = json!({ "$float64NaN": "AAAAAAAA+H8=" });
        assert_eq!(read(json!("NaN"), "float64", hint), Ok(nan));
        assert_eq!(read(json!("NaN"), "float64", infer()), Ok(json!("NaN")));
        assert_eq!(read(json!("five"), "int64", infer()), Err("Unexpected string for i64".to_owned()));
        assert_eq!(read(json!(5), "int64", infer()), Ok(json!(5)));
    }
}
