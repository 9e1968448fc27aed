//! Cuts a table's key space into ranges of about equal size.

use migrate_core::Result;
use migrate_core::catalog::ScalarKind;
use migrate_core::names::FieldName;
use migrate_core::record::Record;
use migrate_core::source::KeyRange;
use migrate_core::value::Value;

use crate::client::Client;
use crate::place::{block_of, block_start};
use crate::query::{Comparison, Filter, ReadQuery, ascending, quote};
use crate::table_read::TableRead;

/// The cuts of one table that is read through the data API, where nothing tells how its keys are spread.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ranges<'a> {
    pub(crate) client: &'a Client,
    pub(crate) read: &'a TableRead,
    pub(crate) filters: &'a [Filter],
    /// How many ranges are wanted, at most.
    pub(crate) wanted: usize,
}

impl Ranges<'_> {
    /// Ranges of the leading key column, by its type.
    ///
    /// # Errors
    /// Those of the requests.
    pub(crate) async fn by_kind(&self, leading: &FieldName, kind: ScalarKind) -> Result<Vec<KeyRange>> {
        match kind {
            _ if self.read.by_place => self.place_ranges().await,
            ScalarKind::Uuid | ScalarKind::Int4 | ScalarKind::Int8 => self.even_ranges(leading, kind).await,
            ScalarKind::Text
            | ScalarKind::Enum
            | ScalarKind::Numeric
            | ScalarKind::Float8
            | ScalarKind::TimestampTz
            | ScalarKind::Timestamp
            | ScalarKind::Date => self.probed_ranges(leading).await,
            _ => Ok(vec![KeyRange::all()]),
        }
    }

    /// The row with the smallest or largest leading key; `None` for an empty table.
    async fn outermost(&self, leading: &FieldName, direction: &str) -> Result<Option<Record>> {
        let query = ReadQuery {
            select: Some(self.read.select.clone()),
            filters: self.filters.to_vec(),
            order: Some(format!("{}.{direction}", quote(leading.as_str()))),
            limit: Some(1),
            ..ReadQuery::of(&self.read.shape.table)
        };
        let (records, _) = self.client.rows(&query, self.read, "read the outermost keys").await?;
        Ok(records.into_iter().next())
    }

    /// The blocks of a table, or its whole where it has partitions.
    async fn place_ranges(&self) -> Result<Vec<KeyRange>> {
        let [place] = self.read.key.as_slice() else { return Ok(vec![KeyRange::all()]) };
        let last = self.outermost(place, "desc").await?;
        Ok(last
            .as_ref()
            .and_then(block_of)
            .map_or_else(|| vec![KeyRange::all()], |last| block_ranges(last, self.wanted)))
    }

    /// The key texts of the rows with the smallest and the largest leading key.
    async fn ends(&self, leading: &FieldName) -> Result<Option<(String, String)>> {
        let text = |record: Option<Record>| record?.get(leading.as_str())?.key_text();
        let smallest = text(self.outermost(leading, "asc").await?);
        let largest = text(self.outermost(leading, "desc").await?);
        Ok(smallest.zip(largest))
    }

    /// Equal spans of the keys there are, for keys that can be counted.
    async fn even_ranges(&self, leading: &FieldName, kind: ScalarKind) -> Result<Vec<KeyRange>> {
        let Some((smallest, largest)) = self.ends(leading).await? else { return Ok(vec![KeyRange::all()]) };
        let ranges = if kind == ScalarKind::Uuid {
            let ends = uuid_number(&smallest).zip(uuid_number(&largest));
            ends.map(|(smallest, largest)| uuid_ranges(smallest, largest, self.wanted))
        } else {
            let ends = smallest.parse().ok().zip(largest.parse().ok());
            ends.map(|(smallest, largest)| integer_ranges(smallest, largest, self.wanted))
        };
        Ok(ranges.unwrap_or_else(|| vec![KeyRange::all()]))
    }

    /// Cuts at the keys that evenly many rows come before: the server walks the key's index from each to the next, so that
    /// they ascend whatever rows come and go meanwhile.
    async fn probed_ranges(&self, leading: &FieldName) -> Result<Vec<KeyRange>> {
        let table = &self.read.shape.table;
        let rows = self.client.count_where(table, self.filters).await?;
        let step = rows / self.wanted as u64;
        let mut cuts: Vec<String> = Vec::new();
        while cuts.len() + 1 < self.wanted && step > 0 {
            let last = cuts.last().map(|last| Filter::Compare(quote(leading.as_str()), Comparison::Gt, last.clone()));
            let offset = Filter::Parameter("offset".to_owned(), step.to_string());
            let query = ReadQuery {
                select: Some(self.read.select.clone()),
                filters: last.into_iter().chain([offset]).chain(self.filters.iter().cloned()).collect(),
                order: Some(ascending(std::slice::from_ref(leading))),
                limit: Some(1),
                ..ReadQuery::of(table)
            };
            let (found, _) = self.client.rows(&query, self.read, "look for even parts of the table").await?;
            match found.first().and_then(|record| record.get(leading.as_str())).and_then(Value::key_text) {
                Some(key) => cuts.push(key),
                None => break,
            }
        }
        Ok(between(cuts.into_iter()))
    }
}

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
