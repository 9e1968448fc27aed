//! Cuts a table's key space into ranges of about equal size.

use migrate_core::source::KeyRange;

use crate::place::block_start;

/// Equal spans between the smallest and the largest leading key. The outer ranges are open, for rows that come later.
pub(crate) fn integer_ranges(smallest: i64, largest: i64, wanted: usize) -> Vec<KeyRange> {
    let (smallest, largest) = (i128::from(smallest), i128::from(largest));
    let keys = (largest - smallest + 1).max(1);
    let ranges = i128::try_from(wanted.max(1)).unwrap_or(keys).min(keys);
    let cuts = (1..ranges).map(|index| (smallest + keys * index / ranges).to_string());
    between(cuts)
}

/// Cuts by prefix: random (version 4) identifiers are spread evenly, and Postgres compares them byte by byte.
pub(crate) fn uuid_ranges(wanted: usize) -> Vec<KeyRange> {
    let ranges = u64::try_from(wanted).unwrap_or(u64::MAX).clamp(1, 1 << 16);
    between((1..ranges).map(|index| format!("{:08x}-0000-0000-0000-000000000000", (index << 32) / ranges)))
}

/// Equal spans of the blocks from 0 to `last`, by the places they begin with.
pub(crate) fn block_ranges(last: u64, wanted: usize) -> Vec<KeyRange> {
    let ranges = integer_ranges(0, i64::try_from(last).unwrap_or(i64::MAX), wanted);
    let place = |cut: Option<String>| cut.map(block_start);
    ranges.into_iter().map(|range| KeyRange { lower: place(range.lower), upper: place(range.upper) }).collect()
}

/// The ranges between cuts, each cut the first key after one.
pub(crate) fn between(cuts: impl Iterator<Item = String>) -> Vec<KeyRange> {
    let mut ranges = Vec::new();
    let mut lower = None;
    for cut in cuts {
        ranges.push(KeyRange { lower: lower.replace(cut.clone()), upper: Some(cut) });
    }
    ranges.push(KeyRange { lower, upper: None });
    ranges
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn identifiers_are_cut_by_prefix() {
        let cut = |text: &str| Some(format!("{text}-0000-0000-0000-000000000000"));
        assert_eq!(uuid_ranges(1), [KeyRange::all()]);
        assert_eq!(
            uuid_ranges(3),
            [
                KeyRange { lower: None, upper: cut("55555555") },
                KeyRange { lower: cut("55555555"), upper: cut("aaaaaaaa") },
                KeyRange { lower: cut("aaaaaaaa"), upper: None }
            ]
        );
    }

    proptest! {
        #[test]
        fn integers_lie_in_exactly_one_range(one: i64, other: i64, key: i64, wanted in 0_usize..40) {
            let ranges = integer_ranges(one.min(other), one.max(other), wanted);
            prop_assert!(!ranges.is_empty() && ranges.len() <= wanted.max(1));
            let holds = |range: &&KeyRange| {
                let at_least = range.lower.as_ref().is_none_or(|lower| key >= lower.parse::<i64>().unwrap());
                at_least && range.upper.as_ref().is_none_or(|upper| key < upper.parse::<i64>().unwrap())
            };
            prop_assert_eq!(ranges.iter().filter(holds).count(), 1);
            for range in &ranges {
                prop_assert!(range.lower.is_none() || range.lower != range.upper);
            }
        }
    }
}
