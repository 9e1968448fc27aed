//! Kills and disturbs migrations, and proves that nothing is lost, doubled or given away: run it with `--release`.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use migrate_tests::local_stack::{Error, Result};
use migrate_tests::project::Profile;
use migrate_tests::torture::{Differences, End, Size, Stage, Target, Trial, Undisturbed, run_with_faults};

/// How much of everything; a tenth of it with `--quick`.
const KILLS: u64 = 200;
const KILLS_OF_REAL_FUNCTIONS: u64 = 20;
const FAULTS: u64 = 10_000;

/// Kills and disturbs migrations, and compares every row with SQL afterwards.
///
/// The rows are in a real Postgres behind a real PostgREST. migrate-run is killed as by `kill -9` at random moments and
/// started again until it ends, into convex-bench, a fast stand-in for Convex, and into convex-local, the stand-in that
/// runs the generated functions. Then migrations in this process meet faults of both sides at every second call or so.
/// Every document and reject is compared with what SQL says, and every output and file is searched for keys and for
/// values of rows.
///
/// The last line holds the figures. Fails when one of the last three is not 0.
#[derive(Debug, Parser)]
#[command(name = "torture")]
struct Arguments {
    /// A tenth of the kills and faults
    #[arg(long)]
    quick: bool,
    /// Seed of all chance
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

#[derive(Debug, Default)]
struct Figures {
    kills: u64,
    faults: BTreeMap<String, u64>,
    differences: Differences,
    secrets: u64,
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let share = if arguments.quick { 10 } else { 1 };
    let mut figures = Figures::default();
    let result = torture(&arguments, share, &mut figures).await;
    for (kind, count) in &figures.faults {
        println!("{count:>8} {kind}");
    }
    let Figures { kills, faults, differences: Differences { rows, lost, doubled, different }, secrets } = &figures;
    let all: u64 = faults.values().sum();
    if *different > 0 {
        println!("{different} documents have other fields than their rows");
    }
    if let Err(error) = &result {
        eprintln!("torture: {error}");
    }
    println!("kills={kills} faults={all} rows={rows} lost={lost} doubled={doubled} secrets={secrets}");
    let is_good = result.is_ok() && figures.differences.is_none() && figures.secrets == 0;
    if is_good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

async fn torture(arguments: &Arguments, share: u64, figures: &mut Figures) -> Result<()> {
    let mut random = fastrand::Rng::with_seed(arguments.seed);
    let started = Instant::now();
    eprintln!("building the programs and filling Postgres …");
    let full = Stage::open(Size::FULL, Profile::Own).await?;
    let Undisturbed { end: expected, elapsed: span, .. } = full.undisturbed().await?;
    eprintln!("{:>5} s: kills, {} rows each", started.elapsed().as_secs(), Size::FULL.rows());
    while figures.kills < KILLS / share {
        let mut trial = Trial::new(&full, Target::bench().await?)?;
        figures.kills += trial.run_with_kills(&mut random, span).await?;
        take_stock(&trial, &expected, figures).await?;
    }
    let small = Stage::open(Size::SMALL, Profile::Own).await?;
    let Undisturbed { end: expected, elapsed: span, .. } = small.undisturbed().await?;
    eprintln!("{:>5} s: kills where the generated functions run", started.elapsed().as_secs());
    let wanted = figures.kills + KILLS_OF_REAL_FUNCTIONS / share;
    while figures.kills < wanted {
        let mut trial = Trial::new(&small, Target::local(&small).await?)?;
        figures.kills += trial.run_with_kills(&mut random, span).await?;
        take_stock(&trial, &expected, figures).await?;
    }
    eprintln!("{:>5} s: faults of both sides", started.elapsed().as_secs());
    while figures.faults.values().sum::<u64>() < FAULTS / share {
        let disturbed = run_with_faults(&full, random.u64(..)).await?;
        for (kind, count) in disturbed.injected {
            *figures.faults.entry(kind).or_default() += count;
        }
        figures.differences.add(disturbed.differences);
        figures.secrets += disturbed.secrets;
    }
    eprintln!("{:>5} s: done", started.elapsed().as_secs());
    Ok(())
}

/// Counts what a trial ended with, which is what an undisturbed run ends with.
async fn take_stock(trial: &Trial<'_>, expected: &End, figures: &mut Figures) -> Result<()> {
    let end = trial.end().await?;
    figures.differences.add(end.differences);
    figures.secrets += end.secrets;
    if (&end.report, &end.rejects) == (&expected.report, &expected.rejects) {
        return Ok(());
    }
    Err(Error::new("a killed run's report or rejects differ from those of an undisturbed one".to_owned()))
}
