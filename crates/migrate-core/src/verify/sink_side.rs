//! What is in the sink, read back into the spool.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use tokio::task::JoinHandle;

use super::aggregate::Aggregates;
use super::canonical::Hasher;
use super::run::Shared;
use super::spooled_documents::{Line, SinkSide, Sum};
use super::{Document, DocumentPage};
use crate::error::{Error, ErrorKind, Result};
use crate::names::{SourceKey, TableName};
use crate::plan::LegacyIds;
use crate::stop::stopped;

/// Documents of one page at most: what is held of a table at once.
pub(super) const PAGE_DOCUMENTS: usize = 4096;

/// Parts of a page that are hashed at once.
const HASH_PARTS: usize = 4;

/// Names of fields outside the plan that are kept of a table at most.
const UNPLANNED_NAMES: usize = 100;

/// Reads the side table of legacy ids, where the plan keeps them there.
pub(super) async fn read_keys(shared: &Shared) -> Result<()> {
    let done = || "keys".to_owned();
    if shared.plan.sink.legacy_ids != LegacyIds::SideTable || shared.spool.fact::<bool>(done()).await?.is_some() {
        return Ok(());
    }
    let places: HashMap<&TableName, usize> =
        shared.plan.tables.iter().enumerate().map(|(place, table)| (&table.sink, place)).collect();
    shared.spool.legacy_index(false).await?;
    let mut cursor: Option<String> = None;
    loop {
        shared.go_on()?;
        let page = shared.probe.read_keys(cursor.as_deref(), PAGE_DOCUMENTS).await?;
        let entries = page.entries.into_iter();
        let planned = entries.filter_map(|entry| Some((entry.id, *places.get(&entry.table)?, entry.key)));
        shared.spool.add_legacy(planned.collect()).await?;
        match leads_on(None, cursor.as_ref(), page.next)? {
            Some(next) => cursor = Some(next),
            None => break,
        }
    }
    shared.spool.legacy_index(true).await?;
    shared.spool.set_fact(done(), &true).await
}

/// Reads the documents of the table at a place, unless an earlier verification has.
pub(super) async fn read_documents(shared: &Arc<Shared>, place: usize) -> Result<()> {
    if shared.spool.sink_side(place).await?.is_some() {
        return Ok(());
    }
    let table = shared.table(place)?;
    shared.spool.begin(place).await?;
    let columns = shared.layout(place)?.len();
    let mut side = SinkSide {
        lines: 0,
        keyed: 0,
        unplanned: BTreeMap::new(),
        sums: Aggregates::new(columns),
        content: Sum::default(),
    };
    let (mut number, mut cursor) = (0, None::<String>);
    let mut page = shared.probe.read_page(&table.sink, None, PAGE_DOCUMENTS).await?;
    loop {
        shared.go_on()?;
        let next = leads_on(Some(&table.sink), cursor.as_ref(), page.next.take())?;
        let keep = keep_page(shared, place, &mut side, (number, cursor.take()), page);
        match next {
            None => {
                keep.await?;
                break;
            }
            Some(next) => {
                // The next page is on its way while this one is kept.
                let read = shared.probe.read_page(&table.sink, Some(&next), PAGE_DOCUMENTS);
                let (kept, read) = tokio::join!(keep, read);
                kept?;
                page = read?;
                cursor = Some(next);
                number += 1;
            }
        }
    }
    shared.spool.end(place, &side).await
}

async fn keep_page(
    shared: &Arc<Shared>,
    place: usize,
    side: &mut SinkSide,
    (number, cursor): (u64, Option<String>),
    page: DocumentPage,
) -> Result<()> {
    let documents = page.documents;
    let keys = if shared.plan.sink.legacy_ids == LegacyIds::SideTable {
        let ids = documents.iter().map(|document| document.id.clone()).collect();
        Some(shared.spool.legacy_keys(place, ids).await?)
    } else {
        None
    };
    let (first, count) = (side.lines, documents.len());
    let mut lines = Vec::with_capacity(count);
    for hashing in hash_in_parts(shared, place, documents, keys) {
        let hashed = hashing.await;
        let part = hashed.unwrap_or_else(|_| Err(Error::new(ErrorKind::Unexpected, "finish hashing documents")))?;
        side.sums.merge(&part.sums);
        for (name, documents) in part.unplanned {
            if side.unplanned.len() < UNPLANNED_NAMES || side.unplanned.contains_key(&name) {
                *side.unplanned.entry(name).or_default() += documents;
            }
        }
        lines.extend(part.lines);
    }
    side.lines += u64::try_from(lines.len()).unwrap_or(u64::MAX);
    for line in lines.iter().filter(|line| line.key.is_some()) {
        side.keyed += 1;
        side.content.add(line.hash);
    }
    shared.spool.add(place, number, cursor, first, lines).await?;
    shared.tell_read(place, count);
    Ok(())
}

/// Hashes the documents of a page on several threads, in parts that are in the page's order: a table's pages come one
/// after the other, so that one thread would be what all wait for.
fn hash_in_parts(
    shared: &Arc<Shared>,
    place: usize,
    mut documents: Vec<Document>,
    mut keys: Option<Vec<Vec<SourceKey>>>,
) -> Vec<JoinHandle<Result<Hashed>>> {
    let length = documents.len().div_ceil(HASH_PARTS).max(1);
    let mut parts = Vec::with_capacity(HASH_PARTS);
    while !documents.is_empty() {
        let rest = documents.split_off(length.min(documents.len()));
        let documents = std::mem::replace(&mut documents, rest);
        let own_keys = keys.as_mut().map(|keys| {
            let rest = keys.split_off(length.min(keys.len()));
            std::mem::replace(keys, rest)
        });
        let shared = shared.clone();
        parts.push(tokio::task::spawn_blocking(move || hash_documents(&shared, place, documents, own_keys)));
    }
    parts
}

struct Hashed {
    lines: Vec<Line>,
    sums: Aggregates,
    unplanned: HashMap<String, u64>,
}

fn hash_documents(
    shared: &Shared,
    place: usize,
    documents: Vec<Document>,
    keys: Option<Vec<Vec<SourceKey>>>,
) -> Result<Hashed> {
    let layout = shared.layout(place)?;
    let mut hasher = Hasher::new(layout, shared.spool.salt);
    let mut part = Hashed {
        lines: Vec::with_capacity(documents.len()),
        sums: Aggregates::new(layout.len()),
        unplanned: HashMap::new(),
    };
    // The app's own documents are kept, but not added up.
    let mut foreign = Aggregates::new(layout.len());
    let mut keys = keys.map(Vec::into_iter);
    for document in documents {
        let id = document.id.clone();
        let arranged = layout.arrange(document);
        let mut own: Vec<Option<_>> = match &mut keys {
            Some(keys) => keys.next().unwrap_or_default().into_iter().map(Some).collect(),
            None => vec![arranged.key],
        };
        if own.is_empty() {
            own.push(None);
        }
        for key in own {
            let sums = if key.is_some() { &mut part.sums } else { &mut foreign };
            let hash = hasher.hash(key.as_ref(), &arranged.values, sums);
            if key.is_some() {
                for name in &arranged.unplanned {
                    *part.unplanned.entry(name.to_string()).or_default() += 1;
                }
            }
            part.lines.push(Line { id: id.clone(), key, hash });
        }
    }
    Ok(part)
}

/// A sink whose pages do not lead on would be read for ever.
pub(super) fn leads_on(
    table: Option<&TableName>,
    cursor: Option<&String>,
    next: Option<String>,
) -> Result<Option<String>> {
    if next.is_some() && next.as_ref() == cursor {
        let error = Error::new(ErrorKind::Protocol, "read on: the sink gave a page that does not lead further");
        return Err(match table {
            Some(table) => error.with_context("table", table),
            None => error,
        });
    }
    Ok(next)
}

impl Shared {
    /// Refuses to go on once a stop was asked for.
    pub(super) fn go_on(&self) -> Result<()> {
        if self.stop.is_requested() { Err(stopped()) } else { Ok(()) }
    }
}
