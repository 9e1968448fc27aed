use super::{RowContext, Transform};
use crate::names::SourceKey;
use crate::record::{Record, RowError};
use crate::value::Value;

/// Reads the keys of the parents a row refers to. A reference with NULL in any of its columns refers to nothing, as in
/// SQL's `MATCH SIMPLE`.
#[derive(Debug)]
pub struct ReferenceKeys {
    /// Per field of the document: the positions of the columns it refers by.
    columns: Vec<Option<Vec<usize>>>,
}

impl ReferenceKeys {
    /// Per field of the document, the positions of its columns where it is a reference.
    pub fn new(columns: impl IntoIterator<Item = Option<Vec<usize>>>) -> Self {
        Self { columns: columns.into_iter().collect() }
    }
}

impl Transform for ReferenceKeys {
    fn apply(&self, record: &mut Record, context: &mut RowContext) -> Result<(), RowError> {
        let mut references = Vec::with_capacity(self.columns.len());
        for columns in &self.columns {
            let key = match columns {
                Some(columns) if columns.iter().all(|&at| !record.values.get(at).is_none_or(Value::is_nothing)) => {
                    Some(SourceKey::from_parts(&record.texts(columns)?))
                }
                _ => None,
            };
            references.push(key);
        }
        context.references = references;
        Ok(())
    }
}
