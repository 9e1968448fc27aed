use std::path::PathBuf;

use clap::Parser;
use migrate_core::Result;
use migrate_core::assess::Assessment;
use migrate_core::catalog::Catalog;
use migrate_core::plan::{MigrateConfig, Plan};
use migrate_core::report::{Report, ReportDiff};
use migrate_core::verify::Verification;
use schemars::{Schema, schema_for};

use super::doctor::Diagnosis;
use super::{fail, help};
use crate::events::EventLine;
use crate::{VERSION, exit, files, output};

const EXAMPLES: &[(&str, &str)] = &[
    ("migrate-schema", "jsonschemas/migrate.schema.json and eight more"),
    ("migrate-schema editor/schemas", "the same in another folder"),
];

/// Writes the JSON Schemas of migrate.toml, the JSON files beside it, report.json, verify.json, and of what
/// migrate-report diff, migrate-doctor and --events print as JSON
///
/// An editor completes and checks migrate.toml once its first line names the schema:
/// `#:schema jsonschemas/migrate.schema.json`.
#[derive(Debug, Parser)]
#[command(name = "migrate-schema", version = VERSION, max_term_width = 100)]
#[command(after_long_help = help::after(EXAMPLES, help::SIMPLE))]
pub(super) struct Arguments {
    /// The folder to write to; made where it is missing
    #[arg(default_value = "jsonschemas")]
    folder: PathBuf,
}

pub(super) fn main(arguments: &Arguments) -> u8 {
    match write(arguments) {
        Ok(()) => exit::OK,
        Err(error) => fail(&error, exit::of_setup(&error)),
    }
}

fn write(arguments: &Arguments) -> Result<()> {
    let schemas: [(&str, Schema); 9] = [
        ("migrate", schema_for!(MigrateConfig)),
        ("catalog", schema_for!(Catalog)),
        ("plan", schema_for!(Plan)),
        ("report", schema_for!(Report)),
        ("report-diff", schema_for!(ReportDiff)),
        ("diagnosis", schema_for!(Diagnosis)),
        ("verification", schema_for!(Verification)),
        ("assessment", schema_for!(Assessment)),
        ("event", schema_for!(EventLine)),
    ];
    for (name, schema) in schemas {
        let path = arguments.folder.join(format!("{name}.schema.json"));
        files::write_json(&path, &schema)?;
        output::note(&format!("wrote {}", path.display()));
    }
    Ok(())
}
