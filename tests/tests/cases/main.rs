//! Small hard schemas, each a folder of `tests/cases`: what is planned for it, the code that is generated, or what the
//! user is told.
//!
//! A folder holds `schema.sql` and configurations, of which `migrate.toml` is the usual one. For each configuration
//! there is the plan as text (`plan.snap`) and the generated code (`schema.ts.snap`, `migrate.ts.snap`), under names
//! that start with the configuration's where that is another; what is wrong with those that are refused is in
//! `messages.snap`. A new folder needs no code here.

mod plan_text;

use std::any::Any;
use std::collections::BTreeSet;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use convex_sink::{CONVEX_RULES, GeneratedCode, generate};
use migrate_core::catalog::Catalog;
use migrate_core::plan::{ConfigError, MigrateConfig, Plan, build_plan, coverage, read_config};
use migrate_tests::local_stack::{Postgres, type_check_all};
use supabase_source::{PostgresCatalog, PostgresSettings};

/// The role that discovery has, with the rights that it has in a Supabase project.
const ROLE: &str = "
do $$ begin
    if not exists (select from pg_roles where rolname = 'service_role') then create role service_role login bypassrls; end if;
end $$;
grant usage on schema public to service_role;
alter default privileges in schema public grant all on tables to service_role;";

/// A folder of `tests/cases`.
struct Case {
    name: String,
    folder: PathBuf,
}

impl Case {
    /// All of them, by name.
    fn all() -> Vec<Self> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("cases");
        let cases = listed(&folder).into_iter();
        cases.map(|name| Self { folder: folder.join(&name), name }).collect()
    }

    fn read(&self, file: &str) -> String {
        let path = self.folder.join(file);
        fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    /// The names of its configurations, without `.toml`.
    fn configurations(&self) -> Vec<String> {
        let files = listed(&self.folder).into_iter();
        files.filter_map(|file| file.strip_suffix(".toml").map(str::to_owned)).collect()
    }

    /// Its schema in a database of its own.
    async fn database(&self, postgres: &Postgres) -> String {
        let database = postgres.create_own_database("case").await.unwrap();
        let client = postgres.connect(&database).await.unwrap();
        for sql in [ROLE, &self.read("schema.sql")] {
            client.batch_execute(sql).await.unwrap_or_else(|error| panic!("{}: {error:?}", self.name));
        }
        database
    }

    fn settings(&self) -> insta::Settings {
        let mut settings = insta::Settings::clone_current();
        settings.set_snapshot_path(&self.folder);
        settings.set_prepend_module_to_snapshot(false);
        settings.set_omit_expression(true);
        settings
    }
}

/// The names in a folder, sorted.
fn listed(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let names: BTreeSet<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.into_iter().collect()
}

async fn discover(url: String, config: &MigrateConfig) -> Catalog {
    let mut settings = PostgresSettings::new(url);
    settings.schemas.clone_from(&config.supabase.schemas);
    settings.expected_tables = config.named_tables().collect();
    PostgresCatalog::new(settings).unwrap().discover().await.unwrap()
}

/// The plan of a configuration and its code, or what the user is told.
async fn planned(url: String, file: &str, text: &str) -> Result<(Plan, Catalog), Vec<ConfigError>> {
    let config = read_config(file, text).map_err(|error| vec![error])?;
    let catalog = discover(url, &config).await;
    match build_plan(&config, &catalog, &CONVEX_RULES) {
        Ok(plan) => Ok((plan, catalog)),
        Err(issues) => Err(ConfigError::from_issues(file, text, &issues)),
    }
}

/// Every column of a planned table is in a field, in the key, or dropped by the configuration.
fn assert_covered(plan: &Plan, catalog: &Catalog) {
    let planned: BTreeSet<_> = plan.tables.iter().map(|table| &table.source).collect();
    for fate in coverage(plan, catalog).iter().filter(|fate| planned.contains(&fate.table)) {
        assert!(!fate.fields.is_empty() || fate.note.is_some(), "{fate}");
    }
}

fn write_code(project: &Path, plan: &Plan, code: &GeneratedCode) {
    let functions = project.join("convex");
    let module = functions.join(format!("{}.ts", plan.sink.module));
    fs::create_dir_all(module.parent().unwrap()).unwrap();
    fs::write(functions.join("schema.ts"), &code.schema_ts).unwrap();
    fs::write(module, &code.migrate_ts).unwrap();
}

fn without_fingerprint(code: &str, plan: &Plan) -> String {
    code.replace(&plan.fingerprint, "[fingerprint]")
}

fn reason(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string)).unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_case_is_planned_and_generated_as_recorded() {
    let cases = Case::all();
    assert!(cases.len() >= 17, "there were more cases");
    let postgres = Postgres::shared().await.unwrap();
    let projects = tempfile::tempdir().unwrap();
    let mut failures: Vec<String> = Vec::new();
    for case in &cases {
        let database = case.database(postgres).await;
        let url = || postgres.url_for("service_role", &database);
        let (mut messages, mut kept): (String, BTreeSet<String>) = (String::new(), BTreeSet::new());
        let mut recorded: Vec<(String, String)> = Vec::new();
        for stem in case.configurations() {
            let file = format!("{stem}.toml");
            let prefix = if stem == "migrate" { String::new() } else { format!("{stem}.") };
            match planned(url(), &file, &case.read(&file)).await {
                Ok((plan, catalog)) => {
                    assert_covered(&plan, &catalog);
                    let code = generate(&plan).unwrap_or_else(|error| panic!("{}/{file}: {error:?}", case.name));
                    write_code(&projects.path().join(format!("{}-{stem}", case.name)), &plan, &code);
                    recorded.push((format!("{prefix}plan"), plan_text::of(&plan)));
                    recorded.push((format!("{prefix}schema.ts"), without_fingerprint(&code.schema_ts, &plan)));
                    recorded.push((format!("{prefix}migrate.ts"), without_fingerprint(&code.migrate_ts, &plan)));
                }
                Err(errors) => messages.extend(errors.iter().map(|error| format!("{error}\n\n"))),
            }
        }
        if !messages.is_empty() {
            recorded.push(("messages".to_owned(), messages));
        }
        case.settings().bind(|| {
            for (name, text) in recorded {
                let compared = catch_unwind(AssertUnwindSafe(|| insta::assert_snapshot!(name.clone(), text)));
                failures.extend(compared.err().map(|panic| format!("{}/{name}: {}", case.name, reason(&*panic))));
                kept.insert(format!("{name}.snap"));
            }
        });
        let files = listed(&case.folder).into_iter();
        let stale = files.filter(|file| file.strip_suffix(".snap").is_some() && !kept.contains(file));
        failures.extend(stale.map(|file| format!("{}/{file} is of nothing any more", case.name)));
    }
    let folder = projects.path().to_owned();
    let checked = tokio::task::spawn_blocking(move || type_check_all(&folder)).await.unwrap();
    failures.extend(checked.err());
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// The schema that editors complete `migrate.toml` by takes what the programs take.
#[test]
fn configurations_are_valid_by_the_json_schema() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let schema = fs::read_to_string(root.join("jsonschemas/migrate.schema.json")).unwrap();
    let validator = jsonschema::validator_for(&serde_json::from_str(&schema).unwrap()).unwrap();
    let mut configurations: Vec<(String, String)> = Vec::new();
    for case in Case::all() {
        let files = case.configurations().into_iter().map(|stem| format!("{stem}.toml"));
        configurations.extend(files.map(|file| (format!("{}/{file}", case.name), case.read(&file))));
    }
    for example in listed(&root.join("examples")) {
        let path = root.join("examples").join(&example).join("migrate.toml");
        // Programs that embed the library are no projects.
        if path.exists() {
            configurations.push((example, fs::read_to_string(path).unwrap()));
        }
    }
    for (name, text) in configurations {
        let json: serde_json::Value = match toml::from_str(&text) {
            Ok(json) => json,
            Err(error) => {
                assert!(read_config(&name, &text).is_err(), "{name}: {error}");
                continue;
            }
        };
        let errors: Vec<String> = validator.iter_errors(&json).map(|error| error.to_string()).collect();
        // The programs know more than a schema can say: how a name is written.
        match read_config(&name, &text) {
            Ok(_) => assert!(errors.is_empty(), "{name}: {errors:#?}"),
            Err(error) if error.message.contains("names no table") => {}
            Err(error) => assert!(!errors.is_empty(), "{name} is valid by the schema, but: {error}"),
        }
    }
}
