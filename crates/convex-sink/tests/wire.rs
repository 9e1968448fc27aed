//! What goes over the wire, and what comes of every answer that Convex is known to give.

#![expect(clippy::unwrap_used, reason = "tests may unwrap, and so may what they share")]

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use convex_sink::{ConvexSettings, ConvexSink};
use migrate_core::names::{FieldName, SinkId, SourceKey, TableName};
use migrate_core::record::{Record, RecordShape, RejectCode};
use migrate_core::sink::{IdAssignment, Match, WriteBatch, WriteEffect, WriteMode, WriteOutcome, WriteRecord};
use migrate_core::value::Value;
use migrate_core::{Error, ErrorKind, Result, Sink};
use secrecy::SecretString;
use serde_json::{Value as Json, json};
use wiremock::matchers::{body_partial_json, header, method, path};
use wiremock::{Mock, MockServer, Request, ResponseTemplate};

const KEY: &str = "prod:happy-animal-123|CANARY-KEY";
const CANARY: &str = "CANARY-VALUE";

fn settings(url: &str) -> ConvexSettings {
    ConvexSettings { module: "migrate".into(), ..ConvexSettings::new(url, SecretString::from(KEY)) }
}

fn sink(server: &MockServer) -> ConvexSink {
    ConvexSink::new(settings(&server.uri())).unwrap()
}

fn table(name: &str) -> TableName {
    TableName::new("public", name).unwrap()
}

fn record(key: &str, city: Value) -> WriteRecord {
    let shape = RecordShape { table: table("ariDestinations"), fields: vec![FieldName::from("city")], key: vec![] };
    let record = Record { shape: Arc::new(shape), values: vec![city] };
    WriteRecord { key: SourceKey::from(key), id: None, record }
}

fn success(value: impl Into<Json>) -> ResponseTemplate {
    ResponseTemplate::new(200)
        .set_body_json(json!({ "status": "success", "value": value.into(), "logLines": [CANARY] }))
}

fn failure(status: u16, text: &str) -> ResponseTemplate {
    let message = format!("[Request ID: 9c9740cd81b808e1] Server Error\n{text}");
    ResponseTemplate::new(status)
        .set_body_json(json!({ "status": "error", "errorMessage": message, "logLines": [CANARY] }))
}

async fn server(answer: ResponseTemplate) -> MockServer {
    let server = MockServer::start().await;
    Mock::given(method("POST")).respond_with(answer).mount(&server).await;
    server
}

async fn write(sink: &ConvexSink, mode: WriteMode, records: &[WriteRecord]) -> Result<Vec<WriteOutcome>> {
    sink.write_batch(WriteBatch { table: &table("ariDestinations"), mode, records }).await
}

async fn write_one(server: &MockServer) -> Result<Vec<WriteOutcome>> {
    write(&sink(server), WriteMode::Upsert, &[record("k1", Value::text(CANARY))]).await
}

async fn bodies(server: &MockServer) -> Vec<Json> {
    let requests = server.received_requests().await.unwrap();
    requests.iter().map(|request| request.body_json().unwrap()).collect()
}

fn shows_no_secret(error: &Error) {
    let mut shown = format!("{error} {error:?}");
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        write!(shown, " {cause} {cause:?}").unwrap();
        source = cause.source();
    }
    assert!(!shown.contains("CANARY"), "{shown}");
}

#[tokio::test]
async fn an_upsert_is_one_call_in_order() {
    let server = MockServer::start().await;
    let answer = json!([
        { "id": "j1", "outcome": "inserted" },
        { "id": "j2", "outcome": "updated" },
        { "id": "j3", "outcome": "unchanged" },
    ]);
    Mock::given(method("POST"))
        .and(path("/api/mutation"))
        .and(header("Authorization", format!("Convex {KEY}").as_str()))
        .and(header("Content-Type", "application/json"))
        .and(header("Convex-Client", concat!("supabase-to-convex-", env!("CARGO_PKG_VERSION"))))
        .respond_with(success(answer))
        .expect(1)
        .mount(&server)
        .await;
    let records = [record("a", Value::text("Oslo")), record("b", Value::Absent), record("c", Value::Int64(7))];
    let outcomes = write(&sink(&server), WriteMode::Upsert, &records).await.unwrap();
    let written = |id: &str, effect| WriteOutcome::Written { id: SinkId::from(id), effect };
    assert_eq!(
        outcomes,
        [
            written("j1", WriteEffect::Inserted),
            written("j2", WriteEffect::Updated),
            written("j3", WriteEffect::Unchanged)
        ]
    );
    let expected = json!({
        "path": "migrate:bulkInsertAriDestinations",
        "format": "convex_encoded_json",
        "args": { "records": [
            { "supabaseId": "a", "city": "Oslo" },
            { "supabaseId": "b" },
            { "supabaseId": "c", "city": { "$integer": "BwAAAAAAAAA=" } },
        ]},
    });
    assert_eq!(bodies(&server).await, [expected]);
}

#[tokio::test]
async fn a_patch_names_documents_by_id() {
    let server = server(success(json!([{ "id": "j1", "outcome": "updated" }]))).await;
    let patch = WriteRecord { id: Some(SinkId::from("j1")), ..record("a", Value::text("j9")) };
    let outcomes = write(&sink(&server), WriteMode::Patch, &[patch]).await.unwrap();
    assert_eq!(outcomes, [WriteOutcome::Written { id: SinkId::from("j1"), effect: WriteEffect::Updated }]);
    let body = &bodies(&server).await[0];
    assert_eq!(body["path"], "migrate:patchAriDestinations");
    assert_eq!(body["args"], json!({ "records": [{ "documentId": "j1", "fields": { "city": "j9" } }] }));
}

#[tokio::test]
async fn records_that_can_never_be_written_are_rejected_in_place() {
    let server = server(success(json!([{ "id": "j2", "outcome": "inserted" }]))).await;
    let too_large = Value::text("x".repeat(1024 * 1024));
    let records = [record("a", too_large), record("b", Value::Null), record("c", Value::Decimal("1.5".into()))];
    let outcomes = write(&sink(&server), WriteMode::Upsert, &records).await.unwrap();
    let codes: Vec<_> = outcomes
        .iter()
        .map(|outcome| match outcome {
            WriteOutcome::Written { .. } => None,
            WriteOutcome::Rejected(error) => Some(error.code),
        })
        .collect();
    assert_eq!(codes, [Some(RejectCode::DocumentTooLarge), None, Some(RejectCode::NotRepresentable)]);
    assert_eq!(bodies(&server).await[0]["args"], json!({ "records": [{ "supabaseId": "b", "city": null }] }));

    let nothing = MockServer::start().await;
    let outcomes = write(&sink(&nothing), WriteMode::Upsert, &records[2..]).await.unwrap();
    assert!(matches!(outcomes[..], [WriteOutcome::Rejected(_)]));
    assert!(nothing.received_requests().await.unwrap().is_empty(), "a batch of rejects makes no call");
}

#[tokio::test]
async fn a_body_over_the_limit_is_not_sent() {
    let server = MockServer::start().await;
    let text = Value::text("\u{1}".repeat(1_000_000)); // six bytes of JSON for each
    let records: Vec<_> = (0..3).map(|number| record(&number.to_string(), text.clone())).collect();
    let error = write(&sink(&server), WriteMode::Upsert, &records).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TooLarge);
    assert!(server.received_requests().await.unwrap().is_empty());
}

#[tokio::test]
async fn lookups_are_chunked_and_keep_their_order() {
    let server = MockServer::start().await;
    let answer = |request: &Request| {
        let body: Json = request.body_json().unwrap();
        let ids = |key: &Json| match key[0].as_str().unwrap() {
            "none" => json!([]),
            "two" => json!(["x", "y"]),
            one => json!([format!("id-{one}")]),
        };
        success(body["args"]["keys"].as_array().unwrap().iter().map(ids).collect::<Json>())
    };
    Mock::given(path("/api/query")).respond_with(answer).mount(&server).await;
    let mut keys: Vec<Vec<Value>> =
        (0..1500).map(|number| vec![Value::text(number.to_string()), Value::Null]).collect();
    keys[0] = vec![Value::text("none"), Value::Null];
    keys[1] = vec![Value::text("1"), Value::Absent];
    keys[2] = vec![Value::text("two"), Value::Null];
    let found = sink(&server).lookup(&table("contacts"), "by_phone", &keys).await.unwrap();
    assert_eq!(found.len(), 1500);
    assert_eq!(found[..3], [Match::None, Match::None, Match::Several]);
    for (position, one) in found.iter().enumerate().skip(3) {
        assert_eq!(*one, Match::One(SinkId::new(format!("id-{position}"))));
    }
    let bodies = bodies(&server).await;
    let sizes: Vec<_> = bodies.iter().map(|body| body["args"]["keys"].as_array().unwrap().len()).collect();
    assert_eq!(sizes, [1000, 499]);
    assert_eq!(bodies[0]["path"], "migrate:lookup");
    assert_eq!((&bodies[0]["args"]["table"], &bodies[0]["args"]["index"]), (&json!("contacts"), &json!("by_phone")));

    let silent = MockServer::start().await;
    assert!(sink(&silent).lookup(&table("contacts"), "by_phone", &[]).await.unwrap().is_empty());
    let decimal = [vec![Value::Decimal("1".into())]];
    let error = sink(&silent).lookup(&table("contacts"), "by_phone", &decimal).await.unwrap_err();
    assert_eq!((error.kind(), error.code()), (ErrorKind::Config, "not_representable"));
    assert!(silent.received_requests().await.unwrap().is_empty());
}

#[tokio::test]
async fn function_failures_come_with_status_200_or_560() {
    use ErrorKind as E;
    for (text, kind) in [
        ("Could not find public function for 'migrate:bulkInsertAriDestinations'. Did you forget", E::FunctionMissing),
        ("Uncaught Error: Too many writes in a single function execution (limit: 16000)", E::TooLarge),
        (
            "ArgumentValidationError: Value does not match validator.\nPath: .records[0].city\nValue: \"CANARY-VALUE\"\nValidator: v.float64()",
            E::RecordFailed,
        ),
        ("Uncaught Error: CANARY-VALUE\n    at handler (../convex/migrate.ts:1:1)", E::RecordFailed),
        ("Cannot run functions while this deployment is paused. Resume it in the dashboard.", E::Forbidden),
    ] {
        for status in [200, 560] {
            let error = write_one(&server(failure(status, text)).await).await.unwrap_err();
            assert_eq!(error.kind(), kind, "{text}");
            shows_no_secret(&error);
        }
    }
    let data = json!({
        "status": "error", "errorMessage": "Uncaught ConvexError: CANARY-VALUE",
        "errorData": { "code": "legacy_id_ambiguous", "index": 0, "seen": CANARY },
    });
    let error = write_one(&server(ResponseTemplate::new(200).set_body_json(data)).await).await.unwrap_err();
    assert_eq!((error.kind(), error.code()), (E::RecordFailed, "legacy_id_ambiguous"));
    shows_no_secret(&error);
}

#[tokio::test]
async fn system_failures_are_classified_by_status_and_code() {
    use ErrorKind as E;
    for (status, code, kind) in [
        (400, "SystemTimeoutError", E::TooLarge),
        (400, "BadJsonBody", E::Protocol),
        (401, "BadAdminKey", E::Unauthorized),
        (403, "OperationNotPermitted", E::Forbidden),
        (404, "FunctionPathNotFound", E::FunctionMissing),
        (408, "", E::UnknownOutcome),
        (429, "TooManyWrites", E::RateLimited),
        (429, "TooManyConcurrentRequests", E::RateLimited),
        (500, "InternalServerError", E::UnknownOutcome),
        (502, "", E::UnknownOutcome),
        (503, "OptimisticConcurrencyControlFailure", E::Unavailable),
        (503, "", E::UnknownOutcome),
        (504, "", E::UnknownOutcome),
        (307, "", E::Protocol),
    ] {
        let answer = ResponseTemplate::new(status).insert_header("Retry-After", "3").insert_header("Location", "/x");
        let answer = if code.is_empty() {
            answer.set_body_string(format!("<html>{CANARY}</html>"))
        } else {
            answer.set_body_json(json!({ "code": code, "message": CANARY }))
        };
        let error = write_one(&server(answer).await).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{status} {code}");
        assert_eq!(error.retry_after(), Some(Duration::from_secs(3)), "{status} {code}");
        shows_no_secret(&error);
    }
}

#[tokio::test]
async fn a_date_to_wait_for_is_passed_on() {
    let asked = |date: &'static str| async move {
        let busy = ResponseTemplate::new(429).insert_header("Retry-After", date);
        write_one(&server(busy).await).await.unwrap_err().retry_after()
    };
    assert_eq!(asked("Wed, 21 Oct 2015 07:28:00 GMT").await, Some(Duration::ZERO));
    let far = asked("Fri, 31 Dec 9999 23:59:59 GMT").await.unwrap();
    assert!(far > Duration::from_hours(24), "{far:?}");
    assert_eq!(asked("later").await, None);
}

#[tokio::test]
async fn answers_of_another_shape_are_protocol_errors() {
    for answer in [
        ResponseTemplate::new(200).set_body_string(CANARY),
        ResponseTemplate::new(200).set_body_json(json!({ "value": [CANARY] })),
        ResponseTemplate::new(200).set_body_json(json!({ "status": CANARY })),
        ResponseTemplate::new(200).set_body_json(json!({ "status": "success" })),
        success(json!(null)),
        success(json!([])),
        success(json!([{ "id": CANARY }])),
        success(json!([{ "id": "a", "outcome": CANARY }])),
        success(json!([{ "id": "a", "outcome": "inserted" }, { "id": "b", "outcome": "inserted" }])),
        success(json!({ "inserted": 1, "skipped": 0 })),
    ] {
        let error = write_one(&server(answer).await).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Protocol, "{error}");
        shows_no_secret(&error);
    }
}

#[tokio::test]
async fn an_answer_that_is_cut_is_of_unknown_outcome() {
    let whole = json!({ "status": "success", "value": [{ "id": CANARY, "outcome": "inserted" }] }).to_string();
    for end in 0..whole.len() {
        let server = server(ResponseTemplate::new(200).set_body_string(&whole[..end])).await;
        let error = write_one(&server).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::UnknownOutcome, "cut at {end}: {error}");
        shows_no_secret(&error);
    }
    let server = server(ResponseTemplate::new(200).set_body_string(&whole[..20])).await;
    let error = sink(&server).lookup(&table("t"), "by_x", &[vec![Value::text("x")]]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "a query has no outcome to be unknown");
}

#[tokio::test]
async fn no_answer_is_unreachable_or_of_unknown_outcome() {
    let slow = server(success(json!([])).set_delay(Duration::from_mins(1))).await;
    let timing = ConvexSettings { call_timeout: Duration::from_millis(50), ..settings(&slow.uri()) };
    let sink = ConvexSink::new(timing).unwrap();
    let error = write(&sink, WriteMode::Upsert, &[record("k", Value::Null)]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::UnknownOutcome);
    let key = [vec![Value::text("x")]];
    let error = sink.lookup(&table("t"), "by_x", &key).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimedOut, "a query has no outcome to be unknown");

    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let resetting = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut buffer = [0; 1024];
        let _ = std::io::Read::read(&mut stream, &mut buffer).unwrap();
    });
    let url = format!("http://{address}");
    let sink = ConvexSink::new(settings(&url)).unwrap();
    let error = write(&sink, WriteMode::Upsert, &[record("k", Value::text(CANARY))]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::UnknownOutcome);
    shows_no_secret(&error);
    resetting.join().unwrap();

    let error = write(&sink, WriteMode::Upsert, &[record("k", Value::Null)]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unreachable);
    assert!(error.to_string().contains(&address.to_string()), "{error}");
}

async fn reachable() -> MockServer {
    let server = MockServer::start().await;
    Mock::given(path("/version"))
        .respond_with(ResponseTemplate::new(200).set_body_string("1.0.0"))
        .mount(&server)
        .await;
    Mock::given(path("/api/check_admin_key"))
        .and(header("Authorization", format!("Convex {KEY}").as_str()))
        .respond_with(ResponseTemplate::new(200).set_body_json(json!({ "success": true, "allowedOps": [] })))
        .mount(&server)
        .await;
    server
}

fn with_second_pass_and_lookup(server: &MockServer) -> ConvexSink {
    let settings = ConvexSettings {
        patch_tables: vec![table("people")],
        lookup_tables: vec![(table("contacts"), "by_phone".into())],
        ..settings(&server.uri())
    };
    ConvexSink::new(settings).unwrap()
}

#[tokio::test]
async fn a_check_calls_every_function_with_nothing() {
    let server = reachable().await;
    Mock::given(method("POST")).respond_with(success(json!([]))).expect(4).mount(&server).await;
    with_second_pass_and_lookup(&server).check(&[table("a"), table("b")]).await.unwrap();
    let calls: Vec<Json> = server
        .received_requests()
        .await
        .unwrap()
        .iter()
        .filter(|request| request.method.as_str() == "POST")
        .map(|request| request.body_json().unwrap())
        .collect();
    let arguments = |path: &str| calls.iter().find(|call| call["path"] == path).unwrap()["args"].clone();
    assert_eq!(arguments("migrate:bulkInsertA"), json!({ "records": [] }));
    assert_eq!(arguments("migrate:bulkInsertB"), json!({ "records": [] }));
    assert_eq!(arguments("migrate:patchPeople"), json!({ "records": [] }));
    assert_eq!(arguments("migrate:lookup"), json!({ "table": "contacts", "index": "by_phone", "keys": [] }));
}

#[tokio::test]
async fn public_functions_get_the_secret_and_no_key() {
    let server = MockServer::start().await;
    Mock::given(path("/version")).respond_with(ResponseTemplate::new(200)).mount(&server).await;
    Mock::given(method("POST")).respond_with(success(json!([]))).mount(&server).await;
    let secret = "CANARY-SECRET-0123456789-0123456789";
    let settings = ConvexSettings::with_secret(server.uri(), SecretString::from(secret));
    let sink =
        ConvexSink::new(ConvexSettings { lookup_tables: vec![(table("b"), "by_x".into())], ..settings }).unwrap();
    assert!(!format!("{sink:?}").contains("CANARY"));
    sink.check(&[table("a")]).await.unwrap();
    let requests = server.received_requests().await.unwrap();
    assert!(requests.iter().all(|request| !request.headers.contains_key("authorization")));
    let calls: Vec<Json> = requests.iter().filter_map(|request| request.body_json().ok()).collect();
    let arguments = |path: &str| calls.iter().find(|call| call["path"] == path).unwrap()["args"].clone();
    assert_eq!(calls.len(), 2);
    assert_eq!(arguments("migration/migrate:bulkInsertA"), json!({ "secret": secret, "records": [] }));
    let lookup = json!({ "secret": secret, "table": "b", "index": "by_x", "keys": [] });
    assert_eq!(arguments("migration/migrate:lookup"), lookup);

    for (code, kind) in [("secret_unset", ErrorKind::Config), ("secret_wrong", ErrorKind::Unauthorized)] {
        server.reset().await;
        Mock::given(path("/version")).respond_with(ResponseTemplate::new(200)).mount(&server).await;
        let refusal =
            json!({ "status": "error", "errorMessage": "Uncaught ConvexError", "errorData": { "code": code } });
        let refusal = ResponseTemplate::new(200).set_body_json(refusal);
        Mock::given(method("POST")).respond_with(refusal).mount(&server).await;
        let error = sink.check(&[table("a")]).await.unwrap_err();
        assert_eq!((error.kind(), error.code()), (kind, code));
        assert!(error.to_string().contains("MIGRATION_SECRET"), "{error}");
        shows_no_secret(&error);
    }
}

#[tokio::test]
async fn missing_functions_are_named_together_with_the_command() {
    let server = reachable().await;
    let there = body_partial_json(json!({ "path": "migrate:bulkInsertA" }));
    Mock::given(there).respond_with(success(json!([]))).mount(&server).await;
    let missing = failure(200, "Could not find public function for 'x'.");
    Mock::given(method("POST")).respond_with(missing).with_priority(9).mount(&server).await;
    let error = with_second_pass_and_lookup(&server).check(&[table("a"), table("b")]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::FunctionMissing);
    assert_eq!(
        error.to_string(),
        "find 3 of the generated functions (functions: migrate:bulkInsertB, migrate:patchPeople, \
         migrate:lookup (contacts by by_phone)); \
         run migrate-plan --write, which writes migrate.ts into the project's functions, then: npx convex deploy"
    );
}

#[tokio::test]
async fn of_many_missing_functions_a_few_are_named() {
    let server = reachable().await;
    let missing = failure(200, "Could not find public function for 'x'.");
    Mock::given(method("POST")).respond_with(missing).mount(&server).await;
    let tables: Vec<_> = ["a", "b", "c", "d", "e", "f", "g"].into_iter().map(table).collect();
    let error = sink(&server).check(&tables).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "find 7 of the generated functions (functions: migrate:bulkInsertA, migrate:bulkInsertB, migrate:bulkInsertC, \
         migrate:bulkInsertD, migrate:bulkInsertE and 2 more); run migrate-plan --write, which writes \
         migrate.ts into the project's functions, then: npx convex deploy"
    );
}

#[tokio::test]
async fn a_check_names_what_the_key_lacks() {
    let answers = [
        (
            ResponseTemplate::new(401).set_body_json(json!({ "code": "BadAdminKey", "message": "x" })),
            ErrorKind::Unauthorized,
        ),
        (ResponseTemplate::new(200).set_body_json(json!({ "success": false })), ErrorKind::Unauthorized),
        (
            ResponseTemplate::new(200).set_body_json(json!({ "success": true, "isReadOnly": true })),
            ErrorKind::Forbidden,
        ),
        (ResponseTemplate::new(200).set_body_string("<html>"), ErrorKind::Protocol),
    ];
    for (answer, kind) in answers {
        let server = MockServer::start().await;
        Mock::given(path("/version")).respond_with(ResponseTemplate::new(200)).mount(&server).await;
        Mock::given(path("/api/check_admin_key")).respond_with(answer).mount(&server).await;
        let error = sink(&server).check(&[]).await.unwrap_err();
        assert_eq!(error.kind(), kind);
        shows_no_secret(&error);
    }
    let error = sink(&MockServer::start().await).check(&[]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Protocol, "an address that has no /version is no deployment's");
}

#[tokio::test]
async fn other_arguments_than_the_plans_are_a_configuration_error() {
    let server = reachable().await;
    let text = "ArgumentValidationError: Object is missing the required field `map`. Consider";
    Mock::given(method("POST")).respond_with(failure(200, text)).mount(&server).await;
    let error = sink(&server).check(&[table("a")]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(error.to_string().contains("npx convex deploy"), "{error}");
}

#[test]
fn capabilities_stay_within_one_transaction() {
    let of = |batch_records| {
        let settings = ConvexSettings { batch_records, ..settings("https://happy-animal-123.convex.cloud") };
        ConvexSink::new(settings).unwrap().capabilities()
    };
    assert_eq!(of(5000).batch_records, 1000);
    assert_eq!(of(10).batch_records, 10);
    assert_eq!((of(10).batch_bytes, of(10).in_flight, of(10).ids), (2 * 1024 * 1024, 4, IdAssignment::OnWrite));
}

#[test]
fn what_is_shown_of_a_sink_has_no_key() {
    let sink = ConvexSink::new(settings("https://happy-animal-123.convex.cloud")).unwrap();
    assert!(sink.is_production_key());
    assert!(!format!("{sink:?}").contains("CANARY"));
}
