//! The fault proxy itself, before a server that answers every request in the same way.

use std::time::{Duration, SystemTime};

use axum::http::{StatusCode, header};
use axum::{Router, extract::Request};
use migrate_tests::fault_proxy::{Fault, FaultKind, FaultPlan, FaultProxy, RetryAfter};
use reqwest::Response;

/// The path and query, twenty times.
fn body(path_and_query: &str) -> String {
    path_and_query.repeat(20)
}

async fn upstream() -> String {
    let answer = |request: Request| async move {
        ([(header::CONTENT_RANGE, "0-1/*")], body(request.uri().path_and_query().unwrap().as_str()))
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, Router::new().fallback(answer)).await });
    format!("http://{address}")
}

async fn proxy(script: impl IntoIterator<Item = Option<Fault>>) -> FaultProxy {
    let proxy = FaultProxy::start(&upstream().await, FaultPlan::default()).await.unwrap();
    proxy.script(script);
    proxy
}

fn client() -> reqwest::Client {
    reqwest::Client::builder().no_proxy().build().unwrap()
}

async fn get(proxy: &FaultProxy, path: &str) -> reqwest::Result<Response> {
    client().get(format!("{}{path}", proxy.url())).send().await
}

/// Status and body, or that there is no whole answer.
async fn whole(proxy: &FaultProxy, path: &str) -> Result<(u16, String), reqwest::Error> {
    let response = get(proxy, path).await?;
    Ok((response.status().as_u16(), response.text().await?))
}

const PATH: &str = "/rest/v1/items?order=id&limit=2";

#[tokio::test]
async fn each_fault_shows_as_it_should_once() {
    for kind in FaultKind::all() {
        let proxy = proxy([None, Some(kind.into())]).await;
        let right = (200, body(PATH));
        assert_eq!(whole(&proxy, PATH).await.unwrap(), right, "{kind}: without a fault");
        let half = right.1[..right.1.len() / 2].to_owned();
        let after = PATH.replace("limit", "after=2&limit");
        let faulty = tokio::time::timeout(Duration::from_secs(2), whole(&proxy, &after));
        match kind {
            FaultKind::Hang => assert!(faulty.await.is_err(), "an answer came"),
            FaultKind::ResetBeforeAnswer | FaultKind::ResetInBody | FaultKind::LongContentLength => {
                let error = faulty.await.unwrap().unwrap_err();
                assert!(!error.is_timeout() && !error.is_connect(), "{kind}: {error:?}");
            }
            FaultKind::TruncatedJson | FaultKind::ShortContentLength => {
                let half_of_after = &body(&after)[..body(&after).len() / 2];
                assert_eq!(faulty.await.unwrap().unwrap(), (200, half_of_after.to_owned()), "{kind}");
                assert_ne!(half_of_after, half);
            }
            FaultKind::RepeatedPage => assert_eq!(faulty.await.unwrap().unwrap(), right),
            FaultKind::Slow => assert_eq!(faulty.await.unwrap().unwrap(), (200, body(&after))),
            _ => {
                let (status, text) = faulty.await.unwrap().unwrap();
                let named: String = kind.name().chars().filter(char::is_ascii_digit).collect();
                let expected = if kind == FaultKind::KeyRevoked { 401 } else { named.parse().unwrap() };
                assert_eq!(status, expected, "{kind}");
                assert_ne!(text, body(&after), "{kind}");
            }
        }
        assert_eq!(proxy.injected(), [(kind, 1)].into(), "{kind}");
        if kind == FaultKind::KeyRevoked {
            assert_eq!(whole(&proxy, PATH).await.unwrap().0, 401, "it stays so");
            proxy.restore_key();
        }
        assert_eq!(whole(&proxy, PATH).await.unwrap(), right, "{kind}: after the fault");
    }
}

#[tokio::test]
async fn a_wait_is_asked_for_in_both_forms() {
    let busy = Fault::from(FaultKind::TooManyRequests429);
    let asking = [busy, busy.with_retry_after(RetryAfter::Seconds(7)), busy.with_retry_after(RetryAfter::Date(3600))];
    let proxy = proxy(asking.map(Some)).await;
    let mut headers = Vec::new();
    for _ in asking {
        let response = get(&proxy, PATH).await.unwrap();
        assert_eq!(response.status(), StatusCode::TOO_MANY_REQUESTS);
        headers.push(response.headers().get(header::RETRY_AFTER).map(|value| value.to_str().unwrap().to_owned()));
    }
    assert_eq!(headers[..2], [None, Some("7".to_owned())]);
    let date = httpdate::parse_http_date(headers[2].as_deref().unwrap()).unwrap();
    let wait = date.duration_since(SystemTime::now()).unwrap();
    assert!((3000..=3600).contains(&wait.as_secs()), "{wait:?}");
}

#[tokio::test]
async fn faults_keep_to_their_scope_and_bodies_to_those_that_have_one() {
    let proxy = proxy([Some(FaultKind::HtmlError502.into()), Some(FaultKind::ResetInBody.into())]).await;
    proxy.only("/rest/v1/items");
    assert_eq!(whole(&proxy, "/rest/v1/").await.unwrap().0, 200);
    assert_eq!(whole(&proxy, PATH).await.unwrap().0, 502);
    let head = client().head(format!("{}{PATH}", proxy.url())).send().await.unwrap();
    assert_eq!((head.status(), &head.headers()[header::CONTENT_RANGE]), (StatusCode::OK, &"0-1/*".parse().unwrap()));
    assert_eq!(proxy.injected(), [(FaultKind::HtmlError502, 1)].into(), "a HEAD has no body to cut");
    assert_eq!(proxy.requests(), 3);
}

#[tokio::test]
async fn chance_is_the_same_for_the_same_seed() {
    let mut seen = Vec::new();
    for seed in [1, 1, 2] {
        let random = [FaultKind::HtmlError502, FaultKind::SchemaCache503].map(|kind| (kind.into(), 0.25)).to_vec();
        let proxy = proxy([]).await;
        proxy.set_faults(FaultPlan { random, seed, ..FaultPlan::default() });
        let mut statuses = Vec::new();
        for page in 0..40 {
            statuses.push(whole(&proxy, &format!("{PATH}&page={page}")).await.unwrap().0);
        }
        let injected = proxy.injected();
        for (kind, status) in [(FaultKind::HtmlError502, 502), (FaultKind::SchemaCache503, 503)] {
            assert_eq!(injected[&kind], statuses.iter().filter(|other| **other == status).count() as u64);
        }
        seen.push(statuses);
    }
    assert_eq!(seen[0], seen[1]);
    assert_ne!(seen[0], seen[2]);
}

#[tokio::test]
async fn a_request_waits_until_it_is_let_go() {
    let proxy = proxy([]).await;
    let mut held = proxy.hold("/rest/v1/items", 1);
    whole(&proxy, PATH).await.unwrap();
    whole(&proxy, "/rest/v1/others").await.unwrap();
    let request = whole(&proxy, PATH);
    tokio::pin!(request);
    tokio::select! {
        reached = held.reached() => reached.unwrap(),
        _ = &mut request => panic!("it was not held"),
    }
    drop(held);
    assert_eq!(request.await.unwrap(), (200, body(PATH)));
    assert_eq!(whole(&proxy, PATH).await.unwrap().0, 200, "only one request waits");
}
