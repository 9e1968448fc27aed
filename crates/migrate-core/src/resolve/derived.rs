use std::sync::Arc;

use async_trait::async_trait;

use super::{IdResolver, Resolution};
use crate::error::Result;
use crate::names::{KeySpace, SinkId, SourceKey, TableName};

/// Ids that are computed from rows' keys, for a sink with [`crate::sink::IdAssignment::BeforeWrite`].
///
/// As a resolver it finds every row of the tables that are migrated, whether or not it was written yet: references need
/// no order. Whether they are all closed is asked once every table was read.
#[async_trait]
pub trait DerivedIds: IdResolver {
    /// Rows that were written and refer to rows that were not, by their table at the source: at most `limit`, in no
    /// order; none when every reference is closed.
    ///
    /// Each of them must be written again, or withdrawn, before this is called again; either may open further ones.
    async fn unclosed(&self, limit: usize) -> Result<Vec<(TableName, SourceKey)>>;

    /// Whether [`DerivedIds::unclosed`] found that no document has this id, which another one refers to.
    fn is_missing(&self, id: &SinkId) -> bool;

    /// Takes rows out again that were written.
    async fn withdraw(&self, table: &TableName, keys: &[SourceKey]) -> Result<()>;
}

#[async_trait]
impl<T: IdResolver + ?Sized> IdResolver for Arc<T> {
    async fn resolve(&self, table: &KeySpace, keys: &[SourceKey]) -> Result<Vec<Resolution>> {
        (**self).resolve(table, keys).await
    }
}

/// What a resolver finds, without the documents that turned out not to be there.
#[derive(Debug)]
pub(crate) struct ClosedIds {
    resolver: Arc<dyn IdResolver>,
    derived: Arc<dyn DerivedIds>,
}

impl ClosedIds {
    pub(crate) fn new(resolver: Arc<dyn IdResolver>, derived: Arc<dyn DerivedIds>) -> Self {
        Self { resolver, derived }
    }
}

#[async_trait]
impl IdResolver for ClosedIds {
    async fn resolve(&self, table: &KeySpace, keys: &[SourceKey]) -> Result<Vec<Resolution>> {
        let found = self.resolver.resolve(table, keys).await?;
        let closed = |(resolution, key): (Resolution, &SourceKey)| match resolution {
            Resolution::Found(id) if self.derived.is_missing(&id) => {
                Resolution::Missing { table: table.clone(), key: key.clone() }
            }
            other => other,
        };
        Ok(found.into_iter().zip(keys).map(closed).collect())
    }
}
