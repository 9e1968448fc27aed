//! What is in the sink, read back into the spool.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::task::JoinHandle;
use tokio::try_join;

use super::aggregate::Aggregates;
use super::canonical::Hasher;
use super::layout::Arranger;
use super::run::Shared;
use super::spooled_documents::{KeptPage, Line, SinkSide, Sum};
use super::{Document, DocumentPage, DocumentPart};
use crate::error::{Error, ErrorKind, Result};
use crate::names::{SinkId, SourceKey, TableName};
use crate::plan::LegacyIds;
use crate::stop::stopped;

/// Documents of one page at most: what is held of a table at once.
pub(super) const PAGE_DOCUMENTS: usize = 4096;

/// Pages that wait between two steps at most.
const PAGES_AHEAD: usize = 1;

/// Documents that a thread decodes before it hashes them: few, so that they stay in the processor's cache.
const DECODED: usize = 64;

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
    // What is read, hashed and kept at once are pages that follow each other.
    let (read, pages) = channel(PAGES_AHEAD);
    let (hashed, lines) = channel(PAGES_AHEAD);
    try_join!(
        read_pages(shared, &table.sink, read),
        hash_pages(shared, place, &mut side, pages, hashed),
        keep_lines(shared, place, lines),
    )?;
    shared.spool.end(place, &side).await
}

/// A page, by its number in the table and the cursor that it begins at.
struct NumberedPage {
    number: u64,
    cursor: Option<String>,
    page: DocumentPage,
}

async fn read_pages(shared: &Shared, table: &TableName, pages: Sender<NumberedPage>) -> Result<()> {
    let (mut number, mut cursor) = (0, None::<String>);
    loop {
        shared.go_on()?;
        let mut page = shared.probe.read_page(table, cursor.as_deref(), PAGE_DOCUMENTS).await?;
        let next = leads_on(Some(table), cursor.as_ref(), page.next.take())?;
        let from = std::mem::replace(&mut cursor, next);
        // Nobody hears it only where another step has failed.
        let is_heard = pages.send(NumberedPage { number, cursor: from, page }).await.is_ok();
        if cursor.is_none() || !is_heard {
            return Ok(());
        }
        number += 1;
    }
}

async fn hash_pages(
    shared: &Arc<Shared>,
    place: usize,
    side: &mut SinkSide,
    mut pages: Receiver<NumberedPage>,
    hashed: Sender<KeptPage>,
) -> Result<()> {
    while let Some(NumberedPage { number, cursor, page }) = pages.recv().await {
        let documents = page.parts.iter().map(|part| part.count).sum();
        let (first, lines) = (side.lines, hash_page(shared, place, side, page).await?);
        if hashed.send(KeptPage { number, cursor, documents, first, lines }).await.is_err() {
            return Ok(());
        }
    }
    Ok(())
}

async fn keep_lines(shared: &Shared, place: usize, mut pages: Receiver<KeptPage>) -> Result<()> {
    while let Some(page) = pages.recv().await {
        let documents = page.documents;
        shared.spool.add(place, page).await?;
        shared.tell_read(place, documents, 0);
    }
    Ok(())
}

/// The lines of a page, whose sums are added to the table's.
async fn hash_page(shared: &Arc<Shared>, place: usize, side: &mut SinkSide, page: DocumentPage) -> Result<Vec<Line>> {
    let mut lines = Vec::with_capacity(page.parts.iter().map(|part| part.count).sum());
    // Each part on a thread of its own: a table's pages come one after the other, so that one thread would be what all
    // wait for.
    let hash = |part: DocumentPart| {
        let shared = shared.clone();
        tokio::task::spawn_blocking(move || hash_documents(&shared, place, part))
    };
    let hashing: Vec<JoinHandle<Result<Hashed>>> = page.parts.into_iter().map(hash).collect();
    for hashing in hashing {
        let hashed = hashing.await;
        let part = hashed.unwrap_or_else(|_| Err(Error::new(ErrorKind::Unexpected, "finish hashing documents")))?;
        side.sums.merge(&part.sums);
        for (name, documents) in part.unplanned {
            if side.unplanned.len() < UNPLANNED_NAMES || side.unplanned.contains_key(&*name) {
                *side.unplanned.entry(name.to_string()).or_default() += documents;
            }
        }
        lines.extend(part.lines);
    }
    side.lines += u64::try_from(lines.len()).unwrap_or(u64::MAX);
    for line in lines.iter().filter(|line| line.key.is_some()) {
        side.keyed += 1;
        side.content.add(line.hash);
    }
    Ok(lines)
}

struct Hashed {
    lines: Vec<Line>,
    sums: Aggregates,
    unplanned: HashMap<Arc<str>, u64>,
}

fn hash_documents(shared: &Shared, place: usize, part: DocumentPart) -> Result<Hashed> {
    let layout = shared.layout(place)?;
    let mut arranger = Arranger::new(layout);
    let mut hasher = Hasher::new(shared.spool.salt);
    let mut all = Hashed {
        lines: Vec::with_capacity(part.count),
        sums: Aggregates::new(layout.len()),
        unplanned: HashMap::new(),
    };
    // The app's own documents are kept, but not added up.
    let mut foreign = Aggregates::new(layout.len());
    let is_beside = shared.plan.sink.legacy_ids == LegacyIds::SideTable;
    let mut documents = part.documents;
    loop {
        let few: Vec<Document> = documents.by_ref().take(DECODED).collect::<Result<_>>()?;
        if few.is_empty() {
            return Ok(all);
        }
        let ids = is_beside.then(|| few.iter().map(|document| document.id.clone()).collect());
        let mut keys = ids.map(|ids| shared.spool.legacy_keys(place, ids)).transpose()?.map(Vec::into_iter);
        for Document { id, creation_time, fields } in few {
            let document = arranger.arrange(creation_time, fields);
            let mut line = |id: SinkId, key: Option<SourceKey>| {
                let sums = if key.is_some() { &mut all.sums } else { &mut foreign };
                let hash = hasher.hash(key.as_ref(), document.values, sums);
                if key.is_some() {
                    for name in document.unplanned {
                        *all.unplanned.entry(name.clone()).or_default() += 1;
                    }
                }
                all.lines.push(Line { id, key, hash });
            };
            let Some(keys) = &mut keys else {
                line(id, document.key);
                continue;
            };
            let own = keys.next().unwrap_or_default();
            if own.is_empty() {
                line(id.clone(), None);
            }
            for key in own {
                line(id.clone(), Some(key));
            }
        }
    }
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
