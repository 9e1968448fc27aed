//! convex-bench as a program: starts the stand-in and prints where it is as one line of JSON.

use std::{
    error::Error,
    fs,
    io::{self, Write as _},
    path::PathBuf,
    thread,
    time::Duration,
};

use clap::Parser;
use migrate_tests::convex_bench::{ConvexBench, ConvexBenchOptions, Fault, FaultPlan};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tokio::sync::oneshot;

/// A stand-in for a Convex deployment, for benchmarks and fault tests. It runs no JavaScript.
///
/// It understands `<module>:bulkInsert<Table>`, `<module>:patch<Table>` and `<module>:lookup` by name, takes snapshot
/// imports, listens on the loopback interface only and keeps everything but uploads in memory. `GET /convex-bench/counters` tells what happened so far.
#[derive(Debug, Parser)]
#[command(name = "convex-bench", version)]
struct Arguments {
    /// Port to listen on; 0 takes a free one
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// Admin key that callers must send
    #[arg(long, env = "CONVEX_BENCH_ADMIN_KEY", hide_env_values = true)]
    admin_key: Option<String>,
    /// Keep whole documents instead of their hashes
    #[arg(long)]
    keep_documents: bool,
    /// Field that identifies a record of an upsert
    #[arg(long, default_value = "supabaseId")]
    legacy_id_field: String,
    /// Index that `lookup` may use: INDEX or TABLE.INDEX, and its fields
    #[arg(long = "index", value_name = "NAME=FIELD,FIELD", value_parser = index)]
    indexes: Vec<(String, Vec<String>)>,
    /// Table that is there from the start, as those of a deployed schema are; repeatable
    #[arg(long = "table", value_name = "NAME")]
    tables: Vec<String>,
    /// Documents to start with, one `{"table": …, "fields": {…}}` in each line
    #[arg(long, value_name = "FILE")]
    seed: Option<PathBuf>,
    /// Make ids differ from those of another server
    #[arg(long, default_value_t = 0)]
    id_seed: u64,
    /// Fault for every call, or with this probability: `occ-503@0.05`, `slow=20`, `too-large=500`; repeatable
    #[arg(long = "fault", value_name = "FAULT[=VALUE][@PROBABILITY]", value_parser = fault)]
    faults: Vec<(Fault, Option<f64>)>,
    /// Faults of the first calls, in order; `ok` stands for a call that goes well
    #[arg(long, value_name = "FAULT,FAULT", value_delimiter = ',', value_parser = scripted)]
    script: Vec<Scripted>,
    /// Seed of chance
    #[arg(long, default_value_t = 0)]
    fault_seed: u64,
    /// Faults by chance in a row for the same call
    #[arg(long, default_value_t = 3)]
    max_consecutive_faults: u32,
    /// Stop when the standard input is closed
    #[arg(long)]
    exit_with_stdin: bool,
}

/// One entry of a script.
#[derive(Debug, Clone)]
struct Scripted(Option<Fault>);

fn index(text: &str) -> Result<(String, Vec<String>), String> {
    let (name, fields) = text.split_once('=').ok_or("expected NAME=FIELD,FIELD")?;
    Ok((name.to_owned(), fields.split(',').map(str::to_owned).collect()))
}

fn fault(text: &str) -> Result<(Fault, Option<f64>), Box<dyn Error + Send + Sync>> {
    let Some((fault, probability)) = text.rsplit_once('@') else { return Ok((text.parse()?, None)) };
    let probability: f64 = probability.parse()?;
    if !(0.0..=1.0).contains(&probability) {
        return Err("a probability lies between 0 and 1".into());
    }
    Ok((fault.parse()?, Some(probability)))
}

fn scripted(text: &str) -> Result<Scripted, Box<dyn Error + Send + Sync>> {
    Ok(Scripted(if text == "ok" { None } else { Some(text.parse()?) }))
}

impl Arguments {
    fn options(&self) -> ConvexBenchOptions {
        let standing = self.faults.iter().filter(|(_, probability)| probability.is_none());
        let random = self.faults.iter().filter_map(|(fault, probability)| Some((fault.clone(), (*probability)?)));
        let defaults = ConvexBenchOptions::default();
        ConvexBenchOptions {
            port: self.port,
            admin_key: self.admin_key.clone().unwrap_or(defaults.admin_key),
            keep_documents: self.keep_documents,
            legacy_id_field: self.legacy_id_field.clone(),
            indexes: self.indexes.iter().cloned().collect(),
            id_seed: self.id_seed,
            tables: self.tables.clone(),
            faults: FaultPlan {
                script: self.script.iter().map(|Scripted(fault)| fault.clone()).collect(),
                standing: standing.map(|(fault, _)| fault.clone()).collect(),
                random: random.collect(),
                seed: self.fault_seed,
                max_consecutive: self.max_consecutive_faults,
            },
            ..defaults
        }
    }
}

/// A document of the file that `--seed` names.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SeedDocument {
    table: String,
    fields: Map<String, Value>,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments = Arguments::parse();
    eprintln!(
        "convex-bench is a stand-in for benchmarks and fault tests, not Convex. Everything is kept in memory only."
    );
    let bench = ConvexBench::start(arguments.options()).await?;
    if let Some(path) = &arguments.seed {
        for line in fs::read_to_string(path)?.lines().filter(|line| !line.trim().is_empty()) {
            let SeedDocument { table, fields } = serde_json::from_str(line)?;
            bench.seed_document(&table, fields);
        }
    }
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "{}", json!({ "url": bench.url(), "adminKey": bench.admin_key() }))?;
    stdout.flush()?;
    drop(stdout);

    tokio::select! {
        () = stdin_closed(), if arguments.exit_with_stdin => {}
        result = tokio::signal::ctrl_c() => result?,
    }
    // A client that keeps its connection open must not keep the program.
    let _ = tokio::time::timeout(Duration::from_secs(2), bench.shutdown()).await;
    Ok(())
}

/// Completes when the standard input is closed. The thread that waits for it is never joined.
async fn stdin_closed() {
    let (closed, wait) = oneshot::channel::<()>();
    thread::spawn(move || {
        // An error is taken for an end: there is nothing more to read either way.
        let _ = io::copy(&mut io::stdin().lock(), &mut io::sink());
        drop(closed);
    });
    // The sender is dropped without a message.
    let _ = wait.await;
}
