//! What a migration would take: bytes, calls, time.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::model::TableAssessment;

/// What a sink takes at once, and what its classes and plans allow. The sink's adapter says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SinkScale {
    /// Records of one call at most.
    pub batch_records: u64,
    /// Bytes of one call at most.
    pub batch_bytes: u64,
    /// Bytes that an index entry has beside the values of its fields.
    pub index_entry_bytes: u64,
    /// Write rates, the lowest first.
    pub classes: &'static [RateClass],
    /// Bytes that may be stored free of charge.
    pub free_storage_bytes: u64,
    /// Bytes that may be read and written in a month free of charge.
    pub free_monthly_bytes: u64,
}

/// A write rate that a sink sells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateClass {
    /// What it is called.
    pub name: &'static str,
    /// Bytes a second that it takes, index entries included.
    pub bytes_per_second: u64,
}

/// What the migration would take. Numbers of a sample are scaled up to all rows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Estimate {
    /// True where every row was read; else the numbers are scaled up.
    pub exact: bool,
    /// Documents.
    pub documents: u64,
    /// Their bytes, as the sink counts them.
    pub document_bytes: u64,
    /// Bytes of their index entries.
    pub index_bytes: u64,
    /// Bytes read from the source in one pass, after decompression.
    pub source_bytes: u64,
    /// Calls that write.
    pub calls: u64,
    /// How long writing takes at least, by class.
    pub classes: Vec<ClassEstimate>,
    /// How the times were computed.
    pub formula: String,
    /// Bytes that may be stored free of charge.
    pub free_storage_bytes: u64,
    /// Whether documents and index entries are within that.
    pub fits_free_storage: bool,
    /// Bytes that may be read and written in a month free of charge.
    pub free_monthly_bytes: u64,
    /// Whether what is written is within that.
    pub fits_free_monthly: bool,
}

/// How long writing takes in one class.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ClassEstimate {
    /// What it is called.
    pub name: String,
    /// Bytes a second that it takes.
    pub bytes_per_second: u64,
    /// How long.
    pub seconds: u64,
}

/// `part` of `scanned`, for all of `rows`.
fn scaled(part: u64, scanned: u64, rows: u64) -> u64 {
    if scanned == 0 || scanned >= rows {
        return part;
    }
    let all = u128::from(part) * u128::from(rows) / u128::from(scanned);
    u64::try_from(all).unwrap_or(u64::MAX)
}

impl Estimate {
    /// Sums what the scans of tables say; `exact` where they read every row.
    pub(super) fn of(tables: &[TableAssessment], exact: bool, scale: &SinkScale) -> Self {
        let (mut documents, mut document_bytes, mut index_bytes, mut source_bytes, mut calls) = (0, 0, 0, 0, 0_u64);
        for table in tables.iter().filter(|table| !table.adopted) {
            let Some(scan) = &table.scan else { continue };
            let all = |part: u64| scaled(part, scan.rows, table.rows.unwrap_or(scan.rows));
            let (own, bytes) = (all(scan.documents), all(scan.document_bytes));
            documents += own;
            document_bytes += bytes;
            index_bytes += all(scan.index_bytes);
            source_bytes += all(scan.source_bytes);
            calls += own.div_ceil(scale.batch_records.max(1)).max(bytes.div_ceil(scale.batch_bytes.max(1)));
        }
        let written = document_bytes + index_bytes;
        let class = |class: &RateClass| ClassEstimate {
            name: class.name.to_owned(),
            bytes_per_second: class.bytes_per_second,
            seconds: written.div_ceil(class.bytes_per_second.max(1)),
        };
        Self {
            exact,
            documents,
            document_bytes,
            index_bytes,
            source_bytes,
            calls,
            classes: scale.classes.iter().map(class).collect(),
            formula: format!(
                "({document_bytes} bytes of documents + {index_bytes} bytes of index entries) / bytes per second of the \
                 class; reading and the network may take longer"
            ),
            free_storage_bytes: scale.free_storage_bytes,
            fits_free_storage: written <= scale.free_storage_bytes,
            free_monthly_bytes: scale.free_monthly_bytes,
            fits_free_monthly: written <= scale.free_monthly_bytes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::model::{Readiness, TableScan};
    use super::*;
    use crate::catalog::TableState;

    const SCALE: SinkScale = SinkScale {
        batch_records: 1000,
        batch_bytes: 2 << 20,
        index_entry_bytes: 43,
        classes: &[
            RateClass { name: "slow", bytes_per_second: 4 << 20 },
            RateClass { name: "fast", bytes_per_second: 64 << 20 },
        ],
        free_storage_bytes: 500_000_000,
        free_monthly_bytes: 1_000_000_000,
    };

    fn table(rows: u64, scanned: u64, bytes: u64) -> TableAssessment {
        TableAssessment {
            table: "t".parse().unwrap(),
            sinks: Vec::new(),
            adopted: false,
            readiness: Readiness::Automatic,
            state: TableState::Present,
            rows: Some(rows),
            refers_to: Vec::new(),
            decisions: Vec::new(),
            columns: Vec::new(),
            not_enforced: Vec::new(),
            scan: Some(TableScan {
                rows: scanned,
                documents: scanned,
                document_bytes: bytes,
                index_bytes: bytes / 4,
                ..TableScan::default()
            }),
        }
    }

    #[test]
    fn time_is_bytes_by_rate_and_samples_are_scaled_up() {
        // 400 MiB and 100 MiB of entries, in full and as a hundredth of it.
        let all = Estimate::of(&[table(1_000_000, 1_000_000, 400 << 20)], true, &SCALE);
        let some = Estimate::of(&[table(1_000_000, 10_000, 4 << 20)], false, &SCALE);
        for estimate in [all, some] {
            assert_eq!((estimate.documents, estimate.document_bytes), (1_000_000, 400 << 20));
            let seconds: Vec<u64> = estimate.classes.iter().map(|class| class.seconds).collect();
            assert_eq!(seconds, [125, 8]);
            assert_eq!(estimate.calls, 1000);
            assert!(!estimate.fits_free_storage && estimate.fits_free_monthly);
        }
        // By bytes: half a mebibyte each, four to a call.
        let large = Estimate::of(&[table(10, 10, 10 << 19)], true, &SCALE);
        assert_eq!(large.calls, 3);
        let none = Estimate::of(&[table(5, 0, 0)], false, &SCALE);
        assert_eq!((none.documents, none.calls, none.fits_free_storage), (0, 0, true));
    }
}
