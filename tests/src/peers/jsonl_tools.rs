//! Other tools that read Postgres: sling and dlt, into a file of one JSON value for each row.

use std::fs::{self, File};
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::large_table::LargeTable;
use crate::local_stack::{Error, Result, ensure_python_packages};
use crate::measured::{Measured, run_logged};

const DLT_SCRIPT: &str = include_str!("../../local-stack/peers/dlt_orders.py");

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tool {
    Sling,
    Dlt,
}

impl Tool {
    fn requirements(self) -> &'static str {
        match self {
            Self::Sling => include_str!("../../local-stack/peers/sling.txt"),
            Self::Dlt => include_str!("../../local-stack/peers/dlt.txt"),
        }
    }
}

/// Installs the tool in a virtual environment of its own. `Some` says why it cannot be.
pub(super) async fn prepare(tool: Tool) -> Result<Option<String>> {
    Ok(environment(tool).await.err().map(|error| error.to_string()))
}

async fn environment(tool: Tool) -> Result<PathBuf> {
    let installed = tokio::task::spawn_blocking(move || ensure_python_packages(tool.requirements())).await;
    installed.map_err(|error| Error::new(format!("failed to install Python packages: {error}")))?
}

/// Copies `orders` into a file, and proves that it has all rows.
pub(super) async fn run(tool: Tool, table: &LargeTable, folder: &Path) -> Result<Measured> {
    let failed = |error: std::io::Error| Error::new(format!("failed to set {tool:?} up: {error}"));
    let environment = environment(tool).await?;
    let url = table.supabase().database_url();
    let out = folder.join("out");
    fs::create_dir(&out).map_err(failed)?;
    let command = match tool {
        Tool::Sling => {
            let program = below(&environment.join("lib"), &|path| path.ends_with("bin/sling-linux-amd64"));
            let program = program.ok_or_else(|| Error::new("sling's package has no program for this machine"))?;
            let mut command = Command::new(program);
            command
                .args(["run", "--src-conn", "ORDERS_DB", "--src-stream", "public.orders", "--tgt-object"])
                .arg(format!("file://{}", out.join("orders.jsonl").display()))
                .env("ORDERS_DB", format!("{url}?sslmode=disable"))
                .env("SLING_HOME_DIR", folder.join("home"))
                .env("SLING_DISABLE_TELEMETRY", "TRUE");
            command
        }
        Tool::Dlt => {
            let script = folder.join("dlt_orders.py");
            fs::write(&script, DLT_SCRIPT).map_err(failed)?;
            let mut command = Command::new(environment.join("bin/python"));
            command
                .arg(script)
                .arg(folder)
                .env("DATABASE_URL", url.replacen("postgresql://", "postgresql+psycopg2://", 1))
                .env("DLT_DATA_DIR", folder.join("home"))
                // What it writes is not packed: that is the quicker way.
                .env("NORMALIZE__DATA_WRITER__DISABLE_COMPRESSION", "true")
                .env("RUNTIME__LOG_LEVEL", "ERROR")
                .env("RUNTIME__DLTHUB_TELEMETRY", "false")
                .env("DLT_TELEMETRY", "false");
            command
        }
    };
    let mut command = command;
    command.current_dir(folder).env("DO_NOT_TRACK", "1");
    let measured = run_logged(command, &folder.join("log")).await?;
    let file = below(&out, &is_orders).ok_or_else(|| Error::new(format!("{tool:?} wrote no file")))?;
    let rows = lines(&file).map_err(failed)?;
    if rows != u64::from(table.orders()) {
        return Err(Error::new(format!("{tool:?} wrote {rows} rows, not {}", table.orders())));
    }
    Ok(measured)
}

/// Sling's file has the table's name; dlt's is in a folder of that name.
fn is_orders(path: &Path) -> bool {
    let is_named = path.file_stem().is_some_and(|stem| stem == "orders");
    let is_within = path.parent().is_some_and(|parent| parent.ends_with("orders"));
    (is_named || is_within) && path.extension().is_some_and(|extension| extension == "jsonl")
}

/// The first file below a folder that is wanted.
fn below(folder: &Path, wanted: &dyn Fn(&Path) -> bool) -> Option<PathBuf> {
    let entries = fs::read_dir(folder).ok()?.filter_map(|entry| entry.ok().map(|entry| entry.path()));
    let mut entries: Vec<PathBuf> = entries.collect();
    entries.sort();
    entries.iter().find_map(|path| if path.is_dir() { below(path, wanted) } else { wanted(path).then(|| path.clone()) })
}

fn lines(file: &Path) -> std::io::Result<u64> {
    let mut file = File::open(file)?;
    let mut buffer = vec![0; 1 << 20];
    let mut lines = 0;
    loop {
        let length = file.read(&mut buffer)?;
        if length == 0 {
            return Ok(lines);
        }
        lines += buffer[..length].iter().map(|byte| u64::from(*byte == b'\n')).sum::<u64>();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_is_found_and_its_rows_are_counted() {
        let folder = tempfile::tempdir().unwrap();
        let (orders, others) = (folder.path().join("peers/orders"), folder.path().join("peers/_loads"));
        fs::create_dir_all(&orders).unwrap();
        fs::create_dir_all(&others).unwrap();
        fs::write(others.join("1.jsonl"), "{}\n").unwrap();
        assert_eq!(below(folder.path(), &is_orders), None);
        fs::write(orders.join("1.jsonl"), "{}\n{}\n").unwrap();
        assert_eq!(lines(&below(folder.path(), &is_orders).unwrap()).unwrap(), 2);
        fs::write(folder.path().join("orders.jsonl"), "{}\n".repeat(1_000_000)).unwrap();
        assert_eq!(lines(&below(folder.path(), &is_orders).unwrap()).unwrap(), 1_000_000);
    }
}
