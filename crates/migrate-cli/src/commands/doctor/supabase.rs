//! The Supabase project: does it answer, does it know the key, and what does it show of its tables.

use migrate_core::catalog::{Catalog, TableState};
use migrate_core::names::TableName;
use migrate_core::plan::MigrateConfig;
use migrate_core::{ErrorKind, Plan};
use supabase_source::{AdminProof, MaxRows, SupabaseProbe};

use super::clock_skew;
use super::diagnosis::{Diagnosis, Proof};
use super::findings::{Code, Finding};
use crate::render::thousands;

/// The first version of PostgREST that says in which time zone it writes.
const FIRST_POSTGREST: u32 = 12;

/// The code of a schema that is not exposed (PostgREST docs, "Errors").
const NOT_EXPOSED: &str = "PGRST106";

/// The catalog of the project, where it can be had.
pub(super) async fn examine(
    diagnosis: &mut Diagnosis,
    probe: &SupabaseProbe,
    config: &MigrateConfig,
    plan: Option<&Plan>,
    of_postgres: Option<Catalog>,
) -> Option<Catalog> {
    let is_open = data_api(diagnosis, probe, &config.supabase.schemas).await?;
    admin(diagnosis, probe).await;
    if !is_open {
        return None;
    }
    let catalog = match probe.catalog(of_postgres).await {
        Ok(catalog) => catalog,
        Err(error) => {
            diagnosis.fail(Code::CatalogUnread, &error);
            return None;
        }
    };
    tables(diagnosis, probe, &catalog, plan).await;
    for difference in &catalog.differences {
        diagnosis.find(Code::CatalogDiffers, difference.clone());
    }
    max_rows(diagnosis, probe, &catalog, plan.map_or(config.run.page_rows, |plan| plan.run.page_rows)).await;
    Some(catalog)
}

/// Asks for each schema. None where the project does not answer or does not know the key; false where the key may not see
/// the list of tables, or a schema is not there.
async fn data_api(diagnosis: &mut Diagnosis, probe: &SupabaseProbe, schemas: &[String]) -> Option<bool> {
    let mut is_open = true;
    for schema in schemas {
        match probe.data_api(schema).await {
            Ok(found) => {
                if let Some(seconds) = found.clock_skew.filter(|_| diagnosis.supabase.clock_skew_seconds.is_none()) {
                    diagnosis.supabase.clock_skew_seconds = Some(seconds);
                    clock_skew(diagnosis, "Supabase", seconds);
                }
                if let Some(version) = found.version.filter(|_| diagnosis.supabase.postgrest.is_none()) {
                    require_version(diagnosis, &version);
                    diagnosis.supabase.postgrest = Some(version);
                }
            }
            Err(error) if error.code() == NOT_EXPOSED => {
                let found = Finding::of(Code::SchemaNotExposed, &error);
                diagnosis.findings.push(Finding { message: format!("schema {schema}: {}", found.message), ..found });
                is_open = false;
            }
            // A visitor's key may not see the schema document; that it is one has been said.
            Err(error) if error.kind() == ErrorKind::Forbidden && !probe.key_kind().sees_everything() => {
                is_open = false;
            }
            Err(error) => {
                let is_key = matches!(error.kind(), ErrorKind::Unauthorized | ErrorKind::Forbidden);
                diagnosis.fail(if is_key { Code::SupabaseKeyRefused } else { Code::SupabaseUnreachable }, &error);
                return None;
            }
        }
    }
    Some(is_open)
}

fn require_version(diagnosis: &mut Diagnosis, version: &str) {
    let major = version.split('.').next().and_then(|major| major.parse::<u32>().ok());
    if major.is_some_and(|major| major < FIRST_POSTGREST) {
        diagnosis.find(Code::PostgrestTooOld, format!("the data API is PostgREST {version}"));
    }
}

async fn admin(diagnosis: &mut Diagnosis, probe: &SupabaseProbe) {
    let proof = match probe.admin().await {
        Ok(AdminProof::Proven) => Proof::Proven,
        Ok(AdminProof::Refused) => Proof::Refused,
        Ok(AdminProof::Untold) | Err(_) => Proof::Untold,
    };
    diagnosis.supabase.admin = Some(proof);
    let kind = probe.key_kind();
    match proof {
        // Of a visitor's key nothing else was to be expected.
        _ if !kind.sees_everything() => {}
        Proof::Proven => {}
        Proof::Refused => diagnosis.find(Code::SupabaseAdminRefused, format!("Supabase Auth refuses {kind}")),
        Proof::Untold => {
            diagnosis.find(Code::SupabaseAdminUnproven, format!("nothing proves the rights of {kind}"));
        }
    }
}

async fn tables(diagnosis: &mut Diagnosis, probe: &SupabaseProbe, catalog: &Catalog, plan: Option<&Plan>) {
    let is_readable = |state: TableState| matches!(state, TableState::Present | TableState::Empty);
    let readable = catalog.tables.iter().filter(|table| is_readable(table.state)).count();
    diagnosis.supabase.readable_tables = Some(readable);
    for (table, error) in probe.unreadable(catalog).await {
        let code = if is_planned(&table, plan) { Code::TableNotReadable } else { Code::TableNotPlanned };
        let found = Finding::of(code, &error);
        let message = format!("table {table} exists, and cannot be read: {}", error.message());
        diagnosis.supabase.unreadable_tables.push(table.to_string());
        diagnosis.findings.push(Finding { message, ..found });
    }
    let allowed = |name: &TableName| plan.is_some_and(|plan| plan.absent.iter().any(|absent| absent.table == *name));
    for table in catalog.tables.iter().filter(|table| table.state == TableState::Missing && !allowed(&table.name)) {
        diagnosis.find(Code::TableMissing, format!("table {} is not among those that the data API knows", table.name));
    }
}

/// Whether the plan takes the table or would; without a plan any table may be wanted.
fn is_planned(table: &TableName, plan: Option<&Plan>) -> bool {
    plan.is_none_or(|plan| {
        plan.source_tables().any(|planned| planned == table) || plan.absent.iter().any(|absent| absent.table == *table)
    })
}

async fn max_rows(diagnosis: &mut Diagnosis, probe: &SupabaseProbe, catalog: &Catalog, page_rows: usize) {
    // Where it cannot be found nothing is lost: pages end on an empty answer alone.
    let Ok(Some(found)) = probe.max_rows(catalog).await else { return };
    let (rows, is_exact) = match found {
        MaxRows::Exactly(rows) => (rows, true),
        MaxRows::AtLeast(rows) => (rows, false),
    };
    diagnosis.supabase.max_rows = Some(rows);
    diagnosis.supabase.max_rows_is_exact = is_exact;
    if is_exact && rows < u64::try_from(page_rows).unwrap_or(u64::MAX) {
        let asked = thousands(u64::try_from(page_rows).unwrap_or(u64::MAX));
        diagnosis.find(
            Code::MaxRowsBelowPage,
            format!("an answer has at most {} rows, and run.page_rows is {asked}", thousands(rows)),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn postgrest_before_12_is_too_old() {
        for (version, is_old) in [("11.2.2", true), ("12.0.2", false), ("14.5", false), ("9.0.1.20220717", true)] {
            let mut diagnosis = Diagnosis::new();
            require_version(&mut diagnosis, version);
            assert_eq!(diagnosis.findings.len(), usize::from(is_old), "{version}");
        }
    }
}
