//! One migration by the real programs, in a folder of its own, killed as often as one likes.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, ExitStatus, Output};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::rows::{self, CANARY, Differences, Expected, Size, TABLES};
use crate::convex_bench::{ConvexBench, ConvexBenchOptions};
use crate::local_stack::{ConvexLocal, Error, Result, Supabase, SupabaseOptions};
use crate::project::{Deployment, Profile, ProjectFolder, newest_run, output};

/// Pages, batches and tables that no limit divides evenly.
pub(super) const CONFIGURATION: &str = "
include = [\"people\", \"orders\", \"order_lines\"]

[defaults]
table_names = \"camel\"
field_names = \"camel\"

[run]
page_rows = 333
batch_records = 77
in_flight = 3
";

/// The exit code of a run that ended with rejects, as every run of these rows does.
pub const REJECTS_LEFT: i32 = 3;

/// Records that may be written again after a kill: the batches in flight, or a page of the second pass.
pub const WRITTEN_AGAIN: u64 = 333;

fn failed(what: &str) -> impl Fn(std::io::Error) -> Error + '_ {
    move |error| Error::new(format!("failed to {what}: {error}"))
}

/// A planned project and its rows in a real Postgres behind a real `PostgREST`, which many trials share.
#[derive(Debug)]
pub struct Stage {
    folder: ProjectFolder,
    supabase: Supabase,
    expected: Expected,
    _temporary: TempDir,
}

impl Stage {
    /// Makes the rows, plans their migration and asks SQL what must come of it.
    ///
    /// # Errors
    /// When a part of the stack does not start, or a program fails.
    pub async fn open(size: Size, profile: Profile) -> Result<Self> {
        Self::open_with(size, profile, "").await
    }

    /// The same with additions to the configuration.
    ///
    /// # Errors
    /// As there.
    pub async fn open_with(size: Size, profile: Profile, additions: &str) -> Result<Self> {
        let temporary = tempfile::tempdir().map_err(failed("make a folder"))?;
        let folder = ProjectFolder::new(temporary.path(), profile).await?;
        fs::create_dir(folder.path().join("convex")).map_err(failed("make a folder"))?;
        let configuration = format!("{CONFIGURATION}{additions}");
        fs::write(folder.path().join("migrate.toml"), configuration).map_err(failed("write migrate.toml"))?;
        let supabase = Supabase::start(SupabaseOptions { sql: vec![rows::sql(size)], ..Default::default() }).await?;
        for (name, arguments) in [("migrate-discover", &[][..]), ("migrate-plan", &["--write"][..])] {
            let Output { status, stderr, .. } = output(folder.program(name, arguments, &supabase, None)).await?;
            if !status.success() {
                return Err(Error::new(format!("{name} ended with {status}:\n{}", String::from_utf8_lossy(&stderr))));
            }
        }
        let expected = Expected::of(&supabase).await?;
        Ok(Self { folder, supabase, expected, _temporary: temporary })
    }

    /// What must be there in the end.
    #[must_use]
    pub fn expected(&self) -> &Expected {
        &self.expected
    }

    /// Migrates once without disturbance, into convex-bench.
    ///
    /// # Errors
    /// When the run does not end as a run with rejects does.
    pub async fn undisturbed(&self) -> Result<Undisturbed> {
        let mut trial = Trial::new(self, Target::bench().await?)?;
        let (status, elapsed) = trial.run(&["--quiet"]).await?;
        if status.code() != Some(REJECTS_LEFT) {
            return Err(Error::new(format!("migrate-run ended with {status}:\n{}", trial.printed())));
        }
        Ok(Undisturbed { end: trial.end().await?, idle_writes: trial.target.written_again(), elapsed })
    }

    /// The project's source.
    #[must_use]
    pub fn supabase(&self) -> &Supabase {
        &self.supabase
    }

    /// The planned project.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }
}

/// How a run went that nothing disturbed.
#[derive(Debug)]
pub struct Undisturbed {
    /// What there was in the end.
    pub end: End,
    /// Records that were sent although their document was so already.
    pub idle_writes: u64,
    /// How long it took.
    pub elapsed: Duration,
}

/// Where a trial writes.
#[derive(Debug)]
pub enum Target {
    /// The fast stand-in, which knows the functions by their names.
    Bench(ConvexBench),
    /// The stand-in that runs the generated functions themselves.
    Local(ConvexLocal),
}

impl Target {
    /// An empty convex-bench that keeps all documents and has the tables of the plan's schema.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn bench() -> Result<Self> {
        Self::bench_with(ConvexBenchOptions::default()).await
    }

    /// The same with other options.
    ///
    /// # Errors
    /// As there.
    pub async fn bench_with(options: ConvexBenchOptions) -> Result<Self> {
        let tables = TABLES.iter().map(|(_, sink)| (*sink).to_owned()).collect();
        let options = ConvexBenchOptions { keep_documents: true, tables, ..options };
        ConvexBench::start(options).await.map(Self::Bench).map_err(failed("start convex-bench"))
    }

    /// An empty convex-local with the functions of the stage's plan.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn local(stage: &Stage) -> Result<Self> {
        ConvexLocal::start(stage.folder()).await.map(Self::Local)
    }

    /// Its URL and admin key.
    #[must_use]
    pub fn address(&self) -> (String, &str) {
        match self {
            Self::Bench(bench) => (bench.url(), bench.admin_key()),
            Self::Local(local) => (local.url().to_owned(), local.admin_key()),
        }
    }

    async fn documents(&self, table: &str) -> Result<Vec<Value>> {
        match self {
            Self::Bench(bench) => Ok(bench.documents(table)),
            Self::Local(local) => local.documents(table).await,
        }
    }

    /// Records that were sent although their document was so already; none for convex-local, which does not count.
    #[must_use]
    pub fn written_again(&self) -> u64 {
        match self {
            Self::Bench(bench) => {
                let counters = bench.counters();
                counters.unchanged + counters.patch_unchanged + counters.updated
            }
            Self::Local(_) => 0,
        }
    }
}

/// A migration in a folder of its own.
#[derive(Debug)]
pub struct Trial<'a> {
    stage: &'a Stage,
    /// Where it writes.
    pub target: Target,
    folder: TempDir,
    runs: u32,
}

/// How a trial stands when it has run to its end.
#[derive(Debug, Clone, PartialEq)]
pub struct End {
    /// The report, without what differs between runs by nature.
    pub report: Value,
    /// All rejects, in the order of their keys.
    pub rejects: Vec<Value>,
    /// Against SQL.
    pub differences: Differences,
    /// Secrets, and rows' values outside of documents and rejects, in any output or file.
    pub secrets: u64,
}

impl<'a> Trial<'a> {
    /// A new folder with the stage's plan.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn new(stage: &'a Stage, target: Target) -> Result<Self> {
        let folder = tempfile::tempdir().map_err(failed("make a folder"))?;
        for file in ["migrate.toml", "catalog.json", "plan.json"] {
            fs::copy(stage.folder().join(file), folder.path().join(file)).map_err(failed("copy the plan"))?;
        }
        Ok(Self { stage, target, folder, runs: 0 })
    }

    /// Where it is.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// `migrate-run` in this folder, its output in files that are searched for secrets at the end.
    ///
    /// # Errors
    /// When the files cannot be made.
    pub fn command(&mut self, arguments: &[&str]) -> Result<Command> {
        self.runs += 1;
        let (url, admin_key) = self.target.address();
        let convex = Some(Deployment { url: &url, admin_key });
        let mut command = self.stage.folder.program("migrate-run", arguments, &self.stage.supabase, convex);
        command.current_dir(self.folder.path()).stdin(std::process::Stdio::null());
        let file = |stream: &str| File::create(self.folder.path().join(format!("{}.{stream}.log", self.runs)));
        command.stdout(file("stdout").map_err(failed("write the output"))?);
        command.stderr(file("stderr").map_err(failed("write the output"))?);
        Ok(command)
    }

    /// Runs `migrate-run` to its end; gives how it ended and how long it took.
    ///
    /// # Errors
    /// When it cannot be started.
    pub async fn run(&mut self, arguments: &[&str]) -> Result<(ExitStatus, Duration)> {
        let mut command = self.command(arguments)?;
        let started = Instant::now();
        let status = tokio::task::spawn_blocking(move || command.status()).await;
        let status = status.map_err(|error| Error::new(error.to_string()))?.map_err(failed("run migrate-run"))?;
        Ok((status, started.elapsed()))
    }

    /// Runs `migrate-run` and kills it, as `kill -9` does, after `delay`; gives how it ended where it was faster.
    ///
    /// # Errors
    /// When it cannot be started.
    pub async fn run_and_kill(&mut self, delay: Duration) -> Result<Option<ExitStatus>> {
        let mut child = self.command(&["--quiet"])?.spawn().map_err(failed("run migrate-run"))?;
        tokio::time::sleep(delay).await;
        let ended = child.try_wait().map_err(failed("ask for migrate-run"))?;
        if ended.is_none() {
            child.kill().map_err(failed("kill migrate-run"))?;
            child.wait().map_err(failed("wait for migrate-run"))?;
        }
        Ok(ended)
    }

    /// Runs it again and again, each time killed at a random moment of `span`, the time that a run takes, until one
    /// ends by itself; gives how many were killed.
    ///
    /// # Errors
    /// When one cannot be started, or ends otherwise than a run with rejects does.
    pub async fn run_with_kills(&mut self, random: &mut fastrand::Rng, span: Duration) -> Result<u64> {
        let mut kills = 0;
        loop {
            match self.run_and_kill(span.mul_f64(random.f64())).await? {
                None => kills += 1,
                Some(status) if status.code() == Some(REJECTS_LEFT) => return Ok(kills),
                Some(status) => {
                    return Err(Error::new(format!("migrate-run ended with {status}:\n{}", self.printed())));
                }
            }
        }
    }

    /// What the last run printed.
    #[must_use]
    pub fn printed(&self) -> String {
        let read = |stream: &str| fs::read_to_string(self.folder.path().join(format!("{}.{stream}.log", self.runs)));
        ["stdout", "stderr"].map(|stream| read(stream).unwrap_or_default()).concat()
    }

    /// Takes stock: report, rejects, every document against SQL, and secrets.
    ///
    /// # Errors
    /// When a file is missing or the target is gone.
    pub async fn end(&self) -> Result<End> {
        let run = newest_run(self.folder.path())?;
        let mut rejects: BTreeMap<&str, Vec<Value>> = BTreeMap::new();
        let mut found: BTreeMap<&str, Vec<Value>> = BTreeMap::new();
        for (source, sink) in TABLES {
            let text = fs::read_to_string(run.join(format!("rejects/{source}.jsonl"))).unwrap_or_default();
            let lines = text.lines().map(serde_json::from_str).collect::<std::result::Result<_, _>>();
            rejects.insert(source, lines.map_err(|error| Error::new(format!("failed to read a reject: {error}")))?);
            found.insert(sink, self.target.documents(sink).await?);
        }
        let key = |reject: &Value| reject["key"].as_str().unwrap_or_default().to_owned();
        // A link that was not set has a document, and a line beside the rejected rows.
        let is_row = |reject: &&Value| reject["code"] != "reference_unlinked";
        let keys = rejects.iter().map(|(table, of)| (*table, of.iter().filter(is_row).map(key).collect())).collect();
        let differences = self.stage.expected.compare(&found, &keys);
        let mut rejects: Vec<Value> = rejects.into_values().flatten().collect();
        rejects.sort_by_key(|reject| (reject["table"].to_string(), key(reject)));
        let text = fs::read_to_string(run.join("report.json")).map_err(failed("read the report"))?;
        let report = serde_json::from_str(&text).map_err(|error| Error::new(error.to_string()))?;
        Ok(End { report: lasting(&report), rejects, differences, secrets: self.secrets()? })
    }

    /// Counts files and outputs that hold a key, and those that hold a row's value and must not.
    fn secrets(&self) -> Result<u64> {
        let (_, admin_key) = self.target.address();
        let keys = [admin_key, self.stage.supabase.secret_key()];
        let mut found = 0;
        let mut folders = vec![self.folder.path().to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(&folder).map_err(failed("list a folder"))? {
                let path = entry.map_err(failed("list a folder"))?.path();
                if path.is_dir() {
                    folders.push(path);
                    continue;
                }
                let bytes = fs::read(&path).map_err(failed("read a file"))?;
                let holds = |needle: &str| bytes.windows(needle.len()).any(|window| window == needle.as_bytes());
                // Rejects keep the row as it was read; the state keeps them until they are written out.
                let may_hold_rows = path.components().any(|part| {
                    part.as_os_str().to_str().is_some_and(|name| name == "rejects" || name.starts_with("state.sqlite"))
                });
                if keys.into_iter().any(holds) || (!may_hold_rows && holds(CANARY)) {
                    found += 1;
                }
            }
        }
        Ok(found)
    }
}

/// The report without times, and without what tells one run from the next.
fn lasting(report: &Value) -> Value {
    const KEPT: [&str; 12] = [
        "source",
        "migrated",
        "skipped",
        "rejected",
        "status",
        "linked",
        "unlinked",
        "errors",
        "warnings",
        "rejects",
        "reference_misses",
        "changes",
    ];
    let tables = report["tables"].as_object().into_iter().flatten().map(|(name, table)| {
        let kept: BTreeMap<&str, &Value> = KEPT.into_iter().map(|field| (field, &table[field])).collect();
        (name, kept)
    });
    let tables: BTreeMap<&String, BTreeMap<&str, &Value>> = tables.collect();
    json!({ "outcome": report["outcome"], "plan": report["plan_fingerprint"], "tables": tables })
}
