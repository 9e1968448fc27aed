use std::path::Path;

use migrate_core::plan::Plan;
use migrate_core::reject::Replay;
use migrate_core::state::StateStore as _;
use migrate_core::{Error, ErrorKind, Result, Source as _};
use serde_json::{Value, json};

use super::{World, name};

/// Four children without a parent, and their rejects as a file.
async fn world(folder: &Path) -> (World, Plan) {
    let mut world = World::new();
    world.table("parents", 1, ["id"], &[["p"]]);
    let rows = ["a", "b", "c", "d"].map(|id| [id, "gone", "kept"]);
    world.table("children", 1, ["id", "parent > parents", "note"], &rows);
    let plan = world.plan("").await;
    world.complete(&plan).await;
    write(folder, &lines(&world).await);
    (world, plan)
}

async fn lines(world: &World) -> Vec<Value> {
    let rejects = world.state.rejects(&name("children"), 0, 9).await.unwrap();
    rejects.iter().map(|reject| serde_json::to_value(reject).unwrap()).collect()
}

fn write(folder: &Path, lines: &[Value]) {
    let text: Vec<String> = lines.iter().map(Value::to_string).collect();
    std::fs::write(folder.join("children.jsonl"), text.join("\n")).unwrap();
}

async fn take_up(world: &World, plan: &Plan, folder: &Path) -> Result<Replay> {
    let catalog = world.source.discover().await.unwrap();
    Replay::mended(&*world.state, plan, catalog, |table| folder.join(format!("{table}.jsonl"))).await
}

#[tokio::test]
async fn lines_are_taken_as_they_were_mended_and_deleted_ones_stay() {
    let folder = tempfile::tempdir().unwrap();
    let (world, plan) = world(folder.path()).await;
    let mut mended = lines(&world).await;
    mended[0]["record"]["parent"] = json!("p");
    mended[2]["record"]["note"] = json!("mended");
    mended.remove(1);
    let passed = json!({ "key": "z", "record": {} });
    mended.push(passed);
    write(folder.path(), &mended);
    let replay = take_up(&world, &plan, folder.path()).await.unwrap();
    assert_eq!((replay.taken_up, replay.left, replay.passed), (3, 1, 1));
    world.pipeline(&plan).replay(&replay).await.unwrap();
    assert_eq!(world.documents("children"), ["a note=kept parent=@parents/p"]);
    let left = lines(&world).await;
    let shown: Vec<_> =
        left.iter().map(|line| (line["key"].as_str().unwrap(), line["record"]["note"].as_str())).collect();
    assert_eq!(shown, [("b", Some("kept")), ("c", Some("mended")), ("d", Some("kept"))]);
    // The file as it was after a kill: the line of the row that went through is left alone.
    let replay = take_up(&world, &plan, folder.path()).await.unwrap();
    assert_eq!((replay.taken_up, replay.left, replay.passed), (2, 1, 2));
    // Where all lines are deleted, nothing is taken up; where there is no file, everything.
    write(folder.path(), &[]);
    assert_eq!(take_up(&world, &plan, folder.path()).await.unwrap().taken_up, 0);
    std::fs::remove_file(folder.path().join("children.jsonl")).unwrap();
    assert_eq!(take_up(&world, &plan, folder.path()).await.unwrap().taken_up, 3);
}

#[tokio::test]
async fn a_line_that_cannot_be_read_is_named_and_nothing_changes() {
    let folder = tempfile::tempdir().unwrap();
    let (world, plan) = world(folder.path()).await;
    let good = lines(&world).await;
    let with = |edit: &dyn Fn(&mut Value)| {
        let mut lines = good.clone();
        // One line before it is mended well: it must not be kept either.
        lines[0]["record"]["parent"] = json!("p");
        edit(&mut lines[2]);
        lines
    };
    let cases: Vec<(Vec<Value>, &str, Option<&str>)> = vec![
        (with(&|line| line["record"]["parent"] = json!(7)), "a number where text is due", Some("parent")),
        (
            with(&|line| drop(line["record"].as_object_mut().unwrap().remove("note"))),
            "it is not in the row",
            Some("note"),
        ),
        (with(&|line| line["record"]["nope"] = json!("secret")), "the table has no such column", Some("nope")),
        (with(&|line| line["record"]["id"] = json!("e")), "its key is not the row's any more", Some("id")),
        (with(&|line| line["key"] = json!("a")), "its key is in the file twice", None),
        (with(&|line| *line = json!({ "key": "c", "record": "secret" })), "it has no text `key`", None),
    ];
    for (lines, reason, column) in cases {
        write(folder.path(), &lines);
        refused(&take_up(&world, &plan, folder.path()).await.unwrap_err(), reason, column);
    }
    let text = std::fs::read_to_string(folder.path().join("children.jsonl")).unwrap();
    let broken: Vec<&str> = text.lines().collect();
    let broken = [broken[0], broken[1], "{\"key\": \"secret", broken[3]].join("\n");
    std::fs::write(folder.path().join("children.jsonl"), broken).unwrap();
    let error = take_up(&world, &plan, folder.path()).await.unwrap_err();
    refused(&error, "it is not JSON", None);
    assert_eq!(lines(&world).await, good, "no line was kept");
}

fn refused(error: &Error, reason: &str, column: Option<&str>) {
    let text = error.to_string();
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(text.contains(reason) && text.contains("children.jsonl:3") && !text.contains("secret"), "{text}");
    if let Some(column) = column {
        assert!(text.contains(&format!("column: {column}")), "{text}");
    }
}

#[tokio::test]
async fn rows_without_a_key_are_mended_in_the_file_only() {
    let folder = tempfile::tempdir().unwrap();
    let mut world = World::new();
    world.table("parents", 1, ["id"], &[["p"]]);
    world.table("children", 0, ["parent > parents"], &[["p"], ["gone"]]);
    let plan = world.plan("").await;
    world.complete(&plan).await;
    let catalog = world.source.discover().await.unwrap();
    let error = Replay::refetched(&*world.state, &plan, catalog).await.unwrap_err();
    assert!(error.to_string().contains("no key to find them by"), "{error}");
    let mut mended = lines(&world).await;
    mended[0]["record"]["parent"] = json!("p");
    write(folder.path(), &mended);
    let replay = take_up(&world, &plan, folder.path()).await.unwrap();
    world.pipeline(&plan).replay(&replay).await.unwrap();
    assert_eq!(world.documents("children").len(), 2);
    assert!(lines(&world).await.is_empty());
}
