//! The zoo: a schema with every type and its edge values goes through the programs into convex-local, and every value
//! is compared with Postgres' own text of it.
//!
//! Nothing of the migration is used to compare: [`expected`] asks Postgres, [`wire`] reads what Convex holds.

mod expected;
mod wire;

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::PermissionsExt;

use migrate_tests::project::Project;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio_postgres::Client;

use self::expected::{Kind, ZooColumn, columns, rows};
use self::wire::{Fields, Wire, decode, shorten};

const SCHEMA: &str = include_str!("schema.sql");
const TABLES: [&str; 10] =
    ["documents", "domains", "kinds", "limits", "lists", "many", "numbers", "texts", "times", "wide"];
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
    /// `migrate_options.toml`, with the catalog.
    Options,
    /// `migrate_text.toml`, with the catalog.
    Text,
}

impl Mode {
    fn configuration(self) -> &'static str {
        match self {
            Self::DataApi | Self::Catalog => include_str!("migrate.toml"),
            Self::Options => include_str!("migrate_options.toml"),
            Self::Text => include_str!("migrate_text.toml"),
        }
    }

    fn is_default(self) -> bool {
        matches!(self, Self::DataApi | Self::Catalog)
    }

    /// What a column's values must become; `None` for a column that is left out.
    fn kind(self, table: &str, column: &ZooColumn) -> Option<Kind> {
        let sql_type = column.sql_type.as_str();
        Some(match self {
            Self::DataApi => Kind::of(sql_type, false),
            Self::Catalog => Kind::of(sql_type, true),
            Self::Options => options_kind(table, &column.name, sql_type),
            Self::Text if (table, column.name.as_str()) == ("lists", "raws") => return None,
            Self::Text => Kind::text_of(sql_type),
        })
    }

    /// The rows that must be rejected: table, row, code.
    fn rejected(self) -> Vec<(&'static str, &'static str, &'static str)> {
        let mut rejected = LIMITS.to_vec();
        match self {
            Self::DataApi | Self::Catalog => rejected.extend(DEFAULT_REJECTS),
            Self::Options => rejected.extend(OPTIONS_REJECTS),
            Self::Text => rejected = TEXT_REJECTS.to_vec(),
        }
        rejected.sort_unstable();
        rejected
    }

    /// The values that are left out because their type cannot hold them: table, row, column.
    fn nulled(self) -> &'static [(&'static str, &'static str, &'static str)] {
        if self == Self::Options { NULLED } else { &[] }
    }

    /// What must be counted as lossy: table, name of the count, which rows.
    fn changes(self) -> Vec<(&'static str, &'static str, &'static str)> {
        match self {
            Self::DataApi | Self::Catalog => DEFAULT_CHANGES.to_vec(),
            Self::Options => OPTIONS_CHANGES.to_vec(),
            Self::Text => Vec::new(),
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
            if sql_type.ends_with("[]") { Kind::List(Box::new(Kind::Double)) } else { Kind::Double }
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

/// Rows over Convex's limits.
const LIMITS: [(&str, &str, &str); 10] = [
    ("limits", "bytes over", "document_too_large"),
    ("limits", "fields over", "too_many_fields"),
    ("limits", "items over", "array_too_long"),
    ("limits", "json items over", "array_too_long"),
    ("limits", "key over", "field_name_invalid"),
    ("limits", "nesting far over", "too_deep"),
    ("limits", "nesting over", "too_deep"),
    ("limits", "objects over", "too_deep"),
    ("limits", "raw over", "document_too_large"),
    ("wide", "over", "too_many_fields"),
];

const DEFAULT_REJECTS: [(&str, &str, &str); 25] = [
    ("documents", "hstore key", "field_name_invalid"),
    ("documents", "key delete", "field_name_invalid"),
    ("documents", "key dollar", "field_name_invalid"),
    ("documents", "key empty", "field_name_invalid"),
    ("documents", "key newline", "field_name_invalid"),
    ("documents", "key proto", "field_name_invalid"),
    ("documents", "key umlaut", "field_name_invalid"),
    ("documents", "key underscore", "field_name_invalid"),
    ("documents", "meta huge", "not_representable"),
    ("documents", "plain huge", "not_representable"),
    ("documents", "plain key", "field_name_invalid"),
    ("documents", "plain surrogate", "not_representable"),
    ("domains", "key", "field_name_invalid"),
    ("lists", "infinite element", "not_representable"),
    ("lists", "null elements", "not_representable"),
    ("lists", "null in a grid", "not_representable"),
    ("lists", "null integers", "not_representable"),
    ("lists", "one dimension", "not_representable"),
    ("lists", "only null", "not_representable"),
    ("lists", "six dimensions", "not_representable"),
    ("lists", "two dimensions", "not_representable"),
    ("times", "instant infinity", "not_representable"),
    ("times", "instant latest", "not_representable"),
    ("times", "instant minus infinity", "not_representable"),
    ("times", "instant past javascript", "not_representable"),
];

/// Neither a text that is not in the map of values nor a key over the limit is a value that its type cannot hold.
const OPTIONS_REJECTS: [(&str, &str, &str); 1] = [("domains", "other name", "unknown_value")];

/// As text, JSON has no limits but the document's.
const TEXT_REJECTS: [(&str, &str, &str); 5] = [
    ("limits", "bytes over", "document_too_large"),
    ("limits", "items over", "array_too_long"),
    ("limits", "raw over", "document_too_large"),
    ("lists", "two dimensions", "not_representable"),
    ("wide", "over", "too_many_fields"),
];

const NULLED: &[(&str, &str, &str)] = &[];

/// A double whose own text is another number. The cast refuses what is next to nothing.
const ROUNDED_NUM: &str = "num not in ('NaN', 'Infinity', '-Infinity') and num <> 0 \
    and case when abs(num) < 1e-323 then num::text <> 5e-324::numeric::text else num::float8::text::numeric <> num end";

const DEFAULT_CHANGES: [(&str, &str, &str); 9] = [
    ("documents", "home:number_rounded", "id = 'row rounded'"),
    ("documents", "meta:number_rounded", "id in ('rounded', 'tiny')"),
    ("documents", "plain:number_rounded", "id in ('rounded', 'tiny')"),
    ("documents", "trip:number_rounded", "id = 'rows rounded'"),
    ("lists", "instants:microseconds_cut", "id = 'microseconds'"),
    ("many", "at:microseconds_cut", "extract(microseconds from at)::bigint % 1000 <> 0"),
    (
        "times",
        "instant:microseconds_cut",
        "isfinite(instant) and extract(microseconds from instant)::bigint % 1000 <> 0 and id <> 'instant latest'",
    ),
    ("", "", ""),
    ("", "", ""),
];

const OPTIONS_CHANGES: [(&str, &str, &str); 1] = [("numbers", "num:number_rounded", ROUNDED_NUM)];

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

async fn migrated(mode: Mode) -> Run {
    let folder = folder();
    let mut project =
        Project::with_tables(folder.path(), vec![SCHEMA.to_owned()], mode.configuration()).await.unwrap();
    run(&project, mode, "migrate-discover", &[], 0).await;
    run(&project, mode, "migrate-plan", &[], 0).await;
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
            let is_nulled =
                |row: &str, column: &str| self.mode.nulled().contains(&(table, row, column));
            let is_left_out = |row: &str, column: &str| is_rejected(row) || nulled(self.mode, table, row, column);
            let _ = is_nulled;
            let mut wanted = rows(&client, table, &columns, is_left_out).await;
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
                    differences.push(format!("{:?} {table}: {name} is {change}, SQL has {} {shown:?}", self.mode, keys.len()));
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

fn nulled(mode: Mode, table: &str, row: &str, column: &str) -> bool {
    mode.nulled().iter().any(|&(of, id, name)| (of, id, name) == (table, row, column))
}

#[tokio::test(flavor = "multi_thread")]
async fn by_the_data_api_alone() {
    migrated(Mode::DataApi).await.assert_all().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn with_the_catalog_of_postgres() {
    migrated(Mode::Catalog).await.assert_all().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn with_options() {
    migrated(Mode::Options).await.assert_all().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn as_text() {
    migrated(Mode::Text).await.assert_all().await;
}
