//! `migrate-verify` after real migrations: an untouched deployment has no difference, and whatever is changed behind the
//! tool's back is found and named.

mod events;
mod interrupted;
mod limited_key;
mod people;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use migrate_tests::ari_cms::{Scenario, TABLES, expected_counts};
use migrate_tests::local_stack::ConvexLocal;
use migrate_tests::project::{Project, output};
use serde_json::{Map, Value, json};
use tempfile::TempDir;

const DIFFERENT: i32 = 6;
/// Lets a test change documents of convex-local.
const TAMPER: (&str, &str) = ("LOCAL_STACK_TAMPER", "1");

/// A folder that the servers' own account may enter.
fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    folder
}

async fn run(project: &Project, name: &str, arguments: &[&str], code: i32) -> String {
    let output = output(project.program(name, arguments)).await.unwrap();
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(code), "{name} {arguments:?}:\n{text}");
    text
}

/// Runs the program, and gives the verification as it prints it.
async fn verify(project: &Project, arguments: &[&str], code: i32) -> Value {
    verify_with(project, arguments, &[], code).await
}

/// As [`verify`], with these variables in its environment.
async fn verify_with(project: &Project, arguments: &[&str], variables: &[(&str, &str)], code: i32) -> Value {
    let arguments = [&["--json", "--quiet"], arguments].concat();
    let mut program = project.program("migrate-verify", &arguments);
    program.envs(variables.iter().copied());
    let output = output(program).await.unwrap();
    let printed = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{arguments:?}:\n{printed}{errors}");
    serde_json::from_str(&printed).unwrap_or_else(|error| panic!("{error}: {printed}{errors}"))
}

/// All differences, each as its table, kind, key and field.
fn differences(verification: &Value) -> Vec<(String, String, String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut found = Vec::new();
    for (table, of_table) in verification["tables"].as_object().unwrap() {
        for difference in of_table["differences"].as_array().unwrap() {
            let field = |name: &str| text(&difference[name]);
            found.push((table.clone(), field("kind"), field("key"), field("field")));
        }
    }
    found
}

/// A deployment whose documents are changed one at a time, and put back.
struct Tampered<'a> {
    project: &'a Project,
    convex: &'a ConvexLocal,
}

type Fields = Map<String, Value>;

impl<'a> Tampered<'a> {
    fn new(project: &'a Project) -> Self {
        Self { project, convex: project.convex.as_ref().unwrap() }
    }

    /// Some document of a table, with its id and its fields.
    async fn document(&self, table: &str, is_wanted: impl Fn(&Value) -> bool) -> (String, Fields) {
        let documents = self.convex.documents(table).await.unwrap();
        let document = documents.into_iter().find(is_wanted).unwrap_or_else(|| panic!("{table} has no such document"));
        let mut fields = document.as_object().unwrap().clone();
        let id = fields.remove("_id").unwrap().as_str().unwrap().to_owned();
        fields.remove("_creationTime");
        (id, fields)
    }

    async fn put(&self, table: &str, id: Option<&str>, fields: &Fields) -> String {
        self.convex.tamper(table, id, Some(fields.clone().into())).await.unwrap()
    }

    async fn remove(&self, table: &str, id: &str) {
        self.convex.tamper(table, Some(id), None).await.unwrap();
    }

    /// Changes one document, expects exactly this difference, and puts the document back.
    async fn change(
        &self,
        (source, sink): (&str, &str),
        is_wanted: impl Fn(&Value) -> bool,
        change: impl FnOnce(&mut Fields),
        (kind, field): (&str, &str),
    ) -> Value {
        let (id, before) = self.document(sink, is_wanted).await;
        let mut after = before.clone();
        change(&mut after);
        assert_ne!(before, after, "{sink}: nothing is changed");
        self.put(sink, Some(&id), &after).await;
        let verification = verify(self.project, &[], DIFFERENT).await;
        let key = before["supabaseId"].as_str().unwrap().to_owned();
        let expected = (source.to_owned(), kind.to_owned(), key, field.to_owned());
        assert_eq!(differences(&verification), [expected], "{verification:#}");
        let table = &verification["tables"][source];
        assert_eq!((&table["differing"], &table["missing"]), (&json!(1), &json!(0)), "{table:#}");
        assert_ne!(table["content"]["source"], table["content"]["sink"], "{table:#}");
        let column = field.split(['.', '[']).next().unwrap();
        for (name, sums) in table["columns"].as_object().unwrap() {
            assert_eq!(sums["source"] != sums["sink"], name == column, "{name}: {sums:#}");
        }
        self.put(sink, Some(&id), &before).await;
        table["differences"][0].clone()
    }
}

fn has(field: &'static str) -> impl Fn(&Value) -> bool {
    move |document| document.get(field).is_some_and(|value| !value.is_null())
}

fn lacks(field: &'static str) -> impl Fn(&Value) -> bool {
    move |document| document.get(field).is_none()
}

fn any(_: &Value) -> bool {
    true
}

async fn ari_cms(folder: &Path) -> Project {
    let mut project = Project::set_up(folder, Scenario::Full).await.unwrap();
    run(&project, "migrate-discover", &[], 0).await;
    run(&project, "migrate-plan", &["--write"], 0).await;
    project.deploy_with(&[TAMPER]).await.unwrap();
    run(&project, "migrate-run", &["--quiet"], 3).await;
    project
}

/// The counts are those that the rows' generator knows, and every document is found the same.
fn assert_untouched(verification: &Value) {
    assert_eq!((&verification["verdict"], verification.get("error")), (&json!("same"), None));
    assert_eq!(differences(verification), []);
    for count in expected_counts(Scenario::Full) {
        let table = &verification["tables"][count.table];
        let there = count.rows - count.rejected;
        for (name, expected) in [
            ("source", count.rows),
            ("rejected", count.rejected),
            ("skipped", 0),
            ("expected", there),
            ("documents", there),
            ("same", there),
            ("foreign", 0),
        ] {
            assert_eq!(table[name], json!(expected), "{} {name}", count.table);
        }
        assert_eq!(table["content"]["source"], table["content"]["sink"]);
        assert!(table["columns"].as_object().unwrap().values().all(|sums| sums["source"] == sums["sink"]), "{table:#}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_change_behind_the_tools_back_is_found_and_named() {
    let folder = folder();
    let project = ari_cms(folder.path()).await;
    assert_untouched(&verify(&project, &[], 0).await);
    // Without the run's own folder, too: nothing in it is asked.
    fs::rename(folder.path().join(".migrate"), folder.path().join("elsewhere")).unwrap();
    assert_untouched(&verify(&project, &[], 0).await);
    fs::remove_dir_all(folder.path().join(".migrate")).unwrap();
    fs::rename(folder.path().join("elsewhere"), folder.path().join(".migrate")).unwrap();
    let left: Vec<_> =
        fs::read_dir(project_run(folder.path())).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(left.iter().all(|name| !name.to_string_lossy().starts_with("verify") || name == "verify.json"), "{left:?}");

    let tampered = Tampered::new(&project);
    let payments = ("ari_payments", "ariPayments");
    let entries = ("ari_knowledge_entries", "ariKnowledgeEntries");

    // One bit of a number.
    let flip = |fields: &mut Fields| {
        let bits = fields["amount"].as_f64().unwrap().to_bits() ^ 1;
        fields["amount"] = json!(f64::from_bits(bits));
    };
    let difference = tampered.change(payments, any, flip, ("value", "amount")).await;
    assert_eq!((&difference["expected"], &difference["found"]), (&json!("float"), &json!("float")));
    assert!(difference.get("values").is_none(), "{difference:#}");
    // One bit of a text, and the same text with another ending.
    let flip = |fields: &mut Fields| {
        let mut text = fields["title"].as_str().unwrap().to_owned().into_bytes();
        text[0] ^= 1;
        fields["title"] = json!(String::from_utf8(text).unwrap());
    };
    tampered
        .change(entries, |document| document["title"].as_str().unwrap().as_bytes()[0] < 128, flip, ("value", "title"))
        .await;
    let more = |fields: &mut Fields| fields["title"] = json!(format!("{} ", fields["title"].as_str().unwrap()));
    tampered.change(entries, any, more, ("value", "title")).await;
    // Null for absent, absent for a value, another kind.
    let null = |fields: &mut Fields| drop(fields.insert("payment_method".into(), Value::Null));
    let difference = tampered.change(payments, lacks("payment_method"), null, ("kind", "payment_method")).await;
    assert_eq!((&difference["expected"], &difference["found"]), (&json!("absent"), &json!("null")));
    let gone = |fields: &mut Fields| drop(fields.remove("payment_method"));
    tampered.change(payments, has("payment_method"), gone, ("kind", "payment_method")).await;
    let text = |fields: &mut Fields| fields["is_active"] = json!("true");
    tampered.change(entries, any, text, ("kind", "is_active")).await;
    // An integer for a float, and -0 for 0.
    let integer = |fields: &mut Fields| {
        #[expect(clippy::cast_possible_truncation, reason = "a whole number")]
        let whole = fields["amount"].as_f64().unwrap() as i64;
        fields["amount"] = json!({ "$integer": STANDARD.encode(whole.to_le_bytes()) });
    };
    let difference = tampered.change(payments, any, integer, ("kind", "amount")).await;
    assert_eq!((&difference["expected"], &difference["found"]), (&json!("float"), &json!("integer")));
    let destinations = ("ari_destinations", "ariDestinations");
    let minus =
        |fields: &mut Fields| fields["priority"] = json!({ "$float": STANDARD.encode((-0.0_f64).to_le_bytes()) });
    tampered.change(destinations, |document| document["priority"] == 0.0, minus, ("value", "priority")).await;
    // Inside an array, down to the place.
    let programs = |document: &Value| document["programs"].as_array().is_some_and(|programs| programs.len() > 1);
    let other = |fields: &mut Fields| fields["programs"][1] = json!("another");
    tampered.change(destinations, programs, other, ("value", "programs[1]")).await;

    sampled(&project).await;
    references(&tampered).await;
    documents(&tampered).await;
    values_are_shown_only_where_they_are_asked_for(&tampered).await;
    assert_untouched(&verify(&project, &[], 0).await);
}

fn project_run(folder: &Path) -> std::path::PathBuf {
    let runs = fs::read_dir(folder.join(".migrate")).unwrap().map(|entry| entry.unwrap().path());
    runs.filter(|path| path.is_dir()).max().unwrap()
}

/// A sample of the one table that is large enough, and all of the others; the same again by its seed.
async fn sampled(project: &Project) {
    let sample = verify(project, &["--level", "sample"], 0).await;
    let entries = &sample["tables"]["ari_knowledge_entries"];
    assert_eq!(entries["sampled"], json!({ "ranges": 4, "of_ranges": 40, "of_rows": 2500 }));
    let rows = entries["source"].as_u64().unwrap();
    assert!((25..1000).contains(&rows) && entries["same"] == rows, "{entries:#}");
    assert_eq!(sample["tables"]["articles"]["same"], json!(60));
    let seed = sample["seed"].to_string();
    let again = verify(project, &["--level", "sample", "--seed", &seed], 0).await;
    assert_eq!(again["tables"]["ari_knowledge_entries"], *entries);
}

/// References to a wrong document, to one of another table, to an adopted one, and to none.
async fn references(tampered: &Tampered<'_>) {
    let entries = ("ari_knowledge_entries", "ariKnowledgeEntries");
    let (_, one) = tampered.document("ariKnowledgeEntries", has("category_id")).await;
    let right = one["category_id"].as_str().unwrap().to_owned();
    let is_child = |document: &Value| document["category_id"] == right.as_str();
    let (parent, of_parent) =
        tampered.document("ariKnowledgeCategories", |document| document["_id"] == right.as_str()).await;
    let (other, of_other) =
        tampered.document("ariKnowledgeCategories", |document| document["_id"] != right.as_str()).await;
    let lead_to = |id: &str| {
        let id = json!(id);
        move |fields: &mut Fields| drop(fields.insert("category_id".into(), id))
    };
    let difference = tampered.change(entries, is_child, lead_to(&other), ("wrong_reference", "category_id")).await;
    let row = |fields: &Fields| json!(format!("ari_knowledge_categories {}", fields["supabaseId"].as_str().unwrap()));
    assert_eq!((&difference["expected"], &difference["found"]), (&row(&of_parent), &row(&of_other)));

    let (stranger, _) = tampered.document("webinars", any).await;
    tampered.change(entries, is_child, lead_to(&stranger), ("wrong_table", "category_id")).await;

    let gone = tampered.put("ariKnowledgeCategories", None, &Map::new()).await;
    tampered.remove("ariKnowledgeCategories", &gone).await;
    let difference = tampered.change(entries, is_child, lead_to(&gone), ("dangling", "category_id")).await;
    assert_eq!(difference["found"], json!("no document"));

    // The reference to a parent that lives in Convex already.
    let (_, payment) = tampered.document("ariPayments", any).await;
    let (workspace, _) = tampered.document("workspaces", |document| document["_id"] != payment["workspace_id"]).await;
    let lead_to = |fields: &mut Fields| fields["workspace_id"] = json!(workspace);
    tampered.change(("ari_payments", "ariPayments"), any, lead_to, ("wrong_reference", "workspace_id")).await;

    // A parent that is gone: it is missing, and each of its children leads nowhere.
    let children = tampered.convex.documents("ariKnowledgeEntries").await.unwrap().into_iter().filter(is_child).count();
    assert!(children > 1);
    tampered.remove("ariKnowledgeCategories", &parent).await;
    let verification = verify(tampered.project, &["--differences", "1000"], DIFFERENT).await;
    let found = differences(&verification);
    let dangling = found.iter().filter(|(table, kind, _, field)| {
        (table.as_str(), kind.as_str(), field.as_str()) == ("ari_knowledge_entries", "dangling", "category_id")
    });
    assert_eq!(dangling.count(), children, "{found:?}");
    assert_eq!(found.len(), children + 1);
    let missing = ("ari_knowledge_categories", "missing", of_parent["supabaseId"].as_str().unwrap(), "");
    let missing = (missing.0.to_owned(), missing.1.to_owned(), missing.2.to_owned(), missing.3.to_owned());
    assert!(found.contains(&missing), "{found:?}");
    // Its documents get a parent again, under another id.
    let again = tampered.put("ariKnowledgeCategories", None, &of_parent).await;
    for document in tampered.convex.documents("ariKnowledgeEntries").await.unwrap().into_iter().filter(is_child) {
        let mut fields = document.as_object().unwrap().clone();
        let id = fields.remove("_id").unwrap();
        fields.remove("_creationTime");
        fields["category_id"] = json!(again);
        tampered.put("ariKnowledgeEntries", id.as_str(), &fields).await;
    }
    verify(tampered.project, &[], 0).await;
}

/// Documents that are missing, doubled, or nobody's.
async fn documents(tampered: &Tampered<'_>) {
    let one = |verification: &Value, expected: (&str, &str, &str)| {
        let expected = (expected.0.to_owned(), expected.1.to_owned(), expected.2.to_owned(), String::new());
        assert_eq!(differences(verification), [expected], "{verification:#}");
    };
    let (id, fields) = tampered.document("articles", any).await;
    let key = fields["supabaseId"].as_str().unwrap();
    tampered.remove("articles", &id).await;
    let verification = verify(tampered.project, &[], DIFFERENT).await;
    one(&verification, ("articles", "missing", key));
    assert_eq!(verification["tables"]["articles"]["missing"], json!(1));
    // Counting finds it as well, among the tables without rejects.
    let verification =
        verify(tampered.project, &["--level", "counts", "--tables", "articles,webinars"], DIFFERENT).await;
    one(&verification, ("articles", "count", ""));
    verify(tampered.project, &["--level", "counts", "--tables", "webinars"], 0).await;
    tampered.put("articles", None, &fields).await;
    verify(tampered.project, &["--level", "counts", "--tables", "articles"], 0).await;

    let double = tampered.put("articles", None, &fields).await;
    let verification = verify(tampered.project, &[], DIFFERENT).await;
    one(&verification, ("articles", "duplicate", key));
    let table = &verification["tables"]["articles"];
    assert_eq!((&table["duplicates"], &table["differing"]), (&json!(1), &json!(0)));
    // Doubled, and the first of the two is another.
    let mut other = fields.clone();
    other["title"] = json!("CANARY");
    tampered.put("articles", Some(&double), &other).await;
    let verification = verify(tampered.project, &[], DIFFERENT).await;
    one(&verification, ("articles", "duplicate", key));
    tampered.remove("articles", &double).await;

    let mut foreign = fields.clone();
    foreign.insert("supabaseId".into(), json!("00000000-0000-4000-8000-00000000c0de"));
    let id = tampered.put("articles", None, &foreign).await;
    let verification = verify(tampered.project, &[], DIFFERENT).await;
    one(&verification, ("articles", "unexpected", "00000000-0000-4000-8000-00000000c0de"));
    // The app's own document is none of ours, unless the table is to be ours alone.
    foreign.remove("supabaseId");
    foreign.insert("stray".into(), json!(1));
    tampered.put("articles", Some(&id), &foreign).await;
    let verification = verify(tampered.project, &[], 0).await;
    assert_eq!(verification["tables"]["articles"]["foreign"], json!(1));
    let verification = verify(tampered.project, &["--exclusive"], DIFFERENT).await;
    one(&verification, ("articles", "foreign", ""));
    tampered.remove("articles", &id).await;

    // A row that is rejected has no document: one that has is wrong.
    let rejected = tampered.project.rejects("ari_payments").unwrap();
    let key = rejected[0]["key"].as_str().unwrap();
    let (_, mut fields) = tampered.document("ariPayments", any).await;
    fields["supabaseId"] = json!(key);
    let id = tampered.put("ariPayments", None, &fields).await;
    let verification = verify(tampered.project, &[], DIFFERENT).await;
    one(&verification, ("ari_payments", "unexpected", key));
    tampered.remove("ariPayments", &id).await;
}

/// A value is in no output and in no file, but where it was asked for.
async fn values_are_shown_only_where_they_are_asked_for(tampered: &Tampered<'_>) {
    let (id, before) = tampered.document("articles", any).await;
    let mut after = before.clone();
    after["title"] = json!("CANARY");
    tampered.put("articles", Some(&id), &after).await;
    let title = before["title"].as_str().unwrap();
    let file = || fs::read_to_string(project_run(tampered.project.folder()).join("verify.json")).unwrap();
    let shown = run(tampered.project, "migrate-verify", &[], DIFFERENT).await + &file();
    assert!(!shown.contains("CANARY") && !shown.contains(title), "{shown}");
    assert!(shown.contains(before["supabaseId"].as_str().unwrap()) && shown.contains("title"), "{shown}");
    let shown = run(tampered.project, "migrate-verify", &["--show-values"], DIFFERENT).await;
    assert!(shown.contains("CANARY") && shown.contains(title), "{shown}");
    assert!(file().contains("CANARY"));
    let of_run = project_run(tampered.project.folder());
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&of_run), 0o700);
    // The run's report tells of the difference, and of no value, though verify.json has them now.
    let page = fs::read_to_string(of_run.join("report.html")).unwrap();
    let report = of_run.join("report.json").display().to_string();
    let mut shown = vec![page];
    for format in ["text", "markdown", "html"] {
        shown.push(run(tampered.project, "migrate-report", &[&report, "--format", format], 0).await);
    }
    for shown in shown {
        assert!(shown.contains(before["supabaseId"].as_str().unwrap()) && shown.contains("1 difference"), "{shown}");
        assert!(!shown.contains("CANARY") && !shown.contains(title), "{shown}");
    }
    // Elsewhere, too, nobody else may read it; and the run's page stays as it is.
    let elsewhere = tampered.project.folder().join("other/verified.json");
    fs::remove_file(of_run.join("report.html")).unwrap();
    let arguments = ["--show-values", "--out", "other/verified.json"];
    run(tampered.project, "migrate-verify", &arguments, DIFFERENT).await;
    assert!(fs::read_to_string(&elsewhere).unwrap().contains("CANARY") && !of_run.join("report.html").exists());
    assert_eq!((mode(&elsewhere), mode(&of_run.join("verify.json"))), (0o600, 0o600));
    tampered.put("articles", Some(&id), &before).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_are_the_ones_that_the_example_has() {
    // The test above compares counts of all of these.
    let counted: Vec<&str> = expected_counts(Scenario::Full).iter().map(|count| count.table).collect();
    assert_eq!(counted, TABLES);
}
