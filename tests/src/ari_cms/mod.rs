//! The example `ari-cms` as a test case: its schema, its rows and what a migration of them must come to.
//!
//! The rows are made by a generator with a fixed seed, so that every run, machine and test sees the same ones: ids,
//! times and values are all written out, and Postgres is asked for no default and no clock.
//!
//! - [`Scenario::Full`] holds every table and every kind of value that has broken a hand-written migration: NULL in each
//!   nullable column, microseconds, one phone number in two workspaces, a table over PostgREST's 1,000-row cap, text that
//!   needs escaping, and contacts which the target does not know.
//! - [`Scenario::Seed`] is the near-empty state in which the example's original migration was run: eight empty tables,
//!   two rows in one, and three tables that do not exist.

mod bookings;
mod cms;
mod dataset;
mod parents;
mod random;
mod samples;
mod sql;
mod tables;

use std::{fmt, str::FromStr};

pub use parents::{AriConversationParent, ContactParent, ConversationParent, Parents, WorkspaceParent};

use dataset::Dataset;

/// The schema that both scenarios have.
const SCHEMA: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/ari-cms/supabase/schema.sql"));
/// The three tables that only [`Scenario::Full`] has.
const CMS: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/ari-cms/supabase/cms.sql"));

/// The tables that the example migrates, parents before children.
pub const TABLES: [&str; 12] = [
    "ari_destinations",
    "ari_payments",
    "ari_appointments",
    "ari_ai_comparison",
    "ari_flow_stages",
    "ari_knowledge_categories",
    "ari_knowledge_entries",
    "ari_scoring_config",
    "consultant_slots",
    "articles",
    "webinars",
    "webinar_registrations",
];

/// Which state of the example's database to make.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scenario {
    /// All twelve tables, with rows.
    Full,
    /// Nine tables, eight of them empty and `consultant_slots` with two rows; the three CMS tables are absent.
    Seed,
}

impl fmt::Display for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full => "full",
            Self::Seed => "seed",
        })
    }
}

/// A scenario's name that is neither `full` nor `seed`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no scenario is named `{0}`: use `full` or `seed`")]
pub struct UnknownScenario(String);

impl FromStr for Scenario {
    type Err = UnknownScenario;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        match name {
            "full" => Ok(Self::Full),
            "seed" => Ok(Self::Seed),
            other => Err(UnknownScenario(other.to_owned())),
        }
    }
}

/// What one table holds and what a migration of it must come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TableCount {
    /// The table's name in Postgres.
    pub table: &'static str,
    /// Whether the scenario's database has the table at all.
    pub present: bool,
    /// Rows in the source.
    pub rows: usize,
    /// Rows whose contact is not in [`Parents`], so that they have nothing to refer to in Convex.
    pub rejected: usize,
    /// Rows with a JSON number that changes when it is read into a double. They are not part of `rejected`: whether
    /// such a row is refused or rounded is the plan's choice.
    pub inexact_json: usize,
}

/// The DDL of a scenario, as one script of several statements.
#[must_use]
pub fn schema_sql(scenario: Scenario) -> String {
    match scenario {
        Scenario::Full => format!("{SCHEMA}\n{CMS}"),
        Scenario::Seed => SCHEMA.to_owned(),
    }
}

/// The rows of a scenario as INSERT statements, the same text every time. Load [`schema_sql`] first.
#[must_use]
pub fn seed_sql(scenario: Scenario) -> String {
    Dataset::generate(scenario).to_sql()
}

/// The rows that Convex must hold before the migration starts. In [`Scenario::Full`] some contacts of the source are
/// left out on purpose.
#[must_use]
pub fn parents(scenario: Scenario) -> Parents {
    Dataset::generate(scenario).parents()
}

/// One entry for each of [`TABLES`], in that order.
#[must_use]
pub fn expected_counts(scenario: Scenario) -> Vec<TableCount> {
    Dataset::generate(scenario).counts()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn names_round_trip() {
        for scenario in [Scenario::Full, Scenario::Seed] {
            assert_eq!(scenario.to_string().parse(), Ok(scenario));
        }
        let error = "Full".parse::<Scenario>().unwrap_err();
        assert_eq!(error.to_string(), "no scenario is named `Full`: use `full` or `seed`");
    }

    #[test]
    fn the_text_is_the_same_every_time() {
        assert_eq!(seed_sql(Scenario::Full), seed_sql(Scenario::Full));
        assert!(!seed_sql(Scenario::Full).contains("now()"));
    }

    #[test]
    fn full_has_rows_in_every_table_and_rejects_where_contacts_are_missing() {
        let counts = expected_counts(Scenario::Full);
        assert_eq!(counts.iter().map(|count| count.table).collect::<Vec<_>>(), TABLES);
        for count in &counts {
            let TableCount { table, rows, rejected, .. } = *count;
            assert!(count.present, "{table}");
            match table {
                "ari_scoring_config" => assert_eq!(rows, 2),
                "ari_knowledge_entries" => assert_eq!(rows, 2_500),
                _ => assert!(rows >= 40, "{table} has {rows} rows"),
            }
            let depends_on_contacts = ["ari_payments", "ari_appointments", "webinar_registrations"].contains(&table);
            assert_eq!(rejected > 0, depends_on_contacts, "{table} has {rejected} rejects");
        }
    }

    #[test]
    fn full_leaves_contacts_out_of_the_parents() {
        let parents = parents(Scenario::Full);
        assert_eq!(parents.workspaces.len(), 2);
        assert_eq!(parents.contacts.len(), 300 - 4);
        let known: HashSet<_> = parents.contacts.iter().map(|c| (&c.workspace_slug, &c.phone)).collect();
        assert_eq!(known.len(), parents.contacts.len(), "the natural key is unique");
        assert!(parents.ari_conversations.iter().all(|c| known.contains(&(&c.workspace_slug, &c.contact_phone))));
        assert!(parents.conversations.iter().all(|c| known.contains(&(&c.workspace_slug, &c.contact_phone))));
        let phones: HashSet<_> = parents.contacts.iter().map(|c| &c.phone).collect();
        assert!(phones.len() < parents.contacts.len() - 50, "many phones are in both workspaces");
    }

    #[test]
    fn seed_is_nearly_empty() {
        for TableCount { table, present, rows, rejected, .. } in expected_counts(Scenario::Seed) {
            let absent = ["articles", "webinars", "webinar_registrations"].contains(&table);
            assert_eq!(present, !absent, "{table}");
            assert_eq!(rows, if table == "consultant_slots" { 2 } else { 0 }, "{table}");
            assert_eq!(rejected, 0, "{table}");
        }
        assert_eq!(parents(Scenario::Seed).workspaces.len(), 1);
        assert!(!schema_sql(Scenario::Seed).contains("webinars"));
    }
}
