//! No key and no row's value is where it does not belong: not in what a program prints, not in a file it makes, not among
//! a process's arguments, not in a debug form.
//!
//! Keys are nowhere. Rows are in rejects and in the state, which keeps rejects. Labels of enums and defaults are schema,
//! and stand in catalog, plan and code. Keys of rows name them everywhere: they are numbers here.

mod debug;
mod echo;
mod processes;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use migrate_tests::convex_bench::{ConvexBench, ConvexBenchOptions};
use migrate_tests::local_stack::{Supabase, SupabaseOptions};
use migrate_tests::project::{Deployment, Profile, ProjectFolder, output};
use tempfile::TempDir;

use self::echo::{EchoServer, REFUSALS, broken_answers};

const ADMIN_KEY: &str = "local|canary-admin-key-3f1c";
const OTHER_KEYS: [&str; 5] = [
    "sb_secret_canary0other0key0000000000000",
    "prod:happy-animal-123|canary-deploy-key-77",
    "canary-password-9d2e",
    "canary migration secret of more than 32 characters",
    "eyJhbGciOiJIUzI1NiJ9.eyJyb2xlIjoic2VydmljZV9yb2xlIn0.canarysignature",
];
/// In every row.
const ROW: &str = "canary-row-b81a";
/// A label of an enum, and a default.
const SCHEMA_TEXT: &str = "canary-label-c92b";

const SCHEMA: &str = "
    create type kind as enum ('canary-label-c92b', 'other');
    create table people (
        id int primary key, name text not null default 'canary-label-c92b', kind kind not null, born timestamptz,
        boss_id int references people, meta jsonb
    );
    insert into people values
        (1, 'canary-row-b81a one', 'other', '2000-01-01', 2, '{\"canary-row-b81a\": 1}'),
        (2, 'canary-row-b81a two', 'canary-label-c92b', null, null, '\"canary-row-b81a\"'),
        (3, 'canary-row-b81a three', 'other', 'infinity', 1, null);";

const CONFIG: &str = "include = [\"people\"]\n[tables.people.columns.meta]\ntype = \"json_text\"\n";

/// A project, and all that its programs printed.
struct Searched {
    folder: ProjectFolder,
    supabase: Supabase,
    convex: ConvexBench,
    printed: Vec<(String, Vec<u8>)>,
    files: TempDir,
}

impl Searched {
    async fn open() -> Self {
        let files = tempfile::tempdir().unwrap();
        fs::set_permissions(files.path(), fs::Permissions::from_mode(0o755)).unwrap();
        fs::write(files.path().join("migrate.toml"), CONFIG).unwrap();
        let folder = ProjectFolder::new(files.path(), Profile::Own).await.unwrap();
        let supabase =
            Supabase::start(SupabaseOptions { sql: vec![SCHEMA.to_owned()], ..Default::default() }).await.unwrap();
        let options =
            ConvexBenchOptions { admin_key: ADMIN_KEY.to_owned(), keep_documents: true, ..Default::default() };
        let convex = ConvexBench::start(options).await.unwrap();
        Self { folder, supabase, convex, printed: Vec::new(), files }
    }

    async fn planned() -> Self {
        let mut searched = Self::open().await;
        searched.run("migrate-discover", &["--init"], &[], 0).await;
        searched.run("migrate-plan", &["--write"], &[], 0).await;
        searched
    }

    fn program(&self, name: &str, arguments: &[&str], variables: &[(&str, &str)]) -> Command {
        let url = self.convex.url();
        let convex = Deployment { url: &url, admin_key: ADMIN_KEY };
        let mut program = self.folder.program(name, arguments, &self.supabase, Some(convex));
        program.env("SUPABASE_DB_URL", self.database_url());
        program.envs(variables.iter().copied());
        program
    }

    fn database_url(&self) -> String {
        let port = self.supabase.postgres().port();
        format!("postgresql://postgres:{}@127.0.0.1:{port}/{}", OTHER_KEYS[2], self.supabase.database())
    }

    /// Runs a program, keeps what it prints, and expects one of its ends.
    async fn run(&mut self, name: &str, arguments: &[&str], variables: &[(&str, &str)], code: i32) {
        let output = output(self.program(name, arguments, variables)).await.unwrap();
        let what = format!("{name} {arguments:?} {:?}", variables.iter().map(|(name, _)| name).collect::<Vec<_>>());
        let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(!text.contains("panicked"), "{what}: {text}");
        assert_eq!(output.status.code(), Some(code), "{what}: {text}");
        self.printed.push((what, [output.stdout, output.stderr].concat()));
    }

    fn keys(&self) -> Vec<String> {
        let of_supabase = [self.supabase.secret_key(), self.supabase.service_role_jwt(), self.supabase.anon_jwt()];
        let secret_of = |key: &str| key.rsplit('|').next().unwrap_or_default().to_owned();
        of_supabase.into_iter().chain(OTHER_KEYS).chain([ADMIN_KEY]).map(secret_of).collect()
    }

    /// Every output and every file of the project, but for those that were given, with what they must not hold.
    fn assert_nothing_leaked(&self, given: &[&str]) {
        let (keys, mut searched) = (self.keys(), self.printed.clone());
        for file in files(self.files.path()) {
            if !given.iter().any(|given| file.ends_with(given)) {
                searched.push((file.display().to_string(), fs::read(&file).unwrap()));
            }
        }
        for (what, bytes) in &searched {
            for key in &keys {
                assert!(!holds(bytes, key), "{key} is in {what}:\n{}", String::from_utf8_lossy(bytes));
            }
            if !may_hold_rows(what) {
                assert!(!holds(bytes, ROW), "a row is in {what}:\n{}", String::from_utf8_lossy(bytes));
            }
        }
    }
}

fn holds(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

fn may_hold_rows(file: &str) -> bool {
    file.contains("/.migrate/") && (file.contains("/rejects/") || file.contains("/state.sqlite"))
}

/// All files below a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn runs_that_go_well_leave_nothing() {
    let mut searched = Searched::planned().await;
    searched.run("migrate-doctor", &[], &[], 0).await;
    searched.run("migrate-doctor", &["--json"], &[], 0).await;
    for arguments in
        [&["--dry-run"][..], &[], &["--json"], &["--quiet", "--fresh"], &["--fresh", "-vv", "--events", "ndjson"]]
    {
        searched.run("migrate-run", arguments, &[], 3).await;
    }
    searched.run("migrate-replay", &[], &[], 3).await;
    searched.run("migrate-replay", &["--refetch", "-vv"], &[], 3).await;
    searched.run("migrate-discover", &["-vv"], &[], 0).await;
    for arguments in [&[][..], &["--json"], &["--level", "counts"]] {
        let code = if arguments.len() == 2 { 6 } else { 0 };
        searched.run("migrate-verify", arguments, &[], code).await;
    }
    let report = searched.folder.newest_run().unwrap().join("report.json");
    let report = report.to_str().unwrap().to_owned();
    for format in ["text", "markdown", "json"] {
        searched.run("migrate-report", &[&report, "--format", format], &[], 0).await;
    }
    for arguments in [&["--explain", "people.meta"][..], &["--columns"]] {
        searched.run("migrate-plan", arguments, &[], 0).await;
    }
    searched.run("migrate-schema", &["schemas"], &[], 0).await;
    searched.assert_nothing_leaked(&[]);

    // The search finds what is there.
    let folder = searched.files.path();
    let held = |file: &Path, text: &str| holds(&fs::read(file).unwrap(), text);
    assert!(held(&searched.folder.newest_run().unwrap().join("rejects/people.jsonl"), ROW));
    for file in ["catalog.json", "plan.json", "convex/migration/schema.ts"] {
        assert!(held(&folder.join(file), SCHEMA_TEXT), "{file}");
    }
    assert!(searched.convex.documents("people").iter().any(|document| document.to_string().contains(ROW)));
}

#[tokio::test(flavor = "multi_thread")]
async fn no_help_and_no_mistake_on_the_command_line_shows_the_environment() {
    let mut searched = Searched::open().await;
    let verbs = ["doctor", "discover", "plan", "run", "replay", "verify", "report", "schema"];
    let programs: Vec<String> = verbs.iter().map(|verb| format!("migrate-{verb}")).chain(["migrate".into()]).collect();
    let variables = [("MIGRATION_SECRET", OTHER_KEYS[3]), ("CONVEX_DEPLOY_KEY", OTHER_KEYS[1])];
    for program in &programs {
        for (argument, code) in [("-h", 0), ("--help", 0), ("--version", 0), ("--no-such-option", 2)] {
            searched.run(program, &[argument], &variables, code).await;
        }
    }
    searched.assert_nothing_leaked(&[]);
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_keys_and_addresses_are_not_repeated() {
    let mut searched = Searched::planned().await;
    let [other_secret, deploy_key, password, _, jwt] = OTHER_KEYS;
    let port = searched.supabase.postgres().port();
    let project_with_password = format!("https://postgres:{password}@abc.supabase.co");
    let database = format!("postgres://postgres:{password}@db.abc.supabase.co:5432/postgres");
    let every = ["discover", "run", "doctor"].as_slice();
    let cases: Vec<(&[&str], &str, String)> = vec![
        (every, "SUPABASE_SECRET_KEY", other_secret.into()),
        (every, "SUPABASE_SECRET_KEY", jwt.into()),
        (every, "SUPABASE_SECRET_KEY", format!("{other_secret}\nx")),
        (every, "SUPABASE_SECRET_KEY", format!("sb_publishable_{password}")),
        (every, "SUPABASE_URL", database.clone()),
        (every, "SUPABASE_URL", project_with_password),
        (every, "SUPABASE_URL", format!("http://abc.supabase.co?apikey={password}")),
        (every, "SUPABASE_DB_URL", format!("postgres://a:{password}@127.0.0.1:0x/b")),
        (every, "SUPABASE_DB_URL", format!("postgres://a:{password}@[::1/b")),
        (every, "SUPABASE_DB_URL", format!("host=a password={password} port=x")),
        (every, "SUPABASE_DB_URL", format!("postgres://nobody:{password}@127.0.0.1:{port}/none")),
        (&every[1..], "CONVEX_SELF_HOSTED_ADMIN_KEY", deploy_key.into()),
        (&every[1..], "CONVEX_SELF_HOSTED_ADMIN_KEY", format!("prod:{password}")),
        (&every[1..], "CONVEX_SELF_HOSTED_ADMIN_KEY", format!("a|{password}\nx")),
        (&every[1..], "CONVEX_SELF_HOSTED_URL", format!("https://a:{password}@b.convex.cloud")),
        (&every[1..], "CONVEX_SELF_HOSTED_URL", format!("http://a.example/{password}")),
        (&every[1..], "CONVEX_SELF_HOSTED_URL", format!("{password}:x")),
    ];
    for (verbs, name, value) in cases {
        let variables = [(name, value.as_str())];
        for verb in verbs {
            let arguments: &[&str] = if *verb == "run" { &["--quiet", "--yes"] } else { &[] };
            searched.run(&format!("migrate-{verb}"), arguments, &variables, 4).await;
        }
    }
    searched.assert_nothing_leaked(&[]);
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_in_files_where_none_belong_are_not_repeated() {
    let mut searched = Searched::planned().await;
    let [other_secret, deploy_key, password, migration_secret, jwt] = OTHER_KEYS;
    let texts = [
        format!("[supabase]\nkey = \"{other_secret}\"\n"),
        format!("[supabase]\nkey = {other_secret}\n"),
        format!("[supabase]\nurl = \"postgres://postgres:{password}@db.abc.supabase.co:5432/postgres\"\n"),
        format!("supabase = \"{jwt}\"\n"),
        format!("[convex]\ndeploy_key = \"{deploy_key}\"\n"),
        format!("[convex]\nurl = \"https://a:{password}@b.convex.cloud\"\n"),
        format!("[convex]\nsecret = \"{migration_secret}\"\n"),
        // A file of the environment, taken for the configuration.
        format!("SUPABASE_SECRET_KEY={other_secret}\nMIGRATION_SECRET={password}\n"),
        format!("MIGRATION_SECRET={password}\n"),
        format!("SUPABASE_DB_URL=postgres://postgres:{password}@db.abc.supabase.co:5432/postgres\n"),
    ];
    for text in &texts {
        fs::write(searched.files.path().join("other.toml"), text).unwrap();
        let addresses = [("SUPABASE_URL", ""), ("CONVEX_SELF_HOSTED_URL", "")];
        for verb in ["discover", "plan", "run", "replay", "verify", "doctor"] {
            let program = format!("migrate-{verb}");
            let arguments = ["--config", "other.toml"];
            let ended = output(searched.program(&program, &arguments, &addresses)).await.unwrap();
            assert_ne!(ended.status.code(), Some(1), "{}", String::from_utf8_lossy(&ended.stderr));
            searched.printed.push((format!("{program} with {text}"), [ended.stdout, ended.stderr].concat()));
        }
    }
    let environment = format!("SUPABASE_SECRET_KEY='{other_secret}\n= {password}\nMIGRATION_SECRET={deploy_key}\n");
    fs::write(searched.files.path().join(".env.local"), environment).unwrap();
    for verb in ["discover", "run", "doctor"] {
        searched.run(&format!("migrate-{verb}"), &[], &[], 4).await;
    }
    searched.run("migrate-report", &[".env.local"], &[], 4).await;
    searched.run("migrate-report", &["other.toml"], &[], 4).await;
    searched.assert_nothing_leaked(&["other.toml", ".env.local"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sink_that_repeats_records_and_keys_is_not_repeated() {
    let mut searched = Searched::planned().await;
    for (way, refuse) in REFUSALS {
        let convex = EchoServer::convex(*refuse).await;
        let variables = [("CONVEX_SELF_HOSTED_URL", convex.url.as_str())];
        for (program, arguments) in [
            ("migrate-run", &["--fresh", "-vv"][..]),
            ("migrate-run", &["--fresh", "--json"]),
            ("migrate-replay", &[]),
            ("migrate-verify", &["--json"]),
        ] {
            let ended = output(searched.program(program, arguments, &variables)).await.unwrap();
            let text = String::from_utf8_lossy(&ended.stderr).into_owned();
            let code = ended.status.code();
            assert!(matches!(code, Some(1 | 3 | 4 | 5)), "{way}: {code:?} {text}");
            searched
                .printed
                .push((format!("{program} {arguments:?} with {way}"), [ended.stdout, ended.stderr].concat()));
        }
        let ended = output(searched.program("migrate-doctor", &[], &variables)).await.unwrap();
        assert!(matches!(ended.status.code(), Some(0 | 4)), "{way}: {ended:?}");
        searched.printed.push((format!("migrate-doctor with {way}"), [ended.stdout, ended.stderr].concat()));
    }
    assert!(searched.convex.documents("people").is_empty());
    searched.assert_nothing_leaked(&[]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_breaks_is_not_repeated() {
    let mut searched = Searched::planned().await;
    for answer in broken_answers(ROW) {
        let what = format!("{answer:?}");
        let supabase = EchoServer::start(move |sent| {
            let (status, body) = answer.clone();
            // The key, too, as a proxy in between may show it.
            let body = if body.starts_with('<') { format!("{body} {}", sent.keys) } else { body };
            async move { (status, body) }
        })
        .await;
        let variables = [("SUPABASE_URL", supabase.url.as_str()), ("SUPABASE_DB_URL", "")];
        for verb in ["discover", "run", "doctor"] {
            let program = format!("migrate-{verb}");
            let ended = output(searched.program(&program, &["-vv"], &variables)).await.unwrap();
            let text = String::from_utf8_lossy(&ended.stderr).into_owned();
            assert!(matches!(ended.status.code(), Some(1 | 4)), "{what} {:?} {text}", ended.status);
            searched.printed.push((format!("{program} with {what}"), [ended.stdout, ended.stderr].concat()));
        }
    }
    searched.assert_nothing_leaked(&[]);
}
