//! The COPYs that are open between pages, and the places that they and all other readers take.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use migrate_core::names::{FieldName, TableName};
use migrate_core::source::{Cursor, KeyRange, PageRequest};
use migrate_core::{Error, ErrorKind, Result};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

use super::copy::Copy;
use super::snapshot::Snapshot;

/// Connections beside those of COPYs.
const SHORT: usize = 2;

/// A place among the connections.
pub(super) type Place = OwnedSemaphorePermit;

/// What is read: a page that follows another asks for the same.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Part {
    table: TableName,
    columns: Arc<[FieldName]>,
    key: Arc<[FieldName]>,
    range: KeyRange,
}

/// A COPY with the place that it takes.
pub(super) struct Open {
    pub(super) copy: Copy,
    pub(super) place: Place,
    pub(super) snapshot: Arc<Snapshot>,
}

/// How far a part is read.
struct State {
    after: Cursor,
    /// None where all rows were read: only the empty page is to come.
    open: Option<Open>,
    /// Counts the pages of all parts: the lowest has waited longest.
    turn: u64,
}

/// What there is for a page.
pub(super) enum Taken {
    /// The COPY that it goes on with.
    Open(Box<Open>),
    /// There are no more rows.
    Ended,
    /// Nothing: it goes on from elsewhere, or is the first.
    Nothing,
}

#[derive(Default)]
struct Inner {
    parts: HashMap<Part, State>,
    turn: u64,
}

/// COPYs by what they read.
///
/// One that nobody goes on with keeps its place until another reader needs it; its part is then read on by a COPY of its
/// own. So no number of parts waits for ever.
pub(super) struct Copies {
    places: Arc<Semaphore>,
    /// Places of statements that end by themselves: look-ups between pages must not end a COPY.
    short: Arc<Semaphore>,
    inner: Mutex<Inner>,
    waiting: Notify,
}

impl Copies {
    /// Places for so many COPYs, at least one.
    pub(super) fn new(connections: usize) -> Self {
        let places = Arc::new(Semaphore::new(connections.max(1)));
        let short = Arc::new(Semaphore::new(SHORT));
        Self { places, short, inner: Mutex::default(), waiting: Notify::new() }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place for a statement that ends by itself.
    ///
    /// # Errors
    /// As [`Copies::place`].
    pub(super) async fn short_place(&self) -> Result<Place> {
        let place = self.short.clone().acquire_owned().await;
        place.map_err(|_| Error::new(ErrorKind::Unexpected, "wait for a connection"))
    }

    /// A free place for a COPY, if need be that of the COPY that has waited longest.
    ///
    /// # Errors
    /// None in practice: the places are never closed.
    pub(super) async fn place(&self) -> Result<Place> {
        loop {
            // Heard from here on, so that none that is put back after the look below is missed.
            let put_back = self.waiting.notified();
            if let Ok(place) = self.places.clone().try_acquire_owned() {
                return Ok(place);
            }
            if let Some(place) = self.evict() {
                return Ok(place);
            }
            tokio::select! {
                place = self.places.clone().acquire_owned() => {
                    return place.map_err(|_| Error::new(ErrorKind::Unexpected, "wait for a connection"));
                }
                () = put_back => {}
            }
        }
    }

    /// Ends the COPY that has waited longest, and takes its place.
    fn evict(&self) -> Option<Place> {
        let mut inner = self.inner();
        let waiting = inner.parts.values().filter(|state| state.open.is_some());
        let longest = waiting.map(|state| state.turn).min()?;
        let (_, state) = inner.parts.extract_if(|_, state| state.turn == longest).next()?;
        state.open.map(|open| open.place)
    }

    /// Takes what is open for the page that is asked for. What is open for the same part at another place is ended.
    pub(super) fn take(&self, request: &PageRequest) -> Taken {
        let Some(after) = &request.after else {
            self.inner().parts.remove(&part(request));
            return Taken::Nothing;
        };
        match self.inner().parts.remove(&part(request)) {
            Some(State { after: place, open, .. }) if place == *after => {
                open.map_or(Taken::Ended, |open| Taken::Open(Box::new(open)))
            }
            _ => Taken::Nothing,
        }
    }

    /// Keeps what goes on after `after`; nothing is open where all rows were read.
    pub(super) fn put(&self, request: &PageRequest, after: Cursor, open: Option<Open>) {
        let mut inner = self.inner();
        inner.turn += 1;
        let turn = inner.turn;
        inner.parts.insert(part(request), State { after, open, turn });
        drop(inner);
        self.waiting.notify_waiters();
    }
}

fn part(request: &PageRequest) -> Part {
    let PageRequest { table, columns, key, range, .. } = request;
    Part { table: table.clone(), columns: columns.clone(), key: key.clone(), range: range.clone() }
}
