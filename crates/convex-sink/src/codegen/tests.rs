use std::collections::BTreeMap;
use std::fmt::Write as _;

use migrate_core::catalog::{ScalarKind, SourceType};
use migrate_core::names::{FieldName, TableName};
use migrate_core::plan::{
    AdoptedTable, Cast, Conversion, FieldType, LegacyIds, NullPolicy, PLAN_VERSION, PlanField, PlanIndex,
    PlanReference, PlanTable, RunConfig, SinkPlan, Unfit, WriteMethod,
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

fn id(parent: &str) -> FieldType {
    FieldType::Id(name(parent))
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
        part_of: None,
        creation_time: None,
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
            module: "migration/migrate".into(),
            legacy_id_field: FieldName::from("supabaseId"),
            legacy_ids: LegacyIds::Field,
            public_functions: false,
            write: WriteMethod::default(),
            id_stream: None,
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

fn null_or(of: FieldType) -> FieldType {
    FieldType::Nullable(Box::new(of))
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
        field("holes", array(null_or(FieldType::String))),
        optional("hollow", array(null_or(array(null_or(literals(&["a", "b"])))))),
        nullable("null_or_null", null_or(FieldType::Number)),
        field("anything_in_a_list", array(null_or(FieldType::Any))),
        field("text_or_number", FieldType::Union(vec![FieldType::String, FieldType::Number])),
        nullable("odd_union", FieldType::Union(vec![FieldType::Int64, null_or(FieldType::Int64), literals(&["none"])])),
        field("union_of_one", FieldType::Union(vec![FieldType::Boolean])),
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
        reference("id", "people", true),
        reference("documentId", "pets", true),
        reference("fields", "pets", true),
        PlanField {
            field_type: FieldType::Union(vec![id("people"), id("pets")]),
            ..reference("subject", "people", false)
        },
        optional("friends", array(id("people"))),
    ];
    let plan = plan(
        vec![
            table("people", "people", people, vec![]),
            table("pets", "pets", pets, vec![index("by_owner", &["owner_id", "name"])]),
        ],
        vec![],
    );
    Plan { sink: SinkPlan { module: "deep/er/supabase".into(), ..plan.sink }, ..plan }
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

const EVIL: &str = "*/ \"'`${x}\\ \n </script> <!-- \u{2028}\u{2029}\u{202e} é";

fn hostile() -> Plan {
    let fields = vec![
        field("status", literals(&[EVIL, "plain"])),
        PlanField { comment: Some(format!("one\r\n{EVIL}")), ..optional("class", FieldType::String) },
        PlanField { comment: Some("@ts-expect-error\u{85}*/ evil();".into()), ..optional("then", FieldType::Number) },
        PlanField { comment: Some(" \n ".into()), ..field("record", FieldType::Boolean) },
        field("index", FieldType::Boolean),
        field("fields", FieldType::Boolean),
        field("key", FieldType::Boolean),
    ];
    let table = PlanTable {
        comment: Some(format!("{EVIL}\nimport evil from \"evil\";")),
        filter: Some(EVIL.into()),
        dropped: names(&["gone", "\n});"]),
        not_enforced: vec![format!("check_{EVIL}: (a \n > 0)"), "@ts-ignore".into(), "\u{2028}evil();".into()],
        index_hints: vec!["eslint-disable */".into(), "//# sourceMappingURL=https://evil.example".into()],
        ..table(&format!("odd.{EVIL}"), "oddTable", fields, vec![])
    };
    let mut plan = plan(vec![table], vec![]);
    plan.fingerprint = "abc\nimport evil".into();
    plan
}

/// What a catalog with everything in it makes of a table.
fn commented() -> Plan {
    let fields = vec![
        PlanField { comment: Some("What the customer is shown.".into()), ..field("title", FieldType::String) },
        field("slug", FieldType::String),
        PlanField {
            comment: Some(
                "Made by the model of 2023; older rows have the one before it, and are to be made again when they are \
                 next changed."
                    .into(),
            ),
            ..optional("embedding", array(FieldType::Number))
        },
        reference("parent_id", "articles", true),
    ];
    let articles = PlanTable {
        comment: Some("Articles of the help centre.\nDrafts too.".into()),
        filter: Some("tenant_id=eq.7&deleted_at=is.null".into()),
        dropped: names(&["tenant_id", "deleted_at"]),
        not_enforced: vec![
            "unique (slug)".into(),
            "articles_title_check: (char_length(title) > 0)".into(),
            "(parent_id): deleting its row of articles deletes the row".into(),
            "created_at defaults to now()".into(),
        ],
        index_hints: vec![
            ".vectorIndex(\"by_embedding\", { vectorField: \"embedding\", dimensions: 1536 })".into(),
            ".searchIndex(\"search_title\", { searchField: \"title\" })".into(),
        ],
        ..table("articles", "articles", fields, vec![index("by_slug", &["slug"])])
    };
    plan(vec![articles, table("tags", "tags", vec![field("name", FieldType::String)], vec![])], vec![])
}

fn side_table(plan: Plan) -> Plan {
    Plan { sink: SinkPlan { legacy_ids: LegacyIds::SideTable, ..plan.sink }, ..plan }
}

fn public(plan: Plan) -> Plan {
    Plan { sink: SinkPlan { public_functions: true, ..plan.sink }, ..plan }
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
        ("commented", commented()),
        ("long_names", long_names()),
        ("long_names_side_table", public(side_table(long_names()))),
        ("side_table", side_table(references())),
        ("public", public(adopted())),
        ("public_side_table", public(side_table(references()))),
        ("public_only_adopted", public(plan(vec![], adopted().adopted))),
        ("no_tables", plan(vec![], vec![])),
        ("only_adopted", plan(vec![], adopted().adopted)),
    ] {
        let code = generate(&plan).unwrap();
        for text in [&code.schema_ts, &code.migrate_ts] {
            assert_eq!(text.lines().next(), Some(GENERATED_MARKER), "{case}");
            assert!(text.ends_with('\n') && !text.ends_with("\n\n") && !text.contains("\n\n\n"), "{case}");
            assert!(!text.contains("</script") && !text.contains(['\u{2028}', '\u{202e}', '\u{85}']), "{case}");
            assert!(!text.contains("@ts-") && !text.contains("\nimport evil") && !text.contains("\nevil"), "{case}");
        }
        insta::assert_snapshot!(format!("{case}_schema_ts"), code.schema_ts);
        insta::assert_snapshot!(format!("{case}_migrate_ts"), code.migrate_ts);
    }
}

#[test]
fn files_are_in_the_modules_folder() {
    let code = generate(&references()).unwrap();
    assert_eq!((code.schema_path.as_str(), code.migrate_path.as_str()), ("deep/er/schema.ts", "deep/er/supabase.ts"));
    let app = code.app_schema.unwrap();
    assert_eq!(app.import, "./deep/er/schema");
    assert_eq!(app.alone, format!("{GENERATED_MARKER}\nexport {{ default }} from \"./deep/er/schema\";\n"));
    insta::assert_snapshot!("added_to_an_own_schema", app.added);

    let mut plan = references();
    plan.sink.module = "migrate".into();
    let code = generate(&plan).unwrap();
    assert_eq!((code.schema_path.as_str(), code.migrate_path.as_str()), ("schema.ts", "migrate.ts"));
    assert_eq!(code.app_schema, None, "its schema is the app's");
    assert!(code.migrate_ts.contains("from \"./_generated/server\""));
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
    assert!(code.schema_ts.contains("// - No index for parent"), "{}", code.schema_ts);
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
        ("no_types", one(vec![field("a", FieldType::Union(vec![]))], vec![])),
        ("side_table_taken", side_table(plan(vec![table("src", "migrationIds", vec![], vec![])], vec![]))),
        ("side_table_index", side_table(one(vec![text()], vec![index("by_id_", &["supabaseId"])]))),
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
        ("module_of_the_schema", module("migration/schema")),
    ];
    let mut shown = String::new();
    for (case, plan) in cases {
        let error = generate(&plan).expect_err(case);
        assert_eq!(error.kind(), ErrorKind::Config, "{case}");
        writeln!(shown, "{case}: {error}").unwrap();
    }
    insta::assert_snapshot!("refusals", shown);
}
