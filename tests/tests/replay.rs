//! Rejects are mended and replayed by the programs: in their file, in Postgres, and in the plan. What comes of them is
//! compared with the rows as SQL shows them.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use migrate_tests::project::Project;
use serde_json::{Value, json};
use tempfile::TempDir;

/// Team 2 has no name; member 4 was seen at a time that no instant is. Their children fall with them, and so does the
/// link of team 3 to member 4, which closes a cycle.
const SCHEMA: &str = "
    create table teams (id int primary key, name text, lead_id bigint);
    create table members (
        id bigint primary key, team_id int not null references teams, pay numeric(20, 4), seen timestamptz,
        meta jsonb, tags text[], photo bytea
    );
    create table badges (id int primary key, member_id bigint not null references members, day date);
    insert into teams values (1, 'one', 1), (2, null, 9007199254740995), (3, 'three', 4);
    insert into members values
        (1, 1, 1.5, '2026-01-02 03:04:05.678+00', '{\"a\": [1, null]}', '{x,y}', '\\x00ff'),
        (2, 1, null, null, null, null, null),
        (9007199254740995, 2, -12345.6789, '1999-12-31 23:59:59+00', 'null', '{}', '\\x'),
        (4, 3, 0.1, 'infinity', '\"text\"', '{z}', '\\x01');
    insert into badges values (1, 1, '2026-03-29'), (2, 9007199254740995, null), (3, 4, '2026-10-25');
    alter table teams add foreign key (lead_id) references members;
";

const CONFIG: &str = "
include = [\"teams\", \"members\", \"badges\"]

[tables.teams]
columns.name.nulls = \"reject\"

[tables.members.columns.id]
type = \"string\"
";

const FIRST: &str = "teams 3/2/1 unlinked 1, members 4/2/2 unlinked 0, badges 3/1/2 unlinked 0";

struct Case {
    project: Project,
    folder: TempDir,
}

impl Case {
    /// The tables, migrated as far as they go.
    async fn migrated() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        let project = Project::with_tables(folder.path(), vec![SCHEMA.to_owned()], CONFIG).await.unwrap();
        let mut case = Self { project, folder };
        case.run("migrate-discover", &[], 0).await;
        case.run("migrate-plan", &["--write"], 0).await;
        case.project.deploy().await.unwrap();
        case.run("migrate-run", &["--quiet"], 3).await;
        assert_eq!(case.counts(), FIRST);
        case
    }

    async fn run(&self, name: &str, arguments: &[&str], code: i32) -> String {
        let output = self.project.run(name, arguments).await.unwrap();
        let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert_eq!(output.status.code(), Some(code), "{name} {arguments:?}:\n{text}");
        text
    }

    async fn sql(&self, statement: &str) {
        self.project.supabase.client().await.unwrap().batch_execute(statement).await.unwrap();
    }

    /// The counts of the report, `table source/migrated/rejected unlinked n`.
    fn counts(&self) -> String {
        let report = self.project.report().unwrap();
        let of = |table| {
            let counts = &report["tables"][table];
            let [source, migrated, rejected, unlinked] =
                ["source", "migrated", "rejected", "unlinked"].map(|name| counts[name].as_u64().unwrap());
            format!("{table} {source}/{migrated}/{rejected} unlinked {unlinked}")
        };
        ["teams", "members", "badges"].map(of).join(", ")
    }

    fn file(&self, table: &str) -> PathBuf {
        let runs = std::fs::read_dir(self.folder.path().join(".migrate")).unwrap();
        let newest = runs.map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()).max().unwrap();
        newest.join("rejects").join(format!("{table}.jsonl"))
    }

    fn edit(&self, table: &str, edit: impl FnOnce(&str) -> String) {
        let path = self.file(table);
        let text = std::fs::read_to_string(&path).unwrap();
        let mended = edit(&text);
        assert_ne!(mended, text);
        std::fs::write(path, mended).unwrap();
    }

    fn configure(&self, from: &str, to: &str) {
        edit_file(&self.folder.path().join("migrate.toml"), from, to);
    }

    /// Documents by their row's key, with ids as the keys of the rows they stand for.
    async fn documents(&self, table: &str) -> BTreeMap<String, Value> {
        let convex = self.project.convex.as_ref().unwrap();
        let mut keys = BTreeMap::new();
        for table in ["teams", "members", "badges"] {
            for document in convex.documents(table).await.unwrap() {
                keys.insert(document["_id"].as_str().unwrap().to_owned(), document["supabaseId"].clone());
            }
        }
        let of_row = |mut document: Value| {
            let fields = document.as_object_mut().unwrap();
            fields.remove("_id");
            fields.remove("_creationTime");
            let key = fields.remove("supabaseId").unwrap().as_str().unwrap().to_owned();
            for field in ["team_id", "lead_id", "member_id"] {
                if let Some(id) = fields.get_mut(field) {
                    *id = keys[id.as_str().unwrap()].clone();
                }
            }
            (key, document)
        };
        convex.documents(table).await.unwrap().into_iter().map(of_row).collect()
    }

    /// Compares all documents with the rows as Postgres writes them.
    async fn assert_matches_sql(&self) {
        let client = self.project.supabase.client().await.unwrap();
        for (table, row) in [
            ("teams", "'name', name, 'lead_id', lead_id::text"),
            (
                "members",
                "'id', id::text, 'team_id', team_id::text, 'pay', pay::text, 'seen', floor(extract(epoch from seen) * 1000),
                 'meta', meta, 'tags', to_jsonb(tags),
                 'photo', case when photo is not null then json_build_object('$bytes', encode(photo, 'base64')) end",
            ),
            ("badges", "'member_id', member_id::text, 'day', day::text"),
        ] {
            let query = format!("select id::text, json_build_object({row})::text from {table}");
            let rows = client.query(&query, &[]).await.unwrap();
            let actual = self.documents(table).await;
            assert_eq!(actual.len(), rows.len(), "{table}");
            for row in rows {
                let key: String = row.get(0);
                let wanted: Value = serde_json::from_str(row.get(1)).unwrap();
                for (field, wanted) in wanted.as_object().unwrap() {
                    let found = actual[&key].get(field).cloned().unwrap_or_default();
                    let same = match (found.as_f64(), wanted.as_f64()) {
                        (Some(found), Some(wanted)) => found.to_bits() == wanted.to_bits(),
                        _ => &found == wanted,
                    };
                    assert!(same, "{table} {key} {field}: SQL has {wanted}, Convex has {found}");
                }
            }
        }
    }
}

fn edit_file(path: &Path, from: &str, to: &str) {
    let text = std::fs::read_to_string(path).unwrap();
    assert!(text.contains(from), "{text}");
    std::fs::write(path, text.replace(from, to)).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_are_mended_in_their_file_and_in_postgres() {
    let case = Case::migrated().await;

    // A line that cannot be read is named, and nothing changes.
    let good = std::fs::read_to_string(case.file("members")).unwrap();
    case.edit("members", |text| text.replacen("\"pay\":\"-12345.6789\"", "\"pay\":true", 1));
    let line = 1 + good.lines().position(|line| line.contains("-12345.6789")).unwrap();
    let printed = case.run("migrate-replay", &["--quiet"], 4).await;
    for part in [&format!("members.jsonl:{line}"), "column: pay", "a boolean where a decimal number as text"] {
        assert!(printed.contains(part), "{part} is not in:\n{printed}");
    }
    assert_eq!((case.counts().as_str(), case.documents("members").await.len()), (FIRST, 2));
    std::fs::write(case.file("members"), &good).unwrap();

    // A name by hand: the team goes through with its member, whose badge follows, and with its link, the other way round.
    case.edit("teams", |text| text.replacen("\"name\":null", "\"name\":\"two\"", 1));
    case.edit("badges", |text| text.lines().filter(|line| !line.contains("\"key\":\"3\"")).collect());
    let printed = case.run("migrate-replay", &[], 3).await;
    assert!(printed.contains("5 rejects to replay") && printed.contains("1 rejects have no line"), "{printed}");
    assert_eq!(case.counts(), "teams 3/3/0 unlinked 1, members 4/3/1 unlinked 0, badges 3/2/1 unlinked 0");
    assert_eq!(case.documents("teams").await["2"]["name"], "two");
    let rejects = case.project.rejects("badges").unwrap();
    assert_eq!(
        (rejects.len(), &rejects[0]["key"], &rejects[0]["record"]["day"]),
        (1, &json!("3"), &json!("2026-10-25"))
    );
    assert_eq!(case.project.rejects("teams").unwrap()[0]["code"], "reference_unlinked");
    let mode = std::fs::metadata(case.file("badges")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "{mode:o}");

    // Nothing new is mended: the rows are tried, and stay.
    case.run("migrate-replay", &["--quiet"], 3).await;
    assert_eq!(case.counts(), "teams 3/3/0 unlinked 1, members 4/3/1 unlinked 0, badges 3/2/1 unlinked 0");

    // The rest in Postgres.
    case.sql("update members set seen = '2026-07-01 12:00:00.123456+02' where id = 4").await;
    case.run("migrate-replay", &["--quiet", "--refetch"], 0).await;
    assert_eq!(case.counts(), "teams 3/3/0 unlinked 0, members 4/4/0 unlinked 0, badges 3/3/0 unlinked 0");
    case.sql("update teams set name = 'two' where id = 2").await;
    case.assert_matches_sql().await;
    let folder = case.file("teams").parent().unwrap().to_owned();
    assert_eq!(std::fs::read_dir(folder).unwrap().count(), 0, "lists without rows are removed");

    // The report is that of a run which has nothing to do; nothing is written by it.
    let tables = |report: Value| {
        let mut tables = report["tables"].clone();
        for table in tables.as_object_mut().unwrap().values_mut() {
            for name in ["this_run", "seconds", "rows_per_second", "retries"] {
                table.as_object_mut().unwrap().remove(name);
            }
        }
        tables
    };
    let replayed = tables(case.project.report().unwrap());
    case.run("migrate-run", &["--quiet"], 0).await;
    assert_eq!(tables(case.project.report().unwrap()), replayed);
    case.assert_matches_sql().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_plan_is_mended_and_a_run_goes_on_by_it() {
    let case = Case::migrated().await;
    let documents = case.documents("members").await;
    case.configure(", \"badges\"", "");
    case.run("migrate-plan", &["--write"], 0).await;
    let printed = case.run("migrate-replay", &["--quiet"], 4).await;
    assert!(printed.contains("badges: not in the plan"), "{printed}");

    case.configure("\"members\"]", "\"members\", \"badges\"]");
    case.configure("columns.name.nulls = \"reject\"", "columns.name.nulls = \"absent\"");
    case.configure(
        "[tables.members.columns.id]",
        "[tables.members.columns.seen]\non_unfit = \"null\"\n\n[tables.members.columns.id]",
    );
    case.run("migrate-plan", &["--write"], 0).await;
    case.project.convex.as_ref().unwrap().redeploy().await.unwrap();
    let printed = case.run("migrate-run", &["--quiet"], 4).await;
    assert!(printed.contains("migrate-replay"), "{printed}");
    let printed = case.run("migrate-replay", &["--quiet"], 0).await;
    assert!(printed.contains("the plan is another than the run's"), "{printed}");
    assert_eq!(case.counts(), "teams 3/3/0 unlinked 0, members 4/4/0 unlinked 0, badges 3/3/0 unlinked 0");
    case.run("migrate-run", &["--quiet"], 0).await;
    for (key, document) in documents {
        assert_eq!(case.documents("members").await[&key], document, "{key} stays as it was");
    }
    // The plan makes nothing of what SQL's instants end in.
    case.sql("update members set seen = null where id = 4").await;
    case.assert_matches_sql().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_run_there_is_nothing_to_replay_and_fail_fast_stops_one() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let project = Project::with_tables(folder.path(), vec![SCHEMA.to_owned()], CONFIG).await.unwrap();
    let mut case = Case { project, folder };
    case.run("migrate-discover", &[], 0).await;
    case.run("migrate-plan", &["--write"], 0).await;
    case.project.deploy().await.unwrap();
    let printed = case.run("migrate-replay", &["--quiet"], 4).await;
    assert!(printed.contains("failed to find a run") && printed.contains("migrate-run"), "{printed}");
    let printed = case.run("migrate-run", &["--quiet", "--fail-fast"], 3).await;
    assert!(printed.contains("a row is rejected"), "{printed}");
    assert_eq!(case.project.report().unwrap()["totals"]["rejected"], 1);
    // What the run has not come to is left for it: the first reject is mended, then the run goes on.
    case.sql("update teams set name = 'two' where id = 2; update members set seen = null where id = 4").await;
    case.run("migrate-replay", &["--quiet", "--refetch"], 5).await;
    case.run("migrate-run", &["--quiet"], 0).await;
    case.assert_matches_sql().await;
}
