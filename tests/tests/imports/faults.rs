//! Faults on the routes of imports.

use std::time::Duration;

use migrate_tests::convex_bench::{Fault, FaultKind};
use reqwest::StatusCode;
use serde_json::Value;

use super::{Deployment, companies};

#[tokio::test]
async fn a_fault_before_the_end_of_a_part_stores_nothing_of_it() {
    let deployment = Deployment::bench().await;
    let (client, bench) = (&deployment.client, deployment.bench_server());
    bench.faults_only_on("/api/import/upload_part");
    let retry_after = Some(Duration::from_secs(2));
    bench.script([
        Some(Fault::TooManyRequests429 { retry_after }),
        Some(Fault::Occ503),
        Some(Fault::ResetBeforeCommit),
        Some(Fault::HtmlError502),
    ]);
    let archive = companies(&[1]).bytes();
    let upload = client.start().await;
    let answer = client.part(&upload, 1, &archive).await.unwrap();
    assert_eq!(
        (answer.status(), answer.headers()["retry-after"].as_bytes()),
        (StatusCode::TOO_MANY_REQUESTS, &b"2"[..])
    );
    assert_eq!(client.part(&upload, 1, &archive).await.unwrap().status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(client.part(&upload, 1, &archive).await.unwrap_err().is_request());
    assert_eq!(client.part(&upload, 1, &archive).await.unwrap().status(), StatusCode::BAD_GATEWAY);
    let part: String = client.part(&upload, 1, &archive).await.unwrap().json().await.unwrap();
    assert_eq!(client.finish(&upload, &[part], "replace").await.unwrap().status(), StatusCode::OK);
    assert_eq!(bench.injected().len(), 4);
    let counters = bench.counters();
    assert_eq!(counters.import_calls, 7);
    assert!(counters.import_bytes > 5 * u64::try_from(archive.len()).unwrap());
}

#[tokio::test]
async fn a_part_whose_answer_is_lost_is_stored() {
    for fault in [Fault::ResetAfterCommit, Fault::Internal500AfterCommit, Fault::Malformed] {
        let deployment = Deployment::bench().await;
        let (client, bench) = (&deployment.client, deployment.bench_server());
        bench.faults_only_on("/api/import/upload_part");
        let kind = fault.kind();
        bench.script([Some(fault)]);
        let archive = companies(&[1]).bytes();
        let upload = client.start().await;
        let lost = client.part(&upload, 1, &archive).await;
        let is_told = match lost {
            Ok(answer) => answer.status() == StatusCode::OK && answer.json::<Value>().await.is_ok(),
            Err(_) => false,
        };
        assert!(!is_told, "{kind}");
        // The same part again would be appended once more.
        assert_eq!(client.part(&upload, 1, &archive).await.unwrap().status(), StatusCode::BAD_REQUEST, "{kind}");
        assert_eq!(deployment.import(companies(&[1]), "requireEmpty").await, 1, "another upload goes through: {kind}");
    }
}

#[tokio::test]
async fn an_import_whose_answer_is_lost_is_on_the_list() {
    let deployment = Deployment::bench().await;
    let (client, bench) = (&deployment.client, deployment.bench_server());
    bench.faults_only_on("/api/import/finish_upload");
    bench.script([Some(Fault::ResetAfterCommit)]);
    let upload = client.start().await;
    let part: String = client.part(&upload, 1, &companies(&[1]).bytes()).await.unwrap().json().await.unwrap();
    client.finish(&upload, std::slice::from_ref(&part), "requireEmpty").await.unwrap_err();
    let list = client.query("_system/cli/queryImport:list", serde_json::json!({})).await;
    let import = list[0]["_id"].as_str().unwrap();
    client.wait(import, &["waiting_for_confirmation"]).await;
    assert_eq!(client.tell("perform_import", import).await.status(), StatusCode::OK);
    client.wait(import, &["completed"]).await;
    assert_eq!(deployment.count("companies").await, 1);
}

#[tokio::test]
async fn a_hanging_part_ends_with_its_client() {
    let deployment = Deployment::bench().await;
    let (client, bench) = (&deployment.client, deployment.bench_server());
    bench.faults_only_on("/api/import");
    bench.script([None, Some(Fault::Hang)]);
    let upload = client.start().await;
    let archive = companies(&[1]).bytes();
    let hanging = client.part(&upload, 1, &archive);
    assert!(tokio::time::timeout(Duration::from_millis(200), hanging).await.is_err());
    assert_eq!(bench.injected(), [(FaultKind::Hang, 1)].into());
    assert_eq!(client.part(&upload, 1, &archive).await.unwrap().status(), StatusCode::OK);
}
