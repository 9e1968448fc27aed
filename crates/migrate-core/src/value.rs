//! One value of a row, exact as it was read.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::catalog::hex;

/// A value between source and sink. Nothing in it was rounded: integers are 64-bit, decimals and times keep their text.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Value {
    /// No field at all. Only a transform makes it; it is not [`Value::Null`].
    #[default]
    Absent,
    /// SQL NULL, or the JSON literal `null` inside a JSON column.
    Null,
    /// A boolean.
    Bool(bool),
    /// A 64-bit integer.
    Int64(i64),
    /// A double; may be NaN, infinite or minus zero.
    Float64(f64),
    /// A decimal number as its exact text, such as `1.500`; also a JSON number that no other kind holds exactly.
    Decimal(Box<str>),
    /// Text.
    Text(Box<str>),
    /// Bytes.
    Bytes(Box<[u8]>),
    /// A date or time as the source wrote it.
    Time(TimeKind, Box<str>),
    /// JSON as its text, exact: number spellings and the literal `null` are kept. A transform turns it into a nested
    /// value or into text.
    Json(Box<str>),
    /// An array; nested for several dimensions.
    Array(Vec<Value>),
    /// An object, in the order it was read.
    Object(Vec<(Box<str>, Value)>),
}

/// What a [`Value::Time`] text means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TimeKind {
    /// `timestamptz`: an instant, with an offset.
    TimestampTz,
    /// `timestamp`: a wall-clock date and time, without a zone.
    Timestamp,
    /// `date`.
    Date,
    /// `time`.
    Time,
    /// `timetz`.
    TimeTz,
    /// `interval`.
    Interval,
}

impl Value {
    /// Text from anything that becomes a string.
    pub fn text(text: impl Into<Box<str>>) -> Self {
        Self::Text(text.into())
    }

    /// True for NULL and for an absent field.
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        matches!(self, Self::Null | Self::Absent)
    }

    /// The name of the kind, for messages that must not show the value.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Absent => "absent",
            Self::Null => "null",
            Self::Bool(_) => "boolean",
            Self::Int64(_) => "integer",
            Self::Float64(_) => "float",
            Self::Decimal(_) => "decimal",
            Self::Text(_) => "text",
            Self::Bytes(_) => "bytes",
            Self::Time(..) => "time",
            Self::Json(_) => "json",
            Self::Array(_) => "array",
            Self::Object(_) => "object",
        }
    }

    /// The text this value has as part of a key or cursor; `None` for kinds that cannot be one.
    ///
    /// It is a text that the source compares and sorts by, so that it may be sent back in a filter. Equal decimals have
    /// one text: `1.50` and `1.5` name the same row.
    #[must_use]
    pub fn key_text(&self) -> Option<String> {
        self.key_str().map(Cow::into_owned)
    }

    /// The same without a copy, where the value holds that text.
    pub(crate) fn key_str(&self) -> Option<Cow<'_, str>> {
        match self {
            Self::Decimal(text) => Some(Cow::Borrowed(plain_decimal(text))),
            Self::Text(text) | Self::Time(_, text) => Some(Cow::Borrowed(text)),
            _ => self.exact_text().map(Cow::Owned),
        }
    }

    /// The value's own text, digit by digit; `None` for NULL and for what has parts.
    #[must_use]
    pub fn exact_text(&self) -> Option<String> {
        match self {
            Self::Bool(value) => Some(value.to_string()),
            Self::Int64(value) => Some(value.to_string()),
            Self::Float64(value) if value.is_nan() => Some("NaN".to_owned()),
            Self::Float64(value) if value.is_infinite() => {
                Some(if *value > 0.0 { "Infinity" } else { "-Infinity" }.to_owned())
            }
            Self::Float64(value) => Some(format!("{value:?}")),
            Self::Decimal(text) | Self::Text(text) | Self::Time(_, text) => Some(text.to_string()),
            Self::Bytes(bytes) => Some(format!("\\x{}", hex(bytes))),
            Self::Absent | Self::Null | Self::Json(_) | Self::Array(_) | Self::Object(_) => None,
        }
    }
}

/// A decimal without the zeros at the end of its fraction.
fn plain_decimal(text: &str) -> &str {
    if text.contains('.') && !text.contains(['e', 'E']) {
        text.trim_end_matches('0').trim_end_matches('.')
    } else {
        text
    }
}
