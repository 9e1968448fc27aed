//! Statements that read rows: what COPY is given takes no parameters, so values are written as literals.

use migrate_core::names::{FieldName, TableName};
use migrate_core::source::{Cursor, KeyRange};
use migrate_core::{Error, ErrorKind, Result};

use crate::table_read::TableRead;

/// An identifier in double quotes.
pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A literal whose type the place it stands in decides; `standard_conforming_strings` is on in every session.
pub(super) fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// `"schema"."table"`.
pub(super) fn relation(table: &TableName) -> String {
    format!("{}.{}", quoted(table.schema()), quoted(table.name()))
}

/// A column of the table that is read, which every statement names `t`.
pub(super) fn column(name: &FieldName) -> String {
    format!("t.{}", quoted(name.as_str()))
}

/// `where` and the conditions, or nothing.
pub(super) fn conditions(conditions: &[String]) -> String {
    if conditions.is_empty() { String::new() } else { format!(" where {}", conditions.join(" and ")) }
}

/// The conditions for the rows of `range` after `after`.
///
/// Several columns are compared as one row, which is one range of their index.
///
/// # Errors
/// `Config` when the cursor was not made of this key.
pub(super) fn key_conditions(read: &TableRead, range: &KeyRange, after: Option<&Cursor>) -> Result<Vec<String>> {
    let (table, key) = (&read.shape.table, &read.key);
    let Some(leading) = key.first().map(column) else {
        return Err(Error::new(ErrorKind::Config, "read a table without a key").with_context("table", table));
    };
    let mut found = Vec::new();
    match after {
        Some(Cursor(after)) if after.len() == key.len() => {
            let mut pairs: Vec<_> = key.iter().zip(after).collect();
            if read.by_place {
                pairs.reverse();
            }
            let (columns, values): (Vec<_>, Vec<_>) =
                pairs.into_iter().map(|(name, text)| (column(name), literal(text))).unzip();
            found.push(match columns.as_slice() {
                [only] => format!("{only} > {}", values.concat()),
                several => format!("({}) > ({})", several.join(", "), values.join(", ")),
            });
        }
        Some(Cursor(after)) => {
            return Err(Error::new(
                ErrorKind::Config,
                format!("continue after a key of {} columns where the key has {}", after.len(), key.len()),
            )
            .with_context("table", table)
            .with_remedy("the table's key has changed since the checkpoint: run again with --fresh"));
        }
        None => found.extend(range.lower.as_deref().map(|lower| format!("{leading} >= {}", literal(lower)))),
    }
    found.extend(range.upper.as_deref().map(|upper| format!("{leading} < {}", literal(upper))));
    Ok(found)
}

/// `order by` of a key; nothing for a place alone, whose order is the one a table is stored in.
///
/// Places in several tables are read as the data API reads them: by place, and then by table.
pub(super) fn order(read: &TableRead) -> String {
    let mut columns: Vec<String> = read.key.iter().map(column).collect();
    match (read.by_place, columns.len()) {
        (true, 1) => return String::new(),
        (true, _) => columns.reverse(),
        (false, _) => {}
    }
    format!(" order by {}", columns.join(", "))
}

#[cfg(test)]
mod tests {
    use migrate_core::catalog::TableSchema;

    use super::*;
    use crate::table_read::tests::{fields, table};

    fn read(table: &TableSchema, key: &[&str]) -> TableRead {
        TableRead::new(table, &fields(key), &fields(key)).unwrap()
    }

    fn of(read: &TableRead, after: Option<&[&str]>) -> Vec<String> {
        let range = KeyRange { lower: Some("a".into()), upper: Some("it's".into()) };
        let after = after.map(|texts| Cursor(texts.iter().map(ToString::to_string).collect()));
        key_conditions(read, &range, after.as_ref()).unwrap()
    }

    #[test]
    fn values_are_literals_and_names_are_quoted() {
        let table = table(2, &[("a\"b", "text"), ("c", "text")]);
        let one = read(&table, &["a\"b"]);
        assert_eq!(of(&one, None), [r#"t."a""b" >= 'a'"#, r#"t."a""b" < 'it''s'"#]);
        assert_eq!(of(&one, Some(&["x"])), [r#"t."a""b" > 'x'"#, r#"t."a""b" < 'it''s'"#]);
        let two = read(&table, &["c", "a\"b"]);
        assert_eq!(of(&two, Some(&["x", "y"])), [r#"(t."c", t."a""b") > ('x', 'y')"#, r#"t."c" < 'it''s'"#]);
        assert_eq!(order(&two), r#" order by t."c", t."a""b""#);
        let error = key_conditions(&two, &KeyRange::all(), Some(&Cursor(vec!["x".into()]))).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config);
    }

    #[test]
    fn places_are_in_the_order_of_the_data_api() {
        let table = table(0, &[("line", "text")]);
        assert_eq!(order(&read(&table, &["ctid"])), "");
        let several = read(&table, &["tableoid", "ctid"]);
        assert_eq!(order(&several), r#" order by t."ctid", t."tableoid""#);
        let after = Cursor(vec!["16900".into(), "(0,1)".into()]);
        let found = key_conditions(&several, &KeyRange::all(), Some(&after)).unwrap();
        assert_eq!(found, [r#"(t."ctid", t."tableoid") > ('(0,1)', '16900')"#]);
    }
}
