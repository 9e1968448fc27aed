//! A column's default, apart by whether it is the same for every row.

use migrate_core::catalog::{ScalarKind, SourceType};
use serde_json::{Number, Value as Json};

use super::expression::Expression;

/// A default as a constant or as an SQL expression, from the form of `pg_get_expr`; neither for NULL.
///
/// A constant is as JSON what its column's values are: numbers, booleans and arrays their own, JSON and all else its text.
pub(super) fn constant_or_expression(text: &str, source_type: &SourceType) -> (Option<Json>, Option<String>) {
    let expression = Expression::parse(text);
    let bare = expression.as_ref().and_then(|expression| expression.uncast(|_| true));
    if bare == Some(&Expression::Null) {
        return (None, None);
    }
    // `('now'::text)::date` is read anew for each row, unlike `'…'::date`.
    let is_cast_later =
        matches!(&expression, Some(Expression::Cast(inner, _)) if matches!(&**inner, Expression::Cast(..)));
    let is_text = matches!(source_type.scalar, ScalarKind::Text | ScalarKind::Enum);
    match bare.filter(|_| is_text || !is_cast_later).and_then(|bare| constant(bare, source_type)) {
        Some(constant) => (Some(constant), None),
        None => (None, Some(text.to_owned())),
    }
}

fn constant(expression: &Expression, source_type: &SourceType) -> Option<Json> {
    if !source_type.array {
        return scalar(expression, source_type.scalar).map(|constant| padded(constant, &source_type.name));
    }
    match expression {
        Expression::Array(items) => items
            .iter()
            .map(|item| match item.uncast(|_| true)? {
                Expression::Null => Some(Json::Null),
                item => scalar(item, source_type.scalar),
            })
            .collect(),
        Expression::Text(text) if text == "{}" => Some(Json::Array(Vec::new())),
        _ => None,
    }
}

/// A text as a column of `character(5)` gives it back: the default's own literal is not padded yet.
fn padded(constant: Json, type_name: &str) -> Json {
    let length = type_name.strip_prefix("character(").and_then(|rest| rest.strip_suffix(')')?.parse::<usize>().ok());
    match (constant, length) {
        (Json::String(text), Some(length)) => Json::String(format!("{text:length$}")),
        (constant, _) => constant,
    }
}

fn scalar(expression: &Expression, kind: ScalarKind) -> Option<Json> {
    match (kind, expression) {
        (ScalarKind::Bool, Expression::Bool(bool)) => Some(Json::Bool(*bool)),
        (
            ScalarKind::Int4 | ScalarKind::Int8 | ScalarKind::Float8 | ScalarKind::Numeric,
            Expression::Number(text) | Expression::Text(text),
        ) => number(text),
        // A literal of these types was read when the default was made: `'now'` is stored as the time it was then.
        (ScalarKind::Bool | ScalarKind::Int4 | ScalarKind::Int8 | ScalarKind::Float8 | ScalarKind::Numeric, _) => None,
        (_, Expression::Text(text)) => Some(Json::String(text.clone())),
        _ => None,
    }
}

/// A number that JSON's reader keeps exactly; others stay the expression they are.
fn number(text: &str) -> Option<Json> {
    if let Ok(integer) = text.parse::<i64>() {
        return Some(integer.into());
    }
    let digits = text.bytes().filter(u8::is_ascii_digit).count();
    let float = text.parse::<f64>().ok().filter(|_| digits <= 15)?;
    Number::from_f64(float).map(Json::Number)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn of(text: &str, kind: ScalarKind) -> (Option<Json>, Option<String>) {
        constant_or_expression(text, &SourceType::new("of a test", kind))
    }

    fn of_array(text: &str, kind: ScalarKind) -> (Option<Json>, Option<String>) {
        constant_or_expression(text, &SourceType { array: true, ..SourceType::new("of a test", kind) })
    }

    #[test]
    fn constants_have_the_form_of_their_column() {
        for (text, kind, expected) in [
            ("'it''s'::text", ScalarKind::Text, json!("it's")),
            ("'draft'::public.status", ScalarKind::Enum, json!("draft")),
            ("'7'::text", ScalarKind::Text, json!("7")),
            ("0", ScalarKind::Int4, json!(0)),
            ("'-1'::integer", ScalarKind::Int4, json!(-1)),
            ("(0)::numeric", ScalarKind::Numeric, json!(0)),
            ("'9223372036854775807'::bigint", ScalarKind::Int8, json!(i64::MAX)),
            ("0.10", ScalarKind::Numeric, json!(0.1)),
            ("true", ScalarKind::Bool, json!(true)),
            ("'{\"a\": 1}'::jsonb", ScalarKind::Json, json!("{\"a\": 1}")),
            ("'2024-01-01'::date", ScalarKind::Date, json!("2024-01-01")),
        ] {
            assert_eq!(of(text, kind), (Some(expected), None), "{text}");
        }
        assert_eq!(of_array("'{}'::text[]", ScalarKind::Text), (Some(json!([])), None));
        assert_eq!(of_array("ARRAY[]::text[]", ScalarKind::Text), (Some(json!([])), None));
        assert_eq!(of_array("ARRAY['a'::text, NULL::text]", ScalarKind::Text), (Some(json!(["a", null])), None));
        assert_eq!(of_array("ARRAY[1, 2]", ScalarKind::Int4), (Some(json!([1, 2])), None));
        assert_eq!(of("NULL::character varying", ScalarKind::Text), (None, None));
    }

    #[test]
    fn a_padded_columns_default_is_padded() {
        let of = |name| constant_or_expression("'ß b'::bpchar", &SourceType::new(name, ScalarKind::Text)).0;
        assert_eq!(of("character(5)"), Some(json!("ß b  ")));
        assert_eq!(of("character(2)"), Some(json!("ß b")));
        assert_eq!(of("bpchar"), Some(json!("ß b")));
    }

    #[test]
    fn what_differs_by_row_or_is_not_exact_is_an_expression() {
        for (text, kind) in [
            ("now()", ScalarKind::TimestampTz),
            ("CURRENT_DATE", ScalarKind::Date),
            ("('now'::text)::date", ScalarKind::Date),
            ("nextval('public.t_id_seq'::regclass)", ScalarKind::Int8),
            ("0.12345678901234567890", ScalarKind::Numeric),
            ("'NaN'::numeric", ScalarKind::Numeric),
            ("(1 + 1)", ScalarKind::Int4),
            ("'101'::\"bit\" || '1'", ScalarKind::Bits),
        ] {
            let (constant, expression) = of(text, kind);
            assert_eq!((constant, expression.as_deref()), (None, Some(text)), "{text}");
        }
        assert_eq!(of_array("'{a,b}'::text[]", ScalarKind::Text), (None, Some("'{a,b}'::text[]".to_owned())));
    }

    proptest! {
        #[test]
        fn every_text_is_a_constant(text in ".*") {
            let literal = format!("'{}'::text", text.replace('\'', "''"));
            prop_assert_eq!(of(&literal, ScalarKind::Text), (Some(Json::String(text)), None));
        }

        #[test]
        fn every_integer_is_a_constant(integer: i64) {
            prop_assert_eq!(of(&format!("'{integer}'::bigint"), ScalarKind::Int8), (Some(integer.into()), None));
        }
    }
}
