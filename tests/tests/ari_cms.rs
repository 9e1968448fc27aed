//! The programs on the example, from end to end: every document is compared with the row as SQL shows it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;

use migrate_tests::ari_cms::{Scenario, TABLES, expected_counts};
use migrate_tests::local_stack::ConvexLocal;
use migrate_tests::project::Project;
use serde_json::{Map, Value, json};
use tempfile::TempDir;
use tokio_postgres::Client;

/// Documents by table of the example, each table's in order of `supabaseId`.
type Documents = BTreeMap<&'static str, Vec<Value>>;

/// A folder that the servers' own account may enter.
fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    folder
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// Runs a program, expects its exit code and gives all that it printed.
async fn run(project: &Project, name: &str, arguments: &[&str], code: i32) -> String {
    run_with(project, name, arguments, &[], code).await
}

async fn run_with(project: &Project, name: &str, arguments: &[&str], env: &[(&str, &str)], code: i32) -> String {
    let mut command = project.program(name, arguments);
    command.envs(env.iter().copied());
    let output = tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap();
    assert_eq!(output.status.code(), Some(code), "{name} {arguments:?}:\n{}", text(&output));
    text(&output)
}

/// The example with its plan made and its functions deployed.
async fn deployed(folder: &Path, scenario: Scenario) -> Project {
    let mut project = Project::set_up(folder, scenario).await.unwrap();
    run(&project, "migrate-discover", &[], 0).await;
    run(&project, "migrate-plan", &["--write"], 0).await;
    project.deploy().await.unwrap();
    project
}

fn sink_name(table: &str) -> String {
    let mut words = table.split('_');
    let first = words.next().unwrap().to_owned();
    words.fold(first, |name, word| name + &word[..1].to_uppercase() + &word[1..])
}

fn string<'a>(document: &'a Value, field: &str) -> &'a str {
    document[field].as_str().unwrap_or_else(|| panic!("no text in {field} of {document}"))
}

async fn documents(convex: &ConvexLocal, tables: &[&'static str]) -> Documents {
    let mut all = Documents::new();
    for table in tables {
        let mut found = convex.documents(&sink_name(table)).await.unwrap();
        found.sort_by(|one, other| string(one, "supabaseId").cmp(string(other, "supabaseId")));
        let ids: BTreeSet<_> = found.iter().map(|document| string(document, "supabaseId")).collect();
        assert_eq!(ids.len(), found.len(), "{table}: no document is doubled");
        all.insert(table, found);
    }
    all
}

/// The value with every number as a double, which is all that Convex has.
fn doubles(value: Value) -> Value {
    match value {
        Value::Number(number) => json!(number.as_f64().unwrap()),
        Value::Array(items) => items.into_iter().map(doubles).collect(),
        Value::Object(fields) => fields.into_iter().map(|(name, value)| (name, doubles(value))).collect(),
        other => other,
    }
}

/// Columns of `table` whose NULL becomes the default, as the example's configuration says.
fn defaulted(table: &str) -> BTreeSet<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/ari-cms/migrate.toml");
    let configuration = std::fs::read_to_string(path).unwrap();
    let lines = configuration.lines().skip_while(|line| *line != format!("[tables.{table}]")).skip(1);
    let own = lines.take_while(|line| !line.starts_with('['));
    own.filter_map(|line| line.strip_prefix("columns.")?.strip_suffix(".nulls = \"default\""))
        .map(String::from)
        .collect()
}

/// Ids in Convex by table and id in SQL. A parent that Convex lacks has no entry.
#[derive(Debug, Default)]
struct Ids(HashMap<&'static str, HashMap<String, String>>);

/// The table that a column refers to.
fn parent(column: &str) -> Option<&'static str> {
    match column {
        "workspace_id" => Some("workspaces"),
        "contact_id" => Some("contacts"),
        "ari_conversation_id" => Some("ari_conversations"),
        "payment_id" => Some("ari_payments"),
        "category_id" => Some("ari_knowledge_categories"),
        "webinar_id" => Some("webinars"),
        _ => None,
    }
}

/// The parents, each found by what identifies it in both databases.
async fn adopted(client: &Client, convex: &ConvexLocal) -> Ids {
    let mut ids = Ids::default();
    let mut by_key = HashMap::new();
    for document in convex.documents("workspaces").await.unwrap() {
        by_key.insert(string(&document, "slug").to_owned(), string(&document, "_id").to_owned());
    }
    let rows = client.query("select id::text, slug::text from workspaces", &[]).await.unwrap();
    let found = rows.iter().filter_map(|row| Some((row.get(0), by_key.get(row.get::<_, &str>(1))?.clone())));
    ids.0.insert("workspaces", found.collect());
    for (table, sink, field, query) in [
        ("contacts", "contacts", "phone", "select id::text, workspace_id::text, phone::text from contacts"),
        (
            "ari_conversations",
            "ariConversations",
            "contact_id",
            "select id::text, workspace_id::text, contact_id::text from ari_conversations",
        ),
    ] {
        let mut by_key = HashMap::new();
        for document in convex.documents(sink).await.unwrap() {
            let key = (string(&document, "workspace_id").to_owned(), string(&document, field).to_owned());
            assert_eq!(by_key.insert(key, string(&document, "_id").to_owned()), None, "{sink}: the key is unique");
        }
        let mut found = HashMap::new();
        for row in client.query(query, &[]).await.unwrap() {
            let (id, workspace, second): (String, String, String) = (row.get(0), row.get(1), row.get(2));
            let second = if field == "phone" { Some(second) } else { ids.0["contacts"].get(&second).cloned() };
            let key = ids.0["workspaces"].get(&workspace).cloned().zip(second);
            if let Some(document) = key.and_then(|key| by_key.get(&key)) {
                found.insert(id, document.clone());
            }
        }
        ids.0.insert(table, found);
    }
    ids
}

/// What one column of one row comes to.
fn converted(data_type: &str, value: &str) -> Value {
    match data_type {
        "uuid" | "text" | "character varying" | "time without time zone" => json!(value),
        "integer" | "numeric" | "timestamp with time zone" => json!(value.parse::<f64>().unwrap()),
        "boolean" => json!(value == "true"),
        "jsonb" | "ARRAY" => doubles(serde_json::from_str(value).unwrap()),
        other => panic!("the test does not know the type {other}"),
    }
}

/// The documents that the rows of `table` must become, by id in SQL, and the ids of the rows that must be rejected.
async fn expected(client: &Client, table: &str, ids: &Ids) -> (BTreeMap<String, Value>, BTreeSet<String>) {
    let query = "select column_name::text, data_type::text, column_default::text from information_schema.columns
        where table_schema = 'public' and table_name = $1 order by ordinal_position";
    let mut columns: Vec<(String, String)> = Vec::new();
    let mut expressions = Vec::new();
    let defaulted = defaulted(table);
    for row in client.query(query, &[&table]).await.unwrap() {
        let (name, data_type, default): (String, String, Option<String>) = (row.get(0), row.get(1), row.get(2));
        let value = if defaulted.contains(&name) {
            format!("coalesce(\"{name}\", {})", default.expect("a column of nulls = \"default\" has a default"))
        } else {
            format!("\"{name}\"")
        };
        expressions.push(match data_type.as_str() {
            "timestamp with time zone" => format!("floor(extract(epoch from {value}) * 1000)::text"),
            "ARRAY" => format!("to_jsonb({value})::text"),
            _ => format!("{value}::text"),
        });
        columns.push((name, data_type));
    }
    let names: BTreeSet<_> = columns.iter().map(|(name, _)| name.clone()).collect();
    assert!(defaulted.is_subset(&names), "{table}: {defaulted:?}");
    let (mut documents, mut rejected) = (BTreeMap::new(), BTreeSet::new());
    let query = format!("select {} from public.{table}", expressions.join(", "));
    for row in client.query(&query, &[]).await.unwrap() {
        let (mut document, mut id, mut complete) = (Map::new(), String::new(), true);
        for (index, (name, data_type)) in columns.iter().enumerate() {
            let Some(value) = row.get::<_, Option<&str>>(index) else { continue };
            if name == "id" {
                value.clone_into(&mut id);
                document.insert("supabaseId".to_owned(), json!(value));
            } else if let Some(parent) = parent(name) {
                match ids.0[parent].get(value) {
                    Some(found) => drop(document.insert(name.clone(), json!(found))),
                    None => complete = false,
                }
            } else {
                document.insert(name.clone(), converted(data_type, value));
            }
        }
        if complete {
            assert!(documents.insert(id, Value::Object(document)).is_none());
        } else {
            assert!(rejected.insert(id));
        }
    }
    (documents, rejected)
}

/// Compares all documents with the rows. Gives the ids of the rows that must be rejected, by table.
async fn assert_matches_sql(project: &Project, actual: &Documents) -> BTreeMap<&'static str, BTreeSet<String>> {
    let client = project.supabase.client().await.unwrap();
    let mut ids = adopted(&client, project.convex.as_ref().unwrap()).await;
    let (mut rejects, mut differences) = (BTreeMap::new(), Vec::new());
    for count in expected_counts(Scenario::Full) {
        let table = count.table;
        let (mut wanted, rejected) = expected(&client, table, &ids).await;
        assert_eq!(wanted.len() + rejected.len(), count.rows, "{table}: rows");
        assert_eq!(rejected.len(), count.rejected, "{table}: rejected rows");
        let mut own = HashMap::new();
        for document in &actual[table] {
            let id = string(document, "supabaseId").to_owned();
            own.insert(id.clone(), string(document, "_id").to_owned());
            let mut fields = document.as_object().unwrap().clone();
            assert!(fields.remove("_id").is_some() && fields.remove("_creationTime").is_some());
            match wanted.remove(&id) {
                None => differences.push(format!("{table} {id}: not expected")),
                Some(wanted) => differ(table, &id, &wanted, &doubles(Value::Object(fields)), &mut differences),
            }
        }
        differences.extend(wanted.keys().map(|id| format!("{table} {id}: lost")));
        ids.0.insert(table, own);
        rejects.insert(table, rejected);
    }
    let shown: Vec<_> = differences.iter().take(20).map(String::as_str).collect();
    assert!(differences.is_empty(), "{} differences, first:\n{}", differences.len(), shown.join("\n"));
    rejects
}

fn differ(table: &str, id: &str, wanted: &Value, actual: &Value, differences: &mut Vec<String>) {
    let fields = [wanted, actual].into_iter().flat_map(|side| side.as_object().unwrap().keys());
    for field in fields.collect::<BTreeSet<_>>() {
        if wanted.get(field) != actual.get(field) {
            let (wanted, actual) = (wanted.get(field), actual.get(field));
            differences.push(format!("{table} {id} {field}: SQL has {wanted:?}, Convex has {actual:?}"));
        }
    }
}

/// The folders of all runs, oldest first.
fn runs(project: &Project) -> Vec<PathBuf> {
    if !project.folder().join(".migrate").exists() {
        return Vec::new();
    }
    migrate_tests::project::runs(project.folder()).unwrap()
}

/// The keys in the newest run's file of rejects.
fn reject_keys(project: &Project, table: &str) -> Vec<String> {
    let path = runs(project).last().unwrap().join("rejects").join(format!("{table}.jsonl"));
    let lines = std::fs::read_to_string(path).unwrap_or_default();
    let mut keys: Vec<_> =
        lines.lines().map(|line| string(&serde_json::from_str(line).unwrap(), "key").to_owned()).collect();
    keys.sort();
    keys
}

async fn assert_reported(project: &Project, rejects: &BTreeMap<&'static str, BTreeSet<String>>) {
    let client = project.supabase.client().await.unwrap();
    let report = project.report().unwrap();
    assert_eq!(report["tables"].as_object().unwrap().len(), TABLES.len());
    for table in TABLES {
        let counts = &report["tables"][table];
        let number = |name: &str| counts[name].as_u64().unwrap_or_else(|| panic!("{table}: no {name} in {counts}"));
        let rows: i64 = client.query_one(&format!("select count(*) from {table}"), &[]).await.unwrap().get(0);
        assert_eq!(number("source"), u64::try_from(rows).unwrap(), "{table}");
        assert_eq!(number("source"), number("migrated") + number("skipped") + number("rejected"), "{table}");
        assert_eq!(number("rejected"), u64::try_from(rejects[table].len()).unwrap(), "{table}");
        assert_eq!(reject_keys(project, table), rejects[table].iter().cloned().collect::<Vec<_>>(), "{table}");
    }
    assert_page(project, &report);
}

/// The run's folder has the report as a page, for its owner alone, and the report has what the page tells beside counts.
fn assert_page(project: &Project, report: &Value) {
    let run = project.newest_run().unwrap();
    for name in ["report.json", "report.html"] {
        let rights = std::fs::metadata(run.join(name)).unwrap().permissions().mode();
        assert_eq!(rights & 0o777, 0o600, "{name}: {rights:o}");
    }
    let page = std::fs::read_to_string(run.join("report.html")).unwrap();
    let [.., shown] = migrate_cli::testing::show_report(&report.to_string(), None).unwrap();
    assert_eq!(page, shown, "the page is that of the report beside it");
    let planned = report["plan"]["tables"].as_array().unwrap();
    assert_eq!(planned.len(), TABLES.len());
    let timing = &report["timing"];
    let rows: u64 = timing["rows"].as_array().unwrap().iter().map(|rows| rows.as_u64().unwrap()).sum();
    let read = |table: &str| report["tables"][table]["this_run"]["read"].as_u64().unwrap();
    assert_eq!(rows, TABLES.iter().copied().map(read).sum::<u64>(), "no row is lost from the steps of time: {timing}");
    for table in TABLES.into_iter().filter(|table| read(table) > 0) {
        let is_copy = |span: &&Value| span["phase"] == "copy" && span["table"] == table;
        assert_eq!(timing["spans"].as_array().unwrap().iter().filter(is_copy).count(), 1, "{table}: {timing}");
    }
    assert!(
        report["source"]["unknown"].as_array().is_some_and(|facts| !facts.is_empty()),
        "the data API shows no triggers"
    );
}

fn assert_nothing_written(project: &Project) {
    for (table, counts) in project.report().unwrap()["tables"].as_object().unwrap() {
        assert_eq!(counts["this_run"]["inserted"], 0, "{table}: {counts}");
        assert_eq!(counts["this_run"]["updated"], 0, "{table}: {counts}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn full_scenario_matches_sql() {
    let folder = folder();
    let project = deployed(folder.path(), Scenario::Full).await;
    let convex = project.convex.as_ref().unwrap();
    run(&project, "migrate-run", &["--quiet"], 3).await;
    let first = documents(convex, &TABLES).await;
    let rejects = assert_matches_sql(&project, &first).await;
    assert_reported(&project, &rejects).await;
    for arguments in [&["--quiet"][..], &["--quiet", "--fresh"]] {
        run(&project, "migrate-run", arguments, 3).await;
        assert!(documents(convex, &TABLES).await == first, "{arguments:?} changed a document");
        assert_nothing_written(&project);
        assert_reported(&project, &rejects).await;
    }
    assert_eq!(runs(&project).len(), 2, "only --fresh starts a run folder of its own");
}

/// Neither the data API nor its key is there: all comes over the connection, each table in several parts.
#[tokio::test(flavor = "multi_thread")]
async fn full_scenario_straight_from_postgres_matches_sql() {
    let folder = folder();
    let mut project = Project::set_up(folder.path(), Scenario::Full).await.unwrap();
    let path = folder.path().join("migrate.toml");
    let configuration = std::fs::read_to_string(&path).unwrap();
    let straight = "\n[supabase]\naccess = \"postgres\"\n\n[run]\npartitions = 3\n";
    std::fs::write(path, configuration + straight).unwrap();
    let (url, database) = (closed_url(), project.supabase.database_url());
    let env = [("SUPABASE_URL", &*url), ("SUPABASE_SECRET_KEY", ""), ("SUPABASE_DB_URL", &*database)];
    run_with(&project, "migrate-discover", &[], &env, 0).await;
    run_with(&project, "migrate-plan", &["--write"], &env, 0).await;
    project.deploy().await.unwrap();
    run_with(&project, "migrate-run", &["--quiet"], &env, 3).await;
    let first = documents(project.convex.as_ref().unwrap(), &TABLES).await;
    let rejects = assert_matches_sql(&project, &first).await;
    assert_reported(&project, &rejects).await;
    run_with(&project, "migrate-run", &["--quiet", "--fresh"], &env, 3).await;
    assert!(documents(project.convex.as_ref().unwrap(), &TABLES).await == first, "--fresh changed a document");
    assert_nothing_written(&project);
    assert_reported(&project, &rejects).await;

    let unset = [("SUPABASE_DB_URL", "")];
    let printed = run_with(&project, "migrate-run", &["--quiet"], &unset, 4).await;
    assert_says(&printed, &["SUPABASE_DB_URL", "supabase.access"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn seed_scenario_moves_the_two_rows() {
    let folder = folder();
    let project = deployed(folder.path(), Scenario::Seed).await;
    run(&project, "migrate-run", &["--quiet"], 0).await;
    let report = project.report().unwrap();
    for count in expected_counts(Scenario::Seed) {
        let counts = &report["tables"][count.table];
        assert_eq!(counts["errors"], json!([]), "{}", count.table);
        if count.present {
            assert_eq!(counts["status"], "complete", "{}", count.table);
            assert_eq!(counts["source"], count.rows, "{}", count.table);
            assert_eq!(counts["migrated"], count.rows, "{}", count.table);
        } else {
            assert_eq!(counts["status"], "missing", "{}", count.table);
        }
    }
    let slots = documents(project.convex.as_ref().unwrap(), &["consultant_slots"]).await;
    assert_eq!(slots["consultant_slots"].len(), 2);

    let path = folder.path().join("migrate.toml");
    let strict = std::fs::read_to_string(&path).unwrap().replace("allow_missing = true\n", "");
    std::fs::write(path, strict).unwrap();
    let printed = run(&project, "migrate-plan", &[], 4).await;
    for table in ["articles", "webinars", "webinar_registrations"] {
        assert!(printed.contains(table), "{table} is not named in:\n{printed}");
        let itself = format!("did you mean `{table}`?");
        assert!(!printed.contains(&itself), "an absent table is no suggestion for itself:\n{printed}");
    }
}

/// A URL on loopback where nothing listens.
fn closed_url() -> String {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    format!("http://127.0.0.1:{port}")
}

fn assert_says(printed: &str, parts: &[&str]) {
    for part in parts {
        assert!(printed.contains(part), "`{part}` is not in:\n{printed}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_input_is_exit_4_and_writes_nothing() {
    let folder = folder();
    let mut project = deployed(folder.path(), Scenario::Seed).await;
    let quiet = &["--quiet"][..];
    let programs = [("migrate-discover", &[][..]), ("migrate-run", quiet)];

    let path = folder.path().join("migrate.toml");
    let configuration = std::fs::read_to_string(&path).unwrap();
    let wrong = configuration.replacen("allow_missing", "allow_mising", 1);
    std::fs::write(&path, &wrong).unwrap();
    let line = 1 + wrong.lines().position(|line| line.contains("allow_mising")).unwrap();
    let printed = run(&project, "migrate-plan", &[], 4).await;
    assert_says(&printed, &[&format!("migrate.toml:{line}:"), "`allow_mising`", "did you mean `allow_missing`?"]);
    std::fs::write(&path, configuration).unwrap();

    let closed = closed_url();
    let address = closed.strip_prefix("http://").unwrap();
    for (name, arguments) in programs {
        let printed = run_with(&project, name, arguments, &[("SUPABASE_URL", &closed)], 4).await;
        assert_says(&printed, &[address]);
    }
    let printed = run_with(&project, "migrate-run", quiet, &[("CONVEX_SELF_HOSTED_URL", &closed)], 4).await;
    assert_says(&printed, &[address]);

    let key = "sb_secret_thisKeyIsNotTheKeyOfTheProject";
    for (name, arguments) in programs {
        let printed = run_with(&project, name, arguments, &[("SUPABASE_SECRET_KEY", key)], 4).await;
        assert_says(&printed, &["secret key", "apikey"]);
        assert!(!printed.contains(key), "{name} printed the key:\n{printed}");
    }
    let publishable = [("SUPABASE_SECRET_KEY", project.supabase.publishable_key())];
    for (name, arguments) in programs {
        let printed = run_with(&project, name, arguments, &publishable, 4).await;
        assert_says(&printed, &["publishable"]);
    }

    let key = "convex-self-hosted|thisKeyIsNotTheKeyOfTheDeployment";
    let printed = run_with(&project, "migrate-run", quiet, &[("CONVEX_SELF_HOSTED_ADMIN_KEY", key)], 4).await;
    assert!(!printed.contains("thisKeyIsNotTheKeyOfTheDeployment"), "the key is printed:\n{printed}");
    let written = project.convex.as_ref().unwrap().count("consultantSlots").await.unwrap();
    assert_eq!(written, 0, "a refused run wrote documents");

    let other = self::folder();
    std::fs::create_dir_all(other.path().join("convex/migration")).unwrap();
    for file in ["convex/schema.ts", "convex/migration/schema.ts", "convex/seedParents.ts"] {
        std::fs::copy(folder.path().join(file), other.path().join(file)).unwrap();
    }
    project.convex = Some(ConvexLocal::start(other.path()).await.unwrap());
    let printed = run(&project, "migrate-run", quiet, 4).await;
    assert_says(&printed, &["npx convex"]);
    assert_eq!(project.convex.as_ref().unwrap().count("consultantSlots").await.unwrap(), 0);

    let states: Vec<_> = runs(&project).into_iter().filter(|run| run.join("state.sqlite").exists()).collect();
    assert!(states.is_empty(), "refused runs left a state in {states:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn ctrl_c_is_resumable() {
    let folder = folder();
    let project = deployed(folder.path(), Scenario::Full).await;
    // Each table in parts, of which some are begun and others not.
    let path = folder.path().join("migrate.toml");
    let configuration = std::fs::read_to_string(&path).unwrap();
    std::fs::write(path, configuration + "\n[run]\npartitions = 4\n").unwrap();
    run(&project, "migrate-plan", &[], 0).await;
    let convex = project.convex.as_ref().unwrap();
    let mut command = project.program("migrate-run", &["--quiet"]);
    let mut migration = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    while migration.try_wait().unwrap().is_none() && convex.count("ariDestinations").await.unwrap() == 0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    // It fails when the program has ended already, which its exit code tells too.
    std::process::Command::new("kill").args(["-INT", &migration.id().to_string()]).status().unwrap();
    let status = tokio::task::spawn_blocking(move || migration.wait()).await.unwrap().unwrap();
    assert!(matches!(status.code(), Some(5 | 3)), "interrupted, it ended with {status}");

    run(&project, "migrate-run", &["--quiet"], 3).await;
    let all = documents(convex, &TABLES).await;
    for count in expected_counts(Scenario::Full) {
        assert_eq!(all[count.table].len(), count.rows - count.rejected, "{}", count.table);
    }
    let rejects = assert_matches_sql(&project, &all).await;
    assert_reported(&project, &rejects).await;
}
