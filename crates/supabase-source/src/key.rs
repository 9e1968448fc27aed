//! Kinds of API keys, told apart by their form, and the headers each goes in.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use migrate_core::{Error, ErrorKind, Result};
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;

const APIKEY: HeaderName = HeaderName::from_static("apikey");

/// Roles of a legacy key that row-level security does not apply to (Supabase docs, "Understanding API keys").
const ROLES_PAST_ROW_SECURITY: &[&str] = &["service_role", "supabase_admin", "postgres"];

const WHERE_KEYS_ARE: &str =
    "take a secret key (sb_secret_…) or the legacy service_role key from the project's API keys page";

/// What kind of key was given, by its form alone. It never holds the key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyKind {
    /// `sb_secret_…`: full rights, goes into `apikey` alone.
    Secret,
    /// `sb_publishable_…`: the rights of a visitor, goes into `apikey` alone.
    Publishable,
    /// A legacy JWT, goes into `apikey` and `Authorization`.
    Jwt {
        /// Its `role` claim, such as `service_role` or `anon`; read, not verified.
        role: Option<String>,
    },
}

#[derive(Deserialize)]
struct Claims {
    role: Option<String>,
}

impl KeyKind {
    /// Tells the kind of a key by its form; the payload of a JWT is decoded locally, its signature is not checked.
    ///
    /// # Errors
    /// `Config` for a Management API token (`sbp_…`) and for anything that is no key.
    pub fn of(key: &str) -> Result<Self> {
        let config = |message: &str| Error::new(ErrorKind::Config, message).with_remedy(WHERE_KEYS_ARE);
        if key.is_empty() {
            return Err(config("use an empty Supabase key"));
        }
        if !key.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(config("use a Supabase key that holds spaces or characters outside ASCII"));
        }
        if key.starts_with("sb_secret_") {
            return Ok(Self::Secret);
        }
        if key.starts_with("sb_publishable_") {
            return Ok(Self::Publishable);
        }
        if key.starts_with("sbp_") {
            return Err(config("use an access token of the Management API (sbp_…) as a key of the data API"));
        }
        let mut parts = key.split('.');
        match (parts.next(), parts.next(), parts.next(), parts.next()) {
            (Some(header), Some(payload), Some(_), None) if header.starts_with("eyJ") => {
                let claims = URL_SAFE_NO_PAD.decode(payload).ok();
                let claims = claims.and_then(|json| serde_json::from_slice::<Claims>(&json).ok());
                let Claims { role } = claims.ok_or_else(|| config("decode the claims of the Supabase key, a JWT"))?;
                Ok(Self::Jwt { role })
            }
            _ => Err(config("recognise the Supabase key: it is neither sb_secret_…, sb_publishable_… nor a JWT")),
        }
    }

    /// Whether row-level security lets the key see every row. A custom role is taken not to.
    #[must_use]
    pub fn sees_everything(&self) -> bool {
        match self {
            Self::Secret => true,
            Self::Publishable | Self::Jwt { role: None } => false,
            Self::Jwt { role: Some(role) } => ROLES_PAST_ROW_SECURITY.contains(&role.as_str()),
        }
    }

    /// The database role that a grant must name for this key.
    #[must_use]
    pub fn role(&self) -> &str {
        match self {
            Self::Secret => "service_role",
            Self::Publishable | Self::Jwt { role: None } => "anon",
            Self::Jwt { role: Some(role) } => role,
        }
    }

    /// The headers it is sent in, for messages.
    pub(crate) fn headers_named(&self) -> &'static str {
        match self {
            Self::Secret | Self::Publishable => "the apikey header alone",
            Self::Jwt { .. } => "the headers apikey and Authorization",
        }
    }
}

impl fmt::Display for KeyKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Secret => f.write_str("a secret key (sb_secret_…)"),
            Self::Publishable => f.write_str("a publishable key (sb_publishable_…)"),
            Self::Jwt { role: Some(role) } => write!(f, "a legacy JWT key of the role {role}"),
            Self::Jwt { role: None } => f.write_str("a JWT without a role"),
        }
    }
}

/// The kind of `key` and the headers it goes in, marked sensitive so that nothing prints them.
///
/// An `sb_…` key in `Authorization` is refused as "not a JWT", so it goes into `apikey` alone; a JWT goes into both
/// (Supabase docs, "API keys", known limitations).
///
/// # Errors
/// As [`KeyKind::of`].
pub(crate) fn headers(key: &SecretString) -> Result<(KeyKind, HeaderMap)> {
    let text = key.expose_secret().trim();
    let kind = KeyKind::of(text)?;
    let mut headers = HeaderMap::new();
    headers.insert(APIKEY, sensitive(text)?);
    if matches!(kind, KeyKind::Jwt { .. }) {
        headers.insert(AUTHORIZATION, sensitive(&format!("Bearer {text}"))?);
    }
    Ok((kind, headers))
}

fn sensitive(text: &str) -> Result<HeaderValue> {
    let mut value = HeaderValue::from_str(text)
        .map_err(|_| Error::new(ErrorKind::Config, "put the Supabase key into a header").with_remedy(WHERE_KEYS_ARE))?;
    value.set_sensitive(true);
    Ok(value)
}

/// Refuses a key that row-level security blinds: it would answer 200 and leave rows out, without a sign.
///
/// # Errors
/// `Config` naming the kind of key, unless `allow_partial`.
pub(crate) fn require_full_sight(kind: &KeyKind, allow_partial: bool) -> Result<()> {
    if allow_partial || kind.sees_everything() {
        return Ok(());
    }
    Err(Error::new(ErrorKind::Config, format!("trust {kind}: row-level security silently hides rows from it"))
        .with_remedy(format!("{WHERE_KEYS_ARE}, or pass --allow-partial to migrate only the rows that this key sees")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn jwt(payload: &str) -> String {
        format!("eyJhbGciOiJIUzI1NiJ9.{}.c2ln", URL_SAFE_NO_PAD.encode(payload))
    }

    #[test]
    fn kinds_are_told_apart_by_form() {
        let service = jwt(r#"{"role":"service_role","iss":"supabase"}"#);
        let anon = jwt(r#"{"role":"anon"}"#);
        assert_eq!(KeyKind::of("sb_secret_abc").unwrap(), KeyKind::Secret);
        assert_eq!(KeyKind::of("sb_publishable_abc").unwrap(), KeyKind::Publishable);
        assert!(KeyKind::of(&service).unwrap().sees_everything());
        assert!(!KeyKind::of(&anon).unwrap().sees_everything());
        assert_eq!(KeyKind::of(&anon).unwrap().role(), "anon");
        assert!(!KeyKind::of(&jwt("{}")).unwrap().sees_everything());
        assert!(!KeyKind::of(&jwt(r#"{"role":"reporting"}"#)).unwrap().sees_everything());
    }

    #[test]
    fn what_is_no_key_is_a_configuration_error_that_does_not_show_it() {
        for key in ["", "sbp_0123456789", "hunter2", "eyJhbGciOiJIUzI1NiJ9.%%%.x", "sb_secret_a b", "eyJ.a.b.c"] {
            let error = KeyKind::of(key).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Config, "{key}");
            assert!(key.is_empty() || !format!("{error} {error:?}").contains(key), "{key}");
        }
        assert!(KeyKind::of("sbp_x").unwrap_err().message().contains("Management API"));
    }

    #[test]
    fn headers_follow_the_generation_and_are_sensitive() {
        let (_, headers) = headers(&"sb_secret_abc\n".into()).unwrap();
        assert_eq!(headers["apikey"], "sb_secret_abc");
        assert!(!headers.contains_key(AUTHORIZATION));
        assert!(!format!("{headers:?}").contains("abc"));
        let service = jwt(r#"{"role":"service_role"}"#);
        let (_, headers) = super::headers(&service.clone().into()).unwrap();
        assert_eq!(headers["apikey"], service.as_str());
        assert_eq!(headers[AUTHORIZATION], format!("Bearer {service}").as_str());
    }

    #[test]
    fn a_blinded_key_needs_consent() {
        let error = require_full_sight(&KeyKind::Publishable, false).unwrap_err();
        assert!(error.remedy().unwrap().contains("--allow-partial"));
        assert!(require_full_sight(&KeyKind::Publishable, true).is_ok());
        assert!(require_full_sight(&KeyKind::Secret, false).is_ok());
    }
}
