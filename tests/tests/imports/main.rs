//! Both stand-ins take imports by Convex's rules. Archives and requests are made by the test itself.

mod client;
mod faults;
mod modes;
mod rows;
mod uploads;

use std::fs;
use std::path::Path;

use migrate_tests::archive::{Archive, ImportClient};
use migrate_tests::convex_bench::{ConvexBench, ConvexBenchOptions, DocumentId};
use migrate_tests::local_stack::ConvexLocal;
use serde_json::{Value, json};
use tempfile::TempDir;

/// The tables of the example project, whose numbers follow their names.
const TABLES: [(&str, u32); 3] = [("anything", 10_001), ("companies", 10_002), ("people", 10_003)];

/// One of the two stand-ins, and a client of it.
struct Deployment {
    stand_in: StandIn,
    client: ImportClient,
    /// The project, as long as it is deployed.
    _folder: Option<TempDir>,
}

enum StandIn {
    Bench(ConvexBench),
    Local(ConvexLocal),
}

impl Deployment {
    async fn bench() -> Self {
        Self::bench_with(ConvexBenchOptions::default()).await
    }

    /// A convex-bench with the example's tables, which keeps documents.
    async fn bench_with(options: ConvexBenchOptions) -> Self {
        let tables = TABLES.iter().map(|(name, _)| (*name).to_owned()).collect();
        let bench = ConvexBench::start(ConvexBenchOptions { keep_documents: true, tables, ..options }).await.unwrap();
        let client = ImportClient::new(&bench.url(), bench.admin_key());
        Self { stand_in: StandIn::Bench(bench), client, _folder: None }
    }

    /// A convex-local with the example's functions and schema.
    async fn local() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("convex")).unwrap();
        for name in ["schema.ts", "people.ts"] {
            let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("local-stack/example/convex").join(name);
            fs::copy(source, folder.path().join("convex").join(name)).unwrap();
        }
        let local = ConvexLocal::start(folder.path()).await.unwrap();
        let client = ImportClient::new(local.url(), local.admin_key());
        Self { stand_in: StandIn::Local(local), client, _folder: Some(folder) }
    }

    async fn both() -> [Self; 2] {
        [Self::bench().await, Self::local().await]
    }

    fn bench_server(&self) -> &ConvexBench {
        match &self.stand_in {
            StandIn::Bench(bench) => bench,
            StandIn::Local(_) => panic!("this is convex-local"),
        }
    }

    async fn documents(&self, table: &str) -> Vec<Value> {
        match &self.stand_in {
            StandIn::Bench(bench) => bench.documents(table),
            StandIn::Local(local) => local.documents(table).await.unwrap(),
        }
    }

    async fn count(&self, table: &str) -> usize {
        let count = self.client.query("_system/cli/tableSize", json!({ "tableName": table })).await;
        usize::try_from(count.as_u64().unwrap()).unwrap()
    }

    async fn mapping(&self) -> Value {
        self.client.query("_system/frontend/getTableMapping", json!({ "componentId": null })).await
    }

    /// Imports what must go through.
    async fn import(&self, archive: Archive, mode: &str) -> u64 {
        self.client.import(archive, mode).await.unwrap()
    }

    /// Imports what must be refused, and returns the message without what all have.
    async fn refused(&self, archive: Archive, mode: &str) -> String {
        let message = self.client.import(archive, mode).await.unwrap_err();
        message.strip_prefix("Hit an error while importing:\n").expect("a failure of the import").to_owned()
    }
}

/// An id of a table, different for each `number`.
fn id(table: &str, number: u8) -> String {
    let (_, table_number) = TABLES.into_iter().find(|(name, _)| *name == table).unwrap();
    DocumentId::from_parts(table_number, [number; 14], 20_000).to_string()
}

/// A company in the uniform encoding.
fn company(number: u8) -> String {
    format!(r#"{{"_id":"{}","_creationTime":{number}.5,"name":"Company {number}"}}"#, id("companies", number))
}

/// An archive of these companies.
fn companies(numbers: &[u8]) -> Archive {
    let lines: Vec<String> = numbers.iter().map(|number| company(*number)).collect();
    Archive::new().numbers(&TABLES[1..2]).uniform("companies", &lines.iter().map(String::as_str).collect::<Vec<_>>())
}

fn names(documents: &[Value]) -> Vec<&str> {
    documents.iter().map(|document| document["name"].as_str().unwrap()).collect()
}
