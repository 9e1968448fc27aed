use std::time::Duration;

use migrate_core::ErrorKind;
use migrate_core::layer::RetryPolicy;
use migrate_core::report::Outcome;
use migrate_tests::convex_bench::ConvexBench;
use migrate_tests::fault_proxy::{Fault, FaultKind, FaultPlan, FaultProxy, RetryAfter};
use migrate_tests::in_process::{InProcess, Times};
use migrate_tests::local_stack::Supabase;
use migrate_tests::shop;

use super::{assert_complete, assert_documents, failure, migration};

const ORDERS: i32 = 1000;

/// The requests for rows of `orders`, and not its counts.
const PAGES: &str = "/rest/v1/orders?select";

/// A proxy before the project, and a migration that reads through it.
async fn sides(configuration: &str, supabase: &Supabase) -> (FaultProxy, ConvexBench, InProcess) {
    let proxy = FaultProxy::start(supabase.url(), FaultPlan::default()).await.unwrap();
    let convex = shop::convex().await.unwrap();
    let migration = migration(configuration, supabase, &proxy.url(), &convex).await;
    (proxy, convex, migration)
}

/// The faults that a run gets over, with the codes that it tells of.
fn passing() -> Vec<(Fault, &'static str)> {
    let busy = Fault::from(FaultKind::TooManyRequests429);
    let away = Fault::from(FaultKind::Unavailable503);
    vec![
        (busy, "429"),
        (busy.with_retry_after(RetryAfter::Seconds(0)), "429"),
        (busy.with_retry_after(RetryAfter::Date(0)), "429"),
        (away, "503"),
        (away.with_retry_after(RetryAfter::Seconds(0)), "503"),
        (away.with_retry_after(RetryAfter::Date(0)), "503"),
        (FaultKind::SchemaCache503.into(), "PGRST002"),
        (FaultKind::DatabaseLost503.into(), "PGRST001"),
        (FaultKind::DatabaseRestart503.into(), "57P01"),
        (FaultKind::PoolExhausted504.into(), "PGRST003"),
        (FaultKind::InternalError500.into(), "XX000"),
        (FaultKind::HtmlError502.into(), "502"),
        (FaultKind::HtmlError520.into(), "520"),
        (FaultKind::ResetBeforeAnswer.into(), "unavailable"),
        (FaultKind::ResetInBody.into(), "unavailable"),
        (FaultKind::TruncatedJson.into(), "unavailable"),
        (FaultKind::LongContentLength.into(), "unavailable"),
        (FaultKind::ShortContentLength.into(), "unavailable"),
        // The page is asked for in smaller ones at once.
        (FaultKind::StatementTimeout500.into(), ""),
        (FaultKind::HtmlError504.into(), ""),
        (FaultKind::Slow.into(), ""),
    ]
}

#[tokio::test]
async fn what_passes_ends_in_the_right_documents() {
    let supabase = shop::supabase(ORDERS).await.unwrap();
    for (fault, code) in passing() {
        let what = format!("{fault:?}");
        let (proxy, convex, migration) = sides(shop::CONFIGURATION, &supabase).await;
        proxy.only(PAGES);
        proxy.script([Some(fault), None, None, Some(fault), Some(fault), None, Some(fault)]);
        let ran = migration.run(Times::default()).await.unwrap();
        assert_complete(&supabase, &convex, &ran, &what).await;
        assert_eq!(proxy.injected(), [(fault.kind(), 4)].into(), "{what}");
        let expected = if code.is_empty() { vec![] } else { vec![(code, 4)] };
        assert_eq!(ran.repeats_by_code().into_iter().collect::<Vec<_>>(), expected, "{what}");
        assert!(ran.repeats.iter().all(|repeat| !repeat.message.contains("a page of the edge")), "{what}");
    }
}

#[tokio::test]
async fn all_of_it_by_chance_ends_in_the_right_documents() {
    let supabase = shop::supabase(ORDERS).await.unwrap();
    let configuration = shop::CONFIGURATION.replace("page_rows = 100", "page_rows = 20");
    let mut kinds = std::collections::BTreeSet::new();
    for seed in 1..=3 {
        let (proxy, convex, migration) = sides(&configuration, &supabase).await;
        let random = passing().into_iter().map(|(fault, _)| (fault, 0.02)).collect();
        // Counts, links and the document of the schema meet them too.
        proxy.set_faults(FaultPlan { random, seed, max_consecutive: 4, ..FaultPlan::default() });
        let ran = migration.run(Times::default()).await.unwrap();
        assert_complete(&supabase, &convex, &ran, &format!("seed {seed}")).await;
        kinds.extend(proxy.injected().into_keys());
    }
    assert!(kinds.len() >= 12, "{kinds:?}");
}

#[tokio::test]
async fn a_page_that_never_comes_is_asked_for_again() {
    let supabase = shop::supabase(ORDERS).await.unwrap();
    let (proxy, convex, migration) = sides(shop::CONFIGURATION, &supabase).await;
    proxy.only(PAGES);
    proxy.script([None, Some(FaultKind::Hang.into())]);
    let times = Times { timeout: Duration::from_secs(1), ..Times::default() };
    let ran = migration.run(times).await.unwrap();
    assert_complete(&supabase, &convex, &ran, "a hang").await;
    assert_eq!(proxy.injected(), [(FaultKind::Hang, 1)].into());
    assert!(ran.repeats_by_code().contains_key("timed_out"), "{:?}", ran.repeats);
}

#[tokio::test]
async fn a_wait_that_is_asked_for_is_kept_or_ends_the_run() {
    let supabase = shop::supabase(ORDERS).await.unwrap();
    for kind in [FaultKind::TooManyRequests429, FaultKind::Unavailable503] {
        let (proxy, convex, migration) = sides(shop::CONFIGURATION, &supabase).await;
        proxy.only(PAGES);
        let asking = |retry_after| Some(Fault::from(kind).with_retry_after(retry_after));
        for long in [RetryAfter::Seconds(3600), RetryAfter::Date(3600)] {
            proxy.script([None, None, asking(long)]);
            let ran = migration.run(Times::default()).await.unwrap();
            let waiting =
                if kind == FaultKind::TooManyRequests429 { ErrorKind::RateLimited } else { ErrorKind::Unavailable };
            let error = failure(&ran, waiting, kind.name());
            assert!(error.contains("seconds to wait, as it says: 3") && error.contains("orders"), "{error}");
        }
        proxy.script([asking(RetryAfter::Seconds(1))]);
        let ran = migration.run(Times::default()).await.unwrap();
        assert_complete(&supabase, &convex, &ran, kind.name()).await;
        let [repeat] = ran.repeats.as_slice() else { panic!("{kind}: {:?}", ran.repeats) };
        assert!(repeat.delay >= Duration::from_secs(1), "{kind}: {repeat:?}");
    }
}

#[tokio::test]
async fn what_does_not_pass_is_not_tried_again_and_can_be_gone_on_from() {
    let supabase = shop::supabase(ORDERS).await.unwrap();
    let cases: &[(Fault, ErrorKind, &[&str])] = &[
        (FaultKind::HtmlPage200.into(), ErrorKind::Protocol, &["it is not JSON", "orders"]),
        (FaultKind::UnknownCode500.into(), ErrorKind::Unexpected, &["39P03", "orders"]),
        (FaultKind::ProjectPaused540.into(), ErrorKind::Config, &["the project is paused", "restore it", "run again"]),
        (FaultKind::KeyRevoked.into(), ErrorKind::Unauthorized, &["the key was refused", "a secret key", "orders"]),
        (Fault::repeated_page(1), ErrorKind::Protocol, &["do not lead on", "orders"]),
        (Fault::repeated_page(2), ErrorKind::Protocol, &["do not lead on", "orders"]),
        (Fault::repeated_page(3), ErrorKind::Protocol, &["do not lead on", "orders"]),
    ];
    for &(fault, kind, says) in cases {
        let what = format!("{fault:?}");
        let (proxy, convex, migration) = sides(shop::CONFIGURATION, &supabase).await;
        proxy.only(PAGES);
        proxy.script([None, None, None, None, Some(fault)]);
        let ran = migration.run(Times::default()).await.unwrap();
        let error = failure(&ran, kind, &what);
        for part in says {
            assert!(error.contains(part), "{what}: `{part}` is not in: {error}");
        }
        assert!(ran.repeats.is_empty(), "{what}: {:?}", ran.repeats);
        assert_eq!(proxy.injected(), [(fault.kind(), 1)].into(), "{what}");
        let read = ran.report.tables["orders"].source;
        assert!((1..=400).contains(&read), "{what}: {read} rows are committed");

        proxy.restore_key();
        let ran = migration.run(Times::default()).await.unwrap();
        assert_complete(&supabase, &convex, &ran, &what).await;
        assert_eq!(ran.report.tables["orders"].this_run.read, 1000 - read, "{what}: it goes on");
    }
}

#[tokio::test]
async fn the_schema_cache_may_be_loaded_again_at_any_time() {
    let supabase = shop::supabase(ORDERS).await.unwrap();
    let (proxy, convex, migration) = sides(shop::CONFIGURATION, &supabase).await;
    let mut held = proxy.hold(PAGES, 3);
    let owner = supabase.client().await.unwrap();
    let run = migration.run(Times::default());
    let reloads = async {
        held.reached().await.unwrap();
        // A reload that PostgREST cannot finish at once: the catalog is locked.
        owner
            .batch_execute("begin; create index on orders (note); notify pgrst, 'reload schema'; commit")
            .await
            .unwrap();
        drop(held);
        for _ in 0..5 {
            supabase.reload_schema().await.unwrap();
        }
    };
    let (ran, ()) = tokio::join!(run, reloads);
    assert_complete(&supabase, &convex, &ran.unwrap(), "reloads").await;
}

#[tokio::test]
async fn connections_that_the_database_ends_are_made_again() {
    let supabase = shop::supabase(ORDERS).await.unwrap();
    let (proxy, convex, migration) = sides(shop::CONFIGURATION, &supabase).await;
    let owner = supabase.client().await.unwrap();
    // PostgREST needs a second or two to be back.
    let (first_delay, longest_delay) = (Duration::from_millis(100), Duration::from_secs(2));
    let policy = RetryPolicy { first_delay, longest_delay, ..Times::default().policy };
    let times = Times { policy, ..Times::default() };
    let mut held: Vec<_> = [2, 5, 7].into_iter().map(|skip| proxy.hold(PAGES, skip)).collect();
    let run = migration.run(times);
    let kills = async {
        let mut ended = 0;
        for mut held in held.drain(..) {
            held.reached().await.unwrap();
            let end = "select count(pg_terminate_backend(pid)) from pg_stat_activity
                where datname = current_database() and pid <> pg_backend_pid()";
            ended += owner.query_one(end, &[]).await.unwrap().get::<_, i64>(0);
        }
        // It may be about to connect again when the second and the third come.
        assert!(ended > 0);
    };
    let (ran, ()) = tokio::join!(run, kills);
    assert_complete(&supabase, &convex, &ran.unwrap(), "ended connections").await;
}

#[tokio::test]
async fn a_table_that_changes_while_it_is_read_is_reported_with_the_difference() {
    let supabase = shop::supabase(ORDERS).await.unwrap();
    let (proxy, convex, first) = sides(shop::CONFIGURATION, &supabase).await;
    let owner = supabase.client().await.unwrap();
    let mut held = proxy.hold(PAGES, 5);
    let run = first.run(Times::default());
    let changes = async {
        held.reached().await.unwrap();
        // Five rows before the place, which no page comes to any more; three fewer and two more behind it.
        owner.batch_execute(&shop::orders_sql(-5, -1)).await.unwrap();
        owner.batch_execute("delete from orders where id in (901, 904, 905)").await.unwrap();
        owner.batch_execute(&shop::orders_sql(1001, 1002)).await.unwrap();
        drop(held);
    };
    let (ran, ()) = tokio::join!(run, changes);
    let ran = ran.unwrap();
    ran.result.unwrap();
    ran.report.check().unwrap();
    let orders = &ran.report.tables["orders"];
    assert_eq!((orders.source, orders.migrated), (999, 999));
    assert_eq!((orders.counted_before, orders.counted_after), (Some(1000), Some(1004)));
    let warning = "999 rows were read, and the source counts 1004 now: rows came or went during the run";
    assert_eq!(orders.warnings, [warning]);
    assert_eq!(ran.report.outcome, Outcome::CompleteWithFindings);
    let differences = shop::differences_where(&supabase, &convex, "id > 0").await.unwrap();
    assert!(differences.is_empty(), "{differences:#?}");

    let again = migration(shop::CONFIGURATION, &supabase, &proxy.url(), &convex).await;
    let ran = again.run(Times::default()).await.unwrap();
    assert_complete(&supabase, &convex, &ran, "a run through all rows").await;
    assert_eq!(ran.report.tables["orders"].inserted, 5);
    assert_documents(&supabase, &convex, "a run through all rows").await;
}
