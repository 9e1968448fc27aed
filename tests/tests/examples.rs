//! Every example that a `--help` shows is run, in a project as its reader has one.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use migrate_tests::convex_bench::{ConvexBench, ConvexBenchOptions};
use migrate_tests::local_stack::{Supabase, SupabaseOptions};
use migrate_tests::project::{Deployment, Profile, ProjectFolder, output};

const SCHEMA: &str = "
create table customers (id int primary key, name text not null);
create table orders (id int primary key, customer_id int not null references customers, total numeric(8, 2));
create table order_lines (id int primary key, order_id int not null references orders);
insert into customers select n, 'Customer ' || n from generate_series(1, 20) as n;
insert into orders select n, 1 + n % 20, n from generate_series(1, 50) as n;
insert into order_lines select n, 1 + n % 50 from generate_series(1, 90) as n;";

const PROGRAMS: [&str; 9] = [
    "migrate",
    "migrate-doctor",
    "migrate-discover",
    "migrate-plan",
    "migrate-run",
    "migrate-replay",
    "migrate-verify",
    "migrate-report",
    "migrate-schema",
];

/// A deployment to which the schema is deployed, as `npx convex deploy` would.
fn deployed() -> ConvexBenchOptions {
    let tables = ["customers", "orders", "order_lines"].map(str::to_owned).into();
    ConvexBenchOptions { tables, keep_documents: true, ..ConvexBenchOptions::default() }
}

/// What must be there before an example.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Setup {
    /// What the examples before it left; at first, nothing but the settings.
    AsItIs,
    /// The newest run's report where the example has it, or has several.
    Report(&'static [&'static str]),
    /// A project that goes as a snapshot, planned.
    Snapshot,
    /// Not one of our programs: what deploys is tested with convex-local.
    Foreign,
}

/// The examples in the order in which a person comes to them. All of them end with 0.
const EXAMPLES: &[(&str, Setup)] = &[
    ("migrate-discover", Setup::AsItIs),
    ("migrate-discover --init", Setup::AsItIs),
    ("migrate-discover --html", Setup::AsItIs),
    ("migrate-discover --scan sample", Setup::AsItIs),
    ("migrate-discover --config cms/migrate.toml", Setup::AsItIs),
    ("migrate-discover --quiet", Setup::AsItIs),
    ("migrate-discover --json | jq '.tables[].name'", Setup::AsItIs),
    ("migrate discover", Setup::AsItIs),
    ("migrate-plan", Setup::AsItIs),
    ("migrate-plan --write", Setup::AsItIs),
    ("migrate-plan --explain orders.total", Setup::AsItIs),
    ("migrate-plan --config cms/migrate.toml", Setup::AsItIs),
    ("migrate-plan --json | jq .fingerprint", Setup::AsItIs),
    ("migrate plan", Setup::AsItIs),
    ("npx convex deploy", Setup::Foreign),
    ("migrate-doctor", Setup::AsItIs),
    ("migrate-doctor --config cms/migrate.toml", Setup::AsItIs),
    ("migrate-doctor --explain clock_skew", Setup::AsItIs),
    ("migrate-doctor --json | jq '.findings[].code'", Setup::AsItIs),
    ("migrate run --dry-run", Setup::AsItIs),
    ("migrate run", Setup::AsItIs),
    ("migrate-run --dry-run", Setup::AsItIs),
    ("migrate-run", Setup::AsItIs),
    ("migrate-run --tables orders,order_lines", Setup::AsItIs),
    ("migrate-run --fresh", Setup::AsItIs),
    ("migrate-run --json --quiet > report.json", Setup::AsItIs),
    ("migrate-run --events ndjson | jq -r .event", Setup::AsItIs),
    ("migrate-verify", Setup::AsItIs),
    ("migrate-verify --level sample", Setup::AsItIs),
    ("migrate-verify --level counts", Setup::AsItIs),
    ("migrate-verify --tables orders,order_lines", Setup::AsItIs),
    ("migrate-verify --exclusive", Setup::AsItIs),
    ("migrate-verify --show-values", Setup::AsItIs),
    ("migrate-verify --json --quiet > verify.json", Setup::AsItIs),
    ("migrate-verify --events ndjson | jq -r .event", Setup::AsItIs),
    ("migrate verify", Setup::AsItIs),
    ("migrate-run --out snapshot.zip", Setup::Snapshot),
    ("migrate-replay", Setup::AsItIs),
    ("migrate-replay --refetch", Setup::AsItIs),
    ("migrate-replay --refetch --fail-fast", Setup::AsItIs),
    (
        "migrate-report .migrate/20260101T120000000Z/report.json",
        Setup::Report(&[".migrate/20260101T120000000Z/report.json"]),
    ),
    ("migrate-report report.json --format html > report.html", Setup::Report(&["report.json"])),
    (
        "migrate-report diff monday/report.json tuesday/report.json",
        Setup::Report(&["monday/report.json", "tuesday/report.json"]),
    ),
    ("migrate-report report.json --format markdown > summary.md", Setup::Report(&["report.json"])),
    ("migrate-report report.json --format json | jq .totals", Setup::Report(&["report.json"])),
    ("migrate-schema", Setup::AsItIs),
    ("migrate-schema editor/schemas", Setup::AsItIs),
    ("eval \"$(migrate completions bash)\"", Setup::AsItIs),
    ("migrate man man1", Setup::AsItIs),
];

struct Project {
    folder: ProjectFolder,
    supabase: Supabase,
    convex: ConvexBench,
}

impl Project {
    fn program(&self, name: &str, arguments: &[&str]) -> Command {
        let (url, admin_key) = (self.convex.url(), ConvexBenchOptions::default().admin_key);
        let convex = Deployment { url: &url, admin_key: &admin_key };
        let mut program = self.folder.program(name, arguments, &self.supabase, Some(convex));
        let port = self.supabase.postgres().port();
        program.env("SUPABASE_DB_URL", format!("postgresql://postgres@127.0.0.1:{port}/{}", self.supabase.database()));
        program
    }

    /// A line as it is typed in a shell, in a folder, with the programs on the path.
    async fn typed(&self, line: &str, folder: &Path) -> Output {
        let program = self.program("migrate", &[]);
        let programs = Path::new(program.get_program()).parent().unwrap();
        let mut path = OsString::from(programs);
        path.push(":");
        path.push(std::env::var_os("PATH").unwrap_or_default());
        let mut shell = Command::new("bash");
        shell.args(["-o", "pipefail", "-c", line]).current_dir(folder).env("PATH", path);
        for (name, value) in program.get_envs() {
            shell.env(name, value.unwrap_or_default());
        }
        output(shell).await.unwrap()
    }

    /// The examples of a program's help.
    async fn examples(&self, name: &str) -> Vec<String> {
        let help = output(self.program(name, &["--help"])).await.unwrap();
        let help = String::from_utf8(help.stdout).unwrap();
        let (_, examples) = help.split_once("Examples:\n").unwrap();
        let lines = examples.lines().take_while(|line| !line.is_empty());
        lines.map(|line| line.trim().split("  ").next().unwrap().to_owned()).collect()
    }
}

/// A folder below the project's, which is planned as a snapshot.
async fn snapshot(project: &Project, root: &Path) -> PathBuf {
    let folder = root.join("as_snapshot");
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("migrate.toml"), "convex.write = \"snapshot\"\n").unwrap();
    for line in ["migrate-discover --quiet", "migrate-plan"] {
        let ended = project.typed(line, &folder).await;
        assert!(ended.status.success(), "{line}: {}", String::from_utf8_lossy(&ended.stderr));
    }
    folder
}

#[tokio::test(flavor = "multi_thread")]
async fn every_example_of_the_help_works() {
    let files = tempfile::tempdir().unwrap();
    let root = files.path();
    fs::create_dir(root.join("cms")).unwrap();
    fs::write(root.join("cms/migrate.toml"), "include = [\"customers\"]\n").unwrap();
    let project = Project {
        folder: ProjectFolder::new(root, Profile::Own).await.unwrap(),
        supabase: Supabase::start(SupabaseOptions { sql: vec![SCHEMA.to_owned()], ..Default::default() })
            .await
            .unwrap(),
        convex: ConvexBench::start(deployed()).await.unwrap(),
    };
    let mut shown = BTreeSet::new();
    for program in PROGRAMS {
        shown.extend(project.examples(program).await);
    }
    let known: BTreeSet<String> = EXAMPLES.iter().map(|(line, _)| (*line).to_owned()).collect();
    assert_eq!(shown, known, "each example has its line in the table above");
    for (line, setup) in EXAMPLES {
        let mut folder = root.to_owned();
        match setup {
            Setup::AsItIs => {}
            Setup::Foreign => continue,
            Setup::Snapshot => folder = snapshot(&project, root).await,
            Setup::Report(paths) => {
                for path in paths.iter().map(|path| root.join(path)) {
                    fs::create_dir_all(path.parent().unwrap()).unwrap();
                    fs::copy(project.folder.newest_run().unwrap().join("report.json"), path).unwrap();
                }
            }
        }
        let ended = project.typed(line, &folder).await;
        let said = format!("{}{}", String::from_utf8_lossy(&ended.stdout), String::from_utf8_lossy(&ended.stderr));
        assert_eq!(ended.status.code(), Some(0), "{line}\n{said}");
        if let Some((_, file)) = line.split_once(" > ") {
            assert!(fs::metadata(folder.join(file)).unwrap().len() > 0, "{line}: the file is empty");
        }
    }
    for left in [
        "plan.json",
        "cms/plan.json",
        "as_snapshot/snapshot.zip",
        "editor/schemas/event.schema.json",
        "man1/migrate-run.1",
    ] {
        assert!(root.join(left).exists(), "{left}");
    }
}
