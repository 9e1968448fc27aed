//! Composition of reads: PostgREST's query grammar, its quoting, and paging by key.
//!
//! Quoting differs by place (PostgREST `QueryParams.hs`): identifiers may always be quoted; a value after a top-level
//! `column=gt.` is taken raw to the end, quotes included; a value inside `in.(…)` or `or=(…)` is quoted, with `\"` and
//! `\\`.

use migrate_core::names::{FieldName, TableName};
use migrate_core::source::{Cursor, KeyRange};
use migrate_core::{Error, ErrorKind, Result};

/// One GET or HEAD of a table, before it is written as a URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ReadQuery {
    pub(crate) table: TableName,
    /// The `select` parameter; none where no column matters.
    pub(crate) select: Option<String>,
    pub(crate) filters: Vec<Filter>,
    /// The `order` parameter. The server keeps the first of several, so there is one.
    pub(crate) order: Option<String>,
    /// The `limit` parameter; never a `Range` header, which HEAD ignores and which switches compression off.
    pub(crate) limit: Option<usize>,
}

/// One condition; all of a query's hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Filter {
    /// `"column"=op.value`, the value raw.
    Compare(String, Comparison, String),
    /// `"column"=in.("a","b")`, the values quoted already.
    In(String, Vec<String>),
    /// `or=(…)`, the conditions written out already.
    Or(String),
    /// A whole parameter, name and value, as a row filter gives it.
    Parameter(String, String),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Comparison {
    Eq,
    Gt,
    Gte,
    Lt,
}

impl ReadQuery {
    /// A read of the whole table, of whatever columns.
    pub(crate) fn of(table: &TableName) -> Self {
        Self { table: table.clone(), select: None, filters: Vec::new(), order: None, limit: None }
    }
}

/// An identifier or a listed value in double quotes.
pub(crate) fn quote(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for char in text.chars() {
        if matches!(char, '"' | '\\') {
            quoted.push('\\');
        }
        quoted.push(char);
    }
    quoted.push('"');
    quoted
}

/// Bytes that a text takes in a query, form-encoded.
pub(crate) fn encoded_len(text: &str) -> usize {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'*' | b'-' | b'.' | b'_' | b' ');
    text.bytes().map(|byte| if plain(byte) { 1 } else { 3 }).sum()
}

/// `"a".asc,"b".asc`.
pub(crate) fn ascending(columns: &[FieldName]) -> String {
    columns.iter().map(|column| format!("{}.asc", quote(column.as_str()))).collect::<Vec<_>>().join(",")
}

/// The requests that together hold the next rows in key order; the first that is not empty is the page.
///
/// For a key of k columns after (x, y): first the rest of the started prefix, `a=eq.x & b=gt.y order b`, then what comes
/// after it, `a=gt.x order a,b`. Every one is a plain index range, which `a>x or (a=x and b>y)` is not.
///
/// Row filters hold beside the conditions on the key, also on a key column: PostgREST joins all parameters by AND.
///
/// # Errors
/// `Config` when the cursor was not made of this key.
pub(crate) fn keyset_queries(
    table: &TableName,
    key: &[FieldName],
    range: &KeyRange,
    after: Option<&Cursor>,
    rows: &[Filter],
    select: &str,
    limit: usize,
) -> Result<Vec<ReadQuery>> {
    let query = |filters: Vec<Filter>, order: &[FieldName]| ReadQuery {
        select: Some(select.to_owned()),
        filters: filters.into_iter().chain(rows.iter().cloned()).collect(),
        order: Some(ascending(order)),
        limit: Some(limit),
        ..ReadQuery::of(table)
    };
    let Some(leading) = key.first() else {
        return Err(Error::new(ErrorKind::Config, "read a table without a key").with_context("table", table));
    };
    let compare = |column: &FieldName, comparison, value: &str| {
        Filter::Compare(quote(column.as_str()), comparison, value.to_owned())
    };
    let upper = range.upper.as_deref().map(|upper| compare(leading, Comparison::Lt, upper));
    let Some(Cursor(after)) = after else {
        let lower = range.lower.as_deref().map(|lower| compare(leading, Comparison::Gte, lower));
        return Ok(vec![query(lower.into_iter().chain(upper).collect(), key)]);
    };
    if after.len() != key.len() {
        return Err(Error::new(
            ErrorKind::Config,
            format!("continue after a key of {} columns where the key has {}", after.len(), key.len()),
        )
        .with_context("table", table)
        .with_remedy("the table's key has changed since the checkpoint: run again with --fresh"));
    }
    let queries = (0..key.len()).rev().map(|prefix| {
        let mut filters = Vec::with_capacity(prefix + 2);
        for (column, value) in key.iter().zip(after).take(prefix) {
            filters.push(compare(column, Comparison::Eq, value));
        }
        if let (Some(column), Some(value)) = (key.get(prefix), after.get(prefix)) {
            filters.push(compare(column, Comparison::Gt, value));
        }
        if prefix == 0 {
            filters.extend(upper.clone());
        }
        query(filters, key.get(prefix..).unwrap_or_default())
    });
    Ok(queries.collect())
}

/// Conditions for some keys, all of them one filter: `in.(…)` for one column, `or=(and(…),…)` for several.
///
/// A single key is `eq.`, which also finds the empty text: `in.("")` is an empty list to PostgREST.
pub(crate) fn key_filters(key: &[FieldName], wanted: &[Vec<String>]) -> Vec<Filter> {
    let names: Vec<String> = key.iter().map(|column| quote(column.as_str())).collect();
    match (names.as_slice(), wanted) {
        (_, [only]) => {
            let parts = names.into_iter().zip(only);
            parts.map(|(name, value)| Filter::Compare(name, Comparison::Eq, value.clone())).collect()
        }
        ([name], several) => {
            let values = several.iter().flatten().map(|value| quote(value)).collect();
            vec![Filter::In(name.clone(), values)]
        }
        (names, several) => {
            let one = |parts: &Vec<String>| {
                let equal = names.iter().zip(parts).map(|(name, value)| format!("{name}.eq.{}", quote(value)));
                format!("and({})", equal.collect::<Vec<_>>().join(","))
            };
            vec![Filter::Or(several.iter().map(one).collect::<Vec<_>>().join(","))]
        }
    }
}

/// Bytes that one key adds to a URL in [`key_filters`], at most.
pub(crate) fn key_cost(key: &[FieldName], parts: &[String]) -> usize {
    let one = |(name, value): (&FieldName, &String)| {
        encoded_len(&quote(value)) + 3 + if key.len() > 1 { encoded_len(&quote(name.as_str())) + 4 } else { 0 }
    };
    12 + key.iter().zip(parts).map(one).sum::<usize>()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn names(names: &[&str]) -> Vec<FieldName> {
        names.iter().copied().map(FieldName::from).collect()
    }

    fn compare(column: &str, comparison: Comparison, value: &str) -> Filter {
        Filter::Compare(column.to_owned(), comparison, value.to_owned())
    }

    fn queries(key: &[&str], range: &KeyRange, after: Option<&[&str]>) -> Vec<ReadQuery> {
        let table = "t".parse().unwrap();
        let after = after.map(|parts| Cursor(parts.iter().map(ToString::to_string).collect()));
        keyset_queries(&table, &names(key), range, after.as_ref(), &[], "\"a\"", 10).unwrap()
    }

    #[test]
    fn a_range_bounds_the_leading_column() {
        let range = KeyRange { lower: Some("1".into()), upper: Some("9".into()) };
        let [first] = queries(&["a", "b"], &range, None).try_into().unwrap();
        assert_eq!(first.filters, [compare("\"a\"", Comparison::Gte, "1"), compare("\"a\"", Comparison::Lt, "9")]);
        assert_eq!(first.order.as_deref(), Some("\"a\".asc,\"b\".asc"));
        assert_eq!((first.select.as_deref(), first.limit), (Some("\"a\""), Some(10)));
    }

    #[test]
    fn a_composite_key_finishes_its_prefix_first() {
        let range = KeyRange { lower: Some("1".into()), upper: Some("9".into()) };
        let [rest, next] = queries(&["a", "b"], &range, Some(&["5", "x,\"y"])).try_into().unwrap();
        assert_eq!(rest.filters, [compare("\"a\"", Comparison::Eq, "5"), compare("\"b\"", Comparison::Gt, "x,\"y")]);
        assert_eq!(rest.order.as_deref(), Some("\"b\".asc"));
        assert_eq!(next.filters, [compare("\"a\"", Comparison::Gt, "5"), compare("\"a\"", Comparison::Lt, "9")]);
        assert_eq!(next.order.as_deref(), Some("\"a\".asc,\"b\".asc"));
        assert_eq!(queries(&["a", "b", "c"], &KeyRange::all(), Some(&["1", "2", "3"])).len(), 3);
    }

    #[test]
    fn row_filters_hold_beside_every_condition_on_the_key() {
        let filter = Filter::Parameter("a".into(), "lt.7".into());
        let cursor = Cursor(vec!["1".into(), "2".into()]);
        for after in [None, Some(&cursor)] {
            let table = "t".parse().unwrap();
            let rows = std::slice::from_ref(&filter);
            let queries = keyset_queries(&table, &names(&["a", "b"]), &KeyRange::all(), after, rows, "", 1).unwrap();
            assert!(queries.iter().all(|query| query.filters.last() == Some(&filter)));
        }
    }

    #[test]
    fn foreign_cursors_and_keyless_tables_are_refused() {
        let table: TableName = "t".parse().unwrap();
        let cursor = Cursor(vec!["1".into()]);
        for key in [names(&["a", "b"]), names(&[])] {
            let error = keyset_queries(&table, &key, &KeyRange::all(), Some(&cursor), &[], "", 1).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Config);
        }
    }

    #[test]
    fn keys_are_looked_up_by_list_tree_or_equality() {
        let one = |text: &str| vec![text.to_owned()];
        assert_eq!(key_filters(&names(&["id"]), &[one("")]), [compare("\"id\"", Comparison::Eq, "")]);
        assert_eq!(
            key_filters(&names(&["id"]), &[one("a,b"), one("c\"d")]),
            [Filter::In("\"id\"".into(), vec!["\"a,b\"".into(), "\"c\\\"d\"".into()])]
        );
        let two = vec!["x".to_owned(), "y)".to_owned()];
        assert_eq!(
            key_filters(&names(&["a", "b"]), &[two.clone(), two]),
            [Filter::Or(r#"and("a".eq."x","b".eq."y)"),and("a".eq."x","b".eq."y)")"#.into())]
        );
    }

    /// A quoted name or value as PostgREST parses it: `"`, then characters of which `\` takes the next as it is, `"`.
    fn parse_quoted(text: &str) -> Option<(String, &str)> {
        let mut rest = text.strip_prefix('"')?.chars();
        let mut parsed = String::new();
        loop {
            match rest.next()? {
                '"' => return Some((parsed, rest.as_str())),
                '\\' => parsed.push(rest.next()?),
                char => parsed.push(char),
            }
        }
    }

    proptest! {
        #[test]
        fn quoting_survives_the_servers_parser(text in any::<String>(), tail in "[,).(]?[a-z\"]{0,3}") {
            let quoted = quote(&text) + &tail;
            let (parsed, rest) = parse_quoted(&quoted).unwrap();
            prop_assert_eq!(parsed, text);
            prop_assert_eq!(rest, tail);
        }

        #[test]
        fn a_logic_tree_survives_the_servers_parser(keys in prop::collection::vec((any::<String>(), any::<String>()), 2..5)) {
            let columns = names(&["first \"x\"", "b.c"]);
            let wanted: Vec<Vec<String>> = keys.iter().map(|(a, b)| vec![a.clone(), b.clone()]).collect();
            let Some(Filter::Or(text)) = key_filters(&columns, &wanted).pop() else { panic!("no tree") };
            let mut rest = text.as_str();
            for parts in &wanted {
                rest = rest.strip_prefix(',').unwrap_or(rest).strip_prefix("and(").unwrap();
                for (column, value) in columns.iter().zip(parts) {
                    let (name, tail) = parse_quoted(rest.strip_prefix(',').unwrap_or(rest)).unwrap();
                    prop_assert_eq!(name.as_str(), column.as_str());
                    let (parsed, tail) = parse_quoted(tail.strip_prefix(".eq.").unwrap()).unwrap();
                    prop_assert_eq!(&parsed, value);
                    rest = tail;
                }
                rest = rest.strip_prefix(')').unwrap();
            }
            prop_assert_eq!(rest, "");
            let cost: usize = wanted.iter().map(|parts| key_cost(&columns, parts)).sum();
            prop_assert!(encoded_len(&text) <= cost);
        }
    }
}
