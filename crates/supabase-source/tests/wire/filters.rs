//! Row filters on the way: sent with every page and count, named in errors, and never with a look-up by key.

use migrate_core::{ErrorKind, Source as _};
use serde_json::json;
use supabase_source::{SupabaseSettings, SupabaseSource};
use wiremock::matchers::{method, path};
use wiremock::{Mock, MockServer, Request, ResponseTemplate};

use crate::{fields, request, settings, table};

async fn serve(answer: impl Fn(&Request) -> ResponseTemplate + Send + Sync + 'static) -> MockServer {
    let server = MockServer::start().await;
    let key = json!({ "format": "bigint", "description": "Note:\nThis is a Primary Key.<pk/>" });
    let document = json!({ "definitions": { "orders": { "properties": { "id": key } } }, "info": {} });
    let root = Mock::given(method("GET")).and(path("/rest/v1/"));
    root.respond_with(ResponseTemplate::new(200).set_body_json(document)).mount(&server).await;
    Mock::given(path("/rest/v1/orders")).respond_with(answer).mount(&server).await;
    server
}

fn filtered(server: &MockServer, filter: &str) -> migrate_core::Result<SupabaseSource> {
    let filters = [(table("orders"), filter.to_owned())].into();
    SupabaseSource::new(SupabaseSettings { filters, ..settings(server) })
}

#[tokio::test]
async fn a_filter_joins_the_conditions_of_pages_counts_and_ranges() {
    let server = serve(|request| {
        let is_count = request.method.as_str() == "HEAD";
        let answer = ResponseTemplate::new(if is_count { 206 } else { 200 });
        if is_count { answer.insert_header("content-range", "*/4") } else { answer.set_body_string("[]") }
    })
    .await;
    let source = filtered(&server, "id=lt.90&or=(a.gt.1,b.is.null)").unwrap();
    assert_eq!(source.count(&table("orders")).await.unwrap(), Some(4));
    let after = Some(migrate_core::source::Cursor(vec!["7".into()]));
    source.read_page(request("orders", &["id"], &["id"], after, 10)).await.unwrap();
    source.partitions(&table("orders"), &fields(&["id"]), 4).await.unwrap();
    source.fetch(&table("orders"), &["1".into()], &fields(&["id"])).await.unwrap();
    let sent: Vec<Vec<String>> = server
        .received_requests()
        .await
        .unwrap()
        .iter()
        .filter(|request| request.url.path() == "/rest/v1/orders")
        .map(|request| {
            let pairs = request.url.query_pairs().filter(|(name, _)| !["select", "order", "limit"].contains(&&**name));
            pairs.map(|(name, value)| format!("{name}={value}")).collect()
        })
        .collect();
    let filter = ["id=lt.90".to_owned(), "or=(a.gt.1,b.is.null)".to_owned()];
    assert_eq!(sent[0], filter);
    assert_eq!(sent[1], [vec!["\"id\"=gt.7".to_owned()], filter.to_vec()].concat());
    assert_eq!((&sent[2], &sent[3]), (&filter.to_vec(), &filter.to_vec()), "the outermost keys");
    assert_eq!(sent[4], ["\"id\"=eq.1"], "a look-up finds every row");
    assert_eq!(sent.len(), 5);
}

#[tokio::test]
async fn a_filter_that_the_server_refuses_is_named() {
    for (status, code) in [(400, "PGRST100"), (400, "42703"), (400, "22P02")] {
        let body = json!({ "code": code, "message": "hunter2 does not exist" });
        let server = serve(move |_| {
            ResponseTemplate::new(status)
                .insert_header("proxy-status", format!("PostgREST; error={code}").as_str())
                .set_body_json(&body)
        })
        .await;
        let source = filtered(&server, "gone=eq.1").unwrap();
        let page = source.read_page(request("orders", &["id"], &["id"], None, 10)).await.unwrap_err();
        let count = source.count(&table("orders")).await.unwrap_err();
        for error in [page, count] {
            assert_eq!((error.kind(), error.code()), (ErrorKind::Config, code));
            let text = error.to_string();
            assert!(text.contains("table: orders") && text.contains("filter: tables.orders.filter"), "{text}");
        }
    }
}

#[tokio::test]
async fn what_is_no_filter_is_refused_before_anything_is_sent() {
    let server = serve(|_| ResponseTemplate::new(500)).await;
    for filter in ["", "limit=1", "apikey=eq.x", "id"] {
        let error = filtered(&server, filter).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config, "{filter}");
        assert!(error.to_string().contains("tables.orders.filter"), "{error}");
    }
}
