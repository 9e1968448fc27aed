//! Whether a key comes after another one, as far as that can be told without the database.

use std::cmp::Ordering;

use migrate_core::catalog::{ScalarKind, SourceType};

/// How two keys of columns of these types stand in the order that pages have; `None` where only the database knows, as
/// for texts, whose order is their collation's.
pub(crate) fn compare(one: &[String], other: &[String], types: &[SourceType]) -> Option<Ordering> {
    for ((one, other), source_type) in one.iter().zip(other).zip(types) {
        match compare_column(one, other, source_type)? {
            Ordering::Equal => {}
            decided => return Some(decided),
        }
    }
    Some(Ordering::Equal)
}

fn compare_column(one: &str, other: &str, source_type: &SourceType) -> Option<Ordering> {
    if one == other {
        return Some(Ordering::Equal);
    }
    match source_type.scalar {
        _ if source_type.array => None,
        ScalarKind::Int4 | ScalarKind::Int8 => Some(one.parse::<i64>().ok()?.cmp(&other.parse().ok()?)),
        // Postgres compares the bytes and writes them in lower case.
        ScalarKind::Uuid => Some(one.cmp(other)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source_type::source_type;

    #[test]
    fn orders_what_has_one_order_everywhere() {
        let compare = |formats: &[&str], one: &[&str], other: &[&str]| {
            let types: Vec<_> = formats.iter().map(|format| source_type(format, Vec::new())).collect();
            let key = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
            compare(&key(one), &key(other), &types)
        };
        assert_eq!(compare(&["bigint"], &["9"], &["10"]), Some(Ordering::Less));
        assert_eq!(compare(&["bigint"], &["-9"], &["-10"]), Some(Ordering::Greater));
        assert_eq!(compare(&["uuid"], &["0a"], &["a0"]), Some(Ordering::Less));
        assert_eq!(compare(&["text"], &["a"], &["B"]), None);
        assert_eq!(compare(&["text", "integer"], &["a", "2"], &["a", "1"]), Some(Ordering::Greater));
        assert_eq!(compare(&["integer", "text"], &["1", "b"], &["2", "a"]), Some(Ordering::Less));
        assert_eq!(compare(&["integer[]"], &["[2]"], &["[10]"]), None);
    }
}
