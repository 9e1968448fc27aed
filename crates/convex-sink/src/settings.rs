//! Where a deployment is, with which key it is called, and how much at once.

use std::time::Duration;

use migrate_core::error::{Error, ErrorKind, Result};
use migrate_core::names::{FieldName, TableName};
use migrate_core::plan::LegacyIds;
use reqwest::header::HeaderValue;
use secrecy::{ExposeSecret as _, SecretString};
use url::{Host, Url};

use crate::names::{identifier_fault, module_fault};

/// Name of the key in messages, where the caller names none.
pub const DEFAULT_KEY_NAME: &str = "CONVEX_DEPLOY_KEY or CONVEX_SELF_HOSTED_ADMIN_KEY";

/// Records that one generated mutation takes: its reads and writes stay far below the limits of one transaction.
pub(crate) const MAX_BATCH_RECORDS: usize = 1000;

/// Characters that the secret of public functions has at least.
pub(crate) const SECRET_LENGTH: usize = 32;

/// Settings of a [`crate::ConvexSink`]. [`ConvexSettings::new`] fills in everything but address and key.
#[derive(Debug, Clone)]
pub struct ConvexSettings {
    /// The deployment's address, such as `https://happy-animal-123.convex.cloud`.
    pub url: String,
    /// The deploy key, or a self-hosted deployment's admin key.
    pub admin_key: SecretString,
    /// What the key is called where the user set it, for messages.
    pub admin_key_name: String,
    /// The deployment's `MIGRATION_SECRET`, for functions that were generated to be public. Where it is set, it is sent
    /// as an argument, and no key is.
    pub secret: Option<SecretString>,
    /// Module of the generated functions.
    pub module: String,
    /// Field that keeps the row's key in every document, or, with [`LegacyIds::SideTable`], only in what is sent.
    pub legacy_id_field: FieldName,
    /// Where the rows' keys are kept.
    pub legacy_ids: LegacyIds,
    /// Records in one batch; at most 1,000.
    pub batch_records: usize,
    /// Batches on the way at once.
    pub in_flight: usize,
    /// Adopted tables with their index, whose `lookup` a check tries.
    pub lookup_tables: Vec<(TableName, String)>,
    /// Tables with cut references, whose second-pass mutation a check tries.
    pub patch_tables: Vec<TableName>,
    /// Send the key over plain http to a host that is not this machine.
    pub allow_http: bool,
    /// How long to wait for a connection.
    pub connect_timeout: Duration,
    /// How long to wait for a call's answer; a deployment gives up after 300 seconds itself.
    pub call_timeout: Duration,
}

impl ConvexSettings {
    /// The usual settings for a deployment.
    pub fn new(url: impl Into<String>, admin_key: SecretString) -> Self {
        Self {
            url: url.into(),
            admin_key,
            admin_key_name: DEFAULT_KEY_NAME.to_owned(),
            secret: None,
            module: "migration/migrate".to_owned(),
            legacy_id_field: FieldName::from("supabaseId"),
            legacy_ids: LegacyIds::default(),
            batch_records: MAX_BATCH_RECORDS,
            in_flight: 4,
            lookup_tables: Vec::new(),
            patch_tables: Vec::new(),
            allow_http: false,
            connect_timeout: Duration::from_secs(10),
            call_timeout: Duration::from_secs(310),
        }
    }

    /// The usual settings for a deployment whose functions are public and ask for a secret.
    pub fn with_secret(url: impl Into<String>, secret: SecretString) -> Self {
        Self { secret: Some(secret), ..Self::new(url, SecretString::default()) }
    }

    /// What the key says of its deployment.
    #[must_use]
    pub fn deployment_kind(&self) -> DeploymentKind {
        DeploymentKind::of_key(self.admin_key.expose_secret().trim())
    }

    /// The name of the hosted deployment that the key is of, which stands before its secret: `prod:name|…`.
    pub(crate) fn named_deployment(&self) -> Option<&str> {
        let (name, _) = self.admin_key.expose_secret().trim().split_once('|')?;
        name.strip_prefix("prod:").or_else(|| name.strip_prefix("dev:"))
    }

    /// True when the key is of a production deployment.
    #[must_use]
    pub fn is_production_key(&self) -> bool {
        self.deployment_kind() == DeploymentKind::Production
    }

    /// Proves that names and numbers can be used.
    pub(crate) fn validate(&self) -> Result<()> {
        if let Some(fault) = module_fault(&self.module) {
            return Err(config(format!("use the module {:?}: {fault}", self.module))
                .with_remedy("set convex.module to a name such as \"migration/migrate\""));
        }
        if let Some(fault) = identifier_fault(self.legacy_id_field.as_str()) {
            return Err(config(format!("use the legacy id field {:?}: {fault}", self.legacy_id_field.as_str()))
                .with_remedy("set convex.legacy_id_field to a name such as \"supabaseId\""));
        }
        if let Some(secret) = &self.secret
            && secret.expose_secret().encode_utf16().count() < SECRET_LENGTH
        {
            return Err(config(format!("use a migration secret of fewer than {SECRET_LENGTH} characters")).with_remedy(
                "make a random one, and set it as MIGRATION_SECRET here and with `npx convex env set` in the deployment",
            ));
        }
        if self.batch_records == 0 || self.in_flight == 0 {
            return Err(config("use a batch of no records, or no batch in flight")
                .with_remedy("set run.batch_records and run.in_flight to 1 or more"));
        }
        Ok(())
    }

    /// The address, without a slash at its end.
    ///
    /// The hint on `.convex.site` is the official client's: HTTP actions live there, functions do not.
    pub(crate) fn base_url(&self) -> Result<Url> {
        let remedy = "give the deployment's address, such as https://happy-animal-123.convex.cloud";
        let mut url = Url::parse(self.url.trim())
            .map_err(|error| config(format!("read the Convex address: {error}")).with_remedy(remedy))?;
        let host = url.host_str().unwrap_or_default().to_owned();
        if !matches!(url.scheme(), "http" | "https") || host.is_empty() {
            return Err(config("use a Convex address that is neither https nor http").with_remedy(remedy));
        }
        if !url.username().is_empty() || url.password().is_some() || url.query().is_some() || url.fragment().is_some() {
            return Err(config("use a Convex address with a user, a query or a fragment").with_remedy(remedy));
        }
        if host.ends_with(".convex.site") {
            return Err(config("call functions at a .convex.site address, which serves HTTP actions only")
                .with_remedy("use the deployment's .convex.cloud address instead"));
        }
        if url.scheme() == "http" && !self.allow_http && !is_loopback(&url) {
            return Err(config("send the deploy key over plain http")
                .with_context("host", host)
                .with_remedy("use https, or allow http for this deployment if the network between is your own"));
        }
        let path = url.path().trim_end_matches('/').to_owned();
        url.set_path(&path);
        Ok(url)
    }

    /// The value of the `Authorization` header.
    ///
    /// Key texts: `common/src/types/admin_key.rs` and the documentation's "Deploy key types".
    pub(crate) fn authorization(&self) -> Result<HeaderValue> {
        let key = self.admin_key.expose_secret().trim();
        let name = &self.admin_key_name;
        if key.is_empty() {
            return Err(config(format!("find a deploy key in {name}"))
                .with_remedy("create one in the dashboard under Settings, Deploy keys"));
        }
        let prefix = key.split('|').next().unwrap_or_default();
        if prefix.starts_with("preview:") || prefix.starts_with("project:") {
            let class = prefix.split(':').next().unwrap_or_default();
            return Err(config(format!(
                "call a deployment with a {class} key, which is not the key of one deployment"
            ))
            .with_context("key", name)
            .with_remedy("create a production or development deploy key of the deployment itself"));
        }
        if key.contains(':') && !key.contains('|') {
            return Err(config("use a deploy key that ends before its `|`")
                .with_context("key", name)
                .with_remedy("copy the whole key, and put it in quotes where a shell reads it"));
        }
        let mut value = HeaderValue::from_str(&format!("Convex {key}")).map_err(|_| {
            config("use a deploy key with characters that a header cannot have")
                .with_context("key", name)
                .with_remedy("copy the key again, in one line")
        })?;
        value.set_sensitive(true);
        Ok(value)
    }
}

/// What a key says of its deployment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeploymentKind {
    /// `prod:name|…`
    Production,
    /// `dev:name|…`
    Development,
    /// `name|…`: self-hosted, or a key that does not say.
    Other,
}

impl DeploymentKind {
    fn of_key(key: &str) -> Self {
        match key.split_once(':') {
            Some(("prod", _)) => Self::Production,
            Some(("dev", _)) => Self::Development,
            _ => Self::Other,
        }
    }

    /// The command that deploys functions there.
    #[must_use]
    pub fn deploy_command(self) -> &'static str {
        match self {
            Self::Development => "npx convex dev --once",
            Self::Production | Self::Other => "npx convex deploy",
        }
    }
}

pub(crate) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        None => false,
    }
}

fn config(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Config, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(url: &str, key: &str) -> ConvexSettings {
        ConvexSettings::new(url, SecretString::from(key))
    }

    #[test]
    fn addresses() {
        let good = [
            ("https://happy-animal-123.convex.cloud/", "https://happy-animal-123.convex.cloud/"),
            ("http://127.0.0.1:3210", "http://127.0.0.1:3210/"),
            ("http://[::1]:3210", "http://[::1]:3210/"),
            ("http://app.localhost:1", "http://app.localhost:1/"),
            (" https://proxy.example/convex/ ", "https://proxy.example/convex"),
        ];
        for (text, expected) in good {
            assert_eq!(settings(text, "k").base_url().unwrap().as_str(), expected);
        }
        for bad in [
            "happy-animal-123",
            "ftp://a.example",
            "http://a.example",
            "http://127.0.0.1.example",
            "https://user:pw@a.example",
            "https://a.example?adminKey=x",
        ] {
            assert_eq!(settings(bad, "k").base_url().unwrap_err().kind(), ErrorKind::Config, "{bad}");
        }
        let site = settings("https://happy-animal-123.convex.site", "k").base_url().unwrap_err();
        assert!(site.to_string().contains(".convex.cloud"), "{site}");
        let mut open = settings("http://a.example", "k");
        open.allow_http = true;
        assert!(open.base_url().is_ok());
    }

    #[test]
    fn keys() {
        for (key, kind) in [
            ("prod:happy-animal-123|CANARY", DeploymentKind::Production),
            ("dev:happy-animal-123|CANARY", DeploymentKind::Development),
            ("convex-self-hosted|CANARY", DeploymentKind::Other),
            ("0135CANARY", DeploymentKind::Other),
        ] {
            let settings = settings("https://a.example", key);
            assert_eq!(settings.deployment_kind(), kind);
            assert_eq!(settings.is_production_key(), kind == DeploymentKind::Production);
            let header = settings.authorization().unwrap();
            assert_eq!(header.to_str().unwrap(), format!("Convex {key}"));
            assert!(!format!("{header:?} {settings:?}").contains("CANARY"));
        }
        for bad in ["", "preview:team:project|CANARY", "project:team:project|CANARY", "prod:CANARY", "a|CAN\nARY"] {
            let error = settings("https://a.example", bad).authorization().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Config, "{bad}");
            assert!(!format!("{error} {error:?}").contains("CANARY"), "{error}");
        }
    }

    #[test]
    fn names_and_numbers() {
        let good = settings("https://a.example", "k");
        assert!(good.validate().is_ok());
        assert!(ConvexSettings { module: "../x".into(), ..good.clone() }.validate().is_err());
        assert!(ConvexSettings { legacy_id_field: FieldName::from("_id"), ..good.clone() }.validate().is_err());
        assert!(ConvexSettings { in_flight: 0, ..good }.validate().is_err());
    }

    #[test]
    fn secrets() {
        let with = |secret: &str| ConvexSettings::with_secret("https://a.example", SecretString::from(secret));
        let long = with("CANARY-0123456789-0123456789-0123456789");
        assert!(long.validate().is_ok());
        assert!(!format!("{long:?}").contains("CANARY"));
        let error = with("CANARY").validate().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config);
        assert!(!format!("{error} {error:?}").contains("CANARY"), "{error}");
    }
}
