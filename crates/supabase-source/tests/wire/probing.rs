//! What a probe makes of a project's answers.

use std::time::SystemTime;

use migrate_core::ErrorKind;
use migrate_core::catalog::{CATALOG_VERSION, Catalog, Column, ScalarKind, SourceType, TableSchema, TableState};
use migrate_core::names::FieldName;
use serde_json::json;
use supabase_source::{AdminProof, MaxRows, SupabaseProbe, SupabaseSettings};
use wiremock::matchers::{header, method, path, query_param};
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::{SECRET, settings, table};

fn probe(server: &MockServer) -> SupabaseProbe {
    SupabaseProbe::new(settings(server)).unwrap()
}

/// An HTTP date so many seconds from now, by the system's own `date`: another path than ours.
fn date(seconds: i64) -> String {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    let at = now.checked_add_signed(seconds).unwrap();
    let shown = std::process::Command::new("date")
        .env("LC_ALL", "C")
        .args(["-u", "-d", &format!("@{at}"), "+%a, %d %b %Y %H:%M:%S GMT"])
        .output()
        .unwrap();
    String::from_utf8(shown.stdout).unwrap().trim().to_owned()
}

#[tokio::test]
async fn the_root_tells_version_and_clock() {
    let document = json!({ "swagger": "2.0", "info": { "version": "12.2.3 (519615d)" }, "definitions": {} });
    for (seconds, shown) in [(600, 595..=600), (-600, -605..=-599), (0, -1..=1)] {
        let server = MockServer::start().await;
        let answer = ResponseTemplate::new(200).insert_header("date", date(seconds)).set_body_json(&document);
        Mock::given(path("/rest/v1/")).and(header("apikey", SECRET)).respond_with(answer).mount(&server).await;
        let found = probe(&server).data_api("public").await.unwrap();
        assert_eq!(found.version.as_deref(), Some("12.2.3"));
        assert!(shown.contains(&found.clock_skew.unwrap()), "{seconds}: {found:?}");
    }
}

#[tokio::test]
async fn a_replaced_root_leaves_the_server_header() {
    let server = MockServer::start().await;
    let answer = ResponseTemplate::new(200).insert_header("server", "postgrest/13.0.4").set_body_string("{}");
    Mock::given(path("/rest/v1/")).respond_with(answer).mount(&server).await;
    assert_eq!(probe(&server).data_api("public").await.unwrap().version.as_deref(), Some("13.0.4"));
}

#[tokio::test]
async fn auth_knows_administrators() {
    for (status, proof) in [
        (200, AdminProof::Proven),
        (403, AdminProof::Refused),
        (401, AdminProof::Untold),
        (404, AdminProof::Untold),
        (500, AdminProof::Untold),
    ] {
        let server = MockServer::start().await;
        Mock::given(path("/auth/v1/admin/users"))
            .and(query_param("per_page", "1"))
            .and(header("apikey", SECRET))
            .respond_with(ResponseTemplate::new(status).set_body_json(json!({ "users": [{ "email": "hunter2" }] })))
            .expect(1)
            .mount(&server)
            .await;
        let probe = probe(&server);
        assert_eq!(probe.admin().await.unwrap(), proof, "{status}");
        assert!(!format!("{probe:?}").contains(SECRET));
    }
}

/// A catalog of one table with so many rows.
fn catalog(name: &str, state: TableState, rows: Option<u64>) -> Catalog {
    let column = Column::new(FieldName::from("id"), SourceType::new("integer", ScalarKind::Int4));
    let table = TableSchema { state, rows, columns: vec![column], ..TableSchema::new(table(name)) };
    Catalog {
        version: CATALOG_VERSION,
        origin: "test".to_owned(),
        unknown: Vec::new(),
        differences: Vec::new(),
        tables: vec![table],
        inventory: Vec::new(),
    }
}

#[tokio::test]
async fn an_answer_that_ends_before_the_rows_shows_the_cap() {
    for (range, found) in [
        ("0-999/2500", Some(MaxRows::Exactly(1000))),
        ("0-2499/2500", Some(MaxRows::AtLeast(2500))),
        ("0-999999/5000000", Some(MaxRows::AtLeast(1_000_000))),
        ("*/0", None),
    ] {
        let server = MockServer::start().await;
        Mock::given(method("HEAD"))
            .and(path("/rest/v1/notes"))
            .and(query_param("limit", "1000000"))
            .and(header("prefer", "count=exact"))
            .respond_with(ResponseTemplate::new(206).insert_header("content-range", range))
            .mount(&server)
            .await;
        let catalog = catalog("notes", TableState::Present, Some(2500));
        assert_eq!(probe(&server).max_rows(&catalog).await.unwrap(), found, "{range}");
    }
    let server = MockServer::start().await;
    let empty = catalog("notes", TableState::Empty, Some(0));
    assert_eq!(probe(&server).max_rows(&empty).await.unwrap(), None, "nothing is asked of an empty table");
}

#[tokio::test]
async fn what_cannot_be_read_comes_with_its_statement() {
    let server = MockServer::start().await;
    let refusal = json!({ "code": "42501", "message": "permission denied for table notes" });
    let answer = ResponseTemplate::new(403).set_body_json(refusal);
    Mock::given(path("/rest/v1/notes")).respond_with(answer).mount(&server).await;
    let found = probe(&server).unreadable(&catalog("notes", TableState::Forbidden, None)).await;
    let [(name, error)] = found.as_slice() else { panic!("one is not readable: {found:?}") };
    assert_eq!((name.name(), error.kind()), ("notes", ErrorKind::Forbidden));
    assert_eq!(error.remedy(), Some("run: grant select on public.notes to service_role;"));
}

#[tokio::test]
async fn nobody_at_the_address_is_an_error_of_its_own() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let url = format!("http://127.0.0.1:{port}");
    let probe = SupabaseProbe::new(SupabaseSettings::new(url, SECRET)).unwrap();
    assert_eq!(probe.data_api("public").await.unwrap_err().kind(), ErrorKind::Unreachable);
    assert_eq!(probe.admin().await.unwrap_err().kind(), ErrorKind::Unreachable);
}
