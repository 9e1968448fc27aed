//! The code that `migrate-plan` generates for the example passes the real `tsc --strict` with the real `convex`.

use migrate_tests::ari_cms::Scenario;
use migrate_tests::local_stack::type_check;
use migrate_tests::project::Project;

#[tokio::test(flavor = "multi_thread")]
async fn the_example_type_checks() {
    let folder = tempfile::tempdir().unwrap();
    let project = Project::set_up(&folder.path().join("project"), Scenario::Full).await.unwrap();
    for program in ["migrate-discover", "migrate-plan"] {
        let output = project.run(program, &[]).await.unwrap();
        assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
    }
    let path = project.folder().to_owned();
    let checked = tokio::task::spawn_blocking(move || type_check(&path)).await.unwrap();
    assert_eq!(checked, Ok(()));
}
