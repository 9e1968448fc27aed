//! Discovery from documents and probes of an older and a newer PostgREST.

use migrate_core::catalog::{ScalarKind, TableKind, TableState};
use migrate_core::{ErrorKind, Source as _};
use serde_json::{Value as Json, json};
use supabase_source::{SupabaseSettings, SupabaseSource};
use wiremock::matchers::{header, method, path, query_param};
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::{settings, source, table};

async fn count(server: &MockServer, name: &str, answer: ResponseTemplate) {
    let head = Mock::given(method("HEAD")).and(path(format!("/rest/v1/{name}"))).and(header("prefer", "count=exact"));
    head.and(query_param("limit", "0")).respond_with(answer).mount(server).await;
}

async fn get(server: &MockServer, name: &str, status: u16, body: Json) {
    let answer = ResponseTemplate::new(status).set_body_json(body);
    Mock::given(method("GET")).and(path(format!("/rest/v1/{name}"))).respond_with(answer).mount(server).await;
}

fn rows(rows: u64) -> ResponseTemplate {
    ResponseTemplate::new(206).insert_header("content-range", format!("*/{rows}"))
}

async fn root(server: &MockServer, version: &str, definitions: Json) {
    let document = json!({ "swagger": "2.0", "info": { "version": version }, "definitions": definitions });
    let get = Mock::given(method("GET")).and(path("/rest/v1/")).and(header("accept", "application/openapi+json"));
    let answer =
        ResponseTemplate::new(200).set_body_raw(document.to_string(), "application/openapi+json; charset=utf-8");
    get.and(header("accept-profile", "public")).respond_with(answer).mount(server).await;
}

fn expecting(server: &MockServer, names: &[&str]) -> SupabaseSource {
    let expected_tables = names.iter().map(|name| table(name)).collect();
    SupabaseSource::new(SupabaseSettings { expected_tables, ..settings(server) }).unwrap()
}

#[tokio::test]
async fn an_attempt_goes_on_where_the_last_one_failed() {
    let server = MockServer::start().await;
    let names: Vec<String> = (0..40).map(|number| format!("table_{number}")).collect();
    let id = json!({ "format": "integer", "type": "integer", "description": "Note:\nThis is a Primary Key.<pk/>" });
    let definitions = names.iter().map(|name| (name.clone(), json!({ "properties": { "id": id } })));
    root(&server, "14.8", Json::Object(definitions.collect())).await;
    for name in &names {
        // The first count of each table fails.
        let away = ResponseTemplate::new(503).insert_header("retry-after", "0");
        let first = Mock::given(method("HEAD")).and(path(format!("/rest/v1/{name}"))).respond_with(away);
        first.up_to_n_times(1).with_priority(1).mount(&server).await;
        count(&server, name, rows(3)).await;
        get(&server, name, 200, json!([])).await;
    }
    let source = source(&server);
    let mut attempts = 1;
    let catalog = loop {
        match source.discover().await {
            Ok(catalog) => break catalog,
            Err(error) => assert_eq!(error.kind(), ErrorKind::Unavailable),
        }
        attempts += 1;
    };
    assert!(attempts <= 40 / 4 + 1, "{attempts} attempts for 40 faults");
    assert_eq!(catalog.tables.len(), 40);
    assert!(catalog.tables.iter().all(|table| table.rows == Some(3)));
    let counts = server.received_requests().await.unwrap();
    let counts = counts.iter().filter(|request| request.method.as_str() == "HEAD").count();
    assert!((80..120).contains(&counts), "{counts} counts: what is known is not asked for again");
    source.discover().await.unwrap();
    let again = server.received_requests().await.unwrap();
    let again = again.iter().filter(|request| request.method.as_str() == "HEAD").count();
    assert_eq!(again, counts + 40, "a discovery that went well is forgotten");
}

#[tokio::test]
async fn an_older_server_tells_by_body() {
    let server = MockServer::start().await;
    let id = json!({ "format": "integer", "type": "integer", "description": "Note:\nThis is a Primary Key.<pk/>" });
    let definitions = json!({
        "payments": { "required": ["id"], "properties": { "id": id, "big": { "format": "bigint" } } },
        "notes": { "properties": { "id": id } },
        "totals": { "properties": { "id": id } },
        "locked": { "properties": { "id": id } },
    });
    root(&server, "12.0.2 (a4e00ff)", definitions).await;
    count(&server, "payments", rows(3)).await;
    get(&server, "payments", 200, json!([])).await;
    count(&server, "notes", rows(0)).await;
    get(&server, "notes", 200, json!([])).await;
    count(&server, "totals", rows(9)).await;
    get(&server, "totals", 400, json!({ "code": "42703", "message": "column totals.ctid does not exist" })).await;
    count(&server, "locked", ResponseTemplate::new(403)).await;
    get(&server, "locked", 403, json!({ "code": "42501", "message": "permission denied for table locked" })).await;
    count(&server, "gone", ResponseTemplate::new(404)).await;
    get(&server, "gone", 404, json!({ "code": "42P01", "message": "relation \"public.gone\" does not exist" })).await;

    let catalog = expecting(&server, &["gone", "payments"]).discover().await.unwrap();
    assert_eq!(catalog.origin, "PostgREST 12.0.2 (OpenAPI)");
    let states: Vec<_> = catalog.tables.iter().map(|table| (table.name.name(), table.state, table.rows)).collect();
    assert_eq!(
        states,
        [
            ("gone", TableState::Missing, None),
            ("locked", TableState::Forbidden, None),
            ("notes", TableState::Empty, Some(0)),
            ("payments", TableState::Present, Some(3)),
            ("totals", TableState::Present, Some(9)),
        ]
    );
    let says = |text: &str| catalog.unknown.iter().any(|line| line.contains(text));
    assert_eq!(catalog.table(&table("totals")).unwrap().kind, TableKind::View);
    assert_eq!(catalog.table(&table("payments")).unwrap().kind, TableKind::Table);
    assert_eq!((catalog.inventory.len(), catalog.inventory[0].name.as_str()), (1, "totals"));
    assert!(says("grant select on public.locked to service_role;"), "{:?}", catalog.unknown);
    assert!(says("unique keys"));
    assert_eq!(catalog.table(&table("payments")).unwrap().column("id").unwrap().source_type.scalar, ScalarKind::Int4);
}

#[tokio::test]
async fn a_newer_server_tells_by_proxy_status() {
    let server = MockServer::start().await;
    let id = json!({ "format": "int64", "description": "Note:\nThis is a Primary Key.<pk/>" });
    root(&server, "14.8", json!({ "payments": { "properties": { "id": id, "small": { "format": "int32" } } } })).await;
    count(&server, "payments", rows(3)).await;
    get(&server, "payments", 200, json!([])).await;
    let failed = |status: u16, code: &str| {
        ResponseTemplate::new(status).insert_header("proxy-status", format!("PostgREST; error={code}"))
    };
    count(&server, "gone", failed(404, "PGRST205")).await;
    count(&server, "locked", failed(403, "42501")).await;
    let source = expecting(&server, &["gone", "locked"]);
    let catalog = source.discover().await.unwrap();
    let states: Vec<_> = catalog.tables.iter().map(|table| (table.name.name(), table.state)).collect();
    assert_eq!(
        states,
        [("gone", TableState::Missing), ("locked", TableState::Forbidden), ("payments", TableState::Present)]
    );
    let payments = catalog.table(&table("payments")).unwrap();
    assert_eq!(payments.column("id").unwrap().source_type.scalar, ScalarKind::Int8);
    assert_eq!(payments.column("small").unwrap().source_type.scalar, ScalarKind::Int4);

    let error = source.count(&table("gone")).await.unwrap_err();
    assert_eq!((error.kind(), error.code()), (ErrorKind::TableMissing, "PGRST205"));
    let error = source.count(&table("locked")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Forbidden);
    assert_eq!(error.remedy(), Some("run: grant select on public.locked to service_role;"));
}

#[tokio::test]
async fn a_schema_that_is_not_exposed_holds_no_tables() {
    let server = MockServer::start().await;
    root(&server, "14.8", json!({})).await;
    let refused = json!({ "code": "PGRST106", "message": "Invalid schema: auth", "hint": "Only the following schemas are exposed: public" });
    let auth = Mock::given(path("/rest/v1/")).and(header("accept-profile", "auth"));
    auth.respond_with(ResponseTemplate::new(406).set_body_json(refused)).mount(&server).await;
    let catalog = expecting(&server, &["auth.users"]).discover().await.unwrap();
    assert_eq!(catalog.table(&table("auth.users")).unwrap().state, TableState::Missing);
    assert!(catalog.unknown.iter().any(|line| line.contains("the schema auth is not exposed")));
    let error = SupabaseSource::new(SupabaseSettings { schemas: vec!["auth".into()], ..settings(&server) })
        .unwrap()
        .discover()
        .await;
    let error = error.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(error.to_string().contains("schemas are exposed: public"), "{error}");
}

#[tokio::test]
async fn a_count_that_takes_too_long_is_not_known() {
    let server = MockServer::start().await;
    root(&server, "14.8", json!({ "huge": { "properties": { "id": { "format": "int64" } } } })).await;
    let slow = ResponseTemplate::new(500).insert_header("proxy-status", "PostgREST; error=57014");
    count(&server, "huge", slow).await;
    get(&server, "huge", 200, json!([])).await;
    let catalog = source(&server).discover().await.unwrap();
    let huge = catalog.table(&table("huge")).unwrap();
    assert_eq!((huge.state, huge.rows), (TableState::Present, None));
    assert_eq!(source(&server).count(&table("huge")).await.unwrap(), None);
}

#[tokio::test]
async fn another_document_is_a_protocol_error() {
    let server = MockServer::start().await;
    let page = ResponseTemplate::new(200).set_body_raw("<html>hunter2</html>", "text/html");
    Mock::given(path("/rest/v1/")).respond_with(page).mount(&server).await;
    let error = source(&server).discover().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Protocol);
    assert!(!format!("{error:?}").contains("hunter2"));
}
