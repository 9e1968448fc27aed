//! The programs of the book's last part: compiled, run as a reader would, and compared with what they were given.

#[expect(dead_code, reason = "the program's own start is not called here")]
#[path = "../../../examples/embedding/source.rs"]
mod json_lines;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use json_lines::JsonLines;
use migrate_core::names::SourceKey;
use migrate_core::testing::{SourceFixture, check_source};
use migrate_core::value::Value;
use migrate_tests::local_stack::ConvexLocal;
use migrate_tests::project::{Project, build_example, output};
use serde_json::json;
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

/// A folder that the servers' user can read.
fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    folder
}

async fn said(command: Command) -> String {
    let ended = output(command).await.unwrap();
    let text = format!("{}{}", String::from_utf8_lossy(&ended.stdout), String::from_utf8_lossy(&ended.stderr));
    assert!(ended.status.success(), "{text}");
    text
}

fn write_rows(folder: &Path) {
    let people = (1..=7).map(|id| json!({ "id": id, "name": format!("Person {id}"), "born": 1960 + id }).to_string());
    fs::write(folder.join("people.jsonl"), people.collect::<Vec<_>>().join("\n")).unwrap();
    let notes = (1..=5).map(|id| json!({ "id": id * 10, "person": id, "tags": ["a", id] }).to_string());
    fs::write(folder.join("notes.jsonl"), notes.collect::<Vec<_>>().join("\n")).unwrap();
    fs::write(folder.join("nothing.jsonl"), "").unwrap();
}

#[tokio::test]
async fn the_source_keeps_the_traits_promises() {
    let folder = tempfile::tempdir().unwrap();
    write_rows(folder.path());
    let people = (1..=7).map(|id| vec![Value::Int64(id), Value::text(format!("Person {id}"))]);
    let fixture = SourceFixture {
        table: "people".parse().unwrap(),
        columns: ["id", "name"].map(Into::into).into(),
        key: vec!["id".into()],
        rows: people.collect(),
        empty: "nothing".parse().unwrap(),
        missing: "absent".parse().unwrap(),
        unknown_key: SourceKey::from_parts(&["99"]),
    };
    check_source(&JsonLines::open(folder.path()).unwrap(), &fixture).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_of_json_lines_becomes_documents() {
    let folder = folder();
    let root = folder.path();
    write_rows(root);
    fs::write(root.join("migrate.toml"), "[tables.notes]\ncolumns.person.references = \"people\"\n").unwrap();
    let program = tokio::task::spawn_blocking(|| build_example("embedding_source")).await.unwrap().unwrap();
    let step = |step: &str| {
        let mut command = Command::new(&program);
        command.arg(step).arg(root);
        command
    };
    said(step("plan")).await;
    let convex = ConvexLocal::start(root).await.unwrap();
    for _ in 0..2 {
        let mut run = step("run");
        run.env("CONVEX_URL", convex.url()).env("CONVEX_DEPLOY_KEY", convex.admin_key());
        assert!(said(run).await.contains("12 rows: 12 migrated, 0 rejected"));
        let people = convex.documents("people").await.unwrap();
        let names: BTreeMap<&str, &str> =
            people.iter().map(|person| (person["_id"].as_str().unwrap(), person["name"].as_str().unwrap())).collect();
        let notes = convex.documents("notes").await.unwrap();
        assert_eq!((names.len(), notes.len()), (7, 5));
        for note in &notes {
            let person: u32 = note["supabaseId"].as_str().unwrap().parse::<u32>().unwrap() / 10;
            assert_eq!(names[note["person"].as_str().unwrap()], format!("Person {person}"));
            assert_eq!((&note["tags"][0], note["tags"][1].as_f64()), (&json!("a"), Some(f64::from(person))));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_address_arrives() {
    const SCHEMA: &str = "
        create table people (id int primary key, email text unique, name text not null);
        insert into people values (1, 'Ann@example.test', 'Ann'), (2, null, 'Bob'), (3, 'cy@example.test', 'Cy');";
    let folder = folder();
    let root = folder.path().join("project");
    let mut project = Project::with_tables(&root, vec![SCHEMA.to_owned()], "").await.unwrap();
    for (program, arguments) in [("migrate-discover", [].as_slice()), ("migrate-plan", &["--write"])] {
        said(project.program(program, arguments)).await;
    }
    project.deploy().await.unwrap();
    let program = tokio::task::spawn_blocking(|| build_example("embedding_transform")).await.unwrap().unwrap();
    let convex = project.convex.as_ref().unwrap();
    let mut run = Command::new(program);
    run.arg("plan.json").current_dir(&root);
    run.env("SUPABASE_URL", project.supabase.url()).env("SUPABASE_SECRET_KEY", project.supabase.secret_key());
    run.env("CONVEX_URL", convex.url()).env("CONVEX_DEPLOY_KEY", convex.admin_key());
    assert!(said(run).await.contains("3 rows: 3 migrated"));
    let documents = convex.documents("people").await.unwrap();
    let found: BTreeMap<&str, Option<&str>> =
        documents.iter().map(|person| (person["name"].as_str().unwrap(), person["email"].as_str())).collect();
    let hidden = |address: &str| {
        let digest = Sha256::digest(address);
        let number = digest[..8].iter().fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
        format!("{number:016x}@example.invalid")
    };
    let (ann, cy) = (hidden("ann@example.test"), hidden("cy@example.test"));
    assert_eq!(found, BTreeMap::from([("Ann", Some(ann.as_str())), ("Bob", None), ("Cy", Some(cy.as_str()))]));
}
