//! The generated functions in convex-local, called by [`ConvexSink`]: each way to keep the rows' keys and to be let in.

mod read_back;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use convex_sink::{ConvexSettings, ConvexSink, generate};
use migrate_core::catalog::{ScalarKind, SourceType};
use migrate_core::names::{FieldName, SinkId, SourceKey, TableName};
use migrate_core::plan::{
    AdoptedTable, Cast, Conversion, FieldType, LegacyIds, NullPolicy, PLAN_VERSION, PlanField, PlanIndex,
    PlanReference, PlanTable, RunConfig, SinkPlan, Unfit, WriteMethod,
};
use migrate_core::record::{Record, RecordShape};
use migrate_core::sink::{WriteBatch, WriteEffect, WriteMode, WriteOutcome, WriteRecord};
use migrate_core::value::Value;
use migrate_core::{ErrorKind, Plan, Sink};
use migrate_tests::ari_cms::Scenario;
use migrate_tests::local_stack::ConvexLocal;
use migrate_tests::project::Project;
use serde_json::{Value as Json, json};
use tempfile::TempDir;

const SECRET: &str = "a secret of more than thirty-two characters";
const MODULE: &str = "migration/migrate";
/// What an app does to its documents meanwhile.
const APP: &str = r#"import { v } from "convex/values";
import { internalMutation } from "./_generated/server";

export const remove = internalMutation({
  args: { id: v.id("people") },
  handler: async (ctx, { id }) => await ctx.db.delete(id),
});

export const insert = internalMutation({
  args: { table: v.string(), document: v.any() },
  handler: async (ctx, { table, document }) => await ctx.db.insert(table as any, document),
});
"#;

fn table(name: &str) -> TableName {
    name.parse().unwrap()
}

fn field(name: &str, field_type: FieldType, conversion: Conversion) -> PlanField {
    PlanField {
        field: FieldName::from(name),
        columns: vec![FieldName::from(name)],
        source_type: SourceType::new("text", ScalarKind::Text),
        field_type,
        optional: true,
        nullable: false,
        conversion,
        rule: "test".into(),
        comment: None,
    }
}

fn plan(legacy_ids: LegacyIds, public_functions: bool) -> Plan {
    let text = Conversion::Value {
        cast: Cast::Exact,
        nulls: NullPolicy::Absent,
        values: BTreeMap::new(),
        on_unfit: Unfit::Reject,
    };
    let reference = Conversion::Reference(PlanReference { cut: true, ..PlanReference::to(table("people")) });
    let table = |name: &str, fields: Vec<PlanField>| PlanTable {
        source: table(name),
        sink: table(name),
        level: 0,
        key: vec![FieldName::from("key")],
        fields,
        indexes: vec![],
        filter: None,
        part_of: None,
        creation_time: None,
        alternate_keys: vec![],
        dropped: vec![],
        not_enforced: vec![],
        index_hints: vec![],
        comment: None,
    };
    let name = || field("name", FieldType::String, text.clone());
    // References whose names are those of arguments.
    let cut = ["id", "documentId", "fields"]
        .map(|name| field(name, FieldType::Id("people".parse().unwrap()), reference.clone()));
    Plan {
        version: PLAN_VERSION,
        source_schema: String::new(),
        fingerprint: "0123456789abcdef".into(),
        sink: SinkPlan {
            functions: "convex".into(),
            module: MODULE.into(),
            legacy_id_field: FieldName::from("supabaseId"),
            legacy_ids,
            public_functions,
            write: WriteMethod::default(),
            id_stream: None,
        },
        tables: vec![table("people", std::iter::once(name()).chain(cut).collect()), table("pets", vec![name()])],
        adopted: vec![],
        absent: vec![],
        run: RunConfig::default(),
        notes: vec![],
    }
}

/// A plan's functions, deployed, and a sink that calls them.
struct Deployed {
    _folder: TempDir,
    convex: ConvexLocal,
    sink: ConvexSink,
}

impl Deployed {
    async fn start(plan: &Plan, variables: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let code = generate(plan).unwrap();
        let convex = folder.path().join("convex");
        let write = |path: &str, text: &str| {
            fs::create_dir_all(convex.join(path).parent().unwrap()).unwrap();
            fs::write(convex.join(path), text).unwrap();
        };
        write(&code.schema_path, &code.schema_ts);
        write(&code.migrate_path, &code.migrate_ts);
        write("schema.ts", &code.app_schema.unwrap().alone);
        write("app.ts", APP);
        let convex = ConvexLocal::start_with(folder.path(), variables).await.unwrap();
        let settings = if plan.sink.public_functions {
            ConvexSettings::with_secret(convex.url(), SECRET.into())
        } else {
            ConvexSettings::new(convex.url(), convex.admin_key().into())
        };
        let sink = ConvexSink::new(ConvexSettings {
            legacy_ids: plan.sink.legacy_ids,
            patch_tables: vec![table("people")],
            ..settings
        });
        Self { _folder: folder, convex, sink: sink.unwrap() }
    }

    async fn check(&self) -> migrate_core::Result<()> {
        self.sink.check(&[table("people"), table("pets")]).await
    }

    async fn write(&self, mode: WriteMode, records: &[WriteRecord]) -> Vec<(String, WriteEffect)> {
        let outcomes = self.sink.write_batch(WriteBatch { table: &table("people"), mode, records }).await.unwrap();
        let written = |outcome| match outcome {
            WriteOutcome::Written { id, effect } => (id.as_str().to_owned(), effect),
            WriteOutcome::Rejected(error) => panic!("{error:?}"),
        };
        outcomes.into_iter().map(written).collect()
    }

    /// All documents of a table without what Convex adds.
    async fn documents(&self, table: &str) -> Vec<Json> {
        let mut documents = self.convex.documents(table).await.unwrap();
        for document in &mut documents {
            let fields = document.as_object_mut().unwrap();
            fields.remove("_id");
            fields.remove("_creationTime");
        }
        documents
    }

    /// Calls `scrubLegacyIds` until it is done; gives how many it says it scrubbed with each call.
    async fn scrub(&self, table: &str, secret: Option<&str>) -> Vec<u64> {
        let (mut cursor, mut scrubbed) = (Json::Null, Vec::new());
        loop {
            let mut arguments = json!({ "table": table, "cursor": cursor, "limit": 2.0 });
            if let Some(secret) = secret {
                arguments["secret"] = json!(secret);
            }
            let mut answer = self.convex.mutation(&format!("{MODULE}:scrubLegacyIds"), arguments).await.unwrap();
            let count = answer["scrubbed"].as_f64().unwrap();
            scrubbed.push((0..=9_u64).find(|whole| format!("{whole}") == format!("{count}")).unwrap());
            if answer["isDone"] == json!(true) {
                return scrubbed;
            }
            cursor = answer["cursor"].take();
            assert!(scrubbed.len() < 10, "it never ends: {scrubbed:?}");
        }
    }
}

fn record(key: &str, id: Option<&str>, fields: &[(&str, &str)]) -> WriteRecord {
    let shape = RecordShape {
        table: table("people"),
        fields: fields.iter().map(|(name, _)| FieldName::from(*name)).collect(),
        key: vec![],
    };
    let values = fields.iter().map(|(_, value)| Value::text(*value)).collect();
    WriteRecord {
        key: SourceKey::from(key),
        id: id.map(SinkId::from),
        record: Record { shape: Arc::new(shape), values },
    }
}

fn people() -> Vec<WriteRecord> {
    ["ann", "ben", "cem", "dee", "eli"].map(|name| record(name, None, &[("name", name)])).to_vec()
}

fn effects(written: &[(String, WriteEffect)]) -> Vec<WriteEffect> {
    written.iter().map(|(_, effect)| *effect).collect()
}

#[tokio::test]
async fn upserts_are_idempotent_and_the_keys_are_scrubbed_wherever_they_are() {
    use WriteEffect::{Inserted, Unchanged, Updated};
    for (legacy_ids, secret) in
        [(LegacyIds::Field, None), (LegacyIds::SideTable, None), (LegacyIds::SideTable, Some(SECRET))]
    {
        let deployed = Deployed::start(&plan(legacy_ids, secret.is_some()), &[("MIGRATION_SECRET", SECRET)]).await;
        deployed.check().await.unwrap();
        let first = deployed.write(WriteMode::Upsert, &people()).await;
        assert_eq!(effects(&first), [Inserted; 5]);
        let second = deployed.write(WriteMode::Upsert, &people()).await;
        assert_eq!(effects(&second), [Unchanged; 5]);
        assert!(first.iter().zip(&second).all(|((one, _), (other, _))| one == other), "{first:?} {second:?}");

        let changed = [record("ann", None, &[("name", "anne")]), record("ben", None, &[])];
        assert_eq!(effects(&deployed.write(WriteMode::Upsert, &changed).await), [Updated; 2]);
        let (ann, ben) = (first[0].0.as_str(), first[1].0.as_str());
        let links = [record("ann", Some(ann), &[("id", ben), ("documentId", ben), ("fields", ann)])];
        assert_eq!(effects(&deployed.write(WriteMode::Patch, &links).await), [Updated]);
        assert_eq!(effects(&deployed.write(WriteMode::Patch, &links).await), [Unchanged]);
        let linked = json!({ "name": "anne", "id": ben, "documentId": ben, "fields": ann });
        let documents = deployed.documents("people").await;
        if legacy_ids == LegacyIds::Field {
            assert_eq!(documents[1], json!({ "supabaseId": "ben" }));
        } else {
            assert_eq!(documents[..2], [linked.clone(), json!({})]);
            let rows = deployed.documents("migrationIds").await;
            assert_eq!(rows[1], json!({ "table": "people", "legacyId": "ben", "documentId": ben }));
            assert_eq!(rows.len(), 5);
        }

        // What the app has removed meanwhile is inserted again, once.
        deployed.convex.mutation("app:remove", json!({ "id": first[4].0 })).await.unwrap();
        let again = deployed.write(WriteMode::Upsert, &people()[4..]).await;
        assert_eq!(effects(&again), [Inserted]);
        assert_eq!(deployed.write(WriteMode::Upsert, &people()[4..]).await, [(again[0].0.clone(), Unchanged)]);

        assert_eq!(deployed.scrub("pets", secret).await, [0]);
        assert_eq!(deployed.scrub("people", secret).await, [2, 2, 1]);
        assert_eq!(deployed.scrub("people", secret).await.iter().sum::<u64>(), 0);
        let documents = deployed.documents("people").await;
        assert_eq!(documents.len(), 5);
        assert!(documents.iter().all(|document| document.get("supabaseId").is_none()), "{documents:?}");
        assert_eq!(documents[0], linked);
        assert_eq!(deployed.documents("migrationIds").await, Vec::<Json>::new());
    }
}

#[tokio::test]
async fn documents_with_one_key_are_not_guessed_between() {
    for (legacy_ids, table_of_keys) in [(LegacyIds::Field, "people"), (LegacyIds::SideTable, "migrationIds")] {
        let deployed = Deployed::start(&plan(legacy_ids, false), &[]).await;
        let records = people();
        deployed.write(WriteMode::Upsert, &records[1..2]).await;
        let double = deployed.documents(table_of_keys).await.remove(0);
        let double = json!({ "table": table_of_keys, "document": double });
        deployed.convex.mutation("app:insert", double).await.unwrap();
        let batch = WriteBatch { table: &table("people"), mode: WriteMode::Upsert, records: &records };
        let error = deployed.sink.write_batch(batch).await.unwrap_err();
        assert_eq!((error.kind(), error.code()), (ErrorKind::RecordFailed, "legacy_id_ambiguous"));
        assert!(error.to_string().contains("record: 1"), "{error}");
    }
}

/// Calls a mutation without a key.
async fn call(convex: &ConvexLocal, function: &str, arguments: Json) -> Json {
    let (status, answer) = call_with(convex, "mutation", function, arguments, None).await;
    assert_eq!(status, 200, "{answer}");
    answer
}

/// Calls a function as anybody would, with this `Authorization`; gives the status and the body.
async fn call_with(
    convex: &ConvexLocal,
    endpoint: &str,
    function: &str,
    arguments: Json,
    authorization: Option<&str>,
) -> (u16, Json) {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let body = json!({ "path": format!("{MODULE}:{function}"), "args": arguments, "format": "json" });
    let request = client.post(format!("{}/api/{endpoint}", convex.url())).json(&body);
    let request = authorization.into_iter().fold(request, |request, key| request.header("Authorization", key));
    let response = request.send().await.unwrap();
    (response.status().as_u16(), response.json().await.unwrap())
}

#[tokio::test]
async fn public_functions_ask_for_the_secret() {
    let plan = plan(LegacyIds::Field, true);
    let deployed = Deployed::start(&plan, &[("MIGRATION_SECRET", SECRET)]).await;
    let records = json!([{ "supabaseId": "1", "name": "ann" }]);
    let scrub = |secret: &str| json!({ "secret": secret, "table": "people", "cursor": null });
    let missing = call(&deployed.convex, "bulkInsertPeople", json!({ "records": records })).await;
    assert!(missing["errorMessage"].as_str().unwrap().contains("ArgumentValidationError"), "{missing}");
    let longer = format!("{SECRET}{SECRET}");
    let other = SECRET.replace("thirty", "eighty");
    for wrong in ["", "a", &SECRET[1..], &SECRET[..SECRET.len() - 1], &longer, &other] {
        let refused = call(&deployed.convex, "bulkInsertPeople", json!({ "secret": wrong, "records": records })).await;
        assert_eq!(refused["errorData"], json!({ "code": "secret_wrong" }), "{wrong}: {refused}");
        let refused = call(&deployed.convex, "patchPeople", json!({ "secret": wrong, "records": [] })).await;
        assert_eq!(refused["errorData"], json!({ "code": "secret_wrong" }), "{wrong}: {refused}");
        let refused = call(&deployed.convex, "scrubLegacyIds", scrub(wrong)).await;
        assert_eq!(refused["errorData"], json!({ "code": "secret_wrong" }), "{wrong}: {refused}");
    }
    assert_eq!(deployed.convex.count("people").await.unwrap(), 0);
    let let_in = call(&deployed.convex, "bulkInsertPeople", json!({ "secret": SECRET, "records": records })).await;
    assert_eq!(let_in["value"][0]["outcome"], "inserted", "{let_in}");
    assert_eq!(call(&deployed.convex, "scrubLegacyIds", scrub(SECRET)).await["value"]["scrubbed"], 1.0);

    for variables in [&[][..], &[("MIGRATION_SECRET", "short")]] {
        let deployed = Deployed::start(&plan, variables).await;
        for secret in ["", "short", SECRET] {
            let arguments = json!({ "secret": secret, "records": records });
            let refused = call(&deployed.convex, "bulkInsertPeople", arguments).await;
            assert_eq!(refused["errorData"], json!({ "code": "secret_unset" }), "{refused}");
        }
        assert_eq!(deployed.check().await.unwrap_err().kind(), ErrorKind::Config);
    }
}

#[tokio::test]
async fn internal_functions_are_refused_without_the_admin_key() {
    let mut plan = plan(LegacyIds::Field, false);
    let adopted = AdoptedTable {
        source: table("pets"),
        sink: table("pets"),
        key: vec![FieldName::from("key")],
        index: "by_name".to_owned(),
        natural_key: plan.tables[1].fields.clone(),
        fields: plan.tables[1].fields.clone(),
        indexes: vec![PlanIndex { name: "by_name".to_owned(), fields: vec![FieldName::from("name")] }],
    };
    // The app's own table has the index; here the generated schema does.
    plan.tables.remove(1);
    plan.adopted.push(adopted);
    let deployed = Deployed::start(&plan, &[]).await;
    let record = json!({ "records": [{ "supabaseId": "1", "name": "ann" }] });
    let functions = [
        ("mutation", "bulkInsertPeople", record.clone()),
        ("mutation", "patchPeople", json!({ "records": [] })),
        ("mutation", "scrubLegacyIds", json!({ "table": "people", "cursor": null })),
        ("query", "lookup", json!({ "table": "pets", "index": "by_name", "keys": [["rex"]] })),
        ("query", "readDocuments", json!({ "table": "people", "cursor": null, "limit": 1.0 })),
        ("query", "countDocuments", json!({ "table": "people", "cursor": null })),
    ];
    let key = deployed.convex.admin_key();
    let wrong = format!("Convex {}0", &key[..key.len() - 1]);
    let cut = format!("Convex {}", &key[..key.len() - 1]);
    let as_user = format!("Bearer {key}");
    for (endpoint, function, arguments) in &functions {
        let call = |endpoint, key| call_with(&deployed.convex, endpoint, function, arguments.clone(), key);
        let (status, refused) = call(endpoint, None).await;
        let text = refused["errorMessage"].as_str().unwrap_or_default();
        assert!(status == 200 && text.contains("Could not find public function"), "{function}: {status} {refused}");
        assert_eq!(call("function", None).await.0, 403, "{function}");
        for refused_key in [&wrong, &cut, &as_user, "Convex x", &format!("Convex {key}{key}")] {
            for endpoint in [*endpoint, "function"] {
                let (status, refused) = call(endpoint, Some(refused_key)).await;
                assert!(matches!(status, 401 | 403), "{function} by {endpoint}: {status} {refused}");
            }
        }
    }
    assert_eq!(deployed.convex.count("people").await.unwrap(), 0);
    // With the key, the same calls are answered.
    let right = format!("Convex {key}");
    for (endpoint, function, arguments) in functions {
        let (status, answer) = call_with(&deployed.convex, endpoint, function, arguments, Some(&right)).await;
        assert_eq!((status, &answer["status"]), (200, &json!("success")), "{function}: {answer}");
    }
    assert_eq!(deployed.convex.count("people").await.unwrap(), 1);
}

fn printed(output: &std::process::Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_programs_go_through_with_a_side_table_and_a_secret() {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let mut project = Project::set_up(folder.path(), Scenario::Seed).await.unwrap();
    let path = folder.path().join("migrate.toml");
    let configuration = fs::read_to_string(&path).unwrap();
    let convex = "[convex]\nlegacy_ids = \"side_table\"\npublic_functions = true\n\n[defaults]";
    fs::write(&path, configuration.replacen("[defaults]", convex, 1)).unwrap();
    for (program, arguments) in [("migrate-discover", &[][..]), ("migrate-plan", &["--write"])] {
        let output = project.run(program, arguments).await.unwrap();
        assert!(output.status.success(), "{}", printed(&output));
    }
    project.deploy_with(&[("MIGRATION_SECRET", SECRET)]).await.unwrap();
    let run = |secret: &'static str| {
        let mut command = project.program("migrate-run", &["--quiet"]);
        command.env_remove("CONVEX_SELF_HOSTED_ADMIN_KEY").env("MIGRATION_SECRET", secret);
        tokio::task::spawn_blocking(move || command.output().unwrap())
    };
    let refused = run("another secret of more than thirty-two characters").await.unwrap();
    assert_eq!(refused.status.code(), Some(4), "{}", printed(&refused));
    assert!(printed(&refused).contains("MIGRATION_SECRET"), "{}", printed(&refused));
    assert!(!printed(&refused).contains("another secret"), "{}", printed(&refused));
    for _ in 0..2 {
        let output = run(SECRET).await.unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", printed(&output));
        assert!(!printed(&output).contains(SECRET));
    }
    let convex = project.convex.as_ref().unwrap();
    let slots = convex.documents("consultantSlots").await.unwrap();
    assert_eq!(slots.len(), 2);
    assert!(slots.iter().all(|slot| slot.get("supabaseId").is_none()), "{slots:?}");
    assert_eq!(convex.count("migrationIds").await.unwrap(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_never_overwrites_a_schema_of_the_users() {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let project = Project::set_up(folder.path(), Scenario::Seed).await.unwrap();
    let schema = folder.path().join("convex/schema.ts");
    let plan = async |arguments: &[&str]| {
        let output = project.run("migrate-plan", arguments).await.unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", printed(&output));
        printed(&output)
    };
    let discovered = project.run("migrate-discover", &[]).await.unwrap();
    assert!(discovered.status.success(), "{}", printed(&discovered));

    let shown = plan(&[]).await;
    assert!(shown.contains("export { default } from \"./migration/schema\";"), "{shown}");
    assert!(!schema.exists());
    assert!(
        is_file(folder.path(), "convex/migration/schema.ts") && is_file(folder.path(), "convex/migration/migrate.ts")
    );

    let own = "import { defineSchema } from \"convex/server\";\nexport default defineSchema({});\n";
    fs::write(&schema, own).unwrap();
    for arguments in [&[][..], &["--write"]] {
        let shown = plan(arguments).await;
        assert!(shown.contains("...migration.tables"), "{shown}");
        assert_eq!(fs::read_to_string(&schema).unwrap(), own);
    }
    let spread = own.replace("{}", "{ ...migration.tables }");
    let spread = format!("import migration from \"./migration/schema\";\n{spread}");
    fs::write(&schema, &spread).unwrap();
    let shown = plan(&["--write"]).await;
    assert!(!shown.contains("migration.tables"), "nothing is left to do: {shown}");
    assert_eq!(fs::read_to_string(&schema).unwrap(), spread);

    fs::write(&schema, format!("{}\n// An older one.\n", convex_sink::GENERATED_MARKER)).unwrap();
    assert!(plan(&[]).await.contains("migrate-plan --write"));
    plan(&["--write"]).await;
    let written = fs::read_to_string(&schema).unwrap();
    assert!(written.ends_with("\nexport { default } from \"./migration/schema\";\n"), "{written}");
    assert!(!plan(&["--write"]).await.contains("export {"));

    let functions = folder.path().join("convex/migration/migrate.ts");
    fs::write(&functions, own).unwrap();
    let refused = project.run("migrate-plan", &["--write"]).await.unwrap();
    assert_eq!(refused.status.code(), Some(4), "{}", printed(&refused));
    assert_eq!(fs::read_to_string(&functions).unwrap(), own);
}

fn is_file(folder: &Path, path: &str) -> bool {
    folder.join(path).is_file()
}
