//! Whatever a project answers, a read ends in `Ok` or `Err`, and no error repeats what came: it may hold rows.

use std::fmt::Write as _;
use std::sync::{Arc, Mutex};

use migrate_core::names::SourceKey;
use migrate_core::source::Cursor;
use migrate_core::{Error, Source as _};
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value as Json, json};
use supabase_source::SupabaseProbe;
use tokio::runtime::Runtime;
use wiremock::matchers::any as any_request;
use wiremock::{Mock, MockServer, Request, Respond, ResponseTemplate};

use crate::{SECRET, fields, request, settings, source, table};

const CANARY: &str = "CANARY value";

/// The columns of `things`, whose types are read each in its own way.
const COLUMNS: [(&str, &str); 10] = [
    ("id", "bigint"),
    ("name", "text"),
    ("meta", "jsonb"),
    ("total", "numeric"),
    ("ratio", "double precision"),
    ("at", "timestamp with time zone"),
    ("photo", "bytea"),
    ("is_on", "boolean"),
    ("tags", "text[]"),
    ("numbers", "bigint[]"),
];

/// The document of a project with `things`, which has a key, and `heap`, which has none.
fn document() -> Json {
    let properties: serde_json::Map<String, Json> = COLUMNS
        .iter()
        .map(|(name, format)| {
            let note = if *name == "id" { "Note:\nThis is a Primary Key.<pk/>" } else { "" };
            ((*name).to_owned(), json!({ "format": format, "description": note }))
        })
        .collect();
    let heap = json!({ "properties": { "name": { "format": "text" } } });
    json!({
        "swagger": "2.0", "info": { "version": "12.0.2" },
        "definitions": { "things": { "required": ["id"], "properties": properties }, "heap": heap },
    })
}

/// Answers the requests for rows with one thing, and those at the root with another.
#[derive(Clone)]
struct Answering(Arc<Mutex<[ResponseTemplate; 2]>>);

impl Respond for Answering {
    fn respond(&self, request: &Request) -> ResponseTemplate {
        let [root, rows] = &*self.0.lock().unwrap();
        if request.url.path() == "/rest/v1/" { root.clone() } else { rows.clone() }
    }
}

/// The errors of every kind of read.
async fn errors(server: &MockServer) -> Vec<Error> {
    let source = source(server);
    let names: Vec<&str> = COLUMNS.iter().map(|(name, _)| *name).collect();
    let page = |after: Option<Cursor>| source.read_page(request("things", &["id"], &names, after, 10));
    let after = Some(Cursor(vec!["5".to_owned()]));
    let probe = SupabaseProbe::new(settings(server)).unwrap();
    [
        page(None).await.err(),
        page(after).await.err(),
        source.read_page(request("heap", &["ctid"], &["name", "ctid"], None, 10)).await.err(),
        source.count(&table("things")).await.err(),
        source.count(&table("unknown")).await.err(),
        source.partitions(&table("things"), &fields(&["id"]), 4).await.err(),
        source.fetch(&table("things"), &[SourceKey::from("1")], &fields(&names)).await.err(),
        source.check().await.err(),
        source.discover().await.err(),
        probe.data_api("public").await.err(),
        probe.admin().await.err(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// All that an error shows, with its causes.
fn shown(error: &Error) -> String {
    let mut shown = format!("{error} {error:?}");
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        write!(shown, " {cause} {cause:?}").unwrap();
        source = cause.source();
    }
    shown
}

fn any_value() -> impl Strategy<Value = Json> {
    let texts =
        select(vec![CANARY, "2024-01-01T00:00:00+00:00", "\\x00ff", "\\xg", "\\x€", "NaN", "Infinity", "{}", "1"]);
    let leaf = prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::from),
        any::<i64>().prop_map(Json::from),
        any::<f64>().prop_map(Json::from),
        texts.prop_map(Json::from),
        any::<String>().prop_map(Json::from),
    ];
    // Keys of PostgREST's errors and of the OpenAPI document. Names of tables are no secret, so none is the canary.
    let keys = [
        "code",
        "message",
        "hint",
        "details",
        "info",
        "version",
        "definitions",
        "properties",
        "required",
        "format",
        "enum",
        "default",
        "description",
        "users",
    ];
    leaf.prop_recursive(5, 32, 6, move |inner| {
        let key = prop_oneof![4 => select(keys.to_vec()).prop_map(str::to_owned), 1 => "[a-z]{1,5}"];
        prop_oneof![
            vec(inner.clone(), 0..9).prop_map(Json::from),
            btree_map(key, inner, 0..6).prop_map(|entries| Json::Object(entries.into_iter().collect())),
        ]
    })
}

/// Rows that have the columns asked for, but for one now and then, with any values.
fn any_rows() -> impl Strategy<Value = Json> {
    // A JSON column comes as text, under the name that was asked for.
    let row = (vec(any_value(), COLUMNS.len()), 0..40_usize).prop_map(|(values, left_out)| {
        let named = COLUMNS.iter().map(|(name, _)| *name).zip(values).enumerate();
        let kept = named.filter(|(index, _)| *index != left_out);
        let entries = kept.map(|(index, (name, value))| {
            (if name == "meta" { format!("json_text_{index}") } else { name.to_owned() }, value)
        });
        Json::Object(entries.collect())
    });
    let heap = any_value().prop_map(|value| json!({ "name": value, "ctid": "(0,1)", "tableoid": "1" }));
    prop_oneof![3 => vec(row, 0..4), 1 => vec(heap, 0..3)].prop_map(Json::from)
}

/// Errors of the data API, with codes that the server's own words may not be passed on for.
fn any_failure() -> impl Strategy<Value = Json> {
    let codes = select(vec![
        "PGRST000",
        "PGRST100",
        "PGRST125",
        "22P02",
        "23505",
        "P0001",
        "PT404",
        "54000",
        "XX000",
        "39P03",
        "42501",
        "CANARY value",
        "",
    ]);
    (codes, any_value())
        .prop_map(|(code, more)| json!({ "code": code, "message": CANARY, "hint": CANARY, "details": more }))
}

fn any_body() -> impl Strategy<Value = Vec<u8>> {
    let whole = prop_oneof![2 => any_value(), 4 => any_rows(), 3 => any_failure()]
        .prop_map(|json| json.to_string().into_bytes());
    let cut = (whole.clone(), any::<prop::sample::Index>()).prop_map(|(mut body, end)| {
        body.truncate(end.index(body.len().max(1)));
        body
    });
    prop_oneof![6 => whole, 2 => cut, 1 => vec(any::<u8>(), 0..200)]
}

fn any_headers() -> impl Strategy<Value = Vec<(&'static str, &'static str)>> {
    let ranges = vec![
        "0-0/1",
        "*/0",
        "*/*",
        "0-1/2",
        "5-2/1",
        "0-18446744073709551615/1",
        "-1-/x",
        "/",
        "0/9999999999999999999999",
    ];
    let header = prop_oneof![
        3 => select(ranges).prop_map(|value| ("content-range", value)),
        2 => Just(("preference-applied", "timezone=UTC")),
        1 => select(vec!["3", "-1", "99999999999999999999", "soon"]).prop_map(|value| ("retry-after", value)),
        1 => select(vec!["PostgREST; error=PGRST205", "error=", ";;", "x; error=CANARY value"])
            .prop_map(|value| ("proxy-status", value)),
        1 => select(vec!["", "Fri, 99 Zzz", "Wed, 21 Oct 2015 07:28:00 GMT"]).prop_map(|value| ("date", value)),
    ];
    vec(header, 0..4)
}

fn any_answer() -> impl Strategy<Value = ResponseTemplate> {
    let status = prop_oneof![
        3 => Just(200_u16),
        1 => Just(206),
        2 => select(vec![201, 204, 400, 401, 402, 403, 404, 414, 416, 418, 429, 500, 502, 503, 504, 522, 540, 544]),
    ];
    (status, any_headers(), any_body()).prop_map(|(status, headers, body)| {
        let answer = ResponseTemplate::new(status).set_body_raw(body, "application/json");
        headers.into_iter().fold(answer, |answer, (name, value)| answer.insert_header(name, value))
    })
}

#[test]
fn any_answer_is_taken_or_refused_without_repeating_it() {
    let runtime = Runtime::new().unwrap();
    let good = ResponseTemplate::new(200).set_body_json(document());
    let answering = Answering(Arc::new(Mutex::new([good.clone(), ResponseTemplate::new(200)])));
    let server = runtime.block_on(async {
        let server = MockServer::start().await;
        Mock::given(any_request()).respond_with(answering.clone()).mount(&server).await;
        server
    });
    let cases = ProptestConfig { failure_persistence: None, ..ProptestConfig::default() };
    let root = prop_oneof![3 => Just(good), 1 => any_answer()];
    proptest!(cases, |(root in root, rows in any_answer())| {
        *answering.0.lock().unwrap() = [root, rows];
        for error in runtime.block_on(errors(&server)) {
            let shown = shown(&error);
            prop_assert!(!shown.contains("CANARY") && !shown.contains(SECRET), "{}", shown);
        }
    });
}
