//! Requests, answers, limits, and what the functions do.

use migrate_tests::convex_bench::{ConvexBenchOptions, Counters, DocumentId};
use reqwest::StatusCode;
use serde_json::{Value, json};

use super::{Bench, INSERT, LOOKUP, PATCH, ids, object, outcomes, records, refused};

#[tokio::test]
async fn the_same_batch_twice_changes_nothing() {
    for keep_documents in [false, true] {
        let bench = Bench::start(ConvexBenchOptions { keep_documents, ..ConvexBenchOptions::default() }).await;
        let first = bench.value("mutation", INSERT, json!({ "records": records(3) })).await;
        let second = bench.value("mutation", INSERT, json!({ "records": records(3) })).await;
        assert_eq!(outcomes(&first), ["inserted"; 3]);
        assert_eq!(outcomes(&second), ["unchanged"; 3]);
        assert_eq!(ids(&first), ids(&second));
        let changed = bench.insert(json!([{ "amount": 99, "supabaseId": "row-1" }])).await;
        assert_eq!(changed, ["updated"]);
        let Counters { inserted, updated, unchanged, duplicates, .. } = bench.bench.counters();
        assert_eq!((inserted, updated, unchanged, duplicates), (3, 1, 3, 0));
    }
}

#[tokio::test]
async fn ids_have_the_real_format_and_follow_the_options() {
    let bench = Bench::keeping_documents().await;
    let value = bench.value("mutation", INSERT, json!({ "records": records(2) })).await;
    let [first, second] = &ids(&value)[..] else { panic!("two ids") };
    assert_ne!(first, second);
    let id: DocumentId = first.parse().unwrap();
    assert_eq!((first.len(), id.table_number), (32, 10_001));
    assert_eq!(bench.bench.id_of("ariPayments", "row-0").as_ref(), Some(first));
    assert_eq!(bench.bench.id_of("ariPayments", "row-7"), None);

    let other_table = bench.value("mutation", "migrate:bulkInsertWebinars", json!({ "records": records(1) })).await;
    assert_eq!(ids(&other_table)[0].parse::<DocumentId>().unwrap().table_number, 10_002);

    let other = Bench::start(ConvexBenchOptions { id_seed: 1, ..ConvexBenchOptions::default() }).await;
    let value = other.value("mutation", INSERT, json!({ "records": records(1) })).await;
    assert_ne!(&ids(&value)[0], first);
}

#[tokio::test]
async fn a_legacy_id_twice_in_one_batch_is_one_document() {
    let bench = Bench::keeping_documents().await;
    let twice = json!([{ "amount": 1, "supabaseId": "a" }, { "amount": 2, "supabaseId": "a" }]);
    assert_eq!(bench.insert(twice).await, ["inserted", "updated"]);
    assert_eq!(bench.bench.counters().duplicates, 1);
    assert_eq!(bench.stored(), 1);
}

#[tokio::test]
async fn an_upsert_takes_its_own_fields_away_and_leaves_others() {
    let bench = Bench::keeping_documents().await;
    bench.insert(json!([{ "amount": 1, "gateway": "xendit", "supabaseId": "a" }])).await;
    let id = bench.bench.id_of("ariPayments", "a").unwrap();
    let patch = json!({ "records": [{ "documentId": id, "fields": { "appointment": "later" } }] });
    assert_eq!(outcomes(&bench.value("mutation", PATCH, patch.clone()).await), ["updated"]);
    assert_eq!(outcomes(&bench.value("mutation", PATCH, patch).await), ["unchanged"]);
    assert_eq!(bench.insert(json!([{ "amount": 1, "supabaseId": "a" }])).await, ["updated"]);

    let [document] = &bench.bench.documents("ariPayments")[..] else { panic!("one document") };
    let mut document = document.clone();
    assert!(object(document.clone())["_creationTime"].is_f64());
    document.as_object_mut().unwrap().shift_remove("_creationTime");
    assert_eq!(document, json!({ "_id": id, "amount": 1, "appointment": "later", "supabaseId": "a" }));
    let Counters { patched, patch_unchanged, .. } = bench.bench.counters();
    assert_eq!((patched, patch_unchanged), (1, 1));
}

#[tokio::test]
async fn a_patch_is_all_or_nothing() {
    let bench = Bench::keeping_documents().await;
    bench.insert(records(1)).await;
    let known = bench.bench.id_of("ariPayments", "row-0").unwrap();
    let unknown = DocumentId::from_parts(10_001, [1; 14], 1).to_string();
    let foreign = DocumentId::from_parts(10_900, [1; 14], 1).to_string();

    let records = json!([
        { "documentId": known, "fields": { "amount": 7 } },
        { "documentId": unknown, "fields": { "amount": 7 } },
    ]);
    let body = bench.call("mutation", PATCH, json!({ "records": records })).await;
    assert_eq!(body["errorData"], json!({ "code": "document_missing", "table": "ariPayments", "id": unknown }));
    assert!(body["errorMessage"].as_str().unwrap().contains("Uncaught ConvexError: "));
    assert_eq!(bench.bench.documents("ariPayments")[0]["amount"], 0);

    for id in [foreign.as_str(), "not an id"] {
        let message = bench
            .message("mutation", PATCH, json!({ "records": [{ "documentId": id, "fields": { "amount": 7 } }] }))
            .await;
        assert!(message.contains("ArgumentValidationError: "), "{message}");
    }
}

#[tokio::test]
async fn look_ups_find_seeded_and_written_documents() {
    let bench = Bench::keeping_documents().await;
    let workspace = bench.bench.seed_document("workspaces", object(json!({ "slug": "acme" })));
    let contact = |phone: &str, number: u64| object(json!({ "workspace_id": "w", "phone": phone, "number": number }));
    let first = bench.bench.seed_document("contacts", contact("+62", 1));
    let second = bench.bench.seed_document("contacts", contact("+62", 2));
    bench.bench.seed_document("contacts", contact("+62", 3));

    let keys = json!({ "table": "workspaces", "index": "by_slug", "keys": [["acme"], ["other"], [null]] });
    assert_eq!(bench.value("query", LOOKUP, keys).await, json!([[workspace], [], []]));
    let keys = json!({ "table": "contacts", "index": "by_workspace_phone", "keys": [["w", "+62"], ["v", "+62"]] });
    assert_eq!(bench.value("query", LOOKUP, keys).await, json!([[first, second], []]));

    let records = json!({ "records": [{ "slug": "fresh", "supabaseId": "1" }] });
    let written = ids(&bench.value("mutation", "migrate:bulkInsertWorkspaces", records).await);
    let keys = json!({ "table": "workspaces", "index": "by_slug", "keys": [["fresh"]] });
    assert_eq!(bench.value("query", LOOKUP, keys).await, json!([written]));

    let keys = json!({ "table": "workspaces", "index": "by_name", "keys": [["acme"]] });
    let message = bench.message("query", LOOKUP, keys).await;
    assert!(message.contains("Index workspaces.by_name not found."), "{message}");
    let keys = json!({ "table": "empty", "index": "by_slug", "keys": [["acme"]] });
    assert_eq!(bench.value("query", LOOKUP, keys).await, json!([[]]));
    assert_eq!(bench.bench.counters().lookups, 8);
}

#[tokio::test]
async fn legacy_arguments_and_any_kind_of_function_are_accepted() {
    let bench = Bench::keeping_documents().await;
    let value = bench.value("mutation", INSERT, json!([{ "records": records(1) }])).await;
    assert_eq!(outcomes(&value), ["inserted"]);
    let value = bench.value("function", "deep/er/migrate.js:bulkInsertAriPayments", json!({ "records": [] })).await;
    assert_eq!(value, json!([]));
    let message = bench.message("query", INSERT, json!({ "records": [] })).await;
    assert!(message.contains("as Query, but it is defined as Mutation"), "{message}");
}

#[tokio::test]
async fn without_the_key_no_function_is_found() {
    let bench = Bench::keeping_documents().await;
    let body = json!({ "path": INSERT, "args": { "records": records(1) } }).to_string();
    let response = bench.post("mutation").body(body.clone()).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    let answer: Value = response.json().await.unwrap();
    assert_eq!(answer["status"], "error");
    let message = answer["errorMessage"].as_str().unwrap();
    assert!(message.starts_with("[Request ID: "), "{message}");
    assert!(message.contains(&format!("Could not find public function for '{INSERT}'")), "{message}");

    let response = bench.post("mutation").header("authorization", "Convex wrong").body(body.clone()).send().await;
    assert_eq!(refused(response.unwrap()).await, (401, "BadAdminKey".to_owned()));
    let response = bench.post("function").body(body).send().await;
    assert_eq!(refused(response.unwrap()).await, (403, "BadDeployKey".to_owned()));
    assert_eq!(bench.stored(), 0);
}

#[tokio::test]
async fn the_key_may_carry_the_kind_and_name_of_a_deployment() {
    let bench = Bench::keeping_documents().await;
    let url = format!("{}/api/check_admin_key", bench.bench.url());
    let authorization = format!("convex prod:happy-animal-1|{}", bench.bench.admin_key());
    let refusal = bench.client.get(&url).header("authorization", authorization).send().await.unwrap();
    assert_eq!(refused(refusal).await, (401, "BadAdminKey".to_owned()));
    let authorization = format!("convex prod:{}", bench.bench.admin_key());
    let body: Value =
        bench.client.get(&url).header("authorization", authorization).send().await.unwrap().json().await.unwrap();
    assert_eq!(body, json!({ "success": true, "allowedOps": [], "isReadOnly": false }));
    assert_eq!(refused(bench.client.get(&url).send().await.unwrap()).await, (403, "BadDeployKey".to_owned()));

    let version = bench.client.get(format!("{}/version", bench.bench.url())).send().await.unwrap();
    assert!(version.text().await.unwrap().contains("stand-in"));
    let name = bench.client.get(format!("{}/instance_name", bench.bench.url())).send().await.unwrap();
    assert_eq!(name.text().await.unwrap(), "convex-bench");
}

#[tokio::test]
async fn malformed_requests_are_refused_as_a_whole() {
    let bench = Bench::keeping_documents().await;
    let bad_json = (400, "BadJsonBody".to_owned());
    for body in ["", "{", "[]", "{\"path\":\"a:b\"}", "{\"path\":\"a:b\",\"args\":[{},{}]}"] {
        assert_eq!(refused(bench.send("mutation", body.to_owned()).await.unwrap()).await, bad_json, "{body}");
    }
    let response = bench.client.post(format!("{}/api/mutation", bench.bench.url())).body("{}").send().await;
    assert_eq!(refused(response.unwrap()).await, bad_json);
    let response = bench.send("mutation", " ".repeat((16 << 20) + 2_001)).await;
    assert_eq!(refused(response.unwrap()).await, bad_json);
    let response = bench.post("mutation").header("convex-client", "nameless").body("{}").send().await;
    assert_eq!(refused(response.unwrap()).await, (400, "InvalidClientVersion".to_owned()));
    let response = bench.try_call("mutation", "no such:path", json!({})).await;
    assert_eq!(refused(response.unwrap()).await, (400, "BadConvexFunctionIdentifier".to_owned()));
}

#[tokio::test]
async fn limits_are_those_of_convex() {
    let bench = Bench::keeping_documents().await;
    let message = bench.message("mutation", INSERT, json!({ "records": records(8_193) })).await;
    assert!(message.contains("Array length is too long (8193 > maximum length 8192)"), "{message}");
    let message = bench.message("mutation", INSERT, json!({ "records": records(4_097) })).await;
    assert!(message.contains("Too many reads in a single function execution (limit: 4096)"), "{message}");
    let large = json!({ "records": [{ "supabaseId": "a", "text": "x".repeat(1 << 20) }] });
    let message = bench.message("mutation", INSERT, large).await;
    assert!(message.contains("Value is too large"), "{message}");
    // Numbers take nine bytes in Convex and three here.
    let numbers: Vec<_> = (0..300).map(|_| vec![1; 8_000]).collect();
    let message = bench.message("mutation", INSERT, json!({ "records": numbers })).await;
    assert!(message.contains("Arguments for migrate:bulkInsertAriPayments are too large"), "{message}");
    let message = bench.message("mutation", INSERT, json!({ "records": [{ "supabaseId": "a", "_x": 1 }] })).await;
    assert!(message.contains("starts with an underscore"), "{message}");
    let message = bench.message("mutation", INSERT, json!({ "records": [{ "amount": 1 }] })).await;
    assert!(
        message.contains("ArgumentValidationError: Object is missing the required field `supabaseId`"),
        "{message}"
    );
    assert_eq!(bench.stored(), 0);
    assert_eq!(bench.insert(records(4_096)).await.len(), 4_096);
}
