//! From a source row's key to the document it became: one trait, several ways.

mod adopted;
mod chain;
mod derived;
mod recent;
mod stored;

use std::fmt::Debug;

use async_trait::async_trait;

pub use adopted::AdoptedIds;
pub use chain::ChainResolver;
pub(crate) use derived::ClosedIds;
pub use derived::DerivedIds;
pub(crate) use recent::RecentIds;
pub use stored::StoredIds;

use crate::error::Result;
use crate::names::{KeySpace, SinkId, SourceKey};

/// What is known of the document a source row became.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Resolution {
    /// Its id.
    Found(SinkId),
    /// There is none. Names the row that is missing: the one asked for, or a parent its natural key needs.
    Missing {
        /// The table of the missing row, and the columns its key is of.
        table: KeySpace,
        /// Its key.
        key: SourceKey,
    },
    /// Several documents match its natural key in that table.
    Ambiguous {
        /// The table whose natural key is ambiguous.
        table: KeySpace,
        /// The row's key.
        key: SourceKey,
    },
}

impl Resolution {
    /// The id, if there is one.
    #[must_use]
    pub fn id(&self) -> Option<&SinkId> {
        match self {
            Self::Found(id) => Some(id),
            Self::Missing { .. } | Self::Ambiguous { .. } => None,
        }
    }
}

/// Finds the documents that source rows became.
#[async_trait]
pub trait IdResolver: Debug + Send + Sync {
    /// One resolution per key, same length and order. Keys may repeat. Empty `keys` make no call.
    async fn resolve(&self, table: &KeySpace, keys: &[SourceKey]) -> Result<Vec<Resolution>>;
}
