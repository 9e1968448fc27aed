use std::path::PathBuf;

use clap::Parser;
use migrate_core::Result;
use migrate_core::catalog::Catalog;
use migrate_core::plan::{MigrateConfig, Plan};
use migrate_core::report::Report;
use schemars::{Schema, schema_for};

use super::{EXIT_HELP, fail};
use crate::{exit, files, output};

/// Writes the JSON Schemas of migrate.toml, catalog.json, plan.json and report.json.
#[derive(Debug, Parser)]
#[command(name = "migrate-schema", version, after_help = EXIT_HELP)]
pub(super) struct Arguments {
    /// The folder to write to
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
    let schemas: [(&str, Schema); 4] = [
        ("migrate", schema_for!(MigrateConfig)),
        ("catalog", schema_for!(Catalog)),
        ("plan", schema_for!(Plan)),
        ("report", schema_for!(Report)),
    ];
    for (name, schema) in schemas {
        let path = arguments.folder.join(format!("{name}.schema.json"));
        files::write_json(&path, &schema)?;
        output::note(&format!("wrote {}", path.display()));
    }
    Ok(())
}
