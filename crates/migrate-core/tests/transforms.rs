//! Snapshots of the rules that make a document of a row: what goes in, what comes out, what is lost and what is refused.

#![expect(clippy::unwrap_used, reason = "a test says what it wants by unwrapping")]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use migrate_core::Transform;
use migrate_core::catalog::{
    CATALOG_VERSION, Catalog, Check, Column, Digits, ForeignKey, OneOf, ScalarKind, SourceType, TableSchema,
};
use migrate_core::names::{FieldName, KeySpace, TableName};
use migrate_core::plan::{
    CAST_RULES, Cast, Conversion, FieldType, NullPolicy, Plan, PlanField, PlanIssue, PlanParent, PlanReference,
    PlanTable, SinkRules, TypeChoice, Unfit, build_plan, read_config,
};
use migrate_core::record::{Record, RecordShape, RowError};
use migrate_core::testing::{column, table};
use migrate_core::transform::{Chain, ParentKey, RowContext};
use migrate_core::value::{TimeKind, Value};

fn name(text: &str) -> TableName {
    text.parse().unwrap()
}

fn json(text: &str) -> Value {
    Value::Json(text.into())
}

fn decimal(text: &str) -> Value {
    Value::Decimal(text.into())
}

fn times(kind: TimeKind, texts: &[&str]) -> Vec<Value> {
    texts.iter().map(|text| Value::Time(kind, (*text).into())).collect()
}

/// Values of a kind of column as a source reads them, and some that it never gives.
fn samples(kind: ScalarKind) -> Vec<Value> {
    use ScalarKind as S;
    let exact = 1_i64 << 53;
    let integers = |integers: &[i64]| integers.iter().copied().map(Value::Int64).collect::<Vec<_>>();
    let texts = |texts: &[&str]| texts.iter().copied().map(Value::text).collect::<Vec<_>>();
    match kind {
        S::Bool => [vec![Value::Bool(true), Value::Bool(false)], texts(&["true"])].concat(),
        S::Int4 => [integers(&[0, -1, i64::from(i32::MAX), exact, exact + 1, -exact - 1]), texts(&["1"])].concat(),
        S::Int8 => [integers(&[0, exact, exact + 1, i64::MAX, i64::MIN]), vec![Value::Float64(1.0)]].concat(),
        S::Float8 => {
            let floats = [0.1, -0.0, f64::MAX, f64::NAN, f64::NEG_INFINITY].map(Value::Float64).to_vec();
            [floats, vec![decimal("1.5")]].concat()
        }
        S::Numeric => {
            let numbers = ["1.50", "-0.00", "0.1", "9007199254740993", "0.10000000000000000000000001", "1e400"];
            let special = ["NaN", "Infinity", "-Infinity"];
            let decimals = numbers.iter().chain(&special).map(|text| decimal(text));
            decimals.chain([Value::Bool(true)]).collect()
        }
        S::Text => [texts(&["", "ü\n\u{2028}", "null"]), integers(&[1])].concat(),
        S::Uuid => texts(&["0b5c9f0e-6a0e-4d6b-9d0f-1f6d8a3f2c11"]),
        S::Enum => [texts(&["ok", "a, \"b\"", "OK", ""]), integers(&[1])].concat(),
        S::Json => {
            let deep = format!("{}1{}", "[".repeat(102), "]".repeat(102));
            let objects = [r#"{"b": 1, "a": [null, true, "x"], "b": 2.50}"#, "{}", "[]"];
            let scalars = ["null", "\"text\"", "-1.50e2", "9007199254740993", "1e400", "{"];
            let values = objects.iter().chain(&scalars).map(|text| json(text));
            values.chain([json(&deep), Value::text("{}")]).collect()
        }
        S::Bytes => vec![Value::Bytes([].into()), Value::Bytes([0, 255].into()), Value::text("\\x00")],
        S::TimestampTz => {
            let instants = ["1970-01-01T00:00:00+00:00", "2024-02-29T12:34:56.789+05:30", "1969-12-31T23:59:59.9995Z"];
            let others = ["2024-02-29T12:34:56.789012+00:00", "infinity", "0044-03-15T00:00:00+00:00 BC", "soon"];
            let mut values = times(TimeKind::TimestampTz, &[&instants[..], &others].concat());
            values.extend(times(TimeKind::Timestamp, &["2024-02-29T12:34:56"]));
            values
        }
        S::Timestamp => times(TimeKind::Timestamp, &["2024-02-29T12:34:56.789012", "infinity"]),
        S::Date => times(TimeKind::Date, &["2024-02-29", "0044-03-15 BC"]),
        S::Time => times(TimeKind::Time, &["24:00:00", "12:34:56.789012"]),
        S::TimeTz => times(TimeKind::TimeTz, &["24:00:00+00"]),
        S::Interval => times(TimeKind::Interval, &["1 day 02:03:04", "P1D"]),
        S::Other => {
            let scalars = vec![Value::text("(1,2)"), decimal("1.50"), decimal("9007199254740993"), Value::Bool(true)];
            [scalars, vec![json(r#"{"type": "Point"}"#), json("{")], integers(&[1])].concat()
        }
        S::Money => texts(&["$1,234.56"]),
        S::Network => texts(&["192.168.0.1/24"]),
        S::Bits => texts(&["0101"]),
        S::Xml => texts(&["<a b=\"c\"/>"]),
        S::Search => texts(&["'a':1 'b':2"]),
        S::Hstore => vec![json(r#"{"a": "1", "$b": null}"#)],
        S::Oid => texts(&["16384", "pg_class", "99999999999999999999"]),
        S::Range => texts(&["[1,10)", "empty"]),
        S::Shape => texts(&["(1.5,2)"]),
        S::Geometry => texts(&["0101000020E6100000000000000000F03F0000000000000040"]),
        S::Vector => texts(&["[1,2.5,-3e-05]", "[]", "1,2", "[a]"]),
        S::Composite => vec![json(r#"{"street":"Main","zip":1}"#)],
        other => panic!("there are no samples of {other:?}"),
    }
}

fn of_kind(kind: ScalarKind, is_array: bool) -> Column {
    let mut column = column("it", kind);
    column.source_type.array = is_array;
    if kind == ScalarKind::Enum {
        column.source_type.labels = ["ok", "a, \"b\""].map(str::to_owned).to_vec();
    }
    column
}

fn try_plan(tables: Vec<TableSchema>, config: &str) -> Result<Plan, Vec<PlanIssue>> {
    let config = read_config("migrate.toml", config).unwrap();
    let catalog = Catalog {
        version: CATALOG_VERSION,
        origin: String::new(),
        unknown: Vec::new(),
        differences: Vec::new(),
        tables,
        inventory: Vec::new(),
    };
    build_plan(&config, &catalog, &SinkRules::default())
}

/// The plan of a table `t` with a key and one more column, `it`, which the configuration speaks of.
fn plan_of(column: Column, config: &str) -> Result<PlanTable, String> {
    let columns = vec![self::column("id", ScalarKind::Int8), column];
    let plan = try_plan(vec![table("t", &["id"], columns).unwrap()], &format!("[tables.t]\n{config}"));
    plan.map(|mut plan| plan.tables.remove(0)).map_err(|issues| issues[0].message.clone())
}

/// Debug output, cut where it is long.
fn shown(value: &impl std::fmt::Debug) -> String {
    let text = format!("{value:?}");
    if text.chars().count() <= 120 { text } else { text.chars().take(119).chain(['…']).collect() }
}

/// The field's type, and what becomes of each value.
fn converted(table: &PlanTable, values: &[Value]) -> String {
    let chain = Chain::with_key(&table.sink, &table.fields, &table.key);
    let shape = RecordShape { table: table.source.clone(), fields: chain.columns().to_vec(), key: vec![0] };
    let shape = Arc::new(shape);
    let field = &table.fields[0];
    let marks = [(field.optional, ", optional"), (field.nullable, ", nullable")];
    let marks: String = marks.iter().filter(|(holds, _)| *holds).map(|(_, mark)| *mark).collect();
    let mut text = format!("{:?}{marks}: {}\n", field.field_type, field.rule);
    for value in values {
        let record = Record { shape: shape.clone(), values: vec![Value::Int64(1), value.clone()] };
        let mut context = RowContext::default();
        let outcome = match chain.apply(&record, &mut context) {
            Ok(converted) => shown(&converted.record.values[0]),
            Err(error) => refusal(&error),
        };
        let changes = context.changes.iter().map(|change| ["  [", change.kind.as_str(), "]"].concat());
        let _ = writeln!(text, "  {} -> {outcome}{}", shown(value), changes.collect::<Vec<_>>().concat());
    }
    text
}

fn refusal(error: &RowError) -> String {
    let field = error.field.as_ref().map_or("", FieldName::as_str);
    format!("refused, {} {field}: {}", error.code.as_str(), error.message)
}

/// Arrays of values that the cast takes: plain, empty, of two dimensions, and with a NULL in it.
fn arrays(kind: ScalarKind) -> [Value; 4] {
    let good: Vec<Value> = samples(kind).into_iter().take(2).collect();
    let (plain, with_null) = (Value::Array(good.clone()), Value::Array([good, vec![Value::Null]].concat()));
    [plain.clone(), Value::Array(Vec::new()), Value::Array(vec![plain]), with_null]
}

/// The kinds of columns that there are rules for, once each.
fn kinds() -> Vec<ScalarKind> {
    let mut kinds: Vec<ScalarKind> = CAST_RULES.iter().map(|rule| rule.scalar).collect();
    kinds.dedup();
    kinds
}

#[test]
fn casts() {
    for kind in kinds() {
        let mut text = converted(&plan_of(of_kind(kind, false), "").unwrap(), &samples(kind));
        text += &converted(&plan_of(of_kind(kind, true), "").unwrap(), &arrays(kind));
        insta::assert_snapshot!(format!("cast_{}", format!("{kind:?}").to_lowercase()), text);
    }
}

/// The rules that need more than a type: a check over texts, and a decimal of few digits.
#[test]
fn casts_by_condition() {
    let mut price = of_kind(ScalarKind::Numeric, false);
    price.source_type.digits = Some(Digits { precision: 15, scale: 2 });
    let mut long = price.clone();
    long.source_type.digits = Some(Digits { precision: 16, scale: 2 });
    let mut text = String::new();
    for column in [price, long] {
        text += &converted(&plan_of(column, "").unwrap(), &[decimal("1234567890123.45"), decimal("NaN")]);
    }
    let one_of = OneOf { column: "it".into(), values: vec!["open".to_owned(), "paid".to_owned()] };
    let check = Check { name: "it_check".to_owned(), definition: "CHECK (…)".to_owned(), one_of: Some(one_of) };
    let columns = vec![column("id", ScalarKind::Int8), of_kind(ScalarKind::Text, false)];
    let schema = TableSchema { checks: Some(vec![check]), ..table("t", &["id"], columns).unwrap() };
    let values = ["open", "paid", "void", "lost"].map(Value::text);
    for config in ["", "columns.it.values = { void = \"paid\", lost = \"gone\" }", "columns.it.type = \"string\""] {
        let plan = try_plan(vec![schema.clone()], &format!("[tables.t]\n{config}")).unwrap();
        text += &converted(&plan.tables[0], &values);
    }
    insta::assert_snapshot!("cast_by_condition", text);
}

/// What the settings beside the type make of values that need a decision.
#[test]
fn choices_beside_the_type() {
    use ScalarKind as S;
    let nested = |items: &[Value]| Value::Array(vec![Value::Array(items.to_vec())]);
    let cases: [(Column, &str, Vec<Value>); 6] = [
        (
            of_kind(S::TimestampTz, false),
            "on_unfit = \"null\"",
            times(TimeKind::TimestampTz, &["infinity", "1970-01-01T00:00:00+00:00"]),
        ),
        (
            of_kind(S::Int4, true),
            "null_elements = \"null\"",
            vec![Value::Array(vec![Value::Int64(1), Value::Null]), nested(&[])],
        ),
        (
            of_kind(S::Int4, true),
            "dimensions = 2",
            vec![nested(&[Value::Int64(1)]), Value::Array(vec![Value::Int64(1)])],
        ),
        (
            of_kind(S::Int4, true),
            "dimensions = 2\ncolumns.it.null_elements = \"null\"",
            vec![nested(&[Value::Null]), Value::Array(vec![Value::Null])],
        ),
        (of_kind(S::Json, false), "json_keys = \"escape\"", vec![json(r#"{"$ref": {"_a": 1, "ü": 2, "": 3}}"#)]),
        (of_kind(S::Json, false), "json_keys = \"text\"", vec![json(r#"{"$ref": 1.50}"#)]),
    ];
    let mut text = String::new();
    for (column, config, values) in cases {
        let _ = writeln!(text, "{config}");
        text += &converted(&plan_of(column, &format!("columns.it.{config}")).unwrap(), &values);
    }
    insta::assert_snapshot!("choices_beside_the_type", text);
}

/// Every choice, with its name in the configuration. A new one does not compile without a line here.
fn choices() -> [(TypeChoice, &'static str); 8] {
    use TypeChoice as T;
    let name = |choice| match choice {
        T::String => "string",
        T::Number => "number",
        T::Int64 => "int64",
        T::EpochMs => "epoch_ms",
        T::Numbers => "numbers",
        T::Literals => "literals",
        T::Any => "any",
        T::JsonText => "json_text",
    };
    let all = [T::String, T::Number, T::Int64, T::EpochMs, T::Numbers, T::Literals, T::Any, T::JsonText];
    all.map(|choice| (choice, name(choice)))
}

#[test]
fn chosen_types() {
    for (choice, name) in choices() {
        let config = format!("columns.it.type = \"{name}\"");
        let read = read_config("migrate.toml", &format!("[tables.t]\n{config}")).unwrap();
        assert_eq!(read.tables[&self::name("t")].columns[&FieldName::from("it")].field_type, Some(choice));
        let (mut text, mut refused) = (String::new(), Vec::new());
        for (kind, is_array) in kinds().into_iter().flat_map(|kind| [(kind, false), (kind, true)]) {
            let label = format!("{kind:?}{}", if is_array { " array" } else { "" });
            match plan_of(of_kind(kind, is_array), &config) {
                Ok(table) => {
                    let values = if is_array { arrays(kind)[..1].to_vec() } else { samples(kind) };
                    let _ = write!(text, "{label} -> {}", converted(&table, &values));
                }
                Err(message) => {
                    let unknown = message == "t.it has no known set of texts" && name == "literals";
                    assert!(unknown || message.ends_with(&format!(", which cannot become {name}")), "{message}");
                    refused.push(label);
                }
            }
        }
        let _ = writeln!(text, "refused: {}", refused.join(", "));
        insta::assert_snapshot!(format!("chosen_{name}"), text);
    }
}

#[test]
fn nulls() {
    use ScalarKind as S;
    for policy in ["absent", "null", "default", "reject"] {
        let mut text = String::new();
        for (kind, is_array, default, value) in [
            (S::Text, false, "\"-\"", Value::text("")),
            (S::Bool, false, "false", Value::Bool(true)),
            (S::Int4, false, "7", Value::Int64(0)),
            (S::Int8, false, "9223372036854775807", Value::Int64(0)),
            (S::Float8, false, "1.5", Value::Float64(0.0)),
            (S::TimestampTz, false, "0", samples(S::TimestampTz).remove(0)),
            (S::Enum, false, "\"ok\"", Value::text("ok")),
            (S::Text, true, "[\"a\"]", Value::Array(Vec::new())),
            (S::Int8, true, "[1]", Value::Array(Vec::new())),
            (S::Json, false, "{ n = [1, true] }", json("null")),
        ] {
            let default = if policy == "default" { format!(", default = {default}") } else { String::new() };
            let config = format!("columns.it = {{ nulls = \"{policy}\"{default} }}");
            let table = plan_of(of_kind(kind, is_array), &config).unwrap();
            let _ = write!(text, "{kind:?} {}", converted(&table, &[Value::Null, value]));
        }
        // Where NULL cannot be, it is refused whatever the policy says.
        let required = Column { nullable: false, ..of_kind(S::Text, false) };
        let mut schema = table("t", &["id"], vec![column("id", S::Int8), required]).unwrap();
        schema.columns[1].nullable = false;
        let plan = try_plan(vec![schema], &format!("[defaults]\nnulls = \"{policy}\"")).unwrap();
        let _ = write!(text, "required {}", converted(&plan.tables[0], &[Value::Null, Value::text("")]));
        insta::assert_snapshot!(format!("nulls_{policy}"), text);
    }
}

/// Fields and values of a record, and what its context says.
fn record_lines(record: &Record, context: &RowContext) -> String {
    let mut text = String::new();
    for (field, value) in record.shape.fields.iter().zip(&record.values) {
        let _ = writeln!(text, "  {field}: {}", shown(value));
    }
    let changes = context.changes.iter().map(|change| format!("{}:{}", change.field, change.kind.as_str())).collect();
    let keys = |parents: &Vec<ParentKey>| match parents.as_slice() {
        [] => "-".to_owned(),
        parents => {
            let each: Vec<String> = parents.iter().map(|parent| format!("{}<{}>", parent.parent, parent.key)).collect();
            each.concat()
        }
    };
    let references = context.references.iter().map(keys).collect();
    let nulls = context.nulls.iter().map(ToString::to_string).collect();
    let said: [(&str, Vec<String>); 3] = [("changes", changes), ("references", references), ("nulls", nulls)];
    for (of, shown) in said {
        if !shown.is_empty() {
            let _ = writeln!(text, "  {of} = {}", shown.join(" "));
        }
    }
    text
}

fn record(fields: &[(&str, Value)]) -> Record {
    let shape = RecordShape {
        table: name("rows"),
        fields: fields.iter().map(|(name, _)| FieldName::from(*name)).collect(),
        key: vec![0],
    };
    Record { shape: Arc::new(shape), values: fields.iter().map(|(_, value)| value.clone()).collect() }
}

/// What the rules of `fields` make of a record.
fn applied(fields: &[PlanField], record: &Record) -> String {
    let chain = Chain::with_columns(&name("documents"), fields, record.shape.fields.iter());
    let mut context = RowContext::default();
    let after = match chain.apply(record, &mut context) {
        Ok(converted) => {
            context.references = converted.references;
            record_lines(&converted.record, &context)
        }
        Err(error) => format!("  {}\n", refusal(&error)),
    };
    format!("{}->\n{after}", record_lines(record, &RowContext::default()))
}

fn plan_field(name: &str, columns: &[&str], conversion: Conversion) -> PlanField {
    PlanField {
        field: name.into(),
        columns: columns.iter().map(|&column| FieldName::from(column)).collect(),
        source_type: SourceType::new("text", ScalarKind::Text),
        field_type: FieldType::Any,
        optional: true,
        nullable: false,
        conversion,
        rule: String::new(),
        comment: None,
    }
}

#[test]
fn rename() {
    let exact = || Conversion::Value {
        cast: Cast::Exact,
        nulls: NullPolicy::Null,
        values: BTreeMap::new(),
        on_unfit: Unfit::Reject,
    };
    let fields = [("second", "second"), ("first", "first"), ("secondAgain", "second")]
        .map(|(field, column)| plan_field(field, &[column], exact()));
    let row = record(&[
        ("id", Value::Int64(1)),
        ("first", Value::Null),
        ("second", Value::text("kept twice")),
        ("dropped", Value::text("dropped")),
    ]);
    insta::assert_snapshot!("rename", applied(&fields, &row));
}

#[test]
fn reference_keys() {
    let field = |columns: &[&str], conversion: Conversion| plan_field("f", columns, conversion);
    let to = |table: &str| PlanReference::to(name(table));
    let parent =
        |table: &str, when: &str| PlanParent { to: KeySpace::primary(name(table)), when: Some(when.to_owned()) };
    let one_of = PlanReference {
        parents: vec![parent("posts", "a"), parent("photos", "b")],
        discriminator: Some("text".into()),
        ..to("posts")
    };
    let fields = [
        field(&["id"], Conversion::Constant(true.into())),
        field(&["number"], Conversion::Reference(to("parents"))),
        field(&["number", "text"], Conversion::Reference(to("parents"))),
        field(&["other"], Conversion::Reference(PlanReference { list: true, ..to("parents") })),
        field(&["other", "text"], Conversion::Reference(one_of)),
    ];
    let row = |number: Value, text: Value, other: Value| {
        record(&[("id", Value::Int64(1)), ("number", number), ("text", text), ("other", other)])
    };
    let uuid = Value::text("0b5c9f0e-6a0e-4d6b-9d0f-1f6d8a3f2c11");
    let text = [
        row(Value::Int64(i64::MAX), Value::text("a\"b"), Value::Null),
        row(Value::Int64(1), Value::text("b"), uuid.clone()),
        row(Value::Int64(1), Value::text("a"), Value::Array(vec![uuid, Value::Null, Value::Int64(7)])),
        row(Value::Int64(1), Value::text("c"), Value::text("neither")),
        row(Value::Null, Value::text("a"), Value::Absent),
        row(decimal("1.50"), Value::Null, Value::Bytes([0, 255].into())),
        row(Value::Float64(1.0), Value::text(""), times(TimeKind::Date, &["2024-02-29"]).remove(0)),
        row(Value::Bool(true), Value::text(""), json("{}")),
    ]
    .map(|row| applied(&fields, &row));
    insta::assert_snapshot!("reference_keys", text.join("\n"));
}

/// A rule of the caller's own.
#[derive(Debug)]
struct Shout;

impl Transform for Shout {
    fn apply(&self, record: &mut Record, _: &mut RowContext) -> Result<(), RowError> {
        for value in &mut record.values {
            if let Value::Text(text) = value {
                *text = text.to_uppercase().into();
            }
        }
        Ok(())
    }
}

#[test]
fn whole_rows() {
    use ScalarKind as S;
    let columns = vec![
        column("id", S::Int8),
        column("full_name", S::Text),
        column("paid_at", S::TimestampTz),
        column("price", S::Numeric),
        column("boss_id", S::Int8),
        column("team_id", S::Uuid),
        column("secret", S::Text),
        column("meta", S::Json),
    ];
    let reference = |of: &str, parent: &str| ForeignKey::single(of.into(), name(parent), "id".into());
    let mut people = table("people", &["id"], columns).unwrap();
    people.foreign_keys = vec![reference("boss_id", "people"), reference("team_id", "teams")];
    let teams = table("teams", &["id"], vec![column("id", S::Uuid)]).unwrap();
    let plan = try_plan(
        vec![people, teams],
        r#"
        [defaults]
        field_names = "camel"

        [tables.people]
        columns.id.name = "number"
        columns.secret.drop = true
        columns.price = { type = "number", nulls = "default", default = 0.5 }
        columns.meta.nulls = "null"
        "#,
    );
    let plan = plan.unwrap();
    let people = plan.tables.iter().find(|table| table.source == name("people")).unwrap();
    let mut chain = Chain::with_key(&people.sink, &people.fields, &people.key);
    chain.push(Box::new(Shout));
    let instant = |text: &str| Value::Time(TimeKind::TimestampTz, text.into());
    let team = Value::text("0b5c9f0e-6a0e-4d6b-9d0f-1f6d8a3f2c11");
    let rows = [
        [
            Value::Int64(7),
            Value::text("Ada"),
            instant("2024-02-29T12:34:56.789012+00:00"),
            Value::Null,
            Value::Int64(9),
            team,
            json("null"),
        ],
        [
            Value::Int64(8),
            Value::Null,
            Value::Null,
            decimal("0.10000000000000000000000001"),
            Value::Null,
            Value::Null,
            Value::Null,
        ],
        [
            Value::Int64(9),
            Value::text("Eve"),
            instant("infinity"),
            decimal("1"),
            Value::Int64(7),
            Value::Null,
            json("[1]"),
        ],
    ];
    let mut text = format!("reads {}\n", chain.columns().iter().map(FieldName::as_str).collect::<Vec<_>>().join(", "));
    for values in rows {
        let fields: Vec<(&str, Value)> = chain.columns().iter().map(FieldName::as_str).zip(values).collect();
        let row = record(&fields);
        let mut context = RowContext::default();
        let outcome = chain.apply(&row, &mut context);
        let _ = write!(text, "\n{}->\n", record_lines(&row, &RowContext::default()));
        let after = match outcome {
            Ok(converted) => {
                context.references = converted.references;
                record_lines(&converted.record, &context)
            }
            Err(error) => format!("  {}\n", refusal(&error)),
        };
        text.push_str(&after);
    }
    insta::assert_snapshot!("whole_rows", text);
}
