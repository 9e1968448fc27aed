//! Which number each table of an import gets, and which imports are refused for it
//! (convex-backend, `crates/application/src/snapshot_import/mod.rs`, `crates/database/src/bootstrap_model/table.rs`).

use std::collections::{BTreeMap, BTreeSet};

use super::row::Mode;

/// The number of the first table of a user; the backend gives lower ones to its own tables.
pub(in crate::convex_bench) const FIRST_TABLE_NUMBER: u32 = 10_001;

/// The lowest number for a user's table that none of these has.
pub(in crate::convex_bench) fn lowest_free(taken: impl Iterator<Item = u32>) -> u32 {
    let taken: BTreeSet<u32> = taken.collect();
    let mut number = FIRST_TABLE_NUMBER;
    while taken.contains(&number) {
        number += 1;
    }
    number
}

/// Gives every table of an import its number: what `_tables` says, else the first row's id, else the number that the
/// table has, else the lowest free one.
///
/// `existing` are the tables of the deployment, `listed` is what `_tables` says, `files` are tables with rows and the
/// number in their first row's id.
pub(super) fn assign(
    mode: Mode,
    existing: &BTreeMap<String, u32>,
    listed: &[(String, u32)],
    files: &[(String, Option<u32>)],
) -> Result<BTreeMap<String, u32>, String> {
    let mut numbers = BTreeMap::<String, u32>::new();
    let wanted = listed.iter().map(|(name, number)| (name, Some(*number)));
    for (name, wanted) in wanted.chain(files.iter().map(|(name, number)| (name, *number))) {
        if numbers.contains_key(name) {
            continue;
        }
        let current = existing.get(name).copied();
        let number = match (wanted, current) {
            (Some(wanted), Some(current)) if mode == Mode::Append && wanted != current => {
                return Err(format!("table {name} wants table number {wanted} but was already assigned {current}"));
            }
            (Some(wanted), _) => wanted,
            (None, Some(current)) => current,
            (None, None) => lowest_free(existing.values().chain(numbers.values()).copied()),
        };
        if let Some((other, _)) = numbers.iter().find(|(_, taken)| **taken == number) {
            return Err(format!("conflict between `{other}` and `{name}` with table number {number}"));
        }
        if number < FIRST_TABLE_NUMBER {
            return Err(format!(
                "New table `{name}` has IDs that conflict with existing internal table. Consider importing this \
                 table without `_id` fields or import into a new deployment."
            ));
        }
        numbers.insert(name.clone(), number);
    }
    let survives = |name: &String| mode != Mode::ReplaceAll && !numbers.contains_key(name);
    for (name, number) in &numbers {
        if let Some((other, _)) = existing.iter().find(|(other, taken)| *taken == number && survives(other)) {
            return Err(format!(
                "New table `{name}` has IDs that conflict with existing table `{other}`. Consider deleting all \
                 existing tables, or import with --replace-all"
            ));
        }
    }
    Ok(numbers)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tables(of: &[(&str, u32)]) -> BTreeMap<String, u32> {
        of.iter().map(|(name, number)| ((*name).to_owned(), *number)).collect()
    }

    fn numbered(mode: Mode, listed: &[(&str, u32)], files: &[(&str, Option<u32>)]) -> Result<Vec<u32>, String> {
        let existing = tables(&[("a", 10_001), ("b", 10_002)]);
        let listed: Vec<_> = listed.iter().map(|(name, number)| ((*name).to_owned(), *number)).collect();
        let files: Vec<_> = files.iter().map(|(name, number)| ((*name).to_owned(), *number)).collect();
        Ok(assign(mode, &existing, &listed, &files)?.into_values().collect())
    }

    #[test]
    fn the_first_that_says_a_number_decides() {
        let number = |listed: &[_], first| numbered(Mode::Replace, listed, &[("a", first)]);
        assert_eq!(number(&[("a", 10_009)], Some(10_008)), Ok(vec![10_009]));
        assert_eq!(number(&[], Some(10_008)), Ok(vec![10_008]));
        assert_eq!(number(&[], None), Ok(vec![10_001]));
        assert_eq!(numbered(Mode::Replace, &[], &[("c", None), ("d", None)]), Ok(vec![10_003, 10_004]));
        let swapped = [("a", 10_002), ("b", 10_001)];
        assert_eq!(numbered(Mode::Replace, &swapped, &[]), Ok(vec![10_002, 10_001]));
    }

    #[test]
    fn a_number_has_one_table() {
        let message = |mode, listed: &[_], files: &[_]| numbered(mode, listed, files).unwrap_err();
        let twice = message(Mode::Replace, &[("c", 10_009), ("d", 10_009)], &[]);
        assert!(twice.contains("conflict between `c` and `d` with table number 10009"), "{twice}");
        let taken = message(Mode::Replace, &[], &[("c", Some(10_002))]);
        assert!(taken.contains("`c` has IDs that conflict with existing table `b`"), "{taken}");
        assert_eq!(numbered(Mode::ReplaceAll, &[], &[("c", Some(10_002))]), Ok(vec![10_002]));
        let internal = message(Mode::Replace, &[], &[("c", Some(540))]);
        assert!(internal.contains("conflict with existing internal table"), "{internal}");
        let append = message(Mode::Append, &[("a", 10_009)], &[]);
        assert_eq!(append, "table a wants table number 10009 but was already assigned 10001");
        assert_eq!(numbered(Mode::Append, &[("a", 10_001)], &[]), Ok(vec![10_001]));
    }
}
