use std::path::Path;

use clap::Parser;
use convex_sink::{AppSchema, CONVEX_RULES, GENERATED_MARKER, generate};
use migrate_core::Result;
use migrate_core::catalog::Catalog;
use migrate_core::plan::{ConfigError, Plan, build_plan};

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
    let catalog: Catalog = match files::read_json(&arguments.project.catalog(), "migrate-discover") {
        Ok(catalog) => catalog,
        Err(error) => return fail(&error, exit::SETUP),
    };
    let plan = match build_plan(&config, &catalog, &CONVEX_RULES) {
        Ok(plan) => plan,
        Err(issues) => {
            let file = arguments.project.config.display().to_string();
            for issue in &issues {
                output::error(&ConfigError::from_issue(&file, &text, issue).to_string());
            }
            return exit::SETUP;
        }
    };
    match write(arguments, &plan) {
        Ok(written) => {
            if arguments.json {
                output::data(&serde_json::to_string_pretty(&plan).unwrap_or_default());
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
