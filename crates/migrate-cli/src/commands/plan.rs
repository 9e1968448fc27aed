use std::path::Path;

use clap::Parser;
use convex_sink::{AppSchema, CONVEX_RULES, GENERATED_MARKER, generate};
use migrate_core::Result;
use migrate_core::catalog::Catalog;
use migrate_core::plan::{ConfigError, Plan, build_plan, coverage, explain, suggest};

use super::{ProjectArguments, fail, help};
use crate::{VERSION, exit, files, output};

const EXAMPLES: &[(&str, &str)] = &[
    ("migrate-plan", "plan the project in this folder"),
    ("migrate-plan --write", "and convex/schema.ts, if you have none"),
    ("migrate-plan --explain orders.total", "which rule decided, and why"),
    ("migrate-plan --config cms/migrate.toml", "plan another one"),
    ("migrate-plan --json | jq .fingerprint", "what names the plan in reports"),
];

/// Writes plan.json and the Convex functions that migrate-run calls; works offline
///
/// Reads migrate.toml and, beside it, catalog.json, which migrate-discover makes. Writes plan.json there, and schema.ts
/// and migrate.ts into convex/migration/ or the folder that migrate.toml names. A file that it did not generate is
/// never overwritten. All that is wrong in migrate.toml is shown at once, each with its line.
///
/// The next steps are `npx convex deploy` and `migrate-run --dry-run`.
#[derive(Debug, Parser)]
#[command(name = "migrate-plan", version = VERSION, max_term_width = 100)]
#[command(after_long_help = help::after(EXAMPLES, help::SIMPLE))]
pub(super) struct Arguments {
    #[command(flatten)]
    project: ProjectArguments,
    /// Print the plan as JSON, instead of a list of tables
    #[arg(long)]
    json: bool,
    /// Write nothing; say what becomes of one column, and which rule decided
    #[arg(long, value_name = "TABLE.COLUMN")]
    explain: Option<String>,
    /// Write nothing; list every column of the source and where it goes
    #[arg(long)]
    columns: bool,
    /// Write schema.ts of the functions folder too, unless it is your own
    ///
    /// Convex reads its schema from that file alone. Without it, or where the file is your own, what to put there is
    /// printed.
    #[arg(long)]
    write: bool,
}

pub(super) fn main(arguments: &Arguments) -> u8 {
    let (config, text) = match arguments.project.read() {
        Ok(read) => read,
        Err(code) => return code,
    };
    let catalog: Catalog = match files::read_current(&arguments.project.catalog(), "migrate-discover") {
        Ok(catalog) => catalog,
        Err(error) => return fail(&error, exit::SETUP),
    };
    let plan = match build_plan(&config, &catalog, &CONVEX_RULES) {
        Ok(plan) => plan,
        Err(issues) => {
            let file = arguments.project.config_path().display().to_string();
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
        Ok(written) => {
            if arguments.json {
                output::json(&serde_json::to_string_pretty(&plan).unwrap_or_default());
            } else {
                summary(&plan);
            }
            for file in written.files {
                output::note(&format!("wrote {file}"));
            }
            if let Some(advice) = written.advice {
                output::note(&format!("\n{advice}"));
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

/// What was written, and what is left to the person.
struct Written {
    files: Vec<String>,
    advice: Option<String>,
}

fn write(arguments: &Arguments, plan: &Plan) -> Result<Written> {
    let code = generate(plan)?;
    let functions = arguments.project.folder().join(&plan.sink.functions);
    let schema = functions.join(&code.schema_path);
    let migrate = functions.join(&code.migrate_path);
    files::write_generated(&schema, &code.schema_ts, GENERATED_MARKER)?;
    files::write_generated(&migrate, &code.migrate_ts, GENERATED_MARKER)?;
    let path = arguments.project.plan();
    files::write_json(&path, plan)?;
    let mut written = vec![schema, migrate, path];
    let mut advice = None;
    if let Some(app) = &code.app_schema {
        let path = functions.join("schema.ts");
        match AppFile::read(&functions, app)? {
            AppFile::Current => {}
            AppFile::Absent | AppFile::Outdated if arguments.write => {
                files::write_generated(&path, &app.alone, GENERATED_MARKER)?;
                written.push(path);
            }
            found => advice = Some(found.advice(&path, app)),
        }
    }
    Ok(Written { files: written.iter().map(|path| path.display().to_string()).collect(), advice })
}

/// What is there as the app's schema.
enum AppFile {
    /// Nothing.
    Absent,
    /// A generated file, which would be written otherwise today.
    Outdated,
    /// A file with the migration's tables in it.
    Current,
    /// A file of the user's, which does not name the migration's schema.
    Own,
}

impl AppFile {
    fn read(functions: &Path, app: &AppSchema) -> Result<Self> {
        for name in ["schema.ts", "schema.js"] {
            if let Some(text) = files::read_if_there(&functions.join(name))? {
                return Ok(if text == app.alone || (!is_generated(&text) && text.contains(&app.import)) {
                    Self::Current
                } else if is_generated(&text) {
                    Self::Outdated
                } else {
                    Self::Own
                });
            }
        }
        Ok(Self::Absent)
    }

    /// What the person does for Convex to know the migration's tables.
    fn advice(&self, path: &Path, app: &AppSchema) -> String {
        let path = path.display();
        let (what, text) = match self {
            Self::Own => (format!("{path} is your own. Take the migration's tables over there:"), &app.added),
            _ => (format!("Convex reads {path}. Let migrate-plan --write make it, or put this there:"), &app.alone),
        };
        let lines = text.lines().filter(|line| !line.starts_with(GENERATED_MARKER));
        let lines: Vec<String> =
            lines.map(|line| if line.is_empty() { String::new() } else { format!("  {line}") }).collect();
        format!("{what}\n\n{}\n", lines.join("\n"))
    }
}

fn is_generated(text: &str) -> bool {
    text.starts_with(GENERATED_MARKER)
}

fn summary(plan: &Plan) {
    output::line(&format!("plan {}", plan.fingerprint));
    for table in &plan.tables {
        output::line(&format!(
            "  {} -> {}: level {}, {} fields",
            table.source,
            table.sink,
            table.level,
            table.fields.len()
        ));
    }
    for table in &plan.adopted {
        output::line(&format!("  {} -> {}: adopted by {}", table.source, table.sink, table.index));
    }
    for absent in &plan.absent {
        output::line(&format!("  {}: missing at the source, as the configuration allows", absent.table));
    }
    for note in &plan.notes {
        output::line(&format!("  note: {note}"));
    }
}
