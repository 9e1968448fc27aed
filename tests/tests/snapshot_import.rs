//! The real `migrate-run` writes a snapshot and has it imported by both stand-ins, which take it by rules of their own:
//! every document is compared with SQL, as on the path of mutations.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::Duration;

use migrate_tests::archive::{Archive, ImportClient};
use migrate_tests::convex_bench::{ConvexBench, ConvexBenchOptions, Fault, ImportOptions};
use migrate_tests::project::Profile;
use migrate_tests::torture::trial::REJECTS_LEFT;
use migrate_tests::torture::{Size, Stage, Target, Trial};
use serde_json::{Value, json};

/// A person whose mentor is rejected has none, as after the second pass of mutations.
const SNAPSHOT: &str = r#"
[convex]
write = "snapshot"

[tables.people.columns.mentor_id]
on_missing = "null"
"#;

const REFUSED: i32 = 4;
const INTERRUPTED: i32 = 5;

async fn stage(size: Size) -> Stage {
    Stage::open_with(size, Profile::Own, SNAPSHOT).await.unwrap()
}

async fn run(trial: &mut Trial<'_>, arguments: &[&str], code: i32) -> String {
    let (status, _) = trial.run(arguments).await.unwrap();
    let printed = trial.printed();
    assert_eq!(status.code(), Some(code), "{arguments:?}: {printed}");
    printed
}

/// Compares every document and reject with SQL.
async fn compare(trial: &Trial<'_>, size: Size) {
    let end = trial.end().await.unwrap();
    assert!(end.differences.is_none() && end.secrets == 0, "{end:?}");
    assert_eq!(end.differences.rows, size.rows());
}

fn bench<'a>(trial: &'a Trial<'_>) -> &'a ConvexBench {
    match &trial.target {
        Target::Bench(bench) => bench,
        Target::Local(_) => panic!("this is convex-local"),
    }
}

fn client(trial: &Trial<'_>) -> ImportClient {
    let (url, key) = trial.target.address();
    ImportClient::new(&url, key)
}

async fn imports(client: &ImportClient) -> Vec<Value> {
    let list = client.query("_system/cli/queryImport:list", json!({})).await;
    list.as_array().unwrap().clone()
}

/// Waits until the newest import is in this state, while `child` runs.
async fn newest_is(client: &ImportClient, child: &mut Child, state: &str) {
    loop {
        if imports(client).await.first().is_some_and(|row| row["state"]["state"] == state) {
            return;
        }
        assert_eq!(child.try_wait().unwrap(), None, "migrate-run ended by itself");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// A run that has read all and waits for somebody else's import.
async fn waits_for_other(trial: &mut Trial<'_>) -> Child {
    let mut child = trial.command(&[]).unwrap().spawn().unwrap();
    while !trial.printed().contains("waiting for another import") {
        assert_eq!(child.try_wait().unwrap(), None, "{}", trial.printed());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    child
}

async fn ended(mut child: Child) -> Option<i32> {
    tokio::task::spawn_blocking(move || child.wait().unwrap().code()).await.unwrap()
}

fn calls_of(bench: &ConvexBench, route: &str) -> usize {
    bench.calls().iter().filter(|call| call.path == route).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_document_comes_through_convex_bench() {
    let stage = stage(Size::FULL).await;
    let mut trial = Trial::new(&stage, Target::bench().await.unwrap()).unwrap();
    run(&mut trial, &["--quiet"], REJECTS_LEFT).await;
    compare(&trial, Size::FULL).await;
    let counters = bench(&trial).counters();
    let documents: usize = bench(&trial).document_counts().values().sum();
    assert_eq!((counters.inserted, counters.imported), (0, u64::try_from(documents).unwrap()));
    assert_eq!(documents + stage.expected().rejected(), usize::try_from(Size::FULL.rows()).unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn every_document_passes_the_schema_of_convex_local() {
    let stage = stage(Size::SMALL).await;
    let mut trial = Trial::new(&stage, Target::local(&stage).await.unwrap()).unwrap();
    run(&mut trial, &["--quiet"], REJECTS_LEFT).await;
    compare(&trial, Size::SMALL).await;
    // Again: refused, and then told to replace what is there.
    let message = run(&mut trial, &["--quiet", "--fresh"], REFUSED).await;
    assert!(message.contains("--import-mode replace"), "{message}");
    run(&mut trial, &["--quiet", "--fresh", "--import-mode", "replace", "--yes"], REJECTS_LEFT).await;
    compare(&trial, Size::SMALL).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backend_before_the_uniform_encoding_gets_the_older_one() {
    let stage = stage(Size::SMALL).await;
    let imports = ImportOptions { knows_uniform: false, ..ImportOptions::default() };
    let target = Target::bench_with(ConvexBenchOptions { imports, ..Default::default() }).await.unwrap();
    let mut trial = Trial::new(&stage, target).unwrap();
    run(&mut trial, &["--quiet"], REJECTS_LEFT).await;
    compare(&trial, Size::SMALL).await;
    assert_eq!(calls_of(bench(&trial), "/api/import/start_upload"), 2);
}

/// Files of the newest run's snapshot with this ending.
fn files(trial: &Trial<'_>, ending: &str) -> Vec<PathBuf> {
    let entries = |folder: &Path| -> Vec<PathBuf> {
        fs::read_dir(folder).into_iter().flatten().map(|entry| entry.unwrap().path()).collect()
    };
    let newest = entries(&trial.folder().join(".migrate")).into_iter().filter(|path| path.is_dir()).max();
    let mut files = newest.map(|run| entries(&run.join("snapshot"))).unwrap_or_default();
    files.retain(|path| path.extension().is_some_and(|found| found == ending));
    files
}

fn seed(bench: &ConvexBench) {
    bench.seed_document("people", json!({ "name": "there before" }).as_object().unwrap().clone());
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_with_documents_are_refused_before_a_row_is_read() {
    let stage = stage(Size::SMALL).await;
    let mut trial = Trial::new(&stage, Target::bench().await.unwrap()).unwrap();
    seed(bench(&trial));
    let message = run(&mut trial, &["--quiet"], REFUSED).await;
    assert!(message.contains("people: 1") && message.contains("--import-mode replace"), "{message}");
    assert!(!trial.folder().join(".migrate").exists(), "a run that cannot begin leaves nothing behind");
    // Tables that are not selected are not asked for; a dry run says what would come, and goes on.
    let message = run(&mut trial, &["--tables", "people", "--dry-run"], REJECTS_LEFT).await;
    assert!(message.contains("a run would be refused") && message.contains("people: 1"), "{message}");
    // A file has nothing to do with what is there.
    run(&mut trial, &["--quiet", "--out", "snapshot.zip"], REJECTS_LEFT).await;
    let message = run(&mut trial, &["--quiet"], REFUSED).await;
    assert!(message.contains("people: 1"), "{message}");
    assert_eq!(calls_of(bench(&trial), "/api/import/start_upload"), 0);
    run(&mut trial, &["--quiet", "--import-mode", "replace", "--yes"], REJECTS_LEFT).await;
    compare(&trial, Size::SMALL).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_may_not_be_counted_is_left_to_the_import() {
    let stage = stage(Size::SMALL).await;
    let mut trial = Trial::new(&stage, Target::bench().await.unwrap()).unwrap();
    seed(bench(&trial));
    bench(&trial).faults_only_on("_system/cli/tableSize");
    // Three tables, before the source is read and before the upload.
    bench(&trial).script(vec![Some(Fault::FunctionMissing); 6]);
    let message = run(&mut trial, &["--quiet"], REFUSED).await;
    assert!(message.contains("--import-mode replace") && !message.contains("people: 1"), "{message}");
    assert_eq!(calls_of(bench(&trial), "/api/import/start_upload"), 1);
    assert_eq!(bench(&trial).injected().values().sum::<u64>(), 6);
}

#[tokio::test(flavor = "multi_thread")]
async fn documents_and_numbers_are_looked_at_again_before_the_upload() {
    let stage = stage(Size::SMALL).await;
    let mut trial = Trial::new(&stage, Target::bench().await.unwrap()).unwrap();
    let foreign = bench(&trial).foreign_import().await;
    let child = waits_for_other(&mut trial).await;
    seed(bench(&trial));
    drop(foreign);
    assert_eq!(ended(child).await, Some(REFUSED), "{}", trial.printed());
    assert!(trial.printed().contains("people: 1"), "{}", trial.printed());
    assert_eq!(bench(&trial).document_counts(), [("orderLines", 0), ("orders", 0), ("people", 1)].map(named).into());

    // Somebody imports these tables with other numbers: the finished archive has ids of the old ones.
    let numbers = [("people", 10_031), ("orders", 10_032), ("orderLines", 10_033)];
    client(&trial).import(Archive::new().numbers(&numbers), "replace").await.unwrap();
    let uploads = calls_of(bench(&trial), "/api/import/start_upload");
    let message = run(&mut trial, &["--quiet"], REFUSED).await;
    assert!(message.contains("people was 10003 and is 10031"), "{message}");
    assert_eq!(calls_of(bench(&trial), "/api/import/start_upload"), uploads, "nothing was sent");
    run(&mut trial, &["--quiet", "--fresh"], REJECTS_LEFT).await;
    compare(&trial, Size::SMALL).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn chunks_go_once_all_tables_are_imported_and_the_archive_stays() {
    let stage = stage(Size::SMALL).await;
    let mut trial = Trial::new(&stage, Target::bench().await.unwrap()).unwrap();
    // Of some tables only: the archive of all is made of these chunks and those to come.
    run(&mut trial, &["--quiet", "--tables", "people"], REJECTS_LEFT).await;
    let chunks = files(&trial, "chunks");
    assert!(chunks.iter().any(|path| fs::metadata(path).unwrap().len() > 0), "{chunks:?}");
    // The same again finds its own import; with other tables beside, another import is needed.
    run(&mut trial, &["--quiet", "--tables", "people"], REJECTS_LEFT).await;
    let message = run(&mut trial, &["--quiet"], REFUSED).await;
    assert!(message.contains("people: "), "{message}");
    run(&mut trial, &["--quiet", "--import-mode", "replace", "--yes"], REJECTS_LEFT).await;
    compare(&trial, Size::SMALL).await;
    assert_eq!((files(&trial, "chunks"), files(&trial, "zip").len()), (Vec::new(), 1));

    // Again: nothing is read or sent, and nothing differs.
    let uploads = calls_of(bench(&trial), "/api/import/start_upload");
    run(&mut trial, &["--quiet", "--import-mode", "replace", "--yes"], REJECTS_LEFT).await;
    compare(&trial, Size::SMALL).await;
    assert_eq!((files(&trial, "chunks"), calls_of(bench(&trial), "/api/import/start_upload")), (Vec::new(), uploads));

    // Without the archive there is nothing to import: an empty one is not made.
    fs::remove_file(&files(&trial, "zip")[0]).unwrap();
    let message = run(&mut trial, &["--quiet", "--import-mode", "replace", "--yes"], REFUSED).await;
    assert!(message.contains("--fresh"), "{message}");
    compare(&trial, Size::SMALL).await;
}

fn named((table, count): (&str, usize)) -> (String, usize) {
    (table.to_owned(), count)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_foreign_import_is_waited_for() {
    let stage = stage(Size::SMALL).await;
    let mut trial = Trial::new(&stage, Target::bench().await.unwrap()).unwrap();
    let foreign = bench(&trial).foreign_import().await;
    let child = waits_for_other(&mut trial).await;
    assert_eq!(calls_of(bench(&trial), "/api/import/start_upload"), 0);
    drop(foreign);
    assert_eq!(ended(child).await, Some(REJECTS_LEFT), "{}", trial.printed());
    compare(&trial, Size::SMALL).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_cancels_the_import_and_a_kill_leaves_it_to_the_next_run() {
    let stage = stage(Size::SMALL).await;
    let mut trial = Trial::new(&stage, Target::bench().await.unwrap()).unwrap();
    let client = client(&trial);
    bench(&trial).hold_imports(true);
    let mut child = trial.command(&["--quiet"]).unwrap().spawn().unwrap();
    newest_is(&client, &mut child, "in_progress").await;
    let interrupt = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(interrupt.success());
    assert_eq!(ended(child).await, Some(INTERRUPTED), "{}", trial.printed());
    let canceled = imports(&client).await;
    assert!(canceled[0]["state"]["error_message"].as_str().unwrap().contains("canceled"), "{canceled:?}");
    assert_eq!(bench(&trial).document_counts().values().sum::<usize>(), 0);

    let mut child = trial.command(&["--quiet"]).unwrap().spawn().unwrap();
    newest_is(&client, &mut child, "in_progress").await;
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(!files(&trial, "chunks").is_empty(), "they stay until the import is done");
    bench(&trial).hold_imports(false);
    run(&mut trial, &["--quiet"], REJECTS_LEFT).await;
    compare(&trial, Size::SMALL).await;
    assert!(files(&trial, "chunks").is_empty());
    assert_eq!(imports(&client).await.len(), 2, "the run after the kill goes on with the import that was begun");
}

#[tokio::test(flavor = "multi_thread")]
async fn faults_that_pass_change_nothing() {
    let stage = stage(Size::SMALL).await;
    for path in [
        "/api/import/start_upload",
        "/api/import/upload_part",
        "/api/import/finish_upload",
        "/api/perform_import",
        "_system/cli/queryImport",
    ] {
        let mut trial = Trial::new(&stage, Target::bench().await.unwrap()).unwrap();
        bench(&trial).faults_only_on(path);
        // Each is met once: those that refuse, and those that lose the answer.
        bench(&trial).script([
            Some(Fault::TooManyRequests429 { retry_after: None }),
            Some(Fault::ResetAfterCommit),
            Some(Fault::Occ503),
            Some(Fault::Internal500AfterCommit),
        ]);
        run(&mut trial, &["--quiet"], REJECTS_LEFT).await;
        compare(&trial, Size::SMALL).await;
        let completed = imports(&client(&trial)).await;
        let completed = completed.iter().filter(|row| row["state"]["state"] == "completed").count();
        assert_eq!(completed, 1, "{path}");
        assert!(bench(&trial).injected().len() > 1, "{path}: {:?}", bench(&trial).injected());
        if path == "/api/import/upload_part" {
            // The refused part was sent again; each of unknown fate cost an upload.
            assert_eq!(calls_of(bench(&trial), "/api/import/start_upload"), 1 + 3);
            assert_eq!(calls_of(bench(&trial), path), 5);
        }
    }
}
