//! The generated code passes the real `tsc --strict` with the real `convex`, and is laid out as prettier lays it out: of
//! the example, and of every case that has a snapshot.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use migrate_tests::ari_cms::Scenario;
use migrate_tests::local_stack::{is_formatted, type_check};
use migrate_tests::project::Project;

const REPOSITORY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
const SNAPSHOTS: &str = "crates/convex-sink/src/codegen/snapshots";
/// What the example's `convex/` holds of generated files.
const EXAMPLE: [&str; 3] = ["schema.ts", "migration/schema.ts", "migration/migrate.ts"];

/// The generated files of each case, the schema first.
fn cases() -> BTreeMap<String, [String; 2]> {
    let mut cases: BTreeMap<String, [String; 2]> = BTreeMap::new();
    for entry in fs::read_dir(Path::new(REPOSITORY).join(SNAPSHOTS)).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().rsplit("__").next().unwrap().to_owned();
        let text = fs::read_to_string(&path).unwrap();
        // The text follows a head between two lines of `---`.
        let text = text.splitn(3, "---\n").nth(2).unwrap_or_else(|| panic!("no snapshot in {}", path.display()));
        let (case, position) = match (name.strip_suffix("_schema_ts"), name.strip_suffix("_migrate_ts")) {
            (Some(case), _) => (case, 0),
            (_, Some(case)) => (case, 1),
            _ => continue,
        };
        cases.entry(case.to_owned()).or_default()[position] = format!("{}\n", text.trim_end());
    }
    assert!(cases.len() > 10, "the snapshots are elsewhere: {cases:?}");
    cases
}

/// A project with a case's files where they belong: as deep as the functions' imports are.
fn project(folder: &Path, [schema, migrate]: &[String; 2]) {
    let import = migrate.lines().find(|line| line.contains("_generated/")).unwrap_or_default();
    let own = ["folder0/", "folder1/"][..import.matches("../").count().max(1)].concat();
    let convex = folder.join("convex");
    fs::create_dir_all(convex.join(&own)).unwrap();
    fs::write(convex.join(&own).join("schema.ts"), schema).unwrap();
    fs::write(convex.join(&own).join("migrate.ts"), migrate).unwrap();
    fs::write(convex.join("schema.ts"), format!("export {{ default }} from \"./{own}schema\";\n")).unwrap();
}

#[test]
fn every_case_type_checks() {
    let cases: Vec<_> = cases().into_iter().collect();
    // Two compilers at once: each takes one processor and some seconds.
    let half = cases.len().div_ceil(2);
    std::thread::scope(|scope| {
        for part in cases.chunks(half) {
            scope.spawn(move || {
                for (case, files) in part {
                    let folder = tempfile::tempdir().unwrap();
                    project(folder.path(), files);
                    assert_eq!(type_check(folder.path()), Ok(()), "{case}");
                }
            });
        }
    });
}

#[test]
fn every_case_is_laid_out_as_prettier_does() {
    let folder = tempfile::tempdir().unwrap();
    // Names of 64 characters are left out: prettier then breaks lines that nothing else makes it break.
    for (case, files) in cases().into_iter().filter(|(case, _)| !case.starts_with("long_names")) {
        project(&folder.path().join(case), &files);
    }
    assert_eq!(is_formatted(folder.path()), Ok(()));
}

#[test]
fn an_app_with_a_schema_of_its_own_takes_the_tables_over() {
    let snapshot =
        Path::new(REPOSITORY).join(SNAPSHOTS).join("convex_sink__codegen__tests__added_to_an_own_schema.snap");
    let added = fs::read_to_string(snapshot).unwrap();
    let added = added.splitn(3, "---\n").nth(2).unwrap().replace("./deep/er/schema", "./folder0/folder1/schema");
    let own = "  pets: defineTable({ name: v.string(), supabaseId: v.optional(v.string()) })\n    \
               .index(\"by_supabaseId\", [\"supabaseId\"]),\n";
    let added = added.replace("});", &format!("{own}  notes: defineTable({{ text: v.string() }}),\n}});"));
    let imports =
        "import { defineSchema, defineTable } from \"convex/server\";\nimport { v } from \"convex/values\";\n";
    let uses = "import type { Doc } from \"./_generated/dataModel\";\n\
                export const name = (person: Doc<\"people\">, note: Doc<\"notes\">) => person.name + note.text;\n";
    let folder = tempfile::tempdir().unwrap();
    project(folder.path(), &cases()["references"]);
    let convex = folder.path().join("convex");
    fs::write(convex.join("schema.ts"), format!("{imports}{added}")).unwrap();
    fs::write(convex.join("names.ts"), uses).unwrap();
    // The app's own table wins, and it lacks what the generated functions write.
    let refused = type_check(folder.path()).unwrap_err();
    assert!(refused.lines().all(|line| line.starts_with("convex/folder0/") || line.starts_with(' ')), "{refused}");
    assert!(refused.contains("rival_id"), "{refused}");

    let added = added.replace(own, "");
    fs::write(convex.join("schema.ts"), format!("{imports}{added}export const unused = v;\n")).unwrap();
    assert_eq!(type_check(folder.path()), Ok(()));
}

/// The committed files of the example are what `migrate-plan` makes of it. Set `UPDATE_EXAMPLE=1` to write them anew.
#[tokio::test(flavor = "multi_thread")]
async fn the_example_is_up_to_date_and_type_checks() {
    let folder = tempfile::tempdir().unwrap();
    let project = Project::set_up(&folder.path().join("project"), Scenario::Full).await.unwrap();
    for (program, arguments) in [("migrate-discover", &[][..]), ("migrate-plan", &["--write"])] {
        let output = project.run(program, arguments).await.unwrap();
        assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
    }
    let committed: PathBuf = Path::new(REPOSITORY).join("examples/ari-cms/convex");
    for file in EXAMPLE {
        let made = fs::read_to_string(project.folder().join("convex").join(file)).unwrap();
        let known = committed.join(file);
        if std::env::var_os("UPDATE_EXAMPLE").is_some() {
            fs::create_dir_all(known.parent().unwrap()).unwrap();
            fs::write(known, made).unwrap();
        } else {
            let known = fs::read_to_string(known).unwrap_or_default();
            assert!(known == made, "examples/ari-cms/convex/{file} is another: run with UPDATE_EXAMPLE=1");
        }
    }
    let path = project.folder().to_owned();
    let checked = tokio::task::spawn_blocking(move || type_check(&path).and_then(|()| is_formatted(&path))).await;
    assert_eq!(checked.unwrap(), Ok(()));
}
