use std::time::Duration;

use migrate_core::ErrorKind;
use migrate_core::record::RejectCode;
use migrate_tests::convex_bench::{ConvexBench, Fault, FaultKind, FaultPlan};
use migrate_tests::in_process::{InProcess, Times};
use migrate_tests::local_stack::Supabase;
use migrate_tests::shop;

use super::{assert_complete, failure, migration};

const ORDERS: i32 = 1000;

async fn sides(configuration: &str, supabase: &Supabase) -> (ConvexBench, InProcess) {
    let convex = shop::convex().await.unwrap();
    let migration = migration(configuration, supabase, supabase.url(), &convex).await;
    (convex, migration)
}

/// The faults that a run gets over, with the codes that it tells of.
fn passing() -> Vec<(Fault, &'static str)> {
    vec![
        (Fault::TooManyRequests429 { retry_after: None }, "TooManyWrites"),
        (Fault::TooManyRequests429 { retry_after: Some(Duration::ZERO) }, "TooManyWrites"),
        (Fault::Occ503, "OptimisticConcurrencyControlFailure"),
        (Fault::Internal500BeforeCommit, "InternalServerError"),
        (Fault::Internal500AfterCommit, "InternalServerError"),
        (Fault::ResetBeforeCommit, "unknown_outcome"),
        (Fault::ResetAfterCommit, "unknown_outcome"),
        (Fault::Malformed, "unknown_outcome"),
        (Fault::HtmlError502, "unknown_outcome"),
        (Fault::Slow(Duration::from_millis(20)), ""),
    ]
}

#[tokio::test]
async fn what_passes_ends_in_the_right_documents() {
    let supabase = shop::supabase(ORDERS).await.unwrap();
    for (fault, code) in passing() {
        let what = format!("{fault:?}");
        let (convex, migration) = sides(shop::CONFIGURATION, &supabase).await;
        let fault = || Some(fault.clone());
        // Customers, orders, and the links of the second pass.
        convex.script([
            fault(),
            None,
            fault(),
            fault(),
            None,
            None,
            None,
            None,
            fault(),
            None,
            None,
            None,
            None,
            fault(),
        ]);
        let ran = migration.run(Times::default()).await.unwrap();
        assert_complete(&supabase, &convex, &ran, &what).await;
        assert_eq!(convex.injected().into_values().sum::<u64>(), 5, "{what}: {:?}", convex.injected());
        let expected = if code.is_empty() { vec![] } else { vec![(code, 5)] };
        assert_eq!(ran.repeats_by_code().into_iter().collect::<Vec<_>>(), expected, "{what}");
        assert!(ran.repeats.iter().all(|repeat| !repeat.message.contains("Gateway")), "{what}");
        assert_eq!(convex.counters().inserted, 1050, "{what}: each row made one document, once");
    }
}

#[tokio::test]
async fn all_of_it_by_chance_ends_in_the_right_documents() {
    let supabase = shop::supabase(ORDERS).await.unwrap();
    let configuration = shop::CONFIGURATION.replace("batch_records = 100", "batch_records = 7");
    let mut kinds = std::collections::BTreeSet::new();
    for seed in 1..=3 {
        let (convex, migration) = sides(&configuration, &supabase).await;
        let random = passing().into_iter().map(|(fault, _)| (fault, 0.04)).collect();
        convex.set_faults(FaultPlan { random, seed, max_consecutive: 4, ..FaultPlan::default() });
        let ran = migration.run(Times::default()).await.unwrap();
        assert_complete(&supabase, &convex, &ran, &format!("seed {seed}")).await;
        assert_eq!(convex.counters().inserted, 1050, "seed {seed}");
        kinds.extend(convex.injected().into_keys());
    }
    assert_eq!(kinds.len(), 9, "{kinds:?}");
}

#[tokio::test]
async fn a_write_that_is_never_answered_is_sent_again() {
    let supabase = shop::supabase(ORDERS).await.unwrap();
    let (convex, migration) = sides(shop::CONFIGURATION, &supabase).await;
    convex.script([Some(Fault::Hang), None, None, Some(Fault::Hang)]);
    let times = Times { timeout: Duration::from_secs(1), ..Times::default() };
    let ran = migration.run(times).await.unwrap();
    assert_complete(&supabase, &convex, &ran, "two hangs").await;
    assert_eq!(convex.injected(), [(FaultKind::Hang, 2)].into());
    assert_eq!(ran.repeats_by_code()["unknown_outcome"], 2, "{:?}", ran.repeats);
}

#[tokio::test]
async fn a_wait_that_is_asked_for_is_kept_or_ends_the_run() {
    let supabase = shop::supabase(ORDERS).await.unwrap();
    let (convex, migration) = sides(shop::CONFIGURATION, &supabase).await;
    let asking = |seconds| Some(Fault::TooManyRequests429 { retry_after: Some(Duration::from_secs(seconds)) });
    convex.script([None, None, asking(3600)]);
    let ran = migration.run(Times::default()).await.unwrap();
    let error = failure(&ran, ErrorKind::RateLimited, "an hour");
    assert!(error.contains("seconds to wait, as it says: 3600") && error.contains("lower run.in_flight"), "{error}");

    convex.script([asking(1)]);
    let ran = migration.run(Times::default()).await.unwrap();
    assert_complete(&supabase, &convex, &ran, "a second").await;
    let [repeat] = ran.repeats.as_slice() else { panic!("{:?}", ran.repeats) };
    assert!(repeat.delay >= Duration::from_secs(1), "{repeat:?}");
}

#[tokio::test]
async fn one_bad_record_of_a_thousand_is_rejected_alone_for_few_calls() {
    let supabase = shop::supabase(ORDERS).await.unwrap();
    let configuration = shop::CONFIGURATION.replace("= 100", "= 1000");
    let (convex, migration) = sides(&configuration, &supabase).await;
    // No other row refers to it.
    convex.add_standing_fault(Fault::BadRecord("618".to_owned()));
    let ran = migration.run(Times::default()).await.unwrap();
    ran.result.unwrap();
    ran.report.check().unwrap();
    let orders = &ran.report.tables["orders"];
    assert_eq!((orders.source, orders.migrated, orders.rejected), (1000, 999, 1));
    assert_eq!((orders.rejects.len(), orders.rejects[0].code), (1, RejectCode::SinkRefused));
    assert_eq!(orders.rejects[0].sample_keys, ["618".into()]);
    let differences = shop::differences_where(&supabase, &convex, "id <> 618").await.unwrap();
    assert!(differences.is_empty(), "{differences:#?}");
    let calls = convex.calls().iter().filter(|call| call.path.ends_with("bulkInsertOrders")).count();
    // A batch of 1,000 is halved ten times, which makes two calls each time.
    assert!((12..=21).contains(&calls), "{calls} calls");
    assert!(ran.repeats.is_empty(), "what one record is guilty of is not repeated: {:?}", ran.repeats);
}

#[tokio::test]
async fn batches_over_a_limit_of_transactions_are_split() {
    let supabase = shop::supabase(ORDERS).await.unwrap();
    let configuration = shop::CONFIGURATION.replace("= 100", "= 1000");
    let (convex, migration) = sides(&configuration, &supabase).await;
    convex.add_standing_fault(Fault::TooLarge(90));
    // Meanwhile other calls fail too: only what the other side has answered for good is split.
    convex.script([None, Some(Fault::ResetAfterCommit), None, Some(Fault::Occ503), None, Some(Fault::Malformed)]);
    let ran = migration.run(Times::default()).await.unwrap();
    assert_complete(&supabase, &convex, &ran, "a limit of 90 records").await;
    assert!(convex.injected()[&FaultKind::TooLarge] >= 15, "{:?}", convex.injected());
    assert_eq!(convex.counters().inserted, 1050);
}

#[tokio::test]
async fn what_does_not_pass_is_not_tried_again_and_can_be_gone_on_from() {
    let supabase = shop::supabase(ORDERS).await.unwrap();
    let cases: &[(Fault, ErrorKind, &[&str])] = &[
        (Fault::FunctionMissing, ErrorKind::FunctionMissing, &["find the function", "bulkInsertOrders", "npx convex"]),
        (Fault::KeyRevoked, ErrorKind::Unauthorized, &["be let in", "deploy key", "orders"]),
    ];
    for (fault, kind, says) in cases {
        let what = format!("{fault:?}");
        let (convex, migration) = sides(shop::CONFIGURATION, &supabase).await;
        convex.script([None, None, None, None, Some(fault.clone())]);
        let ran = migration.run(Times::default()).await.unwrap();
        let error = failure(&ran, *kind, &what);
        for part in *says {
            assert!(error.contains(part), "{what}: `{part}` is not in: {error}");
        }
        assert!(ran.repeats.is_empty(), "{what}: {:?}", ran.repeats);
        let before = convex.counters();
        assert!((150..1050).contains(&before.inserted), "{what}: {before:?}");

        convex.restore_admin_key();
        let ran = migration.run(Times::default()).await.unwrap();
        assert_complete(&supabase, &convex, &ran, &what).await;
        assert_eq!(convex.counters().inserted, 1050, "{what}: it goes on and doubles nothing");
        let committed = ran.report.tables["customers"].this_run.read;
        assert_eq!(committed, 0, "{what}: what was committed is not read again");
    }
}
