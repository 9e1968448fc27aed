use sha2::{Digest, Sha256};

use super::{Plan, RunConfig};
use crate::catalog::hex;
use crate::error::{Error, ErrorKind, Result};

/// SHA-256, in hex, of everything in a plan that decides what comes out: not of its fingerprint, and not of the run's
/// settings, which may change between a run and its continuation.
pub(super) fn fingerprint(plan: &Plan) -> Result<String> {
    let decides = Plan { fingerprint: String::new(), run: RunConfig::default(), ..plan.clone() };
    let text = serde_json::to_string(&decides)
        .map_err(|error| Error::new(ErrorKind::Unexpected, "write the plan as JSON").with_source(error))?;
    Ok(hex(&Sha256::digest(text.as_bytes())))
}
