use std::collections::BTreeMap;
use std::fmt::Write as _;

use migrate_core::catalog::{ScalarKind, SourceType};
use migrate_core::names::{FieldName, TableName};
use migrate_core::plan::{
    AdoptedTable, Cast, Conversion, FieldType, LegacyIds, NullPolicy, PLAN_VERSION, PlanField, PlanIndex,
    PlanReference, PlanTable, RunConfig, SinkPlan, Unfit,
};
use migrate_core::{ErrorKind, Plan};

use super::{GENERATED_MARKER, generate};

fn name(text: &str) -> TableName {
    text.parse().unwrap()
}

fn names(texts: &[&str]) -> Vec<FieldName> {
    texts.iter().map(|text| FieldName::from(*text)).collect()
}

fn field(of: &str, field_type: FieldType) -> PlanField {
    PlanField {
        field: FieldName::from(of),
        columns: names(&[of]),
        source_type: SourceType::new("text", ScalarKind::Text),
        field_type,
        optional: false,
        nullable: false,
        conversion: Conversion::Value {
            cast: Cast::Exact,
            nulls: NullPolicy::Reject,
            values: BTreeMap::new(),
            on_unfit: Unfit::Reject,
        },
        rule: "test".into(),
        comment: None,
    }
}

fn optional(of: &str, field_type: FieldType) -> PlanField {
    PlanField { optional: true, ..field(of, field_type) }
}

fn nullable(of: &str, field_type: FieldType) -> PlanField {
    PlanField { nullable: true, ..field(of, field_type) }
}

fn reference(of: &str, parent: &str, cut: bool) -> PlanField {
    let reference = PlanReference { cut, ..PlanReference::to(name(parent)) };
    PlanField { conversion: Conversion::Reference(reference), ..field(of, FieldType::Id(name(parent))) }
}

fn index(of: &str, fields: &[&str]) -> PlanIndex {
    PlanIndex { name: of.into(), fields: names(fields) }
}

fn table(source: &str, sink: &str, fields: Vec<PlanField>, indexes: Vec<PlanIndex>) -> PlanTable {
    PlanTable {
        source: name(source),
        sink: name(sink),
        level: 0,
        key: names(&["id"]),
        fields,
        indexes,
        filter: None,
        alternate_keys: vec![],
        dropped: vec![],
        not_enforced: vec![],
        index_hints: vec![],
        comment: None,
    }
}

fn plan(tables: Vec<PlanTable>, adopted: Vec<AdoptedTable>) -> Plan {
    Plan {
        version: PLAN_VERSION,
        fingerprint: "0123456789abcdef".into(),
        source_schema: String::new(),
        sink: SinkPlan {
            functions: "convex".into(),
            module: "migrate".into(),
            legacy_id_field: FieldName::from("supabaseId"),
            legacy_ids: LegacyIds::Field,
            public_functions: false,
        },
        tables,
        adopted,
        absent: vec![],
        run: RunConfig::default(),
        notes: vec![],
    }
}

fn literals(texts: &[&str]) -> FieldType {
    FieldType::Literals(texts.iter().map(|text| (*text).to_owned()).collect())
}

fn array(of: FieldType) -> FieldType {
    FieldType::Array(Box::new(of))
}

fn every_kind() -> Plan {
    let fields = vec![
        field("text", FieldType::String),
        field("number", FieldType::Number),
        field("big", FieldType::Int64),
        field("flag", FieldType::Boolean),
        field("blob", FieldType::Bytes),
        optional("anything", FieldType::Any),
        nullable("whatever", FieldType::Any),
        field("tags", array(FieldType::String)),
        optional("matrix", array(array(FieldType::Number))),
        field("status", literals(&["draft", "published", "draft"])),
        nullable(
            "mood",
            literals(&["happy", "sad", "indifferent to everything", "somewhere in between", "none of these"]),
        ),
        field("only", literals(&["one"])),
        field("moods", array(literals(&["a", "b"]))),
        optional("maybe_text", FieldType::String),
        nullable("null_text", FieldType::String),
        PlanField { optional: true, ..nullable("maybe_null", FieldType::Int64) },
    ];
    plan(vec![table("kinds", "kinds", fields, vec![index("by_status", &["status", "number"])])], vec![])
}

fn references() -> Plan {
    let people = vec![field("name", FieldType::String), reference("manager_id", "people", true)];
    let pets = vec![
        field("name", FieldType::String),
        reference("owner_id", "people", false),
        PlanField { optional: true, nullable: true, ..reference("sitter_id", "people", false) },
        PlanField { nullable: true, ..reference("rival_id", "pets", true) },
        PlanField { optional: true, ..reference("friend_id", "pets", true) },
    ];
    let plan = plan(
        vec![
            table("people", "people", people, vec![]),
            table("pets", "pets", pets, vec![index("by_owner", &["owner_id", "name"])]),
        ],
        vec![],
    );
    Plan { sink: SinkPlan { module: "migrations/supabase".into(), ..plan.sink }, ..plan }
}

fn adopted() -> Plan {
    let workspaces = AdoptedTable {
        source: name("workspaces"),
        sink: name("workspaces"),
        key: names(&["id"]),
        index: "by_slug".into(),
        natural_key: vec![field("slug", FieldType::String)],
        fields: vec![field("name", FieldType::String), field("slug", FieldType::String)],
        indexes: vec![],
    };
    let contacts = AdoptedTable {
        source: name("contacts"),
        sink: name("contacts"),
        key: names(&["id"]),
        index: "by_workspace_phone".into(),
        natural_key: vec![reference("workspace_id", "workspaces", false), field("phone", FieldType::String)],
        fields: vec![optional("email", FieldType::String)],
        indexes: vec![index("by_workspace_phone", &["workspace_id", "phone", "email"]), index("by_email", &["email"])],
    };
    let slots = AdoptedTable {
        source: name("consultant_slots"),
        sink: name("consultantSlots"),
        key: names(&["id"]),
        index: "by_workspace_consultant_day".into(),
        natural_key: vec![
            reference("workspace_id", "workspaces", false),
            optional("consultant_id", FieldType::String),
            field("day_of_week", FieldType::Number),
        ],
        fields: vec![],
        indexes: vec![],
    };
    let destinations = vec![
        reference("workspace_id", "workspaces", false),
        field("country", FieldType::String),
        optional("city", FieldType::String),
        optional("programs", array(FieldType::String)),
        reference("contact_id", "contacts", false),
    ];
    let indexes =
        vec![index("by_workspace", &["workspace_id"]), index("by_workspace_country", &["workspace_id", "country"])];
    plan(vec![table("ari_destinations", "ariDestinations", destinations, indexes)], vec![workspaces, contacts, slots])
}

fn hostile() -> Plan {
    let evil = "*/ \"'`${x}\\ \n </script> <!-- \u{2028}\u{2029} é";
    let fields = vec![
        field("status", literals(&[evil, "plain"])),
        optional("class", FieldType::String),
        optional("then", FieldType::Number),
        field("record", FieldType::Boolean),
        field("index", FieldType::Boolean),
        field("fields", FieldType::Boolean),
    ];
    let mut plan = plan(vec![table(&format!("odd.{evil}"), "oddTable", fields, vec![])], vec![]);
    plan.fingerprint = "abc\nimport evil".into();
    plan
}

fn long_names() -> Plan {
    let table_name = "a".repeat(64);
    let field_name = "f".repeat(62);
    let fields = vec![
        PlanField { nullable: true, optional: true, ..reference(&field_name, &table_name, false) },
        field("g", FieldType::String),
        field("h", FieldType::String),
    ];
    let indexes = vec![index("by_everything", &["g", "h", &field_name]), index("by_h", &["h"])];
    let mut plan = plan(vec![table("long", &table_name, fields, indexes)], vec![]);
    plan.sink.legacy_id_field = FieldName::from("identifier_of_the_row_in_supabase");
    plan
}

#[test]
fn snapshots() {
    for (case, plan) in [
        ("every_kind", every_kind()),
        ("references", references()),
        ("adopted", adopted()),
        ("hostile", hostile()),
        ("long_names", long_names()),
        ("no_tables", plan(vec![], vec![])),
        ("only_adopted", plan(vec![], adopted().adopted)),
    ] {
        let code = generate(&plan).unwrap();
        for text in [&code.schema_ts, &code.migrate_ts] {
            assert_eq!(text.lines().next(), Some(GENERATED_MARKER), "{case}");
            assert!(text.ends_with('\n') && !text.ends_with("\n\n") && !text.contains("\n\n\n"), "{case}");
            assert!(!text.contains("</script") && !text.contains('\u{2028}'), "{case}");
        }
        insta::assert_snapshot!(format!("{case}_schema_ts"), code.schema_ts);
        insta::assert_snapshot!(format!("{case}_migrate_ts"), code.migrate_ts);
    }
}

#[test]
fn an_own_index_on_the_legacy_id_is_used() {
    let fields = vec![field("city", FieldType::String)];
    let own = vec![index("by_legacy", &["supabaseId"])];
    let code = generate(&plan(vec![table("a", "a", fields, own)], vec![])).unwrap();
    assert!(code.migrate_ts.contains(".withIndex(\"by_legacy\", (q) => q.eq(\"supabaseId\", record.supabaseId))"));
    assert!(!code.schema_ts.contains("by_supabaseId"));
}

#[test]
fn a_table_with_all_its_indexes_gets_none_for_a_reference() {
    let mut fields = vec![reference("parent", "a", false)];
    fields.extend((0..31).map(|number| field(&format!("f{number}"), FieldType::String)));
    let indexes: Vec<PlanIndex> =
        (0..31).map(|number| index(&format!("i{number}"), &[&format!("f{number}")])).collect();
    let code = generate(&plan(vec![table("a", "a", fields.clone(), indexes.clone())], vec![])).unwrap();
    assert!(code.schema_ts.contains("// No index for parent"), "{}", code.schema_ts);
    let mut more = indexes;
    more.push(index("i31", &["f0", "f1"]));
    let error = generate(&plan(vec![table("a", "a", fields, more)], vec![])).unwrap_err();
    assert!(error.to_string().contains("32 indexes"), "{error}");
}

#[test]
fn what_convex_would_refuse_is_a_configuration_error() {
    let text = || field("a", FieldType::String);
    let one = |fields: Vec<PlanField>, indexes: Vec<PlanIndex>| plan(vec![table("src", "t", fields, indexes)], vec![]);
    let module = |module: &str| {
        let mut plan = one(vec![], vec![]);
        plan.sink.module = module.into();
        plan
    };
    let cases = [
        ("table_reserved", plan(vec![table("src", "_t", vec![], vec![])], vec![])),
        ("table_with_schema", plan(vec![table("src", "other.t", vec![], vec![])], vec![])),
        ("table_twice", plan(vec![table("a", "t", vec![], vec![]), table("b", "t", vec![], vec![])], vec![])),
        ("functions_twice", plan(vec![table("a", "my_t", vec![], vec![]), table("b", "myT", vec![], vec![])], vec![])),
        ("field_name", one(vec![field("first name", FieldType::String)], vec![])),
        ("field_twice", one(vec![text(), text()], vec![])),
        ("field_inherited", one(vec![field("constructor", FieldType::String)], vec![])),
        ("field_is_legacy_id", one(vec![field("supabaseId", FieldType::String)], vec![])),
        ("cut_field_id", one(vec![reference("id", "t", true)], vec![])),
        ("no_literals", one(vec![field("a", literals(&[]))], vec![])),
        ("unknown_parent", one(vec![reference("a", "nowhere", false)], vec![])),
        ("index_name", one(vec![text()], vec![index("by a", &["a"])])),
        ("index_reserved", one(vec![text()], vec![index("by_id", &["a"])])),
        ("index_without_fields", one(vec![text()], vec![index("by_a", &[])])),
        ("index_of_unknown_field", one(vec![text()], vec![index("by_b", &["b"])])),
        ("index_field_twice", one(vec![text()], vec![index("by_a", &["a", "a"])])),
        ("index_twice", one(vec![text()], vec![index("by_a", &["a"]), index("also_a", &["a"])])),
        ("index_name_taken", one(vec![text()], vec![index("by_supabaseId", &["a"])])),
        ("module_path", module("../evil")),
        ("module_reserved", module("schema")),
    ];
    let mut shown = String::new();
    for (case, plan) in cases {
        let error = generate(&plan).expect_err(case);
        assert_eq!(error.kind(), ErrorKind::Config, "{case}");
        writeln!(shown, "{case}: {error}").unwrap();
    }
    insta::assert_snapshot!("refusals", shown);
}
