//! Addresses and keys: flag, then process environment, then `.env.local`, then `.env`, then the configuration.

use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};

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

/// Where a setting comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Origin {
    /// The command line.
    Flag,
    /// The environment of this process.
    Environment,
    /// An environment file beside the project.
    File(PathBuf),
    /// The configuration.
    Config,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag => f.write_str("the command line"),
            Self::Environment => f.write_str("the environment"),
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Config => f.write_str("the configuration"),
        }
    }
}

/// A setting that was found, with where. It has no debug form: most are secrets.
pub(crate) struct Setting {
    pub(crate) name: &'static str,
    pub(crate) value: String,
    pub(crate) origin: Origin,
    /// Where the same name has another value, which does not count.
    pub(crate) shadowed: Vec<Origin>,
}

/// What is asked of the environment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SettingKind {
    SupabaseUrl,
    SupabaseKey,
    DatabaseUrl,
    ConvexUrl,
    ConvexKey,
    MigrationSecret,
}

impl SettingKind {
    /// The names it goes by, in the order they count.
    pub(crate) fn names(self) -> &'static [&'static str] {
        match self {
            Self::SupabaseUrl => SUPABASE_URL,
            Self::SupabaseKey => SUPABASE_KEY,
            Self::DatabaseUrl => DATABASE_URL,
            Self::ConvexUrl => CONVEX_URL,
            Self::ConvexKey => CONVEX_KEY,
            Self::MigrationSecret => MIGRATION_SECRET,
        }
    }
}

/// The variables of an environment file.
struct EnvironmentFile {
    path: PathBuf,
    pairs: HashMap<String, String>,
}

/// What the environment and the `.env` files beside a project say.
pub(crate) struct Environment {
    files: Vec<EnvironmentFile>,
}

impl Environment {
    /// Reads `.env.local` and `.env` in `folder`, where they are.
    pub(crate) fn read(folder: &Path) -> Result<Self> {
        match Self::read_all(folder) {
            (environment, None) => Ok(environment),
            (_, Some(error)) => Err(error),
        }
    }

    /// As [`Environment::read`], without the files that cannot be read, and the error of the first of them.
    pub(crate) fn read_all(folder: &Path) -> (Self, Option<Error>) {
        let (mut files, mut failed) = (Vec::new(), None);
        for name in [".env.local", ".env"] {
            let path = folder.join(name);
            if !path.exists() {
                continue;
            }
            let pairs = dotenvy::from_path_iter(&path).and_then(Iterator::collect);
            match pairs {
                Ok(pairs) => files.push(EnvironmentFile { path, pairs }),
                Err(_) if failed.is_some() => {}
                Err(_) => {
                    let error = Error::new(ErrorKind::Config, "read the environment file");
                    failed = Some(error.with_context("file", path.display()));
                }
            }
        }
        (Self { files }, failed)
    }

    /// The first of the setting's names that is set and not empty: in the process, then in one file after the other.
    pub(crate) fn find(&self, kind: SettingKind) -> Option<Setting> {
        #[expect(clippy::disallowed_methods, reason = "this is the one place that reads the environment")]
        let process = |name: &str| std::env::var(name).ok();
        let places = std::iter::once((Origin::Environment, None))
            .chain(self.files.iter().map(|file| (Origin::File(file.path.clone()), Some(&file.pairs))));
        let mut found: Option<Setting> = None;
        for (origin, file) in places {
            let get = |name: &str| {
                let value = file.map_or_else(|| process(name), |pairs| pairs.get(name).cloned())?;
                Some(value.trim().to_owned()).filter(|value| !value.is_empty())
            };
            match &mut found {
                Some(setting) if get(setting.name).is_some_and(|value| value != setting.value) => {
                    setting.shadowed.push(origin);
                }
                Some(_) => {}
                None => {
                    let first = kind.names().iter().find_map(|name| Some((*name, get(name)?)));
                    found = first.map(|(name, value)| Setting { name, value, origin, shadowed: Vec::new() });
                }
            }
        }
        found
    }

    /// The setting, or the address that the configuration gives for it.
    pub(crate) fn find_address(
        &self,
        kind: SettingKind,
        configured: Option<&str>,
        place: &'static str,
    ) -> Option<Setting> {
        let of_config = |value: &str| Setting {
            name: place,
            value: value.to_owned(),
            origin: Origin::Config,
            shadowed: Vec::new(),
        };
        self.find(kind).or_else(|| configured.map(of_config))
    }

    pub(crate) fn supabase_url(&self, configured: Option<&str>) -> Result<String> {
        self.address(SettingKind::SupabaseUrl, configured, "the Supabase project's address")
    }

    pub(crate) fn convex_url(&self, configured: Option<&str>) -> Result<String> {
        self.address(SettingKind::ConvexUrl, configured, "the Convex deployment's address")
    }

    fn address(&self, kind: SettingKind, configured: Option<&str>, what: &str) -> Result<String> {
        let found = self.find(kind).map(|setting| setting.value);
        found.or_else(|| configured.map(str::to_owned)).ok_or_else(|| missing(what, kind))
    }

    pub(crate) fn supabase_key(&self) -> Result<SecretString> {
        self.secret(SettingKind::SupabaseKey, "the Supabase key")
    }

    /// The connection string of the project's Postgres, where one is set.
    pub(crate) fn database_url(&self) -> Option<SecretString> {
        self.find(SettingKind::DatabaseUrl).map(|setting| setting.value.into())
    }

    /// The key and the name it was set by.
    pub(crate) fn convex_key(&self) -> Result<(&'static str, SecretString)> {
        let kind = SettingKind::ConvexKey;
        let found = self.find(kind).map(|setting| (setting.name, setting.value.into()));
        found.ok_or_else(|| missing("the Convex key", kind))
    }

    /// The secret of functions that were generated to be public.
    pub(crate) fn migration_secret(&self) -> Result<SecretString> {
        self.secret(SettingKind::MigrationSecret, "the secret of the public functions")
    }

    fn secret(&self, kind: SettingKind, what: &str) -> Result<SecretString> {
        self.find(kind).map(|setting| setting.value.into()).ok_or_else(|| missing(what, kind))
    }
}

fn missing(what: &str, kind: SettingKind) -> Error {
    let name = kind.names().first().unwrap_or(&"");
    Error::new(ErrorKind::Config, format!("find {what}"))
        .with_remedy(format!("set {name} in the environment, .env.local or .env"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_file_wins_and_the_other_is_told() {
        let folder = tempfile::TempDir::new().unwrap();
        let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        write(".env.local", "CONVEX_URL=https://one.convex.cloud\nMIGRATION_SECRET=same\nCONVEX_DEPLOY_KEY=\n");
        write(".env", "CONVEX_URL=https://other.convex.cloud\nMIGRATION_SECRET=same\nCONVEX_DEPLOY_KEY=key\n");
        let (environment, failed) = Environment::read_all(folder.path());
        assert!(failed.is_none());
        let file = |name: &str| Origin::File(folder.path().join(name));
        let found = |kind| {
            let setting = environment.find(kind).unwrap();
            (setting.value, setting.origin, setting.shadowed)
        };
        let (value, origin, shadowed) = found(SettingKind::ConvexUrl);
        assert_eq!(
            (value.as_str(), origin, shadowed),
            ("https://one.convex.cloud", file(".env.local"), vec![file(".env")])
        );
        assert_eq!(found(SettingKind::MigrationSecret), ("same".to_owned(), file(".env.local"), Vec::new()));
        assert_eq!(found(SettingKind::ConvexKey), ("key".to_owned(), file(".env"), Vec::new()));
        let configured = environment.find_address(SettingKind::SupabaseUrl, Some("https://x"), "supabase.url").unwrap();
        assert_eq!((configured.name, configured.origin), ("supabase.url", Origin::Config));
    }

    #[test]
    fn a_broken_file_leaves_the_other_readable() {
        let folder = tempfile::TempDir::new().unwrap();
        std::fs::write(folder.path().join(".env.local"), "MIGRATION_SECRET='hunter2\n").unwrap();
        std::fs::write(folder.path().join(".env"), "CONVEX_DEPLOY_KEY=key\n").unwrap();
        let (environment, failed) = Environment::read_all(folder.path());
        assert!(environment.find(SettingKind::ConvexKey).is_some());
        let error = failed.unwrap().to_string();
        assert!(error.contains(".env.local") && !error.contains("hunter2"), "{error}");
        assert!(Environment::read(folder.path()).is_err());
    }
}
