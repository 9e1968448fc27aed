//! What rows become, in each encoding, and which are refused.

use migrate_tests::archive::Archive;
use serde_json::{Value, json};

use super::{Deployment, TABLES, companies, company, id, names};

/// The documents of a table, by the number in `_creationTime`.
async fn only(deployment: &Deployment, table: &str) -> Value {
    let documents = deployment.documents(table).await;
    assert_eq!(documents.len(), 1, "{documents:?}");
    documents[0].clone()
}

#[tokio::test]
async fn uniform_rows_keep_every_value_their_ids_and_their_times() {
    let row = format!(
        r#"{{"_id":"{}","_creationTime":1700000000000.25,"int":5,"float":5.0,"negativeZero":-0.0,"min":-9223372036854775808,"#,
        id("anything", 7)
    ) + r#""wide":9223372036854775808,"tenth":0.1,"bytes":{"$bytes":"AQI="},"infinite":{"$float":"AAAAAAAA8H8="},"#
        + r#""text":"5","escaped":"\"5\" \\ \u00e9 7","nothing":null,"list":[1,1.0,[true]],"object":{"a b":{"c":2}}}"#;
    for deployment in Deployment::both().await {
        let archive = Archive::new().numbers(&TABLES[..1]).uniform("anything", &[&row]);
        assert_eq!(deployment.import(archive, "requireEmpty").await, 1);
        let int = |text: &str| json!({ "$integer": text });
        let mut document = only(&deployment, "anything").await;
        // A float that is whole, and one that is written otherwise than by this package: compared as numbers.
        let wide = document.as_object_mut().unwrap().shift_remove("wide").unwrap();
        assert_eq!(wide.as_f64().map(f64::to_bits), Some(9_223_372_036_854_775_808_f64.to_bits()));
        let expected = json!({
            "_id": id("anything", 7),
            "_creationTime": 1_700_000_000_000.25,
            "int": int("BQAAAAAAAAA="),
            "float": 5,
            "negativeZero": { "$float": "AAAAAAAAAIA=" },
            "min": int("AAAAAAAAAIA="),
            "tenth": 0.1,
            "bytes": { "$bytes": "AQI=" },
            "infinite": { "$float": "AAAAAAAA8H8=" },
            "text": "5",
            "escaped": "\"5\" \\ é 7",
            "nothing": null,
            "list": [int("AQAAAAAAAAA="), 1, [true]],
            "object": { "a b": { "c": int("AgAAAAAAAAA=") } },
        });
        assert_eq!(document, expected);
    }
}

#[tokio::test]
async fn the_older_encodings_are_read_by_a_shape_or_as_floats() {
    let (first, second) = (id("anything", 1), id("anything", 2));
    let shape = r#"{"_id": string, "_creationTime": normalfloat64, "n": int64, "b"?: bytes, "odd": int64 | string}"#;
    let schema = format!("{}\n{}\n", json!(shape), json!({ (second.clone()): { "odd": "int64" } }));
    let rows = [
        format!(r#"{{"_id":"{first}","_creationTime":1,"n":"5","b":"AQI=","odd":"7"}}"#),
        format!(r#"{{"_id":"{second}","_creationTime":2,"n":"-6","odd":"7"}}"#),
    ];
    for deployment in Deployment::both().await {
        let archive = Archive::stored()
            .file("snapshot/anything/generated_schema.jsonl", &schema)
            .file("snapshot/anything/documents.jsonl", &rows.join("\n"))
            .file("snapshot/README.md", "for people");
        assert_eq!(deployment.import(archive, "requireEmpty").await, 2);
        let expected = json!([
            { "_id": first, "_creationTime": 1, "n": { "$integer": "BQAAAAAAAAA=" }, "b": { "$bytes": "AQI=" }, "odd": "7" },
            { "_id": second, "_creationTime": 2, "n": { "$integer": "+v////////8=" }, "odd": { "$integer": "BwAAAAAAAAA=" } },
        ]);
        assert_eq!(Value::Array(deployment.documents("anything").await), expected);

        let archive =
            Archive::new().plain("anything", &[&format!(r#"{{"_id":"{first}","_creationTime":3,"n":5,"b":"AQI="}}"#)]);
        assert_eq!(deployment.import(archive, "replace").await, 1);
        let expected = json!({ "_id": first, "_creationTime": 3, "n": 5, "b": "AQI=" });
        assert_eq!(only(&deployment, "anything").await, expected);
    }
}

/// Why a row of `anything` is refused.
const REFUSED: [(&str, &str); 14] = [
    ("", "Row 2 wasn't valid JSON"),
    ("{\"n\":", "Row 2 wasn't valid JSON"),
    ("[1]", "Row 2 wasn't an object"),
    (r#"{"n":{"$odd":"AQI="}}"#, "Row 2 wasn't a valid Convex value"),
    (r#"{"n":{"$float":"AAAAAAAA8D8="}}"#, "Row 2 wasn't a valid Convex value"),
    (r#"{"_id":"not an id"}"#, "invalid _id 'not an id'"),
    (r#"{"_id":"j57000820c20a1g7104gm2rc1n721a4t"}"#, "invalid _id 'j57000820c20a1g7104gm2rc1n721a4t'"),
    (r#"{"_id":"j97000820c20a1g7104gm2rc1n721a4s"}"#, "invalid _id"),
    (r#"{"_creationTime":5}"#, "it is a float"),
    (r#"{"_creationTime":0.0}"#, "is not a positive number"),
    (r#"{"_creationTime":9007199254740992.0}"#, "is not a positive number"),
    (r#"{"_hidden":true}"#, "starts with an underscore"),
    (r#"{"größe":true}"#, "non-control ASCII"),
    ("[[[[[[[[[[[[[[[[[1.0]]]]]]]]]]]]]]]]]", "Document is too nested"),
];

#[tokio::test]
async fn a_row_that_is_refused_fails_the_import_as_a_whole() {
    for deployment in Deployment::both().await {
        deployment.import(companies(&[1]), "requireEmpty").await;
        let before = deployment.documents("companies").await;
        for (row, reason) in REFUSED {
            let row = if reason.contains("nested") { format!(r#"{{"n":{row}}}"#) } else { row.to_owned() };
            let fine = format!(r#"{{"_id":"{}","_creationTime":1.0}}"#, id("anything", 1));
            let archive = Archive::new()
                .numbers(&TABLES[..2])
                .uniform("companies", &[&company(9)])
                .uniform("anything", &[&fine, &row, &fine]);
            let message = deployment.refused(archive, "replace").await;
            assert!(message.contains(reason), "{row}: {message}");
            assert_eq!(deployment.documents("companies").await, before, "{row}");
            assert_eq!(deployment.count("anything").await, 0, "{row}");
        }
        let other_table = format!(r#"{{"_id":"{}"}}"#, id("companies", 3));
        let fine = format!(r#"{{"_id":"{}"}}"#, id("anything", 3));
        let message = deployment.refused(Archive::new().uniform("anything", &[&fine, &other_table]), "replace").await;
        assert!(
            message.contains("cannot be imported into 'anything' because its IDs have a different format"),
            "{message}"
        );
        let message = deployment.refused(Archive::new().uniform("anything", &[&fine, &fine]), "replace").await;
        assert!(message.contains("Objects in table \"anything\" have duplicate _id fields"), "{message}");
    }
}

#[tokio::test]
async fn a_document_is_at_most_a_mebibyte_large() {
    // 2 for the object, 4 + 1 for the name, 2 for the text, 38 + 23 for the system fields.
    let largest = (1 << 20) - 2 - 5 - 2 - 61;
    for deployment in Deployment::both().await {
        let row = |size: usize| format!(r#"{{"_id":"{}","text":"{}"}}"#, id("anything", 1), "x".repeat(size));
        let message = deployment.refused(Archive::new().uniform("anything", &[&row(largest + 1)]), "replace").await;
        assert!(message.contains("Value is too large"), "{message}");
        assert_eq!(deployment.import(Archive::new().uniform("anything", &[&row(largest)]), "replace").await, 1);
    }
}

#[tokio::test]
async fn every_row_must_match_the_schema_with_the_numbers_that_tables_will_have() {
    let local = Deployment::local().await;
    let message = local.refused(companies(&[1]).uniform("anything", &[]).uniform("people", &["{}"]), "replace").await;
    let words = "Failed to insert or update a document in table \"people\" because it does not match the schema";
    assert!(message.contains(words), "{message}");
    let person = |employer: &str| format!(r#"{{"email":"a@x.io","visits":3,"employer":"{employer}"}}"#);
    let message = local.refused(companies(&[1]).uniform("people", &[&person(&id("anything", 1))]), "replace").await;
    assert!(message.contains(words), "{message}");
    let floats = r#"{"email":"a@x.io","visits":3.0}"#;
    let message = local.refused(companies(&[1]).uniform("people", &[floats]), "replace").await;
    assert!(message.contains(words), "{message}");
    assert_eq!((local.count("companies").await, local.count("people").await), (0, 0));

    // A reference is forward, and to nothing: only its table counts.
    let archive = || Archive::new().uniform("people", &[&person(&id("companies", 1)), &person(&id("companies", 99))]);
    assert_eq!(local.import(archive().uniform("companies", &[&company(1)]), "requireEmpty").await, 3);
    assert_eq!(names(&local.documents("companies").await), ["Company 1"]);

    // The companies get the number 10009, which people outside of the import do not know.
    let moved = Archive::new().numbers(&[("companies", 10_009)]);
    let message = local.refused(moved, "replace").await;
    assert_eq!(message, "Import changes table 'companies' which is referenced by 'people' in the schema");
    let employer = migrate_tests::convex_bench::DocumentId::from_parts(10_009, [1; 14], 1).to_string();
    let together = Archive::new().numbers(&[("companies", 10_009)]).uniform("people", &[&person(&employer)]);
    assert_eq!(local.import(together, "replace").await, 1);
    assert_eq!(local.mapping().await["10009"], "companies");
    let message = local.refused(archive(), "replace").await;
    assert!(message.contains(words), "an old number is no company's: {message}");
}

#[tokio::test]
async fn a_backend_before_the_uniform_encoding_says_so() {
    let options = migrate_tests::convex_bench::ConvexBenchOptions {
        imports: migrate_tests::convex_bench::ImportOptions { knows_uniform: false, ..Default::default() },
        ..Default::default()
    };
    let bench = Deployment::bench_with(options).await;
    let message = bench.refused(companies(&[1]), "requireEmpty").await;
    assert_eq!(message, "cannot parse companies/generated_schema.jsonl: unexpected token at 'uniform'");
}
