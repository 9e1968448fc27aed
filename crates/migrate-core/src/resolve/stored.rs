use std::sync::Arc;

use async_trait::async_trait;

use super::{IdResolver, Resolution};
use crate::error::Result;
use crate::names::{KeySpace, SourceKey};
use crate::state::StateStore;

/// Ids that the sink gave when the rows were written, from the state.
#[derive(Debug)]
pub struct StoredIds {
    state: Arc<dyn StateStore>,
}

impl StoredIds {
    /// Reads from `state`.
    pub fn new(state: Arc<dyn StateStore>) -> Self {
        Self { state }
    }
}

#[async_trait]
impl IdResolver for StoredIds {
    async fn resolve(&self, table: &KeySpace, keys: &[SourceKey]) -> Result<Vec<Resolution>> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let ids = self.state.ids(table, keys).await?;
        Ok(ids
            .into_iter()
            .zip(keys)
            .map(|(id, key)| match id {
                Some(id) => Resolution::Found(id),
                None => Resolution::Missing { table: table.clone(), key: key.clone() },
            })
            .collect())
    }
}
