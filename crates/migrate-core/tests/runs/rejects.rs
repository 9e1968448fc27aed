use migrate_core::ErrorKind;
use migrate_core::plan::Plan;
use migrate_core::report::Outcome;
use migrate_core::state::StateStore as _;

use super::{World, name};

/// Ten children, of which every second one has no parent. A batch has one that has, with the reject before it.
async fn world() -> (World, Plan) {
    let mut world = World::new();
    world.table("parents", 1, ["id"], &[["p"]]);
    let rows: Vec<[&str; 2]> = ["c0", "c1", "c2", "c3", "c4", "c5", "c6", "c7", "c8", "c9"]
        .into_iter()
        .zip(["p", "gone"].into_iter().cycle())
        .map(|(id, parent)| [id, parent])
        .collect();
    world.table("children", 1, ["id", "parent > parents"], &rows);
    let mut plan = world.plan("").await;
    plan.run.batch_records = 1;
    plan.run.in_flight = 1;
    (world, plan)
}

#[tokio::test]
async fn a_run_stops_at_the_reject_over_its_limit_and_keeps_what_it_has() {
    let (world, plan) = world().await;
    let (result, report) = world.run(&plan, |pipeline| pipeline.max_rejects(2)).await;
    let error = result.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TooManyRejects);
    assert_eq!(error.message(), "go on: 3 rows are rejected, 2 are allowed");
    assert_eq!(report.outcome, Outcome::Failed);
    let children = &report.tables["children"];
    assert_eq!((children.source, children.migrated, children.rejected), (7, 4, 3));
    assert_eq!(world.documents("children").len(), 4);
    assert_eq!(world.rejects("children").await.len(), 3);

    // The same limit stops the next run before it reads: rejects of earlier runs count.
    let pages = world.faults.count("read_page");
    let (result, _) = world.run(&plan, |pipeline| pipeline.max_rejects(2)).await;
    assert_eq!(result.unwrap_err().kind(), ErrorKind::TooManyRejects);
    assert_eq!(world.documents("children").len(), 4);
    assert_eq!(world.faults.count("read_page"), pages);

    let (result, report) = world.run(&plan, |pipeline| pipeline.max_rejects(5)).await;
    result.unwrap();
    assert_eq!(report.outcome, Outcome::CompleteWithFindings);
    let children = &report.tables["children"];
    assert_eq!((children.source, children.migrated, children.rejected), (10, 5, 5));
    assert_eq!((children.this_run.read, children.this_run.rejected), (3, 2));
    assert_eq!(world.documents("children").len(), 5);
    let rejects = world.state.rejects(&name("children"), 0, 100).await.unwrap();
    let keys: Vec<&str> = rejects.iter().map(|reject| reject.key.as_str()).collect();
    assert_eq!(keys, ["c1", "c3", "c5", "c7", "c9"]);
    assert_eq!(rejects[0].record, serde_json::json!({ "id": "c1", "parent": "gone" }), "the row as it was read");
}

#[tokio::test]
async fn no_reject_at_all_may_be_allowed() {
    let (world, plan) = world().await;
    let (result, report) = world.run(&plan, |pipeline| pipeline.max_rejects(0)).await;
    assert_eq!(result.unwrap_err().kind(), ErrorKind::TooManyRejects);
    assert_eq!((report.totals.migrated, report.totals.rejected), (3, 1));
    let mut world = World::new();
    world.table("parents", 1, ["id"], &[["p"]]);
    let plan = world.plan("").await;
    let (result, _) = world.run(&plan, |pipeline| pipeline.max_rejects(0)).await;
    result.unwrap();
}

#[tokio::test]
async fn the_plan_has_a_limit_of_its_own() {
    let (world, mut plan) = world().await;
    plan.run.max_rejects = Some(4);
    let (result, report) = world.run(&plan, |pipeline| pipeline).await;
    assert_eq!(result.unwrap_err().message(), "go on: 5 rows are rejected, 4 are allowed");
    assert_eq!(report.totals.rejected, 5);
    let (world, _) = self::world().await;
    let (result, _) = world.run(&plan, |pipeline| pipeline.max_rejects(5)).await;
    result.unwrap();
}

#[tokio::test]
async fn rejects_of_all_tables_count_together() {
    let mut world = World::new();
    world.table("parents", 1, ["id"], &[["p"]]);
    for table in ["left", "right"] {
        world.table(table, 1, ["id", "parent > parents"], &[["a", "gone"], ["b", "gone"]]);
    }
    let plan = world.plan("").await;
    let (result, _) = world.run(&plan, |pipeline| pipeline.max_rejects(3)).await;
    assert_eq!(result.unwrap_err().message(), "go on: 4 rows are rejected, 3 are allowed");
}
