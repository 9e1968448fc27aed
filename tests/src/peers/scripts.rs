//! The scripts that people write: Node, supabase-js and Convex's own client.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::convex_bench::{ConvexBench, ConvexBenchOptions};
use crate::large_migration::{Wrong, check_documents};
use crate::large_table::{LargeTable, PARENTS};
use crate::local_stack::{Error, Result, ensure_peer_packages, node};
use crate::measured::{Measured, run_logged};

const FILES: [(&str, &str); 3] = [
    ("tables.mjs", include_str!("../../local-stack/peers/tables.mjs")),
    ("usual.mjs", include_str!("../../local-stack/peers/usual.mjs")),
    ("tuned.mjs", include_str!("../../local-stack/peers/tuned.mjs")),
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Script {
    Usual,
    Tuned,
}

impl Script {
    fn file(self) -> &'static str {
        match self {
            Self::Usual => "usual.mjs",
            Self::Tuned => "tuned.mjs",
        }
    }
}

/// Installs the packages that the scripts import.
pub(super) async fn prepare() -> Result<()> {
    packages().await.map(drop)
}

async fn packages() -> Result<PathBuf> {
    let installed = tokio::task::spawn_blocking(ensure_peer_packages).await;
    installed.map_err(|error| Error::new(format!("failed to install npm packages: {error}")))?
}

/// Moves the first `rows` rows of `orders` and all of the others into a new convex-bench, and proves that they are there.
pub(super) async fn run(script: Script, table: &LargeTable, rows: u32, folder: &Path) -> Result<Measured> {
    let failed = |error: std::io::Error| Error::new(format!("failed to set {} up: {error}", script.file()));
    let convex = ConvexBench::start(ConvexBenchOptions::default()).await.map_err(failed)?;
    let measured = run_into(&convex, script, table, rows, folder).await?;
    let tables = [("customers", PARENTS), ("products", PARENTS), ("orders", u64::from(rows))];
    let mut wrong = Wrong::default();
    check_documents(&convex, &tables.map(|(name, count)| (name, count.min(rows.into()))), &mut wrong);
    wrong.result()?;
    Ok(measured)
}

async fn run_into(
    convex: &ConvexBench,
    script: Script,
    table: &LargeTable,
    rows: u32,
    folder: &Path,
) -> Result<Measured> {
    let failed = |error: std::io::Error| Error::new(format!("failed to set {} up: {error}", script.file()));
    symlink(packages().await?.join("node_modules"), folder.join("node_modules")).map_err(failed)?;
    for (name, text) in FILES {
        fs::write(folder.join(name), text).map_err(failed)?;
    }
    let mut command = Command::new(node()?);
    command
        .arg(script.file())
        .current_dir(folder)
        .env("SUPABASE_URL", table.supabase().url())
        // Their client sends its key as a token too, which an `sb_secret_…` key is not.
        .env("SUPABASE_SERVICE_ROLE_KEY", table.supabase().service_role_jwt())
        .env("CONVEX_URL", convex.url())
        .env("CONVEX_ADMIN_KEY", convex.admin_key());
    if rows < table.orders() {
        command.env("MOST_ROWS", rows.to_string());
    }
    run_logged(command, &folder.join("log")).await
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::Value;

    use super::*;
    use crate::large_migration::{LargeMigration, REST_MUTATIONS};
    use crate::project::Profile;

    /// The documents of all tables by their rows' keys. What differs from run to run is made alike: an id is the key of
    /// its document's row, the time of creation is none, and numbers are doubles, however written.
    fn documents(convex: &ConvexBench) -> BTreeMap<String, Value> {
        let tables = convex.document_counts().into_keys();
        let all: Vec<Value> = tables.flat_map(|table| convex.documents(&table)).collect();
        let text = |document: &Value, field: &str| document[field].as_str().unwrap().to_owned();
        let keys =
            all.iter().map(|document| (text(document, "_id"), format!("id of {}", text(document, "supabaseId"))));
        let keys: BTreeMap<String, String> = keys.collect();
        let alike = |mut document: Value| {
            document["_creationTime"] = Value::Null;
            (text(&document, "supabaseId"), alike(document, &keys))
        };
        all.into_iter().map(alike).collect()
    }

    fn alike(value: Value, keys: &BTreeMap<String, String>) -> Value {
        match value {
            Value::Number(number) => number.as_f64().unwrap().into(),
            Value::String(text) => keys.get(&text).cloned().unwrap_or(text).into(),
            Value::Array(values) => values.into_iter().map(|value| alike(value, keys)).collect(),
            Value::Object(fields) => fields.into_iter().map(|(name, value)| (name, alike(value, keys))).collect(),
            other => other,
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn both_scripts_write_what_migrate_run_writes() {
        const ROWS: u32 = 2_500;
        let table = LargeTable::start(ROWS).await.unwrap();
        let keeping = || ConvexBench::start(ConvexBenchOptions { keep_documents: true, ..Default::default() });
        let folder = tempfile::tempdir().unwrap();
        let ours = keeping().await.unwrap();
        let migration = LargeMigration::plan_into(&table, REST_MUTATIONS, folder.path(), Profile::Own, ours).await;
        let migration = migration.unwrap();
        migration.run().await.unwrap();
        let ours = documents(migration.convex());
        for script in [Script::Usual, Script::Tuned] {
            let folder = tempfile::tempdir().unwrap();
            let theirs = keeping().await.unwrap();
            run_into(&theirs, script, &table, ROWS, folder.path()).await.unwrap();
            let theirs = documents(&theirs);
            assert_eq!(theirs.len(), 4_500, "{script:?}");
            for (key, document) in &ours {
                assert_eq!(theirs.get(key), Some(document), "{script:?}");
            }
        }
        assert_eq!(ours.len(), 4_500);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn the_usual_script_may_stop_early() {
        let table = LargeTable::start(2_500).await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        run(Script::Usual, &table, 1_200, folder.path()).await.unwrap();
    }
}
