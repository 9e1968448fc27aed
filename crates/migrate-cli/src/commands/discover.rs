use std::sync::Arc;

use clap::Parser;
use convex_sink::CONVEX_RULES;
use migrate_core::Source as _;
use migrate_core::catalog::{Catalog, TableState};
use migrate_core::layer::{Retry, RetryPolicy};
use migrate_core::observe::Fanout;
use supabase_source::SupabaseSource;

use super::{EXIT_HELP, ProjectArguments, fail, supabase};
use crate::environment::Environment;
use crate::init::first_config;
use crate::{exit, files, output};

/// Reads what a Supabase project holds into catalog.json: tables, columns, keys, references, row counts.
///
/// Needs SUPABASE_URL and SUPABASE_SECRET_KEY (or SUPABASE_SERVICE_ROLE_KEY) in the environment, .env.local or .env.
/// With SUPABASE_DB_URL, a Postgres connection string of the same project, it reads the catalog of Postgres too, which
/// tells unique keys, checks, every reference, generated columns, and what rows leave behind.
#[expect(clippy::doc_markdown, reason = "the text is shown as help")]
#[derive(Debug, Parser)]
#[command(name = "migrate-discover", version, after_help = EXIT_HELP)]
pub(super) struct Arguments {
    #[command(flatten)]
    project: ProjectArguments,
    /// Accept a key that row-level security hides rows from
    #[arg(long)]
    allow_partial: bool,
    /// Print the catalog as JSON
    #[arg(long)]
    json: bool,
    /// Write a first, commented migrate.toml; one that is there is never overwritten
    #[arg(long)]
    init: bool,
}

pub(super) async fn main(arguments: Arguments) -> u8 {
    let path = &arguments.project.config;
    let (config, _) = match arguments.project.read() {
        Ok(read) => read,
        Err(code) => return code,
    };
    let found = async {
        let environment = Environment::read(arguments.project.folder())?;
        let source = SupabaseSource::new(supabase(&environment, &config, arguments.allow_partial)?)?;
        source.check().await?;
        let catalog = Retry::new(source, RetryPolicy::default(), Arc::new(Fanout::default())).discover().await?;
        files::write_json(&arguments.project.catalog(), &catalog)?;
        Ok(catalog)
    };
    match found.await {
        Ok(catalog) => {
            if arguments.json {
                output::data(&serde_json::to_string_pretty(&catalog).unwrap_or_default());
            } else {
                summary(&catalog);
            }
            output::note(&format!("wrote {}", arguments.project.catalog().display()));
            if arguments.init {
                let text = first_config(&catalog, &config.supabase.schemas, &CONVEX_RULES);
                match files::write_new(path, &text) {
                    Ok(true) => output::note(&format!("wrote {}", path.display())),
                    Ok(false) => output::note(&format!("{} is there already: it is left as it is", path.display())),
                    Err(error) => return fail(&error, exit::of_setup(&error)),
                }
            }
            exit::OK
        }
        Err(error) => fail(&error, exit::of_setup(&error)),
    }
}

fn summary(catalog: &Catalog) {
    output::data(&format!("{}: {} tables", catalog.origin, catalog.tables.len()));
    for table in &catalog.tables {
        let state = match table.state {
            TableState::Present | TableState::Empty => match table.rows {
                Some(rows) => format!("{rows} rows"),
                None => "rows not counted".to_owned(),
            },
            TableState::Missing => "missing".to_owned(),
            TableState::Forbidden => {
                format!(
                    "forbidden; run: grant select on {}.{} to service_role;",
                    table.name.schema(),
                    table.name.name()
                )
            }
        };
        let shape = format!("{} columns, {} references", table.columns.len(), table.foreign_keys.len());
        output::data(&format!("  {}: {state}, {shape}", table.name));
    }
    if !catalog.differences.is_empty() {
        output::data("the data API and Postgres differ:");
    }
    for difference in &catalog.differences {
        output::data(&format!("  {difference}"));
    }
    if !catalog.inventory.is_empty() {
        output::data(&format!("not moved by itself: {} things, listed in the catalog", catalog.inventory.len()));
    }
    if !catalog.unknown.is_empty() {
        output::data("not visible this way:");
    }
    for unknown in &catalog.unknown {
        output::data(&format!("  {unknown}"));
    }
}
