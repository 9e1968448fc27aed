use std::collections::HashMap;

use async_trait::async_trait;

use super::spool::Spool;
use crate::error::Result;
use crate::names::{KeySpace, SourceKey, TableName};
use crate::resolve::{IdResolver, Resolution};

/// Ids of documents as they were read back: no run's notes are asked.
///
/// A row whose document is known to be missing is found all the same, under a text that is no id: so the reference of its
/// child is expected, and what the child has in its place is a difference.
#[derive(Debug)]
pub(super) struct SpooledIds {
    spool: Spool,
    /// Places in the plan, by the table at the source.
    places: HashMap<TableName, usize>,
}

impl SpooledIds {
    pub(super) fn new(spool: Spool, places: HashMap<TableName, usize>) -> Self {
        Self { spool, places }
    }
}

#[async_trait]
impl IdResolver for SpooledIds {
    async fn resolve(&self, table: &KeySpace, keys: &[SourceKey]) -> Result<Vec<Resolution>> {
        let missing = |key: &SourceKey| Resolution::Missing { table: table.clone(), key: key.clone() };
        let Some(&place) = self.places.get(table.table()) else { return Ok(keys.iter().map(missing).collect()) };
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let own: Vec<Option<SourceKey>> = if table.columns().is_empty() {
            keys.iter().cloned().map(Some).collect()
        } else {
            self.spool.alternates(table, keys.to_vec()).await?
        };
        let mut found = self.spool.resolve(place, own.iter().flatten().cloned().collect()).await?.into_iter();
        let resolution = |(key, own): (&SourceKey, &Option<SourceKey>)| {
            let id = own.as_ref().and_then(|_| found.next().flatten());
            id.map_or_else(|| missing(key), Resolution::Found)
        };
        Ok(keys.iter().zip(&own).map(resolution).collect())
    }
}
