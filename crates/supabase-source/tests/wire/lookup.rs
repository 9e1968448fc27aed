//! Rows by key, many at once.

use migrate_core::names::{FieldName, SourceKey};
use migrate_core::value::Value;
use migrate_core::{ErrorKind, Source as _};
use serde_json::{Value as Json, json};

use crate::simulated::Simulated;
use crate::{source, table};

fn keyed(columns: &[(&str, &str)]) -> Json {
    let properties: serde_json::Map<String, Json> = columns
        .iter()
        .map(|(name, format)| {
            ((*name).to_owned(), json!({ "format": format, "description": "Note:\nThis is a Primary Key.<pk/>" }))
        })
        .chain([("label".to_owned(), json!({ "format": "text" }))])
        .collect();
    json!({ "properties": properties })
}

#[tokio::test]
async fn found_in_order_through_a_silent_cap_with_absent_and_repeated_keys() {
    let rows: Vec<Json> =
        (0..500).map(|id| json!({ "id": format!("key {id:04}"), "label": format!("label {id}") })).collect();
    let server = Simulated::new(&json!(rows), 40).serve("items", keyed(&[("id", "text")])).await;
    let mut keys: Vec<SourceKey> = (0..500).rev().map(|id| SourceKey::from(format!("key {id:04}").as_str())).collect();
    keys.insert(7, "absent, \"really\"".into());
    keys.push("key 0499".into());
    let found = source(&server).fetch(&table("items"), &keys, &[FieldName::from("label")]).await.unwrap();
    assert_eq!(found.len(), keys.len());
    for (key, record) in keys.iter().zip(found) {
        match key.as_str().strip_prefix("key ") {
            Some(number) => {
                let record = record.unwrap();
                assert_eq!(record.values, [Value::text(format!("label {}", number.parse::<u32>().unwrap()))]);
                assert!(record.shape.key.is_empty(), "the key was not asked for");
            }
            None => assert_eq!(record, None),
        }
    }
}

#[tokio::test]
async fn the_empty_text_is_a_key() {
    let rows = json!([{ "id": "", "label": "none" }, { "id": "a", "label": "some" }]);
    let server = Simulated::new(&rows, 1000).serve("items", keyed(&[("id", "text")])).await;
    let keys: Vec<SourceKey> = vec!["".into(), "a".into()];
    let columns = [FieldName::from("label"), FieldName::from("id")];
    let found = source(&server).fetch(&table("items"), &keys, &columns).await.unwrap();
    let labels: Vec<_> = found.iter().map(|record| record.as_ref().unwrap().get("label").unwrap()).collect();
    assert_eq!(labels, [&Value::text("none"), &Value::text("some")]);
    assert_eq!(found[0].as_ref().unwrap().key().unwrap().as_str(), "");
}

#[tokio::test]
async fn composite_keys() {
    let rows: Vec<Json> =
        (0..300).map(|id| json!({ "a": id / 10, "b\"": format!("({id}),"), "label": id.to_string() })).collect();
    let server = Simulated::new(&json!(rows), 1000).serve("items", keyed(&[("a", "int32"), ("b\"", "text")])).await;
    let mut keys: Vec<SourceKey> =
        (0..300).map(|id| SourceKey::from_parts(&[(id / 10).to_string(), format!("({id}),")])).collect();
    keys.push(SourceKey::from_parts(&["0", "(299),"]));
    let found = source(&server).fetch(&table("items"), &keys, &[FieldName::from("label")]).await.unwrap();
    for (id, record) in found.iter().take(300).enumerate() {
        assert_eq!(record.as_ref().unwrap().values, [Value::text(id.to_string())]);
    }
    assert_eq!(found[300], None);
}

#[tokio::test]
async fn no_keys_make_no_call_and_foreign_keys_are_refused() {
    let server = Simulated::new(&json!([]), 1).serve("items", keyed(&[("a", "int32"), ("b", "text")])).await;
    let source = source(&server);
    assert!(source.fetch(&table("items"), &[], &[]).await.unwrap().is_empty());
    assert!(server.received_requests().await.unwrap().is_empty());
    let error = source.fetch(&table("items"), &["1".into()], &[]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
}
