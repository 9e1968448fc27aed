//! Whether the rows that others refer to are there.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Debug;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;

use super::spool::{Fate, Seen, Spool};
use crate::error::{Error, ErrorKind, Result};
use crate::names::{FieldName, KeySpace, SourceKey, TableName};
use crate::source::Source;

/// Finds parents by their keys.
#[async_trait]
pub(super) trait Parents: Debug + Send + Sync {
    /// What is known of each key, in order; `None` where nothing can be known.
    async fn see(&self, space: &KeySpace, keys: Vec<SourceKey>) -> Result<Vec<Option<Seen>>>;
}

/// Parents that were scanned before: what became of them is known, too.
#[derive(Debug)]
pub(super) struct Scanned {
    pub(super) spool: Spool,
    pub(super) spaces: Vec<KeySpace>,
}

#[async_trait]
impl Parents for Scanned {
    async fn see(&self, space: &KeySpace, keys: Vec<SourceKey>) -> Result<Vec<Option<Seen>>> {
        let Some(id) = self.spaces.iter().position(|known| known == space) else { return Ok(vec![None; keys.len()]) };
        Ok(self.spool.see(id, keys).await?.into_iter().map(Some).collect())
    }
}

/// Keys that are remembered at most.
const REMEMBERED: usize = 100_000;

/// Parents that are looked up at the source, where not all rows are scanned.
#[derive(Debug)]
pub(super) struct Fetched {
    source: Arc<dyn Source>,
    /// The tables whose rows can be looked up, with their keys.
    keys: BTreeMap<TableName, Vec<FieldName>>,
    known: Mutex<HashMap<(KeySpace, SourceKey), bool>>,
}

impl Fetched {
    pub(super) fn new(source: Arc<dyn Source>, keys: BTreeMap<TableName, Vec<FieldName>>) -> Self {
        Self { source, keys, known: Mutex::default() }
    }
}

#[async_trait]
impl Parents for Fetched {
    async fn see(&self, space: &KeySpace, keys: Vec<SourceKey>) -> Result<Vec<Option<Seen>>> {
        let Some(columns) = self.keys.get(space.table()).filter(|_| space.columns().is_empty()) else {
            return Ok(vec![None; keys.len()]);
        };
        let known = |key: &SourceKey| {
            let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            known.get(&(space.clone(), key.clone())).copied()
        };
        let mut answers: HashMap<SourceKey, Option<bool>> = keys.iter().map(|key| (key.clone(), known(key))).collect();
        let open: Vec<SourceKey> =
            answers.iter().filter(|(_, known)| known.is_none()).map(|(key, _)| key.clone()).collect();
        if !open.is_empty() {
            let rows = self.source.fetch(space.table(), &open, columns).await?;
            if rows.len() != open.len() {
                return Err(Error::new(ErrorKind::Protocol, "match fetched rows to the keys asked for")
                    .with_context("table", space.table()));
            }
            let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            if known.len() > REMEMBERED {
                known.clear();
            }
            for (key, row) in open.into_iter().zip(rows) {
                known.insert((space.clone(), key.clone()), row.is_some());
                answers.insert(key, Some(row.is_some()));
            }
        }
        let seen = |key: &SourceKey| {
            let is_there = answers.get(key).copied().flatten()?;
            Some(if is_there { Seen::Once(Fate::Migrated) } else { Seen::Nowhere })
        };
        Ok(keys.iter().map(seen).collect())
    }
}
