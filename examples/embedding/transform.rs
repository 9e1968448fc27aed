//! Migrates a project for a place where no real address may be, such as staging: a transform of one's own beside the
//! plan's rules.
//!
//! ```sh
//! migrate-discover --init && migrate-plan --write && npx convex deploy
//! embedding_transform plan.json
//! ```
//!
//! `SUPABASE_URL`, `SUPABASE_SECRET_KEY`, `CONVEX_URL` and `CONVEX_DEPLOY_KEY` are in the environment.

use std::error::Error as StdError;
use std::fs;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use convex_sink::{ConvexSettings, ConvexSink};
use migrate_core::catalog::hex;
use migrate_core::layer::{Bisect, Limit, Retry, RetryPolicy, Timeout};
use migrate_core::plan::PlanTable;
use migrate_core::record::{Record, RejectCode, RowError};
use migrate_core::report::{Outcome, ReportBuilder};
use migrate_core::state::SqliteState;
use migrate_core::transform::RowContext;
use migrate_core::value::Value;
use migrate_core::{Pipeline, Plan, Transform};
use secrecy::SecretString;
use sha2::{Digest as _, Sha256};
use supabase_source::{SupabaseSettings, SupabaseSource};

/// Puts another address in the place of each one: the same for the same, so that what belongs together still does.
#[derive(Debug)]
struct NoAddresses {
    /// Positions of the fields.
    fields: Vec<usize>,
}

impl NoAddresses {
    /// For the tables that have such a field. The records that it gets are documents already: their fields are the
    /// plan's, in its order.
    fn of(table: &PlanTable) -> Option<Box<dyn Transform>> {
        let is_address = |name: &str| name == "email" || name.ends_with("_email");
        let fields = table.fields.iter().enumerate().filter(|(_, field)| is_address(field.field.as_str()));
        let fields: Vec<usize> = fields.map(|(position, _)| position).collect();
        (!fields.is_empty()).then(|| Box::new(Self { fields }) as Box<dyn Transform>)
    }
}

impl Transform for NoAddresses {
    fn apply(&self, record: &mut Record, _: &mut RowContext) -> Result<(), RowError> {
        for &position in &self.fields {
            let field = record.shape.fields.get(position).cloned();
            match record.values.get_mut(position) {
                Some(Value::Text(text)) => {
                    let digest = Sha256::digest(text.to_lowercase().as_bytes());
                    *text = format!("{}@example.invalid", hex(&digest[..8])).into();
                }
                Some(value) if !value.is_nothing() => {
                    // A row that cannot be made safe is kept out; the message names no value.
                    let message = format!("an address is {}, not text", value.kind());
                    return Err(RowError::new(RejectCode::NotRepresentable, message).at(field));
                }
                _ => {}
            }
        }
        Ok(())
    }
}

fn secret(name: &str) -> Result<SecretString, Box<dyn StdError>> {
    Ok(SecretString::from(std::env::var(name)?))
}

async fn migrate(plan: Plan) -> Result<Outcome, Box<dyn StdError>> {
    let settings = SupabaseSettings::new(std::env::var("SUPABASE_URL")?, secret("SUPABASE_SECRET_KEY")?);
    let source = SupabaseSource::new(settings)?;
    let sink = ConvexSink::new(ConvexSettings::new(std::env::var("CONVEX_URL")?, secret("CONVEX_DEPLOY_KEY")?))?;
    let report = Arc::new(ReportBuilder::start("embedding_transform", &plan, false));
    let (retry, longest) = (RetryPolicy::default(), Duration::from_secs(315));
    let source = Retry::new(Limit::new(Timeout::new(source, longest), 4), retry, report.clone());
    let sink = Limit::new(Timeout::new(sink, longest), 4);
    let sink = Bisect::new(Retry::new(sink, retry, report.clone()));
    // A state of its own: what this program writes is not what `migrate-run` would.
    let state = SqliteState::open(Path::new("no-addresses.sqlite"))?;
    let pipeline = Pipeline::new(plan, Arc::new(source), Arc::new(sink), Arc::new(state))
        .observer(report.clone())
        .transform(NoAddresses::of);
    pipeline.check().await?;
    let result = pipeline.run().await;
    let report = report.report(result.as_ref().err());
    println!("{} rows: {} migrated", report.totals.source, report.totals.migrated);
    result?;
    Ok(report.outcome)
}

#[tokio::main]
async fn main() -> Result<ExitCode, Box<dyn StdError>> {
    let file = std::env::args().nth(1).ok_or("say which plan.json")?;
    let plan: Plan = serde_json::from_str(&fs::read_to_string(file)?)?;
    let outcome = migrate(plan).await?;
    Ok(if outcome == Outcome::Complete { ExitCode::SUCCESS } else { ExitCode::from(3) })
}
