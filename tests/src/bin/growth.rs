//! `cargo growth`: what a migration costs by the size of its table, as a plot.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use migrate_tests::large_table::LargeTable;
use migrate_tests::local_stack::{Error, Result};
use migrate_tests::peers::growth_plot::{Growth, draw};
use migrate_tests::peers::{Contender, Run, Sample};
use migrate_tests::project::{Profile, repository};

/// The most that the cost of a row at one size may be of that at another.
const MOST_COST: f64 = 1.5;

/// Measures what a migration costs by the size of its table, and plots it.
///
/// Migrates one table after the other by the release build of migrate-run, from a real Postgres and PostgREST, and draws
/// processor time and peak memory over rows into benchmarks/growth.svg. Fails when a row of one size costs over half
/// more than one of another, or when a peak grows by more than --peak-growth.
#[derive(Debug, Parser)]
#[command(name = "growth")]
struct Arguments {
    /// Sizes of the table
    #[arg(
        long,
        value_delimiter = ',',
        value_name = "ROWS,…",
        value_parser = clap::value_parser!(u32).range(1..),
        default_values_t = [100_000, 300_000, 1_000_000, 3_000_000, 10_000_000],
    )]
    rows: Vec<u32>,
    /// Ways to migrate, by their names in cargo peers
    #[arg(long, value_delimiter = ',', value_name = "NAME,…", value_parser = ours, default_values = ["ours_rest_mutations", "ours_postgres_zip"])]
    only: Vec<&'static Contender>,
    /// The most that a peak may be over that of the smallest table, in MiB
    #[arg(long, value_name = "MIB", default_value_t = 24.0)]
    peak_growth: f64,
    /// Where the plot goes; without it, benchmarks/growth.svg
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

fn ours(name: &str) -> std::result::Result<&'static Contender, String> {
    Contender::named(name)
        .filter(|contender| contender.is_migrate_run())
        .ok_or_else(|| "there is ours_rest_mutations, ours_rest_zip and ours_postgres_zip".to_owned())
}

#[tokio::main]
async fn main() -> ExitCode {
    let mut arguments = Arguments::parse();
    arguments.rows.sort_unstable();
    match measure(arguments).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("growth: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Draws before it judges, so that a failure can be looked at.
async fn measure(Arguments { rows, only, peak_growth, out }: Arguments) -> Result<()> {
    let mut growths: Vec<Growth> =
        only.iter().map(|contender| Growth { name: contender.name, points: Vec::new() }).collect();
    println!("{:>12}  {:<20} {:>10} {:>10} {:>10}", "rows", "", "seconds", "CPU s", "peak MiB");
    for rows in rows {
        // Only one size is there at a time: ten million rows take five gigabytes.
        let table = LargeTable::start(rows).await?;
        for (contender, growth) in only.iter().zip(&mut growths) {
            let folder = tempfile::tempdir();
            let folder = folder.map_err(|error| Error::new(format!("failed to make a temporary folder: {error}")))?;
            let Run { measured, .. } = contender.run(&table, folder.path(), Profile::Own).await?;
            let sample = Sample::from(measured);
            let Sample { wall_s, cpu_s, peak_mib } = sample;
            println!("{rows:>12}  {:<20} {wall_s:>10.1} {cpu_s:>10.1} {peak_mib:>10.1}", contender.name);
            growth.points.push((rows, sample));
        }
        table.remove().await?;
    }
    let path = out.unwrap_or_else(|| repository().join("benchmarks/growth.svg"));
    draw(&path, &growths)?;
    eprintln!("wrote {}", path.display());
    let faults: Vec<String> = growths.iter().filter_map(|growth| fault(growth, peak_growth)).collect();
    if faults.is_empty() { Ok(()) } else { Err(Error::new(faults.join("; "))) }
}

fn fault(growth: &Growth, peak_growth: f64) -> Option<String> {
    let Growth { name, points } = growth;
    let cost = |(rows, sample): &(u32, Sample)| sample.cpu_s / f64::from(*rows);
    let (least, most) = (points.iter().map(cost).fold(f64::MAX, f64::min), points.iter().map(cost).fold(0.0, f64::max));
    if most > least * MOST_COST {
        return Some(format!("{name} does not cost the same for each row: {:.1} to {:.1} µs", least * 1e6, most * 1e6));
    }
    let first = points.first()?.1.peak_mib;
    let peak = points.iter().map(|(_, sample)| sample.peak_mib).fold(0.0, f64::max);
    (peak > first + peak_growth).then(|| format!("the peak of {name} grows from {first:.1} to {peak:.1} MiB"))
}
