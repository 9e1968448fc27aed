//! The stand-in as a program of its own.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    process::{Command, Stdio},
};

use reqwest::Client;
use serde_json::{Value, json};

fn program() -> Command {
    Command::new(env!("CARGO_BIN_EXE_convex-bench"))
}

#[tokio::test]
async fn it_says_where_it_is_and_ends_with_its_input() {
    let mut seed = tempfile::NamedTempFile::new().unwrap();
    writeln!(seed, "{}", json!({ "table": "workspaces", "fields": { "slug": "acme" } })).unwrap();
    let mut child = program()
        .args([
            "--exit-with-stdin",
            "--admin-key",
            "k|1",
            "--index",
            "by_slug=slug",
            "--script",
            "ok,occ-503",
            "--seed",
        ])
        .arg(seed.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let where_it_is: Value = serde_json::from_str(&line).unwrap();
    assert_eq!(where_it_is["adminKey"], "k|1");

    let client = Client::builder().no_proxy().build().unwrap();
    let url = where_it_is["url"].as_str().unwrap();
    let look_up =
        json!({ "path": "m:lookup", "args": { "table": "workspaces", "index": "by_slug", "keys": [["acme"]] } });
    let mut statuses = Vec::new();
    for _ in 0..2 {
        let request = client.post(format!("{url}/api/query")).header("authorization", "Convex k|1").json(&look_up);
        statuses.push(request.send().await.unwrap().status().as_u16());
    }
    assert_eq!(statuses, [200, 503]);
    let request = client.get(format!("{url}/convex-bench/counters")).header("authorization", "Convex k|1");
    let body: Value = request.send().await.unwrap().json().await.unwrap();
    assert_eq!(body["documents"], json!({ "workspaces": 1 }));
    assert_eq!(body["counters"]["faults"], json!({ "occ-503": 1 }));

    drop(child.stdin.take());
    let output = tokio::task::spawn_blocking(move || child.wait_with_output().unwrap()).await.unwrap();
    assert!(output.status.success());
    assert!(String::from_utf8(output.stderr).unwrap().contains("stand-in"));
}

#[test]
fn it_names_the_flag_that_it_does_not_understand() {
    for (flag, value, complaint) in [
        ("--fault", "explode", "no fault is named `explode`"),
        ("--fault", "occ-503@2", "a probability lies between 0 and 1"),
        ("--script", "ok,slow", "fault `slow` takes milliseconds"),
        ("--index", "by_slug", "expected NAME=FIELD,FIELD"),
    ] {
        let output = program().args([flag, value]).output().unwrap();
        let message = String::from_utf8(output.stderr).unwrap();
        assert!(message.contains(complaint), "{message}");
        assert_eq!(output.status.code(), Some(2));
    }
}
