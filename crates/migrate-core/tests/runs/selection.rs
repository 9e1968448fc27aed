use migrate_core::ErrorKind;
use migrate_core::names::TableName;
use migrate_core::observe::TableStatus;
use migrate_core::plan::Plan;
use migrate_core::report::{Outcome, Report};
use migrate_core::state::StateStore as _;
use migrate_core::testing::When;
use migrate_core::{Error, Result};

use super::{World, name};

/// Two parents and three children of theirs, each of which has a child of its own.
fn family() -> World {
    let mut world = World::new();
    world.table("parents", 1, ["id"], &[["p1"], ["p2"]]);
    world.table("children", 1, ["id", "parent > parents"], &[["c1", "p2"], ["c2", "p1"], ["c3", "p2"]]);
    world.table("toys", 1, ["id", "owner > children"], &[["t1", "c3"]]);
    world
}

async fn run(world: &World, plan: &Plan, tables: &[&str]) -> (Result<()>, Report) {
    let tables: Vec<TableName> = tables.iter().map(|table| name(table)).collect();
    world.run(plan, |pipeline| pipeline.tables(tables)).await
}

fn assert_refused(result: Result<()>, child: &str, remedy: &str) {
    let error = result.unwrap_err();
    assert_eq!((error.kind(), error.message()), (ErrorKind::Config, &*format!("run {child} without its parent")));
    assert_eq!(error.remedy().unwrap(), format!("add it to the selection: --tables {remedy}"));
}

#[tokio::test]
async fn a_child_without_its_parent_is_refused_and_nothing_is_written() {
    let world = family();
    let plan = world.plan("").await;
    let (result, report) = run(&world, &plan, &["children"]).await;
    assert_refused(result, "children", "parents,children");
    // A grandparent is not enough.
    let (result, _) = run(&world, &plan, &["parents", "toys"]).await;
    assert_refused(result, "toys", "children,toys");
    assert_eq!((world.faults.count("write_batch"), world.faults.count("read_page")), (0, 0));
    assert_eq!((report.outcome, report.totals.source), (Outcome::Failed, 0));
}

#[tokio::test]
async fn a_child_may_follow_a_parent_that_an_earlier_run_copied() {
    let world = family();
    let plan = world.plan("").await;
    let (result, report) = run(&world, &plan, &["parents"]).await;
    result.unwrap();
    let status = |report: &Report, table: &str| (report.tables[table].status, report.tables[table].source);
    assert_eq!(report.outcome, Outcome::Complete);
    assert_eq!(status(&report, "parents"), (TableStatus::Complete, 2));
    assert_eq!(status(&report, "children"), (TableStatus::NotSelected, 0));
    assert_eq!(world.documents("children"), [""; 0]);

    let (result, report) = run(&world, &plan, &["children"]).await;
    result.unwrap();
    assert_eq!(status(&report, "parents"), (TableStatus::NotSelected, 2), "earlier runs still count");
    assert_eq!(status(&report, "children"), (TableStatus::Complete, 3));
    assert_eq!(
        world.documents("children"),
        ["c1 parent=@parents/p2", "c2 parent=@parents/p1", "c3 parent=@parents/p2"]
    );
    assert_eq!(world.documents("toys"), [""; 0]);

    let report = world.complete(&plan).await;
    assert_eq!((report.totals.migrated, report.tables["parents"].this_run.read), (6, 0));
    assert_eq!(world.documents("toys"), ["t1 owner=@children/c3"]);
}

#[tokio::test]
async fn a_parent_that_was_copied_in_part_is_not_enough() {
    let world = family();
    let mut plan = world.plan("").await;
    plan.run.batch_records = 1;
    world.faults.fail("write_batch", 2, When::Before, || Error::new(ErrorKind::Protocol, "understand the answer"));
    let (result, _) = run(&world, &plan, &["parents"]).await;
    assert_eq!(result.unwrap_err().kind(), ErrorKind::Protocol);
    assert_eq!(world.documents("parents"), ["p1"]);
    let (result, _) = run(&world, &plan, &["children"]).await;
    assert_refused(result, "children", "parents,children");
    assert_eq!(world.state.partitions(&name("children")).await.unwrap(), []);
    let (result, _) = run(&world, &plan, &["parents", "children"]).await;
    result.unwrap();
    assert_eq!(world.documents("children").len(), 3);
}

#[tokio::test]
async fn tables_of_a_cycle_are_run_together() {
    let mut world = World::new();
    world.table("articles", 1, ["id", "author > people"], &[["a1", "x"]]);
    world.table("people", 1, ["id", "best > articles"], &[["x", "a1"]]);
    let plan = world.plan("").await;
    let (result, _) = run(&world, &plan, &["articles"]).await;
    assert_refused(result, "articles", "people,articles");
    let (result, _) = run(&world, &plan, &["people"]).await;
    assert_refused(result, "people", "articles,people");
    let (result, _) = run(&world, &plan, &["people", "articles"]).await;
    result.unwrap();
    assert_eq!(world.documents("articles"), ["a1 author=@people/x"]);
    assert_eq!(world.documents("people"), ["x best=@articles/a1"]);
}

#[tokio::test]
async fn a_table_that_refers_to_itself_needs_no_other() {
    let mut world = World::new();
    world.table("nodes", 1, ["id", "next > nodes"], &[["a", "b"], ["b", "a"]]);
    world.table("others", 1, ["id"], &[["o"]]);
    let plan = world.plan("").await;
    run(&world, &plan, &["nodes"]).await.0.unwrap();
    assert_eq!(world.documents("nodes"), ["a next=@nodes/b", "b next=@nodes/a"]);
    assert_eq!(world.documents("others"), [""; 0]);
}

#[tokio::test]
async fn a_table_that_the_plan_does_not_know_is_refused() {
    let world = family();
    let plan = world.plan("exclude = [\"toys\"]").await;
    let check = world.pipeline(&plan).tables([name("parents"), name("toys")]).check().await;
    let error = check.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    assert_eq!(
        error.to_string(),
        "select a table that is not in the plan (table: toys); the plan's tables: parents, children"
    );
    world.pipeline(&plan).tables([name("parents")]).check().await.unwrap();
}
