//! One tenant of a schema with every kind of reference goes through the programs into convex-local: what SQL says
//! belongs to it is there, every id leads to the document of the right row, and the rest is left out.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use migrate_tests::project::Project;
use serde_json::Value;

const SCHEMA: &str = r#"
    create table tenants (id int primary key, slug text not null unique);
    create table people (id uuid primary key, tenant_id int not null references tenants, email text not null unique);
    create table tags (id int primary key, name text not null);
    create table orders (
        tenant_id int not null references tenants, number int, buyer_email text references people (email),
        note text, primary key (tenant_id, number)
    );
    create table lines (
        id bigint generated always as identity primary key, tenant_id int not null, order_number int not null,
        tag_ids int[], article text not null,
        foreign key (tenant_id, order_number) references orders (tenant_id, number)
    );
    create table comments (
        id int primary key, subject_type text not null, subject_id text not null, answers int references comments
    );
    create table "Audit Log" (tenant_id int not null, what text not null);
    create view order_sizes as
        select tenant_id, order_number, count(*) as lines from lines group by tenant_id, order_number;

    insert into tenants select n, 'tenant-' || n from generate_series(1, 3) n;
    insert into people
        select md5('p' || n)::uuid, 1 + n % 3, 'p' || n || '@example.test' from generate_series(1, 30) n;
    insert into tags select n, 'tag ' || n from generate_series(1, 5) n;
    insert into orders
        select 1 + n % 3, n, case when n % 4 > 0 then 'p' || (1 + n % 30) || '@example.test' end,
            case when n % 2 = 0 then repeat('long ', 100) || n end
        from generate_series(1, 60) n;
    insert into lines (tenant_id, order_number, tag_ids, article)
        select o.tenant_id, o.number, case when k < 3 then array[k, k + 1, 9] end, 'article ' || k
        from orders o, generate_series(1, 3) k;
    insert into comments
        select n, case when n % 2 = 0 then 'person' else 'tag' end,
            case when n % 2 = 0 then md5('p' || n)::uuid::text else (1 + n % 5)::text end,
            case when n > 1 then n - 1 end
        from generate_series(1, 20) n;
    insert into "Audit Log" select 1 + n % 3, 'did ' || n % 7 from generate_series(1, 50) n;
"#;

const CONFIG: &str = r#"
include = ["tenants", "people", "tags", "orders", "lines", "comments", "Audit*", "order_sizes"]

[defaults]
on_missing = "skip"

[tables.tenants]
filter = "slug=eq.tenant-2"

[tables.orders]
columns.note.split_off = "order_notes"

[tables.lines.columns]
tag_ids = { references = "tags", on_missing = "null" }

[tables.comments.references.subject]
columns = ["subject_id"]
by = "subject_type"
when = { person = "people", tag = "tags" }

[tables.comments]
columns.answers.on_missing = "null"

[tables."Audit Log"]
name = "audit"
filter = "tenant_id=eq.2"
columns.tenant_id.references = "tenants"

[tables.order_sizes]
key = ["tenant_id", "order_number"]
columns.tenant_id.references = "tenants"
"#;

/// What must be there, by the rows' keys: SQL's own view of the second tenant.
const EXPECTED: [(&str, &str); 9] = [
    ("tenants", "select id::text, jsonb_build_object('slug', slug) from tenants where id = 2"),
    (
        "people",
        "select id::text, jsonb_build_object('tenant_id', '@tenants/2', 'email', email) from people where tenant_id = 2",
    ),
    ("tags", "select id::text, jsonb_build_object('name', name) from tags"),
    (
        "orders",
        r#"select format('["%s","%s"]', o.tenant_id, number), jsonb_strip_nulls(jsonb_build_object(
               'tenant_id', '@tenants/2', 'number', number, 'buyer_email', '@people/' || p.id))
           from orders o left join people p on p.email = buyer_email
           where o.tenant_id = 2 and (buyer_email is null or p.tenant_id = 2)"#,
    ),
    (
        "order_notes",
        r#"select format('["%s","%s"]', o.tenant_id, number), jsonb_build_object(
               'orders_ref', format('@orders/["%s","%s"]', o.tenant_id, number), 'note', note)
           from orders o left join people p on p.email = buyer_email
           where o.tenant_id = 2 and note is not null and (buyer_email is null or p.tenant_id = 2)"#,
    ),
    (
        "lines",
        r#"select l.id::text, jsonb_strip_nulls(jsonb_build_object(
               'tenant_id', l.tenant_id, 'order_number', order_number, 'article', article,
               'orders_ref', format('@orders/["%s","%s"]', l.tenant_id, order_number),
               'tag_ids', (select jsonb_agg('@tags/' || t order by place)
                           from unnest(tag_ids) with ordinality as u (t, place) where t <= 5)))
           from lines l join orders o on (o.tenant_id, o.number) = (l.tenant_id, order_number)
           left join people p on p.email = buyer_email
           where l.tenant_id = 2 and (buyer_email is null or p.tenant_id = 2)"#,
    ),
    (
        "comments",
        r"with kept as (
               select c.*, coalesce(p.id::text, subject_id) as subject_key from comments c
               left join people p on subject_type = 'person' and p.id::text = subject_id
               where subject_type = 'tag' or p.tenant_id = 2)
           select id::text, jsonb_strip_nulls(jsonb_build_object(
               'subject_type', subject_type, 'subject_id', subject_id,
               'subject', case subject_type when 'person' then '@people/' else '@tags/' end || subject_key,
               'answers', (select '@comments/' || k.id from kept k where k.id = kept.answers)))
           from kept",
    ),
    (
        "audit",
        r#"select ctid::text, jsonb_build_object('tenant_id', '@tenants/2', 'what', what)
                 from "Audit Log" where tenant_id = 2"#,
    ),
    (
        "order_sizes",
        r#"select format('["%s","%s"]', tenant_id, order_number), jsonb_build_object(
               'tenant_id', '@tenants/2', 'order_number', order_number, 'lines', '#' || lines)
           from order_sizes where tenant_id = 2"#,
    ),
];

async fn run(project: &Project, program: &str, arguments: &[&str], code: i32) -> Output {
    let output = project.run(program, arguments).await.unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{program} {arguments:?}: {said}");
    output
}

/// A value with ids as the rows they stand for, whole doubles as integers, and 64-bit integers as `#` and their digits.
fn readable(value: &Value, ids: &BTreeMap<String, String>) -> Value {
    match value {
        Value::String(text) => ids.get(text).cloned().unwrap_or_else(|| text.clone()).into(),
        Value::Array(items) => items.iter().map(|item| readable(item, ids)).collect(),
        Value::Object(fields) if fields.contains_key("$integer") => {
            let base64 = fields["$integer"].as_str().unwrap();
            let bytes = base64::Engine::decode(&base64::prelude::BASE64_STANDARD, base64).unwrap();
            format!("#{}", i64::from_le_bytes(bytes.try_into().unwrap())).into()
        }
        #[expect(clippy::cast_possible_truncation, reason = "the test's numbers are small and whole")]
        Value::Number(number) => (number.as_f64().unwrap() as i64).into(),
        other => other.clone(),
    }
}

async fn deployed(project: &Project) -> BTreeMap<&'static str, Vec<Value>> {
    let convex = project.convex.as_ref().unwrap();
    let mut found = BTreeMap::new();
    for (table, _) in EXPECTED {
        found.insert(table, convex.documents(table).await.unwrap());
    }
    found
}

/// The documents of an archive, as Python reads it; 64-bit integers as `#` and their digits.
fn archived(path: &Path) -> BTreeMap<&'static str, Vec<Value>> {
    const UNZIP: &str = "
import json, sys, zipfile
with zipfile.ZipFile(sys.argv[1]) as archive:
    assert archive.testzip() is None
    print(json.dumps({name: archive.read(name).decode() for name in archive.namelist()}))
";
    fn marked(value: Value) -> Value {
        match value {
            Value::Number(number) if number.is_i64() => format!("#{number}").into(),
            Value::Array(items) => items.into_iter().map(marked).collect(),
            Value::Object(fields) => fields.into_iter().map(|(name, value)| (name, marked(value))).collect(),
            other => other,
        }
    }
    let output = Command::new("python3").args(["-c", UNZIP]).arg(path).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let entries: BTreeMap<String, String> = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(entries.len(), 1 + 2 * EXPECTED.len());
    let lines = |table: &str| {
        let lines = entries[&format!("{table}/documents.jsonl")].lines();
        lines.map(|line| marked(serde_json::from_str(line).unwrap())).collect()
    };
    EXPECTED.iter().map(|(table, _)| (*table, lines(table))).collect()
}

async fn assert_is_as_sql_says(project: &Project, found: BTreeMap<&'static str, Vec<Value>>) {
    let client = project.supabase.client().await.unwrap();
    let mut ids = BTreeMap::new();
    for (table, documents) in &found {
        for document in documents {
            let id = document["_id"].as_str().unwrap().to_owned();
            ids.insert(id, format!("@{table}/{}", document["supabaseId"].as_str().unwrap()));
        }
    }
    for (table, sql) in EXPECTED {
        let rows = client.query(sql, &[]).await.unwrap();
        let expected: BTreeMap<String, Value> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
        let documents: BTreeMap<String, Value> = found[table]
            .iter()
            .map(|document| {
                let fields = document.as_object().unwrap().iter().filter(|(name, _)| !name.starts_with('_'));
                let fields: serde_json::Map<String, Value> = fields
                    .filter(|(name, _)| *name != "supabaseId")
                    .map(|(name, value)| (name.clone(), readable(value, &ids)))
                    .collect();
                (document["supabaseId"].as_str().unwrap().to_owned(), fields.into())
            })
            .collect();
        assert!(!expected.is_empty(), "{table}: the test expects nothing");
        assert_eq!(documents.len(), found[table].len(), "{table}: a document is there twice");
        assert_eq!(documents, expected, "{table}");
    }
}

/// The same as one archive, which needs no deployment. Most rows are read before it is known that what they refer to is
/// left out.
#[tokio::test(flavor = "multi_thread")]
async fn one_tenant_in_an_archive() {
    let folder = tempfile::tempdir().unwrap();
    let path: PathBuf = folder.path().join("project");
    let config = CONFIG.replacen("\n[defaults]", "\n[convex]\nwrite = \"snapshot\"\n\n[defaults]", 1);
    let project = Project::with_tables(&path, vec![SCHEMA.to_owned()], &config).await.unwrap();
    let database = project.supabase.database_url();
    std::fs::write(path.join(".env.local"), format!("SUPABASE_DB_URL={database}\n")).unwrap();
    run(&project, "migrate-discover", &[], 0).await;
    run(&project, "migrate-plan", &[], 0).await;
    run(&project, "migrate-run", &["--quiet", "--dry-run", "--out", "tenant.zip"], 0).await;
    assert!(!path.join("tenant.zip").exists() && !path.join(".migrate").exists(), "a dry run leaves nothing");
    run(&project, "migrate-run", &["--quiet", "--out", "tenant.zip"], 0).await;
    assert_is_as_sql_says(&project, archived(&path.join("tenant.zip"))).await;
    let report = project.report().unwrap();
    for (table, counts) in report["tables"].as_object().unwrap() {
        assert_eq!((&counts["rejected"], &counts["status"]), (&0.into(), &"complete".into()), "{table}");
        assert_eq!(counts["source"], counts["counted_after"], "{table}");
    }
    assert_eq!(report["tables"]["people"]["skipped"], 20);
    assert_eq!(report["snapshot"]["documents"], report["totals"]["migrated"]);
    assert_eq!(report["snapshot"]["import"], Value::Null);
    let bytes = std::fs::read(path.join("tenant.zip")).unwrap();

    // Again: the archive is there, and nothing is read. Anew: the same documents have the same ids.
    run(&project, "migrate-run", &["--quiet", "--out", "again.zip"], 0).await;
    for (table, counts) in project.report().unwrap()["tables"].as_object().unwrap() {
        assert_eq!((&counts["this_run"]["read"], &counts["source"]), (&0.into(), &report["tables"][table]["source"]));
    }
    assert_eq!(std::fs::read(path.join("again.zip")).unwrap(), bytes);
    assert_eq!(project.report().unwrap()["totals"], report["totals"]);
    run(&project, "migrate-run", &["--quiet", "--fresh", "--out", "anew.zip"], 0).await;
    let (first, second) = (archived(&path.join("tenant.zip")), archived(&path.join("anew.zip")));
    for (table, documents) in first {
        let sorted = |documents: &[Value]| {
            let mut lines: Vec<String> = documents.iter().map(ToString::to_string).collect();
            lines.sort();
            lines
        };
        assert_eq!(sorted(&documents), sorted(&second[table]), "{table}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_tenant_and_all_it_needs() {
    let folder = tempfile::tempdir().unwrap();
    let path: PathBuf = folder.path().join("project");
    let mut project = Project::with_tables(&path, vec![SCHEMA.to_owned()], CONFIG).await.unwrap();
    let database = project.supabase.database_url();
    std::fs::write(path.join(".env.local"), format!("SUPABASE_DB_URL={database}\n")).unwrap();
    run(&project, "migrate-discover", &[], 0).await;
    run(&project, "migrate-plan", &["--write"], 0).await;
    project.deploy().await.unwrap();
    run(&project, "migrate-run", &["--quiet"], 0).await;
    assert_is_as_sql_says(&project, deployed(&project).await).await;
    let report = project.report().unwrap();
    for (table, counts) in report["tables"].as_object().unwrap() {
        assert_eq!((&counts["rejected"], &counts["status"]), (&0.into(), &"complete".into()), "{table}");
    }
    assert!(report["tables"]["people"]["skipped"].as_u64() == Some(20), "{}", report["tables"]["people"]);

    run(&project, "migrate-run", &["--quiet", "--fresh"], 0).await;
    assert_is_as_sql_says(&project, deployed(&project).await).await;
    for (table, counts) in project.report().unwrap()["tables"].as_object().unwrap() {
        assert_eq!((&counts["inserted"], &counts["updated"]), (&0.into(), &0.into()), "{table}");
    }

    // The source changes under the plan: said column by column, and nothing is written.
    let client = project.supabase.client().await.unwrap();
    let change = "alter table people alter email type varchar(99), add nickname text; drop view order_sizes";
    client.batch_execute(change).await.unwrap();
    project.supabase.reload_schema().await.unwrap();
    let said = run(&project, "migrate-run", &["--quiet"], 4).await;
    let said = String::from_utf8_lossy(&said.stderr).into_owned();
    for line in
        ["people.email: was text", "people.nickname: a new column", "order_sizes: it is gone", "migrate-discover"]
    {
        assert!(said.contains(line), "{line}: {said}");
    }
}
