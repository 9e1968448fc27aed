//! The one worker that reads archives and performs imports (convex-backend,
//! `crates/application/src/snapshot_import/{worker,confirmation}.rs`).

use std::{collections::BTreeMap, path::Path, sync::Arc};

use crate::convex_bench::{server::Shared, store::Internal};

use super::{
    archive::Archive,
    hidden::{Filling, HiddenTable},
    numbers,
    row::{Checkpoint, Mode, State},
};

/// Rows after which progress is told, and which an import that appends writes at once.
const BATCH_ROWS: usize = 8_000;

/// What an import is about to do.
#[derive(Debug, Clone)]
struct Job {
    id: String,
    mode: Mode,
}

/// Reads the whole archive, counts its rows and waits for a confirmation.
pub(super) async fn examine(shared: Arc<Shared>, id: String) {
    let _turn = shared.worker.clone().lock_owned().await;
    let work = Arc::clone(&shared);
    let _ = tokio::task::spawn_blocking(move || {
        let Some((job, archive)) = started(&work, &id, |state| *state == State::Uploaded) else { return };
        let counted = count(&work, &archive).and_then(|tables| existing(&work, &job, tables));
        match counted {
            Ok(checkpoints) => {
                let is_destructive = checkpoints.values().any(|table| table.to_delete > 0);
                let message = summary(&checkpoints);
                work.state().imports.update(&job.id, |row| {
                    row.state = State::Waiting { message, is_destructive };
                    row.checkpoints = Some(checkpoints);
                });
            }
            Err(error) => fail(&work, &job.id, &error),
        }
    })
    .await;
}

/// Performs an import that was confirmed.
pub(super) async fn perform(shared: Arc<Shared>, id: String) {
    let _turn = shared.worker.clone().lock_owned().await;
    let work = Arc::clone(&shared);
    let built = tokio::task::spawn_blocking(move || {
        let (job, archive) = started(&work, &id, |state| matches!(state, State::InProgress { .. }))?;
        match build(&work, &job, &archive) {
            Ok(hidden) => Some((job, hidden)),
            Err(error) => {
                fail(&work, &job.id, &error);
                None
            }
        }
    })
    .await;
    let Ok(Some((job, hidden))) = built else { return };
    let mut held = shared.imports_held.subscribe();
    let mut stopping = shared.stopping.clone();
    tokio::select! {
        // An error means that the server is gone, and nobody waits for the import.
        _ = held.wait_for(|held| !held || !shared.state().imports.is_in_progress(&job.id)) => {}
        _ = stopping.wait_for(|stopping| *stopping) => return,
    }
    let mut state = shared.state();
    // Canceled meanwhile: nothing of it is stored.
    if !state.imports.is_in_progress(&job.id) {
        return;
    }
    let declared = (job.mode == Mode::ReplaceAll).then_some(shared.declared.as_slice());
    state.counters.imported += hidden.iter().map(|table| count_of(table.rows.len())).sum::<u64>();
    state.store.switch(hidden, declared);
    state.imports.complete(&job.id);
}

/// The import, when it is as it must be for this step and nobody canceled it meanwhile.
fn started(shared: &Shared, id: &str, is_due: impl Fn(&State) -> bool) -> Option<(Job, std::path::PathBuf)> {
    let state = shared.state();
    let row = state.imports.row(id).filter(|row| is_due(&row.state))?;
    Some((Job { id: id.to_owned(), mode: row.mode }, row.archive.clone()))
}

fn fail(shared: &Shared, id: &str, error: &str) {
    let message = format!("Hit an error while importing:\n{error}");
    shared.state().imports.update(id, |row| row.state = State::Failed { message });
}

/// Reads every row, as JSON only.
fn count(shared: &Shared, archive: &Path) -> Result<BTreeMap<String, Checkpoint>, String> {
    let mut archive = Archive::open(archive, shared.import_options.knows_uniform)?;
    let listed = archive.numbers.iter().map(|(name, _)| (name.clone(), Checkpoint::default()));
    let mut tables: BTreeMap<String, Checkpoint> = listed.collect();
    for position in 0..archive.tables.len() {
        let table = tables.entry(archive.tables[position].name.clone()).or_default();
        archive.rows(position, |number, line| {
            table.to_write += 1;
            table.is_missing_id |= !super::archive::has_id(number, line)?;
            Ok(())
        })?;
    }
    Ok(tables)
}

/// Adds what is there already, and refuses tables that must be empty and are not.
fn existing(
    shared: &Shared,
    job: &Job,
    mut tables: BTreeMap<String, Checkpoint>,
) -> Result<BTreeMap<String, Checkpoint>, String> {
    let state = shared.state();
    if job.mode == Mode::ReplaceAll {
        for name in state.store.table_numbers().into_keys() {
            tables.entry(name).or_default();
        }
    }
    for (name, table) in &mut tables {
        table.existing = count_of(state.store.count(name));
        match job.mode {
            Mode::RequireEmpty if table.existing > 0 => return Err(not_empty(name)),
            Mode::Replace | Mode::ReplaceAll => table.to_delete = table.existing,
            Mode::RequireEmpty | Mode::Append => {}
        }
    }
    Ok(tables)
}

fn not_empty(table: &str) -> String {
    format!("Table {table} already exists. Please choose a new table name or use replace/append modes.")
}

fn summary(tables: &BTreeMap<String, Checkpoint>) -> String {
    let mut lines = vec!["Import change summary:".to_owned()];
    lines.extend(tables.iter().map(|(name, table)| {
        format!("{name}: create {}, delete {} of {} documents", table.to_write, table.to_delete, table.existing)
    }));
    lines.join("\n")
}

/// Fills the hidden tables; an import that appends writes into tables that are there at once.
fn build(shared: &Shared, job: &Job, archive: &Path) -> Result<Vec<HiddenTable>, String> {
    let mut archive = Archive::open(archive, shared.import_options.knows_uniform)?;
    let mut files = Vec::with_capacity(archive.tables.len());
    for position in 0..archive.tables.len() {
        files.push((archive.tables[position].name.clone(), archive.first_number(position)?));
    }
    let existing = shared.state().store.table_numbers();
    let assigned = numbers::assign(job.mode, &existing, &archive.numbers, &files)?;
    if job.mode == Mode::RequireEmpty {
        let state = shared.state();
        if let Some(name) = assigned.keys().find(|name| state.store.count(name) > 0) {
            return Err(not_empty(name));
        }
    }
    let is_live = |name: &str| job.mode == Mode::Append && existing.contains_key(name);
    let mut hidden = Vec::with_capacity(assigned.len());
    for (name, number) in assigned {
        let mut table = HiddenTable::new(&name, number);
        if let Some(position) = archive.tables.iter().position(|table| table.name == name) {
            fill(shared, job, &mut archive, position, &mut table, is_live(&name))?;
        }
        if !is_live(&name) {
            hidden.push(table);
        }
    }
    Ok(hidden)
}

fn fill(
    shared: &Shared,
    job: &Job,
    archive: &mut Archive,
    position: usize,
    table: &mut HiddenTable,
    is_live: bool,
) -> Result<(), String> {
    let encoding = std::mem::take(&mut archive.tables[position].encoding);
    let options = shared.state().store.options.clone();
    let filling = Filling {
        encoding: &encoding,
        keep_documents: shared.keep_documents,
        legacy_id_field: &shared.legacy_id_field,
    };
    let (name, import) = (table.name.clone(), job.id.clone());
    let mut rows = 0;
    archive.rows(position, |row, line| {
        let unnamed = || -> Internal { options.internal_id(&name, "imported", &format!("{import} {row}")) };
        table.add(filling, row, line, unnamed)?;
        rows = row;
        if row % BATCH_ROWS > 0 { Ok(()) } else { flush(shared, job, table, rows, is_live) }
    })?;
    flush(shared, job, table, rows, is_live)
}

/// Tells how far a table is, and writes the batch of one that is filled under everyone's eyes.
fn flush(shared: &Shared, job: &Job, table: &mut HiddenTable, rows: usize, is_live: bool) -> Result<(), String> {
    let mut state = shared.state();
    if !state.imports.is_in_progress(&job.id) {
        return Err("the import was canceled".to_owned());
    }
    state.imports.update(&job.id, |row| {
        row.state =
            State::InProgress { message: format!("Importing \"{}\" ({rows} documents)", table.name), done: Vec::new() };
        if let Some(checkpoint) = row.checkpoints.as_mut().and_then(|tables| tables.get_mut(&table.name)) {
            checkpoint.written = count_of(rows);
        }
    });
    if is_live {
        state.counters.imported += count_of(table.rows.len());
        state.store.append(table.take())?;
    }
    Ok(())
}

fn count_of(rows: usize) -> u64 {
    u64::try_from(rows).unwrap_or(u64::MAX)
}
