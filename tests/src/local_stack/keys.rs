//! Supabase's API keys: opaque `sb_…` keys, and the JWTs that stand behind them.

use std::fmt::Write as _;
use std::hash::{BuildHasher, Hasher, RandomState};

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::json;
use sha2::Sha256;

/// When the keys' tokens end: 2032, as with Supabase's own local stack.
const EXPIRES: u64 = 1_983_812_996;

/// The keys of one Supabase project.
#[derive(Debug, Clone)]
pub(super) struct Keys {
    pub(super) jwt_secret: String,
    pub(super) secret: String,
    pub(super) publishable: String,
    pub(super) service_role_jwt: String,
    pub(super) anon_jwt: String,
}

impl Keys {
    /// New keys that no other project has.
    pub(super) fn random() -> Self {
        let jwt_secret = random_hex(48);
        Self {
            secret: format!("sb_secret_{}_{}", random_hex(22), random_hex(8)),
            publishable: format!("sb_publishable_{}_{}", random_hex(22), random_hex(8)),
            service_role_jwt: sign(&jwt_secret, "service_role"),
            anon_jwt: sign(&jwt_secret, "anon"),
            jwt_secret,
        }
    }
}

/// An HS256 token for `role` (RFC 7515).
pub(super) fn sign(secret: &str, role: &str) -> String {
    let header = json!({ "alg": "HS256", "typ": "JWT" });
    let claims = json!({ "iss": "supabase-demo", "role": role, "exp": EXPIRES });
    let encode = |bytes: &[u8]| BASE64_URL_SAFE_NO_PAD.encode(bytes);
    let signed = format!("{}.{}", encode(header.to_string().as_bytes()), encode(claims.to_string().as_bytes()));
    let signature = match Hmac::<Sha256>::new_from_slice(secret.as_bytes()) {
        Ok(mac) => mac.chain_update(signed.as_bytes()).finalize().into_bytes(),
        Err(_) => unreachable!("HMAC takes keys of any length"),
    };
    format!("{signed}.{}", encode(&signature))
}

/// Hexadecimal digits from the seeds of the standard library's hash maps: unique, which is all that tests need.
pub(super) fn random_hex(length: usize) -> String {
    let mut text = String::new();
    while text.len() < length {
        // Writing to a string does not fail.
        let _ = write!(text, "{:016x}", RandomState::new().build_hasher().finish());
    }
    text.truncate(length);
    text
}
