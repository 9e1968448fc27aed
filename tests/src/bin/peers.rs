//! `cargo peers`: how fast a large table moves, beside floors, scripts and other tools.

use std::fs;
use std::path::Path;
use std::process::ExitCode;

use clap::Parser;
use migrate_tests::large_table::LargeTable;
use migrate_tests::local_stack::{Error, Result, target_folder};
use migrate_tests::peers::{
    CONTENDERS, Child, Contender, Figures, Machine, Run, Sample, json, markdown, run_child, text,
};
use migrate_tests::project::{Profile, repository};

/// Rows and runs that `benchmarks/RESULTS.md` is made of.
const ROWS: u32 = 1_000_000;
const RUNS: u32 = 3;
/// Those of a run that only shows that all works.
const QUICK_ROWS: u32 = 20_000;

/// Measures how fast a large table moves, beside floors, scripts and other tools.
///
/// All read the same table from one real Postgres, directly or through PostgREST and a gateway; documents go into
/// convex-bench, a stand-in for Convex. Each is run in turn, as often as --runs says. A row that does not arrive fails
/// the whole. The results are printed and go to target/peers.json; those of a full run go to benchmarks/RESULTS.md too.
#[derive(Debug, Parser)]
#[command(name = "peers", args_conflicts_with_subcommands = true)]
struct Arguments {
    /// Rows of the table
    #[arg(long, default_value_t = ROWS, value_parser = clap::value_parser!(u32).range(1..))]
    rows: u32,
    /// Runs of each
    #[arg(long, default_value_t = RUNS, value_parser = clap::value_parser!(u32).range(1..))]
    runs: u32,
    /// Measure these only
    #[arg(long, value_delimiter = ',', value_name = "NAME,…", value_parser = contender)]
    only: Vec<&'static Contender>,
    /// One run of 20,000 rows each: shows that all works, and no more
    #[arg(long, conflicts_with_all = ["rows", "runs"])]
    quick: bool,
    #[command(subcommand)]
    child: Option<Child>,
}

fn contender(name: &str) -> std::result::Result<&'static Contender, String> {
    Contender::named(name).ok_or_else(|| {
        let names: Vec<&str> = CONTENDERS.iter().map(|contender| contender.name).collect();
        format!("there is {}", names.join(", "))
    })
}

#[tokio::main]
async fn main() -> ExitCode {
    let mut arguments = Arguments::parse();
    if arguments.quick {
        (arguments.rows, arguments.runs) = (QUICK_ROWS, 1);
    }
    let done = match arguments.child {
        Some(child) => run_child(child).await.map(|rows| println!("{rows}")),
        None => measure(&arguments).await,
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("peers: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Runs every contender before it judges, so that a failure costs no other figure.
async fn measure(arguments: &Arguments) -> Result<()> {
    let Arguments { rows, runs, only, .. } = arguments;
    let machine = Machine::this().to_string();
    eprintln!("{machine}");
    eprintln!("making {rows} rows, and building the migrate programs …");
    let table = LargeTable::start(*rows).await?;
    println!("{rows} rows of {:.0} bytes as JSON", table.bytes_per_row().await?);
    let chosen = CONTENDERS.iter().filter(|all| only.is_empty() || only.iter().any(|one| one.name == all.name));
    let (mut entered, mut remarks) = (Vec::new(), Vec::new());
    for contender in chosen {
        match contender.prepare().await? {
            None => entered.push((contender, Figures { name: contender.name, rows: 0, samples: Vec::new() })),
            Some(why) => leave_out(contender, &why, &mut remarks),
        }
    }
    let mut failures = Vec::new();
    // In turn, so that what else the machine does is spread over all.
    for run in 1..=*runs {
        let mut index = 0;
        while index < entered.len() {
            let (contender, figures) = &mut entered[index];
            match run_once(contender, &table).await {
                Ok(ran) => {
                    let sample = Sample::from(ran.measured);
                    let note = ran.note.map(|note| format!("; {note}")).unwrap_or_default();
                    eprintln!("run {run} of {runs}: {} took {:.1} s{note}", contender.name, sample.wall_s);
                    figures.rows = ran.rows;
                    figures.samples.push(sample);
                    index += 1;
                }
                Err(error) => {
                    failures.push(format!("{}: {error}", contender.name));
                    entered.remove(index);
                }
            }
        }
    }
    let figures: Vec<Figures> = entered.into_iter().map(|(_, figures)| figures).collect();
    print!("\n{}", text(&figures));
    let results = format!("{:#}\n", json(&machine, &figures));
    write(&target_folder().join("peers.json"), &results)?;
    if !failures.is_empty() {
        return Err(Error::new(format!("not all rows came through: {}", failures.join("; "))));
    }
    let is_full = only.is_empty() && *rows >= ROWS && *runs >= RUNS && !cfg!(debug_assertions);
    if is_full {
        write(&repository().join("benchmarks/RESULTS.md"), &markdown(&machine, &figures, &remarks))
    } else {
        eprintln!("benchmarks/RESULTS.md is left as it is: this was no full run");
        Ok(())
    }
}

async fn run_once(contender: &Contender, table: &LargeTable) -> Result<Run> {
    let folder = tempfile::tempdir();
    let folder = folder.map_err(|error| Error::new(format!("failed to make a temporary folder: {error}")))?;
    contender.run(table, folder.path(), Profile::Own).await
}

/// The page for people keeps out what the machine printed.
fn leave_out(contender: &Contender, why: &str, remarks: &mut Vec<String>) {
    println!("{} is left out: {why}", contender.name);
    remarks.push(format!("`{}` is left out: it does not run on this machine", contender.name));
}

fn write(path: &Path, text: &str) -> Result<()> {
    let failed = |error: std::io::Error| Error::new(format!("failed to write {}: {error}", path.display()));
    fs::create_dir_all(path.parent().unwrap_or(Path::new("."))).map_err(failed)?;
    fs::write(path, text).map_err(failed)?;
    eprintln!("wrote {}", path.display());
    Ok(())
}
