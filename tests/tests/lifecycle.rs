//! How the real `migrate-run` is stopped, what keeps it from running, and what it says then. Nothing is lost by any of
//! it: the same command ends as if nothing had happened.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::Duration;

use migrate_tests::convex_bench::{ConvexBench, ConvexBenchOptions, Fault, FaultKind, FaultPlan};
use migrate_tests::project::{self, Profile};
use migrate_tests::torture::trial::REJECTS_LEFT;
use migrate_tests::torture::{Size, Stage, Target, Trial};

const QUIET: &[&str] = &["--quiet"];

async fn stage() -> Stage {
    Stage::open(Size::SMALL, Profile::Own).await.unwrap()
}

async fn trial(stage: &Stage) -> Trial<'_> {
    Trial::new(stage, Target::bench().await.unwrap()).unwrap()
}

fn bench<'a>(trial: &'a Trial<'_>) -> &'a ConvexBench {
    match &trial.target {
        Target::Bench(bench) => bench,
        Target::Local(_) => panic!("this trial writes into convex-bench"),
    }
}

fn every_call(fault: Fault) -> FaultPlan {
    FaultPlan { standing: vec![fault], ..FaultPlan::default() }
}

/// Starts a run and waits until it writes.
async fn writing(trial: &mut Trial<'_>, arguments: &[&str]) -> Child {
    let child = trial.command(arguments).unwrap().spawn().unwrap();
    let checked = |bench: &ConvexBench| bench.calls().iter().any(|call| call.record_count > 0);
    while !checked(bench(trial)) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    child
}

fn signal(child: &Child, name: &str) {
    let status = Command::new("kill").args([name, &child.id().to_string()]).status().unwrap();
    assert!(status.success(), "the run is over already");
}

async fn code(mut child: Child) -> Option<i32> {
    tokio::task::spawn_blocking(move || child.wait()).await.unwrap().unwrap().code()
}

/// Runs to the end, and compares everything with SQL.
async fn finishes(trial: &mut Trial<'_>) {
    let (status, _) = trial.run(QUIET).await.unwrap();
    assert_eq!(status.code(), Some(REJECTS_LEFT), "{}", trial.printed());
    let end = trial.end().await.unwrap();
    assert!(end.differences.is_none() && end.secrets == 0, "{end:?}");
}

async fn refused(trial: &mut Trial<'_>, code: i32, says: &[&str]) {
    let (status, _) = trial.run(QUIET).await.unwrap();
    assert_eq!(status.code(), Some(code), "{}", trial.printed());
    for words in says {
        assert!(trial.printed().contains(words), "`{words}` is not in: {}", trial.printed());
    }
}

fn runs(trial: &Trial<'_>) -> Vec<PathBuf> {
    project::runs(trial.folder()).unwrap()
}

fn state(trial: &Trial<'_>) -> PathBuf {
    runs(trial).pop().unwrap().join("state.sqlite")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_ends_the_run_whatever_it_waits_for() {
    let stage = stage().await;
    let busy = Fault::TooManyRequests429 { retry_after: Some(Duration::from_mins(4)) };
    for (fault, name) in [(Fault::Slow(Duration::from_millis(50)), "-TERM"), (busy, "-INT"), (Fault::Hang, "-TERM")] {
        let mut trial = trial(&stage).await;
        // The checks before a run go well.
        bench(&trial).script((0..6).map(|_| None));
        bench(&trial).add_standing_fault(Fault::Slow(Duration::from_millis(1)));
        let child = writing(&mut trial, QUIET).await;
        bench(&trial).set_faults(every_call(fault.clone()));
        signal(&child, name);
        assert_eq!(code(child).await, Some(5), "{fault:?}: {}", trial.printed());
        for words in ["stopping", "the same command goes on"] {
            assert!(trial.printed().contains(words), "{fault:?}: `{words}` is not in: {}", trial.printed());
        }
        bench(&trial).set_faults(FaultPlan::default());
        finishes(&mut trial).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_signal_ends_the_process_at_once() {
    let stage = stage().await;
    let mut trial = trial(&stage).await;
    bench(&trial).add_standing_fault(Fault::Slow(Duration::from_millis(20)));
    let child = writing(&mut trial, QUIET).await;
    bench(&trial).set_faults(every_call(Fault::Hang));
    while !bench(&trial).injected().contains_key(&FaultKind::Hang) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    signal(&child, "-INT");
    while !trial.printed().contains("stopping") {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    signal(&child, "-INT");
    assert_eq!(code(child).await, Some(5));
    assert!(!trial.printed().contains("the same command goes on"), "it waited: {}", trial.printed());
    bench(&trial).set_faults(FaultPlan::default());
    finishes(&mut trial).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_run_in_the_folder_is_refused_with_the_first_ones_process() {
    let stage = stage().await;
    let mut trial = trial(&stage).await;
    bench(&trial).add_standing_fault(Fault::Slow(Duration::from_millis(100)));
    let child = writing(&mut trial, QUIET).await;
    let process = format!("process: {}", child.id());
    refused(&mut trial, 4, &["another run has open", &process, "wait for it to end"]).await;
    // A new run folder is another one's.
    assert_eq!(runs(&trial).len(), 1);
    signal(&child, "-INT");
    assert_eq!(code(child).await, Some(5));
    bench(&trial).set_faults(FaultPlan::default());
    finishes(&mut trial).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_state_that_cannot_be_used_is_named_and_left_alone() {
    let stage = stage().await;
    let mut trial = trial(&stage).await;
    bench(&trial).add_standing_fault(Fault::Slow(Duration::from_millis(20)));
    let child = writing(&mut trial, QUIET).await;
    signal(&child, "-INT");
    assert_eq!(code(child).await, Some(5));
    bench(&trial).set_faults(FaultPlan::default());
    let path = state(&trial);
    let good = fs::read(&path).unwrap();

    fs::write(&path, "this is no state, but a text that is long enough to be one of its pages").unwrap();
    refused(&mut trial, 4, &["state.sqlite", "corrupt", "--fresh"]).await;
    let mut broken = good.clone();
    broken[100..].fill(0x5a);
    fs::write(&path, &broken).unwrap();
    refused(&mut trial, 4, &["state.sqlite", "corrupt", "--fresh"]).await;
    // SQLite keeps the file's version of the application in bytes 60 to 63.
    let mut newer = good.clone();
    newer[63] = 99;
    fs::write(&path, &newer).unwrap();
    refused(&mut trial, 4, &["version 99", "newer program", "--fresh"]).await;
    assert_eq!(fs::read(&path).unwrap(), newer, "it was changed");

    fs::write(&path, &good).unwrap();
    finishes(&mut trial).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_ends_the_run_and_loses_nothing() {
    let stage = stage().await;
    let mut trial = trial(&stage).await;
    // A limit on the size of files stands in for a disk that is full: the system refuses to write either way.
    let whole = trial.command(QUIET).unwrap();
    let mut limited = Command::new("sh");
    let program = whole.get_program().to_string_lossy().into_owned();
    limited.args(["-c", "trap '' XFSZ; ulimit -f 200; exec \"$0\" --quiet", &program]).current_dir(trial.folder());
    for (name, value) in whole.get_envs() {
        limited.env(name, value.unwrap_or_default());
    }
    let output = tokio::task::spawn_blocking(move || limited.output()).await.unwrap().unwrap();
    let printed = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert_eq!(output.status.code(), Some(4), "{printed}");
    assert!(printed.contains("state.sqlite") && printed.contains("free space"), "{printed}");
    let begun: usize = bench(&trial).document_counts().values().sum();
    assert!(begun > 0, "the disk was full before the first write: {printed}");
    finishes(&mut trial).await;
}

/// An account that owns nothing, for a test that is run by root, to whom no folder is read-only.
const NOBODY: u32 = 65_534;

fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output().unwrap().stdout;
    String::from_utf8_lossy(&id).trim() == "0"
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_only_run_folder_is_named() {
    let stage = stage().await;
    let mut trial = trial(&stage).await;
    set_mode(trial.folder(), 0o755);
    fs::create_dir(trial.folder().join(".migrate")).unwrap();
    set_mode(&trial.folder().join(".migrate"), 0o555);
    let mut command = trial.command(QUIET).unwrap();
    if is_root() {
        // The program may be in a folder that this account cannot enter.
        let copy = trial.folder().join("migrate-run");
        fs::copy(command.get_program(), &copy).unwrap();
        let mut other = Command::new(copy);
        for (name, value) in command.get_envs() {
            other.env(name, value.unwrap_or_default());
        }
        other.args(command.get_args()).current_dir(trial.folder()).uid(NOBODY).gid(NOBODY);
        command = other;
    }
    let output = tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap();
    let printed = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert_eq!(output.status.code(), Some(4), "{printed}");
    assert!(printed.contains(".migrate") && printed.contains("owner and rights"), "{printed}");
    assert!(bench(&trial).document_counts().values().all(|count| *count == 0), "it wrote all the same");
    set_mode(&trial.folder().join(".migrate"), 0o755);
    let _ = fs::remove_file(trial.folder().join("migrate-run"));
    finishes(&mut trial).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn fresh_keeps_the_old_run_and_a_dry_run_has_none() {
    let stage = stage().await;
    let mut trial = trial(&stage).await;
    let (status, _) = trial.run(&["--quiet", "--dry-run"]).await.unwrap();
    assert_eq!(status.code(), Some(REJECTS_LEFT), "{}", trial.printed());
    assert!(
        !trial.folder().join(".migrate").exists() && bench(&trial).document_counts().values().all(|count| *count == 0)
    );
    finishes(&mut trial).await;
    let first = runs(&trial).pop().unwrap();
    let content = |run: &Path| ["report.json", "rejects/orders.jsonl"].map(|file| fs::read(run.join(file)).unwrap());
    let before = content(&first);
    assert_eq!(fs::metadata(&first).unwrap().permissions().mode() & 0o777, 0o700);
    for file in ["rejects/orders.jsonl", "state.sqlite"] {
        assert_eq!(fs::metadata(first.join(file)).unwrap().permissions().mode() & 0o077, 0, "{file} is open to others");
    }
    let (status, _) = trial.run(&["--quiet", "--fresh"]).await.unwrap();
    assert_eq!(status.code(), Some(REJECTS_LEFT));
    assert_eq!((runs(&trial).len(), content(&first)), (2, before));
    let (status, _) = trial.run(&["--quiet", "--dry-run"]).await.unwrap();
    assert_eq!((status.code(), runs(&trial).len()), (Some(REJECTS_LEFT), 2));
    assert!(trial.end().await.unwrap().differences.is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_production_deployment_wants_a_word_or_a_switch() {
    let stage = stage().await;
    let options = ConvexBenchOptions {
        admin_key: "prod:happy-animal-123|0123456789abcdef".to_owned(),
        keep_documents: true,
        ..ConvexBenchOptions::default()
    };
    let bench = ConvexBench::start(options).await.unwrap();
    let mut trial = Trial::new(&stage, Target::Bench(bench)).unwrap();
    refused(&mut trial, 2, &["production deployment", "--yes"]).await;
    assert!(!trial.folder().join(".migrate").exists(), "it began all the same");
    let (status, _) = trial.run(&["--quiet", "--yes"]).await.unwrap();
    assert_eq!(status.code(), Some(REJECTS_LEFT), "{}", trial.printed());
    assert!(trial.end().await.unwrap().differences.is_none());
}
