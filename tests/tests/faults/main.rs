//! Faults of both sides: what passes ends in the right documents, and what does not ends in the right exit code.
//!
//! The faults come from a proxy before the real PostgREST and from convex-bench; documents are compared with the rows as
//! SQL shows them on a connection of its own.

mod programs;
mod proxy;
mod sink;
mod source;

use migrate_core::{Error, ErrorKind};
use migrate_tests::convex_bench::ConvexBench;
use migrate_tests::in_process::{InProcess, Ran};
use migrate_tests::local_stack::Supabase;
use migrate_tests::shop;

use convex_sink::ConvexSettings;
use supabase_source::SupabaseSettings;

/// A migration of the shop into `convex`, whose runs read at `url`: the project's own, or a proxy's before it.
async fn migration(configuration: &str, supabase: &Supabase, url: &str, convex: &ConvexBench) -> InProcess {
    let planned_from = SupabaseSettings::new(supabase.url(), supabase.secret_key());
    let source = SupabaseSettings::new(url, supabase.secret_key());
    let sink = ConvexSettings::new(convex.url(), convex.admin_key().to_owned().into());
    InProcess::plan(configuration, planned_from, source, sink).await.unwrap()
}

/// Every row is a document, none twice, and the report says so.
async fn assert_complete(supabase: &Supabase, convex: &ConvexBench, ran: &Ran, what: &str) {
    if let Err(error) = &ran.result {
        panic!("{what}: {error:?}");
    }
    ran.report.check().unwrap();
    assert!(!ran.report.has_findings(), "{what}: {:#?}", ran.report);
    assert_documents(supabase, convex, what).await;
}

async fn assert_documents(supabase: &Supabase, convex: &ConvexBench, what: &str) {
    let differences = shop::differences(supabase, convex).await.unwrap();
    let shown = differences.iter().take(5).map(String::as_str).collect::<Vec<_>>().join("\n");
    assert!(differences.is_empty(), "{what}: {} differences, first:\n{shown}", differences.len());
    let counters = convex.counters();
    assert_eq!(counters.duplicates, 0, "{what}: {counters:?}");
}

/// The error that ended a run; nothing of what an edge's pages or rows say is in it.
fn failure(ran: &Ran, kind: ErrorKind, what: &str) -> String {
    let error: &Error = ran.result.as_ref().err().unwrap_or_else(|| panic!("{what}: the run went well"));
    assert_eq!(error.kind(), kind, "{what}: {error:?}");
    let shown = format!("{error} {error:?} {}", serde_json::to_string(&ran.report).unwrap());
    for secret in ["a page of the edge", "a row value"] {
        assert!(!shown.contains(secret), "{what}: {shown}");
    }
    ran.report.check().unwrap();
    error.to_string()
}
