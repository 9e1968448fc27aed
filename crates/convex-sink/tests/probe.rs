//! What a probe makes of a deployment's answers.

#![expect(clippy::unwrap_used, reason = "tests may unwrap, and so may what they share")]

use convex_sink::{CONVEX_RULES, ConvexProbe, ConvexSettings, FunctionState, KeyRights};
use migrate_core::catalog::{CATALOG_VERSION, Catalog, Column, ScalarKind, SourceType, TableSchema, TableState};
use migrate_core::names::FieldName;
use migrate_core::plan::{MigrateConfig, Plan, build_plan};
use migrate_core::{Error, ErrorKind};
use serde_json::{Value as Json, json};
use wiremock::matchers::{body_partial_json, method, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

const KEY: &str = "prod:happy-animal-123|CANARY-KEY";
const SPECS: &str = "_system/cli/modules:apiSpec";

fn probe(server: &MockServer) -> ConvexProbe {
    ConvexProbe::new(ConvexSettings::new(server.uri(), KEY.into())).unwrap()
}

async fn answered(at: &str, answer: ResponseTemplate) -> MockServer {
    let server = MockServer::start().await;
    Mock::given(method("GET")).and(path(at)).respond_with(answer).mount(&server).await;
    server
}

#[tokio::test]
async fn a_version_is_told_where_there_is_one() {
    for (text, version) in [
        ("0f4c3a1b", Some("0f4c3a1b")),
        ("precompiled-2026-08-21-94a42c3\n", Some("precompiled-2026-08-21-94a42c3")),
        ("\"1.2.3\"", Some("1.2.3")),
        ("unknown", None),
        ("", None),
        ("<html>CANARY</html>", None),
    ] {
        let server = answered("/version", ResponseTemplate::new(200).set_body_string(text)).await;
        let found = probe(&server).backend().await.unwrap();
        assert_eq!(found.version.as_deref(), version, "{text}");
        assert!(found.clock_skew.is_some_and(|seconds| seconds.abs() <= 1), "{found:?}");
    }
}

#[tokio::test]
async fn the_rights_of_a_key_are_the_deployments_word() {
    let body = |body: Json| ResponseTemplate::new(200).set_body_json(body);
    for (answer, rights) in [
        (body(json!({ "success": true, "allowedOps": [], "isReadOnly": false })), KeyRights::Admin),
        (body(json!({ "success": true })), KeyRights::Admin),
        (body(json!({ "success": true, "allowedOps": ["ViewData", "RunInternalMutations"] })), KeyRights::Enough),
        (body(json!({ "success": true, "allowedOps": ["ViewData", "RunInternalQueries"] })), KeyRights::TooFew),
        (body(json!({ "success": true, "allowedOps": ["ViewData"], "isReadOnly": true })), KeyRights::TooFew),
        (ResponseTemplate::new(404), KeyRights::Untold),
    ] {
        let server = answered("/api/check_admin_key", answer).await;
        assert_eq!(probe(&server).key_rights().await.unwrap(), rights);
    }
    let refusal = json!({ "code": "BadAdminKey", "message": "CANARY" });
    let server = answered("/api/check_admin_key", ResponseTemplate::new(401).set_body_json(refusal)).await;
    let error = probe(&server).key_rights().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unauthorized);
    assert!(!format!("{error} {error:?}").contains("CANARY"), "{error}");
}

/// A plan of two tables of one number each.
fn plan() -> Plan {
    let column = |name: &str| Column::new(FieldName::from(name), SourceType::new("integer", ScalarKind::Int4));
    let table = |name: &str| TableSchema {
        state: TableState::Present,
        columns: vec![Column { nullable: false, ..column("id") }],
        primary_key: vec![FieldName::from("id")],
        ..TableSchema::new(name.parse().unwrap())
    };
    let catalog = Catalog {
        version: CATALOG_VERSION,
        origin: "test".to_owned(),
        unknown: Vec::new(),
        differences: Vec::new(),
        tables: vec![table("notes"), table("orders")],
        inventory: Vec::new(),
    };
    build_plan(&MigrateConfig::default(), &catalog, &CONVEX_RULES).unwrap()
}

/// A deployment that answers the calls of these functions, in the order given, and knows no others.
async fn deployment(functions: &[(&str, ResponseTemplate)]) -> MockServer {
    let server = MockServer::start().await;
    for (name, answer) in functions {
        let call = body_partial_json(json!({ "path": name }));
        Mock::given(method("POST")).and(call).respond_with(answer.clone()).mount(&server).await;
    }
    let missing = format!("Server Error\nCould not find public function for '{KEY}'");
    let missing = json!({ "status": "error", "errorMessage": missing });
    Mock::given(method("POST"))
        .respond_with(ResponseTemplate::new(200).set_body_json(missing))
        .with_priority(200)
        .mount(&server)
        .await;
    server
}

async fn states(server: &MockServer) -> Result<Vec<(String, FunctionState)>, Error> {
    let checks = probe(server).functions(&plan()).await?;
    Ok(checks.into_iter().map(|check| (check.name, check.state)).collect())
}

fn success(value: impl Into<Json>) -> ResponseTemplate {
    ResponseTemplate::new(200).set_body_json(json!({ "status": "success", "value": value.into() }))
}

#[tokio::test]
async fn where_the_list_is_refused_calls_of_nothing_show_what_is_there() {
    let denied = json!({ "code": "OperationNotPermitted", "message": "no (deployment:data:view)" });
    let refusals = [
        ResponseTemplate::new(403).set_body_json(denied),
        ResponseTemplate::new(200)
            .set_body_json(json!({ "status": "error", "errorMessage": "Could not find public function for 'x'" })),
        success(json!("of another shape")),
    ];
    for refusal in refusals {
        let other = json!({ "status": "error", "errorMessage": "ArgumentValidationError: Object is missing `x`" });
        let server = deployment(&[
            (SPECS, refusal),
            ("migration/migrate:bulkInsertNotes", success(json!([]))),
            ("migration/migrate:bulkInsertOrders", ResponseTemplate::new(200).set_body_json(other)),
        ])
        .await;
        assert_eq!(
            states(&server).await.unwrap(),
            [
                ("migration/migrate:bulkInsertNotes".to_owned(), FunctionState::Present),
                ("migration/migrate:bulkInsertOrders".to_owned(), FunctionState::Differs(Vec::new())),
            ]
        );
        let requests = server.received_requests().await.unwrap();
        let records =
            requests.iter().filter_map(|request| request.body_json::<Json>().unwrap()["args"].get("records").cloned());
        assert!(records.clone().count() == 2 && records.into_iter().all(|records| records == json!([])));
    }
}

#[tokio::test]
async fn a_deployment_without_functions_misses_all() {
    let server = deployment(&[(SPECS, success(json!([])))]).await;
    let states = states(&server).await.unwrap();
    assert_eq!(states.len(), 5, "two upserts, two queries that read back, and the removal of keys: {states:?}");
    assert!(states.iter().all(|(_, state)| *state == FunctionState::Missing));
}

#[tokio::test]
async fn a_deployment_that_fails_is_an_error() {
    let server = deployment(&[(SPECS, ResponseTemplate::new(503))]).await;
    assert_eq!(states(&server).await.unwrap_err().kind(), ErrorKind::Unavailable);
}
