//! Answers without success, as errors a caller can act on.

use std::time::Duration;

use migrate_core::{Disposition, ErrorKind, Source as _};
use supabase_source::SupabaseSource;
use wiremock::matchers::path;
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::{settings, source, table};

async fn count_answered(answer: ResponseTemplate) -> migrate_core::Error {
    let server = MockServer::start().await;
    Mock::given(path("/rest/v1/payments")).respond_with(answer).mount(&server).await;
    source(&server).count(&table("payments")).await.unwrap_err()
}

#[tokio::test]
async fn each_class_has_its_kind() {
    let cases: &[(u16, &str, ErrorKind)] = &[
        (404, r#"{"code":"PGRST205","message":"Could not find the table"}"#, ErrorKind::TableMissing),
        (404, r#"{"code":"42P01","message":"relation does not exist"}"#, ErrorKind::TableMissing),
        (404, r#"{"code":"42883","message":"operator does not exist: json > unknown"}"#, ErrorKind::Config),
        (403, r#"{"code":"42501","message":"permission denied for table payments"}"#, ErrorKind::Forbidden),
        (401, r#"{"code":"42501","message":"permission denied for table payments"}"#, ErrorKind::Forbidden),
        (401, r#"{"code":"PGRST301","message":"Expected 3 parts in JWT; got 1"}"#, ErrorKind::Unauthorized),
        (
            503,
            r#"{"code":"PGRST002","message":"Could not query the database for the schema cache"}"#,
            ErrorKind::Unavailable,
        ),
        (504, r#"{"code":"PGRST003","message":"Timed out acquiring connection"}"#, ErrorKind::RateLimited),
        (503, r#"{"code":"53300","message":"too many clients already"}"#, ErrorKind::Unavailable),
        (400, r#"{"code":"22P02","message":"invalid input syntax: \"hunter2\""}"#, ErrorKind::Protocol),
        (400, r#"{"code":"P0001","message":"hunter2"}"#, ErrorKind::Unexpected),
        (429, "", ErrorKind::RateLimited),
        (402, "<html>hunter2</html>", ErrorKind::Config),
        (404, "<html>hunter2</html>", ErrorKind::Config),
        (500, "", ErrorKind::UnknownOutcome),
        (500, r#"{"code":"XX000","message":"hunter2"}"#, ErrorKind::UnknownOutcome),
        (500, r#"{"code":"55000","message":"materialized view has not been populated"}"#, ErrorKind::Config),
        (500, r#"{"code":"39P03","message":"hunter2"}"#, ErrorKind::Unexpected),
        (500, r#"{"code":"PGRST111","message":"hunter2"}"#, ErrorKind::Protocol),
        (500, r#"{"code":500,"message":"hunter2"}"#, ErrorKind::UnknownOutcome),
        (503, r#"{"code":"39P03","message":"hunter2"}"#, ErrorKind::Unavailable),
        (502, "<html>hunter2</html>", ErrorKind::Unavailable),
        (522, "<html>hunter2</html>", ErrorKind::Unavailable),
        (540, "<html>hunter2</html>", ErrorKind::Config),
        (544, "", ErrorKind::TimedOut),
        (418, "hunter2", ErrorKind::Protocol),
    ];
    for (status, body, kind) in cases {
        let error = count_answered(ResponseTemplate::new(*status).set_body_string(*body)).await;
        assert_eq!(error.kind(), *kind, "{status} {body}");
        assert!(!format!("{error} {error:?}").contains("hunter2"), "{error}");
        assert!(error.to_string().contains("table: payments"), "{error}");
    }
}

#[tokio::test]
async fn a_wait_that_is_asked_for_is_passed_on() {
    let error = count_answered(ResponseTemplate::new(503).insert_header("retry-after", "12")).await;
    assert_eq!(error.retry_after(), Some(Duration::from_secs(12)));
    let past = "Wed, 21 Oct 2015 07:28:00 GMT";
    let error = count_answered(ResponseTemplate::new(429).insert_header("retry-after", past)).await;
    assert_eq!((error.kind(), error.retry_after()), (ErrorKind::RateLimited, Some(Duration::ZERO)));
}

#[tokio::test]
async fn a_server_that_asks_to_wait_is_not_asked_again_at_once() {
    for (asks, requests) in [(true, 1), (false, 2)] {
        let server = MockServer::start().await;
        let busy = ResponseTemplate::new(429);
        let busy = if asks { busy.insert_header("retry-after", "7") } else { busy };
        Mock::given(path("/rest/v1/payments")).respond_with(busy).expect(requests).mount(&server).await;
        let error = source(&server).count(&table("payments")).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::RateLimited);
        assert_eq!(error.retry_after(), asks.then_some(Duration::from_secs(7)));
    }
}

#[tokio::test]
async fn an_answer_that_does_not_come_is_a_timeout() {
    let server = MockServer::start().await;
    let late = ResponseTemplate::new(200).set_delay(Duration::from_secs(30));
    Mock::given(path("/rest/v1/payments")).respond_with(late).mount(&server).await;
    let mut settings = settings(&server);
    settings.request_timeout = Duration::from_millis(50);
    let error = SupabaseSource::new(settings).unwrap().count(&table("payments")).await.unwrap_err();
    assert_eq!((error.kind(), error.disposition()), (ErrorKind::TimedOut, Disposition::Retry));
    assert!(!error.to_string().contains("limit=0"), "{error}");
}
