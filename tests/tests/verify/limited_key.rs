//! A deployment whose key may run internal functions and not view data: the generated functions read documents back.

use std::fs;

use migrate_tests::project::Project;
use serde_json::{Map, Value, json};

use super::people::{assert_people_untouched, people};
use super::{DIFFERENT, Fields, Tampered, differences, folder, verify, verify_with};

const KEY: &str = "CONVEX_SELF_HOSTED_ADMIN_KEY";

/// Verifies with the key that the system's own queries refuse.
async fn verify_limited(project: &Project, arguments: &[&str], code: i32) -> Value {
    let key = project.convex.as_ref().unwrap().limited_key();
    verify_with(project, arguments, &[(KEY, key)], code).await
}

#[tokio::test(flavor = "multi_thread")]
async fn documents_are_read_back_by_the_generated_functions() {
    let folder = folder();
    let project = people(folder.path(), "", &[]).await;
    let verification = verify_limited(&project, &["--exclusive"], 0).await;
    assert_people_untouched(&verification);
    // Sums over all columns, and of all documents, are what the system's own queries give. The salt of the hashes is
    // drawn anew each time.
    let by_system = verify(&project, &["--exclusive"], 0).await;
    for table in ["teams", "people"] {
        let kinds = |of: &Value| -> Vec<Value> {
            let columns = of["tables"][table]["columns"].as_object().unwrap();
            columns.values().map(|sums| json!([sums["sink"]["kinds"], sums["sink"]["bytes"]])).collect()
        };
        assert_eq!(kinds(&verification), kinds(&by_system), "{table}");
    }
    let counted = verify_limited(&project, &["--level", "counts"], 0).await;
    assert_eq!(
        (&counted["tables"]["teams"]["documents"], &counted["tables"]["people"]["documents"]),
        (&json!(9), &json!(400))
    );

    let tampered = Tampered::new(&project);
    let (id, before) = tampered.document("people", |document| document["supabaseId"] == "7").await;
    let mut after: Fields = before.clone();
    after["meta"]["at"]["x"] = json!(0.5);
    tampered.put("people", Some(&id), &after).await;
    let verification = verify_limited(&project, &[], DIFFERENT).await;
    let expected = ("people".to_owned(), "value".to_owned(), "7".to_owned(), "meta.at.x".to_owned());
    assert_eq!(differences(&verification), [expected], "{verification:#}");
    tampered.put("people", Some(&id), &before).await;
    let stray = tampered.put("people", None, &Map::new()).await;
    let counted = verify_limited(&project, &["--level", "counts"], DIFFERENT).await;
    assert_eq!(counted["tables"]["people"]["documents"], json!(401));
    tampered.remove("people", &stray).await;
    assert_people_untouched(&verify_limited(&project, &[], 0).await);

    // Functions that an older version generated: the error says what helps, and a key that may view data needs none.
    let path = folder.path().join("convex/migration/migrate.ts");
    let current = fs::read_to_string(&path).unwrap();
    assert!(current.contains("export const readDocuments"), "{current}");
    fs::write(&path, current.replace("export const readDocuments", "export const another")).unwrap();
    project.convex.as_ref().unwrap().redeploy().await.unwrap();
    let failed = verify_limited(&project, &["--fresh"], 4).await;
    let error = failed["error"].as_str().unwrap();
    assert!(error.contains("deployment:data:view") && error.contains("migrate-plan --write"), "{error}");
    assert!(!error.contains(project.convex.as_ref().unwrap().limited_key()), "{error}");
    assert_people_untouched(&verify(&project, &[], 0).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_in_a_side_table_are_read_back_as_well() {
    let folder = folder();
    let project = people(folder.path(), "[convex]\nlegacy_ids = \"side_table\"\npublic_functions = true\n", &[]).await;
    assert_people_untouched(&verify_limited(&project, &["--exclusive"], 0).await);
    let tampered = Tampered::new(&project);
    let is_entry = |document: &Value| document["table"] == "people" && document["legacyId"] == "7";
    let (entry, _) = tampered.document("migrationIds", is_entry).await;
    tampered.remove("migrationIds", &entry).await;
    let verification = verify_limited(&project, &["--differences", "1000"], DIFFERENT).await;
    let missing = ("people".to_owned(), "missing".to_owned(), "7".to_owned(), String::new());
    assert!(differences(&verification).contains(&missing), "{verification:#}");
}
