//! The pipeline of `migrate-run` from Postgres into nothing: what all costs but writing.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use convex_sink::{ConvexSettings, ConvexSink};
use migrate_core::layer::{DryRun, Limit, Retry, RetryPolicy, Timeout};
use migrate_core::plan::Plan;
use migrate_core::report::ReportBuilder;
use migrate_core::state::{SqliteState, StateStore as _};
use migrate_core::{Pipeline, Source};
use supabase_source::{PostgresSettings, PostgresSource};

use super::child::{counted, this_program};
use crate::large_migration::{LargeMigration, POSTGRES_NULL};
use crate::large_table::LargeTable;
use crate::local_stack::{Error, Result};
use crate::measured::Measured;
use crate::project::Profile;

/// Nothing is ever sent there.
const NOWHERE: &str = "http://127.0.0.1:1";
/// As in `migrate-run`: the first page of a table may come after all its rows were sorted.
const LONGEST: Duration = Duration::from_hours(1);

/// Plans with `migrate-plan`, and migrates in a program of its own, in a folder that is there and empty.
pub(super) async fn run(table: &LargeTable, folder: &Path, profile: Profile) -> Result<Measured> {
    let migration = LargeMigration::plan(table, POSTGRES_NULL, folder, profile).await?;
    let mut command = this_program()?;
    command.arg("migrate-into-nothing").arg(migration.plan_file()).arg(folder.join("state.sqlite"));
    command.env("SUPABASE_DB_URL", table.supabase().database_url());
    counted(command, folder, &table.orders().to_string()).await
}

/// Reads all tables of a plan, converts, resolves and measures their rows, keeps their ids in a new state, and gives the
/// number of documents that there would be in the sink's table `orders`.
pub(super) async fn migrate(plan: &Path, url: String, state: &Path) -> Result<u64> {
    let failed = |error: &dyn std::fmt::Display| Error::new(format!("failed to migrate into nothing: {error}"));
    let plan = fs::read_to_string(plan).map_err(|error| failed(&error))?;
    let plan: Plan = serde_json::from_str(&plan).map_err(|error| failed(&error))?;
    let report = Arc::new(ReportBuilder::start("null-sink", &plan, true));
    let readers = plan.run.tables_in_parallel.max(1);
    let settings = PostgresSettings { connections: readers, ..PostgresSettings::new(url) };
    let source =
        Limit::new(Timeout::new(PostgresSource::new(settings).map_err(|error| failed(&error))?, LONGEST), readers);
    let source: Arc<dyn Source> = Arc::new(Retry::new(source, RetryPolicy::default(), report.clone()));
    // A dry run of the real sink: documents are measured as it measures them.
    let sink = ConvexSink::new(ConvexSettings::new(NOWHERE, "none".into())).map_err(|error| failed(&error))?;
    let sink = Arc::new(DryRun::new(sink));
    let state = SqliteState::open(state).map_err(|error| failed(&error))?;
    state.bind(&plan.fingerprint).await.map_err(|error| failed(&error))?;
    let pipeline = Pipeline::new(plan, source, sink, Arc::new(state)).observer(report.clone());
    pipeline.run().await.map_err(|error| failed(&error))?;
    let tables = report.report(None).tables;
    if let Some((name, _)) = tables.iter().find(|(_, table)| table.source != table.migrated) {
        return Err(failed(&format!("not all rows of {name} were migrated")));
    }
    tables.get("orders").map(|table| table.migrated).ok_or_else(|| failed(&"the plan has no orders"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn every_row_goes_through() {
        let folder = tempfile::tempdir().unwrap();
        let table = LargeTable::start(2_500).await.unwrap();
        let migration = LargeMigration::plan(&table, POSTGRES_NULL, folder.path(), Profile::Own).await.unwrap();
        let (url, state) = (table.supabase().database_url(), folder.path().join("state.sqlite"));
        assert_eq!(migrate(&migration.plan_file(), url.clone(), &state).await.unwrap(), 2_500);
        let client = table.supabase().client().await.unwrap();
        client.batch_execute("delete from orders where quantity % 2 = 0").await.unwrap();
        let state = folder.path().join("again.sqlite");
        assert_eq!(migrate(&migration.plan_file(), url, &state).await.unwrap(), 1_250);
    }
}
