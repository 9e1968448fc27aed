use super::*;
use crate::table_read::tests::{fields, table};

/// The values of one column, of rows that also have the key `id`.
fn column(format: &str, values: &str) -> Result<Vec<Value>> {
    let read = TableRead::new(&table(1, &[("id", "int32"), ("it", format)]), &fields(&["id", "it"]), &fields(&["id"]))
        .unwrap();
    let values: Vec<&RawValue> = serde_json::from_str(values).unwrap();
    let name = &read.columns[1].answered_as;
    let rows: Vec<String> = values.iter().map(|value| format!("{{\"id\":1,\"{name}\":{value}}}")).collect();
    let records = decode(format!("[{}]", rows.join(", \n ")).as_bytes(), &read)?;
    Ok(records.into_iter().map(|record| record.get("it").unwrap().clone()).collect())
}

fn decimal(text: &str) -> Value {
    Value::Decimal(text.into())
}

#[test]
fn numbers_are_exact() {
    assert_eq!(
        column("bigint", "[9223372036854775807, -9223372036854775808, 9007199254740993, null]").unwrap(),
        [Value::Int64(i64::MAX), Value::Int64(i64::MIN), Value::Int64(9_007_199_254_740_993), Value::Null]
    );
    let long = format!("{}.{}", "9".repeat(131_072), "1".repeat(16_383));
    assert_eq!(
        column("numeric", &format!(r#"[{long}, 1.500, -0.00, "NaN", "Infinity", "-Infinity"]"#)).unwrap(),
        [decimal(&long), decimal("1.500"), decimal("-0.00"), decimal("NaN"), decimal("Infinity"), decimal("-Infinity")]
    );
    let floats = column("double precision", r#"[1e+308, -0, 5e-324, 0.1, "NaN", "-Infinity"]"#).unwrap();
    let bits: Vec<u64> = floats
        .iter()
        .map(|value| match value {
            Value::Float64(float) => float.to_bits(),
            other => panic!("{} is no double", other.kind()),
        })
        .collect();
    let expected = [1e308, -0.0, 5e-324, 0.1, f64::NAN, f64::NEG_INFINITY].map(f64::to_bits);
    assert_eq!(bits, expected);
}

#[test]
fn sql_null_and_json_null_stay_apart() {
    assert_eq!(
        column("jsonb", r#"[null, "null", "{\"a\": 1.10, \"a\": 2}", "\"text\""]"#).unwrap(),
        [
            Value::Null,
            Value::Json("null".into()),
            Value::Json("{\"a\": 1.10, \"a\": 2}".into()),
            Value::Json("\"text\"".into())
        ]
    );
}

#[test]
fn arrays_nest_and_keep_nulls() {
    assert_eq!(
        column("bigint[]", "[[[1,null],[9223372036854775807,4]], [], null]").unwrap(),
        [
            Value::Array(vec![
                Value::Array(vec![Value::Int64(1), Value::Null]),
                Value::Array(vec![Value::Int64(i64::MAX), Value::Int64(4)])
            ]),
            Value::Array(Vec::new()),
            Value::Null
        ]
    );
    assert_eq!(
        column("timestamp with time zone[]", r#"[["2024-01-01T00:00:00+00:00"]]"#).unwrap(),
        [Value::Array(vec![Value::Time(TimeKind::TimestampTz, "2024-01-01T00:00:00+00:00".into())])]
    );
    assert_eq!(
        column("jsonb[]", r#"[[{"a":1.0}, [1, 2], null]]"#).unwrap(),
        [Value::Array(vec![Value::Json("{\"a\":1.0}".into()), Value::Json("[1, 2]".into()), Value::Null])]
    );
    assert!(column("text[]", "[[[[[[[[\"x\"]]]]]]]]").is_err());
}

#[test]
fn texts_times_and_bytes_are_as_read() {
    assert_eq!(
        column("text", r#"["caf\u00e9 \ud83d\ude00 \u2028", ""]"#).unwrap(),
        [Value::text("café 😀 \u{2028}"), Value::text("")]
    );
    assert_eq!(column("date", r#"["0044-03-15 BC"]"#).unwrap(), [Value::Time(TimeKind::Date, "0044-03-15 BC".into())]);
    assert_eq!(
        column("time with time zone", r#"["24:00:00+00"]"#).unwrap(),
        [Value::Time(TimeKind::TimeTz, "24:00:00+00".into())]
    );
    assert_eq!(
        column("bytea", r#"["\\xdeadBEEF00", "\\x"]"#).unwrap(),
        [Value::Bytes([0xde, 0xad, 0xbe, 0xef, 0].into()), Value::Bytes([].into())]
    );
}

#[test]
fn other_types_keep_the_form_they_have() {
    assert_eq!(
        column("extensions.ltree", r#"["[1,2,3]", 1.50, true, {"type": "Point"}, [1, 2]]"#).unwrap(),
        [
            Value::text("[1,2,3]"),
            decimal("1.50"),
            Value::Bool(true),
            Value::Json("{\"type\": \"Point\"}".into()),
            Value::Json("[1, 2]".into())
        ]
    );
}

#[test]
fn types_that_documents_lack_are_texts_or_json() {
    for (format, text) in [
        ("money", "-$1,234.56"),
        ("inet", "192.168.0.1/24"),
        ("macaddr8", "08:00:2b:01:02:03:04:05"),
        ("bit(3)", "101"),
        ("xml", "<a/>"),
        ("tsvector", "'cat':1"),
        ("oid", "4294967295"),
        ("regclass", "orders"),
        ("int4range", "[1,10)"),
        ("nummultirange", "{[1,3),[5,7)}"),
        ("polygon", "((0,0),(1,1))"),
        ("extensions.vector(3)", "[1,2,3]"),
        ("extensions.geometry(Point,4326)", "0101000020E6100000"),
    ] {
        let encoded = serde_json::to_string(&[text]).unwrap();
        assert_eq!(column(format, &encoded).unwrap(), [Value::text(text)], "{format}");
    }
    assert_eq!(
        column("extensions.hstore", r#"[{"a": "1", "b": null}]"#).unwrap(),
        [Value::Json(r#"{"a": "1", "b": null}"#.into())]
    );
    assert_eq!(
        column("extensions.vector(2)[]", r#"[["[1,2]", null]]"#).unwrap(),
        [Value::Array(vec![Value::text("[1,2]"), Value::Null])]
    );
}

#[test]
fn a_value_of_another_type_is_named_but_not_shown() {
    for (format, value, found) in [
        ("int32", r#""secret7""#, "a string"),
        ("int64", "9223372036854775808", "a number"),
        ("int64", "1.5", "a number"),
        ("numeric", r#""secret7""#, "a string"),
        ("boolean", "1", "a number"),
        ("text", "7", "a number"),
        ("uuid", "{\"secret7\": 1}", "an object"),
        ("bytea", r#""secret7""#, "bytes that are not in hex"),
        ("text[]", r#""secret7""#, "a string"),
        ("money", "7", "a number"),
        ("hstore", r#""secret7""#, "a string"),
        ("jsonb", "{\"secret7\": 1}", "an object"),
    ] {
        let error = column(format, &format!("[{value}]")).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config, "{format}");
        let shown = format!("{error} {error:?}");
        assert!(shown.contains(found) && shown.contains("payments") && shown.contains(format), "{shown}");
        assert!(!shown.contains("secret7"), "{shown}");
    }
}

#[test]
fn a_cut_body_is_not_a_short_page() {
    let read = TableRead::new(
        &table(1, &[("id", "int32"), ("schlüssel \"x\"", "text")]),
        &fields(&["id", "schlüssel \"x\""]),
        &fields(&["id"]),
    )
    .unwrap();
    let whole = r#"[{"id":1,"schlüssel \"x\"":"a"}, {"schl\u00fcssel \"x\"":"b","id":2}]"#;
    let records = decode(whole.as_bytes(), &read).unwrap();
    assert_eq!(records[1].values, [Value::Int64(2), Value::text("b")]);
    assert_eq!(records[1].key().unwrap().as_str(), "2");
    for end in 0..whole.len() {
        let error = decode(&whole.as_bytes()[..end], &read).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable, "cut at {end}: {error}");
    }
    for broken in [r#"[{"id":1}]"#, r#"[{"id":1,"id":2}]"#, r#"[{"id":1,"other":2}]"#, "{}", "[] []", "<html>", "[1]"] {
        let error = decode(broken.as_bytes(), &read).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Protocol, "{broken}");
    }
}

/// What is read in one pass is what the close look gives, and what it gives up on is whatever has another form.
#[test]
fn the_fast_way_reads_the_usual_forms() {
    let columns = [("id", "int32"), ("t", "text"), ("n", "numeric"), ("b", "boolean"), ("j", "jsonb"), ("a", "text[]")];
    let all = columns.map(|(name, _)| name);
    let read = TableRead::new(&table(1, &columns), &fields(&all), &fields(&["id"])).unwrap();
    let named: Vec<&str> = read.columns.iter().map(|column| column.answered_as.as_str()).collect();
    let body = |values: [&str; 6]| {
        let fields: Vec<String> = named.iter().zip(values).map(|(name, value)| format!("\"{name}\":{value}")).collect();
        format!("[{{{}}}]", fields.join(","))
    };
    let usual = [
        ["1", r#""\u00e9\n""#, "1.50", "true", r#""{\"a\": 1}""#, r#"["x", null]"#],
        ["-7", "null", "null", "null", "null", "null"],
        ["2147483647", "\"\"", "\"NaN\"", "false", "\"null\"", "[]"],
    ];
    for values in usual {
        let records = typed::records(body(values).as_bytes(), &read).expect("it is usual");
        let closely = |(text, column): (&str, &ColumnRead)| value_of(text, &column.source_type).unwrap();
        let expected: Vec<Value> = values.into_iter().zip(&read.columns).map(closely).collect();
        assert_eq!(records.len(), 1);
        assert_eq!(records[0].values, expected);
    }
    let strange = [
        body(["-0", "\"\"", "1", "true", "\"1\"", "[]"]),
        body(["1", "7", "1", "true", "\"1\"", "[]"]),
        body(["1", "\"\"", "true", "true", "\"1\"", "[]"]),
        body(["1", "\"\"", "1", "1", "\"1\"", "[]"]),
        body(["1", "\"\"", "1", "true", "\"1\"", "[]"]).replace('}', ",\"more\":1}"),
        body(["1", "\"\"", "1", "true", "\"1\"", "[]"]).replace(']', ""),
        format!("[{{\"{}\":\"\",\"{}\":1}}]", named[1], named[0]),
        "{}".to_owned(),
    ];
    for body in strange {
        assert!(typed::records(body.as_bytes(), &read).is_none(), "{body}");
    }
    assert!(typed::records(b"[] []", &read).is_none());
}
