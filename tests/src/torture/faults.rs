//! Migrations in this process, whose calls go wrong on both sides by chance.

use std::collections::BTreeMap;
use std::time::Duration;

use convex_sink::ConvexSettings;
use migrate_core::Disposition;
use serde_json::Value;
use supabase_source::SupabaseSettings;

use super::rows::{CANARY, Differences, TABLES};
use super::trial::{CONFIGURATION, Stage};
use crate::convex_bench::{ConvexBench, ConvexBenchOptions, Fault as SinkFault, FaultPlan as SinkFaults};
use crate::fault_proxy::{Fault, FaultKind, FaultPlan, FaultProxy, RetryAfter};
use crate::in_process::{InProcess, Times};
use crate::local_stack::{Error, Result};

/// Faults of the source that a run gets over.
const SOURCE_FAULTS: [FaultKind; 16] = [
    FaultKind::TooManyRequests429,
    FaultKind::Unavailable503,
    FaultKind::SchemaCache503,
    FaultKind::DatabaseLost503,
    FaultKind::DatabaseRestart503,
    FaultKind::PoolExhausted504,
    FaultKind::StatementTimeout500,
    FaultKind::InternalError500,
    FaultKind::HtmlError502,
    FaultKind::HtmlError504,
    FaultKind::HtmlError520,
    FaultKind::ResetBeforeAnswer,
    FaultKind::ResetInBody,
    FaultKind::TruncatedJson,
    FaultKind::LongContentLength,
    FaultKind::ShortContentLength,
];

/// Chance of each fault of the source, for each request; together somewhat below a half.
const SOURCE_CHANCE: f64 = 0.025;

/// Chance of each fault of the sink, for each call.
const SINK_CHANCE: f64 = 0.05;

/// Faults of the sink that a run gets over.
fn sink_faults() -> Vec<SinkFault> {
    vec![
        SinkFault::TooManyRequests429 { retry_after: None },
        SinkFault::TooManyRequests429 { retry_after: Some(Duration::ZERO) },
        SinkFault::Occ503,
        SinkFault::Internal500BeforeCommit,
        SinkFault::Internal500AfterCommit,
        SinkFault::ResetBeforeCommit,
        SinkFault::ResetAfterCommit,
        SinkFault::Malformed,
        SinkFault::HtmlError502,
        SinkFault::TooLarge(40),
    ]
}

/// What became of a disturbed migration.
#[derive(Debug, Clone, Default)]
pub struct Disturbed {
    /// Against SQL.
    pub differences: Differences,
    /// Faults that were injected, by side and kind.
    pub injected: BTreeMap<String, u64>,
    /// Keys and rows' values in the report and in the messages of repeats.
    pub secrets: u64,
}

/// Migrates the stage's rows once, with every call in danger.
///
/// # Errors
/// When a part does not start, and when the run does not get over its faults.
pub async fn run_with_faults(stage: &Stage, seed: u64) -> Result<Disturbed> {
    let failed = |what: &str, error: &dyn std::fmt::Display| Error::new(format!("failed to {what}: {error}"));
    let supabase = stage.supabase();
    let chance = |kind| (Fault::from(kind).with_retry_after(RetryAfter::Seconds(0)), SOURCE_CHANCE);
    let plan = FaultPlan { random: SOURCE_FAULTS.map(chance).to_vec(), seed, ..FaultPlan::default() };
    let proxy = FaultProxy::start(supabase.url(), plan).await.map_err(|error| failed("start the proxy", &error))?;
    let options = ConvexBenchOptions {
        keep_documents: true,
        faults: SinkFaults {
            random: sink_faults().into_iter().map(|fault| (fault, SINK_CHANCE)).collect(),
            seed,
            ..SinkFaults::default()
        },
        ..ConvexBenchOptions::default()
    };
    let convex = ConvexBench::start(options).await.map_err(|error| failed("start convex-bench", &error))?;
    let source = |url: &str| SupabaseSettings::new(url, supabase.secret_key());
    let sink = ConvexSettings::new(convex.url(), convex.admin_key().to_owned().into());
    let migration = InProcess::plan(CONFIGURATION, source(supabase.url()), source(&proxy.url()), sink).await?;
    let mut told: Vec<String> = Vec::new();
    loop {
        let ran = migration.run(Times::default()).await.map_err(|error| failed("set up a run", &error))?;
        told.extend(ran.repeats.into_iter().map(|repeat| repeat.message));
        told.push(serde_json::to_string(&ran.report).map_err(|error| failed("read the report", &error))?);
        match ran.result {
            Ok(()) => break,
            // Too many faults in a row: a user runs the same command again, and so do we.
            Err(error) if error.disposition() == Disposition::Retry => told.push(error.to_string()),
            Err(error) => return Err(failed(&format!("get over the faults of seed {seed}"), &error)),
        }
    }

    let mut rejects: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for (source, _) in TABLES {
        let table = source.parse().map_err(|error| failed("name a table", &error))?;
        let kept = migration.state().rejects(&table, 0, usize::MAX).await;
        let kept = kept.map_err(|error| failed("read the rejects", &error))?;
        let rows = kept.into_iter().filter(|reject| reject.code.as_str() != "reference_unlinked");
        rejects.insert(source, rows.map(|reject| reject.key.to_string()).collect());
    }
    let documents: BTreeMap<&str, Vec<Value>> =
        TABLES.into_iter().map(|(_, sink)| (sink, convex.documents(sink))).collect();

    let secrets = [CANARY, convex.admin_key(), supabase.secret_key()];
    let holding = told.iter().filter(|text| secrets.iter().any(|secret| text.contains(secret))).count();
    let of_source = proxy.injected().into_iter().map(|(kind, count)| (format!("source {kind}"), count));
    let of_sink = convex.injected().into_iter().map(|(kind, count)| (format!("sink {kind}"), count));
    Ok(Disturbed {
        differences: stage.expected().compare(&documents, &rejects),
        injected: of_source.chain(of_sink).collect(),
        secrets: u64::try_from(holding).unwrap_or(u64::MAX),
    })
}
