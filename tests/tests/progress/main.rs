//! What a run shows while it goes on: to a person at a terminal of any size, to a log, and to a program.

mod terminal;

use std::collections::BTreeMap;
use std::fs;
use std::process::{Command, Output};
use std::time::Duration;

use migrate_tests::convex_bench::{ConvexBench, ConvexBenchOptions, Fault, FaultPlan};
use migrate_tests::local_stack::{Supabase, SupabaseOptions};
use migrate_tests::project::{Deployment, Profile, ProjectFolder, output, repository};
use serde_json::Value;
use tempfile::TempDir;

/// Tables of some size.
const SCHEMA: &str = "
create table customers (id int primary key, name text not null);
create table orders (id int primary key, customer_id int references customers, note text);
insert into customers select n, 'customer ' || n from generate_series(1, 500) as n;
insert into orders select n, n % 501, 'order ' || n from generate_series(1, 4000) as n;";

/// A table that the data API cannot serve, for its answers name it in a header.
const BELL: &str = "
create table \"bell\u{7}\u{1b}[2J\" (id int primary key);
insert into \"bell\u{7}\u{1b}[2J\" select n from generate_series(1, 2000) as n;";

const CONFIGURATION: &str = "
[run]
page_rows = 200
batch_records = 50
in_flight = 2";

/// Orders without a customer: 4000 / 501, since there is none with the number 0.
const WITHOUT_CUSTOMER: u64 = 7;

struct Planned {
    folder: ProjectFolder,
    supabase: Supabase,
    convex: ConvexBench,
    files: TempDir,
}

impl Planned {
    /// A project that is planned, with a deployment that answers each call after a while.
    async fn new(delay: Duration) -> Self {
        Self::with(delay, "rest", "").await
    }

    /// The same, read straight from Postgres, with a table whose name would clear the screen and ring the bell.
    async fn with_bell(delay: Duration) -> Self {
        Self::with(delay, "postgres", BELL).await
    }

    async fn with(delay: Duration, access: &str, sql: &str) -> Self {
        let files = tempfile::tempdir().unwrap();
        let folder = ProjectFolder::new(files.path(), Profile::Own).await.unwrap();
        // A row that refers to nothing cannot be in Postgres with its constraint.
        let schema = SCHEMA.replace("int references customers", "int");
        let supabase =
            Supabase::start(SupabaseOptions { sql: vec![schema, sql.to_owned()], ..Default::default() }).await.unwrap();
        let faults = if delay.is_zero() {
            FaultPlan::default()
        } else {
            FaultPlan { standing: vec![Fault::Slow(delay)], ..FaultPlan::default() }
        };
        let convex = ConvexBench::start(ConvexBenchOptions { faults, ..Default::default() }).await.unwrap();
        let planned = Self { folder, supabase, convex, files };
        let configuration = format!(
            "supabase.access = \"{access}\"\n[tables.orders]\ncolumns.customer_id.references = \"customers\"\n{CONFIGURATION}"
        );
        fs::write(planned.files.path().join("migrate.toml"), configuration).unwrap();
        for program in ["migrate-discover", "migrate-plan"] {
            let ended = planned.run(program, &[]).await;
            assert!(ended.status.success(), "{program}: {}", text(&ended.stderr));
            assert_no_controls(&ended);
        }
        planned
    }

    fn program(&self, name: &str, arguments: &[&str]) -> Command {
        let (url, admin_key) = (self.convex.url(), ConvexBenchOptions::default().admin_key);
        let convex = Deployment { url: &url, admin_key: &admin_key };
        let mut program = self.folder.program(name, arguments, &self.supabase, Some(convex));
        let port = self.supabase.postgres().port();
        program.env("SUPABASE_DB_URL", format!("postgresql://postgres@127.0.0.1:{port}/{}", self.supabase.database()));
        program
    }

    async fn run(&self, name: &str, arguments: &[&str]) -> Output {
        output(self.program(name, arguments)).await.unwrap()
    }

    /// The rows of each table, as SQL counts them.
    async fn counts(&self) -> BTreeMap<String, u64> {
        let client = self.supabase.client().await.unwrap();
        let mut counts = BTreeMap::new();
        for table in ["customers", "orders"] {
            let row = client.query_one(&format!("select count(*) from \"{table}\""), &[]).await.unwrap();
            counts.insert(table.to_owned(), u64::try_from(row.get::<_, i64>(0)).unwrap());
        }
        counts
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn assert_no_controls(output: &Output) {
    for text in [text(&output.stdout), text(&output.stderr)] {
        assert!(!text.contains(|char: char| char.is_control() && char != '\n'), "{text:?}");
    }
}

fn events(output: &Output) -> Vec<Value> {
    let lines = text(&output.stdout);
    lines.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("no JSON: {line}"))).collect()
}

fn schema() -> jsonschema::Validator {
    let text = fs::read_to_string(repository().join("jsonschemas/event.schema.json")).unwrap();
    jsonschema::validator_for(&serde_json::from_str(&text).unwrap()).unwrap()
}

fn of_kind<'a>(events: &'a [Value], kind: &str) -> Vec<&'a Value> {
    events.iter().filter(|event| event["event"] == kind).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_reads_events_and_nothing_else() {
    let planned = Planned::new(Duration::ZERO).await;
    let ended = planned.run("migrate-run", &["--events", "ndjson"]).await;
    assert_eq!(ended.status.code(), Some(3), "{}", text(&ended.stderr));
    let (events, schema) = (events(&ended), schema());
    for event in &events {
        assert!(
            schema.is_valid(event),
            "{event}: {:?}",
            schema.iter_errors(event).next().map(|error| error.to_string())
        );
        assert_eq!(event["version"], 1);
    }
    // The schema refuses what is no event.
    let mut wrong = events[0].clone();
    wrong["event"] = "no_such_event".into();
    assert!(!schema.is_valid(&wrong));
    assert_eq!(events[0]["event"], "run_started");
    let times: Vec<&str> = events.iter().map(|event| event["time"].as_str().unwrap()).collect();
    assert!(times.is_sorted(), "{times:?}");
    let mut read: BTreeMap<String, u64> = BTreeMap::new();
    let mut rejected = 0;
    for batch in of_kind(&events, "batch_committed") {
        *read.entry(batch["table"].as_str().unwrap().to_owned()).or_default() +=
            batch["added"]["read"].as_u64().unwrap();
        rejected += batch["added"]["rejected"].as_u64().unwrap();
    }
    assert_eq!(read, planned.counts().await);
    assert_eq!(rejected, WITHOUT_CUSTOMER);
    let last = events.last().unwrap();
    assert_eq!(last["event"], "run_finished");
    assert_eq!((&last["exit_code"], &last["outcome"]), (&3.into(), &"complete_with_findings".into()));
    let report: Value =
        serde_json::from_str(&fs::read_to_string(planned.files.path().join(last["report"].as_str().unwrap())).unwrap())
            .unwrap();
    assert_eq!(last["totals"], report["totals"]);
    assert_no_controls(&ended);

    // A continuation says what was there.
    let ended = planned.run("migrate-run", &["--events", "ndjson", "--quiet"]).await;
    let events = self::events(&ended);
    assert!(of_kind(&events, "batch_committed").iter().all(|batch| batch["added"]["read"] == 0), "{events:?}");
    let resumed: u64 =
        of_kind(&events, "table_started").iter().map(|event| event["resumed"]["read"].as_u64().unwrap()).sum();
    assert_eq!(resumed, planned.counts().await.values().sum::<u64>());
    let replayed = planned.run("migrate-replay", &["--events", "ndjson"]).await;
    let events = self::events(&replayed);
    assert!(events.iter().all(|event| schema.is_valid(event)));
    assert_eq!(
        of_kind(&events, "rejects_taken").iter().map(|event| event["taken"]["rejected"].as_u64().unwrap()).sum::<u64>(),
        WITHOUT_CUSTOMER
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pipe_that_is_closed_does_not_end_a_run() {
    let planned = Planned::new(Duration::ZERO).await;
    let mut command = planned.program("migrate-run", &["--events", "ndjson"]);
    let mut child = command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let ended = tokio::task::spawn_blocking(move || child.wait_with_output()).await.unwrap().unwrap();
    assert_eq!(ended.status.code(), Some(3), "{}", text(&ended.stderr));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_terminal_there_are_plain_lines() {
    let planned = Planned::new(Duration::from_millis(350)).await;
    let ended = planned.run("migrate-run", &[]).await;
    let log = text(&ended.stderr);
    let lines: Vec<&str> = log.lines().filter(|line| line.starts_with("copying: ")).collect();
    assert!(!lines.is_empty(), "a run of more than ten seconds says how it stands:\n{log}");
    for line in lines {
        assert!(line.contains(" rows, ") && line.contains(" rejected"), "{line}");
    }
    assert_no_controls(&ended);
    // The same with `--quiet` and `--json`: nothing but the report, as one object.
    let ended = planned.run("migrate-run", &["--quiet", "--json", "--fresh", "--tables", "customers"]).await;
    let report: Value = serde_json::from_str(&text(&ended.stdout)).unwrap();
    assert_eq!(report["tables"]["customers"]["source"], 500);
    assert!(!text(&ended.stderr).contains("copying"), "{}", text(&ended.stderr));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_tells_steps_and_requests_on_stderr() {
    let planned = Planned::new(Duration::ZERO).await;
    let report = text(&planned.run("migrate-run", &["--quiet", "--dry-run"]).await.stdout);
    assert!(report.contains("customers"));
    let steps = planned.run("migrate-run", &["--quiet", "--dry-run", "-v"]).await;
    let log = text(&steps.stderr);
    assert!(log.contains("table started") && log.contains("table=orders") && !log.contains("batch committed"), "{log}");
    assert!(!text(&steps.stdout).contains("table started"));
    let requests = planned.run("migrate-run", &["--quiet", "--dry-run", "-vv"]).await;
    let log = text(&requests.stderr);
    for wanted in
        ["page read", "batch committed", "supabase_source::client: request", "action=\"read a page\"", "status=200"]
    {
        assert!(log.contains(wanted), "{wanted}:\n{log}");
    }
    assert!(!log.contains("customer 1") && !log.contains("order 1"), "a row is in the log:\n{log}");
    assert_no_controls(&requests);
}
