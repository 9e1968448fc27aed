//! The endpoints of Convex's snapshot import, one method each.
//!
//! Source: `local_backend/src/snapshot_import.rs` of the Convex backend, and `cli/lib/convexImport.ts` of its official
//! client.

use std::collections::BTreeMap;

use migrate_core::error::{Error, ErrorKind, Result};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::{Method, StatusCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value as Json, json};

use super::import::ImportMode;
use super::numbers::TableNumbers;
use crate::client::{Client, FunctionKind, JSON, refused};
use crate::errors::protocol;
use crate::settings::ConvexSettings;

const BYTES: &str = "application/octet-stream";

/// The permission that imports need, for a key that lacks it.
const PERMISSION: &str = "deployment:backups:import";

/// Calls of the import's endpoints.
#[derive(Debug)]
pub(crate) struct ImportClient {
    client: Client,
}

/// An import as the deployment shows it.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct ImportRow {
    #[serde(rename = "_id")]
    pub(crate) id: String,
    pub(crate) state: ImportState,
}

/// How far an import is.
#[derive(Debug, Clone, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub(crate) enum ImportState {
    /// The file is there, and read for the first time.
    Uploaded {},
    /// The file is read, and nothing is written.
    WaitingForConfirmation {
        #[serde(default)]
        message_to_confirm: Option<String>,
        #[serde(default)]
        require_manual_confirmation: Option<bool>,
    },
    /// Documents are written.
    InProgress {
        #[serde(default)]
        progress_message: Option<String>,
    },
    /// All documents are there.
    Completed {
        #[serde(default)]
        num_rows_written: Json,
    },
    /// Nothing of it is there, but for what was appended.
    Failed {
        #[serde(default)]
        error_message: String,
    },
    /// What a later version of Convex may have.
    #[serde(other)]
    Other,
}

/// A number that the deployment writes as a text of digits, or as a number.
pub(crate) fn count_of(value: &Json) -> Option<u64> {
    match value {
        Json::String(text) => text.parse().ok(),
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "counts are below 2^53")]
        other => other.as_u64().or_else(|| other.as_f64().filter(|count| *count >= 0.0).map(|count| count as u64)),
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Started {
    upload_token: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Finished {
    import_id: String,
}

impl ImportClient {
    pub(crate) fn new(settings: &ConvexSettings) -> Result<Self> {
        Ok(Self { client: Client::new(settings)? })
    }

    pub(crate) async fn check(&self) -> Result<()> {
        self.client.check().await
    }

    /// The number of every table there is.
    pub(crate) async fn table_numbers(&self) -> Result<TableNumbers> {
        let name = "_system/frontend/getTableMapping";
        let tables: BTreeMap<String, String> = self.query(name, json!({ "componentId": null })).await?;
        let number = |(number, table): (String, String)| number.parse().ok().map(|number| (table, number));
        let numbers: Option<Vec<(String, u32)>> = tables.into_iter().map(number).collect();
        let numbers = numbers.ok_or_else(|| protocol(self.client.named(name, false), "read the tables' numbers"))?;
        Ok(TableNumbers::new(numbers))
    }

    /// The last imports, of whoever.
    pub(crate) async fn imports(&self) -> Result<Vec<ImportRow>> {
        self.query("_system/cli/queryImport:list", json!({})).await
    }

    /// One import; none where there is none of that id.
    pub(crate) async fn import(&self, id: &str) -> Result<Option<ImportRow>> {
        self.query("_system/cli/queryImport", json!({ "importId": id })).await
    }

    /// The exact number of a table's documents.
    pub(crate) async fn table_size(&self, table: &str) -> Result<u64> {
        let name = "_system/cli/tableSize";
        let size: Json = self.query(name, json!({ "tableName": table })).await?;
        count_of(&size).ok_or_else(|| protocol(self.client.named(name, false), "read a table's size: it is no number"))
    }

    async fn query<T: DeserializeOwned>(&self, name: &str, args: Json) -> Result<T> {
        let body = json!({ "path": name, "format": "json", "args": args });
        self.client.call(FunctionKind::Query, name, body.to_string().into_bytes()).await
    }

    /// Begins an upload; returns its token.
    pub(crate) async fn start_upload(&self) -> Result<String> {
        let started: Started = self.post("/api/import/start_upload", Some((JSON, b"{}".to_vec())), false).await?;
        Ok(started.upload_token)
    }

    /// Sends a part: a deployment on one machine appends what comes, so that it may arrive once only. Returns the part's token.
    pub(crate) async fn upload_part(&self, token: &str, number: usize, part: Vec<u8>) -> Result<Json> {
        let token = utf8_percent_encode(token, NON_ALPHANUMERIC);
        let path = format!("/api/import/upload_part?uploadToken={token}&partNumber={number}");
        self.post(&path, Some((BYTES, part)), true).await
    }

    /// Ends the upload, which makes an import of it; returns its id.
    pub(crate) async fn finish_upload(&self, token: &str, parts: &[Json], mode: ImportMode) -> Result<String> {
        let import = json!({ "format": "zip", "mode": mode.name() });
        let body = json!({ "import": import, "uploadToken": token, "partTokens": parts });
        let body = body.to_string().into_bytes();
        let finished: Finished = self.post("/api/import/finish_upload", Some((JSON, body)), true).await?;
        Ok(finished.import_id)
    }

    /// Lets an import begin that waits for it; does nothing to one that does not.
    pub(crate) async fn perform(&self, id: &str) -> Result<()> {
        let body = json!({ "importId": id }).to_string().into_bytes();
        self.post::<Json>("/api/perform_import", Some((JSON, body)), false).await.map(|_| ())
    }

    /// Stops an import.
    pub(crate) async fn cancel(&self, id: &str) -> Result<()> {
        let body = json!({ "importId": id }).to_string().into_bytes();
        self.post::<Json>("/api/cancel_import", Some((JSON, body)), false).await.map(|_| ())
    }

    /// Posts; an answer without a body is null. `once` says that the call must not be repeated blindly.
    async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: Option<(&'static str, Vec<u8>)>,
        once: bool,
    ) -> Result<T> {
        // What comes after `?` is a token.
        let shown = path.split('?').next().unwrap_or_default();
        let call = self.client.named(shown, once);
        let reply = self.client.send(call, Method::POST, path, true, body).await?;
        if reply.status != StatusCode::OK {
            let error = refused(call, &reply);
            let is_forbidden = error.kind() == ErrorKind::Forbidden;
            return Err(if is_forbidden {
                error.with_remedy(format!("give it a key with {PERMISSION}"))
            } else {
                error
            });
        }
        let answer: &[u8] = if reply.body.is_empty() { b"null" } else { &reply.body };
        serde_json::from_slice(answer).map_err(|_| protocol(call, "read the answer: it has another shape"))
    }
}

const NOT_EMPTY: &str = "import into tables that have documents";
const USE_A_MODE: &str = "add --import-mode replace to drop them, or --import-mode append to keep them";
const NUMBERS_IN_USE: &str = "import tables whose numbers are in use";
const READ_NUMBERS: &str = "begin anew with --fresh, which reads the deployment's numbers";

/// Beginnings and parts of an import's failure, by which it is told apart without repeating its text, which may hold
/// values of rows. Source: `snapshot_import/import_error.rs` and `import_facing.rs` of the backend.
const FAILURES: &[(&str, &str, &str)] = &[
    ("unexpected token at 'uniform'", OLD_DEPLOYMENT, "update the deployment, or use the older encoding"),
    ("already exists", NOT_EMPTY, USE_A_MODE),
    (
        "still backfilling",
        "import while indexes are being made",
        "wait until the dashboard shows all indexes as ready, then run the same command",
    ),
    (
        "schema has changed",
        "import while the schema changed",
        "run the same command again when no deployment is under way",
    ),
    (
        "does not match the schema",
        "import documents that the deployment's schema refuses",
        "deploy the generated schema, and run the same command",
    ),
    ("took too long", "import in the time that Convex gives", "import fewer tables at once: --tables"),
    ("conflict with existing", NUMBERS_IN_USE, READ_NUMBERS),
    ("with table number", NUMBERS_IN_USE, READ_NUMBERS),
    ("was already assigned", NUMBERS_IN_USE, READ_NUMBERS),
    ("have a different format", "import documents whose ids are of other tables", READ_NUMBERS),
    (
        "referenced by",
        "import a table that the deployment's other tables refer to",
        "import those tables too, or take the references out of the deployment's schema",
    ),
    ("anceled", "import: it was cancelled", "run the same command to import again"),
];

/// The error for tables that must be empty and are not.
pub(crate) fn not_empty() -> Error {
    Error::new(ErrorKind::Config, NOT_EMPTY).with_remedy(USE_A_MODE)
}

/// The message of a deployment that does not know the uniform encoding.
pub(crate) const OLD_DEPLOYMENT: &str = "import into a deployment that is older than the uniform encoding";

/// The error for an import that failed.
pub(crate) fn import_failure(text: &str) -> Error {
    let known = FAILURES.iter().find(|(sign, ..)| text.contains(sign));
    let (message, remedy) = known.map_or(
        ("import: the deployment refused the file", "see the import's message in the dashboard"),
        |&(_, message, remedy)| (message, remedy),
    );
    let kind = if message == OLD_DEPLOYMENT { ErrorKind::Protocol } else { ErrorKind::Config };
    Error::new(kind, message).with_remedy(remedy)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_are_told_apart_without_their_text() {
        let old = import_failure(
            "Hit an error while importing:\ncannot parse t/generated_schema.jsonl: unexpected token at 'uniform'",
        );
        assert_eq!(old.message(), OLD_DEPLOYMENT);
        for text in [
            "The import has IDs that conflict with existing table `orders`",
            "conflict between `orders` with table number 10008",
            "wants table number 10008 but was already assigned",
        ] {
            assert_eq!(import_failure(text).message(), NUMBERS_IN_USE, "{text}");
        }
        let other = import_failure("Hit an error while importing:\nCANARY").to_string();
        assert!(!other.contains("CANARY"), "{other}");
    }

    #[test]
    fn counts_are_texts_or_numbers() {
        assert_eq!(count_of(&json!("12")), Some(12));
        assert_eq!(count_of(&json!(12)), Some(12));
        assert_eq!(count_of(&json!(12.0)), Some(12));
        assert_eq!(count_of(&json!(null)), None);
    }
}
