//! What is made of a deployment's bytes, as a plain function of them: for fuzzing.

use migrate_core::Result;

use crate::client::read_answer;
use crate::errors::Call;

/// The value of an answer to a mutation.
///
/// # Errors
/// As a call that gets this answer.
pub fn read_mutation(status: u16, body: &[u8]) -> Result<serde_json::Value> {
    let call = Call {
        name: "migration/migrate:bulkInsertThings",
        writes: true,
        key_name: "CONVEX_DEPLOY_KEY",
        deploy_command: "npx convex deploy",
    };
    read_answer(call, status, None, body)
}
