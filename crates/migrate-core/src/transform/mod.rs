//! Rules that turn a row as read into a document: one family per file.

mod cast;
mod json;
mod nulls;
mod number;
mod references;
mod rename;
mod time;

use std::fmt::Debug;
use std::sync::Arc;

pub use cast::CastField;
pub use json::json_to_value;
pub use nulls::Nulls;
pub use references::ReferenceKeys;
pub use rename::Rename;

use crate::names::{FieldName, SourceKey, TableName};
use crate::plan::{Conversion, PlanField};
use crate::record::{ChangeKind, FieldChange, Record, RecordShape, RowError};

/// What a transform may tell about a row beside the row itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RowContext {
    /// Lossy edits.
    pub changes: Vec<FieldChange>,
    /// Per field of the document: the key of the parent it refers to, if any. Empty until references were read.
    pub references: Vec<Option<SourceKey>>,
    /// Per field of the document: whether its column was SQL NULL. JSON's own `null` is a value, not that.
    pub nulls: Vec<bool>,
}

impl RowContext {
    /// Records a lossy edit.
    pub fn changed(&mut self, field: &FieldName, kind: ChangeKind) {
        self.changes.push(FieldChange { field: field.clone(), kind });
    }
}

/// One rule. Pure: no I/O, no clock, the same row always gives the same result.
pub trait Transform: Debug + Send + Sync {
    /// Edits the record in place.
    ///
    /// # Errors
    /// Why this row cannot be migrated; the run goes on without it.
    fn apply(&self, record: &mut Record, context: &mut RowContext) -> Result<(), RowError>;
}

/// The rules of one table, in order: reference keys, rename, casts, nulls, then what was added.
#[derive(Debug)]
pub struct Chain {
    columns: Arc<[FieldName]>,
    steps: Vec<Box<dyn Transform>>,
}

/// A row after its rules.
#[derive(Debug, Clone, PartialEq)]
pub struct Converted {
    /// The document; fields that are references are empty still.
    pub record: Record,
    /// Per field: the key of the parent it refers to.
    pub references: Vec<Option<SourceKey>>,
}

impl Chain {
    /// The rules that make `fields` for the sink's table of the same plan entry. Records it is applied to have the
    /// fields of [`Chain::columns`] in that order.
    #[must_use]
    pub fn new(table: &TableName, fields: &[PlanField]) -> Self {
        Self::with_key(table, fields, &[])
    }

    /// As [`Chain::new`], for records that begin with the columns of `key`.
    #[must_use]
    pub fn with_key(table: &TableName, fields: &[PlanField], key: &[FieldName]) -> Self {
        let mut columns: Vec<FieldName> = key.to_vec();
        for column in fields.iter().flat_map(|field| &field.columns) {
            if !columns.contains(column) {
                columns.push(column.clone());
            }
        }
        let positions = |field: &PlanField| -> Vec<usize> {
            field.columns.iter().filter_map(|column| columns.iter().position(|other| other == column)).collect()
        };
        let shape = Arc::new(RecordShape {
            table: table.clone(),
            fields: fields.iter().map(|field| field.field.clone()).collect(),
            key: Vec::new(),
        });
        let mut steps: Vec<Box<dyn Transform>> = vec![
            Box::new(ReferenceKeys::new(
                fields
                    .iter()
                    .map(|field| matches!(field.conversion, Conversion::Reference(_)).then(|| positions(field))),
            )),
            Box::new(Rename::new(shape, fields.iter().map(|field| positions(field).first().copied()))),
        ];
        for (position, field) in fields.iter().enumerate() {
            if let Conversion::Value { cast, .. } = &field.conversion {
                steps.push(Box::new(CastField::new(position, field, *cast)));
            }
        }
        steps.push(Box::new(Nulls::new(fields)));
        Self { columns: columns.into(), steps }
    }

    /// Adds a rule after all others.
    pub fn push(&mut self, step: Box<dyn Transform>) {
        self.steps.push(step);
    }

    /// The columns a record must have, in order; the key's first.
    #[must_use]
    pub fn columns(&self) -> &Arc<[FieldName]> {
        &self.columns
    }

    /// Applies the rules to a copy of `record`.
    ///
    /// # Errors
    /// The first rule's refusal.
    pub fn apply(&self, record: &Record, context: &mut RowContext) -> Result<Converted, RowError> {
        let mut record = record.clone();
        for step in &self.steps {
            step.apply(&mut record, context)?;
        }
        Ok(Converted { record, references: std::mem::take(&mut context.references) })
    }
}
