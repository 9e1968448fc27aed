//! What can be found: each code with its severity, what it means and what mends it. The documentation is made of it.

use migrate_core::Error;
use schemars::JsonSchema;
use serde::Serialize;

/// How much a finding weighs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Severity {
    /// A migration fails, or loses rows.
    Error,
    /// It may surprise.
    Warning,
    /// Good to know.
    Info,
}

impl Severity {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Info => "info",
        }
    }
}

/// One line of the table of findings.
#[derive(Debug)]
pub(super) struct Rule {
    pub(super) name: &'static str,
    pub(super) severity: Severity,
    /// What it means.
    pub(super) about: &'static str,
    /// What mends it, where the finding itself knows no better.
    pub(super) remedy: &'static str,
}

macro_rules! findings {
    ($($code:ident $name:literal $severity:ident: $about:literal, $remedy:literal;)*) => {
        /// The stable name of a finding.
        #[expect(clippy::doc_markdown, reason = "the texts are shown to people")]
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
        pub(crate) enum Code {
            $(#[doc = $about] #[serde(rename = $name)] $code,)*
        }

        /// Every finding there is, in the order of the checks.
        pub(super) const RULES: &[Rule] = &[
            $(Rule { name: $name, severity: Severity::$severity, about: $about, remedy: $remedy },)*
        ];

        impl Code {
            /// Its line in the table.
            pub(super) fn rule(self) -> &'static Rule {
                match self {
                    $(Self::$code => const {
                        &Rule { name: $name, severity: Severity::$severity, about: $about, remedy: $remedy }
                    },)*
                }
            }
        }
    };
}

findings! {
    ConfigInvalid "config_invalid" Error:
        "migrate.toml cannot be read, or says what cannot be. The checks go on with the defaults.",
        "mend the place it names";
    EnvironmentFileBroken "environment_file_broken" Error:
        "An environment file cannot be read. The checks go on without it.",
        "write each line as NAME=value, with quotes around values that hold spaces or #";
    SettingShadowed "setting_shadowed" Warning:
        "A setting has another value in a place that does not count.",
        "remove one of them";
    SupabaseUrlUnset "supabase_url_unset" Error:
        "No address of a Supabase project is set.",
        "set SUPABASE_URL in the environment, .env.local or .env";
    SupabaseKeyUnset "supabase_key_unset" Error:
        "No key of the Supabase project is set.",
        "set SUPABASE_SECRET_KEY in the environment, .env.local or .env";
    DatabaseUrlUnset "database_url_unset" Warning:
        "No connection string of Postgres is set. A table without grants is then seen only where migrate.toml names it, \
         and unique keys and checks are not seen at all.",
        "set SUPABASE_DB_URL to the session pooler's connection string of the project's Connect dialog";
    ConvexUrlUnset "convex_url_unset" Warning:
        "No address of a Convex deployment is set.",
        "set CONVEX_URL, or CONVEX_SELF_HOSTED_URL, in the environment, .env.local or .env";
    ConvexKeyUnset "convex_key_unset" Warning:
        "No key of the Convex deployment is set.",
        "set CONVEX_DEPLOY_KEY, or CONVEX_SELF_HOSTED_ADMIN_KEY, in the environment, .env.local or .env";
    MigrationSecretUnset "migration_secret_unset" Warning:
        "The plan's functions are public, and the secret that they ask for is not set.",
        "set MIGRATION_SECRET here, and in the deployment with `npx convex env set`";
    ConvexSettingsMixed "convex_settings_mixed" Warning:
        "The address is of a self-hosted deployment and the key of a hosted one, or the other way round.",
        "set both by names of one kind";
    SupabaseSettingsRefused "supabase_settings_refused" Error:
        "The address or the key of the Supabase project cannot be one.",
        "take both from the project's settings";
    SupabaseKeyBlind "supabase_key_blind" Error:
        "The key is a visitor's: row-level security hides rows from it, and nothing tells how many.",
        "use a secret key (sb_secret_…) or the legacy service_role key";
    SupabaseKeyPartial "supabase_key_partial" Warning:
        "As supabase_key_blind, with --allow-partial: only the rows that the key sees are migrated.",
        "use a secret key (sb_secret_…) or the legacy service_role key for all rows";
    SupabaseKeyLegacy "supabase_key_legacy" Info:
        "The key is a legacy JWT. Supabase takes these out of service by the end of 2026.",
        "create a secret key (sb_secret_…) on the project's API keys page";
    SupabaseUnreachable "supabase_unreachable" Error:
        "The project's data API does not answer as one.",
        "check the address and the network; a paused project does not answer";
    SupabaseKeyRefused "supabase_key_refused" Error:
        "The project does not know the key.",
        "copy the key again from the project's API keys page";
    SchemaNotExposed "schema_not_exposed" Error:
        "A schema that migrate.toml names is not served by the data API.",
        "add it to the exposed schemas of the data API";
    SupabaseAdminRefused "supabase_admin_refused" Error:
        "Supabase Auth does not take the key for an administrator's: it may not see every row.",
        "use a secret key (sb_secret_…) of the role service_role";
    SupabaseAdminUnproven "supabase_admin_unproven" Info:
        "Whether the key is an administrator's could not be proven: Supabase Auth does not answer, or refused the key for \
         another reason. Its form says that it is one.",
        "on a hosted project, look at the state of Auth in the dashboard";
    PostgrestTooOld "postgrest_too_old" Error:
        "PostgREST is older than version 12, and does not say in which time zone it writes instants: they are refused.",
        "use PostgREST 12 or later";
    DatabaseUrlRefused "database_url_refused" Error:
        "SUPABASE_DB_URL is no connection string, or one of another project.",
        "copy it from the project's Connect dialog";
    DatabaseHostUnresolved "database_host_unresolved" Error:
        "The host of the database has no address here.",
        "check the host's name and the network";
    DatabaseHostNoRoute "database_host_no_route" Error:
        "The host of the database has IPv6 addresses only, and this machine has no way to them.",
        "use the session pooler's connection string of the project's Connect dialog, or the project's IPv4 add-on";
    DatabaseHostIpv6Only "database_host_ipv6_only" Info:
        "The host of the database has IPv6 addresses only. This machine has a way to them; many networks have none.",
        "elsewhere, use the session pooler's connection string of the project's Connect dialog";
    DatabasePoolerTransaction "database_pooler_transaction" Info:
        "The database is reached through the pooler in transaction mode, which keeps nothing from one transaction to the \
         next. Reading the catalog works there.",
        "for anything longer use the session pooler, port 5432";
    DatabaseUnreachable "database_unreachable" Error:
        "Postgres cannot be connected to, or does not show its catalog. migrate-discover and migrate-run end there.",
        "mend SUPABASE_DB_URL, or leave it out";
    CatalogUnread "catalog_unread" Error:
        "The tables of the project cannot be read.",
        "run migrate-discover, which says more";
    TableNotReadable "table_not_readable" Error:
        "A table exists, and the key may not read it. New tables have no grants since 2026, the service role's included.",
        "run the GRANT in the project's SQL editor";
    TableNotPlanned "table_not_planned" Info:
        "As table_not_readable, of a table that the plan does not take.",
        "to migrate it, run the GRANT in the project's SQL editor, then migrate-discover";
    TableMissing "table_missing" Warning:
        "migrate.toml or the plan names a table that the project does not have, or its data API does not know.",
        "check its name; after a change run: notify pgrst, 'reload schema';";
    CatalogDiffers "catalog_differs" Warning:
        "The data API and Postgres tell the project's tables differently.",
        "run: notify pgrst, 'reload schema';";
    MaxRowsBelowPage "max_rows_below_page" Info:
        "An answer has fewer rows at most (db-max-rows) than run.page_rows asks for. Nothing is lost; there are more \
         requests.",
        "raise the data API's Max rows for the time of the migration";
    ClockSkew "clock_skew" Warning:
        "The clocks of this machine and of a server differ by more than 30 seconds. Keys that expire may be refused, and \
         times of reports do not match the other side's logs.",
        "set this machine's clock by the network's time";
    PlanMissing "plan_missing" Info:
        "There is no plan yet, so tables and functions cannot be compared with it.",
        "run: migrate-discover --init, then migrate-plan";
    PlanUnreadable "plan_unreadable" Error:
        "plan.json or catalog.json cannot be used.",
        "run: migrate-discover, then migrate-plan";
    PlanOfAnotherCatalog "plan_of_another_catalog" Error:
        "catalog.json is not the one that plan.json was made for: migrate-run refuses the two.",
        "run: migrate-plan";
    PlanOutdated "plan_outdated" Warning:
        "migrate.toml and catalog.json make another plan than plan.json, by which migrate-run goes.",
        "run: migrate-plan";
    SourceDrifted "source_drifted" Error:
        "The project's tables have changed since the plan was made: migrate-run refuses it.",
        "run: migrate-discover, then migrate-plan";
    GeneratedOutdated "code_outdated" Warning:
        "The functions in this folder are not those that the plan makes.",
        "run: migrate-plan";
    ConvexSettingsRefused "convex_settings_refused" Error:
        "The address or the key of the Convex deployment cannot be one.",
        "take both from the deployment's settings";
    ConvexKeyOfAnother "convex_key_of_another" Warning:
        "The deploy key names another deployment than the address.",
        "take address and key from one deployment";
    ConvexUnreachable "convex_unreachable" Error:
        "The Convex deployment does not answer as one.",
        "check the address and the network";
    ConvexKeyRefused "convex_key_refused" Error:
        "The deployment does not know the key.",
        "create a deploy key of this very deployment";
    ConvexKeyTooFew "convex_key_too_few" Error:
        "The key may not call internal mutations, which is how documents are written.",
        "use a key with deployment:functions:runInternalMutations";
    ConvexKeyUntold "convex_key_untold" Info:
        "The deployment does not say what the key may do, as old self-hosted backends do not.",
        "the functions' check shows it as well";
    ConvexProduction "convex_production" Info:
        "The key is of a production deployment. migrate-run asks before it writes there.",
        "try a development deployment first";
    FunctionsNotChecked "functions_not_checked" Error:
        "The deployment does not say which functions are there.",
        "mend what it says, and run migrate-doctor again";
    FunctionMissing "function_missing" Error:
        "Functions that the plan needs are not deployed.",
        "deploy them";
    FunctionDiffers "function_differs" Error:
        "A deployed function is not the plan's: it is of another kind, or takes other arguments.",
        "run migrate-plan, then deploy";
    FunctionsUncompared "functions_uncompared" Info:
        "The functions are there; whether they take the plan's arguments the deployment does not show.",
        "deploy once more after each migrate-plan";
}

/// Something a person should know, with what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub(crate) struct Finding {
    /// Which finding it is; `migrate-doctor --explain` tells of each.
    pub(crate) code: Code,
    /// How much it weighs.
    pub(crate) severity: Severity,
    /// What was found, without any secret.
    pub(crate) message: String,
    /// What mends it.
    pub(crate) remedy: String,
}

impl Finding {
    /// A finding with the remedy of the table.
    pub(super) fn new(code: Code, message: impl Into<String>) -> Self {
        let rule = code.rule();
        Self { code, severity: rule.severity, message: message.into(), remedy: rule.remedy.to_owned() }
    }

    /// What failed, with the error's own remedy where it has one.
    pub(super) fn of(code: Code, error: &Error) -> Self {
        let places: Vec<String> = error.context().map(|(name, value)| format!("{name}: {value}")).collect();
        let places = if places.is_empty() { String::new() } else { format!(" ({})", places.join(", ")) };
        let found = Self::new(code, format!("failed to {}{places}", error.message()));
        match error.remedy() {
            Some(remedy) => found.with_remedy(remedy),
            None => found,
        }
    }

    pub(super) fn with_remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = remedy.into();
        self
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fmt::Write as _;
    use std::path::Path;

    use migrate_core::ErrorKind;

    use super::*;

    const HEAD: &str = "\
# What migrate-doctor finds

Made of the table in `crates/migrate-cli/src/commands/doctor/findings.rs`; a test compares the two. `migrate-doctor --json`
prints the findings with these codes, in the form of
[jsonschemas/diagnosis.schema.json](\
https://github.com/supabase-to-convex/supabase-to-convex/blob/main/jsonschemas/diagnosis.schema.json).

| severity | means | exit code |
|---|---|---|
| error | a migration fails, or loses rows | 4 |
| warning | it may surprise | 0 |
| info | good to know | 0 |
";

    fn documentation() -> String {
        let mut text = HEAD.to_owned();
        for rule in RULES {
            let (name, severity) = (rule.name, rule.severity.as_str());
            write!(
                text,
                "\n## {name}\n\n*{severity}.* {}\n\nRemedy: {}.\n",
                rule.about,
                rule.remedy.trim_end_matches('.')
            )
            .unwrap();
        }
        text
    }

    #[test]
    fn the_documentation_is_made_of_the_table() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/src/reference/doctor.md");
        #[expect(clippy::disallowed_methods, reason = "the switch that writes the documentation")]
        if std::env::var("UPDATE_DOCS").is_ok() {
            std::fs::write(&path, documentation()).unwrap();
        }
        let known = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(known == documentation(), "run: UPDATE_DOCS=1 cargo test -p migrate-cli --lib doctor");
    }

    #[test]
    fn every_code_stands_once() {
        let names: BTreeSet<&str> = RULES.iter().map(|rule| rule.name).collect();
        assert_eq!(names.len(), RULES.len());
        for rule in RULES {
            assert!(rule.about.ends_with('.') && !rule.remedy.is_empty(), "{}", rule.name);
        }
    }

    #[test]
    fn json_has_the_names_of_the_table() {
        for code in [Code::ConfigInvalid, Code::TableNotReadable, Code::FunctionsUncompared] {
            assert_eq!(serde_json::to_value(code).unwrap(), code.rule().name);
        }
    }

    #[test]
    fn an_error_gives_its_place_and_its_remedy() {
        let error = Error::new(ErrorKind::Forbidden, "read the table").with_context("table", "orders");
        let found = Finding::of(Code::TableNotReadable, &error);
        assert_eq!(found.message, "failed to read the table (table: orders)");
        assert_eq!(found.remedy, "run the GRANT in the project's SQL editor");
        let found = Finding::of(Code::TableNotReadable, &error.with_remedy("run: grant"));
        assert_eq!(found.remedy, "run: grant");
    }
}
