//! Cuts a table's rows into ranges of its key that hold about as many rows each.

use migrate_core::source::KeyRange;

use super::statement::{column, literal, relation};
use super::table_copy::TableCopy;
use crate::partition::between;

/// Keys that are looked at for each range that is wanted: as many as make the ranges alike to a few percent.
const SAMPLES: usize = 100;

/// Rows that a block has at least, as far as a sample of blocks goes.
const ROWS_IN_BLOCK: usize = 4;

/// The bounds of the values' histogram that `analyze` left, smallest first: as many rows lie between each two of them.
///
/// $-parameters are not used, as in every statement of a read.
pub(super) fn histogram(copy: &TableCopy) -> Option<String> {
    let table = &copy.read.shape.table;
    let leading = copy.read.key.first()?;
    Some(format!(
        "select unnest(bounds) from (select histogram_bounds::text::text[] as bounds from pg_catalog.pg_stats where \
         schemaname = {} and tablename = {} and attname = {} order by inherited desc limit 1) s",
        literal(table.schema()),
        literal(table.name()),
        literal(leading.as_str())
    ))
}

/// Keys of a sample of the table's blocks, smallest first.
pub(super) fn sample(copy: &TableCopy, filters: &[String], wanted: usize) -> Option<String> {
    let leading = column(copy.read.key.first()?);
    let table = relation(&copy.read.shape.table);
    let blocks = wanted.saturating_mul(SAMPLES) / ROWS_IN_BLOCK;
    let named = literal(&table);
    let mut conditions = vec![format!("{leading} is not null")];
    conditions.extend(filters.iter().cloned());
    // Inherited rows are in no table's size, and so may be many more than were asked for.
    let most = wanted.saturating_mul(SAMPLES * SAMPLES);
    Some(format!(
        "select {leading}::text from {table} t tablesample system (least(100, 100.0 * {blocks} * 8192 / greatest(1, \
         pg_catalog.pg_relation_size({named}::regclass), (select sum(pg_catalog.pg_relation_size(relid)) from \
         pg_catalog.pg_partition_tree({named}::regclass))))) where {} order by {leading} limit {most}",
        conditions.join(" and ")
    ))
}

/// At most `wanted` ranges, cut at evenly spaced ones of `keys`, which are in order.
pub(super) fn ranges(keys: &[String], wanted: usize) -> Vec<KeyRange> {
    let mut cuts: Vec<String> = Vec::new();
    for index in 1..wanted {
        let Some(key) = keys.get(keys.len() * index / wanted) else { break };
        // The first key of all would begin a range that nothing comes before.
        if keys.first() != Some(key) && cuts.last() != Some(key) {
            cuts.push(key.clone());
        }
    }
    between(cuts.into_iter())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cuts(keys: &[&str], wanted: usize) -> Vec<Option<String>> {
        let keys: Vec<String> = keys.iter().map(ToString::to_string).collect();
        ranges(&keys, wanted).into_iter().map(|range| range.upper).collect()
    }

    #[test]
    fn ranges_are_cut_where_the_keys_are() {
        let some = |key: &str| Some(key.to_owned());
        assert_eq!(cuts(&["a", "b", "c", "d"], 2), [some("c"), None]);
        assert_eq!(cuts(&["a", "a", "a", "d"], 4), [some("d"), None]);
        assert_eq!(cuts(&["a", "a", "a", "a"], 4), [None]);
        assert_eq!(cuts(&[], 4), [None]);
        assert_eq!(cuts(&["a", "b"], 1), [None]);
    }
}
