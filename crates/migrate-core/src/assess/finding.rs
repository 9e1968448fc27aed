//! What a scan finds in rows, by kind.

use std::borrow::Cow;
use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::names::{FieldName, SourceKey};
use crate::record::{ChangeKind, RejectCode};
use crate::state::Tally;
use crate::value::{TimeKind, Value};

/// What was found. The codes are stable: files and scripts use their text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum FindingKind {
    /// A reference to a row that is not there.
    MissingParent,
    /// A reference to a row that is there, but would not be migrated itself.
    ParentLeftBehind,
    /// A reference by columns that several rows share.
    AmbiguousParent,
    /// Rows that share what the plan takes for unique.
    DuplicateKey,
    /// Rows that share what is unique by its name, such as a slug, though no constraint says so.
    DuplicateName,
    /// A natural key with NULL in it: it names no document.
    NaturalKeyNull,
    /// A key that is NULL or has no text.
    KeyUnusable,
    /// NULL where the plan demands a value.
    NullNotAllowed,
    /// A value outside the planned set.
    UnknownValue,
    /// NaN.
    NotANumber,
    /// An infinite number, date or instant.
    Infinite,
    /// An integer beyond 2^53, which no double holds.
    IntegerOverDouble,
    /// An instant that a JavaScript `Date` does not have.
    InstantOutOfRange,
    /// Any other value that its planned type cannot hold.
    NotRepresentable,
    /// A document over the sink's limit.
    DocumentTooLarge,
    /// An object with more fields than the sink takes.
    TooManyFields,
    /// An array with more items than the sink takes.
    ArrayTooLong,
    /// Values nested deeper than the sink takes.
    TooDeep,
    /// A JSON key that the sink refuses.
    JsonKeyRefused,
    /// What the sink refuses for another reason.
    SinkRefused,
    /// Microseconds below the millisecond.
    MicrosecondsCut,
    /// A number that becomes the nearest double.
    NumberRounded,
    /// NULL that becomes the column's default.
    NullToDefault,
    /// A value that its type cannot hold and that becomes NULL, as the plan says.
    UnfitToNull,
    /// A JSON key that is written in percent escapes.
    KeyEscaped,
}

/// What becomes of a row, or of its value, by the plan; the gravest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// The run ends at the first of them.
    EndsRun,
    /// The row is rejected.
    Rejected,
    /// Rows become one document, or a reference picks one of several.
    Merged,
    /// The row is migrated, its link is not set.
    Unlinked,
    /// The row is left out, as the plan says.
    Skipped,
    /// The value changes, or its field is left out, as the plan says.
    Changed,
    /// Nothing: the value arrives as it is.
    Kept,
}

impl Effect {
    /// In words, of a row.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::EndsRun => "ends the run",
            Self::Rejected => "rejected",
            Self::Merged => "taken for one",
            Self::Unlinked => "migrated without the link",
            Self::Skipped => "left out",
            Self::Changed => "changed",
            Self::Kept => "arrives as it is",
        }
    }

    /// True where somebody has to decide: what the plan says would lose a row or a link that nobody gave up.
    #[must_use]
    pub fn wants_decision(self) -> bool {
        matches!(self, Self::EndsRun | Self::Rejected | Self::Merged | Self::Unlinked)
    }
}

/// Every kind with its stable code, its name in words, and what to do; documentation is made of it.
pub const FINDING_KINDS: &[(FindingKind, &str, &str, &str)] = &[
    (
        FindingKind::MissingParent,
        "missing_parent",
        "parent row is missing",
        "mend the rows, or set on_missing = \"null\" or \"skip\" for the column",
    ),
    (
        FindingKind::ParentLeftBehind,
        "parent_left_behind",
        "parent row would not be migrated",
        "mend what is found of the parent; or set on_missing = \"null\" or \"skip\" for the column",
    ),
    (
        FindingKind::AmbiguousParent,
        "ambiguous_parent",
        "several rows are the parent",
        "make the referenced columns unique, or refer to the key",
    ),
    (
        FindingKind::DuplicateKey,
        "duplicate_key",
        "rows share a key that must be unique",
        "remove the duplicates, or name other columns: key, adopt.key or the reference's columns",
    ),
    (
        FindingKind::DuplicateName,
        "duplicate_name",
        "rows share a value that is unique by its name",
        "mend the rows if the app finds documents by it; Convex has no unique indexes",
    ),
    (
        FindingKind::NaturalKeyNull,
        "natural_key_null",
        "natural key has NULL",
        "fill the column, or adopt by columns that are never NULL",
    ),
    (FindingKind::KeyUnusable, "key_unusable", "key cannot be used", "give the row a key"),
    (
        FindingKind::NullNotAllowed,
        "null_not_allowed",
        "NULL where a value is required",
        "set nulls = \"absent\", \"null\" or \"default\" for the column",
    ),
    (
        FindingKind::UnknownValue,
        "unknown_value",
        "text outside the planned set",
        "add it with values = { … }, or set type = \"string\" for the column",
    ),
    (
        FindingKind::NotANumber,
        "not_a_number",
        "NaN",
        "arrives as NaN, which JSON cannot write; mend the rows if the app does not expect it",
    ),
    (
        FindingKind::Infinite,
        "infinite",
        "infinity",
        "set on_unfit = \"null\" or type = \"string\" for a time; an infinite number arrives as it is",
    ),
    (
        FindingKind::IntegerOverDouble,
        "integer_over_double",
        "integer beyond 2^53",
        "keep type = \"int64\", which is a bigint in JavaScript, or set type = \"string\"",
    ),
    (
        FindingKind::InstantOutOfRange,
        "instant_out_of_range",
        "instant outside a JavaScript Date",
        "set on_unfit = \"null\" or type = \"string\" for the column",
    ),
    (
        FindingKind::NotRepresentable,
        "not_representable",
        "value that its type cannot hold",
        "set type = \"string\" or on_unfit = \"null\" for the column",
    ),
    (
        FindingKind::DocumentTooLarge,
        "document_too_large",
        "document over the size limit",
        "set split_off for a large column, or drop = true",
    ),
    (
        FindingKind::TooManyFields,
        "too_many_fields",
        "object with too many fields",
        "set type = \"json_text\" for the column",
    ),
    (
        FindingKind::ArrayTooLong,
        "array_too_long",
        "array with too many items",
        "set type = \"json_text\" for JSON; an array column has to be shortened, or left out with drop = true",
    ),
    (FindingKind::TooDeep, "too_deep", "value nested too deep", "set type = \"json_text\" for the column"),
    (
        FindingKind::JsonKeyRefused,
        "json_key_refused",
        "JSON key that Convex refuses",
        "set json_keys = \"escape\" or \"text\" for the column",
    ),
    (FindingKind::SinkRefused, "sink_refused", "refused for another reason", "look at the row"),
    (
        FindingKind::MicrosecondsCut,
        "microseconds_cut",
        "microseconds are cut off",
        "set type = \"string\" for the column to keep them",
    ),
    (
        FindingKind::NumberRounded,
        "number_rounded",
        "number becomes the nearest double",
        "set type = \"string\", or \"json_text\" for JSON, to keep its digits",
    ),
    (FindingKind::NullToDefault, "null_to_default", "NULL becomes the default", "nothing: the plan says so"),
    (FindingKind::UnfitToNull, "unfit_to_null", "unfit value becomes NULL", "nothing: the plan says so"),
    (FindingKind::KeyEscaped, "key_escaped", "JSON key is percent-escaped", "nothing: the plan says so"),
];

impl FindingKind {
    fn row(self) -> (&'static str, &'static str, &'static str) {
        let row = FINDING_KINDS.iter().find(|(kind, ..)| *kind == self);
        row.map_or(("finding", "finding", ""), |&(_, code, words, remedy)| (code, words, remedy))
    }

    /// The stable text.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.row().0
    }

    /// In words.
    #[must_use]
    pub fn words(self) -> &'static str {
        self.row().1
    }

    /// What to do about it.
    #[must_use]
    pub fn remedy(self) -> &'static str {
        self.row().2
    }

    /// The kind of a lossy edit.
    #[must_use]
    pub fn of_change(change: ChangeKind) -> Self {
        match change {
            ChangeKind::MicrosecondsCut => Self::MicrosecondsCut,
            ChangeKind::NumberRounded => Self::NumberRounded,
            ChangeKind::NullToDefault => Self::NullToDefault,
            ChangeKind::UnfitToNull => Self::UnfitToNull,
            ChangeKind::KeyEscaped => Self::KeyEscaped,
        }
    }

    /// The kind of what a run would reject a row for, where `value` is what the column held.
    #[must_use]
    pub fn of_reject(code: RejectCode, value: Option<&Value>) -> Self {
        match code {
            RejectCode::KeyUnusable => Self::KeyUnusable,
            RejectCode::NullNotAllowed => Self::NullNotAllowed,
            RejectCode::UnknownValue => Self::UnknownValue,
            RejectCode::DocumentTooLarge => Self::DocumentTooLarge,
            RejectCode::TooManyFields => Self::TooManyFields,
            RejectCode::ArrayTooLong => Self::ArrayTooLong,
            RejectCode::TooDeep => Self::TooDeep,
            RejectCode::FieldNameInvalid => Self::JsonKeyRefused,
            RejectCode::ReferenceMissing | RejectCode::ReferenceUnlinked => Self::MissingParent,
            RejectCode::ReferenceAmbiguous => Self::AmbiguousParent,
            RejectCode::SinkRefused => Self::SinkRefused,
            RejectCode::NotRepresentable => value
                .and_then(|value| Self::of_value(value).or_else(|| of_instant(value)))
                .unwrap_or(Self::NotRepresentable),
        }
    }

    /// What is odd about a value, whatever becomes of it; of an array, the first that is odd in it.
    #[must_use]
    pub fn of_value(value: &Value) -> Option<Self> {
        const MOST: u64 = 1 << 53;
        match value {
            Value::Float64(double) if double.is_nan() => Some(Self::NotANumber),
            Value::Float64(double) if double.is_infinite() => Some(Self::Infinite),
            Value::Decimal(text) if &**text == "NaN" => Some(Self::NotANumber),
            Value::Decimal(text) if matches!(&**text, "Infinity" | "-Infinity") => Some(Self::Infinite),
            Value::Time(_, text) if matches!(&**text, "infinity" | "-infinity") => Some(Self::Infinite),
            Value::Int64(integer) if integer.unsigned_abs() > MOST => Some(Self::IntegerOverDouble),
            Value::Array(items) => items.iter().find_map(Self::of_value),
            _ => None,
        }
    }
}

/// An instant that was refused is one that no `Date` has.
fn of_instant(value: &Value) -> Option<FindingKind> {
    match value {
        Value::Time(TimeKind::TimestampTz | TimeKind::Timestamp | TimeKind::Date, _) => {
            Some(FindingKind::InstantOutOfRange)
        }
        Value::Array(items) => items.iter().find_map(of_instant),
        _ => None,
    }
}

/// Findings of one kind in one column.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Finding {
    /// What.
    pub kind: FindingKind,
    /// The column; several, with commas, for a reference or a key of several. None where it is about the whole row.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub column: Option<String>,
    /// What becomes of it.
    pub effect: Effect,
    /// Rows it was found in.
    pub rows: u64,
    /// Keys of some of them; never values.
    pub sample_keys: Vec<SourceKey>,
    /// Which parent, or which limit: without values.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

/// What findings are counted by. Details are few: tables and reasons, never values.
type Name = (Effect, FindingKind, Option<String>, Option<Cow<'static, str>>);

/// Counts findings in memory that does not grow with the rows.
#[derive(Debug, Clone, Default)]
pub(super) struct Findings(BTreeMap<Name, Tally>);

impl Findings {
    pub(super) fn add(
        &mut self,
        kind: FindingKind,
        column: Option<String>,
        effect: Effect,
        detail: Option<Cow<'static, str>>,
        key: &SourceKey,
    ) {
        self.0.entry((effect, kind, column, detail)).or_default().add(key);
    }

    /// Adds what is known as a number with some keys.
    pub(super) fn add_all(&mut self, kind: FindingKind, column: String, effect: Effect, found: Tally) {
        if found.count > 0 {
            self.0.insert((effect, kind, Some(column), None), found);
        }
    }

    pub(super) fn absorb(&mut self, other: Self) {
        for (name, tally) in other.0 {
            self.0.entry(name).or_default().absorb(&tally);
        }
    }

    /// The gravest first, then by kind and column.
    pub(super) fn into_list(self) -> Vec<Finding> {
        let finding = |((effect, kind, column, detail), Tally { count, sample_keys }): (Name, Tally)| Finding {
            kind,
            column,
            effect,
            rows: count,
            sample_keys,
            detail: detail.map(Cow::into_owned),
        };
        self.0.into_iter().map(finding).collect()
    }
}

/// Columns as one text.
pub(super) fn listed(columns: &[FieldName]) -> String {
    let names: Vec<&str> = columns.iter().map(FieldName::as_str).collect();
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_one_row_and_its_code_is_its_serde_name() {
        for &(kind, code, words, remedy) in FINDING_KINDS {
            assert_eq!(serde_json::to_value(kind).unwrap(), code);
            assert_eq!(FINDING_KINDS.iter().filter(|(other, ..)| *other == kind).count(), 1);
            assert!(!words.is_empty() && !remedy.is_empty());
        }
        let schema = schemars::schema_for!(FindingKind);
        let listed = schema.as_value()["oneOf"].as_array().unwrap().len();
        assert_eq!(FINDING_KINDS.len(), listed);
    }

    #[test]
    fn odd_values_are_told_apart() {
        let time = |text: &str| Value::Time(TimeKind::TimestampTz, text.into());
        for (value, kind) in [
            (Value::Float64(f64::NAN), Some(FindingKind::NotANumber)),
            (Value::Decimal("NaN".into()), Some(FindingKind::NotANumber)),
            (Value::Float64(f64::NEG_INFINITY), Some(FindingKind::Infinite)),
            (Value::Decimal("-Infinity".into()), Some(FindingKind::Infinite)),
            (time("infinity"), Some(FindingKind::Infinite)),
            (Value::Int64(1 << 53), None),
            (Value::Int64(-(1 << 53)), None),
            (Value::Int64((1 << 53) + 1), Some(FindingKind::IntegerOverDouble)),
            (Value::Int64(i64::MIN), Some(FindingKind::IntegerOverDouble)),
            (Value::Array(vec![Value::Null, Value::Float64(f64::NAN)]), Some(FindingKind::NotANumber)),
            (Value::text("NaN"), None),
        ] {
            assert_eq!(FindingKind::of_value(&value), kind, "{value:?}");
        }
        let refused = |value: Value| FindingKind::of_reject(RejectCode::NotRepresentable, Some(&value));
        assert_eq!(refused(time("294276-12-31T23:59:59+00:00")), FindingKind::InstantOutOfRange);
        assert_eq!(refused(time("-infinity")), FindingKind::Infinite);
        assert_eq!(refused(Value::text("x")), FindingKind::NotRepresentable);
    }
}
