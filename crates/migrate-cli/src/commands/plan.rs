use clap::Parser;
use convex_sink::{CONVEX_RULES, GENERATED_MARKER, generate};
use migrate_core::Result;
use migrate_core::catalog::Catalog;
use migrate_core::plan::{ConfigError, Plan, build_plan, coverage, explain, suggest};

use super::{EXIT_HELP, ProjectArguments, fail};
use crate::{exit, files, output};

/// Makes plan.json, schema.ts and migrate.ts from catalog.json and migrate.toml. Offline: reaches nothing.
#[derive(Debug, Parser)]
#[command(name = "migrate-plan", version, after_help = EXIT_HELP)]
pub(super) struct Arguments {
    #[command(flatten)]
    project: ProjectArguments,
    /// Print the plan as JSON
    #[arg(long)]
    json: bool,
    /// Write nothing; say what becomes of one column, and which rule decided
    #[arg(long, value_name = "TABLE.COLUMN")]
    explain: Option<String>,
    /// Write nothing; list every column of the source and where it goes
    #[arg(long)]
    columns: bool,
}

pub(super) fn main(arguments: &Arguments) -> u8 {
    let (config, text) = match arguments.project.read() {
        Ok(read) => read,
        Err(code) => return code,
    };
    let catalog: Catalog = match files::read_json(&arguments.project.catalog(), "migrate-discover") {
        Ok(catalog) => catalog,
        Err(error) => return fail(&error, exit::SETUP),
    };
    let plan = match build_plan(&config, &catalog, &CONVEX_RULES) {
        Ok(plan) => plan,
        Err(issues) => {
            let file = arguments.project.config.display().to_string();
            for error in ConfigError::from_issues(&file, &text, &issues) {
                output::error(&error.to_string());
            }
            return exit::SETUP;
        }
    };
    if let Some(place) = &arguments.explain {
        return explain_column(&plan, &catalog, place);
    }
    if arguments.columns {
        for fate in coverage(&plan, &catalog) {
            output::data(&fate.to_string());
        }
        return exit::OK;
    }
    match write(arguments, &plan) {
        Ok(files) => {
            if arguments.json {
                output::data(&serde_json::to_string_pretty(&plan).unwrap_or_default());
            } else {
                summary(&plan);
            }
            for file in files {
                output::note(&format!("wrote {file}"));
            }
            exit::OK
        }
        Err(error) => fail(&error, exit::of_setup(&error)),
    }
}

fn explain_column(plan: &Plan, catalog: &Catalog, place: &str) -> u8 {
    // A column's name may hold dots, and so may a table's: every cut is tried.
    let mut cuts = place.match_indices('.').map(|(at, _)| (&place[..at], &place[at + 1..]));
    let found = cuts.find_map(|(table, column)| explain(plan, catalog, &table.parse().ok()?, column));
    if let Some(text) = found {
        output::data(&text);
        return exit::OK;
    }
    let known: Vec<String> =
        coverage(plan, catalog).iter().map(|fate| format!("{}.{}", fate.table, fate.column)).collect();
    output::error(&format!("the catalog has no column {place}: {}", suggest(place, &known)));
    exit::USAGE
}

fn write(arguments: &Arguments, plan: &Plan) -> Result<Vec<String>> {
    let code = generate(plan)?;
    let functions = arguments.project.folder().join(&plan.sink.functions);
    let schema = functions.join("schema.ts");
    let migrate = functions.join(format!("{}.ts", plan.sink.module));
    files::write_generated(&schema, &code.schema_ts, GENERATED_MARKER)?;
    files::write_generated(&migrate, &code.migrate_ts, GENERATED_MARKER)?;
    let path = arguments.project.plan();
    files::write_json(&path, plan)?;
    Ok([schema, migrate, path].iter().map(|path| path.display().to_string()).collect())
}

fn summary(plan: &Plan) {
    output::data(&format!("plan {}", plan.fingerprint));
    for table in &plan.tables {
        output::data(&format!(
            "  {} -> {}: level {}, {} fields",
            table.source,
            table.sink,
            table.level,
            table.fields.len()
        ));
    }
    for table in &plan.adopted {
        output::data(&format!("  {} -> {}: adopted by {}", table.source, table.sink, table.index));
    }
    for absent in &plan.absent {
        output::data(&format!("  {}: missing at the source, as the configuration allows", absent.table));
    }
    for note in &plan.notes {
        output::data(&format!("  note: {note}"));
    }
}
