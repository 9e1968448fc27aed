//! convex-local: the official `convex` and `convex-test` packages behind Convex's HTTP protocol.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::account::{Account, can_reach, copy_folder, give};
use super::error::{Context, Error, Result};
use super::generated::write_generated;
use super::keys::random_hex;
use super::npm::{ensure_npm_packages, node_for};
use super::supervised::{Launch, Prepared, Supervised};

const START_LIMIT: Duration = Duration::from_mins(1);
const PAGE_DOCUMENTS: u32 = 1_000;

/// The server, embedded so that the user it runs as need not reach the checkout.
const SCRIPTS: [(&str, &str); 15] = [
    ("server.mjs", include_str!("../../local-stack/convex-local/server.mjs")),
    ("protocol.mjs", include_str!("../../local-stack/convex-local/protocol.mjs")),
    ("deployment.mjs", include_str!("../../local-stack/convex-local/deployment.mjs")),
    ("functions.mjs", include_str!("../../local-stack/convex-local/functions.mjs")),
    ("system.mjs", include_str!("../../local-stack/convex-local/system.mjs")),
    ("database.mjs", include_str!("../../local-stack/convex-local/database.mjs")),
    ("limits.mjs", include_str!("../../local-stack/convex-local/limits.mjs")),
    ("ids.mjs", include_str!("../../local-stack/convex-local/ids.mjs")),
    ("seams.mjs", include_str!("../../local-stack/convex-local/seams.mjs")),
    ("imports.mjs", include_str!("../../local-stack/convex-local/imports.mjs")),
    ("import-tables.mjs", include_str!("../../local-stack/convex-local/import-tables.mjs")),
    ("archive.mjs", include_str!("../../local-stack/convex-local/archive.mjs")),
    ("exported.mjs", include_str!("../../local-stack/convex-local/exported.mjs")),
    ("shape.mjs", include_str!("../../local-stack/convex-local/shape.mjs")),
    ("zip.mjs", include_str!("../../local-stack/convex-local/zip.mjs")),
];

/// A stand-in for a Convex deployment that runs the functions of one project. Data is in memory; the server stops when
/// this value is dropped.
///
/// It differs from Convex where `tests/local-stack/README.md` says so: no conflicts, no throughput or time limits, no
/// exports, HTTP actions or user tokens.
#[derive(Debug)]
pub struct ConvexLocal {
    process: Supervised,
    account: Option<Account>,
    project: PathBuf,
    deployments: AtomicU32,
    url: String,
    admin_key: String,
    limited_key: String,
    http: reqwest::Client,
}

impl ConvexLocal {
    /// Serves the functions in `<project>/convex`, whose `_generated` files are written first, and waits until the
    /// server answers.
    ///
    /// # Errors
    /// Node or a package is missing, or the functions do not compile or load; the message has the server's words.
    pub async fn start(project: &Path) -> Result<Self> {
        Self::start_with(project, &[]).await
    }

    /// As [`ConvexLocal::start`], with variables that `npx convex env set` would set.
    ///
    /// # Errors
    /// As there.
    pub async fn start_with(project: &Path, variables: &[(&str, &str)]) -> Result<Self> {
        let packages = tokio::task::spawn_blocking(ensure_npm_packages).await.context("install npm packages")??;
        let prepared = Prepared::new()?;
        let account = prepared.account();
        let node = node_for(account)?;
        let modules = packages.join("node_modules");
        if !can_reach(account, &modules.join("convex/package.json")) {
            let folder = modules.display();
            return Err(Error::new(format!("{folder} cannot be read by the servers' user: set a umask of 022")));
        }
        write_generated(project)?;
        let scripts = prepared.path().join("convex-local");
        fs::create_dir(&scripts).context(format_args!("create {}", scripts.display()))?;
        for (name, text) in SCRIPTS {
            fs::write(scripts.join(name), text).context(format_args!("write {name}"))?;
        }
        fs::write(prepared.path().join("package.json"), r#"{"type":"module"}"#).context("write package.json")?;
        symlink(&modules, prepared.path().join("node_modules")).context("link node_modules")?;
        let copy = prepared.path().join("project-0");
        copy_folder(&project.join("convex"), &copy.join("convex"))?;
        give(prepared.path(), account)?;

        let admin_key = format!("local-stack|{}", random_hex(32));
        let limited_key = format!("local-stack|{}", random_hex(32));
        let launch = Launch::new(node)
            .arg("--enable-source-maps")
            .arg(scripts.join("server.mjs"))
            .arg(prepared.path())
            .arg(&copy)
            .env("LOCAL_STACK_ADMIN_KEY", &admin_key)
            .env("LOCAL_STACK_LIMITED_KEY", &limited_key);
        let launch = variables.iter().fold(launch, |launch, (name, value)| launch.env(name, value));
        let process = prepared.start(launch)?;
        let port = wait_for_port(&process).await?;
        let http = reqwest::Client::builder().no_proxy().build().context("build an HTTP client")?;
        Ok(Self {
            process,
            account,
            project: project.to_owned(),
            deployments: AtomicU32::new(1),
            url: format!("http://127.0.0.1:{port}"),
            admin_key,
            limited_key,
            http,
        })
    }

    /// The deployment's URL, as `CONVEX_SELF_HOSTED_URL` holds it.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The admin key, as `CONVEX_SELF_HOSTED_ADMIN_KEY` holds it.
    pub fn admin_key(&self) -> &str {
        &self.admin_key
    }

    /// A key that may run internal functions and not view data: the system's own queries refuse it.
    pub fn limited_key(&self) -> &str {
        &self.limited_key
    }

    /// All documents of `table`, oldest first, in Convex's encoded form. Read without any deployed function.
    ///
    /// # Errors
    /// The server is gone.
    pub async fn documents(&self, table: &str) -> Result<Vec<Value>> {
        let mut documents = Vec::new();
        let mut cursor = Value::Null;
        loop {
            let options = json!({ "cursor": cursor, "numItems": PAGE_DOCUMENTS });
            let arguments = json!({ "table": table, "order": "asc", "paginationOpts": options });
            let mut page = self.query("_system/cli/tableData", arguments).await?;
            if let Value::Array(rows) = page["page"].take() {
                documents.extend(rows);
            }
            if page["isDone"] == json!(true) {
                return Ok(documents);
            }
            cursor = page["continueCursor"].take();
        }
    }

    /// Number of documents in `table`.
    ///
    /// # Errors
    /// The server is gone.
    pub async fn count(&self, table: &str) -> Result<u64> {
        let size = self.query("_system/cli/tableSize", json!({ "tableName": table })).await?;
        let number = size.as_f64().filter(|size| size.fract() == 0.0 && *size >= 0.0);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a whole number of documents")]
        number.map(|size| size as u64).ok_or_else(|| Error::new(format!("the size of {table} is {size}")))
    }

    /// Runs a mutation with the admin key and returns its value, encoded. `arguments` are encoded too.
    ///
    /// # Errors
    /// The function failed, with its message; or the request did.
    pub async fn mutation(&self, path: &str, arguments: Value) -> Result<Value> {
        self.call("mutation", path, arguments).await
    }

    /// Runs a query with the admin key and returns its value, encoded. `arguments` are encoded too.
    ///
    /// # Errors
    /// The function failed, with its message; or the request did.
    pub async fn query(&self, path: &str, arguments: Value) -> Result<Value> {
        self.call("query", path, arguments).await
    }

    /// Deploys the project's functions and schema as they are now. Documents are kept; as with Convex, the deployment
    /// is refused and nothing changes when one of them does not match the new schema.
    ///
    /// # Errors
    /// The project does not compile or load, or a document does not match.
    pub async fn redeploy(&self) -> Result<()> {
        write_generated(&self.project)?;
        let number = self.deployments.fetch_add(1, Ordering::Relaxed);
        let copy = self.process.folder().join(format!("project-{number}"));
        copy_folder(&self.project.join("convex"), &copy.join("convex"))?;
        give(&copy, self.account)?;
        self.post("/local-stack/redeploy", json!({ "project": copy })).await.map(|_| ())
    }

    /// Begins an import of somebody else, or ends it. While it is in progress no other import is worked on.
    ///
    /// # Errors
    /// The server is gone, or such an import has begun already.
    pub async fn foreign_import(&self, is_running: bool) -> Result<()> {
        self.post("/local-stack/foreign-import", json!({ "isRunning": is_running })).await.map(|_| ())
    }

    /// Lets the parts of uploads that come next fail as these say, each in its turn: `{ "status", "headers", "isTaken" }`,
    /// or null for one that does not fail. One that `isTaken` is stored all the same.
    ///
    /// # Errors
    /// The server is gone.
    pub async fn fail_parts(&self, failures: Value) -> Result<()> {
        self.post("/local-stack/fail-parts", json!({ "failures": failures })).await.map(|_| ())
    }

    /// Puts a document's fields, encoded, in place of those of `id`, or into a new document where there is no `id`; takes
    /// the document away where there are no fields. Nothing is validated: it happens behind everybody's back. Returns
    /// the id.
    ///
    /// # Errors
    /// The server was not started with `LOCAL_STACK_TAMPER=1`; or there is no such document.
    pub async fn tamper(&self, table: &str, id: Option<&str>, fields: Option<Value>) -> Result<String> {
        let body = json!({ "table": table, "id": id, "document": fields });
        let answer = self.post("/local-stack/tamper", body).await?;
        Ok(answer["id"].as_str().unwrap_or_default().to_owned())
    }

    /// All the server has printed so far.
    pub fn log(&self) -> String {
        self.process.log()
    }

    /// The process behind this server.
    pub fn process(&self) -> &Supervised {
        &self.process
    }

    /// Stops the server and waits until its folder is removed.
    pub fn stop(self) {
        self.process.stop();
    }

    async fn call(&self, kind: &str, path: &str, arguments: Value) -> Result<Value> {
        let body = json!({ "path": path, "args": arguments, "format": "convex_encoded_json" });
        let mut envelope = self.post(&format!("/api/{kind}"), body).await?;
        if envelope["status"] == "success" {
            return Ok(envelope["value"].take());
        }
        let message = envelope["errorMessage"].as_str().unwrap_or("there is no message");
        Err(Error::new(format!("{kind} {path} failed: {message}")))
    }

    async fn post(&self, path: &str, body: Value) -> Result<Value> {
        let url = format!("{}{path}", self.url);
        let key = format!("Convex {}", self.admin_key);
        let request = self.http.post(url).header("Authorization", key).json(&body);
        let response = request.send().await.context(format_args!("reach convex-local at {path}"))?;
        let status = response.status();
        let text = response.text().await.context("read convex-local's answer")?;
        if !status.is_success() {
            return Err(Error::new(format!("{path} answered {status}: {text}")));
        }
        serde_json::from_str(&text).context(format_args!("read convex-local's answer at {path}"))
    }
}

async fn wait_for_port(process: &Supervised) -> Result<u16> {
    let started = Instant::now();
    loop {
        if let Ok(text) = fs::read_to_string(process.folder().join("port")) {
            return text.parse().context(format_args!("read the port {text:?}"));
        }
        if process.has_exited() {
            return Err(process.failure("did not start"));
        }
        if started.elapsed() > START_LIMIT {
            return Err(process.failure("did not start in time"));
        }
        tokio::time::sleep(Duration::from_millis(30)).await;
    }
}
