//! The decoding of a page as a plain function of its bytes, for benchmarks.

use migrate_core::Result;
use migrate_core::catalog::TableSchema;
use migrate_core::names::FieldName;
use migrate_core::record::Record;

use crate::decode::decode;
use crate::table_read::TableRead;

/// Decodes pages of one table.
#[derive(Debug)]
pub struct PageDecoder(TableRead);

impl PageDecoder {
    /// Prepares to decode these columns, among which are those of `key`.
    ///
    /// # Errors
    /// As preparing to read them.
    pub fn new(table: &TableSchema, columns: &[FieldName], key: &[FieldName]) -> Result<Self> {
        TableRead::new(table, columns, key).map(Self)
    }

    /// The `select` parameter that a page must have been asked for with.
    #[must_use]
    pub fn select(&self) -> &str {
        &self.0.select
    }

    /// The records of a page.
    ///
    /// # Errors
    /// As reading it.
    pub fn decode(&self, body: &[u8]) -> Result<Vec<Record>> {
        decode(body, &self.0)
    }
}
