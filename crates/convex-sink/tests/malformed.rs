//! Whatever a deployment answers, a call ends in `Ok` or `Err`, and no error repeats what came: it may hold rows.

#![expect(clippy::unwrap_used, reason = "tests may unwrap, and so may what they share")]

use std::fmt::Write as _;
use std::sync::{Arc, Mutex};

use convex_sink::{ConvexProbe, ConvexSettings, ConvexSink};
use migrate_core::names::{FieldName, SourceKey, TableName};
use migrate_core::record::{Record, RecordShape};
use migrate_core::sink::{WriteBatch, WriteMode, WriteRecord};
use migrate_core::value::Value;
use migrate_core::{Error, ErrorKind, Sink};
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use proptest::sample::select;
use secrecy::SecretString;
use serde_json::{Value as Json, json};
use tokio::runtime::Runtime;
use wiremock::matchers::any as any_request;
use wiremock::{Mock, MockServer, Request, Respond, ResponseTemplate};

const KEY: &str = "prod:happy-animal-123|CANARY-KEY";
/// In every record that is sent and in the texts of answers: what the two parts of the word stand for is a row's value.
const CANARY: &str = "CANARY value";

fn table() -> TableName {
    "things".parse().unwrap()
}

fn settings(server: &MockServer) -> ConvexSettings {
    ConvexSettings::new(server.uri(), SecretString::from(KEY))
}

fn record() -> WriteRecord {
    let shape = RecordShape { table: table(), fields: vec![FieldName::from("city")], key: vec![] };
    let record = Record { shape: Arc::new(shape), values: vec![Value::text(CANARY)] };
    WriteRecord { key: SourceKey::from("1"), id: None, record }
}

/// The errors of every kind of call to this deployment.
async fn errors(server: &MockServer) -> Vec<Error> {
    let sink = ConvexSink::new(settings(server)).unwrap();
    let probe = ConvexProbe::new(settings(server)).unwrap();
    let (table, records) = (table(), [record()]);
    let write = |mode| sink.write_batch(WriteBatch { table: &table, mode, records: &records });
    [
        write(WriteMode::Upsert).await.err(),
        sink.check(std::slice::from_ref(&table)).await.err(),
        sink.lookup(&table, "by_city", &[vec![Value::text(CANARY)]]).await.err(),
        probe.backend().await.err(),
        probe.key_rights().await.err(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// All that an error shows, with its causes.
fn shown(error: &Error) -> String {
    let mut shown = format!("{error} {error:?}");
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        write!(shown, " {cause} {cause:?}").unwrap();
        source = cause.source();
    }
    shown
}

#[tokio::test]
async fn a_redirect_is_not_followed_with_the_key_or_the_rows() {
    let elsewhere = MockServer::start().await;
    for status in [301, 302, 303, 307, 308] {
        let answer = ResponseTemplate::new(status).insert_header("Location", format!("{}/api", elsewhere.uri()));
        let server = MockServer::start().await;
        Mock::given(any_request()).respond_with(answer).mount(&server).await;
        let errors = errors(&server).await;
        assert_eq!(errors.len(), 5, "{errors:?}");
        for error in errors {
            assert_eq!(error.kind(), ErrorKind::Protocol, "{status}: {error}");
            assert!(!shown(&error).contains("CANARY"), "{error}");
        }
        assert!(elsewhere.received_requests().await.unwrap().is_empty(), "{status} was followed");
    }
}

/// Answers every request alike.
#[derive(Clone)]
struct Answering(Arc<Mutex<ResponseTemplate>>);

impl Respond for Answering {
    fn respond(&self, _request: &Request) -> ResponseTemplate {
        self.0.lock().unwrap().clone()
    }
}

/// Texts with the canary where a deployment repeats values, among others.
fn any_text() -> impl Strategy<Value = String> {
    let told = select(vec![
        CANARY.to_owned(),
        "success".to_owned(),
        "error".to_owned(),
        "inserted".to_owned(),
        format!("[Request ID: 1] Server Error\nUncaught Error: {CANARY}"),
        format!(
            "[Request ID: 1] Server Error\nArgumentValidationError: Value does not match validator.\nPath: .records[0].city\nValue: \"{CANARY}\"\nValidator: v.id(\"a\")"
        ),
        format!("ArgumentValidationError: Object contains extra field `{CANARY}` that is not in the validator."),
        format!(
            "Uncaught Error: Failed to insert or update a document in table \"a\" because it does not match the schema: {CANARY}"
        ),
        format!("Could not find public function for '{CANARY}'"),
        format!("Not permitted (deployment:{CANARY})"),
        format!("Too many writes in a single function execution {CANARY}"),
    ]);
    prop_oneof![3 => told, 1 => any::<String>()]
}

/// JSON whose keys are often those of Convex's answers.
fn any_json() -> impl Strategy<Value = Json> {
    let leaf = prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::from),
        any::<i64>().prop_map(Json::from),
        any::<f64>().prop_map(Json::from),
        any_text().prop_map(Json::from),
    ];
    let keys = [
        "status",
        "value",
        "errorMessage",
        "errorData",
        "code",
        "index",
        "message",
        "id",
        "outcome",
        "success",
        "allowedOps",
        "isReadOnly",
        "logLines",
    ];
    leaf.prop_recursive(4, 24, 6, move |inner| {
        let key = prop_oneof![4 => select(keys.to_vec()).prop_map(str::to_owned), 1 => any::<String>()];
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Json::from),
            btree_map(key, inner, 0..6).prop_map(|entries| Json::Object(entries.into_iter().collect())),
        ]
    })
}

fn any_body() -> impl Strategy<Value = Vec<u8>> {
    let envelope = |status: &'static str, field: &'static str| {
        any_json().prop_map(move |value| json!({ "status": status, field: value, "logLines": [CANARY] }))
    };
    let failed = (any_text(), any_json()).prop_map(
        |(text, data)| json!({ "status": "error", "errorMessage": text, "errorData": data, "logLines": [CANARY] }),
    );
    let whole = prop_oneof![
        2 => any_json(),
        2 => envelope("success", "value"),
        1 => envelope("error", "errorMessage"),
        3 => failed,
    ]
    .prop_map(|json| json.to_string().into_bytes());
    let cut = (whole.clone(), any::<prop::sample::Index>()).prop_map(|(mut body, end)| {
        body.truncate(end.index(body.len().max(1)));
        body
    });
    prop_oneof![6 => whole, 2 => cut, 1 => vec(any::<u8>(), 0..200)]
}

fn any_answer() -> impl Strategy<Value = (u16, Option<&'static str>, Vec<u8>)> {
    let status = prop_oneof![
        3 => Just(200_u16),
        1 => Just(560),
        2 => select(vec![201, 204, 400, 401, 403, 404, 408, 413, 418, 429, 500, 502, 503, 504, 599]),
    ];
    let waits = select(vec![None, Some("3"), Some("-1"), Some("99999999999999999999"), Some("soon"), Some("1e9")]);
    (status, waits, any_body())
}

#[test]
fn any_answer_is_taken_or_refused_without_repeating_it() {
    let runtime = Runtime::new().unwrap();
    let answering = Answering(Arc::new(Mutex::new(ResponseTemplate::new(200))));
    let server = runtime.block_on(async {
        let server = MockServer::start().await;
        Mock::given(any_request()).respond_with(answering.clone()).mount(&server).await;
        server
    });
    let cases = ProptestConfig { failure_persistence: None, ..ProptestConfig::default() };
    proptest!(cases, |((status, wait, body) in any_answer())| {
        let answer = ResponseTemplate::new(status).set_body_raw(body, "application/json");
        let answer = wait.into_iter().fold(answer, |answer, wait| answer.insert_header("Retry-After", wait));
        *answering.0.lock().unwrap() = answer;
        for error in runtime.block_on(errors(&server)) {
            let shown = shown(&error);
            prop_assert!(!shown.contains("CANARY"), "{}", shown);
        }
    });
}
