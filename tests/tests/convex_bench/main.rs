//! convex-bench keeps to Convex's HTTP functions API, and each of its faults does what it says.

mod faults;
mod program;
mod protocol;

use migrate_tests::convex_bench::{ConvexBench, ConvexBenchOptions};
use reqwest::{Client, Response, StatusCode};
use serde_json::{Value, json};

const INSERT: &str = "migrate:bulkInsertAriPayments";
const PATCH: &str = "migrate:patchAriPayments";
const LOOKUP: &str = "migrate:lookup";

/// A server and a plain client.
struct Bench {
    bench: ConvexBench,
    client: Client,
}

impl Bench {
    async fn start(options: ConvexBenchOptions) -> Self {
        Self {
            bench: ConvexBench::start(options).await.unwrap(),
            client: Client::builder().no_proxy().build().unwrap(),
        }
    }

    async fn keeping_documents() -> Self {
        let indexes = [
            ("by_slug".to_owned(), vec!["slug".to_owned()]),
            ("contacts.by_workspace_phone".to_owned(), vec!["workspace_id".to_owned(), "phone".to_owned()]),
        ];
        let options =
            ConvexBenchOptions { keep_documents: true, indexes: indexes.into(), ..ConvexBenchOptions::default() };
        Self::start(options).await
    }

    async fn send(&self, kind: &str, body: String) -> reqwest::Result<Response> {
        let authorization = format!("Convex {}", self.bench.admin_key());
        self.post(kind).header("authorization", authorization).body(body).send().await
    }

    fn post(&self, kind: &str) -> reqwest::RequestBuilder {
        let url = format!("{}/api/{kind}", self.bench.url());
        self.client.post(url).header("content-type", "application/json")
    }

    async fn try_call(&self, kind: &str, path: &str, args: Value) -> reqwest::Result<Response> {
        self.send(kind, json!({ "path": path, "args": args, "format": "json" }).to_string()).await
    }

    /// Calls a function that answers with status 200 and JSON.
    async fn call(&self, kind: &str, path: &str, args: Value) -> Value {
        let response = self.try_call(kind, path, args).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        response.json().await.unwrap()
    }

    /// Calls a function that succeeds.
    async fn value(&self, kind: &str, path: &str, args: Value) -> Value {
        let mut body = self.call(kind, path, args).await;
        assert_eq!(body["status"], "success", "{body}");
        body["value"].take()
    }

    /// Calls a function that fails, and returns its message.
    async fn message(&self, kind: &str, path: &str, args: Value) -> String {
        let body = self.call(kind, path, args).await;
        assert_eq!(body["status"], "error", "{body}");
        body["errorMessage"].as_str().unwrap().to_owned()
    }

    async fn insert(&self, records: Value) -> Vec<String> {
        let value = self.value("mutation", INSERT, json!({ "records": records })).await;
        outcomes(&value)
    }

    fn stored(&self) -> usize {
        self.bench.document_counts().get("ariPayments").copied().unwrap_or(0)
    }
}

fn outcomes(value: &Value) -> Vec<String> {
    value.as_array().unwrap().iter().map(|record| record["outcome"].as_str().unwrap().to_owned()).collect()
}

fn ids(value: &Value) -> Vec<String> {
    value.as_array().unwrap().iter().map(|record| record["id"].as_str().unwrap().to_owned()).collect()
}

fn records(count: usize) -> Value {
    (0..count).map(|number| json!({ "amount": number, "supabaseId": format!("row-{number}") })).collect()
}

fn object(value: Value) -> serde_json::Map<String, Value> {
    match value {
        Value::Object(fields) => fields,
        other => panic!("{other} is no object"),
    }
}

async fn refused(response: Response) -> (u16, String) {
    let status = response.status().as_u16();
    let body: Value = response.json().await.unwrap();
    assert!(body["message"].is_string(), "{body}");
    (status, body["code"].as_str().unwrap().to_owned())
}
