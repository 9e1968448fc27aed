use migrate_core::names::TableName;
use migrate_core::source::KeyRange;
use migrate_core::state::{Checkpoint, Commit, PartitionId, Progress, StateStore as _};
use migrate_core::{ErrorKind, Source as _};

use super::{World, name};

/// A table of so many rows, and how it is read.
fn rows(count: usize) -> World {
    let mut world = World::new();
    let keys: Vec<String> = (0..count).map(|row| format!("{row:05}")).collect();
    let rows: Vec<[&str; 1]> = keys.iter().map(|key| [key.as_str()]).collect();
    world.table("rows", 1, ["id"], &rows);
    world
}

async fn checkpoints(world: &World, table: &TableName) -> Vec<(KeyRange, Checkpoint)> {
    let partitions = world.state.partitions(table).await.unwrap();
    partitions.into_iter().map(|(partition, checkpoint)| (partition.range, checkpoint)).collect()
}

#[tokio::test]
async fn each_partition_has_a_checkpoint_of_its_own() {
    let world = rows(1000);
    let plan = world.plan("[run]\npartitions = 4").await;
    let report = world.complete(&plan).await;
    assert_eq!((report.totals.source, report.totals.migrated), (1000, 1000));
    let checkpoints = checkpoints(&world, &name("rows")).await;
    let read: Vec<u64> = checkpoints.iter().map(|(_, checkpoint)| checkpoint.totals.read).collect();
    assert_eq!(read, [250; 4]);
    assert!(checkpoints.iter().all(|(_, checkpoint)| checkpoint.progress == Progress::Done));
    assert_eq!(world.documents("rows").len(), 1000);
    let again = world.complete(&plan).await;
    assert_eq!((again.totals.source, world.documents("rows").len()), (1000, 1000));
}

/// A run may end between any two commits of partitions that are only placed.
#[tokio::test]
async fn partitions_that_were_not_placed_yet_are_read_by_the_next_run() {
    for placed in 0..4 {
        let world = rows(1000);
        let plan = world.plan("[run]\npartitions = 4").await;
        let table = name("rows");
        let ranges = world.source.partitions(&table, &["id".into()], 4).await.unwrap();
        for range in ranges.into_iter().take(placed) {
            let partition = PartitionId { table: table.clone(), range };
            world.state.commit(Commit::place(&partition, &Checkpoint::default())).await.unwrap();
        }
        let report = world.complete(&plan).await;
        assert_eq!((report.totals.source, report.totals.migrated), (1000, 1000), "{placed} were placed");
        assert_eq!(checkpoints(&world, &table).await.len(), if placed == 0 { 4 } else { placed + 1 });
    }
}

#[tokio::test]
async fn a_continuation_keeps_the_partitions_that_it_was_begun_with() {
    let world = rows(1000);
    let mut plan = world.plan("[run]\npartitions = 4\nbatch_records = 50").await;
    world.faults.fail("write_batch", 7, migrate_core::testing::When::Before, || {
        migrate_core::Error::new(ErrorKind::Protocol, "understand the answer")
    });
    let (result, report) = world.run(&plan, |pipeline| pipeline).await;
    assert_eq!(result.unwrap_err().kind(), ErrorKind::Protocol, "not the interruption that it led to");
    assert!(report.totals.source < 1000);
    plan.run.partitions = Some(2);
    let report = world.complete(&plan).await;
    assert_eq!((report.totals.source, report.totals.migrated), (1000, 1000));
    assert_eq!(checkpoints(&world, &name("rows")).await.len(), 4);
}

#[tokio::test]
async fn partitions_that_do_not_fit_together_are_refused() {
    let world = rows(10);
    let plan = world.plan("").await;
    let range = KeyRange { lower: Some("00005".into()), upper: None };
    let partition = PartitionId { table: name("rows"), range };
    world.state.commit(Commit::place(&partition, &Checkpoint::default())).await.unwrap();
    let (result, _) = world.run(&plan, |pipeline| pipeline).await;
    assert_eq!(result.unwrap_err().kind(), ErrorKind::State);
}
