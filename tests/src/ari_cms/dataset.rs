//! All rows of one scenario.

use super::{
    Parents, Scenario, TABLES, TableCount, cms,
    parents::{Sizes, Source},
    random::SplitMix64,
    sql::Rows,
    tables,
};

/// The seed of every row. Changing it changes all ids.
const RANDOM_SEED: u64 = 0x0a71_c0de_2025_0123;

const FULL: Sizes =
    // The first missing contact shares its phone number with a contact of the other workspace which is not missing: a
    // look-up that forgets the workspace finds the wrong one.
    Sizes { contacts: &[180, 120], shared_phones: 90, missing: &[(0, 5), (0, 100), (0, 150), (1, 110)] };
const SEED: Sizes = Sizes { contacts: &[12], shared_phones: 0, missing: &[] };

/// The rows of one migrated table.
#[derive(Debug)]
pub(super) struct Migrated {
    pub(super) rows: Rows,
    /// Rows that depend on a contact which Convex does not know.
    pub(super) rejected: usize,
    /// Rows with a JSON number that is not a double.
    pub(super) inexact_json: usize,
}

impl Migrated {
    pub(super) fn new(rows: Rows) -> Self {
        Self { rows, rejected: 0, inexact_json: 0 }
    }
}

/// The rows of a scenario: parents, then the migrated tables.
#[derive(Debug)]
pub(super) struct Dataset {
    source: Source,
    parents: Vec<Rows>,
    migrated: Vec<Migrated>,
}

impl Dataset {
    pub(super) fn generate(scenario: Scenario) -> Self {
        let mut random = SplitMix64::new(RANDOM_SEED);
        let sizes = match scenario {
            Scenario::Full => FULL,
            Scenario::Seed => SEED,
        };
        let source = Source::generate(&mut random, sizes);
        let parents = source.rows(&mut random);
        let migrated = match scenario {
            Scenario::Full => {
                let mut all = tables::generate(&mut random, &source);
                all.extend(cms::generate(&mut random, &source));
                all
            }
            Scenario::Seed => tables::generate_seed(&mut random, &source),
        };
        Self { source, parents, migrated }
    }

    pub(super) fn to_sql(&self) -> String {
        let mut out = String::from("SET client_encoding = 'UTF8';\nSET standard_conforming_strings = on;\n");
        for rows in self.parents.iter().chain(self.migrated.iter().map(|table| &table.rows)) {
            rows.write_to(&mut out);
        }
        out
    }

    pub(super) fn parents(&self) -> Parents {
        self.source.known_to_convex()
    }

    pub(super) fn counts(&self) -> Vec<TableCount> {
        let count = |table: &'static str| {
            let found = self.migrated.iter().find(|migrated| migrated.rows.table() == table);
            TableCount {
                table,
                present: found.is_some(),
                rows: found.map_or(0, |migrated| migrated.rows.len()),
                rejected: found.map_or(0, |migrated| migrated.rejected),
                inexact_json: found.map_or(0, |migrated| migrated.inexact_json),
            }
        };
        TABLES.into_iter().map(count).collect()
    }
}
