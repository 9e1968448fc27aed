use std::collections::BTreeMap;

use super::{Cast, FieldType};
use crate::catalog::{Column, ScalarKind, SourceType, TableSchema};

/// One row of the type mapping.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CastRule {
    /// Types it is for.
    pub scalar: ScalarKind,
    /// What else must be so.
    pub condition: Condition,
    /// What the sink holds.
    pub target: Target,
    /// How the value gets there.
    pub cast: Cast,
    /// Why, in words.
    pub why: &'static str,
}

/// What must be so of a column beside its type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    /// Nothing.
    Always,
    /// Its texts are known: labels of an enum, or a check that allows only some.
    KnownTexts,
    /// At most 15 digits: a double then shows every one of its values.
    FifteenDigits,
}

impl CastRule {
    /// Whether it decides about columns of a type.
    #[must_use]
    pub fn is_for(&self, source: &SourceType, texts_are_known: bool) -> bool {
        let holds = match self.condition {
            Condition::Always => true,
            Condition::KnownTexts => texts_are_known,
            Condition::FifteenDigits => {
                source.digits.is_some_and(|digits| digits.precision <= 15 && (0..=15).contains(&digits.scale))
            }
        };
        holds && self.scalar == source.scalar
    }
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
    /// [`FieldType::Literals`] of the texts that are known
    Labels,
    /// [`FieldType::Array`] of numbers
    Numbers,
}

impl Target {
    /// The sink type, for a column of these texts.
    #[must_use]
    pub fn field_type(self, labels: &[String]) -> FieldType {
        match self {
            Self::String => FieldType::String,
            Self::Number => FieldType::Number,
            Self::Int64 => FieldType::Int64,
            Self::Boolean => FieldType::Boolean,
            Self::Bytes => FieldType::Bytes,
            Self::Any => FieldType::Any,
            Self::Labels => FieldType::Literals(labels.to_vec()),
            Self::Numbers => FieldType::Array(Box::new(FieldType::Number)),
        }
    }
}

/// The type mapping where the configuration says nothing: the first rule that is for the column decides. Exact
/// throughout, but for instants, whose microseconds are cut off and counted, and for numbers inside JSON, which are
/// doubles, counted where that rounds.
pub const CAST_RULES: &[CastRule] = &[
    rule(ScalarKind::Bool, Target::Boolean, Cast::Exact, "boolean is boolean"),
    rule(ScalarKind::Int4, Target::Number, Cast::Number, "a double holds every 32-bit integer"),
    rule(ScalarKind::Int8, Target::Int64, Cast::Int64, "a double does not hold every 64-bit integer"),
    rule(ScalarKind::Float8, Target::Number, Cast::Number, "a double is a double"),
    CastRule {
        condition: Condition::FifteenDigits,
        ..rule(ScalarKind::Numeric, Target::Number, Cast::Number, "a double shows every decimal of up to 15 digits")
    },
    rule(ScalarKind::Numeric, Target::String, Cast::Text, "a double does not hold every decimal"),
    CastRule {
        condition: Condition::KnownTexts,
        ..rule(ScalarKind::Text, Target::Labels, Cast::Literal, "a check allows these texts only")
    },
    rule(ScalarKind::Text, Target::String, Cast::Exact, "text is text"),
    rule(ScalarKind::Uuid, Target::String, Cast::Exact, "a uuid is kept as its text"),
    CastRule {
        condition: Condition::KnownTexts,
        ..rule(ScalarKind::Enum, Target::Labels, Cast::Literal, "an enum is a union of its labels")
    },
    rule(ScalarKind::Enum, Target::String, Cast::Exact, "an enum whose labels are not known is text"),
    rule(ScalarKind::Json, Target::Any, Cast::Json, "JSON is a value; its numbers are doubles"),
    rule(ScalarKind::Bytes, Target::Bytes, Cast::Exact, "bytes are bytes"),
    rule(ScalarKind::TimestampTz, Target::Number, Cast::EpochMs, "an instant is milliseconds since 1970"),
    rule(ScalarKind::Timestamp, Target::String, Cast::Text, "a time without a zone is no instant"),
    rule(ScalarKind::Date, Target::String, Cast::Text, "a date has no zone, so it is no instant"),
    rule(ScalarKind::Time, Target::String, Cast::Text, "a time of day is kept as its text"),
    rule(ScalarKind::TimeTz, Target::String, Cast::Text, "a time of day is kept as its text"),
    rule(ScalarKind::Interval, Target::String, Cast::Text, "an interval has no other exact form"),
    rule(ScalarKind::Money, Target::String, Cast::Text, "money is kept in the form of the server's locale"),
    rule(ScalarKind::Network, Target::String, Cast::Text, "an address is kept as its text"),
    rule(ScalarKind::Bits, Target::String, Cast::Text, "bits are kept as their text of 0 and 1"),
    rule(ScalarKind::Xml, Target::String, Cast::Text, "XML is kept as its text"),
    rule(ScalarKind::Search, Target::String, Cast::Text, "a search document is kept as its text"),
    rule(ScalarKind::Hstore, Target::Any, Cast::Json, "an hstore is an object of texts and nulls"),
    rule(ScalarKind::Oid, Target::String, Cast::Text, "a server's own object is kept by its name or number"),
    rule(ScalarKind::Range, Target::String, Cast::Text, "a range is kept as its text, bounds included"),
    rule(ScalarKind::Shape, Target::String, Cast::Text, "a shape is kept as its text"),
    rule(ScalarKind::Geometry, Target::String, Cast::Text, "a geometry is kept as hex EWKB, with its reference system"),
    rule(
        ScalarKind::Vector,
        Target::Numbers,
        Cast::Numbers,
        "a vector is an array of numbers, as a vector index has it",
    ),
    rule(ScalarKind::Composite, Target::Any, Cast::Json, "a composite is an object; its numbers are doubles"),
    rule(ScalarKind::Other, Target::Any, Cast::Json, "the form the source gives it"),
];

const fn rule(scalar: ScalarKind, target: Target, cast: Cast, why: &'static str) -> CastRule {
    CastRule { scalar, condition: Condition::Always, target, cast, why }
}

/// The texts that a column can have at the sink, where they are known: an enum's labels or those a check allows, with
/// the column's own map of values applied.
pub(super) fn labels_of(
    schema: &TableSchema,
    column: &Column,
    values: &BTreeMap<String, String>,
) -> Option<Vec<String>> {
    let checked = || {
        let checks = schema.checks.iter().flatten();
        checks.filter_map(|check| check.one_of.as_ref()).find(|one_of| one_of.column == column.name)
    };
    let known: Vec<String> = if column.source_type.labels.is_empty() {
        checked().map(|one_of| one_of.values.clone()).unwrap_or_default()
    } else {
        column.source_type.labels.clone()
    };
    let mut texts: Vec<String> = Vec::new();
    let mapped = known.iter().map(|text| values.get(text).unwrap_or(text));
    for text in mapped.chain(values.values()) {
        if !texts.contains(text) {
            texts.push(text.clone());
        }
    }
    (!texts.is_empty()).then_some(texts)
}
