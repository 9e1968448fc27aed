//! Which key goes where, and which is refused.

use std::net::TcpListener;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use migrate_core::{ErrorKind, Source as _};
use supabase_source::{SupabaseProbe, SupabaseSettings, SupabaseSource};
use wiremock::matchers::{any, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::{SECRET, settings, source, table};

fn jwt(role: &str) -> String {
    format!("eyJhbGciOiJIUzI1NiJ9.{}.c2ln", URL_SAFE_NO_PAD.encode(format!("{{\"role\":\"{role}\"}}")))
}

async fn answering(status: u16, body: &str) -> MockServer {
    let server = MockServer::start().await;
    let answer = ResponseTemplate::new(status).set_body_string(body);
    Mock::given(path("/rest/v1/")).respond_with(answer).mount(&server).await;
    server
}

fn with_key(server: &MockServer, key: &str) -> SupabaseSource {
    SupabaseSource::new(SupabaseSettings { key: key.into(), ..settings(server) }).unwrap()
}

#[tokio::test]
async fn a_secret_key_goes_into_apikey_alone() {
    let server = answering(200, "").await;
    source(&server).check().await.unwrap();
    let requests = server.received_requests().await.unwrap();
    let [request] = requests.as_slice() else { panic!("{} requests", requests.len()) };
    assert_eq!(request.method.as_str(), "HEAD");
    assert_eq!(request.headers["apikey"], SECRET);
    assert!(!request.headers.contains_key("authorization"));
    assert!(request.headers["user-agent"].to_str().unwrap().starts_with("supabase-to-convex/"));
    assert_eq!(request.headers["accept-profile"], "public");
}

#[tokio::test]
async fn a_jwt_goes_into_both_headers() {
    let server = answering(200, "").await;
    let key = jwt("service_role");
    with_key(&server, &key).check().await.unwrap();
    let requests = server.received_requests().await.unwrap();
    assert_eq!(requests[0].headers["apikey"], key.as_str());
    assert_eq!(requests[0].headers["authorization"], format!("Bearer {key}").as_str());
}

#[tokio::test]
async fn a_blinded_key_is_refused_without_a_request() {
    let server = answering(200, "").await;
    for key in ["sb_publishable_0123456789".to_owned(), jwt("anon"), jwt("authenticated")] {
        let error = with_key(&server, &key).check().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config);
        assert!(error.remedy().unwrap().contains("--allow-partial"));
        assert!(!format!("{error:?}").contains(&key));
    }
    assert!(server.received_requests().await.unwrap().is_empty());
    let mut partial = settings(&server);
    partial.key = "sb_publishable_0123456789".into();
    partial.allow_partial = true;
    SupabaseSource::new(partial).unwrap().check().await.unwrap();
}

#[tokio::test]
async fn a_refused_key_names_kind_header_and_place() {
    let server = answering(401, r#"{"message":"Invalid API key"}"#).await;
    let error = source(&server).check().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unauthorized);
    let text = error.to_string();
    assert!(text.contains("a secret key (sb_secret_…) was sent in the apikey header alone"), "{text}");
    assert!(text.contains("API keys page") && !text.contains(SECRET), "{text}");
    let error = with_key(&server, &jwt("service_role")).check().await.unwrap_err();
    assert!(
        error
            .to_string()
            .contains("a legacy JWT key of the role service_role was sent in the headers apikey and Authorization")
    );
}

#[tokio::test]
async fn nobody_there_names_the_address() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let settings = SupabaseSettings::new(format!("http://127.0.0.1:{port}"), SECRET);
    let error = SupabaseSource::new(settings).unwrap().check().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unreachable);
    assert!(error.to_string().contains(&format!("address: 127.0.0.1:{port}")), "{error}");
}

#[tokio::test]
async fn a_redirect_is_not_followed_with_the_key() {
    let elsewhere = answering(200, "[]").await;
    for status in [301, 302, 303, 307, 308] {
        let server = MockServer::start().await;
        let location = format!("{}/rest/v1/", elsewhere.uri());
        let redirect = ResponseTemplate::new(status).insert_header("location", location);
        Mock::given(any()).respond_with(redirect).mount(&server).await;
        let source = source(&server);
        for error in [
            source.check().await.unwrap_err(),
            source.discover().await.unwrap_err(),
            source.count(&table("payments")).await.unwrap_err(),
            SupabaseProbe::new(settings(&server)).unwrap().data_api("public").await.unwrap_err(),
        ] {
            assert_eq!(error.kind(), ErrorKind::Config, "{status}: {error}");
            assert!(!format!("{error} {error:?}").contains(SECRET), "{status}");
        }
        assert!(elsewhere.received_requests().await.unwrap().is_empty(), "{status} was followed");
    }
}
