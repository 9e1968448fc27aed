//! The encoding of a call as a plain function of its records, for benchmarks.

use migrate_core::names::FieldName;
use migrate_core::record::RowError;
use migrate_core::sink::{WriteMode, WriteRecord};

use crate::encode::{begin_call, end_call, write_records};

/// The body of an upsert.
///
/// # Errors
/// The first record that cannot be written.
pub fn encode_upsert(path: &str, legacy_id_field: &FieldName, records: &[WriteRecord]) -> Result<Vec<u8>, RowError> {
    let mut body = begin_call(path, None);
    let faults = write_records(&mut body, WriteMode::Upsert, legacy_id_field, records.iter().map(Ok));
    end_call(&mut body);
    faults.into_iter().flatten().next().map_or(Ok(body), Err)
}
