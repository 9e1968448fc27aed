//! What an assessment needs to know of Convex: how large documents are, what classes take, what the free plan holds.

use migrate_core::assess::{Measure, RateClass, SinkScale};
use migrate_core::names::FieldName;
use migrate_core::plan::{LegacyIds, SinkPlan};
use migrate_core::record::RowError;
use migrate_core::sink::WriteRecord;

use crate::settings::MAX_BATCH_RECORDS;
use crate::sink::BATCH_BYTES;
use crate::size::document_size;

const MIB: u64 = 1024 * 1024;

/// Rates and limits of Convex's documentation, "Limits": write throughput by class, which counts documents and index
/// entries; database size and database I/O of the free plan.
pub const CONVEX_SCALE: SinkScale = SinkScale {
    batch_records: MAX_BATCH_RECORDS as u64,
    batch_bytes: BATCH_BYTES as u64,
    // An entry ends in the creation time (9 bytes) and the id (2 + 32).
    index_entry_bytes: 43,
    classes: &[
        RateClass { name: "S16 (Free, Starter)", bytes_per_second: 4 * MIB },
        RateClass { name: "S256 (Professional)", bytes_per_second: 8 * MIB },
        RateClass { name: "D1024", bytes_per_second: 32 * MIB },
        RateClass { name: "D2048", bytes_per_second: 64 * MIB },
    ],
    free_storage_bytes: 500_000_000,
    free_monthly_bytes: 1_000_000_000,
};

/// The size of documents, without a deployment.
#[derive(Debug, Clone)]
pub struct ConvexMeasure {
    legacy_id_field: FieldName,
    legacy_ids: LegacyIds,
}

impl ConvexMeasure {
    /// As a run of a plan into `sink` measures them.
    #[must_use]
    pub fn new(sink: &SinkPlan) -> Self {
        Self { legacy_id_field: sink.legacy_id_field.clone(), legacy_ids: sink.legacy_ids }
    }
}

impl Measure for ConvexMeasure {
    fn measure(&self, record: &WriteRecord) -> Result<usize, RowError> {
        document_size(&self.legacy_id_field, self.legacy_ids, record)
    }
}
