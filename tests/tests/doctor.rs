//! `migrate-doctor` against the local stack: what it says is what SQL, the stack's own settings and the package `convex`
//! say, and it never says a secret.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Output};

use migrate_tests::local_stack::{ConvexLocal, Supabase, SupabaseOptions};
use migrate_tests::project::{Profile, Project, ProjectFolder, output};
use serde_json::{Value, json};
use tempfile::TempDir;

/// A password that must not be seen again.
const CANARY: &str = "hunter2-canary";

/// A parent that is adopted, a table over the cap on rows, and one that refers to itself, which needs a second pass.
const SCHEMA: &str = "
    create table customers (id uuid primary key, email text not null unique);
    create table notes (
        id int primary key,
        customer_id uuid references customers (id),
        kind text not null check (kind in ('call', 'mail')),
        total numeric(10, 2),
        tags text[]
    );
    create table folders (id int primary key, parent_id int references folders (id), name text not null);
    insert into notes (id, kind) select id, 'call' from generate_series(1, 1500) id;
    insert into folders values (1, null, 'top'), (2, 1, 'below');";

const CONFIG: &str = r#"
    [tables.customers]
    adopt = { index = "by_email", key = ["email"] }
    [tables.notes]
    columns.total.type = "number"
"#;

/// What a run of the doctor said, as JSON and as text.
struct Said {
    code: Option<i32>,
    json: Value,
    text: String,
}

impl Said {
    fn codes(&self) -> BTreeSet<&str> {
        self.findings().map(|finding| finding["code"].as_str().unwrap()).collect()
    }

    fn findings(&self) -> impl Iterator<Item = &Value> {
        self.json["findings"].as_array().unwrap().iter()
    }

    fn only(&self, code: &str) -> &Value {
        let found: Vec<&Value> = self.findings().filter(|finding| finding["code"] == code).collect();
        assert_eq!(found.len(), 1, "{code} stands once among {:#}", self.json["findings"]);
        found[0]
    }

    fn setting(&self, name: &str) -> &Value {
        let settings = self.json["settings"].as_array().unwrap();
        settings.iter().find(|setting| setting["name"] == name).unwrap_or_else(|| panic!("{name}: {settings:#?}"))
    }
}

/// Runs the program twice, with `--json` and without, and looks for secrets in all that it prints.
async fn said(mut program: impl FnMut(&[&str]) -> Command, arguments: &[&str], secrets: &[&str]) -> Said {
    let shown = |output: &Output| {
        let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        for secret in secrets.iter().chain(&[CANARY]) {
            assert!(!text.contains(secret), "a secret is printed:\n{text}");
        }
        text
    };
    let with_json: Vec<&str> = arguments.iter().copied().chain(["--json"]).collect();
    let first = output(program(&with_json)).await.unwrap();
    let all = shown(&first);
    let json: Value = serde_json::from_slice(&first.stdout).unwrap_or_else(|error| panic!("{error}:\n{all}"));
    let schema = Path::new(env!("CARGO_MANIFEST_DIR")).join("../jsonschemas/diagnosis.schema.json");
    let schema: Value = serde_json::from_str(&std::fs::read_to_string(schema).unwrap()).unwrap();
    jsonschema::validate(&schema, &json).unwrap();
    let second = output(program(arguments)).await.unwrap();
    let text = shown(&second);
    assert_eq!(first.status.code(), second.status.code(), "{text}");
    let has_errors = json["findings"].as_array().unwrap().iter().any(|finding| finding["severity"] == "error");
    assert_eq!(first.status.code(), Some(if has_errors { 4 } else { 0 }), "{text}");
    for finding in json["findings"].as_array().unwrap() {
        let line = format!("{} {}: ", finding["severity"].as_str().unwrap(), finding["code"].as_str().unwrap());
        assert!(text.contains(&line), "the text lacks {line}:\n{text}");
    }
    Said { code: first.status.code(), json, text }
}

/// The project's connection string, with a password that must not be seen again.
fn database_url(supabase: &Supabase) -> String {
    let port = supabase.postgres().port();
    format!("postgresql://postgres:{CANARY}@127.0.0.1:{port}/{}", supabase.database())
}

async fn doctor_with(project: &Project, arguments: &[&str], variables: &[(&str, &str)]) -> Said {
    let secrets = [project.supabase.secret_key(), project.supabase.publishable_key(), project.supabase.anon_jwt()];
    let secrets: Vec<&str> = secrets.into_iter().chain(project.convex.as_ref().map(ConvexLocal::admin_key)).collect();
    let program = |arguments: &[&str]| {
        let mut command = project.program("migrate-doctor", arguments);
        command.env("SUPABASE_DB_URL", database_url(&project.supabase)).envs(variables.iter().copied());
        command
    };
    said(program, arguments, &secrets).await
}

async fn doctor(project: &Project) -> Said {
    doctor_with(project, &[], &[]).await
}

async fn run(project: &Project, name: &str, arguments: &[&str]) {
    let mut command = project.program(name, arguments);
    command.env("SUPABASE_DB_URL", database_url(&project.supabase));
    let output = output(command).await.unwrap();
    assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
}

async fn planned(folder: &Path, config: &str) -> Project {
    let project = Project::with_tables(folder, vec![SCHEMA.to_owned()], config).await.unwrap();
    run(&project, "migrate-discover", &[]).await;
    run(&project, "migrate-plan", &["--write"]).await;
    project
}

async fn deployed(folder: &Path) -> Project {
    let mut project = planned(folder, CONFIG).await;
    project.deploy().await.unwrap();
    project
}

#[tokio::test(flavor = "multi_thread")]
async fn a_project_that_is_ready_has_no_findings() {
    let folder = TempDir::new().unwrap();
    let project = deployed(folder.path()).await;
    drop(project.supabase.gateway().take_requests());
    let said = doctor(&project).await;
    assert_eq!((said.code, said.codes()), (Some(0), BTreeSet::new()), "{}", said.text);
    for request in project.supabase.gateway().take_requests() {
        let (method, path) = (request.method.as_str(), request.path_and_query.as_str());
        let is_root = path == "/rest/v1/" || path.starts_with("/auth/v1/admin/users");
        assert!(is_root || method == "HEAD" || path.contains("limit=0"), "rows are read: {method} {path}");
    }

    let client = project.supabase.client().await.unwrap();
    let version: String = client.query_one("show server_version", &[]).await.unwrap().get(0);
    assert_eq!(said.json["database"]["postgres"], version.split(' ').next().unwrap());
    let supabase = &said.json["supabase"];
    assert_eq!((&supabase["postgrest"], &supabase["admin"]), (&json!("12.0.2"), &json!("proven")));
    assert_eq!((&supabase["max_rows"], &supabase["max_rows_is_exact"]), (&json!(1000), &json!(true)));
    assert_eq!(supabase["readable_tables"], 3);
    assert_eq!(supabase["clock_skew_seconds"], 0);
    let convex = &said.json["convex"];
    assert_eq!((&convex["admin"], &convex["clock_skew_seconds"]), (&json!("proven"), &json!(0)));
    // Every function that the generated file exports.
    let code = std::fs::read_to_string(folder.path().join("convex/migration/migrate.ts")).unwrap();
    let exported = code.lines().filter(|line| line.starts_with("export const ")).count();
    let counts = json!({ "planned": exported, "current": exported, "present": 0, "missing": 0, "differing": 0 });
    assert_eq!(convex["functions"], counts);
    assert!(exported >= 5, "{code}");
    assert_eq!(said.setting("SUPABASE_URL")["origin"], "environment");
    assert_eq!(said.setting("--config")["origin"], "file");
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_that_are_wrong_or_see_too_little_are_told() {
    let folder = TempDir::new().unwrap();
    let project = deployed(folder.path()).await;
    let wrong = [
        ("SUPABASE_SECRET_KEY", "sb_secret_hunter2-canary-0123456789"),
        ("CONVEX_SELF_HOSTED_ADMIN_KEY", "local-stack|hunter2-canary"),
    ];
    let said = doctor_with(&project, &[], &wrong).await;
    assert_eq!(said.codes(), BTreeSet::from(["supabase_key_refused", "convex_key_refused"]), "{}", said.text);

    for key in [project.supabase.publishable_key(), project.supabase.anon_jwt()] {
        let anon = [("SUPABASE_SECRET_KEY", key)];
        let said = doctor_with(&project, &[], &anon).await;
        assert_eq!(said.codes(), BTreeSet::from(["supabase_key_blind"]), "{}", said.text);
        assert_eq!(said.json["supabase"]["admin"], "refused");
        let said = doctor_with(&project, &["--allow-partial"], &anon).await;
        assert_eq!((said.code, said.codes()), (Some(0), BTreeSet::from(["supabase_key_partial"])), "{}", said.text);
    }
    let legacy = [("SUPABASE_SECRET_KEY", project.supabase.service_role_jwt())];
    let said = doctor_with(&project, &[], &legacy).await;
    assert_eq!((said.code, said.codes()), (Some(0), BTreeSet::from(["supabase_key_legacy"])), "{}", said.text);
    assert!(!said.text.contains(project.supabase.service_role_jwt()));
    assert_eq!(said.json["supabase"]["admin"], "proven");
}

#[tokio::test(flavor = "multi_thread")]
async fn functions_that_are_missing_or_others_are_told() {
    let folder = TempDir::new().unwrap();
    let mut project = Project::with_tables(folder.path(), vec![SCHEMA.to_owned()], CONFIG).await.unwrap();
    std::fs::write(folder.path().join("convex/own.ts"), "export const answer = 42;\n").unwrap();
    project.deploy().await.unwrap();
    run(&project, "migrate-discover", &[]).await;
    run(&project, "migrate-plan", &["--write"]).await;
    let said = doctor(&project).await;
    assert_eq!(said.codes(), BTreeSet::from(["function_missing"]), "{}", said.text);
    let finding = said.only("function_missing");
    assert!(finding["message"].as_str().unwrap().contains("migration/migrate:bulkInsertFolders"), "{finding}");
    assert_eq!(finding["remedy"], "run: npx convex deploy");

    project.convex.as_ref().unwrap().redeploy().await.unwrap();
    assert_eq!(doctor(&project).await.codes(), BTreeSet::new());

    // The plan changes after the deployment: first migrate.toml alone, then the plan.
    let other =
        CONFIG.replace("columns.total.type = \"number\"", "columns.total.type = \"string\"\ncolumns.tags.drop = true");
    std::fs::write(folder.path().join("migrate.toml"), &other).unwrap();
    let said = doctor(&project).await;
    assert_eq!((said.code, said.codes()), (Some(0), BTreeSet::from(["plan_outdated"])), "{}", said.text);
    run(&project, "migrate-plan", &["--write"]).await;
    let said = doctor(&project).await;
    assert_eq!(said.codes(), BTreeSet::from(["function_differs"]), "{}", said.text);
    let message = said.only("function_differs")["message"].as_str().unwrap().to_owned();
    assert_eq!(
        message,
        "migration/migrate:bulkInsertNotes: records[].tags: v.optional(v.array(v.string())) is deployed, nothing is \
         planned; records[].total: v.number() is deployed, v.string() is planned"
    );
    std::fs::write(folder.path().join("convex/migration/migrate.ts"), "export {};\n").unwrap();
    assert!(doctor(&project).await.codes().contains("code_outdated"));
}

#[tokio::test(flavor = "multi_thread")]
async fn public_functions_are_called_with_nothing() {
    let folder = TempDir::new().unwrap();
    let config = format!("convex.public_functions = true\n{CONFIG}");
    let mut project = planned(folder.path(), &config).await;
    let secret = "hunter2-canary-0123456789-0123456789";
    project.deploy_with(&[("MIGRATION_SECRET", secret)]).await.unwrap();
    let said = doctor(&project).await;
    assert_eq!((said.code, said.codes()), (Some(0), BTreeSet::from(["migration_secret_unset"])), "{}", said.text);
    let said = doctor_with(&project, &[], &[("MIGRATION_SECRET", secret)]).await;
    assert_eq!((said.code, said.codes()), (Some(0), BTreeSet::from(["functions_uncompared"])), "{}", said.text);
    let other = "hunter2-canary-9876543210-9876543210";
    let said = doctor_with(&project, &[], &[("MIGRATION_SECRET", other)]).await;
    assert_eq!(said.codes(), BTreeSet::from(["functions_not_checked"]), "{}", said.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_without_a_grant_comes_with_the_grant() {
    let folder = TempDir::new().unwrap();
    let closed =
        "create table secrets (id int primary key); revoke all on secrets from service_role, anon, authenticated;";
    let sql = vec![SCHEMA.to_owned(), closed.to_owned()];
    let project = Project::with_tables(folder.path(), sql, CONFIG).await.unwrap();
    let said = doctor(&project).await;
    let finding = said.only("table_not_readable");
    assert_eq!(said.json["supabase"]["unreadable_tables"], json!(["secrets"]));
    assert_eq!(said.code, Some(4));

    // What it says to run is what mends it.
    let grant = finding["remedy"].as_str().unwrap().strip_prefix("run: ").unwrap();
    assert_eq!(grant, "grant select on public.secrets to service_role;");
    let client = project.supabase.client().await.unwrap();
    client.batch_execute(grant).await.unwrap();
    project.supabase.reload_schema().await.unwrap();
    let codes = doctor(&project).await;
    assert!(!codes.codes().contains("table_not_readable"), "{}", codes.text);

    // A plan that leaves the table out does not want it.
    std::fs::write(folder.path().join("migrate.toml"), format!("exclude = [\"secrets\"]\n{CONFIG}")).unwrap();
    run(&project, "migrate-discover", &[]).await;
    run(&project, "migrate-plan", &["--write"]).await;
    client.batch_execute("revoke all on secrets from service_role").await.unwrap();
    project.supabase.reload_schema().await.unwrap();
    let said = doctor(&project).await;
    let unset = ["convex_key_unset", "convex_url_unset", "table_not_planned"];
    assert_eq!((said.code, said.codes()), (Some(0), BTreeSet::from(unset)), "{}", said.text);

    client.batch_execute("alter table notes add column due date; drop table folders").await.unwrap();
    project.supabase.reload_schema().await.unwrap();
    let said = doctor(&project).await;
    let drifted: Vec<&str> = said
        .findings()
        .filter(|finding| finding["code"] == "source_drifted")
        .map(|finding| finding["message"].as_str().unwrap())
        .collect();
    assert!(
        drifted.iter().any(|line| line.contains("folders")) && drifted.iter().any(|line| line.contains("due")),
        "{drifted:?}"
    );
}

/// A doctor in a folder of its own, with nothing set but what the test sets.
async fn alone(folder: &Path, supabase: Option<&Supabase>, variables: &[(&str, String)]) -> Said {
    let programs = migrate_tests::project::build_programs(Profile::Own).unwrap();
    let secrets: Vec<&str> = supabase.map(Supabase::secret_key).into_iter().collect();
    let program = |arguments: &[&str]| {
        let mut command = Command::new(programs.join("migrate-doctor"));
        command.current_dir(folder).args(arguments).envs(variables.iter().map(|(name, value)| (name, value)));
        command
    };
    said(program, &[], &secrets).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_cap_on_rows_is_the_one_that_postgrest_has() {
    let sql =
        vec!["create table notes (id int primary key); insert into notes select generate_series(1, 500);".to_owned()];
    for (max_rows, found, is_exact) in [(137, 137, true), (500, 500, false), (100_000, 500, false)] {
        let options = SupabaseOptions { sql: sql.clone(), max_rows, ..SupabaseOptions::default() };
        let supabase = Supabase::start(options).await.unwrap();
        let folder = TempDir::new().unwrap();
        let project = ProjectFolder::new(folder.path(), Profile::Own).await.unwrap();
        let program = |arguments: &[&str]| project.program("migrate-doctor", arguments, &supabase, None);
        let said = said(program, &[], &[supabase.secret_key()]).await;
        let shown = (&said.json["supabase"]["max_rows"], &said.json["supabase"]["max_rows_is_exact"]);
        assert_eq!(shown, (&json!(found), &json!(is_exact)), "{max_rows}");
        assert_eq!(said.codes().contains("max_rows_below_page"), is_exact, "{}", said.text);
        assert!(said.codes().contains("database_url_unset"), "{}", said.text);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_set_is_no_crash() {
    let folder = TempDir::new().unwrap();
    let said = alone(folder.path(), None, &[]).await;
    let codes = [
        "convex_key_unset",
        "convex_url_unset",
        "database_url_unset",
        "plan_missing",
        "supabase_key_unset",
        "supabase_url_unset",
    ];
    assert_eq!((said.code, said.codes()), (Some(4), BTreeSet::from(codes)), "{}", said.text);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "it writes nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_name_the_file_that_they_come_from() {
    let supabase = Supabase::start(SupabaseOptions::default()).await.unwrap();
    let folder = TempDir::new().unwrap();
    let write = |name: &str, text: String| std::fs::write(folder.path().join(name), text).unwrap();
    write(".env.local", format!("SUPABASE_URL={}\nSUPABASE_SECRET_KEY={}\n", supabase.url(), supabase.secret_key()));
    write(".env", format!("SUPABASE_URL=https://other.supabase.co\nSUPABASE_DB_URL={}\n", database_url(&supabase)));
    write("migrate.toml", "convex.url = \"http://127.0.0.1:9\"\n".to_owned());
    let said = alone(folder.path(), Some(&supabase), &[("CONVEX_DEPLOY_KEY", format!("dev:a|{CANARY}"))]).await;
    for (name, origin, file) in [
        ("SUPABASE_URL", "file", json!("./.env.local")),
        ("SUPABASE_SECRET_KEY", "file", json!("./.env.local")),
        ("SUPABASE_DB_URL", "file", json!("./.env")),
        ("convex.url", "config", Value::Null),
        ("CONVEX_DEPLOY_KEY", "environment", Value::Null),
    ] {
        let setting = said.setting(name);
        assert_eq!((&setting["origin"], &setting["file"]), (&json!(origin), &file), "{name}");
    }
    assert!(
        said.text.lines().any(|line| line.contains("SUPABASE_URL") && line.ends_with("./.env.local")),
        "{}",
        said.text
    );
    let shadowed = said.only("setting_shadowed")["message"].as_str().unwrap();
    assert_eq!(shadowed, "SUPABASE_URL is taken from ./.env.local; its other value in ./.env does not count");
    let codes = said.codes();
    assert!(codes.contains("convex_unreachable") && !codes.contains("supabase_unreachable"), "{}", said.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_not_there_leaves_the_rest() {
    let supabase = Supabase::start(SupabaseOptions { sql: vec![SCHEMA.to_owned()], ..SupabaseOptions::default() });
    let supabase = supabase.await.unwrap();
    let folder = TempDir::new().unwrap();
    let nowhere = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let variables = [
        ("SUPABASE_URL", supabase.url().to_owned()),
        ("SUPABASE_SECRET_KEY", supabase.secret_key().to_owned()),
        ("SUPABASE_DB_URL", format!("postgres://postgres:{CANARY}@{nowhere}/postgres")),
    ];
    let said = alone(folder.path(), Some(&supabase), &variables).await;
    assert_eq!(said.only("database_unreachable")["severity"], "error");
    assert_eq!(said.json["supabase"]["readable_tables"], 3);
    assert_eq!(said.json["database"]["address"], nowhere.to_string());
}
