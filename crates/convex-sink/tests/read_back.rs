//! Which queries read documents back: the system's own, and the generated ones where those are refused.

#![expect(clippy::unwrap_used, reason = "tests may unwrap, and so may what they share")]

use convex_sink::{ConvexSettings, ConvexSink};
use migrate_core::names::TableName;
use migrate_core::verify::SinkProbe;
use migrate_core::{Error, ErrorKind};
use serde_json::{Value as Json, json};
use wiremock::matchers::{body_partial_json, header, method};
use wiremock::{Mock, MockServer, ResponseTemplate};

const KEY: &str = "prod:happy-animal-123|CANARY-KEY";
const DATA: &str = "_system/cli/tableData";
const SIZE: &str = "_system/cli/tableSize";
const READ: &str = "migration/migrate:readDocuments";
const COUNT: &str = "migration/migrate:countDocuments";

fn sink(server: &MockServer) -> ConvexSink {
    ConvexSink::new(ConvexSettings::new(server.uri(), KEY.into())).unwrap()
}

fn table(name: &str) -> TableName {
    name.parse().unwrap()
}

fn success(value: &Json) -> ResponseTemplate {
    ResponseTemplate::new(200).set_body_json(json!({ "status": "success", "value": value }))
}

fn missing() -> ResponseTemplate {
    let text = "[Request ID: 1] Server Error\nCould not find public function for 'CANARY'.";
    ResponseTemplate::new(200).set_body_json(json!({ "status": "error", "errorMessage": text }))
}

fn forbidden() -> ResponseTemplate {
    let body = json!({ "code": "OperationNotPermitted", "message": "CANARY (deployment:data:view)" });
    ResponseTemplate::new(403).set_body_json(body)
}

/// A page of one document; of the generated query the same, so that only the calls tell which was asked.
fn page(is_done: bool) -> ResponseTemplate {
    let document = json!({ "_id": "j57", "_creationTime": 1.5, "n": { "$integer": "AQAAAAAAAAA=" } });
    success(&json!({ "page": [document], "isDone": is_done, "continueCursor": "next" }))
}

async fn deployment(functions: &[(&str, ResponseTemplate)]) -> MockServer {
    let server = MockServer::start().await;
    for (name, answer) in functions {
        let key = header("Authorization", format!("Convex {KEY}").as_str());
        let call = Mock::given(method("POST")).and(body_partial_json(json!({ "path": name }))).and(key);
        call.respond_with(answer.clone()).mount(&server).await;
    }
    server
}

/// The function and the arguments of each call so far, but for the table.
async fn calls(server: &MockServer) -> Vec<(String, Json)> {
    let requests = server.received_requests().await.unwrap();
    let call = |request: &wiremock::Request| {
        let mut body: Json = serde_json::from_slice(&request.body).unwrap();
        assert_eq!(body["format"], "convex_encoded_json");
        let mut arguments = body["args"].take();
        arguments.as_object_mut().unwrap().retain(|name, _| !matches!(name.as_str(), "table" | "tableName"));
        (body["path"].as_str().unwrap().to_owned(), arguments)
    };
    requests.iter().map(call).collect()
}

async fn names(server: &MockServer) -> Vec<String> {
    calls(server).await.into_iter().map(|(name, _)| name).collect()
}

fn shows_no_secret(error: &Error) {
    assert!(!format!("{error} {error:?}").contains("CANARY"), "{error:?}");
}

#[tokio::test]
async fn the_systems_own_queries_come_first() {
    let server = deployment(&[(DATA, page(false)), (SIZE, success(&json!(3.0)))]).await;
    let sink = sink(&server);
    assert_eq!(sink.count(&table("a")).await.unwrap(), Some(3));
    let first = sink.read_page(&table("a"), None, 10).await.unwrap();
    assert_eq!(first.next.as_deref(), Some("next"));
    sink.read_page(&table("a"), first.next.as_deref(), 10).await.unwrap();
    let options = |cursor: Json| json!({ "order": "asc", "paginationOpts": { "cursor": cursor, "numItems": 10 } });
    let expected = [(SIZE, json!({})), (DATA, options(Json::Null)), (DATA, options(json!("next")))];
    assert_eq!(calls(&server).await, expected.map(|(name, arguments)| (name.to_owned(), arguments)));
}

#[tokio::test]
async fn what_is_refused_is_asked_once_and_the_generated_queries_from_then_on() {
    for refusal in [forbidden(), missing()] {
        let counted = success(&json!({ "count": 1, "isDone": true, "continueCursor": "end" }));
        let functions = [(DATA, refusal.clone()), (SIZE, refusal), (READ, page(false)), (COUNT, counted)];
        let server = deployment(&functions).await;
        let sink = sink(&server);
        for name in ["a", "b"] {
            assert_eq!(sink.count(&table(name)).await.unwrap(), None);
            let counted = sink.count_page(&table(name), Some("from here")).await.unwrap();
            assert_eq!((counted.documents, counted.next), (1, None));
        }
        let first = sink.read_page(&table("a"), None, 10).await.unwrap();
        let next = first.next.clone();
        let documents = first.into_documents().unwrap();
        assert_eq!((documents.len(), documents[0].creation_time.to_bits()), (1, 1.5_f64.to_bits()));
        sink.read_page(&table("a"), next.as_deref(), 10).await.unwrap();
        sink.read_keys(None, 10).await.unwrap();
        let count = json!({ "cursor": "from here" });
        let from = |cursor: Json| json!({ "cursor": cursor, "limit": 10 });
        let options = json!({ "order": "asc", "paginationOpts": { "cursor": null, "numItems": 10 } });
        let expected = [
            (SIZE, json!({})),
            (COUNT, count.clone()),
            (COUNT, count),
            (DATA, options),
            (READ, from(Json::Null)),
            (READ, from(json!("next"))),
            (READ, from(Json::Null)),
        ];
        assert_eq!(calls(&server).await, expected.map(|(name, arguments)| (name.to_owned(), arguments)));
    }
}

#[tokio::test]
async fn a_page_comes_in_parts_that_are_in_order() {
    for count in [0, 1, 3, 4, 9] {
        let id = |at: usize| format!("j{at}");
        let documents: Vec<Json> =
            (0..count).map(|at| json!({ "_id": id(at), "_creationTime": 1.5, "n": 1 })).collect();
        let page = success(&json!({ "page": documents, "isDone": true, "continueCursor": "end" }));
        let server = deployment(&[(DATA, page)]).await;
        let page = sink(&server).read_page(&table("a"), None, 10).await.unwrap();
        assert!(page.parts.len() <= 4);
        assert_eq!(page.parts.iter().map(|part| part.count).sum::<usize>(), count);
        let found: Vec<String> = page.into_documents().unwrap().into_iter().map(|found| found.id.to_string()).collect();
        assert_eq!(found, (0..count).map(id).collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn what_is_no_document_is_said_with_its_table() {
    let whole = json!({ "_id": "j1", "_creationTime": 1.5 });
    for bad in [json!("CANARY"), json!({ "_id": "CANARY" }), json!({ "_id": "j2", "_creationTime": "CANARY" })] {
        let page = success(&json!({ "page": [whole, bad], "isDone": true, "continueCursor": "end" }));
        let server = deployment(&[(DATA, page)]).await;
        let page = sink(&server).read_page(&table("a"), None, 10).await.unwrap();
        let error = page.into_documents().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Protocol);
        assert!(error.to_string().contains("table: a"), "{error}");
        shows_no_secret(&error);
    }
}

#[tokio::test]
async fn what_only_fails_for_now_is_no_refusal() {
    let overloaded = ResponseTemplate::new(503).set_body_json(json!({ "code": "ExpiredInQueue", "message": "" }));
    let server = deployment(&[(DATA, overloaded.clone()), (SIZE, overloaded), (READ, page(true))]).await;
    let sink = sink(&server);
    for _ in 0..2 {
        assert_eq!(sink.read_page(&table("a"), None, 10).await.unwrap_err().kind(), ErrorKind::Unavailable);
        assert_eq!(sink.count(&table("a")).await.unwrap_err().kind(), ErrorKind::Unavailable);
    }
    assert_eq!(names(&server).await, [DATA, SIZE, DATA, SIZE]);
}

#[tokio::test]
async fn a_cursor_goes_to_the_query_that_gave_it() {
    // Another process reads on, with a key that may do more or less than the one before.
    let server = deployment(&[(DATA, forbidden()), (READ, page(false))]).await;
    let generated = sink(&server).read_page(&table("a"), None, 10).await.unwrap().next.unwrap();
    let error = sink(&server).read_page(&table("a"), Some("of the system"), 10).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Forbidden);
    assert!(error.to_string().contains("deployment:data:view") && error.to_string().contains("--fresh"), "{error}");
    shows_no_secret(&error);
    assert_eq!(names(&server).await, [DATA, READ, DATA]);

    let server = deployment(&[(DATA, page(true)), (READ, page(true))]).await;
    let sink = sink(&server);
    sink.read_page(&table("a"), Some(&generated), 10).await.unwrap();
    sink.read_page(&table("b"), None, 10).await.unwrap();
    assert_eq!(names(&server).await, [READ, DATA]);
}

#[tokio::test]
async fn where_nothing_may_be_called_the_error_says_what_would_help() {
    let invalid = json!({
        "status": "error",
        "errorMessage": "[Request ID: 1] Server Error\nArgumentValidationError: Value does not match validator.\n\
                         Path: .table\nValue: \"CANARY\"\nValidator: v.literal(\"b\")",
    });
    let invalid = ResponseTemplate::new(200).set_body_json(invalid);
    for (answer, kind) in
        [(forbidden(), ErrorKind::Forbidden), (missing(), ErrorKind::FunctionMissing), (invalid, ErrorKind::Config)]
    {
        let server = deployment(&[(DATA, forbidden()), (READ, answer.clone()), (COUNT, answer)]).await;
        let sink = sink(&server);
        let errors = [
            sink.read_page(&table("a"), None, 10).await.unwrap_err(),
            sink.read_keys(None, 10).await.unwrap_err(),
            sink.count_page(&table("a"), None).await.unwrap_err(),
        ];
        for error in errors {
            let text = error.to_string();
            assert_eq!(error.kind(), kind, "{text}");
            assert!(text.contains("deployment:data:view") && text.contains("migrate-plan --write"), "{text}");
            shows_no_secret(&error);
        }
    }
}

#[tokio::test]
async fn without_a_key_nothing_is_called() {
    let server = deployment(&[]).await;
    let secret = "0123456789abcdef0123456789abcdef".to_owned().into();
    let sink = ConvexSink::new(ConvexSettings::with_secret(server.uri(), secret)).unwrap();
    for error in [
        sink.count(&table("a")).await.unwrap_err(),
        sink.count_page(&table("a"), None).await.unwrap_err(),
        sink.read_page(&table("a"), None, 10).await.unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::Config);
        assert!(error.to_string().contains("CONVEX_DEPLOY_KEY"), "{error}");
    }
    assert_eq!(names(&server).await, [""; 0]);
}
