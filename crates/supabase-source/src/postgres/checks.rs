//! What a check allows in one column, where that is a list of texts.

use migrate_core::catalog::OneOf;
use migrate_core::names::FieldName;

use super::expression::Expression;

/// The texts that a check allows: for `c IN ('a', 'b')` and `c = ANY (…)`, also with `OR c IS NULL`, in the form of
/// `pg_get_constraintdef`.
///
/// Only comparisons of texts are taken: by another type's equality, such as `citext`'s or the padded `character`'s, a row
/// may hold a text that the list does not. A check that is `NOT VALID` holds for new rows only.
pub(super) fn one_of(definition: &str) -> Option<OneOf> {
    let condition = Expression::parse(definition.strip_prefix("CHECK ")?)?;
    let (comparison, nullable) = match &condition {
        Expression::Or(one, other) => match (&**one, &**other) {
            (Expression::IsNull(column), comparison) | (comparison, Expression::IsNull(column)) => {
                (comparison, Some(column_of(column)?))
            }
            _ => return None,
        },
        comparison => (comparison, None),
    };
    let (column, values) = match comparison {
        Expression::EqualAny(left, right) => {
            let Expression::Array(items) = right.uncast(is_text_array)? else { return None };
            (column_of(left)?, items.iter().map(text_of).collect::<Option<Vec<_>>>()?)
        }
        Expression::Equal(left, right) => (column_of(left)?, vec![text_of(right)?]),
        _ => return None,
    };
    let is_same = nullable.is_none_or(|nullable| nullable == column);
    (is_same && !values.is_empty()).then(|| OneOf { column: FieldName::from(column), values })
}

fn column_of(expression: &Expression) -> Option<&str> {
    match expression.uncast(is_text)? {
        Expression::Column(name) => Some(name),
        _ => None,
    }
}

fn text_of(expression: &Expression) -> Option<String> {
    match (expression, expression.uncast(is_text)?) {
        (Expression::Cast(..), Expression::Text(text)) => Some(text.clone()),
        _ => None,
    }
}

fn is_text(name: &str) -> bool {
    matches!(name, "text" | "character varying")
}

fn is_text_array(name: &str) -> bool {
    matches!(name, "text[]" | "character varying[]")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(definition: &str) -> Option<(String, Vec<String>)> {
        one_of(definition).map(|one_of| (one_of.column.to_string(), one_of.values))
    }

    #[test]
    fn lists_of_texts_are_read() {
        let ab = Some(("status".to_owned(), vec!["a".to_owned(), "b".to_owned()]));
        for definition in [
            "CHECK ((status = ANY (ARRAY['a'::text, 'b'::text])))",
            "CHECK (((status)::text = ANY ((ARRAY['a'::character varying, 'b'::character varying])::text[])))",
            "CHECK (((status)::text = ANY (ARRAY[('a'::character varying)::text, ('b'::character varying)::text])))",
            "CHECK (((status IS NULL) OR (status = ANY (ARRAY['a'::text, 'b'::text]))))",
            "CHECK (((status = ANY (ARRAY['a'::text, 'b'::text])) OR (status IS NULL)))",
        ] {
            assert_eq!(read(definition), ab, "{definition}");
        }
        assert_eq!(
            read("CHECK ((\"Ta\"\"g\" = 'it''s, [ok] :: '::text))"),
            Some(("Ta\"g".to_owned(), vec!["it's, [ok] :: ".to_owned()]))
        );
    }

    #[test]
    fn what_allows_more_or_less_is_no_list() {
        for definition in [
            "CHECK ((price > 0))",
            "CHECK ((status <> ALL (ARRAY['a'::text])))",
            "CHECK ((lower(status) = ANY (ARRAY['a'::text])))",
            "CHECK ((status = ANY (ARRAY['a'::extensions.citext])))",
            "CHECK ((status = ANY (ARRAY['a'::bpchar])))",
            "CHECK ((status = ANY (ARRAY['a'::text, NULL::text])))",
            "CHECK ((status = ANY (ARRAY['a'::text]))) NOT VALID",
            "CHECK (((status = 'a'::text) OR (kind = 'b'::text)))",
            "CHECK (((status = 'a'::text) OR (kind IS NULL)))",
            "CHECK (((status = 'a'::text) AND (kind = 'b'::text)))",
            "CHECK ((kind = ANY (ARRAY[1, 2])))",
            "CHECK ((status = kind))",
            "CHECK (open)",
        ] {
            assert_eq!(read(definition), None, "{definition}");
        }
    }

    proptest! {
        #[test]
        fn any_texts_are_read_back(column in "[a-zA-Z \"'.]{1,12}", values in proptest::collection::vec(".*", 1..6)) {
            let quoted: Vec<String> = values.iter().map(|value| format!("'{}'::text", value.replace('\'', "''"))).collect();
            let definition =
                format!("CHECK ((\"{}\" = ANY (ARRAY[{}])))", column.replace('"', "\"\""), quoted.join(", "));
            prop_assert_eq!(read(&definition), Some((column, values)));
        }
    }
}
