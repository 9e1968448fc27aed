//! The source that the configuration names: the data API, or Postgres itself.

use std::sync::Arc;
use std::time::Duration;

use migrate_core::layer::{Limit, Retry, RetryPolicy, Timeout};
use migrate_core::observe::Observer;
use migrate_core::plan::{Access, MigrateConfig, Plan};
use migrate_core::stop::Stop;
use migrate_core::{Error, ErrorKind, Result, Source};
use supabase_source::{PostgresSettings, PostgresSource, SupabaseSource};

use super::{AccessOptions, expected_tables, supabase};
use crate::environment::Environment;

/// Longest wait for one answer of the data API, whose own limit is 60 s.
const REST_TIMEOUT: Duration = Duration::from_secs(75);

/// Longest wait for one page of Postgres: the first of a table may come after all its rows were sorted.
const POSTGRES_TIMEOUT: Duration = Duration::from_hours(1);

/// The source without layers. `plan` has the row filters.
///
/// # Errors
/// `Config` for settings that are missing or cannot be.
pub(super) fn bare(
    environment: &Environment,
    config: &MigrateConfig,
    plan: Option<&Plan>,
    access: AccessOptions,
) -> Result<Arc<dyn Source>> {
    let filters = plan.into_iter().flat_map(|plan| &plan.tables);
    let filters =
        filters.filter_map(|table| table.filter.clone().map(|filter| (table.read_from().clone(), filter))).collect();
    match config.supabase.access {
        Access::Rest => {
            let mut settings = supabase(environment, config, access)?;
            settings.filters = filters;
            Ok(Arc::new(SupabaseSource::new(settings)?))
        }
        Access::Postgres => {
            let url = environment.database_url().ok_or_else(|| {
                Error::new(ErrorKind::Config, "find the connection string of the project's Postgres").with_remedy(
                    "set SUPABASE_DB_URL in the environment, .env.local or .env, or set supabase.access = \"rest\"",
                )
            })?;
            let mut settings = PostgresSettings::new(url);
            settings.schemas.clone_from(&config.supabase.schemas);
            settings.expected_tables = expected_tables(config);
            settings.count_rows = true;
            settings.filters = filters;
            settings.allow_partial = access.allow_partial;
            settings.connections = plan.map_or(&config.run, |plan| &plan.run).tables_in_parallel.max(1);
            Ok(Arc::new(PostgresSource::new(settings)?))
        }
    }
}

/// A source in the layers of a run.
pub(super) fn layered(
    source: Arc<dyn Source>,
    config: &MigrateConfig,
    plan: &Plan,
    observer: Arc<dyn Observer>,
    stop: Stop,
) -> Arc<dyn Source> {
    let timeout = match config.supabase.access {
        Access::Rest => REST_TIMEOUT,
        Access::Postgres => POSTGRES_TIMEOUT,
    };
    let limited = Limit::new(Timeout::new(source, timeout), plan.run.tables_in_parallel.max(1));
    Arc::new(Retry::new(limited, RetryPolicy::default(), observer).with_stop(stop))
}
