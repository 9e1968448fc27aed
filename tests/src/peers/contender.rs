//! What is measured: one entry for each, and how it is run once.

use std::path::Path;

use super::floors::{self, Floor};
use super::jsonl_tools::{self, Tool};
use super::null_sink;
use super::scripts::{self, Script};
use crate::large_migration::{self, LargeMigration, Route};
use crate::large_table::LargeTable;
use crate::local_stack::Result;
use crate::measured::Measured;
use crate::project::Profile;

/// Rows of the script that pages by offset: a page costs all rows before it, so that a million would take hours.
const MOST_BY_OFFSET: u32 = 200_000;

/// Something that reads the large table, and mostly writes it somewhere.
#[derive(Debug, Clone, Copy)]
pub struct Contender {
    /// What results call it.
    pub name: &'static str,
    /// What it does, in a few words.
    pub what: &'static str,
    kind: Kind,
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    Floor(Floor),
    Script(Script),
    Tool(Tool),
    Ours(Route),
    OursToNothing,
}

/// All of them, in the order of the table.
pub const CONTENDERS: [Contender; 11] = [
    contender("floor_row_to_json", "COPY (SELECT row_to_json …), thrown away", Kind::Floor(Floor::RowToJson)),
    contender("floor_copy_binary", "COPY … (FORMAT binary), thrown away", Kind::Floor(Floor::CopyBinary)),
    contender("floor_postgrest", "pages of PostgREST, thrown away", Kind::Floor(Floor::Postgrest)),
    contender("script_usual", "supabase-js by offset → ConvexHttpClient by 100", Kind::Script(Script::Usual)),
    contender("script_tuned", "supabase-js by key → ConvexHttpClient by 1,000, 4 at once", Kind::Script(Script::Tuned)),
    contender("sling", "sling: Postgres → JSONL", Kind::Tool(Tool::Sling)),
    contender("dlt", "dlt: Postgres → JSONL", Kind::Tool(Tool::Dlt)),
    contender("ours_rest_mutations", "migrate-run: REST → mutations", Kind::Ours(large_migration::REST_MUTATIONS)),
    contender("ours_rest_zip", "migrate-run: REST → ZIP", Kind::Ours(large_migration::REST_ZIP)),
    contender("ours_postgres_zip", "migrate-run: Postgres → ZIP", Kind::Ours(large_migration::POSTGRES_ZIP)),
    contender("ours_postgres_null", "the pipeline of migrate-run: Postgres → null sink", Kind::OursToNothing),
];

const fn contender(name: &'static str, what: &'static str, kind: Kind) -> Contender {
    Contender { name, what, kind }
}

/// A run whose rows are all there.
#[derive(Debug)]
pub struct Run {
    /// Rows of `orders` that it read.
    pub rows: u32,
    /// What it took.
    pub measured: Measured,
    /// What else there is to say.
    pub note: Option<String>,
}

impl Contender {
    /// The one of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<&'static Self> {
        CONTENDERS.iter().find(|contender| contender.name == name)
    }

    /// True where it is `migrate-run`, as it is shipped.
    #[must_use]
    pub fn is_migrate_run(&self) -> bool {
        matches!(self.kind, Kind::Ours(_))
    }

    /// Installs what it needs. `Some` says why it cannot be run on this machine.
    ///
    /// # Errors
    /// When npm's packages cannot be installed.
    pub async fn prepare(&self) -> Result<Option<String>> {
        match self.kind {
            Kind::Floor(_) | Kind::Ours(_) | Kind::OursToNothing => Ok(None),
            Kind::Script(_) => scripts::prepare().await.map(|()| None),
            Kind::Tool(tool) => jsonl_tools::prepare(tool).await,
        }
    }

    /// Runs it once, in a folder that is there and empty, with migrate programs of `profile`.
    ///
    /// # Errors
    /// When it fails, or a row is missing.
    pub async fn run(&self, table: &LargeTable, folder: &Path, profile: Profile) -> Result<Run> {
        let all = |measured| Run { rows: table.orders(), measured, note: None };
        Ok(match self.kind {
            Kind::Floor(floor) => {
                let (measured, note) = floors::run(floor, table, folder).await?;
                Run { note, ..all(measured) }
            }
            Kind::Script(script) => {
                let rows = match script {
                    Script::Usual => table.orders().min(MOST_BY_OFFSET),
                    Script::Tuned => table.orders(),
                };
                Run { rows, ..all(scripts::run(script, table, rows, folder).await?) }
            }
            Kind::Tool(tool) => all(jsonl_tools::run(tool, table, folder).await?),
            Kind::OursToNothing => all(null_sink::run(table, folder, profile).await?),
            Kind::Ours(route) => all(LargeMigration::plan(table, route, folder, profile).await?.run().await?),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_there_once() {
        let names: std::collections::BTreeSet<&str> = CONTENDERS.iter().map(|contender| contender.name).collect();
        assert_eq!(names.len(), CONTENDERS.len());
        assert!(CONTENDERS.iter().all(|contender| Contender::named(contender.name).is_some()));
        assert!(Contender::named("pigeon").is_none());
    }
}
