//! The row that tells how an import stands (convex-backend, `crates/model/src/snapshot_imports/types.rs`).

use std::{collections::BTreeMap, path::PathBuf};

use serde::Deserialize;
use serde_json::{Value, json};

use crate::convex_bench::protocol::Format;

/// What becomes of documents that are there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Mode {
    #[default]
    RequireEmpty,
    Append,
    Replace,
    ReplaceAll,
}

/// An import from the end of its upload on.
#[derive(Debug)]
pub(super) struct ImportRow {
    pub(super) id: String,
    pub(super) creation_time: f64,
    pub(super) mode: Mode,
    pub(super) archive: PathBuf,
    pub(super) state: State,
    /// By table; none before the archive is read.
    pub(super) checkpoints: Option<BTreeMap<String, Checkpoint>>,
}

/// How far an import is.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum State {
    Uploaded,
    Waiting { message: String, is_destructive: bool },
    InProgress { message: String, done: Vec<String> },
    Completed { timestamp: i64, rows: u64 },
    Failed { message: String },
}

impl State {
    /// Whether nothing more will happen.
    pub(super) fn is_final(&self) -> bool {
        matches!(self, Self::Completed { .. } | Self::Failed { .. })
    }
}

/// How far a table is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Checkpoint {
    pub(super) written: u64,
    pub(super) to_write: u64,
    pub(super) existing: u64,
    pub(super) to_delete: u64,
    pub(super) is_missing_id: bool,
}

impl ImportRow {
    /// The row as `_system/cli/queryImport` gives it.
    pub(super) fn to_json(&self, format: Format) -> Value {
        let count = |count: u64| format.integer(i64::try_from(count).unwrap_or(i64::MAX));
        let state = match &self.state {
            State::Uploaded => json!({ "state": "uploaded" }),
            State::Waiting { message, is_destructive } => json!({
                "state": "waiting_for_confirmation",
                "message_to_confirm": message,
                "require_manual_confirmation": is_destructive,
            }),
            State::InProgress { message, done } => json!({
                "state": "in_progress",
                "progress_message": message,
                "checkpoint_messages": done,
            }),
            State::Completed { timestamp, rows } => json!({
                "state": "completed",
                "timestamp": format.integer(*timestamp),
                "num_rows_written": count(*rows),
            }),
            State::Failed { message } => json!({ "state": "failed", "error_message": message }),
        };
        let table = |(name, checkpoint): (&String, &Checkpoint)| {
            json!({
                "display_table_name": name,
                "component_path": null,
                "num_rows_written": count(checkpoint.written),
                "total_num_rows_to_write": count(checkpoint.to_write),
                "existing_rows_in_table": count(checkpoint.existing),
                "existing_rows_to_delete": count(checkpoint.to_delete),
                "is_missing_id_field": checkpoint.is_missing_id,
            })
        };
        let checkpoints: Option<Vec<Value>> =
            self.checkpoints.as_ref().map(|tables| tables.iter().map(table).collect());
        json!({
            "_id": self.id,
            "_creationTime": self.creation_time,
            "state": state,
            "checkpoints": checkpoints,
        })
    }
}
