//! Where each setting comes from, and what they make together.

use convex_sink::{ConvexProbe, ConvexSettings};
use migrate_core::Plan;
use migrate_core::plan::MigrateConfig;
use secrecy::SecretString;
use supabase_source::{KeyKind, PostgresCatalog, PostgresSettings, SupabaseProbe};

use super::diagnosis::{Diagnosis, SettingReport};
use super::findings::{Code, Finding};
use crate::commands::{AccessOptions, supabase};
use crate::environment::{Environment, Origin, Setting, SettingKind};

/// What both sides are asked with. A side is none where its settings are missing or refused.
pub(super) struct Sides {
    pub(super) supabase: Option<SupabaseProbe>,
    pub(super) postgres: Option<PostgresCatalog>,
    pub(super) convex: Option<ConvexProbe>,
}

/// Reports each setting, and makes of them what can be made.
pub(super) fn examine(
    diagnosis: &mut Diagnosis,
    environment: &Environment,
    config: &MigrateConfig,
    plan: Option<&Plan>,
    access: AccessOptions,
) -> Sides {
    let url = environment.find_address(SettingKind::SupabaseUrl, config.supabase.url.as_deref(), "supabase.url");
    let key = environment.find(SettingKind::SupabaseKey);
    let database = environment.find(SettingKind::DatabaseUrl);
    report(diagnosis, SettingKind::SupabaseUrl, url.as_ref(), Code::SupabaseUrlUnset);
    report(diagnosis, SettingKind::SupabaseKey, key.as_ref(), Code::SupabaseKeyUnset);
    report(diagnosis, SettingKind::DatabaseUrl, database.as_ref(), Code::DatabaseUrlUnset);
    let supabase = match (&url, &key) {
        (Some(_), Some(_)) => project(diagnosis, environment, config, plan, access),
        _ => None,
    };
    let postgres = database.and_then(|setting| postgres(diagnosis, supabase.as_ref(), setting, config));
    let convex = convex(diagnosis, environment, config, plan, access);
    Sides { supabase, postgres, convex }
}

/// Adds where a setting comes from, or that it is missing.
fn report(diagnosis: &mut Diagnosis, kind: SettingKind, found: Option<&Setting>, unset: Code) {
    let Some(setting) = found else {
        let name = kind.names().first().copied().unwrap_or_default();
        diagnosis.settings.push(SettingReport::unset(name));
        diagnosis.find(unset, format!("{name} is not set"));
        return;
    };
    diagnosis.settings.push(SettingReport::of(setting));
    if !setting.shadowed.is_empty() {
        let places: Vec<String> = setting.shadowed.iter().map(Origin::to_string).collect();
        diagnosis.find(
            Code::SettingShadowed,
            format!(
                "{} is taken from {}; its other value in {} does not count",
                setting.name,
                setting.origin,
                places.join(" and ")
            ),
        );
    }
}

fn project(
    diagnosis: &mut Diagnosis,
    environment: &Environment,
    config: &MigrateConfig,
    plan: Option<&Plan>,
    access: AccessOptions,
) -> Option<SupabaseProbe> {
    let probe = supabase(environment, config, access).and_then(|mut settings| {
        settings.expected_tables.extend(plan.into_iter().flat_map(Plan::source_tables).cloned());
        settings.expected_tables.sort();
        settings.expected_tables.dedup();
        SupabaseProbe::new(settings)
    });
    match probe {
        Ok(probe) => {
            diagnosis.supabase.address = Some(probe.address().to_owned());
            let kind = probe.key_kind();
            diagnosis.supabase.key = Some(kind.to_string());
            if !kind.sees_everything() {
                let code = if access.allow_partial { Code::SupabaseKeyPartial } else { Code::SupabaseKeyBlind };
                diagnosis.find(code, format!("row-level security hides rows from {kind}"));
            } else if matches!(kind, KeyKind::Jwt { .. }) {
                diagnosis.find(Code::SupabaseKeyLegacy, format!("the key is {kind}"));
            }
            Some(probe)
        }
        Err(error) => {
            diagnosis.fail(Code::SupabaseSettingsRefused, &error);
            None
        }
    }
}

/// The reader of Postgres' catalog: of the project, so that two projects are noticed, where its settings can be used.
fn postgres(
    diagnosis: &mut Diagnosis,
    supabase: Option<&SupabaseProbe>,
    setting: Setting,
    config: &MigrateConfig,
) -> Option<PostgresCatalog> {
    let made = match supabase {
        Some(probe) => probe.postgres(),
        None => PostgresCatalog::new(PostgresSettings {
            schemas: config.supabase.schemas.clone(),
            ..PostgresSettings::new(setting.value)
        })
        .map(Some),
    };
    made.unwrap_or_else(|error| {
        diagnosis.fail(Code::DatabaseUrlRefused, &error);
        None
    })
}

fn convex(
    diagnosis: &mut Diagnosis,
    environment: &Environment,
    config: &MigrateConfig,
    plan: Option<&Plan>,
    access: AccessOptions,
) -> Option<ConvexProbe> {
    let is_public = plan.map_or(config.convex.public_functions, |plan| plan.sink.public_functions);
    let (kind, unset) = if is_public {
        (SettingKind::MigrationSecret, Code::MigrationSecretUnset)
    } else {
        (SettingKind::ConvexKey, Code::ConvexKeyUnset)
    };
    let url = environment.find_address(SettingKind::ConvexUrl, config.convex.url.as_deref(), "convex.url");
    let key = environment.find(kind);
    report(diagnosis, SettingKind::ConvexUrl, url.as_ref(), Code::ConvexUrlUnset);
    report(diagnosis, kind, key.as_ref(), unset);
    let (url, key) = (url?, key?);
    let is_self_hosted = |name: &str| name.starts_with("CONVEX_SELF_HOSTED_");
    if !is_public && url.name.starts_with("CONVEX_") && is_self_hosted(url.name) != is_self_hosted(key.name) {
        diagnosis.find(Code::ConvexSettingsMixed, format!("{} is used with {}", url.name, key.name));
    }
    let (name, value) = (key.name, SecretString::from(key.value));
    let mut settings = if is_public {
        ConvexSettings::with_secret(url.value, value)
    } else {
        ConvexSettings { admin_key_name: name.to_owned(), ..ConvexSettings::new(url.value, value) }
    };
    settings.allow_http = access.allow_http;
    if let Some(plan) = plan {
        settings.module.clone_from(&plan.sink.module);
        settings.legacy_id_field = plan.sink.legacy_id_field.clone();
        settings.legacy_ids = plan.sink.legacy_ids;
    }
    match ConvexProbe::new(settings) {
        Ok(probe) => {
            diagnosis.convex.address = Some(probe.address().to_owned());
            Some(probe)
        }
        Err(error) => {
            diagnosis.findings.push(Finding::of(Code::ConvexSettingsRefused, &error));
            None
        }
    }
}
