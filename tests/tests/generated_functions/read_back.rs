//! The queries that read documents back, called by [`ConvexSink`] with a key that the system's own queries refuse.

use convex_sink::{ConvexSettings, ConvexSink};
use migrate_core::ErrorKind;
use migrate_core::plan::LegacyIds;
use migrate_core::sink::WriteMode;
use migrate_core::verify::SinkProbe;
use serde_json::{Value as Json, json};

use super::{Deployed, MODULE, SECRET, call_with, people, plan, table};

/// All documents of a table by the generated query, `limit` at a time: the ids of each page.
async fn pages(probe: &ConvexSink, name: &str, limit: usize) -> Vec<Vec<String>> {
    let (mut cursor, mut pages) = (None::<String>, Vec::new());
    loop {
        let mut page = probe.read_page(&table(name), cursor.as_deref(), limit).await.unwrap();
        let next = page.next.take();
        let documents = page.into_documents().unwrap();
        pages.push(documents.iter().map(|document| document.id.as_str().to_owned()).collect());
        match next {
            Some(next) => cursor = Some(next),
            None => return pages,
        }
        assert!(pages.len() < 100, "it never ends");
    }
}

/// Counts a table by the generated query: how many documents each call says.
async fn counts(probe: &ConvexSink, name: &str) -> Vec<u64> {
    let (mut cursor, mut counts) = (None::<String>, Vec::new());
    loop {
        let page = probe.count_page(&table(name), cursor.as_deref()).await.unwrap();
        counts.push(page.documents);
        match page.next {
            Some(next) => cursor = Some(next),
            None => return counts,
        }
        assert!(counts.len() < 100, "it never ends");
    }
}

#[tokio::test]
async fn documents_are_read_back_by_a_key_that_may_not_view_data() {
    for (legacy_ids, public) in [(LegacyIds::Field, false), (LegacyIds::SideTable, false), (LegacyIds::SideTable, true)]
    {
        let deployed = Deployed::start(&plan(legacy_ids, public), &[("MIGRATION_SECRET", SECRET)]).await;
        let insert = async |table: &str, document: Json| {
            deployed.convex.mutation("app:insert", json!({ "table": table, "document": document })).await.unwrap()
        };
        let written = deployed.write(WriteMode::Upsert, &people()).await;
        let limited = ConvexSettings::new(deployed.convex.url(), deployed.convex.limited_key().into());
        let probe = ConvexSink::new(limited).unwrap();
        assert_eq!(probe.count(&table("people")).await.unwrap(), None, "the system's own query is refused");
        let ids: Vec<String> = written.into_iter().map(|(id, _)| id).collect();
        let of_two: Vec<Vec<String>> = ids.chunks(2).map(<[String]>::to_vec).collect();
        assert_eq!(pages(&probe, "people", 2).await, of_two);
        assert_eq!(pages(&probe, "people", 4096).await.concat(), ids);
        assert_eq!(pages(&probe, "pets", 10).await.concat(), [""; 0]);
        assert_eq!((counts(&probe, "people").await, counts(&probe, "pets").await), (vec![5], vec![0]));
        if legacy_ids == LegacyIds::SideTable {
            let keys = probe.read_keys(None, 100).await.unwrap();
            let keys: Vec<(&str, &str, &str)> =
                keys.entries.iter().map(|entry| (entry.table.name(), entry.key.as_str(), entry.id.as_str())).collect();
            let names = ["ann", "ben", "cem", "dee", "eli"];
            let expected: Vec<_> = names.iter().zip(&ids).map(|(name, id)| ("people", *name, id.as_str())).collect();
            assert_eq!(keys, expected);
        } else {
            let refused = probe.read_keys(None, 100).await.unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::Config, "there is no such table: {refused}");
        }

        // Every document as the system's own query shows it to an admin, system fields and all.
        let admin = ConvexSink::new(ConvexSettings::new(deployed.convex.url(), deployed.convex.admin_key().into()));
        let by_system = admin.unwrap().read_page(&table("people"), None, 100).await.unwrap();
        let generated = probe.read_page(&table("people"), None, 100).await.unwrap();
        assert_eq!((&generated.next, &by_system.next), (&None, &None));
        assert_eq!(generated.into_documents().unwrap(), by_system.into_documents().unwrap());

        // A page ends behind 4 MiB, whatever number is asked for: ten documents of 900 KiB are in two.
        let name = "n".repeat(900 << 10);
        for _ in 0..10 {
            insert("pets", json!({ "name": name })).await;
        }
        let lengths: Vec<usize> = pages(&probe, "pets", 4096).await.iter().map(Vec::len).collect();
        assert_eq!(lengths.iter().sum::<usize>(), 10);
        assert!(lengths.len() > 1 && lengths.iter().all(|length| *length < 6), "{lengths:?}");
        assert_eq!(counts(&probe, "pets").await.iter().sum::<u64>(), 10);

        // Nothing but the migration's tables, whoever asks.
        for (function, more) in [("readDocuments", json!({ "limit": 10.0 })), ("countDocuments", json!({}))] {
            for name in ["strangers", "_storage", "users", ""] {
                let mut arguments = json!({ "table": name, "cursor": null });
                arguments.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
                let path = format!("{MODULE}:{function}");
                let refused = deployed.convex.query(&path, arguments).await.unwrap_err().to_string();
                assert!(refused.contains("ArgumentValidationError"), "{function} {name}: {refused}");
            }
            // No secret opens them: they are internal where all others are public.
            for secret in [None, Some(SECRET)] {
                let mut arguments = json!({ "table": "people", "cursor": null });
                arguments.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
                arguments.as_object_mut().unwrap().extend(secret.map(|secret| ("secret".to_owned(), json!(secret))));
                let (status, refused) = call_with(&deployed.convex, "query", function, arguments, None).await;
                let text = refused["errorMessage"].as_str().unwrap_or_default();
                assert!(status == 200 && text.contains("Could not find public function"), "{function}: {refused}");
            }
        }
    }
}
