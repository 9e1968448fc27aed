//! `cargo demo`: the example's migration on a local stack, command by command.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;
use migrate_tests::ari_cms::Scenario;
use migrate_tests::project::Project;

/// Migrates examples/ari-cms from a real Postgres and PostgREST into a local stand-in for Convex.
#[derive(Debug, Parser)]
struct Arguments {
    /// `full`: twelve tables with rows; `seed`: the two rows that a hand-written script lost
    #[arg(long, default_value_t = Scenario::Full)]
    scenario: Scenario,
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match demo(arguments.scenario).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("demo: {error}");
            ExitCode::FAILURE
        }
    }
}

type Failure = Box<dyn std::error::Error + Send + Sync>;

async fn demo(scenario: Scenario) -> Result<(), Failure> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("."));
    let folder: PathBuf = root.join("target/demo").join(scenario.to_string());
    if folder.exists() {
        std::fs::remove_dir_all(&folder)?;
    }
    println!("setting up Postgres, PostgREST and a stand-in for Convex …");
    let mut project = Project::set_up(&folder, scenario).await?;
    // Rows whose contact is missing in Convex are rejects by design: exit code 3 is the right end of `full`.
    let run_code = match scenario {
        Scenario::Full => 3,
        Scenario::Seed => 0,
    };
    step(&project, "migrate-discover", &[], 0)?;
    step(&project, "migrate-plan", &["--write"], 0)?;
    println!("\n$ npx convex deploy   # here: into convex-local");
    project.deploy().await?;
    step(&project, "migrate-run", &["--quiet"], run_code)?;
    keep_report(&project, &folder)?;
    println!("\n# Again: everything is there, so nothing is inserted and nothing changes.");
    step(&project, "migrate-run", &["--quiet"], run_code)?;
    expect_no_change(&project)?;
    println!("\n# And from the start, in a new run folder: every document is found unchanged.");
    step(&project, "migrate-run", &["--quiet", "--fresh"], run_code)?;
    expect_no_change(&project)?;
    println!("\n# And nothing of that is taken on trust: every row is compared with its document.");
    step(&project, "migrate-verify", &["--quiet"], 0)?;
    keep_verification(&project, &folder)?;
    println!("\nreport: {}", folder.join("report.html").display());
    Ok(())
}

/// Puts the report of the first run beside the project, as JSON and as a page: the next runs write their own.
fn keep_report(project: &Project, folder: &Path) -> Result<(), Failure> {
    let run = project.newest_run()?;
    for name in ["report.json", "report.html"] {
        std::fs::copy(run.join(name), folder.join(name))?;
    }
    Ok(())
}

/// Puts the verification beside that report, and makes its page anew: what was verified is on it.
fn keep_verification(project: &Project, folder: &Path) -> Result<(), Failure> {
    std::fs::copy(project.newest_run()?.join("verify.json"), folder.join("verify.json"))?;
    let page = File::create(folder.join("report.html"))?;
    let report = folder.join("report.json").display().to_string();
    let status = project.program("migrate-report", &[&report, "--format", "html"]).stdout(page).status()?;
    if status.success() { Ok(()) } else { Err(format!("migrate-report ended with {status}").into()) }
}

fn step(project: &Project, name: &str, arguments: &[&str], code: i32) -> Result<(), Failure> {
    println!("\n$ {name} {}", arguments.join(" "));
    let status = project.program(name, arguments).status()?;
    if status.code() == Some(code) { Ok(()) } else { Err(format!("{name} ended with {status}, not {code}").into()) }
}

fn expect_no_change(project: &Project) -> Result<(), Failure> {
    let report = project.report()?;
    for (table, counts) in report["tables"].as_object().into_iter().flatten() {
        if counts["this_run"]["inserted"] != 0 || counts["this_run"]["updated"] != 0 {
            return Err(format!("the run again changed {table}").into());
        }
    }
    Ok(())
}
