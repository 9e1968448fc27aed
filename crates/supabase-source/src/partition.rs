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

/// Equal spans between the smallest and the largest identifier: random ones (version 4) are spread evenly over all of
/// them, those that begin with a time (versions 1, 6 and 7) over the times that there are. Postgres compares them byte by
/// byte.
pub(crate) fn uuid_ranges(smallest: u128, largest: u128, wanted: usize) -> Vec<KeyRange> {
    let ranges = u128::try_from(wanted.max(1)).unwrap_or(1);
    let step = largest.saturating_sub(smallest) / ranges;
    let cuts = if step == 0 { 1..1 } else { 1..ranges };
    between(cuts.map(|index| uuid_text(smallest + step * index)))
}

/// The number that an identifier's digits are.
pub(crate) fn uuid_number(text: &str) -> Option<u128> {
    u128::from_str_radix(&text.replace('-', ""), 16).ok()
}

fn uuid_text(number: u128) -> String {
    let digits = format!("{number:032x}");
    let part = |from: usize, to: usize| digits.get(from..to).unwrap_or_default();
    [part(0, 8), part(8, 12), part(12, 16), part(16, 20), part(20, 32)].join("-")
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
    fn identifiers_are_cut_evenly() {
        let number = |text: &str| uuid_number(text).unwrap();
        let cut = |text: &str| Some(text.to_owned());
        assert_eq!(uuid_ranges(0, u128::MAX, 1), [KeyRange::all()]);
        assert_eq!(uuid_ranges(7, 8, 3), [KeyRange::all()]);
        let ranges = uuid_ranges(0, u128::MAX, 3);
        let [one, other] = ["55555555-5555-5555-5555-555555555555", "aaaaaaaa-aaaa-aaaa-aaaa-aaaaaaaaaaaa"].map(cut);
        assert_eq!(
            ranges,
            [
                KeyRange { lower: None, upper: one.clone() },
                KeyRange { lower: one, upper: other.clone() },
                KeyRange { lower: other, upper: None }
            ]
        );
        // Of version 7: all begin alike.
        let (first, last) = ("01900000-0000-7000-8000-000000000000", "01980000-0000-7000-8000-000000000000");
        let cuts: Vec<_> =
            uuid_ranges(number(first), number(last), 2).into_iter().filter_map(|range| range.upper).collect();
        assert_eq!(cuts, ["01940000-0000-7000-8000-000000000000"]);
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
