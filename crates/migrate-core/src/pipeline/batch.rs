use super::prepare::PreparedRow;
use crate::names::{FieldName, SourceKey};
use crate::record::{FieldChange, Record};
use crate::reject::{Counted, Reject};
use crate::sink::WriteRecord;
use crate::state::Totals;

/// What is kept of a row that is written.
#[derive(Debug)]
pub(crate) struct KeptRow {
    /// The row as read, for the case that the sink rejects it.
    pub(super) original: Record,
    /// Lossy edits, counted once it is written.
    pub(super) changes: Vec<FieldChange>,
    /// Its size by the sink's measure.
    pub(super) bytes: usize,
    /// Per alternate key of the table, the row's key there.
    pub(super) alternates: Vec<Option<SourceKey>>,
    /// The fields that refer to parents which were not found.
    pub(super) misses: Vec<FieldName>,
}

/// What became of a row before it reaches the sink.
#[derive(Debug)]
pub(crate) enum Prepared {
    /// It goes to the sink.
    Ready(WriteRecord, KeptRow),
    /// The plan leaves it out.
    Skipped,
    /// It is rejected.
    Rejected(Box<Reject>),
}

/// Rows in key order that are committed together.
#[derive(Debug, Default)]
pub(super) struct Batch {
    /// What is written.
    pub(super) records: Vec<WriteRecord>,
    /// What is kept of the rows until the outcomes are known, aligned with `records`.
    pub(super) rows: Vec<KeptRow>,
    pub(super) rejects: Vec<Reject>,
    /// Keys of rows that the plan leaves out.
    pub(super) skipped: Vec<SourceKey>,
    /// Counts of what is decided already: rows read, rejects, misses.
    pub(super) totals: Totals,
    /// The key of the last row in it.
    pub(super) end: Option<SourceKey>,
    bytes: usize,
}

/// Cuts a stream of rows into batches at the first limit they meet. Batches span pages. Rejects count by the bytes that
/// they keep: rows may be rejected because they are large.
#[derive(Debug)]
pub(super) struct Batcher {
    records: usize,
    bytes: usize,
    /// A batch ends behind a row that is rejected: the run will not go on.
    cut_at_reject: bool,
    open: Batch,
}

/// Rejected rows in one batch at most, so that a table of rejects is committed in steps too.
const MAX_ROWS_READ: u64 = 8192;

impl Batcher {
    pub(super) fn new(records: usize, bytes: usize, cut_at_reject: bool) -> Self {
        Self { records: records.max(1), bytes: bytes.max(1), cut_at_reject, open: Batch::default() }
    }

    /// Adds a row; returns the batch that is full without it.
    pub(super) fn push(&mut self, PreparedRow { row, key, misses }: PreparedRow) -> Option<Batch> {
        let size = match &row {
            Prepared::Ready(_, kept) => kept.bytes,
            Prepared::Rejected(reject) => reject.bytes(),
            Prepared::Skipped => 0,
        };
        let is_full = self.open.rows.len() >= self.records
            || (self.open.bytes > 0 && self.open.bytes + size > self.bytes)
            || self.open.totals.read >= MAX_ROWS_READ
            || (self.cut_at_reject && self.open.totals.rejected > 0);
        let full = is_full.then(|| std::mem::take(&mut self.open));
        let open = &mut self.open;
        open.totals.read += 1;
        for field in &misses {
            open.totals.reference_misses.entry(field.to_string()).or_default().add(&key);
        }
        match row {
            Prepared::Ready(record, row) => {
                open.bytes += size;
                open.records.push(record);
                open.rows.push(row);
            }
            Prepared::Skipped => {
                open.totals.skipped += 1;
                open.skipped.push(key.clone());
            }
            Prepared::Rejected(mut reject) => {
                reject.counted.misses = Counted::misses(misses.iter().map(FieldName::as_str));
                open.bytes += size;
                open.totals.rejected += 1;
                open.totals.reject_codes.entry(reject.code).or_default().add(&reject.key);
                open.rejects.push(*reject);
            }
        }
        open.end = Some(key);
        full
    }

    /// The rest, if there is any.
    pub(super) fn finish(&mut self) -> Option<Batch> {
        (self.open.totals.read > 0).then(|| std::mem::take(&mut self.open))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::RejectCode;
    use crate::reject::Counted;

    #[test]
    fn large_rejects_fill_a_batch_by_their_bytes() {
        let reject = |key: u32, bytes: usize| Reject {
            table: "notes".parse().unwrap(),
            key: key.to_string().as_str().into(),
            code: RejectCode::ReferenceMissing,
            field: None,
            reason: String::new(),
            remedy: String::new(),
            record: serde_json::json!({ "text": ["x".repeat(bytes)] }),
            counted: Counted::default(),
        };
        let rejects = |rows: u32, bytes: usize| {
            let mut batcher = Batcher::new(1000, 2 << 20, false);
            let mut full: Vec<Batch> = Vec::new();
            for key in 0..rows {
                let row = Prepared::Rejected(Box::new(reject(key, bytes)));
                let prepared = PreparedRow { row, key: key.to_string().as_str().into(), misses: Vec::new() };
                full.extend(batcher.push(prepared));
            }
            full.extend(batcher.finish());
            full.iter().map(|batch| batch.rejects.len()).collect::<Vec<_>>()
        };
        assert_eq!(rejects(5, 900_000), [2, 2, 1]);
        assert_eq!(rejects(3, 5 << 20), [1, 1, 1], "one that is larger than a batch comes alone");
        assert_eq!(rejects(9000, 0), [8192, 808], "small ones by their number");
    }
}
