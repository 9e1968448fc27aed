use proptest::prelude::*;

use super::decode::value;
use super::json::value_to_json;
use crate::catalog::{ScalarKind, SourceType};
use crate::value::{TimeKind, Value};

/// Every family with the values that a source gives of it.
fn typed_value() -> impl Strategy<Value = (SourceType, Value)> {
    (0..KINDS.len(), any::<bool>()).prop_flat_map(|(at, array)| {
        let kind = KINDS[at];
        let source_type = SourceType { array, ..SourceType::new("t", kind) };
        let one = || prop_oneof![9 => scalar(kind), 1 => Just(Value::Null)];
        let values = if array {
            let flat = prop::collection::vec(one(), 0..4).prop_map(Value::Array);
            // In an array of JSON, inner brackets are JSON's own.
            let is_nested = kind != ScalarKind::Json;
            let nested = prop::collection::vec(prop::collection::vec(one(), 1..3).prop_map(Value::Array), 1..3)
                .prop_map(Value::Array);
            prop_oneof![3 => flat, u32::from(is_nested) => nested].boxed()
        } else {
            one().boxed()
        };
        values.prop_map(move |value| (source_type.clone(), value))
    })
}

const KINDS: &[ScalarKind] = &[
    ScalarKind::Bool,
    ScalarKind::Int4,
    ScalarKind::Int8,
    ScalarKind::Float8,
    ScalarKind::Numeric,
    ScalarKind::Text,
    ScalarKind::Uuid,
    ScalarKind::Enum,
    ScalarKind::Json,
    ScalarKind::Bytes,
    ScalarKind::TimestampTz,
    ScalarKind::Timestamp,
    ScalarKind::Date,
    ScalarKind::Time,
    ScalarKind::TimeTz,
    ScalarKind::Interval,
    ScalarKind::Money,
    ScalarKind::Network,
    ScalarKind::Bits,
    ScalarKind::Xml,
    ScalarKind::Search,
    ScalarKind::Hstore,
    ScalarKind::Oid,
    ScalarKind::Range,
    ScalarKind::Shape,
    ScalarKind::Geometry,
    ScalarKind::Vector,
    ScalarKind::Composite,
    ScalarKind::Other,
];

fn scalar(kind: ScalarKind) -> BoxedStrategy<Value> {
    let text = || ".{0,12}".prop_map(String::into_boxed_str);
    let json = || prop_oneof![Just("null"), Just("[1, 1.50]"), Just("{\"a\":\"b\"}"), Just("\"x\"")];
    let json = move || json().prop_map(|text| Value::Json(text.into()));
    let decimal = || "-?[1-9][0-9]{0,30}(\\.[0-9]{1,20})?".prop_map(|text| Value::Decimal(text.into()));
    let time = |kind| text().prop_map(move |text| Value::Time(kind, text)).boxed();
    match kind {
        ScalarKind::Bool => any::<bool>().prop_map(Value::Bool).boxed(),
        ScalarKind::Int4 | ScalarKind::Int8 => any::<i64>().prop_map(Value::Int64).boxed(),
        ScalarKind::Float8 => prop_oneof![
            8 => any::<f64>().prop_filter("NaN is not equal to itself", |float| !float.is_nan()),
            1 => prop_oneof![Just(f64::INFINITY), Just(f64::NEG_INFINITY), Just(-0.0)],
        ]
        .prop_map(Value::Float64)
        .boxed(),
        ScalarKind::Numeric => {
            let special = prop_oneof![Just("NaN"), Just("Infinity"), Just("-Infinity"), Just("0.000"), Just("1e-7")];
            prop_oneof![8 => decimal(), 1 => special.prop_map(|text| Value::Decimal(text.into()))].boxed()
        }
        ScalarKind::Bytes => prop::collection::vec(any::<u8>(), 0..6).prop_map(|all| Value::Bytes(all.into())).boxed(),
        ScalarKind::Json | ScalarKind::Hstore | ScalarKind::Composite => json().boxed(),
        ScalarKind::TimestampTz => time(TimeKind::TimestampTz),
        ScalarKind::Timestamp => time(TimeKind::Timestamp),
        ScalarKind::Date => time(TimeKind::Date),
        ScalarKind::Time => time(TimeKind::Time),
        ScalarKind::TimeTz => time(TimeKind::TimeTz),
        ScalarKind::Interval => time(TimeKind::Interval),
        ScalarKind::Geometry | ScalarKind::Other => {
            prop_oneof![text().prop_map(Value::Text), json(), decimal(), any::<bool>().prop_map(Value::Bool)].boxed()
        }
        _ => text().prop_map(Value::Text).boxed(),
    }
}

proptest! {
    #[test]
    fn every_value_comes_back_from_its_line_as_it_was((source_type, read) in typed_value()) {
        let is_open = matches!(source_type.scalar, ScalarKind::Geometry | ScalarKind::Other);
        let line = serde_json::to_string(&value_to_json(&read, is_open)).unwrap();
        let back = value(&serde_json::from_str(&line).unwrap(), &source_type);
        // The sign of zero counts, too.
        prop_assert_eq!(format!("{back:?}"), format!("{:?}", Ok::<_, &str>(read)), "{}", line);
    }
}

#[test]
fn a_number_that_is_none_comes_back() {
    let float = SourceType::new("float8", ScalarKind::Float8);
    let back = value(&value_to_json(&Value::Float64(f64::NAN), false), &float).unwrap();
    assert!(matches!(back, Value::Float64(float) if float.is_nan()));
}

#[test]
fn what_a_type_cannot_be_is_refused_without_showing_it() {
    for (kind, array, json) in [
        (ScalarKind::Bool, false, "\"true\""),
        (ScalarKind::Int8, false, "1.5"),
        (ScalarKind::Int8, false, "\"9223372036854775808\""),
        (ScalarKind::Numeric, false, "1.5"),
        (ScalarKind::Numeric, false, "\"1,5\""),
        (ScalarKind::Float8, false, "\"secret\""),
        (ScalarKind::Text, false, "7"),
        (ScalarKind::Text, true, "\"secret\""),
        (ScalarKind::Bytes, false, "\"\\\\x0\""),
        (ScalarKind::Json, false, "{\"a\":1}"),
        (ScalarKind::Date, false, "20260101"),
        (ScalarKind::Other, false, "5"),
        (ScalarKind::Other, false, "{\"text\":\"secret\"}"),
    ] {
        let source_type = SourceType { array, ..SourceType::new("t", kind) };
        let due = value(&serde_json::from_str(json).unwrap(), &source_type).unwrap_err();
        assert!(!due.contains("secret"), "{kind:?} {json}");
    }
}
