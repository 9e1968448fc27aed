use super::{Cast, FieldType};
use crate::catalog::ScalarKind;

/// One row of the type mapping.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CastRule {
    /// Types it is for.
    pub scalar: ScalarKind,
    /// What the sink holds.
    pub target: Target,
    /// How the value gets there.
    pub cast: Cast,
    /// Why, in words.
    pub why: &'static str,
}

/// The sink types that rules choose from; [`FieldType`] without its parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// [`FieldType::String`]
    String,
    /// [`FieldType::Number`]
    Number,
    /// [`FieldType::Int64`]
    Int64,
    /// [`FieldType::Boolean`]
    Boolean,
    /// [`FieldType::Bytes`]
    Bytes,
    /// [`FieldType::Any`]
    Any,
    /// [`FieldType::Literals`] of the enum's labels
    Labels,
}

impl Target {
    /// The sink type, for an enum of these labels.
    #[must_use]
    pub fn field_type(self, labels: &[String]) -> FieldType {
        match self {
            Self::String => FieldType::String,
            Self::Number => FieldType::Number,
            Self::Int64 => FieldType::Int64,
            Self::Boolean => FieldType::Boolean,
            Self::Bytes => FieldType::Bytes,
            Self::Any => FieldType::Any,
            Self::Labels if labels.is_empty() => FieldType::String,
            Self::Labels => FieldType::Literals(labels.to_vec()),
        }
    }
}

/// The type mapping where the configuration says nothing: the first rule of the column's kind decides. Exact throughout,
/// but for instants, whose microseconds are cut off and counted.
pub const CAST_RULES: &[CastRule] = &[
    rule(ScalarKind::Bool, Target::Boolean, Cast::Exact, "boolean is boolean"),
    rule(ScalarKind::Int4, Target::Number, Cast::Number, "a double holds every 32-bit integer"),
    rule(ScalarKind::Int8, Target::Int64, Cast::Int64, "a double does not hold every 64-bit integer"),
    rule(ScalarKind::Float8, Target::Number, Cast::Number, "a double is a double"),
    rule(ScalarKind::Numeric, Target::String, Cast::Text, "a double does not hold every decimal"),
    rule(ScalarKind::Text, Target::String, Cast::Exact, "text is text"),
    rule(ScalarKind::Uuid, Target::String, Cast::Exact, "a uuid is kept as its text"),
    rule(ScalarKind::Enum, Target::Labels, Cast::Literal, "an enum is a union of its labels"),
    rule(ScalarKind::Json, Target::Any, Cast::Json, "JSON is a value; its numbers are doubles"),
    rule(ScalarKind::Bytes, Target::Bytes, Cast::Exact, "bytes are bytes"),
    rule(ScalarKind::TimestampTz, Target::Number, Cast::EpochMs, "an instant is milliseconds since 1970"),
    rule(ScalarKind::Timestamp, Target::String, Cast::Text, "a time without a zone is no instant"),
    rule(ScalarKind::Date, Target::String, Cast::Text, "a date has no zone, so it is no instant"),
    rule(ScalarKind::Time, Target::String, Cast::Text, "a time of day is kept as its text"),
    rule(ScalarKind::TimeTz, Target::String, Cast::Text, "a time of day is kept as its text"),
    rule(ScalarKind::Interval, Target::String, Cast::Text, "an interval has no other exact form"),
    rule(ScalarKind::Other, Target::Any, Cast::Json, "the form the source gives it"),
];

const fn rule(scalar: ScalarKind, target: Target, cast: Cast, why: &'static str) -> CastRule {
    CastRule { scalar, target, cast, why }
}
