use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use migrate_core::names::{KeySpace, SinkId, SourceKey, TableName};
use migrate_core::plan::Plan;
use migrate_core::reject::{Reject, Replay};
use migrate_core::report::{Outcome, Report, ReportBuilder, RunCounts, TableReport};
use migrate_core::state::{BoundPlan, Checkpoint, Commit, PartitionId, SqliteState, StateStore};
use migrate_core::testing::When;
use migrate_core::{Error, ErrorKind, Pipeline, Result, Source as _};

use super::{NULL, World, name};

/// Families, people of them with a link in a cycle, and what people own. `mended` says whether the parents of all are
/// there.
fn world(mended: bool) -> World {
    let mut world = World::new();
    fill(&mut world, mended);
    world
}

fn fill(world: &mut World, mended: bool) {
    let family = |late: &'static str| if mended { late } else { "gone" };
    world.table("families", 1, ["id", "note"], &[["f1", "n"], ["f2", "n"]]);
    let people = [
        ["p1", "f1", "p2", NULL],
        ["p2", family("f2"), "p3", "p1"],
        ["p3", family("f1"), NULL, NULL],
        ["p4", "f2", "p2", "p1"],
        ["p5", "f2", "p4", NULL],
    ];
    world.table("people", 1, ["id", "family > families", "friend > people", "twin > people"], &people);
    world.table("things", 1, ["id", "owner > people"], &[["t1", "p1"], ["t2", "p2"], ["t3", "p3"], ["t4", "p2"]]);
}

/// Batches of one, so that there are many commits to fail at.
async fn plan_of(world: &World) -> Plan {
    let mut plan = world.plan("").await;
    plan.run.batch_records = 1;
    plan.run.page_rows = 2;
    plan
}

/// What must not depend on how a row came through: all but times and the last run's own counts.
fn lasting(report: &Report) -> BTreeMap<String, TableReport> {
    let of_table = |(name, table): (&String, &TableReport)| {
        let this_run = RunCounts::default();
        let table = TableReport { this_run, retries: 0, seconds: 0.0, rows_per_second: 0.0, ..table.clone() };
        (name.clone(), table)
    };
    report.tables.iter().map(of_table).collect()
}

fn documents(world: &World) -> Vec<Vec<String>> {
    ["families", "people", "things"].map(|table| world.documents(table)).into()
}

/// Replays on `state`, and reports on it. What must hold of every report holds of this one, too.
async fn replay_on(
    world: &World,
    plan: &Plan,
    state: Arc<dyn StateStore>,
    refetch: bool,
    set_up: impl FnOnce(Pipeline) -> Pipeline,
) -> (Result<()>, Report) {
    let catalog = world.source.discover().await.unwrap();
    let replay = if refetch {
        Replay::refetched(&*state, plan, catalog).await
    } else {
        Replay::mended(&*state, plan, catalog, |_| PathBuf::from("no such file")).await
    };
    let builder = Arc::new(ReportBuilder::start("test", plan, false));
    let result = match replay {
        Ok(replay) => {
            let pipeline = Pipeline::new(plan.clone(), world.source.clone(), world.sink.clone(), state);
            set_up(pipeline).observer(builder.clone()).replay(&replay).await
        }
        Err(error) => Err(error),
    };
    let report = builder.report(result.as_ref().err());
    report.check().unwrap();
    (result, report)
}

async fn refetch(world: &World, plan: &Plan) -> Report {
    let (result, report) = replay_on(world, plan, world.state.clone(), true, |pipeline| pipeline).await;
    result.unwrap();
    report
}

/// What an undisturbed run on mended rows makes.
async fn undisturbed() -> (Vec<Vec<String>>, BTreeMap<String, TableReport>) {
    let world = world(true);
    let report = world.complete(&plan_of(&world).await).await;
    assert_eq!(report.outcome, Outcome::Complete);
    (documents(&world), lasting(&report))
}

#[tokio::test]
async fn mended_rows_go_through_with_their_children_and_links_as_if_they_had_at_first() {
    let mut world = world(false);
    let plan = plan_of(&world).await;
    assert_eq!(plan.tables.iter().flat_map(migrate_core::plan::PlanTable::cut_fields).count(), 2);
    let report = world.complete(&plan).await;
    let people = &report.tables["people"];
    assert_eq!((people.migrated, people.rejected, people.linked, people.unlinked), (3, 2, 2, 2));
    assert_eq!(report.tables["things"].rejected, 3);
    let rejected = world.rejects("people").await;
    assert_eq!(
        rejected[..2],
        [
            "p2 reference_missing family: family: families gone is not in the sink",
            "p3 reference_missing family: family: families gone is not in the sink",
        ]
    );
    assert!(rejected[2].starts_with("p1 reference_unlinked: ") && rejected[3].starts_with("p4 reference_unlinked: "));

    // Nothing is mended yet: nothing changes.
    let again = refetch(&world, &plan).await;
    assert_eq!((lasting(&again), again.outcome), (lasting(&report), Outcome::CompleteWithFindings));
    assert_eq!(world.rejects("people").await, rejected);

    fill(&mut world, true);
    let report = refetch(&world, &plan).await;
    let (documents_of_it, lasting_of_it) = undisturbed().await;
    assert_eq!(documents(&world), documents_of_it);
    assert_eq!((lasting(&report), report.outcome), (lasting_of_it, Outcome::Complete));
    assert_eq!(report.tables["people"].this_run, RunCounts { read: 2, inserted: 2, ..RunCounts::default() });
    for table in ["people", "things"] {
        assert_eq!(world.rejects(table).await.len(), 0, "{table}");
    }
    // A run on the state finds nothing to do, and reports the same.
    let report = world.complete(&plan).await;
    assert_eq!(lasting(&report), undisturbed().await.1);
}

/// A state of which one commit fails, before it is durable or after.
#[derive(Debug)]
struct Breaking {
    inner: Arc<dyn StateStore>,
    left: AtomicUsize,
    when: When,
}

#[async_trait]
impl StateStore for Breaking {
    async fn bind(&self, fingerprint: &str) -> Result<()> {
        self.inner.bind(fingerprint).await
    }

    async fn bound(&self) -> Result<Option<BoundPlan>> {
        self.inner.bound().await
    }

    async fn rebind(&self, plan: &BoundPlan) -> Result<()> {
        self.inner.rebind(plan).await
    }

    async fn partitions(&self, table: &TableName) -> Result<Vec<(PartitionId, Checkpoint)>> {
        self.inner.partitions(table).await
    }

    async fn load(&self, partition: &PartitionId) -> Result<Option<Checkpoint>> {
        self.inner.load(partition).await
    }

    async fn commit(&self, commit: Commit<'_>) -> Result<()> {
        let breaks = self.left.fetch_sub(1, Ordering::Relaxed) == 1;
        if !(breaks && self.when == When::Before) {
            self.inner.commit(commit).await?;
        }
        if breaks { Err(Error::new(ErrorKind::Io, "commit")) } else { Ok(()) }
    }

    async fn ids(&self, table: &KeySpace, keys: &[SourceKey]) -> Result<Vec<Option<SinkId>>> {
        self.inner.ids(table, keys).await
    }

    async fn adopt(&self, table: &KeySpace, ids: &[(SourceKey, SinkId)]) -> Result<()> {
        self.inner.adopt(table, ids).await
    }

    async fn rejected(&self, table: &TableName, keys: &[SourceKey]) -> Result<Vec<Option<Reject>>> {
        self.inner.rejected(table, keys).await
    }

    async fn rejects(&self, table: &TableName, after: u64, limit: usize) -> Result<Vec<Reject>> {
        self.inner.rejects(table, after, limit).await
    }
}

#[tokio::test]
async fn a_replay_that_ends_at_any_commit_is_finished_by_the_next() {
    let (documents_of_it, lasting_of_it) = undisturbed().await;
    let mut ends = 0;
    for when in [When::Before, When::After] {
        for at in 1.. {
            let mut world = world(false);
            let plan = plan_of(&world).await;
            world.complete(&plan).await;
            fill(&mut world, true);
            let inner = world.state.clone();
            let state = Arc::new(Breaking { inner, left: AtomicUsize::new(at), when });
            let (result, _) = replay_on(&world, &plan, state, true, |pipeline| pipeline).await;
            let ended = result.is_err();
            // However it ended, what is durable balances: a run on the state, which has nothing to read, says so.
            let (_, report) = world.run(&plan, |pipeline| pipeline).await;
            let open: u64 = report.tables.values().map(|table| table.rejected + table.unlinked).sum();
            assert_eq!(open > 0, report.outcome == Outcome::CompleteWithFindings, "{at} {when:?}");
            let report = refetch(&world, &plan).await;
            assert_eq!(documents(&world), documents_of_it, "{at} {when:?}");
            let effects_aside = |tables: BTreeMap<String, TableReport>| -> BTreeMap<String, TableReport> {
                // A row that was written and not committed is found unchanged.
                let one = |(name, table): (String, TableReport)| {
                    let written = table.inserted + table.updated + table.unchanged;
                    (name, TableReport { inserted: written, updated: 0, unchanged: 0, ..table })
                };
                tables.into_iter().map(one).collect()
            };
            assert_eq!(effects_aside(lasting(&report)), effects_aside(lasting_of_it.clone()), "{at} {when:?}");
            if !ended {
                break;
            }
            ends += 1;
        }
    }
    assert!(ends > 12, "{ends}");
}

#[tokio::test]
async fn a_replay_that_fails_at_any_call_is_finished_by_the_next() {
    let (documents_of_it, _) = undisturbed().await;
    for operation in ["write_batch", "fetch", "count", "finish"] {
        for when in [When::Before, When::After] {
            for at in 1.. {
                let mut world = world(false);
                let plan = plan_of(&world).await;
                world.complete(&plan).await;
                fill(&mut world, true);
                let call = world.faults.count(operation) + at;
                world.faults.fail(operation, call, when, || Error::new(ErrorKind::Unavailable, "answer"));
                let (result, _) = replay_on(&world, &plan, world.state.clone(), true, |pipeline| pipeline).await;
                if result.is_ok() {
                    assert!(at > 1, "{operation} is called");
                    break;
                }
                let report = refetch(&world, &plan).await;
                assert_eq!(documents(&world), documents_of_it, "{operation} {at} {when:?}");
                assert_eq!(report.outcome, Outcome::Complete, "{operation} {at} {when:?}");
            }
        }
    }
}

#[tokio::test]
async fn the_state_in_a_file_does_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let state: Arc<dyn StateStore> = Arc::new(SqliteState::open(&folder.path().join("state.sqlite")).unwrap());
    let mut world = world(false);
    let plan = plan_of(&world).await;
    Pipeline::new(plan.clone(), world.source.clone(), world.sink.clone(), state.clone()).run().await.unwrap();
    let before: Vec<SourceKey> =
        state.rejects(&name("people"), 0, 9).await.unwrap().into_iter().map(|reject| reject.key).collect();
    replay_on(&world, &plan, state.clone(), true, |pipeline| pipeline).await.0.unwrap();
    let after = state.rejects(&name("people"), 0, 9).await.unwrap().into_iter().map(|reject| reject.key);
    assert_eq!(after.collect::<Vec<_>>(), before, "rows that stay keep their place on the list");
    fill(&mut world, true);
    let (result, report) = replay_on(&world, &plan, state.clone(), true, |pipeline| pipeline).await;
    result.unwrap();
    let (documents_of_it, lasting_of_it) = undisturbed().await;
    assert_eq!((documents(&world), lasting(&report)), (documents_of_it, lasting_of_it));
    assert!(state.rejects(&name("people"), 0, 9).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_row_that_is_gone_from_the_source_leaves_the_list_and_the_counts() {
    let mut world = World::new();
    world.table("families", 1, ["id"], &[["f1"]]);
    world.table("people", 1, ["id", "family > families"], &[["p1", "f1"], ["p2", "gone"], ["p3", "gone"]]);
    let plan = world.plan("").await;
    world.complete(&plan).await;
    world.table("people", 1, ["id", "family > families"], &[["p1", "f1"], ["p3", "gone"]]);
    let report = refetch(&world, &plan).await;
    let people = &report.tables["people"];
    assert_eq!((people.source, people.migrated, people.rejected, people.counted_after), (2, 1, 1, Some(2)));
    assert_eq!(people.rejects[0].sample_keys, ["p3".into_key()]);
    assert_eq!(people.warnings, ["1 rejected rows are gone from the source, and left the list"]);
    assert_eq!(world.rejects("people").await.len(), 1);
}

trait IntoKey {
    fn into_key(self) -> SourceKey;
}

impl IntoKey for &str {
    fn into_key(self) -> SourceKey {
        SourceKey::new(self)
    }
}

#[tokio::test]
async fn samples_are_those_of_the_rows_that_are_left() {
    let mut world = World::new();
    world.table("families", 1, ["id"], &[["f1"]]);
    let keys = ["a", "b", "c", "d", "e", "f", "g", "h"];
    let rows = |mended: &[&str]| keys.map(|key| [key, if mended.contains(&key) { "f1" } else { "gone" }]);
    world.table("people", 1, ["id", "family > families"], &rows(&[]));
    let plan = world.plan("").await;
    world.complete(&plan).await;
    world.table("people", 1, ["id", "family > families"], &rows(&["a", "c", "g"]));
    let replayed = refetch(&world, &plan).await;
    world.forget();
    let fresh = world.complete(&plan).await;
    assert_eq!(replayed.tables["people"].rejects, fresh.tables["people"].rejects);
    assert_eq!(replayed.tables["people"].rejects[0].count, 5);
}

#[tokio::test]
async fn a_mended_plan_is_taken_and_runs_go_on_by_it() {
    let world = world(false);
    let plan = plan_of(&world).await;
    // The run stops at its first reject: the rest is for a run after the replay.
    let (result, _) = world.run(&plan, |pipeline| pipeline.fail_fast(true)).await;
    assert_eq!(result.unwrap_err().message(), "go on: a row is rejected");
    let mut mended = world.plan("[tables.people]\ncolumns.family.on_missing = \"null\"").await;
    mended.run = plan.run.clone();
    assert_eq!(world.run(&mended, |pipeline| pipeline).await.0.unwrap_err().kind(), ErrorKind::State);

    let catalog = world.source.discover().await.unwrap();
    let replay = Replay::mended(&*world.state, &mended, catalog, |_| PathBuf::from("none")).await.unwrap();
    assert_eq!(replay.mended_plan.as_deref(), Some(plan.fingerprint.as_str()));
    let (result, report) = replay_on(&world, &mended, world.state.clone(), false, |pipeline| pipeline).await;
    assert_eq!(result.unwrap_err().kind(), ErrorKind::Interrupted);
    assert_eq!((report.tables["people"].migrated, report.totals.rejected), (2, 0));
    let report = world.complete(&mended).await;
    assert_eq!((report.outcome, report.totals.source, report.totals.migrated), (Outcome::Complete, 11, 11));
    assert_eq!(documents(&world)[1].len(), 5);
}

#[tokio::test]
async fn a_foreign_plan_is_refused_with_what_differs() {
    let world = world(false);
    let plan = plan_of(&world).await;
    world.complete(&plan).await;
    let catalog = world.source.discover().await.unwrap();
    for (config, reason) in [
        ("include = [\"families\"]", "people: not in the plan; things: not in the plan"),
        ("[tables.things]\nname = \"stuff\"", "things: its documents went to things, now to stuff"),
        ("[convex]\nlegacy_ids = \"side_table\"", "the rows' keys are kept elsewhere"),
    ] {
        let foreign = world.plan(config).await;
        let error = Replay::refetched(&*world.state, &foreign, catalog.clone()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::State);
        assert!(error.message().contains(reason) && error.message().contains(&plan.fingerprint), "{error}");
    }
    assert_eq!(world.state.bound().await.unwrap().unwrap().fingerprint, plan.fingerprint);
    let begun = Arc::new(migrate_core::state::MemoryState::new());
    let error = Replay::refetched(&*begun, &plan, catalog).await.unwrap_err();
    assert_eq!(error.message(), "replay a run that has not begun");
}

#[tokio::test]
async fn fail_fast_ends_a_run_and_a_replay_at_the_first_reject() {
    let world = world(false);
    let plan = plan_of(&world).await;
    let (result, report) = world.run(&plan, |pipeline| pipeline.fail_fast(true)).await;
    assert_eq!(result.unwrap_err().kind(), ErrorKind::TooManyRejects);
    assert_eq!(report.totals.rejected, 1);
    // The next reject ends the next run: the first does not count again.
    let (result, report) = world.run(&plan, |pipeline| pipeline.fail_fast(true)).await;
    assert_eq!(result.unwrap_err().kind(), ErrorKind::TooManyRejects);
    assert_eq!(report.totals.rejected, 2);
    world.complete(&plan).await;
    let fast = |pipeline: Pipeline| pipeline.fail_fast(true);
    let (result, report) = replay_on(&world, &plan, world.state.clone(), true, fast).await;
    assert_eq!(result.unwrap_err().kind(), ErrorKind::TooManyRejects);
    assert_eq!(report.tables["people"].this_run.rejected, 1);
    assert_eq!(report.totals.rejected, 5);
}
