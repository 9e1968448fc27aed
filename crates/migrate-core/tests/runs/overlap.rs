use std::time::Duration;

use migrate_core::plan::Plan;

use super::World;

const READ: Duration = Duration::from_secs(1);
const WRITE: Duration = Duration::from_secs(4);
const TABLES: [&str; 4] = ["a", "b", "c", "d"];

/// Tables of so many pages of 100 rows, on two slow sides.
fn slow(tables: &[&str], pages: usize) -> World {
    let mut world = World::new();
    for table in tables {
        let keys: Vec<String> = (0..pages * 100).map(|row| format!("{row:05}")).collect();
        let rows: Vec<[&str; 1]> = keys.iter().map(|key| [key.as_str()]).collect();
        world.table(table, 1, ["id"], &rows);
    }
    world.faults.delay("read_page", READ);
    world.faults.delay("write_batch", WRITE);
    world
}

/// Seconds of a whole run, by the paused clock.
async fn seconds(world: &World, plan: &Plan) -> u64 {
    let started = tokio::time::Instant::now();
    world.complete(plan).await;
    started.elapsed().as_secs()
}

/// Eight pages and the empty one take 9 s to read, and eight batches 32 s to write, one after the other.
#[tokio::test(start_paused = true)]
async fn reading_and_writing_overlap_and_several_batches_are_on_the_way() {
    let world = slow(&["rows"], 8);
    let mut plan = world.plan("[run]\nbatch_records = 100").await;
    assert_eq!(plan.run.in_flight, 4, "the default");
    // The last batch waits for its page, and is written in 4 s.
    let four = seconds(&world, &plan).await;
    assert!((13..=14).contains(&four), "{four} s");
    plan.run.in_flight = 1;
    let world = slow(&["rows"], 8);
    let one = seconds(&world, &plan).await;
    assert!((33..=35).contains(&one), "reading still overlaps: {one} s");
}

/// Each of four tables takes 1 s for its page, 1 s for the empty one, and 4 s to be written meanwhile.
#[tokio::test(start_paused = true)]
async fn tables_of_one_level_run_side_by_side() {
    let world = slow(&TABLES, 1);
    let mut plan = world.plan("").await;
    let together = seconds(&world, &plan).await;
    assert!((5..=6).contains(&together), "{together} s");
    plan.run.tables_in_parallel = 1;
    let world = slow(&TABLES, 1);
    let alone = seconds(&world, &plan).await;
    assert!(alone >= 20, "{alone} s");
}

/// Eight pages in four parts: 2 s until each part has its first batch, and 8 s for eight batches, four of them at once.
#[tokio::test(start_paused = true)]
async fn partitions_of_a_table_are_read_side_by_side() {
    let world = slow(&["rows"], 8);
    let mut plan = world.plan("[run]\nbatch_records = 100\npartitions = 4").await;
    let together = seconds(&world, &plan).await;
    assert!((10..=11).contains(&together), "{together} s");
    plan.run.tables_in_parallel = 1;
    let world = slow(&["rows"], 8);
    let alone = seconds(&world, &plan).await;
    assert!(alone >= 24, "one part after the other: {alone} s");
}
