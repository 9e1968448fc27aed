//! Every kind of fault.

use std::time::{Duration, Instant};

use migrate_tests::convex_bench::{ConvexBenchOptions, Counters, Fault, FaultKind, FaultPlan};
use reqwest::Response;
use serde_json::{Value, json};

use super::{Bench, INSERT, records, refused};

/// A fault, whether the call must be committed with it, and how it shows.
type Case = (Fault, bool, fn(Answer));

/// What a client sees.
type Answer = Result<(u16, Option<String>, String), reqwest::Error>;

fn system_error(answer: Answer, status: u16, code: &str) {
    let (actual, _, body) = answer.unwrap();
    assert_eq!(actual, status);
    assert_eq!(serde_json::from_str::<Value>(&body).unwrap()["code"], code);
}

fn reset(answer: Answer) {
    let error = answer.unwrap_err();
    assert!(error.is_request() && !error.is_timeout(), "{error:?}");
}

#[tokio::test]
async fn each_fault_shows_as_it_should_and_commits_or_not() {
    let cases: [Case; 9] = [
        (Fault::TooManyRequests429 { retry_after: Some(Duration::from_millis(1_200)) }, false, |answer| {
            let (status, retry_after, body) = answer.unwrap();
            assert_eq!((status, retry_after.as_deref()), (429, Some("2")));
            assert!(body.contains("TooManyWrites"));
        }),
        (Fault::Occ503, false, |answer| system_error(answer, 503, "OptimisticConcurrencyControlFailure")),
        (Fault::Internal500BeforeCommit, false, |answer| system_error(answer, 500, "InternalServerError")),
        (Fault::Internal500AfterCommit, true, |answer| system_error(answer, 500, "InternalServerError")),
        (Fault::ResetBeforeCommit, false, reset),
        (Fault::ResetAfterCommit, true, reset),
        (Fault::Malformed, true, |answer| {
            let (status, _, body) = answer.unwrap();
            assert_eq!(status, 200);
            assert!(body.starts_with(r#"{"status":"success""#));
            assert!(serde_json::from_str::<Value>(&body).is_err());
        }),
        (Fault::HtmlError502, false, |answer| {
            let (status, _, body) = answer.unwrap();
            assert_eq!(status, 502);
            assert!(body.starts_with("<html>"));
        }),
        (Fault::FunctionMissing, false, |answer| {
            let (status, _, body) = answer.unwrap();
            assert_eq!(status, 200);
            assert!(body.contains("Could not find public function for"));
        }),
    ];
    for (fault, committed, check) in cases {
        let kind = fault.kind();
        let bench = Bench::keeping_documents().await;
        bench.bench.script([Some(fault)]);
        check(answer(bench.try_call("mutation", INSERT, json!({ "records": records(2) })).await).await);
        assert_eq!(bench.stored(), if committed { 2 } else { 0 }, "{kind}");
        // A retry of the same batch succeeds and never doubles a document.
        let outcome = if committed { "unchanged" } else { "inserted" };
        assert_eq!(bench.insert(records(2)).await, [outcome; 2], "{kind}");
        assert_eq!(bench.stored(), 2, "{kind}");
        assert_eq!(bench.bench.counters().faults, [(kind, 1)].into());
        let calls = bench.bench.calls();
        assert_eq!((calls[0].faults.as_slice(), calls[0].committed), (&[kind][..], committed), "{kind}");
        assert_eq!((calls[1].path.as_str(), calls[1].record_count, calls[1].committed), (INSERT, 2, true), "{kind}");
    }
}

async fn answer(response: reqwest::Result<Response>) -> Answer {
    let response = response?;
    let status = response.status().as_u16();
    let retry_after = response.headers().get("retry-after").map(|value| value.to_str().unwrap().to_owned());
    Ok((status, retry_after, response.text().await?))
}

#[tokio::test]
async fn a_hanging_call_ends_only_with_the_client_or_the_server() {
    let bench = Bench::keeping_documents().await;
    bench.bench.script([Some(Fault::Hang), Some(Fault::Hang)]);
    let call = bench.try_call("mutation", INSERT, json!({ "records": records(1) }));
    assert!(tokio::time::timeout(Duration::from_millis(200), call).await.is_err());
    assert_eq!(bench.stored(), 0);

    let Bench { bench, client } = bench;
    let url = format!("{}/api/mutation", bench.url());
    let body = json!({ "path": INSERT, "args": { "records": records(1) } });
    let request = client.post(url).header("authorization", format!("Convex {}", bench.admin_key())).json(&body);
    let call = tokio::spawn(request.send());
    while bench.counters().calls < 2 {
        tokio::task::yield_now().await;
    }
    tokio::time::timeout(Duration::from_secs(5), bench.shutdown()).await.expect("a hanging call ends").unwrap();
    call.await.unwrap().unwrap_err();
}

#[tokio::test]
async fn a_slow_call_is_right_in_the_end() {
    let bench = Bench::keeping_documents().await;
    bench.bench.add_standing_fault(Fault::Slow(Duration::from_millis(60)));
    let start = Instant::now();
    assert_eq!(bench.insert(records(1)).await, ["inserted"]);
    assert!(start.elapsed() >= Duration::from_millis(60));
    assert_eq!(bench.bench.counters().faults, [(FaultKind::Slow, 1)].into());
}

#[tokio::test]
async fn a_bad_record_spoils_every_batch_that_holds_it() {
    let bench = Bench::keeping_documents().await;
    bench.bench.add_standing_fault(Fault::BadRecord("row-1".to_owned()));
    let message = bench.message("mutation", INSERT, json!({ "records": records(3) })).await;
    assert!(message.contains("Uncaught Error: a value of the batch was not accepted"), "{message}");
    assert!(!message.contains("row-1"), "the record is for the caller to find");
    assert_eq!(bench.insert(records(1)).await, ["inserted"]);
    assert_eq!(bench.stored(), 1);
    let counters = bench.bench.counters();
    assert_eq!((counters.function_errors, counters.faults), (1, [(FaultKind::BadRecord, 1)].into()));
}

#[tokio::test]
async fn a_batch_over_the_limit_is_too_large() {
    let bench = Bench::keeping_documents().await;
    bench.bench.add_standing_fault(Fault::TooLarge(2));
    let message = bench.message("mutation", INSERT, json!({ "records": records(3) })).await;
    assert!(message.contains("Too many bytes written in a single function execution"), "{message}");
    assert_eq!(bench.insert(records(2)).await.len(), 2);
}

#[tokio::test]
async fn a_revoked_key_stays_so_until_it_is_restored() {
    let bench = Bench::keeping_documents().await;
    bench.bench.script([None, Some(Fault::KeyRevoked)]);
    bench.insert(records(1)).await;
    for _ in 0..2 {
        let response = bench.try_call("mutation", INSERT, json!({ "records": records(2) })).await.unwrap();
        assert_eq!(refused(response).await, (401, "BadAdminKey".to_owned()));
    }
    bench.bench.restore_admin_key();
    assert_eq!(bench.insert(records(2)).await, ["unchanged", "inserted"]);
}

#[tokio::test]
async fn a_patient_client_gets_everything_through_random_faults() {
    let faults = FaultPlan {
        random: vec![
            (Fault::Occ503, 0.2),
            (Fault::Internal500AfterCommit, 0.2),
            (Fault::ResetAfterCommit, 0.1),
            (Fault::Malformed, 0.1),
        ],
        seed: 1,
        max_consecutive: 2,
        ..FaultPlan::default()
    };
    let bench = Bench::start(ConvexBenchOptions { faults, ..ConvexBenchOptions::default() }).await;
    for batch in 0..40 {
        let records: Value = (0..5).map(|number| json!({ "supabaseId": format!("{batch}-{number}") })).collect();
        let mut tries = 0;
        loop {
            tries += 1;
            let sent = bench.try_call("mutation", INSERT, json!({ "records": records })).await;
            if let Ok((200, _, body)) = answer(sent).await
                && serde_json::from_str::<Value>(&body).is_ok()
            {
                break;
            }
        }
        assert!(tries <= 3, "at most two faults in a row");
    }
    assert_eq!(bench.stored(), 200);
    let Counters { inserted, updated, faults, .. } = bench.bench.counters();
    assert_eq!((inserted, updated), (200, 0));
    assert_eq!(faults.len(), 4, "every kind was drawn: {faults:?}");
}
