//! Row filters: which rows of a table are migrated, in the query syntax of PostgREST.

use migrate_core::names::TableName;
use migrate_core::{Error, ErrorKind, Result};
use reqwest::Url;

use crate::query::Filter;

/// Parameters that are no filters (PostgREST `QueryParams.hs`, `isFilter`) and those that the gateway takes. A column of
/// such a name is filtered by its name in double quotes.
const RESERVED: &[&str] = &["select", "columns", "on_conflict", "apikey"];

/// Last parts of names that are no filters, such as `child.order`.
const RESERVED_LAST: &[&str] = &["order", "limit", "offset"];

const LOGIC: &[&str] = &["and", "or", "not.and", "not.or"];

/// The parameters of one table's row filter.
#[derive(Debug, Clone)]
pub(crate) struct RowFilter {
    /// All of them hold for a row that is migrated.
    pub(crate) parameters: Vec<Filter>,
    /// Where it stands in the configuration: `tables.orders.filter`.
    pub(crate) place: String,
}

impl RowFilter {
    /// Takes apart `status=eq.active&or=(a.gt.1,b.is.null)`, which is written as in a URL: `%26` is `&`, and `+` a space.
    ///
    /// # Errors
    /// `Config` naming the filter's place, for no parameter at all, one without a value, and one that is not a filter.
    pub(crate) fn parse(table: &TableName, text: &str) -> Result<Self> {
        let place = format!("tables.{}.filter", toml_key(&table.to_string()));
        let refuse = |message: String| {
            Error::new(ErrorKind::Config, message)
                .with_context("table", table)
                .with_context("filter", &place)
                .with_remedy(
                    "write a filter as in a PostgREST address, such as status=eq.active&or=(price.gt.1,price.is.null)",
                )
        };
        // Its parser and its encoder are those of the request, so that what is sent is what was written.
        let mut url = Url::parse("http://filter/").map_err(|_| refuse("read the row filter".to_owned()))?;
        url.set_query(Some(text.trim().trim_start_matches('?')));
        let mut parameters = Vec::new();
        for (name, value) in url.query_pairs() {
            if name.is_empty() || value.is_empty() {
                return Err(refuse("read a row filter with a parameter that lacks its name or its value".to_owned()));
            }
            let last = name.rsplit('.').next().unwrap_or_default();
            let is_tree = matches!(last, "and" | "or");
            let reserved = RESERVED.contains(&&*name) || RESERVED_LAST.contains(&last);
            if reserved || is_tree && !LOGIC.contains(&&*name) {
                return Err(refuse(format!("read a row filter with the parameter {name}, which is not one"))
                    .with_remedy("take it out; where it is a column's name, write it in double quotes"));
            }
            parameters.push(Filter::Parameter(name.into_owned(), value.into_owned()));
        }
        if parameters.is_empty() {
            return Err(refuse("read an empty row filter".to_owned()));
        }
        Ok(Self { parameters, place })
    }

    /// Names the filter's place in an error that it may have caused, which is then one of the configuration.
    pub(crate) fn explain(&self, error: Error) -> Error {
        let code = error.code();
        let by_filter = matches!(code, "42703" | "42883" | "42846" | "42804" | "42725" | "2201B")
            || code.starts_with("PGRST1") && code != "PGRST106"
            || code.starts_with("22");
        if !by_filter {
            return error;
        }
        let made = Error::new(ErrorKind::Config, error.message().to_owned()).with_code(code.to_owned());
        let made = match error.context().find(|(name, _)| *name == "table") {
            Some((_, table)) => made.with_context("table", table),
            None => made,
        };
        let remedy = match error.remedy().filter(|_| code == "42703") {
            Some(remedy) => format!("check the row filter's columns; or {remedy}"),
            None => "check the row filter's columns, operators and values".to_owned(),
        };
        made.with_context("filter", &self.place).with_context("code", code.to_owned()).with_remedy(remedy)
    }
}

/// A key as TOML writes it: in quotes unless it is bare.
fn toml_key(name: &str) -> String {
    let is_bare = |char: char| char.is_ascii_alphanumeric() || matches!(char, '_' | '-');
    if name.chars().all(is_bare) { name.to_owned() } else { format!("{name:?}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Vec<(String, String)>> {
        let table: TableName = "Order Items".parse()?;
        let pairs = RowFilter::parse(&table, text)?.parameters.into_iter().map(|filter| match filter {
            Filter::Parameter(name, value) => (name, value),
            other => panic!("{other:?}"),
        });
        Ok(pairs.collect())
    }

    #[test]
    fn a_filter_is_taken_apart_as_a_server_does() {
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(
            parse("?status=eq.active&or=(a.gt.1,b.is.null)&not.and=(a.eq.1,b.eq.2)").unwrap(),
            [pair("status", "eq.active"), pair("or", "(a.gt.1,b.is.null)"), pair("not.and", "(a.eq.1,b.eq.2)")]
        );
        assert_eq!(
            parse("\"order\"=in.(\"a b\",\"c#d\")&at=gte.2024-01-01T00:00:00%2B00:00&x=eq.%26 é%25").unwrap(),
            [
                pair("\"order\"", "in.(\"a b\",\"c#d\")"),
                pair("at", "gte.2024-01-01T00:00:00+00:00"),
                pair("x", "eq.& é%")
            ]
        );
        assert_eq!(parse("data->>kind=eq.a").unwrap(), [pair("data->>kind", "eq.a")]);
    }

    #[test]
    fn what_is_no_filter_is_refused_with_its_place() {
        for text in [
            "",
            "  ",
            "?",
            "status",
            "=eq.1",
            "status=",
            "select=id",
            "order=id.asc",
            "limit=1",
            "offset=5",
            "a.order=id",
            "columns=a",
            "on_conflict=a",
            "apikey=eq.x",
            "child.or=(a.eq.1)",
            "a=eq.1&limit=2",
        ] {
            let error = parse(text).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Config, "{text}");
            assert!(error.to_string().contains("tables.\"Order Items\".filter"), "{text}: {error}");
        }
    }

    #[test]
    fn errors_of_a_filter_name_it() {
        let filter = RowFilter::parse(&"orders".parse().unwrap(), "gone=eq.1").unwrap();
        let caused = |code: &str, kind| {
            filter.explain(Error::new(kind, "read a page").with_code(code).with_context("table", "orders"))
        };
        for code in ["PGRST100", "42703", "22P02", "42883"] {
            let error = caused(code, ErrorKind::Protocol);
            assert_eq!((error.kind(), error.code()), (ErrorKind::Config, code));
            assert!(error.to_string().contains("table: orders, filter: tables.orders.filter"), "{error}");
        }
        for (code, kind) in [
            ("42501", ErrorKind::Forbidden),
            ("PGRST205", ErrorKind::TableMissing),
            ("PGRST002", ErrorKind::Unavailable),
        ] {
            assert_eq!(caused(code, kind).kind(), kind);
        }
    }
}
