//! The calls of an import against simulated answers: which, in which order, and how often.

#![expect(clippy::unwrap_used, reason = "a test says what it wants by unwrapping")]

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use convex_sink::{ConvexSettings, Import, ImportMode, ImportNews, ImportOutcome, TableNumbers};
use migrate_core::layer::RetryPolicy;
use migrate_core::stop::Stop;
use migrate_core::{ErrorKind, Event, Fanout, Observer, Result};
use secrecy::SecretString;
use serde_json::{Value as Json, json};
use tempfile::TempDir;
use wiremock::matchers::{any, header};
use wiremock::{Mock, MockServer, Request, Respond, ResponseTemplate};

/// A deployment that imports: what it was asked, and how it answers.
#[derive(Debug, Clone, Default)]
struct Deployment(Arc<Mutex<Inner>>);

#[derive(Debug, Default)]
struct Inner {
    calls: Vec<String>,
    parts: Vec<Vec<u8>>,
    finished: Vec<Json>,
    /// The states that the own import goes through, one for each question.
    states: Vec<Json>,
    /// Other imports, one answer for each question; the last one stays.
    others: Vec<Vec<Json>>,
    tables: Json,
    /// Documents of each table.
    sizes: Json,
    /// Answers that come instead: the call's number among those of its name, its name, the status and the body. A status
    /// over 1000 lets the call take effect first; 429 asks to wait for so many seconds as the body says.
    faults: Vec<(usize, &'static str, u16, Json)>,
    imports: usize,
    stop: Option<(&'static str, Stop)>,
}

fn name_of(request: &Request) -> String {
    let path = request.url.path().trim_start_matches("/api/").trim_start_matches("import/");
    if path != "query" {
        return path.to_owned();
    }
    let body: Json = request.body_json().unwrap();
    assert_eq!(body["format"], "json");
    body["path"].as_str().unwrap().rsplit('/').next().unwrap().to_owned()
}

impl Inner {
    fn answer(&mut self, name: &str, request: &Request) -> Json {
        match name {
            "getTableMapping" => json!({ "status": "success", "value": self.tables }),
            "tableSize" => {
                let body: Json = request.body_json().unwrap();
                let size = &self.sizes[body["args"]["tableName"].as_str().unwrap()];
                json!({ "status": "success", "value": size.as_f64().unwrap_or_default() })
            }
            "queryImport:list" => {
                let others = if self.others.len() > 1 { self.others.remove(0) } else { self.others.concat() };
                let own =
                    (0..self.imports).map(|at| json!({ "_id": format!("own{at}"), "state": { "state": "uploaded" } }));
                json!({ "status": "success", "value": others.into_iter().chain(own).collect::<Vec<_>>() })
            }
            "queryImport" => {
                let body: Json = request.body_json().unwrap();
                let state = if self.states.len() > 1 { self.states.remove(0) } else { self.states[0].clone() };
                let row = json!({ "_id": body["args"]["importId"], "state": state, "format": { "format": "zip" } });
                json!({ "status": "success", "value": row })
            }
            "start_upload" => {
                self.parts.clear();
                json!({ "uploadToken": "to/ken" })
            }
            "upload_part" => {
                let query: Vec<(String, String)> = request.url.query_pairs().into_owned().collect();
                let number = self.parts.len() + 1;
                let expected = [("uploadToken", "to/ken"), ("partNumber", &number.to_string())];
                assert_eq!(query, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
                assert_eq!(request.headers["content-type"], "application/octet-stream");
                self.parts.push(request.body.clone());
                json!(format!("part{number}"))
            }
            "finish_upload" => {
                self.finished.push(request.body_json().unwrap());
                self.imports += 1;
                json!({ "importId": format!("own{}", self.imports - 1) })
            }
            "perform_import" | "cancel_import" => {
                assert_eq!(request.body_json::<Json>().unwrap(), json!({ "importId": "own0" }));
                Json::Null
            }
            other => panic!("no such endpoint: {other}"),
        }
    }
}

impl Respond for Deployment {
    fn respond(&self, request: &Request) -> ResponseTemplate {
        let name = name_of(request);
        let mut inner = self.0.lock().unwrap();
        inner.calls.push(name.clone());
        if let Some((_, stop)) = inner.stop.as_ref().filter(|(at, _)| *at == name) {
            stop.request();
        }
        let count = inner.calls.iter().filter(|call| **call == name).count();
        let fault = inner.faults.iter().find(|(at, of, ..)| *at == count && *of == name).cloned();
        match fault {
            Some((.., 429, body)) => {
                let seconds = body["seconds"].as_u64().unwrap_or_default();
                ResponseTemplate::new(429).insert_header("retry-after", seconds.to_string()).set_body_json(body)
            }
            Some((.., status, body)) if status < 1000 => ResponseTemplate::new(status).set_body_json(body),
            Some((.., status, body)) => {
                inner.answer(&name, request);
                ResponseTemplate::new(status - 1000).set_body_json(body)
            }
            None => match inner.answer(&name, request) {
                Json::Null => ResponseTemplate::new(200),
                answer => ResponseTemplate::new(200).set_body_json(answer),
            },
        }
    }
}

struct World {
    server: MockServer,
    deployment: Deployment,
    folder: TempDir,
    news: Mutex<Vec<ImportNews>>,
    asked: Mutex<Vec<(String, bool)>>,
}

fn waiting(required: bool) -> Json {
    json!({ "state": "waiting_for_confirmation", "message_to_confirm": "Import adds 3 documents to t",
        "require_manual_confirmation": required })
}

fn completed() -> Json {
    json!({ "state": "completed", "timestamp": "17", "num_rows_written": "3" })
}

const FILE: &[u8] = b"0123456789abcdefghij!";

impl World {
    async fn new(states: impl IntoIterator<Item = Json>) -> Self {
        let deployment = Deployment::default();
        {
            let mut inner = deployment.0.lock().unwrap();
            inner.states = states.into_iter().collect();
            inner.tables = json!({ "10001": "t", "540": "_file_storage" });
        }
        let server = MockServer::start().await;
        let key = header("authorization", "Convex dev:a|key");
        Mock::given(any()).and(key).respond_with(deployment.clone()).mount(&server).await;
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("snapshot.zip"), FILE).unwrap();
        Self { server, deployment, folder, news: Mutex::default(), asked: Mutex::default() }
    }

    fn record(&self) -> PathBuf {
        self.folder.path().join("import.json")
    }

    async fn import(&self, mode: ImportMode, answer: bool) -> Result<ImportOutcome> {
        self.import_with(mode, answer, Stop::default()).await
    }

    async fn import_with(&self, mode: ImportMode, answer: bool, stop: Stop) -> Result<ImportOutcome> {
        self.import_told(mode, answer, stop, Arc::new(Fanout::default())).await
    }

    async fn import_told(
        &self,
        mode: ImportMode,
        answer: bool,
        stop: Stop,
        observer: Arc<dyn Observer>,
    ) -> Result<ImportOutcome> {
        let settings = ConvexSettings::new(self.server.uri(), SecretString::from("dev:a|key"));
        let short = Duration::from_millis(1);
        let policy = RetryPolicy { first_delay: short, longest_delay: short, ..RetryPolicy::default() };
        let import = Import::new(&settings, mode).unwrap().part_bytes(8).poll_every(short, short);
        let import = import.stop(stop).retry(policy, observer);
        let numbers = TableNumbers::new([("t".to_owned(), 10_001)]);
        let archive = self.folder.path().join("snapshot.zip");
        let confirm = |summary: &str, required: bool| {
            self.asked.lock().unwrap().push((summary.to_owned(), required));
            answer
        };
        let news = |news| self.news.lock().unwrap().push(news);
        import.run(&archive, "hash", &numbers, &self.record(), confirm, news).await
    }

    fn fault(&self, at: usize, name: &'static str, status: u16, body: Json) {
        self.deployment.0.lock().unwrap().faults.push((at, name, status, body));
    }

    fn calls(&self) -> Vec<String> {
        self.deployment.0.lock().unwrap().calls.clone()
    }

    fn count(&self, name: &str) -> usize {
        self.calls().iter().filter(|call| *call == name).count()
    }
}

#[tokio::test]
async fn an_archive_is_uploaded_confirmed_and_imported() {
    let writing = json!({ "state": "in_progress", "progress_message": "Importing t", "checkpoint_messages": [] });
    let world = World::new([json!({ "state": "uploaded" }), waiting(false), writing, completed()]).await;
    let outcome = world.import(ImportMode::RequireEmpty, true).await.unwrap();
    assert_eq!(outcome, ImportOutcome { id: "own0".to_owned(), documents: Some(3) });
    let calls = [
        "queryImport:list",
        "getTableMapping",
        "tableSize",
        "start_upload",
        "upload_part",
        "upload_part",
        "upload_part",
        "queryImport:list",
        "finish_upload",
        "queryImport",
        "queryImport",
        "perform_import",
        "queryImport",
        "queryImport",
    ];
    assert_eq!(world.calls(), calls);
    let inner = world.deployment.0.lock().unwrap();
    assert_eq!(inner.parts, FILE.chunks(8).map(<[u8]>::to_vec).collect::<Vec<_>>());
    assert_eq!(
        inner.finished,
        [json!({
            "import": { "format": "zip", "mode": "requireEmpty" },
            "uploadToken": "to/ken",
            "partTokens": ["part1", "part2", "part3"],
        })]
    );
    assert_eq!(*world.asked.lock().unwrap(), [("Import adds 3 documents to t".to_owned(), false)]);
    let news = world.news.lock().unwrap();
    assert!(news.contains(&ImportNews::Uploading { sent: 16, total: 21 }));
    assert!(news.contains(&ImportNews::Writing { message: "Importing t".to_owned() }));
}

/// A deployment on one machine appends parts as they come: one that was sent twice would be in the file twice.
#[tokio::test]
async fn a_part_of_unknown_fate_is_never_sent_again() {
    for status in [500, 1500, 502, 503, 1503] {
        let world = World::new([waiting(false), completed()]).await;
        world.fault(2, "upload_part", status, json!({ "code": "InternalServerError" }));
        world.import(ImportMode::RequireEmpty, true).await.unwrap();
        assert_eq!(world.count("start_upload"), 2, "the upload begins anew");
        assert_eq!(world.deployment.0.lock().unwrap().parts.concat(), FILE);
        assert_eq!(world.count("finish_upload"), 1);
    }
}

#[tokio::test]
async fn a_part_that_was_refused_unread_is_sent_again() {
    let world = World::new([waiting(false), completed()]).await;
    for at in [1, 2, 4] {
        world.fault(at, "upload_part", 429, json!({ "code": "TooManyRequests" }));
    }
    world.import(ImportMode::RequireEmpty, true).await.unwrap();
    assert_eq!((world.count("start_upload"), world.count("upload_part")), (1, 3 + 3));
    assert_eq!(world.deployment.0.lock().unwrap().parts.concat(), FILE);
}

/// The upload of parts that are refused for ever is not begun anew: that would send what was taken once more.
#[tokio::test]
async fn a_part_that_is_refused_for_ever_ends_the_upload() {
    let world = World::new([waiting(false), completed()]).await;
    for at in 2..100 {
        world.fault(at, "upload_part", 429, json!({ "code": "TooManyRequests" }));
    }
    let error = world.import(ImportMode::RequireEmpty, true).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::RateLimited);
    let attempts = 1 + RetryPolicy::default().repeats;
    assert_eq!((world.count("start_upload"), world.count("upload_part")), (1, 1 + attempts));
}

#[tokio::test]
async fn tables_with_documents_are_refused_before_a_byte_is_sent() {
    let world = World::new([waiting(false), completed()]).await;
    world.deployment.0.lock().unwrap().sizes = json!({ "t": 12, "u": 5 });
    let error = world.import(ImportMode::RequireEmpty, true).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    let text = error.to_string();
    assert!(text.contains("t: 12") && !text.contains("u: 5"), "{text}");
    assert!(error.remedy().unwrap().contains("--import-mode replace"), "{error:?}");
    assert_eq!(world.count("start_upload"), 0);

    // Other modes do not ask, and a deployment that does not tell is no hindrance.
    world.import(ImportMode::Append, true).await.unwrap();
    assert_eq!(world.count("tableSize"), 1);
    let text = "You do not have permission to perform this operation (deployment:data:view)";
    let refused = json!({ "code": "OperationNotPermitted", "message": text });
    let unknown =
        json!({ "status": "error", "errorMessage": "Could not find public function for '_system/cli/tableSize'" });
    for (status, body) in [(403, refused), (200, unknown)] {
        let world = World::new([waiting(false), completed()]).await;
        world.deployment.0.lock().unwrap().sizes = json!({ "t": 12 });
        world.fault(1, "tableSize", status, body);
        world.import(ImportMode::RequireEmpty, true).await.unwrap();
        assert_eq!((world.count("tableSize"), world.count("finish_upload")), (1, 1), "{status}");
    }
}

/// Asks for a stop at the first repeat.
#[derive(Debug)]
struct StopAtRepeat(Stop);

impl Observer for StopAtRepeat {
    fn on_event(&self, event: &Event) {
        if matches!(event, Event::Retried { .. }) {
            self.0.request();
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_stop_ends_the_wait_for_a_repeat_at_once() {
    // Answers take real time, which the clock must not overtake: it stands while a thread is busy. Should a wait not end,
    // the thread does, and the clock moves on.
    let (done, is_done) = std::sync::mpsc::channel::<()>();
    let thread = tokio::task::spawn_blocking(move || is_done.recv_timeout(Duration::from_mins(1)));
    for (name, cancelled) in [
        ("queryImport:list", 0),
        ("getTableMapping", 0),
        ("tableSize", 0),
        ("start_upload", 0),
        ("upload_part", 0),
        ("finish_upload", 0),
        ("queryImport", 1),
        ("perform_import", 1),
    ] {
        let world = World::new([waiting(false), completed()]).await;
        world.fault(1, name, 429, json!({ "code": "TooManyRequests", "seconds": 240 }));
        let (stop, started) = (Stop::default(), tokio::time::Instant::now());
        let observer = Arc::new(StopAtRepeat(stop.clone()));
        let error = world.import_told(ImportMode::RequireEmpty, true, stop, observer).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Interrupted, "{name}");
        assert!(started.elapsed() < Duration::from_secs(1), "{name}: {:?}", started.elapsed());
        assert_eq!((world.count(name), world.count("cancel_import")), (1, cancelled), "{name}");
        assert!(!world.record().exists(), "{name}");
    }
    drop(done);
    thread.await.unwrap().unwrap_err();
}

#[tokio::test]
async fn an_import_that_could_not_be_cancelled_is_found_by_the_next_run() {
    let world = World::new([waiting(false), json!({ "state": "in_progress" })]).await;
    let stop = Stop::default();
    world.deployment.0.lock().unwrap().stop = Some(("perform_import", stop.clone()));
    world.fault(1, "cancel_import", 503, json!({ "code": "ExpiredInQueue" }));
    let error = world.import_with(ImportMode::RequireEmpty, true, stop).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Interrupted);
    assert!(world.record().exists());
    {
        let mut inner = world.deployment.0.lock().unwrap();
        (inner.stop, inner.states) = (None, vec![completed()]);
    }
    let outcome = world.import(ImportMode::RequireEmpty, true).await.unwrap();
    assert_eq!((outcome.id.as_str(), world.count("finish_upload")), ("own0", 1));
}

#[tokio::test]
async fn an_end_of_unknown_fate_is_looked_for_first() {
    for (status, ends) in [(1500, 1), (500, 2)] {
        let world = World::new([waiting(false), completed()]).await;
        world.fault(1, "finish_upload", status, json!({ "code": "InternalServerError" }));
        let outcome = world.import(ImportMode::RequireEmpty, true).await.unwrap();
        assert_eq!(outcome.id, "own0");
        assert_eq!((world.count("finish_upload"), world.count("start_upload")), (ends, 1), "{status}");
        assert_eq!(world.deployment.0.lock().unwrap().imports, 1);
    }
}

#[tokio::test]
async fn questions_are_repeated() {
    let world = World::new([waiting(false), completed()]).await;
    for (at, name) in [(1, "getTableMapping"), (1, "queryImport"), (2, "queryImport"), (1, "perform_import")] {
        world.fault(at, name, 503, json!({ "code": "ExpiredInQueue" }));
    }
    world.import(ImportMode::RequireEmpty, true).await.unwrap();
    assert_eq!(world.count("perform_import"), 2);
}

#[tokio::test]
async fn what_is_not_confirmed_is_cancelled() {
    let world = World::new([waiting(true)]).await;
    let error = world.import(ImportMode::Replace, false).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    assert_eq!(*world.asked.lock().unwrap(), [("Import adds 3 documents to t".to_owned(), true)]);
    assert_eq!((world.count("perform_import"), world.count("cancel_import")), (0, 1));
    assert_eq!(world.deployment.0.lock().unwrap().finished[0]["import"]["mode"], "replace");
    assert!(!world.record().exists());
}

#[tokio::test]
async fn a_failure_is_told_without_the_rows_in_it() {
    let text =
        |text: &str| json!({ "state": "failed", "error_message": format!("Hit an error while importing:\n{text}") });
    let exists = "Table t already exists. Please choose a new table name or use replace/append modes.";
    for (message, known) in [(exists, "tables that have documents"), ("Row 3 CANARY", "refused the file")] {
        let world = World::new([text(message)]).await;
        let error = world.import(ImportMode::RequireEmpty, true).await.unwrap_err().to_string();
        assert!(error.contains(known) && !error.contains("CANARY"), "{error}");
    }
    let old = "cannot parse t/generated_schema.jsonl: unexpected token at 'uniform'";
    let world = World::new([text(old)]).await;
    let error = world.import(ImportMode::RequireEmpty, true).await.unwrap_err();
    assert!(Import::wants_older_encoding(&error));
}

#[tokio::test]
async fn another_import_is_waited_for() {
    let world = World::new([waiting(false), completed()]).await;
    let other = json!({ "_id": "other", "state": { "state": "in_progress" } });
    let done = json!({ "_id": "other", "state": { "state": "completed", "num_rows_written": 5 } });
    world.deployment.0.lock().unwrap().others = vec![vec![other.clone()], vec![other], vec![done]];
    world.import(ImportMode::RequireEmpty, true).await.unwrap();
    assert_eq!(world.calls()[..3], ["queryImport:list"; 3]);
    assert!(world.news.lock().unwrap().contains(&ImportNews::WaitingForOther));
}

#[tokio::test]
async fn other_numbers_are_refused_before_a_byte_is_sent() {
    let world = World::new([completed()]).await;
    world.deployment.0.lock().unwrap().tables = json!({ "10002": "t", "10001": "u" });
    let error = world.import(ImportMode::Replace, true).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::State);
    assert!(error.to_string().contains("t was 10001 and is 10002"), "{error}");
    assert_eq!(world.count("start_upload"), 0);
}

#[tokio::test]
async fn an_import_of_an_earlier_run_is_gone_on_with() {
    let world = World::new([json!({ "state": "in_progress" }), completed()]).await;
    let record = |sha256: &str| json!({ "import_id": "own0", "sha256": sha256, "mode": "require_empty" }).to_string();
    std::fs::write(world.record(), record("hash")).unwrap();
    world.import(ImportMode::RequireEmpty, true).await.unwrap();
    assert_eq!(world.calls(), ["queryImport", "queryImport"]);

    // One that failed, or of another archive, is not.
    for (sha256, first) in [("hash", json!({ "state": "failed", "error_message": "" })), ("other", waiting(false))] {
        let world = World::new([first, waiting(false), completed()]).await;
        std::fs::write(world.record(), record(sha256)).unwrap();
        world.import(ImportMode::RequireEmpty, true).await.unwrap();
        assert_eq!(world.count("finish_upload"), 1, "{sha256}");
    }
}

#[tokio::test]
async fn a_stop_cancels_the_import() {
    for (at, cancelled) in [("upload_part", 0), ("finish_upload", 1), ("perform_import", 1)] {
        let world = World::new([waiting(false), json!({ "state": "in_progress" })]).await;
        let stop = Stop::default();
        world.deployment.0.lock().unwrap().stop = Some((at, stop.clone()));
        let error = world.import_with(ImportMode::RequireEmpty, true, stop).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Interrupted, "{at}");
        assert_eq!(world.count("cancel_import"), cancelled, "{at}");
        assert!(!world.record().exists(), "{at}");
    }
}

#[tokio::test]
async fn a_key_without_the_right_is_told_which() {
    let world = World::new([completed()]).await;
    let text = "You do not have permission to perform this operation (deployment:backups:import)";
    world.fault(1, "start_upload", 403, json!({ "code": "OperationNotPermitted", "message": text }));
    let error = world.import(ImportMode::RequireEmpty, true).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Forbidden);
    assert!(error.to_string().contains("deployment:backups:import"), "{error}");
}
