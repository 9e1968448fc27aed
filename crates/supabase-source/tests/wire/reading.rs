//! Pages by key.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use migrate_core::catalog::{CATALOG_VERSION, Catalog, Column, ScalarKind, SourceType, TableKind, TableSchema};
use migrate_core::names::SourceKey;
use migrate_core::source::{Cursor, KeyRange, Page, PageRequest};
use migrate_core::value::Value;
use migrate_core::{ErrorKind, Source as _};
use serde_json::{Value as Json, json};
use supabase_source::SupabaseSource;
use wiremock::matchers::path;
use wiremock::{Mock, MockServer, Request, ResponseTemplate};

use crate::simulated::Simulated;
use crate::{fields, request, source, table};

fn definition() -> Json {
    let key = |format: &str| json!({ "format": format, "description": "Note:\nThis is a Primary Key.<pk/>" });
    json!({ "required": ["tenant", "code"], "properties": {
        "tenant": key("int64"),
        "code": key("text"),
        "meta": { "format": "jsonb" }
    } })
}

fn rows() -> Json {
    let meta = [json!(null), json!({ "json": null }), json!({ "json": { "a": 1 } })];
    let row = |tenant: i64, code: &str, meta: &Json| json!({ "tenant": tenant, "code": code, "meta": meta });
    let mut rows = Vec::new();
    for tenant in [1, 2, 9_223_372_036_854_775_807] {
        for (position, code) in ["", "a,b", "c\"d", "e+f g", "z\\", "é%"].iter().enumerate() {
            rows.push(row(tenant, code, &meta[position % 3]));
        }
    }
    json!(rows)
}

/// All pages of a range: the texts of their keys, and how many rows each had.
async fn walk(source: &SupabaseSource, first: PageRequest) -> (Vec<Vec<String>>, Vec<usize>) {
    let (mut keys, mut sizes) = (Vec::new(), Vec::new());
    let mut after = first.after.clone();
    loop {
        let Page { records, next, .. } = source.read_page(PageRequest { after, ..first.clone() }).await.unwrap();
        assert_eq!(records.is_empty(), next.is_none());
        sizes.push(records.len());
        keys.extend(records.iter().map(|record| record.texts(&record.shape.key).unwrap()));
        match next {
            Some(next) => after = Some(next),
            None => return (keys, sizes),
        }
    }
}

#[tokio::test]
async fn a_silent_cap_ends_no_range() {
    let server = Simulated::new(&rows(), 3).serve("items", definition()).await;
    let source = source(&server);
    let (keys, sizes) =
        walk(&source, request("items", &["tenant", "code"], &["tenant", "code", "meta"], None, 1000)).await;
    let expected: Vec<Vec<String>> = rows()
        .as_array()
        .unwrap()
        .iter()
        .map(|row| vec![row["tenant"].to_string(), row["code"].as_str().unwrap().to_owned()])
        .collect();
    assert_eq!(keys, expected);
    assert_eq!(sizes, [3, 3, 3, 3, 3, 3, 0]);
    assert_eq!(source.count(&table("items")).await.unwrap(), Some(18));
}

#[tokio::test]
async fn json_null_and_sql_null_arrive_apart() {
    let server = Simulated::new(&rows(), 1000).serve("items", definition()).await;
    let page = source(&server)
        .read_page(request("items", &["tenant", "code"], &["meta", "code", "tenant"], None, 3))
        .await
        .unwrap();
    let metas: Vec<&Value> = page.records.iter().map(|record| record.get("meta").unwrap()).collect();
    assert_eq!(metas, [&Value::Null, &Value::Json("null".into()), &Value::Json("{\"a\":1}".into())]);
    assert_eq!(page.records[0].shape.key, [2, 1]);
    assert_eq!(page.next, Some(Cursor(vec!["1".into(), "c\"d".into()])));
    assert!(page.bytes > 0);
}

#[tokio::test]
async fn partitions_are_disjoint_and_whole() {
    let server = Simulated::new(&rows(), 4).serve("items", definition()).await;
    let source = source(&server);
    for wanted in [1, 2, 5] {
        let ranges = source.partitions(&table("items"), &fields(&["tenant", "code"]), wanted).await.unwrap();
        assert_eq!(ranges.len(), wanted);
        let mut keys = Vec::new();
        for range in ranges {
            keys.extend(
                walk(
                    &source,
                    PageRequest { range, ..request("items", &["tenant", "code"], &["tenant", "code"], None, 1000) },
                )
                .await
                .0,
            );
        }
        assert_eq!(keys.len(), 18);
    }
    let range = KeyRange { lower: Some("2".into()), upper: Some("3".into()) };
    let (keys, _) =
        walk(&source, PageRequest { range, ..request("items", &["tenant", "code"], &["tenant", "code"], None, 2) })
            .await;
    assert!(keys.len() == 6 && keys.iter().all(|key| key[0] == "2"));
}

#[tokio::test]
async fn slow_pages_shrink_at_once_and_grow_back() {
    let rows: Vec<Json> = (0..200).map(|id| json!({ "id": id })).collect();
    let definition =
        json!({ "properties": { "id": { "format": "integer", "description": "Note:\nThis is a Primary Key.<pk/>" } } });
    let simulated = Simulated::new(&json!(rows), 1000);
    simulated.slow_above.store(5, Ordering::Relaxed);
    let server = simulated.serve("items", definition).await;
    let (keys, sizes) = walk(&source(&server), request("items", &["id"], &["id"], None, 20)).await;
    assert_eq!(keys.len(), 200);
    assert_eq!(sizes[..9], [5, 5, 5, 5, 5, 5, 5, 5, 3], "20 and 10 failed, 5 went; later 6 failed, 3 went");
    let asked: Vec<usize> = server
        .received_requests()
        .await
        .unwrap()
        .iter()
        .filter_map(|request| request.url.query_pairs().find(|(name, _)| name == "limit")?.1.parse().ok())
        .collect();
    assert_eq!(asked[..12], [20, 10, 5, 5, 5, 5, 5, 5, 5, 5, 6, 3], "it grew after 8 good pages, and halved again");
}

/// Bytes that are held of one answer: 16 MiB, and what comes with them.
#[tokio::test]
async fn pages_of_wide_rows_are_of_fewer() {
    let width = |id: usize| if id < 60 { 10 } else { 1 << 20 };
    let rows: Vec<Json> = (0..120).map(|id| json!({ "id": id, "text": "x".repeat(width(id)) })).collect();
    let definition = json!({ "properties": {
        "id": { "format": "integer", "description": "Note:\nThis is a Primary Key.<pk/>" },
        "text": { "format": "text" }
    } });
    let server = Simulated::new(&json!(rows), 1000).serve("items", definition).await;
    let source = source(&server);
    let first = request("items", &["id"], &["id", "text"], None, 60);
    let (mut after, mut pages) = (None, Vec::new());
    loop {
        let page = source.read_page(PageRequest { after, ..first.clone() }).await.unwrap();
        pages.push((page.records.len(), page.bytes >> 20));
        match page.next {
            Some(next) => after = Some(next),
            None => break,
        }
    }
    assert_eq!(pages.iter().map(|(rows, _)| rows).sum::<usize>(), 120);
    assert!(pages.iter().all(|(_, mebibytes)| *mebibytes <= 16), "{pages:?}");
    // 60 narrow ones; 60 wide ones are cut off, 15 are just within it, and from there on as many as 4 MiB hold.
    assert_eq!(pages[..4], [(60, 0), (15, 15), (3, 3), (3, 3)]);
    let keys: Vec<SourceKey> = (0..120).map(|id: u32| id.to_string().as_str().into()).collect();
    let found = source.fetch(&table("items"), &keys, &fields(&["id", "text"])).await.unwrap();
    assert!(found.iter().all(Option::is_some));
}

#[tokio::test]
async fn one_row_that_is_slow_for_a_moment_is_read_in_the_end() {
    let definition =
        json!({ "properties": { "id": { "format": "integer", "description": "Note:\nThis is a Primary Key.<pk/>" } } });
    for (slow_answers, is_read) in [(2, true), (3, false)] {
        let simulated = Simulated::new(&json!([{ "id": 1 }]), 1000);
        simulated.slow_answers.store(slow_answers, Ordering::Relaxed);
        let server = simulated.serve("items", definition.clone()).await;
        let page = source(&server).read_page(request("items", &["id"], &["id"], None, 1)).await;
        assert_eq!(page.is_ok(), is_read, "a page after {slow_answers} timeouts");

        let simulated = Simulated::new(&json!([{ "id": 1 }, { "id": 2 }]), 1000);
        simulated.slow_answers.store(1 + slow_answers, Ordering::Relaxed);
        let server = simulated.serve("items", definition.clone()).await;
        let keys = ["1".into(), "2".into()];
        let found = source(&server).fetch(&table("items"), &keys, &fields(&["id"])).await;
        assert_eq!(found.is_ok(), is_read, "rows by key after {slow_answers} timeouts of one");
    }
}

#[tokio::test]
async fn a_gateway_that_stopped_waiting_is_given_the_time_it_asks_for() {
    let asked = Arc::new(AtomicUsize::new(usize::MAX));
    let last = Arc::clone(&asked);
    let server = answering(move |request| {
        let limit = request.url.query_pairs().find(|(name, _)| name == "limit").unwrap().1.parse().unwrap();
        last.store(limit, Ordering::Relaxed);
        ResponseTemplate::new(504).insert_header("retry-after", "7").set_body_string("<html>")
    })
    .await;
    let source = source(&server);
    for limit in [100, 50, 25] {
        let error = source.read_page(request("items", &["id"], &["id"], None, 100)).await.unwrap_err();
        assert_eq!((error.kind(), error.retry_after()), (ErrorKind::TimedOut, Some(Duration::from_secs(7))));
        assert_eq!(asked.load(Ordering::Relaxed), limit, "one request, and the next one asks for half");
    }
}

#[tokio::test]
async fn one_row_that_is_too_slow_names_the_table_and_the_way_out() {
    let simulated = Simulated::new(&json!([{ "id": 1 }]), 1000);
    simulated.slow_above.store(0, Ordering::Relaxed);
    let definition =
        json!({ "properties": { "id": { "format": "integer", "description": "Note:\nThis is a Primary Key.<pk/>" } } });
    let server = simulated.serve("items", definition).await;
    let error = source(&server).read_page(request("items", &["id"], &["id"], None, 100)).await.unwrap_err();
    assert_eq!((error.kind(), error.code()), (ErrorKind::TooLarge, "57014"));
    let text = error.to_string();
    assert!(text.contains("table: items") && text.contains("statement_timeout = '60s'"), "{text}");
}

async fn answering(answer: impl Fn(&Request) -> ResponseTemplate + Send + Sync + 'static) -> MockServer {
    let server = MockServer::start().await;
    let document = json!({ "info": { "version": "12.0.2" }, "definitions": { "items": {
        "properties": { "id": { "format": "bigint", "description": "Note:\nThis is a Primary Key.<pk/>" } }
    }, "log": { "properties": { "line": { "format": "text" } } } } });
    let root = Mock::given(path("/rest/v1/"));
    root.respond_with(ResponseTemplate::new(200).set_body_json(document)).mount(&server).await;
    Mock::given(path("/rest/v1/items")).respond_with(answer).mount(&server).await;
    server
}

#[tokio::test]
async fn pages_that_would_never_end_are_refused() {
    let server = answering(|_| ResponseTemplate::new(200).set_body_string(r#"[{"id":1},{"id":2}]"#)).await;
    let source = source(&server);
    let first = source.read_page(request("items", &["id"], &["id"], None, 10)).await.unwrap();
    for (after, limit) in [(first.next.clone(), 10), (Some(Cursor(vec!["1".into()])), 10), (None, 1)] {
        let error = source.read_page(request("items", &["id"], &["id"], after, limit)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Protocol);
    }
    for after in ["5", "2", "1"] {
        let error = source.read_page(request("items", &["id"], &["id"], Some(Cursor(vec![after.into()])), 10)).await;
        assert_eq!(error.unwrap_err().kind(), ErrorKind::Protocol, "a page from before {after}");
    }
    let server = answering(|_| ResponseTemplate::new(200).set_body_string(r#"[{"id":2},{"id":1}]"#)).await;
    let error = crate::source(&server).read_page(request("items", &["id"], &["id"], None, 10)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Protocol, "{error}");
    let server = answering(|_| ResponseTemplate::new(200).set_body_string(r#"[{"id":1},{"id":1}]"#)).await;
    let error = crate::source(&server).read_page(request("items", &["id"], &["id"], None, 10)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Protocol);
}

#[tokio::test]
async fn instants_that_are_not_in_utc_for_sure_are_refused() {
    let document = json!({ "info": { "version": "11.2" }, "definitions": { "items": { "properties": {
        "id": { "format": "bigint", "description": "Note:\nThis is a Primary Key.<pk/>" },
        "at": { "format": "timestamp with time zone" }
    } } } });
    for (applied, is_read) in [("timezone=UTC", true), ("count=exact", false)] {
        let server = MockServer::start().await;
        let root = Mock::given(path("/rest/v1/"));
        root.respond_with(ResponseTemplate::new(200).set_body_json(&document)).mount(&server).await;
        let rows = ResponseTemplate::new(200)
            .insert_header("preference-applied", applied)
            .set_body_string(r#"[{"id":1,"at":"2024-01-01T00:00:00+00:00"}]"#);
        Mock::given(path("/rest/v1/items")).respond_with(rows).mount(&server).await;
        let source = source(&server);
        let page = source.read_page(request("items", &["id"], &["id", "at"], None, 10)).await;
        assert_eq!(page.is_ok(), is_read);
        if let Err(error) = page {
            assert_eq!(error.kind(), ErrorKind::Protocol);
            assert!(error.to_string().contains("table: items") && error.remedy().unwrap().contains("PostgREST 12"));
        }
    }
}

#[tokio::test]
async fn rows_of_a_view_whose_key_is_null_are_not_left_out_in_silence() {
    let server = MockServer::start().await;
    let rows = |request: &Request| {
        let is_search = request.url.query_pairs().any(|(name, value)| name == "or" && value == "(\"code\".is.null)");
        ResponseTemplate::new(200).set_body_string(if is_search { r#"[{"code":null}]"# } else { "[]" })
    };
    Mock::given(path("/rest/v1/items")).respond_with(rows).mount(&server).await;
    let column = Column::new("code".into(), SourceType::new("text", ScalarKind::Text));
    let view = TableSchema { kind: TableKind::View, columns: vec![column], ..TableSchema::new(table("items")) };
    let catalog = Catalog {
        version: CATALOG_VERSION,
        origin: String::new(),
        unknown: Vec::new(),
        differences: Vec::new(),
        tables: vec![view],
        inventory: Vec::new(),
    };
    let source = source(&server).with_catalog(&catalog);
    let error = source.read_page(request("items", &["code"], &["code"], None, 10)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(error.to_string().contains("table: items"), "{error}");
}

#[tokio::test]
async fn an_answer_that_is_cut_is_retried_not_trusted() {
    let server = answering(|_| ResponseTemplate::new(200).set_body_string(r#"[{"id":1}, {"id":"#)).await;
    let error = source(&server).read_page(request("items", &["id"], &["id"], None, 10)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    let short = |_: &Request| {
        ResponseTemplate::new(200).insert_header("content-range", "0-2/*").set_body_string(r#"[{"id":1}]"#)
    };
    let server = answering(short).await;
    let error = source(&server).read_page(request("items", &["id"], &["id"], None, 10)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
}

#[tokio::test]
async fn a_table_without_a_key_and_a_column_that_is_gone_are_named() {
    let server = answering(|_| ResponseTemplate::new(200).set_body_string("[]")).await;
    let error = source(&server).read_page(request("log", &[], &["line"], None, 10)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(error.to_string().contains("table: log"), "{error}");
    let error = source(&server).partitions(&table("log"), &[], 4).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    let error = source(&server).read_page(request("items", &["id"], &["id", "gone"], None, 10)).await.unwrap_err();
    assert!(error.to_string().contains("gone"), "{error}");
}
