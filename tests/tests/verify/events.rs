//! `--events ndjson`: a program follows a verification, and learns of no row.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Output;

use migrate_tests::project::{Project, output, repository};
use serde_json::{Value, json};

use super::interrupted::{INTERRUPTED, interrupt, requests_before_pets};
use super::{DIFFERENT, Fields, TAMPER, Tampered, any, folder, project_run, run};

/// Every key and every text has a canary in it. The last pet's owner is nobody: it is rejected.
const SCHEMA: &str = "
create table owners (id text primary key, name text not null);
create table pets (id text primary key, owner_id text not null, name text not null);
insert into owners select 'canary-o-' || n, 'CANARY owner ' || n from generate_series(1, 30) as n;
insert into pets select 'canary-p-' || n, 'canary-o-' || 1 + n % 30, 'CANARY pet ' || n from generate_series(1, 200) as n;
insert into pets values ('canary-p-x', 'canary-o-x', 'CANARY pet x');
";

const CONFIGURATION: &str = "[tables.pets]\ncolumns.owner_id.references = \"owners\"\n";

async fn migrated(folder: &Path) -> Project {
    let mut project = Project::with_tables(folder, vec![SCHEMA.to_owned()], CONFIGURATION).await.unwrap();
    run(&project, "migrate-discover", &[], 0).await;
    run(&project, "migrate-plan", &["--write"], 0).await;
    project.deploy_with(&[TAMPER]).await.unwrap();
    run(&project, "migrate-run", &["--quiet"], 3).await;
    project
}

/// The lines of a verification, which all are of the schema.
fn lines(ended: &Output) -> Vec<Value> {
    let schema = fs::read_to_string(repository().join("jsonschemas/event.schema.json")).unwrap();
    let schema = jsonschema::validator_for(&serde_json::from_str(&schema).unwrap()).unwrap();
    let printed = String::from_utf8(ended.stdout.clone()).unwrap();
    let lines: Vec<Value> = printed.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    for line in &lines {
        assert!(schema.is_valid(line) && line["version"] == 1, "{line}");
    }
    lines
}

async fn followed(project: &Project, arguments: &[&str], code: i32) -> Vec<Value> {
    let arguments = [&["--events", "ndjson", "--quiet"], arguments].concat();
    let ended = output(project.program("migrate-verify", &arguments)).await.unwrap();
    assert_eq!(ended.status.code(), Some(code), "{arguments:?}: {ended:?}");
    lines(&ended)
}

fn of_kind<'a>(lines: &'a [Value], kind: &str) -> Vec<&'a Value> {
    lines.iter().filter(|line| line["event"] == kind).collect()
}

/// Documents and rows of each table, added up over the lines of a kind.
fn sums(lines: &[Value], kind: &str) -> BTreeMap<String, [u64; 2]> {
    let mut sums: BTreeMap<String, [u64; 2]> = BTreeMap::new();
    for line in of_kind(lines, kind) {
        let sum = sums.entry(line["table"].as_str().unwrap().to_owned()).or_default();
        for (sum, name) in sum.iter_mut().zip(["documents", "rows"]) {
            *sum += line[name].as_u64().unwrap();
        }
    }
    sums
}

/// Rows by SQL and documents by the deployment, of each table.
async fn there(project: &Project) -> BTreeMap<String, [u64; 2]> {
    let (client, convex) = (project.supabase.client().await.unwrap(), project.convex.as_ref().unwrap());
    let mut there = BTreeMap::new();
    for table in ["owners", "pets"] {
        let rows: i64 = client.query_one(&format!("select count(*) from {table}"), &[]).await.unwrap().get(0);
        let documents = convex.documents(table).await.unwrap().len();
        there.insert(table.to_owned(), [u64::try_from(documents).unwrap(), u64::try_from(rows).unwrap()]);
    }
    there
}

fn verification(project: &Project) -> Value {
    let file = project_run(project.folder()).join("verify.json");
    serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap()
}

/// The results in the lines are those of verify.json, which the last line leads to.
fn assert_results(project: &Project, lines: &[Value], code: i32) {
    let (kept, last) = (verification(project), lines.last().unwrap());
    assert_eq!(last["event"], "verification_finished");
    assert_eq!((&last["verdict"], &last["exit_code"]), (&kept["verdict"], &json!(code)), "{last}");
    assert_eq!(last["error"], kept.get("error").cloned().unwrap_or_default());
    let file = Path::new(last["verification"].as_str().unwrap());
    let file = fs::read_to_string(project.folder().join(file)).unwrap();
    assert_eq!(serde_json::from_str::<Value>(&file).unwrap(), kept);
    let verified = of_kind(lines, "table_verified");
    for line in &verified {
        let of_table = &kept["tables"][line["table"].as_str().unwrap()];
        for (name, value) in line.as_object().unwrap() {
            if !["version", "time", "event", "table", "differences"].contains(&name.as_str()) {
                assert_eq!(value, &of_table[name], "{name}: {line}");
            }
        }
        // All differences of these tests are few enough to be described.
        assert_eq!(line["differences"], of_table["differences"].as_array().unwrap().len(), "{line}");
    }
    let compared = kept["tables"].as_object().unwrap().values().filter(|table| table["is_compared"] == true);
    assert_eq!(verified.len(), compared.count(), "{lines:#?}");
}

/// No value, no key and no document's id is told.
async fn assert_tells_of_no_row(project: &Project, told: &str) {
    assert!(!told.to_lowercase().contains("canary"), "{told}");
    let convex = project.convex.as_ref().unwrap();
    for table in ["owners", "pets"] {
        for document in convex.documents(table).await.unwrap() {
            assert!(!told.contains(document["_id"].as_str().unwrap()), "{document}: {told}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_lines_add_up_to_the_verification_and_tell_of_no_row() {
    let folder = folder();
    let project = migrated(folder.path()).await;
    let there = there(&project).await;
    let lines = followed(&project, &[], 0).await;
    let plan = fs::read_to_string(folder.path().join("plan.json")).unwrap();
    let plan: Value = serde_json::from_str(&plan).unwrap();
    let first = &lines[0];
    assert_eq!((&first["event"], &first["level"]), (&json!("verification_started"), &json!("full")));
    assert_eq!((&first["tables"], &first["plan_fingerprint"]), (&json!(["owners", "pets"]), &plan["fingerprint"]));
    assert_eq!(sums(&lines, "verification_expected"), there);
    assert_eq!(sums(&lines, "verification_read"), there);
    assert_eq!(of_kind(&lines, "table_read_back").len(), 2);
    assert!(!of_kind(&lines, "page_read").is_empty() && of_kind(&lines, "batch_committed").is_empty());
    assert_results(&project, &lines, 0);
    let times: Vec<&str> = lines.iter().map(|line| line["time"].as_str().unwrap()).collect();
    assert!(times.is_sorted(), "{times:?}");

    // One that differs, and one that is missing.
    let tampered = Tampered::new(&project);
    let (id, mut fields) = tampered.document("pets", any).await;
    fields.insert("name".to_owned(), json!("CANARY of another"));
    tampered.put("pets", Some(&id), &fields).await;
    let (gone, before): (String, Fields) = tampered.document("pets", |document| document["_id"] != id.as_str()).await;
    tampered.remove("pets", &gone).await;
    let lines = followed(&project, &["--show-values"], DIFFERENT).await;
    assert_results(&project, &lines, DIFFERENT);
    assert_eq!(lines.last().unwrap()["verdict"], "different");
    let pets = of_kind(&lines, "table_verified").into_iter().find(|line| line["table"] == "pets").unwrap();
    for (name, count) in [("source", 201), ("rejected", 1), ("same", 198), ("differing", 1), ("missing", 1)] {
        assert_eq!(pets[name], count, "{name}: {pets}");
    }
    assert!(verification(&project).to_string().contains("CANARY of another"));
    let told: Vec<String> = lines.iter().map(Value::to_string).collect();
    assert_tells_of_no_row(&project, &told.concat()).await;
    assert!(!told.concat().contains(&gone), "{gone}");
    let logged = output(project.program("migrate-verify", &["-vv", "--events", "ndjson"])).await.unwrap();
    let log = String::from_utf8(logged.stderr).unwrap();
    assert!(log.contains("table verified") && log.contains("differences=2"), "{log}");
    assert_tells_of_no_row(&project, &log).await;
    tampered.put("pets", None, &before).await;

    // A table that is only referred to is read back, and has no result. Counting has results alone.
    let lines = followed(&project, &["--tables", "pets"], DIFFERENT).await;
    assert_eq!((&lines[0]["tables"], sums(&lines, "verification_read")["owners"]), (&json!(["pets"]), [30, 0]));
    assert_results(&project, &lines, DIFFERENT);
    let lines = followed(&project, &["--level", "counts"], DIFFERENT).await;
    assert_eq!((&lines[0]["level"], of_kind(&lines, "table_verified").len()), (&json!("counts"), 2));
    assert_results(&project, &lines, DIFFERENT);

    // What cannot begin has no line, and leaves the last verification as it is; stdout is one reader's.
    let kept = verification(&project);
    assert_eq!(followed(&project, &["--tables", "nobody"], 4).await, Vec::<Value>::new());
    assert_eq!(verification(&project), kept);
    run(&project, "migrate-verify", &["--events", "ndjson", "--json"], 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupted_verification_ends_with_its_line() {
    let folder = folder();
    let project = migrated(folder.path()).await;
    let before = requests_before_pets(&project).await;
    let verify = || project.program("migrate-verify", &["--events", "ndjson"]);
    let ended = interrupt(&project, verify(), "-INT", ("/rest/v1/pets", before)).await;
    assert_eq!(ended.status.code(), Some(INTERRUPTED), "{ended:?}");
    let lines = lines(&ended);
    assert_results(&project, &lines, INTERRUPTED);
    assert_eq!(lines.last().unwrap()["verdict"], "interrupted");
    let verified: Vec<&Value> = of_kind(&lines, "table_verified").iter().map(|line| &line["table"]).collect();
    assert_eq!(verified, ["owners"]);

    // What goes on tells first what was there.
    let lines = followed(&project, &[], 0).await;
    assert_eq!((&lines[1]["event"], &lines[1]["table"]), (&json!("table_verified"), &json!("owners")), "{lines:#?}");
    assert_eq!(sums(&lines, "verification_read"), [("pets".to_owned(), [0, 201])].into());
    assert_results(&project, &lines, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_stopped_before_it_began_says_that_nothing_is_done() {
    let folder = folder();
    let project = migrated(folder.path()).await;
    let kept = fs::read_dir(folder.path().join(".migrate")).unwrap().count();
    for (program, arguments, told) in [
        ("migrate-verify", ["--events", "ndjson"].as_slice(), "stopped: nothing was compared yet\n"),
        ("migrate", &["verify", "--quiet"], "stopped: nothing was compared yet\n"),
        ("migrate-run", &["--fresh", "--events", "ndjson"], "stopped: nothing was written yet\n"),
        ("migrate-replay", &[], "stopped: nothing was written yet\n"),
    ] {
        for signal in ["-INT", "-TERM"] {
            let command = project.program(program, arguments);
            let ended = interrupt(&project, command, signal, ("/rest/v1/", 0)).await;
            let said = String::from_utf8_lossy(&ended.stderr);
            assert_eq!((ended.status.code(), ended.stdout.len()), (Some(INTERRUPTED), 0), "{program} {signal}: {said}");
            assert!(said.ends_with(told) && !said.contains("goes on"), "{program} {signal}: {said}");
        }
    }
    assert!(!project_run(folder.path()).join("verify.json").exists());
    assert_eq!(fs::read_dir(folder.path().join(".migrate")).unwrap().count(), kept, "no run folder is made");
}
