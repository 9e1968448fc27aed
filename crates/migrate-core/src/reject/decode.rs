//! The row of a reject back from its JSON, exactly, by the types of its columns.

use serde_json::{Map, Value as Json};

use super::json::{JSON, NUMBER};
use crate::catalog::{ScalarKind, SourceType, TableSchema};
use crate::names::FieldName;
use crate::plan::PlanTable;
use crate::value::{TimeKind, Value};

/// Whether values of a type may be of several kinds, which their JSON must name then.
fn is_open_kind(kind: ScalarKind) -> bool {
    form(kind) == Form::Open
}

/// As [`is_open_kind`], of a column of a planned table.
pub(super) fn is_open(table: &PlanTable, column: &FieldName) -> bool {
    let mut fields = table.fields.iter().filter(|field| field.columns.first() == Some(column));
    fields.any(|field| is_open_kind(field.source_type.scalar))
}

/// What the values of a family are, and how their JSON is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Bool,
    Int,
    Float,
    Decimal,
    Text,
    Bytes,
    Time(TimeKind),
    Json,
    /// Whatever the JSON says it is.
    Open,
}

fn form(kind: ScalarKind) -> Form {
    match kind {
        ScalarKind::Bool => Form::Bool,
        ScalarKind::Int4 | ScalarKind::Int8 => Form::Int,
        ScalarKind::Float8 => Form::Float,
        ScalarKind::Numeric => Form::Decimal,
        ScalarKind::Bytes => Form::Bytes,
        ScalarKind::Json | ScalarKind::Hstore | ScalarKind::Composite => Form::Json,
        ScalarKind::TimestampTz => Form::Time(TimeKind::TimestampTz),
        ScalarKind::Timestamp => Form::Time(TimeKind::Timestamp),
        ScalarKind::Date => Form::Time(TimeKind::Date),
        ScalarKind::Time => Form::Time(TimeKind::Time),
        ScalarKind::TimeTz => Form::Time(TimeKind::TimeTz),
        ScalarKind::Interval => Form::Time(TimeKind::Interval),
        ScalarKind::Text
        | ScalarKind::Uuid
        | ScalarKind::Enum
        | ScalarKind::Money
        | ScalarKind::Network
        | ScalarKind::Bits
        | ScalarKind::Xml
        | ScalarKind::Search
        | ScalarKind::Oid
        | ScalarKind::Range
        | ScalarKind::Shape
        | ScalarKind::Vector => Form::Text,
        ScalarKind::Geometry | ScalarKind::Other => Form::Open,
    }
}

/// Why a row cannot be read: its column, and what is wrong, without its value.
pub(super) type Unreadable = (String, String);

/// The values of `columns` from the JSON of a row of `table`. A column that is no column of the table is its rows' place.
pub(super) fn values(
    row: &Map<String, Json>,
    table: &TableSchema,
    columns: &[FieldName],
) -> Result<Vec<Value>, Unreadable> {
    let place = SourceType::new("tid", ScalarKind::Text);
    columns
        .iter()
        .map(|name| {
            let json = row.get(name.as_str()).ok_or_else(|| (name.to_string(), "it is not in the row".to_owned()))?;
            let source_type = table.column(name.as_str()).map_or(&place, |column| &column.source_type);
            value(json, source_type).map_err(|due| (name.to_string(), format!("{} where {due} is due", kind_of(json))))
        })
        .collect()
}

/// One value.
///
/// # Errors
/// What is due in its place, in words.
pub(super) fn value(json: &Json, source_type: &SourceType) -> Result<Value, &'static str> {
    match json {
        Json::Null => Ok(Value::Null),
        Json::Array(items) if source_type.array => array(items, source_type.scalar),
        _ if source_type.array => Err("an array"),
        json => scalar(json, form(source_type.scalar)),
    }
}

/// In an array of JSON the elements are JSON, and inner brackets their own.
fn array(items: &[Json], kind: ScalarKind) -> Result<Value, &'static str> {
    let item = |item: &Json| match item {
        Json::Null => Ok(Value::Null),
        Json::Array(items) if kind != ScalarKind::Json => array(items, kind),
        item => scalar(item, form(kind)),
    };
    items.iter().map(item).collect::<Result<_, _>>().map(Value::Array)
}

fn scalar(json: &Json, form: Form) -> Result<Value, &'static str> {
    let text = json.as_str();
    match form {
        Form::Bool => json.as_bool().map(Value::Bool).ok_or("true or false"),
        Form::Int => {
            let integer = json.as_i64().or_else(|| text.and_then(|text| text.parse().ok()));
            integer.map(Value::Int64).ok_or("a 64-bit integer")
        }
        Form::Float => match text {
            Some("NaN") => Ok(Value::Float64(f64::NAN)),
            Some("Infinity") => Ok(Value::Float64(f64::INFINITY)),
            Some("-Infinity") => Ok(Value::Float64(f64::NEG_INFINITY)),
            Some(_) => Err("a number, or NaN, Infinity or -Infinity as text"),
            None => json.as_f64().map(Value::Float64).ok_or("a number"),
        },
        Form::Decimal => match (text, json.as_i64()) {
            (Some(text), _) if is_decimal(text) => Ok(Value::Decimal(text.into())),
            (None, Some(integer)) => Ok(Value::Decimal(integer.to_string().into())),
            // A JSON reader rounds other numbers.
            _ => Err("a decimal number as text, such as \"1.50\","),
        },
        Form::Text => text.map(Value::text).ok_or("text"),
        Form::Time(kind) => text.map(|text| Value::Time(kind, text.into())).ok_or("a date or time as text"),
        Form::Bytes => text.and_then(bytes).map(Value::Bytes).ok_or("bytes as text, such as \"\\\\x00ff\","),
        Form::Json => text.map(|text| Value::Json(text.into())).ok_or("JSON as text"),
        Form::Open => open(json),
    }
}

fn open(json: &Json) -> Result<Value, &'static str> {
    const DUE: &str = "text, true, false, {\"number\": \"…\"} or {\"json\": \"…\"}";
    match json {
        Json::String(text) => Ok(Value::text(text.as_str())),
        Json::Bool(value) => Ok(Value::Bool(*value)),
        Json::Object(fields) => match fields.iter().next() {
            Some((name, Json::String(text))) if fields.len() == 1 && name == NUMBER => {
                Ok(Value::Decimal(text.as_str().into()))
            }
            Some((name, Json::String(text))) if fields.len() == 1 && name == JSON => {
                Ok(Value::Json(text.as_str().into()))
            }
            _ => Err(DUE),
        },
        _ => Err(DUE),
    }
}

/// `-1.50`, `1e-7`, or one of the special values that `numeric` has.
fn is_decimal(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let is_plain = digits.starts_with(|first: char| first.is_ascii_digit())
        && digits.chars().all(|digit| digit.is_ascii_digit() || matches!(digit, '.' | 'e' | 'E' | '+' | '-'))
        && text.parse::<f64>().is_ok();
    is_plain || matches!(text, "NaN" | "Infinity" | "-Infinity")
}

/// `\x…` (Postgres documentation, "Binary Data Types", hex format).
fn bytes(text: &str) -> Option<Box<[u8]>> {
    let digits = text.strip_prefix("\\x")?.as_bytes();
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let pairs = digits.chunks(2).map(|pair| match *pair {
        [high, low] => Some(digit(high)? << 4 | digit(low)?),
        _ => None,
    });
    pairs.collect()
}

fn kind_of(json: &Json) -> &'static str {
    match json {
        Json::Null => "null",
        Json::Bool(_) => "a boolean",
        Json::Number(_) => "a number",
        Json::String(_) => "text",
        Json::Array(_) => "an array",
        Json::Object(_) => "an object",
    }
}
