//! The numbers of the deployment's tables, which are part of every document's id.

use std::collections::{BTreeMap, BTreeSet};

use migrate_core::error::{Error, ErrorKind, Result};
use serde::{Deserialize, Serialize};

use crate::document_id::FIRST_USER_TABLE;

/// The number of each table at the sink, by its name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TableNumbers(BTreeMap<String, u32>);

impl TableNumbers {
    /// Numbers that were read from a deployment, or given.
    #[must_use]
    pub fn new(numbers: impl IntoIterator<Item = (String, u32)>) -> Self {
        Self(numbers.into_iter().collect())
    }

    /// The numbers that a new deployment gives to these tables: in the order of their names, from 10001.
    #[must_use]
    pub fn of_new_deployment<'a>(tables: impl IntoIterator<Item = &'a str>) -> Self {
        let names: BTreeSet<&str> = tables.into_iter().collect();
        Self(names.into_iter().map(str::to_owned).zip(FIRST_USER_TABLE..).collect())
    }

    /// The number of a table.
    #[must_use]
    pub fn get(&self, table: &str) -> Option<u32> {
        self.0.get(table).copied()
    }

    /// All of them, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, u32)> {
        self.0.iter().map(|(name, &number)| (name.as_str(), number))
    }

    /// The numbers of some tables only.
    ///
    /// # Errors
    /// `Config` for a table that has none, and for two with the same.
    pub fn of<'a>(&self, tables: impl IntoIterator<Item = &'a str>) -> Result<Self> {
        let mut numbers = BTreeMap::new();
        let mut missing = Vec::new();
        for table in tables {
            match self.get(table) {
                Some(number) => {
                    numbers.insert(table.to_owned(), number);
                }
                None => missing.push(table),
            }
        }
        if !missing.is_empty() {
            return Err(Error::new(ErrorKind::Config, "know the number of every table")
                .with_context("tables", missing.join(", "))
                .with_remedy("deploy the schema first, which makes the tables: npx convex deploy"));
        }
        let mut seen = BTreeSet::new();
        if let Some((table, number)) = numbers.iter().find(|&(_, number)| *number == 0 || !seen.insert(*number)) {
            return Err(Error::new(ErrorKind::Config, "give each table a number of its own")
                .with_context("table", table)
                .with_context("number", number));
        }
        Ok(Self(numbers))
    }

    /// Refuses other numbers than those that a snapshot was made with.
    ///
    /// # Errors
    /// `State` with the tables whose numbers differ.
    pub fn check(&self, now: &Self) -> Result<()> {
        let differ: Vec<String> = self
            .iter()
            .filter(|&(table, number)| now.get(table) != Some(number))
            .map(|(table, number)| match now.get(table) {
                Some(now) => format!("{table} was {number} and is {now}"),
                None => format!("{table} was {number} and is gone"),
            })
            .collect();
        if differ.is_empty() {
            return Ok(());
        }
        Err(Error::new(ErrorKind::State, "use a snapshot whose tables have other numbers in the deployment now")
            .with_context("tables", differ.join(", "))
            .with_remedy("begin anew: --fresh"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_deployment_numbers_by_name() {
        let numbers = TableNumbers::of_new_deployment(["orders", "customers", "orders"]);
        assert_eq!(numbers.iter().collect::<Vec<_>>(), [("customers", 10_001), ("orders", 10_002)]);
    }

    #[test]
    fn every_table_needs_a_number_of_its_own() {
        let numbers = TableNumbers::new([("a".to_owned(), 10_001), ("b".to_owned(), 10_001)]);
        assert_eq!(numbers.of(["a"]).unwrap().get("a"), Some(10_001));
        assert!(numbers.of(["a", "c"]).unwrap_err().to_string().contains('c'));
        assert_eq!(numbers.of(["a", "b"]).unwrap_err().kind(), ErrorKind::Config);
    }

    #[test]
    fn numbers_that_changed_are_named() {
        let made = TableNumbers::new([("a".to_owned(), 10_001), ("b".to_owned(), 10_002)]);
        let now = TableNumbers::new([("a".to_owned(), 10_001), ("b".to_owned(), 10_003), ("c".to_owned(), 10_002)]);
        assert!(made.check(&made).is_ok());
        let error = made.check(&now).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::State);
        assert!(error.to_string().contains("b was 10002 and is 10003"), "{error}");
    }
}
