//! What the programs say of files that are missing or of another version.

#![expect(clippy::unwrap_used, reason = "a helper that cannot go on fails its test")]

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use migrate_core::catalog::CATALOG_VERSION;
use serde_json::json;

fn plan(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_migrate-plan"));
    command.current_dir(folder).args(arguments).env_remove("CLICOLOR_FORCE");
    command.output().unwrap()
}

fn refused(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(4), "{text}");
    text
}

fn write_catalog(folder: &Path, version: u32) {
    let catalog = json!({ "version": version, "origin": "a test", "unknown": [], "tables": [] });
    fs::write(folder.join("catalog.json"), catalog.to_string()).unwrap();
}

#[test]
fn a_configuration_that_is_named_must_be_there() {
    let folder = tempfile::tempdir().unwrap();
    write_catalog(folder.path(), CATALOG_VERSION);
    let said = refused(&plan(folder.path(), &["--config", "migrat.toml"]));
    assert!(said.contains("migrat.toml"), "{said}");
    assert!(!folder.path().join("plan.json").exists());
    // Without a name, the defaults do.
    let output = plan(folder.path(), &[]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_catalog_of_another_version_is_made_anew() {
    let folder = tempfile::tempdir().unwrap();
    write_catalog(folder.path(), CATALOG_VERSION + 1);
    let said = refused(&plan(folder.path(), &[]));
    assert!(said.contains("catalog.json") && said.contains("migrate-discover"), "{said}");
    fs::remove_file(folder.path().join("catalog.json")).unwrap();
    assert!(refused(&plan(folder.path(), &[])).contains("migrate-discover"));
}

#[test]
fn a_file_that_is_no_text_is_not_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    write_catalog(folder.path(), CATALOG_VERSION);
    let schema = folder.path().join("convex/migration/schema.ts");
    fs::create_dir_all(schema.parent().unwrap()).unwrap();
    fs::write(&schema, b"// \xff\n").unwrap();
    assert!(refused(&plan(folder.path(), &[])).contains("schema.ts"));
    assert_eq!(fs::read(&schema).unwrap(), b"// \xff\n");
}
