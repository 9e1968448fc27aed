//! Any value that Convex can hold arrives as it is, and each of its limits holds to the byte.
//!
//! What is sent is read by a decoder of its own, written from the backend's `value/src/json/mod.rs`, and sizes are
//! counted by a formula of its own, written from `value/src/size.rs`.

#![expect(clippy::unwrap_used, reason = "tests may unwrap, and so may what they share")]

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use convex_sink::{ConvexSettings, ConvexSink};
use migrate_core::Sink;
use migrate_core::names::{FieldName, SourceKey, TableName};
use migrate_core::record::{Record, RecordShape, RejectCode};
use migrate_core::sink::{WriteBatch, WriteMode, WriteOutcome, WriteRecord};
use migrate_core::value::Value;
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use proptest::sample::select;
use secrecy::SecretString;
use serde_json::json;
use serde_json::value::RawValue;
use tokio::runtime::Runtime;
use wiremock::matchers::method;
use wiremock::{Mock, MockServer, Request, Respond, ResponseTemplate};

const MEBIBYTE: usize = 1024 * 1024;
const KEY: &str = "key";
/// `supabaseId` and the key's text, `_id` with 32 characters, `_creationTime` with a double, and the document itself.
const EMPTY_DOCUMENT: usize = (10 + 1 + 2 + KEY.len()) + (3 + 1 + 2 + 32) + (13 + 1 + 9) + 2;

type Entries<'a> = BTreeMap<String, &'a RawValue>;

/// A deployment that takes everything and keeps what came last.
#[derive(Clone, Default)]
struct Keeper(Arc<Mutex<Vec<u8>>>);

impl Keeper {
    /// The records of the last call, as their JSON; none where nothing was sent.
    fn records(&self) -> Vec<Box<RawValue>> {
        let body = std::mem::take(&mut *self.0.lock().unwrap());
        if body.is_empty() { Vec::new() } else { records_of(&body) }
    }
}

fn records_of(body: &[u8]) -> Vec<Box<RawValue>> {
    let call: Entries<'_> = serde_json::from_slice(body).unwrap();
    let args: Entries<'_> = serde_json::from_str(call["args"].get()).unwrap();
    serde_json::from_str(args["records"].get()).unwrap()
}

impl Respond for Keeper {
    fn respond(&self, request: &Request) -> ResponseTemplate {
        let written = vec![json!({ "id": "j1", "outcome": "inserted" }); records_of(&request.body).len()];
        self.0.lock().unwrap().clone_from(&request.body);
        ResponseTemplate::new(200).set_body_json(json!({ "status": "success", "value": written }))
    }
}

struct Deployment {
    runtime: Runtime,
    keeper: Keeper,
    sink: ConvexSink,
    _server: MockServer,
}

/// A sink with a deployment of its own.
fn deployment() -> Deployment {
    let runtime = Runtime::new().unwrap();
    let keeper = Keeper::default();
    let server = runtime.block_on(async {
        let server = MockServer::start().await;
        Mock::given(method("POST")).respond_with(keeper.clone()).mount(&server).await;
        server
    });
    let settings = ConvexSettings::new(server.uri(), SecretString::from("prod:happy-animal-123|key"));
    Deployment { sink: ConvexSink::new(settings).unwrap(), runtime, keeper, _server: server }
}

static SINK: LazyLock<ConvexSink> = LazyLock::new(|| {
    ConvexSink::new(ConvexSettings::new("https://happy-animal-123.convex.cloud", SecretString::from("prod:a|b")))
        .unwrap()
});

impl Deployment {
    /// Writes records, and gives the outcomes and what was sent.
    fn write(&self, records: &[WriteRecord]) -> (Vec<WriteOutcome>, Vec<Box<RawValue>>) {
        let table: TableName = "things".parse().unwrap();
        let batch = WriteBatch { table: &table, mode: WriteMode::Upsert, records };
        let outcomes = self.runtime.block_on(self.sink.write_batch(batch)).unwrap();
        (outcomes, self.keeper.records())
    }
}

fn record(fields: Vec<(String, Value)>) -> WriteRecord {
    let (names, values): (Vec<String>, Vec<Value>) = fields.into_iter().unzip();
    let shape = RecordShape {
        table: "things".parse().unwrap(),
        fields: names.into_iter().map(FieldName::new).collect(),
        key: Vec::new(),
    };
    WriteRecord { key: SourceKey::from(KEY), id: None, record: Record { shape: Arc::new(shape), values } }
}

fn one(name: &str, value: Value) -> WriteRecord {
    record(vec![(name.to_owned(), value)])
}

/// Reads a value in its encoded form.
fn decode(text: &str) -> Value {
    match text.as_bytes()[0] {
        b'n' => Value::Null,
        b't' => Value::Bool(true),
        b'f' => Value::Bool(false),
        b'"' => Value::text(serde_json::from_str::<String>(text).unwrap()),
        b'[' => {
            let items: Vec<&RawValue> = serde_json::from_str(text).unwrap();
            Value::Array(items.into_iter().map(|item| decode(item.get())).collect())
        }
        b'{' => {
            let entries: Entries<'_> = serde_json::from_str(text).unwrap();
            match entries.iter().next() {
                Some((tag, value)) if tag.starts_with('$') => {
                    assert_eq!(entries.len(), 1, "a tag stands alone");
                    tagged(tag, &serde_json::from_str::<String>(value.get()).unwrap())
                }
                _ => Value::Object(entries.into_iter().map(|(key, value)| (key.into(), decode(value.get()))).collect()),
            }
        }
        _ => Value::Float64(text.parse().unwrap()),
    }
}

fn tagged(tag: &str, text: &str) -> Value {
    let bytes = STANDARD.decode(text).unwrap();
    let eight = || <[u8; 8]>::try_from(bytes.as_slice()).unwrap();
    match tag {
        "$integer" => Value::Int64(i64::from_le_bytes(eight())),
        "$float" => {
            let double = f64::from_le_bytes(eight());
            let is_special = !double.is_finite() || (double == 0.0 && double.is_sign_negative());
            assert!(is_special, "the backend refuses `$float` for {double}");
            Value::Float64(double)
        }
        "$bytes" => Value::Bytes(bytes.into()),
        other => panic!("Convex has no tag {other}"),
    }
}

/// The value as Convex keeps it: without absent fields, keys in order, doubles by their bits.
fn kept(value: &Value) -> String {
    match value {
        Value::Float64(double) => format!("double {:016x}", double.to_bits()),
        Value::Array(items) => format!("[{}]", items.iter().map(kept).collect::<Vec<_>>().join(", ")),
        Value::Object(entries) => {
            let present = entries.iter().filter(|(_, value)| !matches!(value, Value::Absent));
            let sorted: BTreeMap<&str, String> = present.map(|(key, value)| (&**key, kept(value))).collect();
            format!("{sorted:?}")
        }
        other => format!("{other:?}"),
    }
}

/// The size of a value by Convex's formula.
fn size(value: &Value) -> usize {
    match value {
        Value::Null | Value::Bool(_) => 1,
        Value::Int64(_) | Value::Float64(_) => 9,
        Value::Text(text) => 2 + text.len(),
        Value::Bytes(bytes) => 2 + bytes.len(),
        Value::Array(items) => 2 + items.iter().map(size).sum::<usize>(),
        Value::Object(entries) => {
            let present = entries.iter().filter(|(_, value)| !matches!(value, Value::Absent));
            2 + present.map(|(key, value)| key.len() + 1 + size(value)).sum::<usize>()
        }
        other => panic!("Convex has no value that is {}", other.kind()),
    }
}

fn document_size(fields: &[(String, Value)]) -> usize {
    let present = fields.iter().filter(|(_, value)| !matches!(value, Value::Absent));
    EMPTY_DOCUMENT + present.map(|(name, value)| name.len() + 1 + size(value)).sum::<usize>()
}

fn scalar() -> impl Strategy<Value = Value> {
    let edges =
        select(vec![0.0, -0.0, 5e-324, 1e308, f64::MAX, f64::NAN, f64::INFINITY, 9_007_199_254_740_993.0, 1e21]);
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::Int64),
        select(vec![i64::MIN, i64::MAX, 0, -1]).prop_map(Value::Int64),
        proptest::num::f64::ANY.prop_map(Value::Float64),
        edges.prop_map(Value::Float64),
        any::<String>().prop_map(Value::text),
        select(vec!["\u{7f}", "\u{2028}\u{2029}", "\0", "\u{feff}", "\u{10ffff}", "</script>", "\\\""])
            .prop_map(Value::text),
        vec(any::<u8>(), 0..40).prop_map(|bytes| Value::Bytes(bytes.into())),
    ]
}

/// A key that Convex takes: printable ASCII, led by neither `$` nor `_`.
const OBJECT_KEY: &str = "[ -#%-^`-~][ -~]{0,12}";

fn any_value() -> impl Strategy<Value = Value> {
    scalar().prop_recursive(6, 60, 8, |inner| {
        let entry = prop_oneof![4 => inner.clone(), 1 => Just(Value::Absent)];
        prop_oneof![
            vec(inner, 0..8).prop_map(Value::Array),
            btree_map(OBJECT_KEY, entry, 0..8).prop_map(|entries| Value::Object(
                entries.into_iter().map(|(key, value)| (key.into(), value)).collect()
            )),
        ]
    })
}

fn any_fields() -> impl Strategy<Value = Vec<(String, Value)>> {
    let value = prop_oneof![6 => any_value(), 1 => Just(Value::Absent)];
    btree_map("[a-z][A-Za-z0-9_]{0,20}", value, 0..6).prop_map(|fields| fields.into_iter().collect())
}

#[test]
fn any_record_arrives_as_it_is() {
    let deployment = deployment();
    let cases = ProptestConfig { failure_persistence: None, ..ProptestConfig::default() };
    proptest!(cases, |(records in vec(any_fields(), 1..4))| {
        let written: Vec<WriteRecord> = records.iter().cloned().map(record).collect();
        let (outcomes, sent) = deployment.write(&written);
        let all_written = outcomes.iter().all(|outcome| matches!(outcome, WriteOutcome::Written { .. }));
        prop_assert!(all_written);
        prop_assert_eq!(sent.len(), records.len());
        for (fields, sent) in records.into_iter().zip(sent) {
            let entries = fields.into_iter().map(|(name, value)| (name.into(), value));
            let wanted = Value::Object(std::iter::once(("supabaseId".into(), Value::text(KEY))).chain(entries).collect());
            prop_assert_eq!(kept(&decode(sent.get())), kept(&wanted));
        }
    });
}

/// A record at a limit, and one that is over it by as little as can be.
#[derive(Debug, Clone)]
struct AtLimit {
    most: WriteRecord,
    over: WriteRecord,
    code: RejectCode,
}

/// Exactly one mebibyte of any fields and a text or bytes that fill them up.
fn bytes_limit() -> impl Strategy<Value = AtLimit> {
    (any_fields(), any::<bool>(), select(vec!['x', '\u{7f}', '"', '\u{2028}', '😀']), 1_usize..2000).prop_map(
        |(mut fields, is_text, character, more)| {
            fields.retain(|(name, _)| name != "filler");
            let room = MEBIBYTE - document_size(&fields) - ("filler".len() + 1) - 2;
            let filled = |length: usize| {
                let filler = if is_text {
                    let mut text = character.to_string().repeat(length / character.len_utf8());
                    text.push_str(&".".repeat(length % character.len_utf8()));
                    Value::text(text)
                } else {
                    Value::Bytes(vec![0xff; length].into())
                };
                record(fields.iter().cloned().chain([("filler".to_owned(), filler)]).collect())
            };
            AtLimit { most: filled(room), over: filled(room + more), code: RejectCode::DocumentTooLarge }
        },
    )
}

fn items_limit() -> impl Strategy<Value = AtLimit> {
    let small =
        select(vec![Value::Null, Value::Bool(true), Value::Int64(7), Value::text("ü"), Value::Array(Vec::new())]);
    (small, 1_usize..50, any::<bool>()).prop_map(|(item, more, is_nested)| {
        let list = |length| {
            let items = Value::Array(vec![item.clone(); length]);
            one("a", if is_nested { Value::Object(vec![("list".into(), items)]) } else { items })
        };
        AtLimit { most: list(8192), over: list(8192 + more), code: RejectCode::ArrayTooLong }
    })
}

/// Fields of an object count, absent ones do not; the document's own three count too.
fn fields_limit() -> impl Strategy<Value = AtLimit> {
    (any::<bool>(), 0_usize..20, 1_usize..20).prop_map(|(is_document, absent, more)| {
        let entries = |present: usize| -> Vec<(String, Value)> {
            let value = |number| if number < present { Value::Bool(true) } else { Value::Absent };
            (0..present + absent).map(|number| (format!("f{number}"), value(number))).collect()
        };
        let of = |present: usize| {
            if is_document {
                return record(entries(present - 3));
            }
            let entries = entries(present).into_iter().map(|(name, value)| (name.into(), value));
            one("o", Value::Object(entries.collect()))
        };
        AtLimit { most: of(1024), over: of(1024 + more), code: RejectCode::TooManyFields }
    })
}

/// Arrays and objects inside each other, in any order; the document is the first level.
fn nesting_limit() -> impl Strategy<Value = AtLimit> {
    (vec(any::<bool>(), 40), 1_usize..25, scalar()).prop_map(|(is_array, more, inner)| {
        let nested = |levels: usize| {
            let value = is_array.iter().take(levels).fold(inner.clone(), |inner, is_array| {
                if *is_array { Value::Array(vec![inner]) } else { Value::Object(vec![("k".into(), inner)]) }
            });
            one("a", value)
        };
        AtLimit { most: nested(15), over: nested(15 + more), code: RejectCode::TooDeep }
    })
}

fn name_limit() -> impl Strategy<Value = AtLimit> {
    let nested = |key: String| one("o", Value::Object(vec![(key.into(), Value::Null)]));
    let keys = ("[ -#%-^`-~][ -~]{1023}", "[ -~]{1,9}").prop_map(move |(key, more)| AtLimit {
        over: nested(format!("{key}{more}")),
        most: nested(key),
        code: RejectCode::FieldNameInvalid,
    });
    let names = ("[a-z][A-Za-z0-9_]{63}", "[a-z0-9_]{1,9}").prop_map(|(name, more)| AtLimit {
        over: one(&format!("{name}{more}"), Value::Null),
        most: one(&name, Value::Null),
        code: RejectCode::FieldNameInvalid,
    });
    prop_oneof![keys, names]
}

fn any_limit() -> impl Strategy<Value = AtLimit> {
    prop_oneof![bytes_limit(), items_limit(), fields_limit(), nesting_limit(), name_limit()]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn sizes_are_convexs(fields in any_fields()) {
        prop_assert_eq!(SINK.measure(&record(fields.clone())).unwrap(), document_size(&fields));
    }

    #[test]
    fn a_limit_holds_exactly(limit in any_limit()) {
        prop_assert_eq!(SINK.measure(&limit.most).err(), None);
        prop_assert_eq!(SINK.measure(&limit.over).unwrap_err().code, limit.code);
    }

    #[test]
    fn one_mebibyte_is_the_most(limit in bytes_limit()) {
        prop_assert_eq!(SINK.measure(&limit.most).unwrap(), MEBIBYTE);
    }

    #[test]
    fn what_convex_has_no_kind_for_is_refused(
        fields in any_fields(),
        bad in select(vec![
            Value::Decimal("1.5".into()),
            Value::Json("{}".into()),
            Value::Array(vec![Value::Absent]),
            Value::Object(vec![("a".into(), Value::Null), ("a".into(), Value::Null)]),
        ]),
    ) {
        let fields = fields.into_iter().filter(|(name, _)| name != "bad").chain([("bad".to_owned(), bad)]).collect();
        let error = SINK.measure(&record(fields)).unwrap_err();
        prop_assert_eq!(error.code, RejectCode::NotRepresentable);
        prop_assert_eq!(error.field, Some(FieldName::from("bad")));
    }
}

#[test]
fn a_record_over_a_limit_is_not_sent_and_its_neighbours_are() {
    let deployment = deployment();
    let cases = ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() };
    proptest!(cases, |(limit in any_limit(), neighbour in any_fields())| {
        let neighbour = record(neighbour);
        let (outcomes, sent) = deployment.write(&[neighbour.clone(), limit.over, limit.most, neighbour]);
        let codes: Vec<Option<RejectCode>> = outcomes
            .iter()
            .map(|outcome| match outcome {
                WriteOutcome::Written { .. } => None,
                WriteOutcome::Rejected(error) => Some(error.code),
            })
            .collect();
        prop_assert_eq!(codes, [None, Some(limit.code), None, None]);
        prop_assert_eq!(sent.len(), 3);
    });
}
