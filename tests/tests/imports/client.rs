//! The product's own client, with an archive in several parts of which some go wrong.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use convex_sink::{ConvexSettings, Import, ImportMode, TableNumbers};
use migrate_core::layer::RetryPolicy;
use migrate_core::{Event, Observer};
use migrate_tests::archive::Archive;
use migrate_tests::convex_bench::Fault;
use secrecy::SecretString;
use serde_json::json;

use super::{Deployment, StandIn, TABLES, id};

/// Bytes of a company's name: twenty of them are an archive of three parts.
const NAME_BYTES: usize = 1_000_000;
const COMPANIES: u8 = 20;

/// Counts repeats by what was repeated.
#[derive(Debug, Default)]
struct Repeats(Mutex<BTreeMap<&'static str, usize>>);

impl Observer for Repeats {
    fn on_event(&self, event: &Event) {
        if let Event::Retried { operation, .. } = event {
            *self.0.lock().unwrap().entry(operation).or_default() += 1;
        }
    }
}

fn name(number: u8) -> String {
    char::from(b'a' + number).to_string().repeat(NAME_BYTES)
}

fn archive() -> Vec<u8> {
    let company = |number| {
        json!({ "_id": id("companies", number), "_creationTime": f64::from(number) + 0.5, "name": name(number) })
            .to_string()
    };
    let lines: Vec<String> = (0..COMPANIES).map(company).collect();
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    Archive::stored().numbers(&TABLES[1..2]).uniform("companies", &lines).bytes()
}

/// Both stand-ins append parts as they come and refuse one out of its turn, as a deployment on one machine would: a part
/// that was sent twice would be seen.
#[tokio::test]
async fn a_refused_part_is_sent_again_and_a_lost_one_begins_the_upload_anew() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("snapshot.zip");
    std::fs::write(&file, archive()).unwrap();
    for deployment in Deployment::both().await {
        // The second part is refused, twice, and then taken without an answer; of the second upload, the last is refused.
        match &deployment.stand_in {
            StandIn::Bench(bench) => {
                let refused = || Some(Fault::TooManyRequests429 { retry_after: Some(Duration::from_secs(1)) });
                bench.faults_only_on("/api/import/upload_part");
                bench.script([None, refused(), refused(), Some(Fault::Internal500AfterCommit), None, None, refused()]);
            }
            StandIn::Local(local) => {
                let refused = json!({ "status": 429, "headers": { "retry-after": "1" } });
                let lost = json!({ "status": 500, "isTaken": true });
                local.fail_parts(json!([null, refused, refused, lost, null, null, refused])).await.unwrap();
            }
        }
        let (url, key) = match &deployment.stand_in {
            StandIn::Bench(bench) => (bench.url(), bench.admin_key()),
            StandIn::Local(local) => (local.url().to_owned(), local.admin_key()),
        };
        let repeats = Arc::new(Repeats::default());
        let import = Import::new(&ConvexSettings::new(url, SecretString::from(key)), ImportMode::RequireEmpty).unwrap();
        let import = import.retry(RetryPolicy::default(), repeats.clone());
        let numbers = TableNumbers::new([("companies".to_owned(), 10_002)]);
        let record = folder.path().join("import.json");
        let outcome = import.run(&file, "hash", &numbers, &record, |_, _| true, drop).await.unwrap();
        assert_eq!(outcome.documents, Some(COMPANIES.into()));
        assert_eq!(*repeats.0.lock().unwrap(), BTreeMap::from([("upload", 1), ("upload_part", 3)]));
        let mut found = super::names(&deployment.documents("companies").await).join("");
        assert_eq!(found.len(), usize::from(COMPANIES) * NAME_BYTES);
        for number in 0..COMPANIES {
            found = found.replacen(&name(number), "", 1);
        }
        assert_eq!(found, "");
        std::fs::remove_file(record).unwrap();
    }
}
