//! Snapshot imports: an archive is uploaded in parts, read as a whole, confirmed, and switched in
//! (convex-backend, `crates/local_backend/src/snapshot_import.rs`, `crates/application/src/snapshot_import`).
//!
//! Rows are decoded, and ids, times, names and sizes checked, as Convex does. No schema is validated: this stand-in has
//! none.

mod archive;
mod decode;
mod hidden;
mod numbers;
mod routes;
mod row;
mod shape;
mod switch;
mod uploads;
mod worker;

use std::{path::PathBuf, sync::Arc};

use serde_json::Value;
use tokio::sync::OwnedMutexGuard;

pub(super) use numbers::{FIRST_TABLE_NUMBER, lowest_free};
pub(super) use routes::router;

use super::{document_id::DocumentId, protocol::Format, server::Shared};
use row::{ImportRow, Mode, State};
use uploads::Uploads;

/// The number of the system table that holds imports.
const IMPORTS_TABLE_NUMBER: u32 = 521;
/// How many imports a list has.
const LISTED: usize = 20;
/// Nanoseconds of the first import that ends. Each later one is a second later: no clock takes part.
const FIRST_TIMESTAMP: i64 = 1_767_225_600_000_000_000;

/// How imports are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ImportOptions {
    /// The fewest bytes of a part that is not the last one: 5 MiB, as object stores have it.
    pub min_part_bytes: u64,
    /// False for a backend that is older than the uniform encoding and refuses it.
    pub knows_uniform: bool,
}

impl Default for ImportOptions {
    fn default() -> Self {
        Self { min_part_bytes: 5 << 20, knows_uniform: true }
    }
}

/// An import of somebody else, which is in progress until this value is dropped.
#[derive(Debug)]
pub struct ForeignImport {
    shared: Arc<Shared>,
    id: String,
    _turn: OwnedMutexGuard<()>,
}

impl ForeignImport {
    /// Waits for the worker's turn and keeps it.
    pub(super) async fn begin(shared: Arc<Shared>) -> Self {
        let turn = Arc::clone(&shared.worker).lock_owned().await;
        let id = {
            let mut state = shared.state();
            let message = "Importing \"somebodyElses\"".to_owned();
            let creation_time = state.store.next_creation_time();
            let state_of = State::InProgress { message, done: Vec::new() };
            state.imports.add(Mode::Replace, PathBuf::new(), creation_time, state_of)
        };
        Self { shared, id, _turn: turn }
    }

    /// Its id, as `_system/cli/queryImport:list` tells it.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }
}

impl Drop for ForeignImport {
    fn drop(&mut self) {
        self.shared.state().imports.complete(&self.id);
    }
}

/// All imports, and the uploads they come from.
#[derive(Debug, Default)]
pub(super) struct Imports {
    uploads: Uploads,
    rows: Vec<ImportRow>,
    completed: i64,
}

impl Imports {
    fn add(&mut self, mode: Mode, archive: PathBuf, creation_time: f64, state: State) -> String {
        let count = u16::try_from(self.rows.len()).unwrap_or(u16::MAX);
        let id = DocumentId::from_parts(IMPORTS_TABLE_NUMBER, [0; 14], count).to_string();
        self.rows.push(ImportRow { id: id.clone(), creation_time, mode, archive, state, checkpoints: None });
        id
    }

    fn row(&self, id: &str) -> Option<&ImportRow> {
        self.rows.iter().find(|row| row.id == id)
    }

    /// Changes an import that has not ended.
    fn update(&mut self, id: &str, change: impl FnOnce(&mut ImportRow)) {
        if let Some(row) = self.rows.iter_mut().find(|row| row.id == id && !row.state.is_final()) {
            change(row);
        }
    }

    fn is_in_progress(&self, id: &str) -> bool {
        self.row(id).is_some_and(|row| matches!(row.state, State::InProgress { .. }))
    }

    fn complete(&mut self, id: &str) {
        let timestamp = FIRST_TIMESTAMP + self.completed * 1_000_000_000;
        self.completed += 1;
        self.update(id, |row| {
            let rows = row.checkpoints.iter().flat_map(|tables| tables.values()).map(|table| table.written).sum();
            row.state = State::Completed { timestamp, rows };
        });
    }

    /// One import, as `_system/cli/queryImport` gives it.
    pub(super) fn query(&self, id: &str, format: Format) -> Option<Value> {
        self.row(id).map(|row| row.to_json(format))
    }

    /// The last imports, the newest first, as `_system/cli/queryImport:list` gives them.
    pub(super) fn list(&self, format: Format) -> Value {
        self.rows.iter().rev().take(LISTED).map(|row| row.to_json(format)).collect()
    }
}
