//! The memory that `migrate-run` needs, by the size of the table: run it with `--release`.

use std::process::ExitCode;

use clap::Parser;
use migrate_tests::convex_bench::{ConvexBench, ConvexBenchOptions};
use migrate_tests::large_migration::{LargeMigration, REST_MUTATIONS};
use migrate_tests::large_table::LargeTable;
use migrate_tests::local_stack::{Error, Result};
use migrate_tests::measured::Measured;
use migrate_tests::project::Profile;

const MIB: f64 = 1_048_576.0;

/// Measures the peak memory of migrate-run on tables of several sizes.
///
/// Each table is migrated from a real Postgres and PostgREST into convex-bench, a stand-in for Convex, by the release
/// build of migrate-run. Its rows have about 530 bytes, or more where it is asked for, and refer to two tables of 1,000. Fails when a count of the report
/// or of convex-bench is not the number of rows, and when a peak is over the limit.
#[derive(Debug, Parser)]
#[command(name = "memory")]
struct Arguments {
    /// Sizes of the table, one run each
    #[arg(
        long,
        value_delimiter = ',',
        value_name = "ROWS,…",
        value_parser = clap::value_parser!(u32).range(1..),
        default_values_t = [20_000, 200_000],
    )]
    rows: Vec<u32>,
    /// Make every row wider by so many bytes; a document of Convex has a mebibyte at most
    #[arg(long, value_name = "BYTES", default_value_t = 0)]
    wider: u32,
    /// Highest peak that is accepted, in MiB
    #[arg(long, value_name = "MIB", default_value_t = 150)]
    limit: u32,
    /// Run migrate-verify after each, too: convex-bench keeps the documents for it, which takes more memory and time
    #[arg(long)]
    verify: bool,
}

#[tokio::main]
async fn main() -> ExitCode {
    let Arguments { rows, wider, limit, verify } = Arguments::parse();
    match measure(&rows, wider, limit, verify).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("memory: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Runs every size before it judges, so that a failure shows all figures.
async fn measure(sizes: &[u32], wider: u32, limit: u32, verify: bool) -> Result<()> {
    eprintln!("building the release programs, then a run for each size …");
    println!(
        "{:>14} {:>10} {:>10} {:>10} {:>10} {:>10} {:>10}",
        "", "rows", "bytes/row", "seconds", "CPU s", "rows/s", "peak MiB"
    );
    let mut over = Vec::new();
    for rows in sizes {
        let failed = |error: std::io::Error| Error::new(format!("failed to make a temporary folder: {error}"));
        let folder = tempfile::tempdir().map_err(failed)?;
        let table = LargeTable::start_wider(*rows, wider).await?;
        let bytes = table.bytes_per_row().await?;
        let options = ConvexBenchOptions { keep_documents: verify, ..ConvexBenchOptions::default() };
        let convex = ConvexBench::start(options).await;
        let convex = convex.map_err(|error| Error::new(format!("failed to start convex-bench: {error}")))?;
        let migration =
            LargeMigration::plan_into(&table, REST_MUTATIONS, folder.path(), Profile::Release, convex).await?;
        let mut runs = vec![("migrate-run", migration.run().await?)];
        if verify {
            runs.push(("migrate-verify", migration.verify().await?));
        }
        for (program, Measured { elapsed, cpu, peak_bytes, .. }) in runs {
            let (seconds, cpu, peak) = (elapsed.as_secs_f64(), cpu.as_secs_f64(), mebibytes(peak_bytes));
            let per_second = f64::from(*rows) / seconds;
            println!(
                "{program:>14} {rows:>10} {bytes:>10.0} {seconds:>10.1} {cpu:>10.1} {per_second:>10.0} {peak:>10.1}"
            );
            if peak > f64::from(limit) {
                over.push(format!("{peak:.1} MiB of {program} for {rows} rows"));
            }
        }
    }
    if over.is_empty() {
        return Ok(());
    }
    let remedy = "find what is kept by the row, for example with heaptrack";
    Err(Error::new(format!("the peak is over {limit} MiB: {}; {remedy}", over.join(", "))))
}

#[expect(clippy::cast_precision_loss, reason = "one digit after the point is shown")]
fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / MIB
}
