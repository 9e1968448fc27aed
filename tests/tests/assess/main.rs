//! The assessment of a project whose bad rows are planted in SQL: every kind of finding is found as often as SQL finds
//! it, over the data API and over Postgres; a run then rejects what the assessment said; clean rows give no finding.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use migrate_tests::project::{Project, output};
use serde_json::Value;
use tempfile::TempDir;

const SCHEMA: &str = include_str!("schema.sql");
const CONFIG: &str = include_str!("migrate.toml");

const ADOPTED: &str = r#"
[tables.workspaces]
adopt = { index = "by_slug", key = ["slug"] }
"#;

/// Orders that no document can be made of, as SQL sees them.
const BAD_ORDERS: &str = r#"
    not isfinite(placed_at) or placed_at > '275760-09-13 00:00:00+00' or abs(big) > 9007199254740992
    or meta @? '$.** ? (@.type() == "object").keyvalue() ? (@.key starts with "$" || @.key starts with "_" || @.key == "" || @.key like_regex "[^ -~]")'
    or meta::text like '[[[[[[[[[[[[[[[[%' or (select count(*) from jsonb_object_keys(case when jsonb_typeof(meta) = 'object' then meta else '{}' end)) > 1024
    or cardinality(tags) > 8192 or length(body) >= 1048576 or status not in ('open', 'done') or note is null
    or not exists (select from customers c where c.code = customer_code)"#;

/// Table, column, kind and effect of a finding, and the condition of its rows, whose key is `id`.
type Planted = (&'static str, &'static str, &'static str, &'static str, &'static str);

/// Those that are the same whether `workspaces` lives in Convex or not.
const FINDINGS: &[Planted] = &[
    (
        "orders",
        "customer_code",
        "missing_parent",
        "rejected",
        "not exists (select from customers c where c.code = customer_code)",
    ),
    (
        "orders",
        "customer_code",
        "ambiguous_parent",
        "merged",
        "(select count(*) from customers c where c.code = customer_code) > 1",
    ),
    ("orders", "placed_at", "infinite", "rejected", "not isfinite(placed_at)"),
    (
        "orders",
        "placed_at",
        "instant_out_of_range",
        "rejected",
        "isfinite(placed_at) and placed_at > '275760-09-13 00:00:00+00'",
    ),
    (
        "orders",
        "placed_at",
        "microseconds_cut",
        "changed",
        "isfinite(placed_at) and extract(microseconds from placed_at)::int % 1000 > 0",
    ),
    ("orders", "total", "not_a_number", "kept", "total = 'NaN'"),
    ("orders", "total", "infinite", "kept", "total in ('Infinity', '-Infinity')"),
    ("orders", "amount", "not_a_number", "kept", "amount = 'NaN'"),
    ("orders", "big", "integer_over_double", "rejected", "abs(big) > 9007199254740992"),
    ("orders", "wide", "integer_over_double", "kept", "abs(wide) > 9007199254740992"),
    (
        "orders",
        "meta",
        "json_key_refused",
        "rejected",
        r#"meta @? '$.** ? (@.type() == "object").keyvalue() ? (@.key starts with "$" || @.key == "" || @.key like_regex "[^ -~]")'"#,
    ),
    ("orders", "meta", "too_deep", "rejected", "meta::text like '[[[[[[[[[[[[[[[[%'"),
    ("orders", "meta", "number_rounded", "changed", "meta->>'n' = '9007199254740993'"),
    ("orders", "meta", "too_many_fields", "rejected", "meta ? 'k1025'"),
    ("orders", "tags", "array_too_long", "rejected", "cardinality(tags) > 8192"),
    ("orders", "", "document_too_large", "rejected", "length(body) >= 1048576"),
    ("orders", "status", "unknown_value", "rejected", "status not in ('open', 'done')"),
    ("orders", "note", "null_not_allowed", "rejected", "note is null"),
    ("orders", "sku", "duplicate_name", "kept", "(select count(*) from orders o where o.sku = orders.sku) > 1"),
    (
        "customers",
        "code",
        "duplicate_key",
        "merged",
        "(select count(*) from customers c where c.code = customers.code) > 1",
    ),
    ("lines", "folder_id", "missing_parent", "changed", "not exists (select from folders f where f.id = folder_id)"),
    (
        "folders",
        "parent_id",
        "missing_parent",
        "unlinked",
        "parent_id is not null and not exists (select from folders f where f.id = folders.parent_id)",
    ),
];

/// Those of a parent that lives in Convex already.
const ADOPTED_FINDINGS: &[Planted] = &[
    (
        "workspaces",
        "slug",
        "duplicate_key",
        "merged",
        "(select count(*) from workspaces w where w.slug = workspaces.slug) > 1",
    ),
    ("workspaces", "slug", "natural_key_null", "rejected", "slug is null"),
    (
        "orders",
        "workspace_id",
        "parent_left_behind",
        "rejected",
        "exists (select from workspaces w where w.id = workspace_id and slug is null)",
    ),
    (
        "lines",
        "order_id",
        "parent_left_behind",
        "rejected",
        "order_id in (select id from orders where BAD_ORDERS or exists (select from workspaces w where w.id = workspace_id and slug is null))",
    ),
];

/// Those of the same table where it is migrated.
const MIGRATED_FINDINGS: &[Planted] = &[
    ("lines", "order_id", "parent_left_behind", "rejected", "order_id in (select id from orders where BAD_ORDERS)"),
    (
        "workspaces",
        "slug",
        "duplicate_name",
        "kept",
        "(select count(*) from workspaces w where w.slug = workspaces.slug) > 1",
    ),
];

const READINESS: &[(&str, &str)] = &[
    ("workspaces", "automatic"),
    ("customers", "decision"),
    ("orders", "decision"),
    ("lines", "decision"),
    ("folders", "decision"),
    ("logs", "decision"),
    ("regions", "automatic"),
    ("legacy", "left_out"),
    ("audit", "decision"),
    ("chicken", "blocked"),
    ("egg", "decision"),
];

async fn project(folder: &Path, sql: &str, config: &str) -> Project {
    Project::with_tables(folder, vec![sql.to_owned()], config).await.unwrap()
}

/// What a program prints to stdout, once it ended with `code`.
async fn run(project: &Project, name: &str, arguments: &[&str], code: i32) -> String {
    let mut program = project.program(name, arguments);
    program.env("SUPABASE_DB_URL", project.supabase.database_url());
    let output = output(program).await.unwrap();
    let (stdout, stderr) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(code), "{name} {arguments:?}:\n{stdout}\n{stderr}");
    for text in [&*stdout, &stderr] {
        assert!(!text.contains("canary-value"), "a row's value is printed:\n{text}");
        assert!(!text.contains(project.supabase.secret_key()), "the key is printed:\n{text}");
    }
    stdout
}

async fn assess(project: &Project, arguments: &[&str]) -> Value {
    let arguments: Vec<&str> = ["--json", "--quiet"].into_iter().chain(arguments.iter().copied()).collect();
    let printed: Value = serde_json::from_str(&run(project, "migrate-discover", &arguments, 0).await).unwrap();
    let written = std::fs::read_to_string(project.folder().join("assessment.json")).unwrap();
    assert_eq!(serde_json::from_str::<Value>(&written).unwrap(), printed);
    let schema = Path::new(env!("CARGO_MANIFEST_DIR")).join("../jsonschemas/assessment.schema.json");
    let schema: Value = serde_json::from_str(&std::fs::read_to_string(schema).unwrap()).unwrap();
    jsonschema::validate(&schema, &printed).unwrap();
    printed
}

fn table<'a>(assessment: &'a Value, name: &str) -> &'a Value {
    let tables = assessment["tables"].as_array().unwrap();
    tables.iter().find(|table| table["table"] == name).unwrap_or_else(|| panic!("{name}: {tables:#?}"))
}

/// Rows and sample keys of every finding, by table, column, kind and effect.
fn findings(assessment: &Value) -> BTreeMap<[String; 4], (usize, BTreeSet<String>)> {
    let mut found = BTreeMap::new();
    for table in assessment["tables"].as_array().unwrap() {
        for one in table["scan"]["findings"].as_array().into_iter().flatten() {
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            let name = [text(&table["table"]), text(&one["column"]), text(&one["kind"]), text(&one["effect"])];
            let keys = one["sample_keys"].as_array().unwrap().iter().map(text).collect();
            let rows = usize::try_from(one["rows"].as_u64().unwrap()).unwrap();
            assert_eq!(found.insert(name.clone(), (rows, keys)), None, "{name:?} stands twice");
        }
    }
    found
}

/// Keys of the rows that a condition holds of.
async fn keys(project: &Project, table: &str, condition: &str) -> BTreeSet<String> {
    let condition = condition.replace("BAD_ORDERS", BAD_ORDERS);
    let client = project.supabase.client().await.unwrap();
    let rows = client.query(&format!("select id::text from {table} where {condition}"), &[]).await.unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

async fn assert_findings(project: &Project, assessment: &Value, expected: &[&[Planted]]) {
    let mut found = findings(assessment);
    for (table, column, kind, effect, condition) in expected.iter().copied().flatten() {
        let keys = keys(project, table, condition).await;
        assert!(!keys.is_empty(), "no row is planted for {table}.{column} {kind}");
        let name = [table, column, kind, effect].map(|text| (*text).to_owned());
        let (rows, sample) = found.remove(&name).unwrap_or_else(|| panic!("{name:?} is not found: {found:#?}"));
        assert_eq!(rows, keys.len(), "{name:?}");
        assert!(sample.is_subset(&keys) && !sample.is_empty() && sample.len() <= 5, "{name:?}: {sample:?}");
    }
    assert_eq!(found, BTreeMap::new(), "findings that SQL does not know of");
}

#[tokio::test]
async fn every_kind_is_found_as_often_as_sql_finds_it() {
    let folder = TempDir::new().unwrap();
    let project = project(folder.path(), SCHEMA, &format!("{CONFIG}{ADOPTED}")).await;
    let mut both = Vec::new();
    for access in ["rest", "postgres"] {
        let config = format!("supabase.access = \"{access}\"\n{CONFIG}{ADOPTED}");
        std::fs::write(folder.path().join("migrate.toml"), config).unwrap();
        let assessment = assess(&project, &["--html"]).await;
        assert_eq!((&assessment["scan"]["mode"], &assessment["scan"]["complete"]), (&"full".into(), &true.into()));
        assert_findings(&project, &assessment, &[FINDINGS, ADOPTED_FINDINGS]).await;
        for &(name, readiness) in READINESS {
            let expected = if name == "workspaces" { "decision" } else { readiness };
            assert_eq!(table(&assessment, name)["readiness"], expected, "{name}: {:#}", table(&assessment, name));
        }
        both.push(findings(&assessment));
    }
    assert_eq!(both[0], both[1]);
    let page = std::fs::read_to_string(folder.path().join("assessment.html")).unwrap();
    for text in ["missing_parent", "instant_out_of_range", "form a cycle", "tables.logs.key", "D2048"] {
        assert!(page.contains(text), "{text}");
    }
    assert!(!page.contains("canary-value"));

    // A sample of some pages says what it did not look at, and nothing that SQL does not say.
    let sample = assess(&project, &["--scan", "sample", "--sample-pages", "2"]).await;
    assert_eq!(sample["scan"]["mode"], "sample");
    let rows = table(&sample, "orders")["scan"]["rows"].as_u64().unwrap();
    assert!((1..2500).contains(&rows), "{rows}");
    assert!(!sample["scan"]["unchecked"].as_array().unwrap().is_empty());
    for (name, (rows, keys)) in findings(&sample) {
        let of_full = both[0].iter().find(|(other, _)| name[..3] == other[..3]);
        assert!(of_full.is_some_and(|(_, (all, _))| rows <= *all) && !keys.is_empty(), "{name:?}: {rows}");
    }

    // Without a scan, what the catalog tells stands.
    let none = assess(&project, &["--scan", "none"]).await;
    assert_eq!((findings(&none), &none["estimate"], &none["scan"]["rows"]), (BTreeMap::new(), &Value::Null, &0.into()));
    assert_eq!(table(&none, "chicken")["readiness"], "blocked");
    assert_eq!(table(&none, "orders")["readiness"], "automatic");
    let text = run(&project, "migrate-discover", &["--scan", "full"], 0).await;
    assert!(text.contains("1 blocked") && text.contains("orders: needs a decision"), "{text}");
}

/// The lines for programs are those of the schema, and their sums are what the assessment says.
async fn assert_events(project: &Project, assessment: &Value) {
    let printed = run(project, "migrate-discover", &["--scan", "full", "--events", "ndjson", "--quiet"], 0).await;
    let schema = Path::new(env!("CARGO_MANIFEST_DIR")).join("../jsonschemas/event.schema.json");
    let schema: Value = serde_json::from_str(&std::fs::read_to_string(schema).unwrap()).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let lines: Vec<Value> = printed.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let mut sums: BTreeMap<String, [u64; 2]> = BTreeMap::new();
    for line in &lines {
        assert!(validator.is_valid(line), "{line}");
        if line["event"] == "rows_checked" {
            let sum = sums.entry(line["table"].as_str().unwrap().to_owned()).or_default();
            sum[0] += line["rows"].as_u64().unwrap();
            sum[1] += line["rejected"].as_u64().unwrap();
        }
    }
    let (first, last) = (&lines[0], lines.last().unwrap());
    assert_eq!(first["event"], "scan_started");
    for table in first["tables"].as_array().unwrap() {
        let scan = &self::table(assessment, table.as_str().unwrap())["scan"];
        let sum = sums.remove(table.as_str().unwrap()).unwrap_or_default();
        assert_eq!([&scan["rows"], &scan["rejected"]], [&sum[0].into(), &sum[1].into()] as [&Value; 2], "{table}");
    }
    assert!(sums.is_empty(), "{sums:?}");
    assert_eq!((&last["event"], &last["exit_code"]), (&"scan_finished".into(), &0.into()), "{last}");
    assert!(last["assessment"].as_str().unwrap().ends_with("assessment.json"), "{last}");
    // Only an assessment has events, and stdout is one reader's.
    run(project, "migrate-discover", &["--events", "ndjson"], 2).await;
    run(project, "migrate-discover", &["--scan", "full", "--events", "ndjson", "--json"], 2).await;
}

#[tokio::test]
async fn a_run_rejects_what_the_assessment_said() {
    let folder = TempDir::new().unwrap();
    let config = CONFIG.replace("[\"legacy\"]", "[\"legacy\", \"chicken\", \"egg\"]");
    let mut project = project(folder.path(), SCHEMA, &config).await;
    let assessment = assess(&project, &["--scan", "full"]).await;
    assert_findings(&project, &assessment, &[FINDINGS, MIGRATED_FINDINGS]).await;
    assert_eq!(table(&assessment, "workspaces")["readiness"], "automatic");
    assert_events(&project, &assessment).await;
    run(&project, "migrate-plan", &["--write"], 0).await;
    project.deploy().await.unwrap();
    run(&project, "migrate-run", &["--quiet"], 3).await;
    let report = project.report().unwrap();
    let mut compared = 0;
    for (name, row) in report["tables"].as_object().unwrap() {
        let scan = &table(&assessment, name)["scan"];
        for (of_run, of_scan) in [
            ("source", "rows"),
            ("rejected", "rejected"),
            ("skipped", "skipped"),
            ("migrated", "documents"),
            ("bytes", "document_bytes"),
        ] {
            // What a second pass sets is not in the report's bytes.
            if (name.as_str(), of_run) != ("folders", "bytes") {
                assert_eq!(row[of_run], scan[of_scan], "{name}: {of_run}");
                compared += 1;
            }
        }
    }
    assert_eq!(compared, 8 * 5 - 1);
    assert_eq!(report["tables"]["folders"]["unlinked"], 2);
    let written: u64 = report["totals"]["bytes"].as_u64().unwrap();
    assert!(assessment["estimate"]["document_bytes"].as_u64().unwrap() >= written);
}

#[tokio::test]
async fn clean_rows_give_no_finding() {
    let sql = "
        create table people (id uuid primary key, email text not null unique, name text, born date);
        create table posts (
            id bigint generated always as identity primary key, author uuid not null references people,
            answers bigint references posts, title text not null, at timestamptz not null, likes int, data jsonb
        );
        insert into people select md5(n::text)::uuid, n || '@example.test', 'x', '2000-01-01' from generate_series(1, 1200) n;
        insert into posts (author, answers, title, at, likes, data)
            select md5((1 + n % 1200)::text)::uuid, case when n > 1 then n - 1 end, 'title', '2024-01-01 12:00:00.123+00', n,
                '{\"a\": [1, 2.5, null], \"first name\": \"x\"}'
            from generate_series(1, 3000) n;";
    let folder = TempDir::new().unwrap();
    let project = project(folder.path(), sql, "").await;
    let assessment = assess(&project, &["--html", "page.html"]).await;
    assert_eq!(findings(&assessment), BTreeMap::new());
    for name in ["people", "posts"] {
        let table = table(&assessment, name);
        assert_eq!((&table["readiness"], &table["scan"]["rejected"]), (&"automatic".into(), &0.into()), "{table:#}");
        assert_eq!(table["scan"]["rows"], table["rows"]);
    }
    assert_eq!(assessment["estimate"]["documents"], 4200);
    assert!(folder.path().join("page.html").is_file());
}
