//! Rows without a key, by their place.

use std::sync::Mutex;

use migrate_core::source::{Cursor, KeyRange, Page, PageRequest};
use migrate_core::{ErrorKind, Source as _};
use serde_json::{Value as Json, json};
use supabase_source::SupabaseSource;
use wiremock::matchers::{method, path};
use wiremock::{Mock, MockServer, Request, Respond, ResponseTemplate};

use crate::{fields, request, source, table};

type Place = (u64, u32);

/// A table of places, served as Postgres does: by windows, in order where one is asked for, else in any.
struct Heap {
    /// Places with the table that stores the row.
    rows: Vec<(Place, u32)>,
    /// Rows of an answer at most.
    cap: usize,
    /// Blocks that a statement may read; more answer 57014.
    slow_above: u64,
    /// How many blocks the statements read.
    read: Mutex<Vec<u64>>,
}

fn place(text: &str) -> Place {
    let (block, number) = text.trim_matches(['(', ')']).split_once(',').unwrap();
    (block.parse().unwrap(), number.parse().unwrap())
}

impl Heap {
    fn new(rows: impl IntoIterator<Item = Place>) -> Self {
        let rows = rows.into_iter().map(|place| (place, 16_900)).collect();
        Self { rows, cap: 1000, slow_above: u64::MAX, read: Mutex::default() }
    }

    async fn serve(self) -> MockServer {
        let server = MockServer::start().await;
        let document =
            json!({ "info": {}, "definitions": { "log": { "properties": { "line": { "format": "text" } } } } });
        let root = Mock::given(method("GET")).and(path("/rest/v1/"));
        root.respond_with(ResponseTemplate::new(200).set_body_json(document)).mount(&server).await;
        Mock::given(path("/rest/v1/log")).respond_with(self).mount(&server).await;
        server
    }
}

impl Respond for Heap {
    fn respond(&self, request: &Request) -> ResponseTemplate {
        let (mut rows, mut limit, mut order) = (self.rows.clone(), usize::MAX, String::new());
        let mut select: Vec<String> = Vec::new();
        let (mut from, mut to) = (0, self.rows.iter().map(|row| row.0.0 + 1).max().unwrap_or(0));
        for (name, value) in request.url.query_pairs() {
            match &*name {
                "select" => select = value.split(',').map(|name| name.trim_matches('"').to_owned()).collect(),
                "limit" => limit = value.parse().unwrap(),
                "order" => order = value.into_owned(),
                column => {
                    let (operator, operand) = value.split_once('.').unwrap();
                    if column == "\"ctid\"" {
                        match operator {
                            "gt" | "gte" => from = from.max(place(operand).0),
                            "lt" => to = to.min(place(operand).0),
                            _ => {}
                        }
                    }
                    rows.retain(|(row, stored_in)| {
                        let compared = match column {
                            "\"ctid\"" => row.cmp(&place(operand)),
                            "\"tableoid\"" => stored_in.cmp(&operand.parse().unwrap()),
                            other => panic!("a filter on {other}"),
                        };
                        match operator {
                            "gt" => compared.is_gt(),
                            "gte" => compared.is_ge(),
                            "lt" => compared.is_lt(),
                            "eq" => compared.is_eq(),
                            other => panic!("an operator {other}"),
                        }
                    });
                }
            }
        }
        match order.as_str() {
            // A search stops at any row.
            "" => rows.reverse(),
            "\"ctid\".desc" => rows.sort_by_key(|row| std::cmp::Reverse(row.0)),
            "\"ctid\".asc" | "\"ctid\".asc,\"tableoid\".asc" => rows.sort_unstable(),
            "\"tableoid\".asc" => rows.sort_by_key(|row| row.1),
            other => panic!("an order of {other}"),
        }
        self.read.lock().unwrap().push(to.saturating_sub(from));
        if to.saturating_sub(from) > self.slow_above {
            return ResponseTemplate::new(500).set_body_json(json!({ "code": "57014", "message": "too long" }));
        }
        rows.truncate(limit.min(self.cap));
        let row = |((block, number), stored_in): &(Place, u32)| {
            let place = format!("({block},{number})");
            let value = |name: &str| if name == "tableoid" { stored_in.to_string() } else { place.clone() };
            select.iter().map(|name| (name.clone(), Json::String(value(name)))).collect::<serde_json::Map<_, _>>()
        };
        ResponseTemplate::new(200).set_body_json(rows.iter().map(row).collect::<Vec<_>>())
    }
}

#[tokio::test]
async fn pages_that_go_back_are_refused() {
    let server = MockServer::start().await;
    let document = json!({ "info": {}, "definitions": { "log": { "properties": { "line": { "format": "text" } } } } });
    let root = Mock::given(path("/rest/v1/"));
    root.respond_with(ResponseTemplate::new(200).set_body_json(document)).mount(&server).await;
    let rows = json!([{ "ctid": "(3,1)", "tableoid": "1" }, { "ctid": "(3,2)", "tableoid": "1" }]);
    let repeated = ResponseTemplate::new(200).set_body_json(rows);
    Mock::given(path("/rest/v1/log")).respond_with(repeated).mount(&server).await;
    let source = source(&server);
    let from = |place: &str| request("log", &["ctid"], &["ctid"], Some(Cursor(vec![place.to_owned()])), 10);
    assert_eq!(source.read_page(from("(3,0)")).await.unwrap().records.len(), 2);
    for place in ["(3,1)", "(3,2)", "(4,7)"] {
        let error = source.read_page(from(place)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Protocol, "rows of (3,1) after {place}: {error}");
    }
}

async fn walk(source: &SupabaseSource, first: PageRequest) -> Vec<Vec<String>> {
    let (mut keys, mut after) = (Vec::new(), first.after.clone());
    loop {
        let Page { records, next, .. } = source.read_page(PageRequest { after, ..first.clone() }).await.unwrap();
        for record in &records {
            assert_eq!(record.values.len(), first.columns.len());
            keys.push(record.texts(&record.shape.key).unwrap());
        }
        match next {
            Some(next) => after = Some(next),
            None => return keys,
        }
    }
}

fn by_place(limit: usize) -> PageRequest {
    request("log", &["ctid"], &["ctid", "line"], None, limit)
}

fn texts(rows: &[Place]) -> Vec<Vec<String>> {
    rows.iter().map(|(block, number)| vec![format!("({block},{number})")]).collect()
}

#[tokio::test]
async fn every_row_comes_once_whatever_is_dead_and_wherever_answers_are_cut() {
    let dense: Vec<Place> = (0..40).flat_map(|block| (1..60).map(move |number| (block, number))).collect();
    let holes: Vec<Place> = [(7, 3), (7, 9), (5_000, 1), (5_001, 200), (90_000, 1), (4_294_967_294, 1)].to_vec();
    let mixed: Vec<Place> = dense.iter().copied().chain(holes.iter().copied().filter(|row| row.0 > 40)).collect();
    for rows in [Vec::new(), dense, holes, mixed] {
        for (cap, limit) in [(1000, 1000), (1000, 100), (7, 1000), (1, 10)] {
            if cap == 1 && rows.len() > 100 {
                continue;
            }
            let server = Heap { cap, ..Heap::new(rows.clone()) }.serve().await;
            assert_eq!(walk(&source(&server), by_place(limit)).await, texts(&rows), "cap {cap}, limit {limit}");
        }
    }
}

#[tokio::test]
async fn statements_that_take_too_long_become_narrower() {
    let rows: Vec<Place> = [(3, 1), (20_000, 1), (20_040, 1), (300_000, 2)].to_vec();
    let server = Heap { slow_above: 3_000, ..Heap::new(rows.clone()) }.serve().await;
    assert_eq!(walk(&source(&server), by_place(1000)).await, texts(&rows));
    let heap = Heap { slow_above: 0, ..Heap::new(rows) }.serve().await;
    let error = source(&heap).read_page(by_place(1000)).await.unwrap_err();
    assert_eq!((error.kind(), error.code()), (ErrorKind::TooLarge, "57014"));
}

#[tokio::test]
async fn ranges_of_blocks_are_disjoint_and_whole() {
    let rows: Vec<Place> = (0..30).flat_map(|block| (1..9).map(move |number| (block, number))).collect();
    let server = Heap::new(rows.clone()).serve().await;
    let source = source(&server);
    let ranges = source.partitions(&table("log"), &fields(&["ctid"]), 4).await.unwrap();
    assert_eq!(ranges.len(), 4);
    let mut read = Vec::new();
    for range in ranges {
        read.extend(walk(&source, PageRequest { range, ..by_place(20) }).await);
    }
    assert_eq!(read, texts(&rows));
    for text in ["5", "(1,7)"] {
        let range = KeyRange { lower: Some(text.to_owned()), upper: None };
        let error = source.read_page(PageRequest { range, ..by_place(20) }).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config);
        let after = (text == "5").then(|| Cursor(vec![text.to_owned()]));
        if after.is_some() {
            let error = source.read_page(PageRequest { after, ..by_place(20) }).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Config);
        }
    }
}

#[tokio::test]
async fn partitions_repeat_places_and_are_told_apart() {
    let rows: Vec<(Place, u32)> = (0..6)
        .flat_map(|block| (1..5).flat_map(move |number| (1..4).map(move |child| ((block, number), child))))
        .collect();
    for (cap, limit) in [(1000, 1000), (1000, 7), (5, 10), (1, 10)] {
        let server = Heap { rows: rows.clone(), cap, ..Heap::new([]) }.serve().await;
        let source = source(&server);
        let both = request("log", &["tableoid", "ctid"], &["tableoid", "ctid"], None, limit);
        let keys = walk(&source, both.clone()).await;
        let expected =
            rows.iter().map(|((block, number), child)| vec![child.to_string(), format!("({block},{number})")]);
        assert!(keys.iter().cloned().eq(expected), "cap {cap}, limit {limit}");
        assert_eq!(source.partitions(&table("log"), &both.key, 4).await.unwrap(), [KeyRange::all()]);
        let alone = source.read_page(by_place(limit)).await;
        if cap > 1 {
            let error = alone.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Config);
            assert!(error.to_string().contains("partitions or children"), "{error}");
        }
    }
}
