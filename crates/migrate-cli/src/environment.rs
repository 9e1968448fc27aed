//! Addresses and keys: flag, then process environment, then `.env.local`, then `.env`, then the configuration.

use std::collections::HashMap;
use std::path::Path;

use migrate_core::{Error, ErrorKind, Result};
use secrecy::SecretString;

/// Names of the Supabase address, in the order they count.
const SUPABASE_URL: &[&str] =
    &["SUPABASE_URL", "NEXT_PUBLIC_SUPABASE_URL", "EXPO_PUBLIC_SUPABASE_URL", "VITE_SUPABASE_URL"];
/// Names of the Supabase key, those that see every row first.
const SUPABASE_KEY: &[&str] = &[
    "SUPABASE_SECRET_KEY",
    "SUPABASE_SERVICE_ROLE_KEY",
    "SUPABASE_SERVICE_KEY",
    "SUPABASE_PUBLISHABLE_KEY",
    "SUPABASE_ANON_KEY",
];
/// Name of the connection string of the project's Postgres, which is optional.
const DATABASE_URL: &[&str] = &["SUPABASE_DB_URL"];
/// Names of the Convex address.
const CONVEX_URL: &[&str] = &["CONVEX_SELF_HOSTED_URL", "CONVEX_URL", "NEXT_PUBLIC_CONVEX_URL", "VITE_CONVEX_URL"];
/// Names of the Convex key.
const CONVEX_KEY: &[&str] = &["CONVEX_SELF_HOSTED_ADMIN_KEY", "CONVEX_DEPLOY_KEY"];

/// Name of the secret that public functions ask for.
const MIGRATION_SECRET: &[&str] = &["MIGRATION_SECRET"];

/// What the environment and the `.env` files beside a project say.
pub(crate) struct Environment {
    files: Vec<HashMap<String, String>>,
}

impl Environment {
    /// Reads `.env.local` and `.env` in `folder`, where they are.
    pub(crate) fn read(folder: &Path) -> Result<Self> {
        let mut files = Vec::new();
        for name in [".env.local", ".env"] {
            let path = folder.join(name);
            if !path.exists() {
                continue;
            }
            let broken =
                |_| Error::new(ErrorKind::Config, "read the environment file").with_context("file", path.display());
            let pairs = dotenvy::from_path_iter(&path).map_err(broken)?;
            files.push(pairs.collect::<std::result::Result<_, _>>().map_err(broken)?);
        }
        Ok(Self { files })
    }

    /// The first of `names` that is set and not empty, with its name.
    fn get(&self, names: &'static [&'static str]) -> Option<(&'static str, String)> {
        #[expect(clippy::disallowed_methods, reason = "this is the one place that reads the environment")]
        let process = |name: &&'static str| std::env::var(name).ok().map(|value| (*name, value));
        let of_file = |file: &HashMap<String, String>| {
            names.iter().find_map(|name| {
                file.get(*name).filter(|value| !value.trim().is_empty()).map(|value| (*name, value.clone()))
            })
        };
        names
            .iter()
            .find_map(|name| process(name).filter(|(_, value)| !value.trim().is_empty()))
            .or_else(|| self.files.iter().find_map(of_file))
            .map(|(name, value)| (name, value.trim().to_owned()))
    }

    pub(crate) fn supabase_url(&self, configured: Option<&str>) -> Result<String> {
        self.address(SUPABASE_URL, configured, "the Supabase project's address")
    }

    pub(crate) fn convex_url(&self, configured: Option<&str>) -> Result<String> {
        self.address(CONVEX_URL, configured, "the Convex deployment's address")
    }

    fn address(&self, names: &'static [&'static str], configured: Option<&str>, what: &str) -> Result<String> {
        self.get(names)
            .map(|(_, value)| value)
            .or_else(|| configured.map(str::to_owned))
            .ok_or_else(|| missing(what, names))
    }

    pub(crate) fn supabase_key(&self) -> Result<SecretString> {
        self.get(SUPABASE_KEY).map(|(_, key)| key.into()).ok_or_else(|| missing("the Supabase key", SUPABASE_KEY))
    }

    /// The connection string of the project's Postgres, where one is set.
    pub(crate) fn database_url(&self) -> Option<SecretString> {
        self.get(DATABASE_URL).map(|(_, url)| url.into())
    }

    /// The key and the name it was set by.
    pub(crate) fn convex_key(&self) -> Result<(&'static str, SecretString)> {
        self.get(CONVEX_KEY).map(|(name, key)| (name, key.into())).ok_or_else(|| missing("the Convex key", CONVEX_KEY))
    }

    /// The secret of functions that were generated to be public.
    pub(crate) fn migration_secret(&self) -> Result<SecretString> {
        let found = self.get(MIGRATION_SECRET).map(|(_, secret)| secret.into());
        found.ok_or_else(|| missing("the secret of the public functions", MIGRATION_SECRET))
    }
}

fn missing(what: &str, names: &[&str]) -> Error {
    Error::new(ErrorKind::Config, format!("find {what}"))
        .with_remedy(format!("set {} in the environment, .env.local or .env", names.first().unwrap_or(&"")))
}
