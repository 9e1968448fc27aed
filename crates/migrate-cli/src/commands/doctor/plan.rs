//! The project's files: do plan, catalog, configuration and generated code belong together.

use std::path::Path;

use convex_sink::{CONVEX_RULES, generate};
use migrate_core::Plan;
use migrate_core::catalog::Catalog;
use migrate_core::plan::{MigrateConfig, build_plan};

use super::diagnosis::Diagnosis;
use super::findings::Code;
use crate::commands::ProjectArguments;
use crate::files;

/// What a plan's files say.
#[derive(Debug, Default)]
pub(super) struct Files {
    pub(super) plan: Option<Plan>,
    catalog: Option<Catalog>,
}

/// Reads the plan and its catalog; that there is none yet is no failure.
pub(super) fn read(diagnosis: &mut Diagnosis, project: &ProjectArguments) -> Files {
    let path = project.plan();
    if !path.exists() {
        diagnosis.find(Code::PlanMissing, format!("{} is not there", path.display()));
        return Files::default();
    }
    let plan = files::read_current::<Plan>(&path, "migrate-plan");
    let catalog = files::read_current::<Catalog>(&project.catalog(), "migrate-discover");
    for error in [plan.as_ref().err(), catalog.as_ref().err()].into_iter().flatten() {
        diagnosis.fail(Code::PlanUnreadable, error);
    }
    Files { plan: plan.ok(), catalog: catalog.ok() }
}

/// Compares the files with each other; `config` is none where it cannot be read.
pub(super) fn compare(diagnosis: &mut Diagnosis, files: &Files, config: Option<&MigrateConfig>, folder: &Path) {
    let Some(plan) = &files.plan else { return };
    code(diagnosis, plan, folder);
    let Some(catalog) = &files.catalog else { return };
    if catalog.digest(plan.source_tables()) != plan.source_schema {
        diagnosis.find(Code::PlanOfAnotherCatalog, "catalog.json is of another schema than plan.json was made for");
        return;
    }
    let Some(config) = config else { return };
    match build_plan(config, catalog, &CONVEX_RULES) {
        Ok(today) if today.fingerprint == plan.fingerprint => {}
        Ok(_) => diagnosis.find(Code::PlanOutdated, "migrate.toml makes another plan today than plan.json"),
        Err(issues) => diagnosis.find(
            Code::PlanOutdated,
            format!("migrate.toml makes no plan today, for {} reasons that migrate-plan shows", issues.len()),
        ),
    }
}

/// Compares the source's tables with those that were planned.
pub(super) fn drift(diagnosis: &mut Diagnosis, files: &Files, found: &Catalog) {
    let (Some(plan), Some(catalog)) = (&files.plan, &files.catalog) else { return };
    for line in catalog.drift(found, plan.source_tables()) {
        diagnosis.find(Code::SourceDrifted, line);
    }
}

fn code(diagnosis: &mut Diagnosis, plan: &Plan, folder: &Path) {
    // A plan that makes no code was refused by migrate-plan.
    let Ok(code) = generate(plan) else { return };
    let functions = folder.join(&plan.sink.functions);
    for (path, text) in [(&code.schema_path, &code.schema_ts), (&code.migrate_path, &code.migrate_ts)] {
        let path = functions.join(path);
        match files::read_if_there(&path) {
            Ok(Some(known)) if known == *text => {}
            Ok(Some(_)) => diagnosis.find(Code::GeneratedOutdated, format!("{} is not the plan's", path.display())),
            Ok(None) => diagnosis.find(Code::GeneratedOutdated, format!("{} is not there", path.display())),
            Err(error) => diagnosis.fail(Code::GeneratedOutdated, &error),
        }
    }
}
