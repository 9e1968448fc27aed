//! Servers that repeat what they were sent, and more: keys from the headers, records from the body, values of rows.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::response::Response;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// What came in one request.
pub struct Sent {
    pub path: String,
    /// Both headers that keys are sent in.
    pub keys: String,
    pub body: String,
}

/// An answer: status and body.
pub type Answer = (u16, String);

type Answering = Box<dyn FnMut(Sent) -> Pin<Box<dyn Future<Output = Answer> + Send>> + Send>;

/// A running server. It stops when it is dropped.
pub struct EchoServer {
    pub url: String,
    server: JoinHandle<()>,
}

impl EchoServer {
    pub async fn start<A: Future<Output = Answer> + Send + 'static>(
        mut answer: impl FnMut(Sent) -> A + Send + 'static,
    ) -> Self {
        let answer: Answering = Box::new(move |sent| Box::pin(answer(sent)));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let router = Router::new().fallback(respond).with_state(Arc::new(Mutex::new(answer)));
        Self { url, server: tokio::spawn(async move { axum::serve(listener, router).await.unwrap() }) }
    }

    /// A deployment whose functions are there, and which gives every write the answer that `refuse` makes of it.
    pub async fn convex(refuse: Refusal) -> Self {
        Self::start(move |sent| {
            let is_check = sent.body.contains("\"records\":[]");
            let answer = match sent.path.as_str() {
                "/version" => (200, sent.keys.clone()),
                "/api/check_admin_key" => (200, json!({ "success": true, "echo": sent.keys }).to_string()),
                _ if is_check => {
                    (200, json!({ "status": "success", "value": [], "logLines": [sent.keys] }).to_string())
                }
                _ => refuse(&sent),
            };
            async { answer }
        })
        .await
    }
}

impl Drop for EchoServer {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn respond(State(answer): State<Arc<Mutex<Answering>>>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let header = |name| head.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
    let keys = format!("{} {}", header("authorization"), header("apikey"));
    let body: Bytes = axum::body::to_bytes(body, usize::MAX).await.unwrap();
    let sent = Sent { path: head.uri.path().to_owned(), keys, body: String::from_utf8_lossy(&body).into_owned() };
    let answer = (answer.lock().unwrap())(sent);
    let (status, body) = answer.await;
    Response::builder().status(status).header("content-type", "application/json").body(Body::from(body)).unwrap()
}

fn failed(sent: &Sent, text: &str) -> Answer {
    let text = format!("[Request ID: 1] Server Error\n{text}");
    (200, json!({ "status": "error", "errorMessage": text, "logLines": [sent.body, sent.keys] }).to_string())
}

fn record(sent: &Sent) -> Value {
    let body: Value = serde_json::from_str(&sent.body).unwrap();
    body["args"]["records"][0].clone()
}

/// What a deployment makes of a write.
pub type Refusal = fn(&Sent) -> Answer;

/// Ways to refuse a write, each with the record or the key in it.
pub const REFUSALS: &[(&str, Refusal)] = &[
    ("an error's text", |sent| failed(sent, &format!("Uncaught Error: {} {}", sent.keys, sent.body))),
    ("a text of two lines", |sent| {
        failed(sent, &format!("Uncaught TypeError: no\nPath: {}\n{}", sent.keys, sent.body))
    }),
    ("an argument validator", |sent| {
        let value = &record(sent)["name"];
        failed(
            sent,
            &format!(
                "ArgumentValidationError: Value does not match validator.\nPath: .records[0].name\nValue: {value}\nValidator: v.string()"
            ),
        )
    }),
    ("a schema", |sent| {
        failed(
            sent,
            &format!(
                "Uncaught Error: Failed to insert or update a document in table \"people\" because it does not match the schema: Object contains extra field `{}` that is not in the validator.\n\nObject: {}\nValidator: v.object({{}})",
                record(sent)["name"].as_str().unwrap_or_default(),
                record(sent)
            ),
        )
    }),
    ("a ConvexError", |sent| {
        let data = json!({ "code": sent.body, "index": sent.keys, "record": record(sent) });
        let message = format!("[Request ID: 1] Server Error\nUncaught ConvexError: {data}");
        (200, json!({ "status": "error", "errorMessage": message, "errorData": data }).to_string())
    }),
    ("no JSON", |sent| (200, format!("{} {}", sent.keys, sent.body))),
    ("another value", |sent| (200, json!({ "status": "success", "value": [record(sent)] }).to_string())),
    ("a refused request", |sent| (400, json!({ "code": sent.keys, "message": sent.body }).to_string())),
    ("a refused key", |sent| (401, json!({ "code": "BadAdminKey", "message": sent.keys }).to_string())),
    ("a missing right", |sent| (403, json!({ "code": "OperationNotPermitted", "message": sent.keys }).to_string())),
    ("a page", |sent| (404, format!("<html>{} {}</html>", sent.keys, sent.body))),
];

/// What a project answers to everything, with `row` in it: status and body.
pub fn broken_answers(row: &str) -> Vec<Answer> {
    let error = |code: &str| json!({ "code": code, "message": row, "details": row, "hint": row }).to_string();
    vec![
        (200, format!("<html>{row}</html>")),
        (200, json!([{ "id": row, row: row }]).to_string()),
        (200, json!({ "info": { "version": row }, "definitions": { "people": row } }).to_string()),
        (400, error("22P02")),
        (400, error("P0001")),
        (401, error("PGRST300")),
        (403, error("42501")),
        (404, format!("<html>{row}</html>")),
        (418, error("23505")),
        (540, format!("<html>{row}</html>")),
    ]
}
