use std::sync::Arc;

use clap::Parser;
use convex_sink::CONVEX_RULES;
use migrate_core::Source as _;
use migrate_core::catalog::{Catalog, TableState};
use migrate_core::layer::{Retry, RetryPolicy};
use migrate_core::observe::Fanout;

use super::assess::{self, AssessArguments};
use super::{AccessOptions, ProjectArguments, fail, help, source};
use crate::environment::Environment;
use crate::init::first_config;
use crate::{VERSION, exit, files, output};

const EXAMPLES: &[(&str, &str)] = &[
    ("migrate-discover", "this folder's project"),
    ("migrate-discover --init", "and a first migrate.toml"),
    ("migrate-discover --html", "assess it before anything moves"),
    ("migrate-discover --scan sample", "the same from some rows"),
    ("migrate-discover --config cms/migrate.toml", "another one: cms/catalog.json"),
    ("migrate-discover --quiet", "in a script: errors only"),
    ("migrate-discover --json | jq '.tables[].name'", ""),
];

/// Writes catalog.json: tables, columns, keys and row counts of a Supabase project
///
/// Rows are counted, not read. The file goes beside migrate.toml, which need not be there yet. Write that one next, then
/// run migrate-plan.
///
/// With --html or --scan, it assesses the project too: which tables are ready, what a run would reject or change, and
/// what it would take. That reads rows, once; it writes to neither side. The result is assessment.json, beside the
/// catalog. The exit code says whether it could be made, not what is in it; after Ctrl-C it has what was read by then.
///
/// The project's address is taken from SUPABASE_URL, its key from SUPABASE_SECRET_KEY (or SUPABASE_SERVICE_ROLE_KEY):
/// from the environment, else from .env.local, else from .env.
///
/// With SUPABASE_DB_URL, a Postgres connection string of the same project, the catalog of Postgres is read too: it tells
/// unique keys, checks, every reference, generated columns, and what rows leave behind. With supabase.access =
/// "postgres" in migrate.toml, it is all that is needed: rows are read over it, too.
#[expect(clippy::doc_markdown, reason = "the text is shown as help")]
#[derive(Debug, Parser)]
#[command(name = "migrate-discover", version = VERSION, max_term_width = 100)]
#[command(group = assess::asking(), after_long_help = help::after(EXAMPLES, help::STOPPABLE))]
pub(super) struct Arguments {
    #[command(flatten)]
    project: ProjectArguments,
    #[command(flatten)]
    access: AccessOptions,
    #[command(flatten)]
    assess: AssessArguments,
    /// Print the catalog as JSON, instead of a list of tables; with --html or --scan, the assessment
    #[arg(long)]
    json: bool,
    /// Write a first, commented migrate.toml; one that is there is never overwritten
    #[arg(long)]
    init: bool,
    /// Print errors only; with --json, what that prints too
    #[arg(long)]
    quiet: bool,
}

pub(super) async fn main(arguments: Arguments) -> u8 {
    let path = arguments.project.config_path();
    let read = if arguments.init { arguments.project.read_or_default() } else { arguments.project.read() };
    let (config, _) = match read {
        Ok(read) => read,
        Err(code) => return code,
    };
    let found = async {
        let environment = Environment::read(arguments.project.folder())?;
        let source = source::bare(&environment, &config, None, arguments.access)?;
        source.check().await?;
        let catalog = Retry::new(source, RetryPolicy::default(), Arc::new(Fanout::default())).discover().await?;
        files::write_json(&arguments.project.catalog(), &catalog)?;
        Ok(catalog)
    };
    match found.await {
        Ok(catalog) => {
            let assesses = arguments.assess.is_asked();
            if arguments.json && !assesses {
                output::json(&serde_json::to_string_pretty(&catalog).unwrap_or_default());
            } else if !arguments.quiet && !assesses {
                summary(&catalog);
            }
            if !arguments.quiet {
                output::note(&format!("wrote {}", arguments.project.catalog().display()));
            }
            if arguments.init {
                let text = first_config(&catalog, &config.supabase.schemas, &CONVEX_RULES);
                match files::write_new(path, &text) {
                    Ok(true) => output::note(&format!("wrote {}", path.display())),
                    Ok(false) => output::note(&format!("{} is there already: it is left as it is", path.display())),
                    Err(error) => return fail(&error, exit::of_setup(&error)),
                }
            }
            if assesses {
                let Arguments { project, access, assess, json, quiet, .. } = arguments;
                return assess::run(&project, &assess, access, &catalog, assess::Shown { json, quiet }).await;
            }
            exit::OK
        }
        Err(error) => fail(&error, exit::of_setup(&error)),
    }
}

fn summary(catalog: &Catalog) {
    output::line(&format!("{}: {} tables", catalog.origin, catalog.tables.len()));
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
        output::line(&format!("  {}: {state}, {shape}", table.name));
    }
    if !catalog.differences.is_empty() {
        output::line("the data API and Postgres differ:");
    }
    for difference in &catalog.differences {
        output::line(&format!("  {difference}"));
    }
    if !catalog.inventory.is_empty() {
        output::line(&format!("not moved by itself: {} things, listed in the catalog", catalog.inventory.len()));
    }
    if !catalog.unknown.is_empty() {
        output::line("not visible this way:");
    }
    for unknown in &catalog.unknown {
        output::line(&format!("  {unknown}"));
    }
}
