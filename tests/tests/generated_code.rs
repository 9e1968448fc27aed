//! The code that `migrate-plan` generates for the example: it is the committed one, and the real `tsc --strict` accepts
//! it with the real `convex`.

use std::path::{Path, PathBuf};

use migrate_tests::ari_cms::Scenario;
use migrate_tests::local_stack::type_check;
use migrate_tests::project::Project;

/// What brings the committed files up to date, from the repository's root.
const UPDATE: &str = "cargo demo && cp target/demo/full/convex/schema.ts target/demo/full/convex/migrate.ts \
                      examples/ari-cms/convex/";

fn example() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/ari-cms")
}

/// Where two texts begin to differ, for a person who looks into the files.
fn difference(committed: &str, generated: &str) -> Option<String> {
    let (mut old, mut new) = (committed.lines(), generated.lines());
    for number in 1.. {
        match (old.next(), new.next()) {
            (None, None) => break,
            (old, new) if old == new => {}
            (old, new) => {
                let shown = |line: Option<&str>| line.unwrap_or("(the file's end)").to_owned();
                return Some(format!("line {number}:\n  committed: {}\n  generated: {}", shown(old), shown(new)));
            }
        }
    }
    (committed != generated).then(|| "line ends".to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_committed_code_is_the_generated_one() {
    let folder = tempfile::tempdir().unwrap();
    let project = Project::set_up(&folder.path().join("project"), Scenario::Full).await.unwrap();
    for program in ["migrate-discover", "migrate-plan"] {
        let output = project.run(program, &[]).await.unwrap();
        assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
    }
    let mut differences = Vec::new();
    for file in ["schema.ts", "migrate.ts"] {
        let generated = std::fs::read_to_string(project.folder().join("convex").join(file)).unwrap();
        let committed = std::fs::read_to_string(example().join("convex").join(file)).unwrap_or_default();
        differences.extend(difference(&committed, &generated).map(|what| format!("{file}, {what}")));
    }
    assert!(
        differences.is_empty(),
        "migrate-plan generates other code than examples/ari-cms/convex has. If that is meant, run: {UPDATE}\n{}",
        differences.join("\n")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_example_type_checks() {
    let checked = tokio::task::spawn_blocking(|| type_check(&example())).await.unwrap();
    assert_eq!(checked, Ok(()));
}
