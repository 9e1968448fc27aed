use std::sync::Arc;

use super::{RowContext, Transform};
use crate::record::{Record, RecordShape, RowError};
use crate::value::Value;

/// Gives the values the fields, names and order of the document.
#[derive(Debug)]
pub struct Rename {
    shape: Arc<RecordShape>,
    /// Per field of the document: the column its value comes from.
    columns: Vec<Option<usize>>,
    /// Columns that more than one field needs.
    shared: Vec<usize>,
}

impl Rename {
    /// The document's shape, and per field of it the position of its column.
    pub fn new(shape: Arc<RecordShape>, columns: impl IntoIterator<Item = Option<usize>>) -> Self {
        let columns: Vec<Option<usize>> = columns.into_iter().collect();
        let used: Vec<usize> = columns.iter().flatten().copied().collect();
        let shared = used.iter().copied().filter(|at| used.iter().filter(|other| *other == at).count() > 1).collect();
        Self { shape, columns, shared }
    }
}

impl Transform for Rename {
    fn apply(&self, record: &mut Record, context: &mut RowContext) -> Result<(), RowError> {
        let values: Vec<Value> = self
            .columns
            .iter()
            .map(|column| match column.and_then(|at| record.values.get_mut(at).map(|value| (at, value))) {
                Some((at, value)) if self.shared.contains(&at) => value.clone(),
                Some((_, value)) => std::mem::take(value),
                None => Value::Absent,
            })
            .collect();
        context.nulls = values.iter().map(Value::is_nothing).collect();
        *record = Record { shape: self.shape.clone(), values };
        Ok(())
    }
}
