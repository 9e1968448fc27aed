//! Names and labels that would break out of code, SQL, HTML or a path: through every program, the real TypeScript
//! compiler and the generated functions, to documents that are compared with SQL.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use migrate_tests::browser::{Browser, Medium, View};
use migrate_tests::local_stack::type_check;
use migrate_tests::project::{Project, output};
use serde_json::{Value, json};

const SCHEMA: &str = include_str!("../cases/hostile/schema.sql");
const CONFIG: &str = include_str!("../cases/hostile/migrate.toml");

/// One row for each label, values that are worse than the names, and a row of a time that no document can hold.
const ROWS: &str = r#"
    alter table "</script>" add column "../at" timestamptz;
    insert into "</script>" values
        (1, '"; drop table x; --', '</script><script>alert(1)</script>', 'a\b\', E'*/ \n // x', '${x}`', E'\u2028\u2029', null),
        (2, null, null, null, null, null, null, 'infinity');
    insert into "a*/ export const x = 1; /*" select row_number() over (), label, enum_range(null::evil)
        from unnest(enum_range(null::evil)) as label;
    -- PostgREST 12 repeats the table's name in a header, so that one with a line's end has no answer.
    alter table "line
break" rename to "line ${break}";
    insert into "line ${break}" values (1, E'{"$integer": "x"}', 1), (2, E'\u2028', null);
    insert into "'; drop table x; --" values (1, 'x"'), (2, 'y\'), (3, E'z\n'), (4, '</script>');
"#;

/// The fields of each document by its table's name in Convex and its row's key, as SQL sees them.
const DOCUMENTS: [(&str, &str); 4] = [
    (
        "script",
        r#"select """; drop"::text, jsonb_build_object('a_b', "a""b", 'a_b_2', "a'b", 'a_b_3', "a\b", 'field', "*/",
            'x', "${x}", 'field_2', "`") from "</script>" where "../at" is null"#,
    ),
    (
        "a_export_const_x_1",
        r#"select id::text, jsonb_build_object('evil', evil, 'evils', evils) from "a*/ export const x = 1; /*""#,
    ),
    (
        "line_break",
        "select id::text, jsonb_strip_nulls(jsonb_build_object('line_break', \"line\nbreak\", 'ref', ref::text)) from \"line ${break}\"",
    ),
    (
        "drop_table_x",
        r#"select id::text, jsonb_build_object('text', "text", 'constant', E'"; drop\n*/ `${x}` </script>') from "'; drop table x; --""#,
    ),
];

/// A browser shows the names as text, and nothing of them does anything.
async fn assert_page(page: &Path, report: &Value) {
    let mut browser = Browser::start().await.unwrap();
    for width in [400, 1400] {
        browser.open(page, View { width, medium: Medium::Dark }).await.unwrap();
        assert_eq!(browser.audit().await.unwrap().faults(), Vec::<&String>::new());
        assert_eq!(browser.complaints(), Vec::<String>::new());
    }
    let names = "[...document.querySelectorAll('#tables tbody th > bdi')].map(one => one.textContent)";
    let shown = browser.evaluate(names).await.unwrap();
    let names: Vec<String> = report["tables"].as_object().unwrap().keys().map(|name| name.replace('\n', "␊")).collect();
    assert_eq!(shown, json!(names));
}

async fn run(project: &Project, name: &str, arguments: &[&str], code: i32) -> String {
    // The catalog of Postgres has the labels of arrays of enums, too.
    let port = project.supabase.postgres().port();
    let database = format!("postgresql://postgres@127.0.0.1:{port}/{}", project.supabase.database());
    let mut program = project.program(name, arguments);
    program.env("SUPABASE_DB_URL", database);
    let output = output(program).await.unwrap();
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(code), "{name} {arguments:?}:\n{text}");
    text
}

/// Every file below a folder, by its path in it.
fn files(folder: &Path, below: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder.join(below)).unwrap() {
        let entry = entry.unwrap();
        let path = below.join(entry.file_name());
        if entry.path().is_dir() { found.extend(files(folder, &path)) } else { found.push(path.display().to_string()) }
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_names_and_labels_arrive_as_data() {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let path = folder.path().join("project");
    let sql = vec![SCHEMA.to_owned(), ROWS.to_owned()];
    let mut project = Project::with_tables(&path, sql, CONFIG).await.unwrap();
    run(&project, "migrate-discover", &[], 0).await;
    run(&project, "migrate-plan", &["--write"], 0).await;
    let checked = {
        let path = path.clone();
        tokio::task::spawn_blocking(move || type_check(&path)).await.unwrap()
    };
    assert_eq!(checked, Ok(()));
    project.deploy().await.unwrap();
    run(&project, "migrate-run", &["--quiet"], 3).await;

    let client = project.supabase.client().await.unwrap();
    let convex = project.convex.as_ref().unwrap();
    let mut keys: BTreeMap<String, String> = BTreeMap::new();
    let mut found: BTreeMap<&str, BTreeMap<String, Value>> = BTreeMap::new();
    for (table, _) in DOCUMENTS {
        for mut document in convex.documents(table).await.unwrap() {
            let fields = document.as_object_mut().unwrap();
            fields.remove("_creationTime");
            let id = fields.remove("_id").unwrap().as_str().unwrap().to_owned();
            let key = fields.remove("supabaseId").unwrap().as_str().unwrap().to_owned();
            if let Some(parent) = fields.get_mut("ref") {
                *parent = json!(keys[parent.as_str().unwrap()]);
            }
            keys.insert(id, key.clone());
            found.entry(table).or_default().insert(key, document);
        }
    }
    for (table, sql) in DOCUMENTS {
        let rows = client.query(sql, &[]).await.unwrap();
        let rows: BTreeMap<String, Value> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
        assert!(!rows.is_empty(), "{table}");
        assert_eq!(found[table], rows, "{table}");
    }

    // The rejected row is told in every form, and no name has become a path.
    let report = project.report().unwrap();
    assert_eq!(report["tables"]["</script>"]["rejected"], 1, "{report}");
    let newest = fs::read_dir(path.join(".migrate")).unwrap().map(|entry| entry.unwrap().path());
    let newest = newest.filter(|path| path.is_dir()).max().unwrap();
    let file = newest.join("report.json").display().to_string();
    for format in ["text", "markdown", "html", "json"] {
        let name = if format == "html" { "&lt;/script&gt;" } else { "</script>" };
        assert!(run(&project, "migrate-report", &[&file, "--format", format], 0).await.contains(name));
    }
    assert_page(&newest.join("report.html"), &report).await;
    let rejects: Vec<String> = files(&newest, Path::new("rejects"));
    assert_eq!(rejects.len(), 1, "{rejects:?}");
    assert_eq!(rejects[0].matches('/').count(), 1, "{rejects:?}");
    client.batch_execute("update \"</script>\" set \"../at\" = null").await.unwrap();
    run(&project, "migrate-replay", &["--refetch", "--quiet"], 0).await;
    assert_eq!(project.convex.as_ref().unwrap().count("script").await.unwrap(), 2);
}
