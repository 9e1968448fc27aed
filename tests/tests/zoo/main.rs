//! The zoo: a schema with every type and its edge values goes through the programs into convex-local, and every value
//! is compared with Postgres' own text of it.
//!
//! Nothing of the migration is used to compare: [`expected`] asks Postgres, [`wire`] reads what Convex holds.

mod cases;
mod expected;
mod wire;

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::PermissionsExt;

use migrate_tests::project::Project;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio_postgres::Client;

use self::cases::{
    Case, DEFAULT_CHANGES, DEFAULT_REJECTS, LIMITS, NULLED, OPTIONS_CHANGES, OPTIONS_REJECTS, OTHER_TYPES, TEXT_REJECTS,
};
use self::expected::{Kind, ZooColumn, columns, rows};
use self::wire::{Fields, Wire, decode, shorten};

const SCHEMA: &str = include_str!("schema.sql");
const TABLES: [&str; 11] =
    ["defaulted", "documents", "domains", "kinds", "limits", "lists", "many", "numbers", "texts", "times", "wide"];
/// How many keys a count of the report has at most.
const SAMPLE_KEYS: usize = 5;

/// Documents by table and row.
type Documents = BTreeMap<&'static str, BTreeMap<String, Fields>>;

/// Which configuration is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// The defaults, discovered through the data API alone.
    DataApi,
    /// The defaults, with Postgres' own catalog.
    Catalog,
    /// The same, with the rows straight from Postgres too.
    Postgres,
    /// `migrate_options.toml`, with the catalog.
    Options,
    /// `migrate_text.toml`, with the catalog.
    Text,
}

impl Mode {
    fn configuration(self) -> &'static str {
        match self {
            Self::DataApi | Self::Catalog => include_str!("migrate.toml"),
            Self::Postgres => concat!("supabase.access = \"postgres\"\n", include_str!("migrate.toml")),
            Self::Options => include_str!("migrate_options.toml"),
            Self::Text => include_str!("migrate_text.toml"),
        }
    }

    /// What a column's values must become; `None` for a column that is left out.
    fn kind(self, table: &str, column: &ZooColumn) -> Option<Kind> {
        let sql_type = column.sql_type.as_str();
        Some(match self {
            // The data API shows a domain over a domain, and an array of one, as a type that it does not know.
            Self::DataApi if table == "domains" && column.name == "list_price" => Kind::Double,
            Self::DataApi if table == "domains" && column.name == "prices" => Kind::List(Box::new(Kind::Double)),
            Self::DataApi => Kind::of(sql_type, false),
            Self::Catalog | Self::Postgres => Kind::of(sql_type, true),
            Self::Options => options_kind(table, &column.name, sql_type),
            Self::Text if (table, column.name.as_str()) == ("lists", "raws") => return None,
            Self::Text => Kind::text_of(sql_type),
        })
    }

    /// The rows that must be rejected, with their codes.
    fn rejected(self) -> Vec<Case> {
        match self {
            Self::DataApi | Self::Catalog | Self::Postgres => [LIMITS, DEFAULT_REJECTS].concat(),
            Self::Options => [LIMITS, OPTIONS_REJECTS].concat(),
            Self::Text => TEXT_REJECTS.to_vec(),
        }
    }

    /// Whether a value must be left out because its type cannot hold it.
    fn is_nulled(self, table: &str, row: &str, column: &str) -> bool {
        self == Self::Options && NULLED.contains(&(table, row, column))
    }

    /// What must be counted as lossy.
    fn changes(self) -> &'static [Case] {
        match self {
            Self::DataApi | Self::Catalog | Self::Postgres => DEFAULT_CHANGES,
            Self::Options => OPTIONS_CHANGES,
            Self::Text => &[],
        }
    }
}

fn options_kind(table: &str, column: &str, sql_type: &str) -> Kind {
    match (table, column) {
        ("texts", "mood") => return Kind::Mapped(&[("sad", "blue"), ("", "none")]),
        ("texts", "status") => return Kind::Mapped(&[("gone", "closed")]),
        ("domains", "name") => return Kind::Mapped(&[("a", "A")]),
        ("documents", "plain" | "trip" | "pairs") => return Kind::JsonText,
        ("lists", "texts") => return Kind::List(Box::new(Kind::JsonText)),
        ("lists", "days") => return Kind::List(Box::new(Kind::Epoch)),
        ("kinds", "object") => return Kind::Double,
        _ => {}
    }
    match sql_type {
        _ if sql_type.starts_with("numeric") || sql_type.starts_with("bigint") => {
            if sql_type.ends_with("[]") {
                Kind::List(Box::new(Kind::Double))
            } else {
                Kind::Double
            }
        }
        "date" | "timestamp without time zone" | "timestamp(3) without time zone" => Kind::Epoch,
        "timestamp without time zone[]" => Kind::List(Box::new(Kind::Epoch)),
        _ => match Kind::of(sql_type, true) {
            Kind::Json => Kind::JsonEscaped,
            Kind::List(inner) if *inner == Kind::Json => Kind::List(Box::new(Kind::JsonEscaped)),
            other => other,
        },
    }
}

/// A finished run.
struct Run {
    mode: Mode,
    _folder: TempDir,
    project: Project,
    documents: Documents,
}

/// A folder that the servers' own account may enter.
fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    folder
}

async fn run(project: &Project, mode: Mode, name: &str, arguments: &[&str], code: i32) {
    let mut command = project.program(name, arguments);
    if mode != Mode::DataApi {
        command.env("SUPABASE_DB_URL", project.supabase.database_url());
    }
    let output = tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert_eq!(
        output.status.code(),
        Some(code),
        "{mode:?}: {name} {arguments:?}:\n{}{}",
        text(&output.stdout),
        text(&output.stderr)
    );
}

/// Runs the migration again from its beginning: nothing changes, whatever a document holds.
async fn assert_again_changes_nothing(project: &Project, mode: Mode) {
    run(project, mode, "migrate-run", &["--quiet", "--fresh"], 3).await;
    for (table, counts) in project.report().unwrap()["tables"].as_object().unwrap() {
        assert_eq!(counts["inserted"], 0, "{table}: {counts}");
        assert_eq!(counts["updated"], 0, "{table}: {counts}");
    }
}

async fn migrated(mode: Mode) -> Run {
    let folder = folder();
    let mut project = Project::with_tables(folder.path(), vec![SCHEMA.to_owned()], mode.configuration()).await.unwrap();
    run(&project, mode, "migrate-discover", &[], 0).await;
    run(&project, mode, "migrate-plan", &["--write"], 0).await;
    project.deploy().await.unwrap();
    run(&project, mode, "migrate-run", &["--quiet"], 3).await;
    let documents = documents(&project).await;
    Run { mode, _folder: folder, project, documents }
}

/// What convex-local holds, read without the client of the migration or of the stack.
async fn documents(project: &Project) -> Documents {
    let convex = project.convex.as_ref().unwrap();
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let mut all = Documents::new();
    for table in TABLES {
        let mut cursor = Value::Null;
        let found: &mut BTreeMap<String, Fields> = all.entry(table).or_default();
        loop {
            let options = json!({ "cursor": cursor, "numItems": 500 });
            let args = json!({ "table": table, "order": "asc", "paginationOpts": options });
            let body = json!({ "path": "_system/cli/tableData", "args": args, "format": "convex_encoded_json" });
            let request = http.post(format!("{}/api/query", convex.url()));
            let request = request.header("Authorization", format!("Convex {}", convex.admin_key())).json(&body);
            let text = request.send().await.unwrap().text().await.unwrap();
            let envelope = wire::entries(&text);
            let page = wire::entries(envelope["value"].get());
            for document in wire::items(page["page"].get()) {
                let Wire::Object(mut fields) = decode(document.get()) else { panic!("a document is no object") };
                assert!(fields.remove("_id").is_some() && fields.remove("_creationTime").is_some());
                let Some(Wire::String(id)) = fields.get("supabaseId") else { panic!("{table}: no key") };
                let id = id.clone();
                assert!(found.insert(id.clone(), fields).is_none(), "{table} {id} is there twice");
            }
            if page["isDone"].get() == "true" {
                break;
            }
            cursor = serde_json::from_str(page["continueCursor"].get()).unwrap();
        }
    }
    all
}

/// A connection whose texts do not depend on where the test runs.
async fn client(project: &Project) -> Client {
    let client = project.supabase.client().await.unwrap();
    client.batch_execute("set timezone to 'UTC'; set extra_float_digits to 1").await.unwrap();
    client
}

fn show(value: Option<&Wire>) -> String {
    value.map_or_else(|| "nothing".to_owned(), |value| shorten(&format!("{value:?}")))
}

fn compare(what: &str, wanted: &Fields, found: &Fields, differences: &mut Vec<String>) {
    for field in wanted.keys().chain(found.keys()).collect::<BTreeSet<_>>() {
        if wanted.get(field) != found.get(field) {
            differences.push(format!("{what}.{field}: {} became {}", show(wanted.get(field)), show(found.get(field))));
        }
    }
}

fn assert_none(differences: &[String]) {
    assert!(differences.is_empty(), "{} differences:\n{}", differences.len(), differences.join("\n"));
}

impl Run {
    async fn assert_documents(&self, differences: &mut Vec<String>) {
        let client = client(&self.project).await;
        let rejected = self.mode.rejected();
        for table in TABLES {
            let columns: Vec<(ZooColumn, Kind)> = columns(&client, table)
                .await
                .into_iter()
                .filter_map(|column| self.mode.kind(table, &column).map(|kind| (column, kind)))
                .collect();
            let is_rejected = |row: &str| rejected.iter().any(|(of, id, _)| *of == table && *id == row);
            let is_left_out = |row: &str, column: &str| is_rejected(row) || self.mode.is_nulled(table, row, column);
            let mut wanted = rows(&client, table, &columns, is_left_out).await;
            if (self.mode, table) == (Mode::Options, "defaulted") {
                let mut default = wanted["default"].clone();
                default.insert("supabaseId".to_owned(), Wire::String("null".to_owned()));
                wanted.insert("null".to_owned(), default);
            }
            for (row, found) in &self.documents[table] {
                let what = format!("{:?} {table} '{row}'", self.mode);
                match wanted.remove(row) {
                    Some(_) if is_rejected(row) => differences.push(format!("{what}: should be rejected")),
                    Some(wanted) => compare(&what, &wanted, found, differences),
                    None => differences.push(format!("{what}: there is no such row")),
                }
            }
            wanted.retain(|row, _| !is_rejected(row));
            differences.extend(wanted.keys().map(|row| format!("{:?} {table} '{row}': lost", self.mode)));
        }
    }

    fn assert_rejects(&self, differences: &mut Vec<String>) {
        let wanted: BTreeSet<(String, String, String)> = self
            .mode
            .rejected()
            .into_iter()
            .map(|(table, row, code)| (table.to_owned(), row.to_owned(), code.to_owned()))
            .collect();
        let report = self.project.report().unwrap();
        let mut found = BTreeSet::new();
        for table in TABLES {
            for line in self.project.rejects(table).unwrap() {
                let text = |name: &str| line[name].as_str().unwrap().to_owned();
                found.insert((table.to_owned(), text("key"), text("code")));
            }
            let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
            for (_, _, code) in wanted.iter().filter(|(of, ..)| of == table) {
                *counts.entry(code).or_default() += 1;
            }
            let reported: BTreeMap<&str, u64> = report["tables"][table]["rejects"]
                .as_array()
                .unwrap()
                .iter()
                .map(|cause| (cause["code"].as_str().unwrap(), cause["count"].as_u64().unwrap()))
                .collect();
            if counts != reported {
                differences.push(format!("{:?} {table}: rejects {reported:?}, not {counts:?}", self.mode));
            }
        }
        differences.extend(wanted.difference(&found).map(|reject| format!("{:?}: no reject {reject:?}", self.mode)));
        differences.extend(found.difference(&wanted).map(|reject| format!("{:?}: reject {reject:?}", self.mode)));
    }

    /// Every lossy edit is counted, as often as SQL counts it, and its sample keys are of such rows.
    async fn assert_changes(&self, differences: &mut Vec<String>) {
        let client = client(&self.project).await;
        let report = self.project.report().unwrap();
        let wanted = self.mode.changes();
        for table in TABLES {
            let reported = report["tables"][table]["changes"].as_array().unwrap();
            for change in reported {
                let name = change["name"].as_str().unwrap();
                if !wanted.iter().any(|(of, wanted, _)| *of == table && *wanted == name) {
                    differences.push(format!("{:?} {table}: unexpected {change}", self.mode));
                }
            }
            for (_, name, predicate) in wanted.iter().filter(|(of, ..)| *of == table) {
                let query = format!("select id::text from public.{table} where {predicate}");
                let keys: BTreeSet<String> =
                    client.query(&query, &[]).await.unwrap().iter().map(|row| row.get(0)).collect();
                let change = reported.iter().find(|change| change["name"] == *name).unwrap_or(&Value::Null);
                let samples: BTreeSet<&str> =
                    change["sample_keys"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
                let is_right = change["count"].as_u64() == Some(u64::try_from(keys.len()).unwrap())
                    && samples.len() == keys.len().min(SAMPLE_KEYS)
                    && samples.iter().all(|key| keys.contains(*key));
                if !is_right {
                    let shown: Vec<_> = keys.iter().take(20).collect();
                    differences.push(format!(
                        "{:?} {table}: {name} is {change}, SQL has {} {shown:?}",
                        self.mode,
                        keys.len()
                    ));
                }
            }
        }
    }

    async fn assert_all(&self) {
        let mut differences = Vec::new();
        self.assert_documents(&mut differences).await;
        self.assert_rejects(&mut differences);
        self.assert_changes(&mut differences).await;
        assert_none(&differences);
    }
}

/// The type of each planned field, by table and field.
fn planned_types(project: &Project) -> BTreeMap<(String, String), Value> {
    let plan = std::fs::read_to_string(project.folder().join("plan.json")).unwrap();
    let plan: Value = serde_json::from_str(&plan).unwrap();
    let tables = plan["tables"].as_array().unwrap();
    let fields =
        tables.iter().flat_map(|table| {
            let name = table["source"].as_str().unwrap();
            table["fields"].as_array().unwrap().iter().map(move |field| {
                ((name.to_owned(), field["field"].as_str().unwrap().to_owned()), field["type"].clone())
            })
        });
    fields.collect()
}

/// The documents of two runs are the same, but for the fields that are planned as another type.
fn assert_same_but_for(other_types: &[(&str, &str, &str, &str)], one: &Run, other: &Run) {
    let (one_types, other_plan) = (planned_types(&one.project), planned_types(&other.project));
    assert!(one_types.keys().eq(other_plan.keys()), "the plans have other fields");
    let differing: Vec<(String, String, String, String)> = one_types
        .iter()
        .map(|((table, field), planned)| (table, field, planned, &other_plan[&(table.clone(), field.clone())]))
        .filter(|(.., one, other)| one != other)
        .map(|(table, field, one, other)| (table.clone(), field.clone(), one.to_string(), other.to_string()))
        .collect();
    let shown: Vec<(&str, &str, &str, &str)> =
        differing.iter().map(|(table, field, one, other)| (&**table, &**field, &**one, &**other)).collect();
    assert_eq!(shown, other_types, "the types that differ");
    let mut differences = Vec::new();
    for table in TABLES {
        let (one, other) = (&one.documents[table], &other.documents[table]);
        assert!(one.keys().eq(other.keys()), "{table}: other rows");
        // A number and its text are not the same; whatever else the plans call a field, its values are.
        let is_compared = |field: &str| {
            let is_other = |(of, name, one, other): &(&str, &str, &str, &str)| {
                *of == table && *name == field && one.contains("string") && other.contains("number")
            };
            !other_types.iter().any(is_other)
        };
        for (row, fields) in one {
            let kept = |fields: &Fields| -> Fields {
                fields
                    .iter()
                    .filter(|(name, _)| is_compared(name))
                    .map(|(name, value)| (name.clone(), value.clone()))
                    .collect()
            };
            compare(&format!("{table} '{row}'"), &kept(fields), &kept(&other[row]), &mut differences);
        }
    }
    assert_none(&differences);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_defaults_with_and_without_the_catalog_of_postgres() {
    let (data_api, catalog) = tokio::join!(migrated(Mode::DataApi), migrated(Mode::Catalog));
    data_api.assert_all().await;
    catalog.assert_all().await;
    assert_same_but_for(OTHER_TYPES, &data_api, &catalog);
    assert_again_changes_nothing(&catalog.project, Mode::Catalog).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_of_postgres_become_the_same_documents() {
    let (catalog, postgres) = tokio::join!(migrated(Mode::Catalog), migrated(Mode::Postgres));
    postgres.assert_all().await;
    assert_same_but_for(&[], &catalog, &postgres);
    let plan = |run: &Run| std::fs::read_to_string(run.project.folder().join("plan.json")).unwrap();
    assert_eq!(plan(&catalog), plan(&postgres), "the plan does not depend on what is read through");
    assert_again_changes_nothing(&postgres.project, Mode::Postgres).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn options_lose_what_they_say() {
    let run = migrated(Mode::Options).await;
    run.assert_all().await;
    assert_again_changes_nothing(&run.project, Mode::Options).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_has_a_text() {
    migrated(Mode::Text).await.assert_all().await;
}
