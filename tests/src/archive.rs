//! Archives of snapshots as a test writes them, line by line, and a client that imports them step by step: a second path
//! beside the product's own writer and client.

use std::io::{Cursor, Write as _};

use reqwest::{Client, RequestBuilder, Response, StatusCode};
use serde_json::{Value, json};
use zip::{CompressionMethod, ZipWriter, write::SimpleFileOptions};

/// A ZIP archive that grows file by file.
#[derive(Debug)]
pub struct Archive {
    zip: Box<ZipWriter<Cursor<Vec<u8>>>>,
    options: SimpleFileOptions,
}

impl Default for Archive {
    fn default() -> Self {
        Self::new()
    }
}

impl Archive {
    /// An archive whose files are deflated.
    #[must_use]
    pub fn new() -> Self {
        let options = SimpleFileOptions::default().compression_method(CompressionMethod::Deflated);
        Self { zip: Box::new(ZipWriter::new(Cursor::new(Vec::new()))), options }
    }

    /// An archive whose files are stored as they are.
    #[must_use]
    pub fn stored() -> Self {
        let options = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
        Self { options, ..Self::new() }
    }

    /// Adds a file.
    #[must_use]
    pub fn file(mut self, name: &str, content: &str) -> Self {
        self.zip.start_file(name, self.options).unwrap();
        self.zip.write_all(content.as_bytes()).unwrap();
        self
    }

    /// Adds the numbers of tables.
    #[must_use]
    pub fn numbers(self, tables: &[(&str, u32)]) -> Self {
        let rows: Vec<String> = tables.iter().map(|(name, id)| json!({ "name": name, "id": id }).to_string()).collect();
        self.plain("_tables", &rows.iter().map(String::as_str).collect::<Vec<_>>())
    }

    /// Adds a table in the uniform encoding; each line is a row.
    #[must_use]
    pub fn uniform(self, table: &str, lines: &[&str]) -> Self {
        self.file(&format!("{table}/generated_schema.jsonl"), "\"uniform\"\n").plain(table, lines)
    }

    /// Adds a table without a word on its encoding.
    #[must_use]
    pub fn plain(self, table: &str, lines: &[&str]) -> Self {
        let content = lines.iter().flat_map(|line| [*line, "\n"]).collect::<String>();
        self.file(&format!("{table}/documents.jsonl"), &content)
    }

    /// Its bytes.
    #[must_use]
    pub fn bytes(self) -> Vec<u8> {
        self.zip.finish().unwrap().into_inner()
    }
}

/// A client of the routes for imports.
#[derive(Debug, Clone)]
pub struct ImportClient {
    url: String,
    authorization: String,
    http: Client,
}

impl ImportClient {
    /// A client of the deployment at this URL.
    #[must_use]
    pub fn new(url: &str, admin_key: &str) -> Self {
        let http = Client::builder().no_proxy().build().unwrap();
        Self { url: url.to_owned(), authorization: format!("Convex {admin_key}"), http }
    }

    /// A request to a route, with the key.
    pub fn post(&self, path: &str) -> RequestBuilder {
        self.http.post(format!("{}{path}", self.url)).header("authorization", &self.authorization)
    }

    /// Runs a query and returns its value in the readable format.
    pub async fn query(&self, path: &str, args: Value) -> Value {
        let body = json!({ "path": path, "args": args, "format": "json" });
        let mut answer: Value = self.post("/api/query").json(&body).send().await.unwrap().json().await.unwrap();
        assert_eq!(answer["status"], "success", "{path}: {answer}");
        answer["value"].take()
    }

    /// Begins an upload and returns its token.
    pub async fn start(&self) -> String {
        let answer = self.post("/api/import/start_upload").send().await.unwrap();
        json_of(answer).await["uploadToken"].as_str().unwrap().to_owned()
    }

    /// Sends a part.
    pub async fn part(&self, token: &str, number: usize, bytes: &[u8]) -> reqwest::Result<Response> {
        let path = format!("/api/import/upload_part?uploadToken={token}&partNumber={number}");
        self.post(&path).header("content-type", "application/octet-stream").body(bytes.to_vec()).send().await
    }

    /// Ends an upload of a ZIP archive.
    pub async fn finish(&self, token: &str, parts: &[String], mode: &str) -> reqwest::Result<Response> {
        let import = json!({ "format": "zip", "mode": mode });
        let body = json!({ "import": import, "uploadToken": token, "partTokens": parts });
        self.post("/api/import/finish_upload").json(&body).send().await
    }

    /// Uploads an archive in parts of this size and returns the import's id.
    pub async fn upload(&self, archive: &[u8], part_size: usize, mode: &str) -> String {
        let token = self.start().await;
        let mut parts = Vec::new();
        for (number, bytes) in (1..).zip(archive.chunks(part_size)) {
            let part = json_of(self.part(&token, number, bytes).await.unwrap()).await;
            parts.push(part.as_str().unwrap().to_owned());
        }
        let answer = json_of(self.finish(&token, &parts, mode).await.unwrap()).await;
        answer["importId"].as_str().unwrap().to_owned()
    }

    /// Confirms an import, or cancels it: `perform_import` or `cancel_import`.
    pub async fn tell(&self, route: &str, id: &str) -> Response {
        self.post(&format!("/api/{route}")).json(&json!({ "importId": id })).send().await.unwrap()
    }

    /// The import's row.
    pub async fn row(&self, id: &str) -> Value {
        self.query("_system/cli/queryImport", json!({ "importId": id })).await
    }

    /// Polls until the import is in one of these states, and returns its row.
    pub async fn wait(&self, id: &str, states: &[&str]) -> Value {
        for _ in 0..3_000 {
            let row = self.row(id).await;
            if states.iter().any(|state| row["state"]["state"] == *state) {
                return row;
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        panic!("the import never is {states:?}: {}", self.row(id).await);
    }

    /// Imports an archive to its end: the rows written, or the message of the failure.
    pub async fn import(&self, archive: Archive, mode: &str) -> Result<u64, String> {
        let id = self.upload(&archive.bytes(), usize::MAX, mode).await;
        let row = self.wait(&id, &["waiting_for_confirmation", "failed"]).await;
        if row["state"]["state"] == "failed" {
            return Err(row["state"]["error_message"].as_str().unwrap().to_owned());
        }
        assert_eq!(self.tell("perform_import", &id).await.status(), StatusCode::OK);
        let row = self.wait(&id, &["completed", "failed"]).await;
        match row["state"]["num_rows_written"].as_str() {
            Some(rows) => Ok(rows.parse().unwrap()),
            None => Err(row["state"]["error_message"].as_str().unwrap().to_owned()),
        }
    }
}

async fn json_of(response: Response) -> Value {
    let (status, text) = (response.status(), response.text().await.unwrap());
    assert_eq!(status, StatusCode::OK, "{text}");
    serde_json::from_str(&text).unwrap()
}
