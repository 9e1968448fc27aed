//! Modes, numbers of tables, the one switch, and what is in progress meanwhile.

use migrate_tests::archive::Archive;
use reqwest::StatusCode;
use serde_json::{Value, json};

use super::{Deployment, StandIn, TABLES, companies, company, id, names};

#[tokio::test]
async fn an_import_tells_how_it_stands() {
    for deployment in Deployment::both().await {
        let client = &deployment.client;
        deployment.import(companies(&[1, 2]), "requireEmpty").await;
        let archive = companies(&[3]).uniform("anything", &["{}", "{}", "{}"]).bytes();
        let import = client.upload(&archive, usize::MAX, "replace").await;
        let row = client.wait(&import, &["waiting_for_confirmation"]).await;
        assert_eq!(row["state"]["require_manual_confirmation"], true);
        assert!(row["state"]["message_to_confirm"].as_str().unwrap().contains("companies"), "{row}");
        let table = |name: &str, count: &str, existing: &str, is_missing_id_field: bool| {
            json!({
                "display_table_name": name, "component_path": null, "num_rows_written": "0",
                "total_num_rows_to_write": count, "existing_rows_in_table": existing,
                "existing_rows_to_delete": existing, "is_missing_id_field": is_missing_id_field,
            })
        };
        let expected = json!([table("anything", "3", "0", true), table("companies", "1", "2", false)]);
        assert_eq!(row["checkpoints"], expected);
        assert_eq!(names(&deployment.documents("companies").await), ["Company 1", "Company 2"]);

        for _ in 0..2 {
            assert_eq!(client.tell("perform_import", &import).await.status(), StatusCode::OK);
        }
        let row = client.wait(&import, &["completed"]).await;
        assert_eq!(row["state"]["num_rows_written"], "4");
        assert!(row["state"]["timestamp"].is_string(), "an integer of 64 bits is a text: {row}");
        assert_eq!(names(&deployment.documents("companies").await), ["Company 3"]);
        assert_eq!(client.tell("perform_import", &import).await.status(), StatusCode::OK);
        assert_eq!(client.row(&import).await, row, "an import that has ended is not performed again");

        let encoded = json!({ "path": "_system/cli/queryImport", "args": { "importId": import }, "format": "convex_encoded_json" });
        let answer: Value = client.post("/api/query").json(&encoded).send().await.unwrap().json().await.unwrap();
        assert_eq!(answer["value"]["state"]["num_rows_written"], json!({ "$integer": "BAAAAAAAAAA=" }));
        let list = client.query("_system/cli/queryImport:list", json!({})).await;
        assert_eq!((list.as_array().unwrap().len(), &list[0]["_id"]), (2, &json!(import)));
        let unknown = client.tell("perform_import", "nothing").await;
        assert_eq!(unknown.status(), StatusCode::BAD_REQUEST);
    }
}

#[tokio::test]
async fn each_mode_does_with_documents_what_it_says() {
    for deployment in Deployment::both().await {
        deployment.import(companies(&[1]).uniform("anything", &["{}"]), "requireEmpty").await;
        let message = deployment.refused(companies(&[2]), "requireEmpty").await;
        let expected = "Table companies already exists. Please choose a new table name or use replace/append modes.";
        assert_eq!(message, expected);

        assert_eq!(deployment.import(companies(&[2, 3]), "append").await, 2);
        assert_eq!(names(&deployment.documents("companies").await), ["Company 1", "Company 2", "Company 3"]);
        let message = deployment.refused(companies(&[3]), "append").await;
        assert!(message.contains("exists in table \"companies\" already"), "{message}");
        let message = deployment.refused(Archive::new().numbers(&[("companies", 10_009)]), "append").await;
        assert_eq!(message, "table companies wants table number 10009 but was already assigned 10002");

        assert_eq!(deployment.import(companies(&[4]), "replace").await, 1);
        assert_eq!(names(&deployment.documents("companies").await), ["Company 4"]);
        assert_eq!(deployment.count("anything").await, 1, "a table outside of the archive is left alone");
        // Named in `_tables` and without rows: emptied.
        assert_eq!(deployment.import(Archive::new().numbers(&TABLES[1..2]), "replace").await, 0);
        assert_eq!(deployment.count("companies").await, 0);

        deployment.import(Archive::new().uniform("outside", &["{}"]), "requireEmpty").await;
        assert_eq!(deployment.mapping().await["10004"], "outside");
        assert_eq!(deployment.import(companies(&[5]), "replaceAll").await, 1);
        assert_eq!((deployment.count("companies").await, deployment.count("anything").await), (1, 0));
        let mapping = deployment.mapping().await;
        assert_eq!(
            (&mapping["10001"], &mapping["10004"], &mapping["540"]),
            (&json!("anything"), &Value::Null, &json!("_file_storage"))
        );
    }
}

#[tokio::test]
async fn numbers_of_tables_are_kept_apart() {
    for deployment in Deployment::both().await {
        let taken = Archive::new().numbers(&[("outside", 10_002)]);
        let message = deployment.refused(taken, "replace").await;
        assert!(message.contains("`outside` has IDs that conflict with existing table `companies`"), "{message}");
        let by_its_row = Archive::new().uniform("outside", &[&company(1)]);
        let message = deployment.refused(by_its_row, "replace").await;
        assert!(message.contains("conflict with existing table `companies`"), "{message}");
        let twice = Archive::new().numbers(&[("a", 10_020), ("b", 10_020)]);
        assert!(deployment.refused(twice, "replace").await.contains("with table number 10020"));
        let internal = Archive::new().numbers(&[("a", 540)]);
        assert!(deployment.refused(internal, "replace").await.contains("conflict with existing internal table"));

        let swapped = Archive::new().numbers(&[("anything", 10_002), ("companies", 10_001)]);
        assert_eq!(deployment.import(swapped, "replace").await, 0);
        let mapping = deployment.mapping().await;
        assert_eq!((&mapping["10001"], &mapping["10002"]), (&json!("companies"), &json!("anything")));
        let message = deployment.refused(companies(&[1]), "append").await;
        assert_eq!(message, "table companies wants table number 10002 but was already assigned 10001");
        // Now an id of the old number is one of another table.
        let message = deployment
            .refused(Archive::new().uniform("companies", &["{\"name\":\"a\"}", &company(1)]), "replace")
            .await;
        assert!(message.contains("because its IDs have a different format"), "{message}");
    }
}

#[tokio::test]
async fn a_foreign_import_in_progress_comes_first() {
    for deployment in Deployment::both().await {
        let client = &deployment.client;
        let foreign = match &deployment.stand_in {
            StandIn::Bench(bench) => Some(bench.foreign_import().await),
            StandIn::Local(local) => {
                local.foreign_import(true).await.unwrap();
                None
            }
        };
        let list = client.query("_system/cli/queryImport:list", json!({})).await;
        assert_eq!(list[0]["state"]["state"], "in_progress", "{list}");
        let import = client.upload(&companies(&[1]).bytes(), usize::MAX, "requireEmpty").await;
        for _ in 0..10 {
            assert_eq!(client.row(&import).await["state"], json!({ "state": "uploaded" }));
        }
        match (&deployment.stand_in, foreign) {
            (StandIn::Local(local), _) => local.foreign_import(false).await.unwrap(),
            (StandIn::Bench(_), foreign) => drop(foreign),
        }
        client.wait(&import, &["waiting_for_confirmation"]).await;
        client.tell("perform_import", &import).await;
        client.wait(&import, &["completed"]).await;
        let list = client.query("_system/cli/queryImport:list", json!({})).await;
        assert_eq!(list[1]["state"]["state"], "completed", "{list}");
    }
}

#[tokio::test]
async fn an_import_that_is_canceled_stores_nothing() {
    for deployment in Deployment::both().await {
        let client = &deployment.client;
        let import = client.upload(&companies(&[1]).bytes(), usize::MAX, "requireEmpty").await;
        client.wait(&import, &["waiting_for_confirmation"]).await;
        assert_eq!(client.tell("cancel_import", &import).await.status(), StatusCode::OK);
        let row = client.wait(&import, &["failed"]).await;
        assert!(row["state"]["error_message"].as_str().unwrap().contains("canceled"), "{row}");
        client.tell("perform_import", &import).await;
        assert_eq!(client.row(&import).await, row);
        assert_eq!(client.tell("cancel_import", &import).await.status(), StatusCode::BAD_REQUEST);
        assert_eq!(deployment.count("companies").await, 0);
    }
}

#[tokio::test]
async fn nothing_of_an_import_shows_before_its_end() {
    let deployment = Deployment::bench().await;
    let (client, bench) = (&deployment.client, deployment.bench_server());
    deployment.import(companies(&[1]), "requireEmpty").await;
    bench.hold_imports(true);
    for cancels in [true, false] {
        let import = client.upload(&companies(&[2, 3]).uniform("people", &["{}"]).bytes(), usize::MAX, "replace").await;
        client.wait(&import, &["waiting_for_confirmation"]).await;
        client.tell("perform_import", &import).await;
        // All rows are in their hidden tables.
        while client.row(&import).await["checkpoints"][1]["num_rows_written"] != "1" {
            tokio::task::yield_now().await;
        }
        assert_eq!(client.row(&import).await["state"]["state"], "in_progress");
        assert_eq!(names(&deployment.documents("companies").await), ["Company 1"]);
        if cancels {
            assert_eq!(client.tell("cancel_import", &import).await.status(), StatusCode::OK);
        }
        bench.hold_imports(false);
        client.wait(&import, &[if cancels { "failed" } else { "completed" }]).await;
        let expected: &[&str] = if cancels { &["Company 1"] } else { &["Company 2", "Company 3"] };
        assert_eq!(names(&deployment.documents("companies").await), expected);
        assert_eq!(deployment.count("people").await, usize::from(!cancels));
        bench.hold_imports(true);
    }
}

#[tokio::test]
async fn functions_go_on_with_what_an_import_brought() {
    let bench = Deployment::bench().await;
    let row = format!(r#"{{"_id":"{}","_creationTime":1.0,"supabaseId":"a","amount":1}}"#, id("anything", 1));
    bench.import(Archive::new().uniform("anything", &[&row]), "requireEmpty").await;
    let call =
        json!({ "path": "migrate:bulkInsertAnything", "args": { "records": [{ "supabaseId": "a", "amount": 2 }] } });
    let answer: Value = bench.client.post("/api/mutation").json(&call).send().await.unwrap().json().await.unwrap();
    assert_eq!(answer["value"], json!([{ "id": id("anything", 1), "outcome": "updated" }]));

    let local = Deployment::local().await;
    let archive =
        companies(&[1]).uniform("people", &[&format!(r#"{{"email":"a@x.io","employer":"{}"}}"#, id("companies", 1))]);
    local.import(archive, "requireEmpty").await;
    let StandIn::Local(server) = &local.stand_in else { panic!("convex-local") };
    let people = json!([{ "email": "a@x.io" }, { "email": "b@x.io" }]);
    let ids = server.mutation("people:upsertMany", json!({ "people": people })).await.unwrap();
    assert_eq!(local.documents("people").await[0]["_id"], ids[0]);
    assert_eq!(local.count("people").await, 2);
}
