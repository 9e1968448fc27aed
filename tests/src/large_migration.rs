//! A [`LargeTable`], migrated by the real `migrate-run` into convex-bench or into an archive.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

use crate::convex_bench::{ConvexBench, ConvexBenchOptions, Counters};
use crate::large_table::LargeTable;
use crate::local_stack::{Error, Result};
use crate::measured::{Measured, run_logged};
use crate::project::{Deployment, Profile, ProjectFolder, output};

/// The file that a route to an archive writes, in the project's folder.
const ARCHIVE: &str = "archive.zip";

/// The data API does not tell how many digits a numeric has, Postgres does: both shall make the same documents. As many
/// partitions are read at every size as are of a large table, so that sizes can be compared.
const SETTINGS: &str = "run.partitions = 4
tables.products.columns.price.type = \"number\"
tables.orders.columns.total.type = \"number\"
";

/// From where to where the rows go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Route {
    /// What `migrate.toml` says of it.
    pub configuration: &'static str,
    /// What `migrate-run` is told.
    pub arguments: &'static [&'static str],
    /// Where documents arrive.
    pub arrives: Arrives,
}

/// Where documents arrive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arrives {
    /// In convex-bench, which counts them.
    Deployment,
    /// In a file.
    Archive,
    /// Nowhere.
    Nowhere,
}

/// From the data API by mutations: what `migrate-run` does without being told otherwise.
pub const REST_MUTATIONS: Route = Route { configuration: "", arguments: &[], arrives: Arrives::Deployment };
/// From the data API into an archive.
pub const REST_ZIP: Route = Route {
    configuration: "[convex]\nwrite = \"snapshot\"\n",
    arguments: &["--out", ARCHIVE],
    arrives: Arrives::Archive,
};
/// Straight from Postgres into an archive.
pub const POSTGRES_ZIP: Route = Route {
    configuration: "[supabase]\naccess = \"postgres\"\n[convex]\nwrite = \"snapshot\"\n",
    arguments: &["--out", ARCHIVE],
    arrives: Arrives::Archive,
};
/// Straight from Postgres into nothing, which no program of ours but `peers` does: it can be planned only.
pub const POSTGRES_NULL: Route =
    Route { configuration: "[supabase]\naccess = \"postgres\"\n", arguments: &[], arrives: Arrives::Nowhere };

/// A migration that is planned, and of which nothing is done yet.
#[derive(Debug)]
pub struct LargeMigration<'a> {
    table: &'a LargeTable,
    route: Route,
    folder: ProjectFolder,
    convex: ConvexBench,
}

impl<'a> LargeMigration<'a> {
    /// Plans a migration in `folder`, which is there and empty, with migrate programs of `profile`.
    ///
    /// # Errors
    /// When a part of the stack does not start, or a program fails; the message has what it printed.
    pub async fn plan(table: &'a LargeTable, route: Route, folder: &Path, profile: Profile) -> Result<Self> {
        let convex = ConvexBench::start(ConvexBenchOptions::default()).await;
        let convex = convex.map_err(|error| Error::new(format!("failed to start convex-bench: {error}")))?;
        Self::plan_into(table, route, folder, profile, convex).await
    }

    /// As [`LargeMigration::plan`], into this deployment.
    ///
    /// # Errors
    /// As there.
    pub async fn plan_into(
        table: &'a LargeTable,
        route: Route,
        folder: &Path,
        profile: Profile,
        convex: ConvexBench,
    ) -> Result<Self> {
        let failed = |error: std::io::Error| Error::new(format!("failed to set up {}: {error}", folder.display()));
        let project = ProjectFolder::new(folder, profile).await?;
        let names = table.tables().map(|(name, _)| format!("{name:?}")).join(", ");
        let configuration = format!("include = [{names}]\n{SETTINGS}{}", route.configuration);
        fs::write(folder.join("migrate.toml"), configuration).map_err(failed)?;
        let migration = Self { table, route, folder: project, convex };
        for name in ["migrate-discover", "migrate-plan"] {
            let Output { status, stdout, stderr } = output(migration.program(name, &[])).await?;
            if !status.success() {
                let printed = [stdout, stderr].concat();
                return Err(Error::new(format!("{name} ended with {status}:\n{}", String::from_utf8_lossy(&printed))));
            }
        }
        Ok(migration)
    }

    /// The plan, as `migrate-plan` wrote it.
    #[must_use]
    pub fn plan_file(&self) -> PathBuf {
        self.folder.path().join("plan.json")
    }

    /// The deployment.
    #[must_use]
    pub fn convex(&self) -> &ConvexBench {
        &self.convex
    }

    fn program(&self, name: &str, arguments: &[&str]) -> Command {
        let (supabase, url) = (self.table.supabase(), self.convex.url());
        let convex = Deployment { url: &url, admin_key: self.convex.admin_key() };
        // Convex-bench has no functions for imports: an archive is made for a new deployment.
        let convex = (self.route.arrives == Arrives::Deployment).then_some(convex);
        let mut program = self.folder.program(name, arguments, supabase, convex);
        if self.route.configuration.contains("access = \"postgres\"") {
            program.env("SUPABASE_DB_URL", supabase.database_url());
        }
        program
    }

    /// Runs `migrate-run` to its end, and checks that every row was migrated.
    ///
    /// # Errors
    /// When it does not end with exit code 0, with what it printed; when a count of the report or of convex-bench is
    /// not the number of rows; when there is no archive where there should be one.
    pub async fn run(&self) -> Result<Measured> {
        let log = self.folder.path().join("migrate-run.log");
        let arguments = [&["--quiet"], self.route.arguments].concat();
        let measured = run_logged(self.program("migrate-run", &arguments), &log).await?;
        self.check(&self.folder.report()?)?;
        Ok(measured)
    }

    /// Runs `migrate-verify` to its end, which finds no difference. The deployment must keep its documents.
    ///
    /// # Errors
    /// When it does not end with exit code 0, with what it printed; when it compared another number of documents.
    pub async fn verify(&self) -> Result<Measured> {
        let log = self.folder.path().join("migrate-verify.log");
        let file = self.folder.path().join("verify.json");
        let arguments = ["--quiet", "--exclusive", "--out", "verify.json"];
        let measured = run_logged(self.program("migrate-verify", &arguments), &log).await?;
        let failed = |error: &dyn std::fmt::Display| Error::new(format!("failed to read {}: {error}", file.display()));
        let text = fs::read_to_string(&file).map_err(|error| failed(&error))?;
        let verification: Value = serde_json::from_str(&text).map_err(|error| failed(&error))?;
        let mut wrong = Wrong::default();
        for (table, rows) in self.table.tables() {
            for count in ["source", "documents", "same"] {
                let found = verification["tables"][table][count].as_u64();
                wrong.unless_equal(&format!("verification, {table}, {count}"), found, rows);
            }
        }
        wrong.result()?;
        Ok(measured)
    }

    /// Every row is written once, by the report and by what documents arrived in.
    fn check(&self, report: &Value) -> Result<()> {
        let mut wrong = Wrong::default();
        for (table, rows) in self.table.tables() {
            for (count, expected) in [("source", rows), ("migrated", rows), ("inserted", rows), ("rejected", 0)] {
                let found = report["tables"][table][count].as_u64();
                wrong.unless_equal(&format!("report, {table}, {count}"), found, expected);
            }
        }
        match self.route.arrives {
            Arrives::Deployment => check_documents(&self.convex, &self.table.tables(), &mut wrong),
            Arrives::Archive => {
                // A document of it cannot take less than its random parts, whatever packs it.
                let bytes = fs::metadata(self.folder.path().join(ARCHIVE)).map_or(0, |file| file.len());
                if bytes < 32 * u64::from(self.table.orders()) {
                    wrong.0.push(format!("archive: {bytes} bytes are too few"));
                }
            }
            Arrives::Nowhere => {}
        }
        wrong.result()
    }
}

/// Counts that are not what they should be.
#[derive(Debug, Default)]
pub(crate) struct Wrong(Vec<String>);

impl Wrong {
    fn unless_equal(&mut self, what: &str, found: Option<u64>, expected: u64) {
        if found != Some(expected) {
            let found = found.map_or_else(|| "nothing".to_owned(), |found| found.to_string());
            self.0.push(format!("{what}: {found}, not {expected}"));
        }
    }

    /// # Errors
    /// Where there is a wrong count.
    pub(crate) fn result(self) -> Result<()> {
        let Self(wrong) = self;
        if wrong.is_empty() { Ok(()) } else { Err(Error::new(format!("the counts differ: {}", wrong.join("; ")))) }
    }
}

/// Whether convex-bench has these documents and was asked for nothing else.
pub(crate) fn check_documents(convex: &ConvexBench, tables: &[(&str, u64)], wrong: &mut Wrong) {
    let Counters { inserted, updated, unchanged, duplicates, function_errors, .. } = convex.counters();
    let stored = convex.document_counts();
    for (table, rows) in tables {
        let documents = stored.get(*table).and_then(|documents| u64::try_from(*documents).ok());
        wrong.unless_equal(&format!("convex-bench, documents in {table}"), documents, *rows);
    }
    for (count, found, expected) in [
        ("inserted", inserted, tables.iter().map(|(_, rows)| rows).sum()),
        ("updated", updated, 0),
        ("unchanged", unchanged, 0),
        ("duplicates", duplicates, 0),
        ("function errors", function_errors, 0),
    ] {
        wrong.unless_equal(&format!("convex-bench, {count}"), Some(found), expected);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn every_row_is_written_once_and_the_peak_is_measured() {
        let folder = tempfile::tempdir().unwrap();
        let table = LargeTable::start(2_500).await.unwrap();
        assert!((500.0..560.0).contains(&table.bytes_per_row().await.unwrap()));
        let migration = LargeMigration::plan(&table, REST_MUTATIONS, folder.path(), Profile::Own).await.unwrap();
        let measured = migration.run().await.unwrap();
        assert!((1 << 20..150 << 20).contains(&measured.peak_bytes), "{} bytes", measured.peak_bytes);
        assert!(!measured.cpu.is_zero());
    }

    /// Pages are bounded by bytes, too: 512 rows of 900,000 bytes would be one page for each of four partitions.
    #[tokio::test(flavor = "multi_thread")]
    async fn wide_rows_take_no_more_memory_than_a_few_pages() {
        let table = LargeTable::start_wider(512, 900_000).await.unwrap();
        for route in [REST_MUTATIONS, REST_ZIP, POSTGRES_ZIP] {
            let folder = tempfile::tempdir().unwrap();
            let migration = LargeMigration::plan(&table, route, folder.path(), Profile::Own).await.unwrap();
            let measured = migration.run().await.unwrap();
            let mebibytes = measured.peak_bytes >> 20;
            println!("{}{:?}: {mebibytes} MiB", route.configuration, route.arrives);
            assert!(mebibytes < 400, "{mebibytes} MiB: {route:?}");
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn documents_that_are_kept_are_verified() {
        let folder = tempfile::tempdir().unwrap();
        let table = LargeTable::start(2_500).await.unwrap();
        let options = ConvexBenchOptions { keep_documents: true, ..ConvexBenchOptions::default() };
        let convex = ConvexBench::start(options).await.unwrap();
        let migration =
            LargeMigration::plan_into(&table, REST_MUTATIONS, folder.path(), Profile::Own, convex).await.unwrap();
        migration.run().await.unwrap();
        migration.verify().await.unwrap();
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_count_that_differs_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let table = LargeTable::start(10).await.unwrap();
        let client = table.supabase().client().await.unwrap();
        client
            .batch_execute(
                "insert into orders select md5('one more')::uuid, customer_id, product_id, status, note, \
            total, quantity, is_paid, tags, details, created_at, updated_at from orders limit 1",
            )
            .await
            .unwrap();
        let migration = LargeMigration::plan(&table, REST_MUTATIONS, folder.path(), Profile::Own).await.unwrap();
        let error = migration.run().await.unwrap_err().to_string();
        assert!(error.contains("report, orders, migrated: 11, not 10"), "{error}");
        assert!(error.contains("convex-bench, documents in orders: 11, not 10"), "{error}");
    }
}
