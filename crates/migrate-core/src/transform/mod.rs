//! Rules that turn a row as read into a document: one family per file.

mod cast;
mod computed;
mod fields;
mod json;
mod nulls;
mod number;
mod references;
mod time;

use std::fmt::Debug;
use std::sync::Arc;

use cast::CastField;
use computed::Computed;
pub use computed::Expression;
use fields::Fields;
pub use json::{escape_key, json_to_value};
use nulls::Nulls;
use references::ReferenceKeys;
pub(crate) use time::epoch_milliseconds;

use crate::names::{FieldName, SourceKey, TableName};
use crate::plan::PlanField;
use crate::record::{ChangeKind, FieldChange, Record, RecordShape, RowError};
use crate::value::Value;

/// What a transform may tell about a row beside the row itself.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RowContext {
    /// Lossy edits.
    pub changes: Vec<FieldChange>,
    /// Per field of the document: the keys of the parents it refers to; several only for a list. Empty until references
    /// were read.
    pub references: Vec<Vec<ParentKey>>,
    /// Per field of the document: the value that was computed for it before the columns were renamed away.
    pub computed: Vec<Option<Value>>,
    /// Per field of the document: whether its column was SQL NULL. JSON's own `null` is a value, not that.
    pub nulls: Vec<bool>,
}

/// The row that a reference means.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ParentKey {
    /// Which of the reference's parents, by its position in the plan.
    pub parent: usize,
    /// The row's key there.
    pub key: SourceKey,
}

impl RowContext {
    /// Records a lossy edit, once for a row's field: rows are counted, not the elements of an array.
    pub fn changed(&mut self, field: &FieldName, kind: ChangeKind) {
        let change = FieldChange { field: field.clone(), kind };
        if !self.changes.contains(&change) {
            self.changes.push(change);
        }
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

/// The rules of one table, in order: reference keys, expressions, fields and their types, nulls, then what was added.
#[derive(Debug)]
pub struct Chain {
    columns: Arc<[FieldName]>,
    references: ReferenceKeys,
    computed: Option<Computed>,
    fields: Fields,
    nulls: Nulls,
    added: Vec<Box<dyn Transform>>,
}

/// A row after its rules.
#[derive(Debug, Clone, PartialEq)]
pub struct Converted {
    /// The document; fields that are references are empty still.
    pub record: Record,
    /// Per field: the keys of the parents it refers to.
    pub references: Vec<Vec<ParentKey>>,
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
        Self::with_columns(table, fields, key.iter())
    }

    /// As [`Chain::new`], for records that begin with `leading` columns.
    pub fn with_columns<'a>(
        table: &TableName,
        fields: &[PlanField],
        leading: impl Iterator<Item = &'a FieldName>,
    ) -> Self {
        let mut columns: Vec<FieldName> = Vec::new();
        for column in leading {
            if !columns.contains(column) {
                columns.push(column.clone());
            }
        }
        for column in fields.iter().flat_map(|field| &field.columns) {
            if !columns.contains(column) {
                columns.push(column.clone());
            }
        }
        let shape = Arc::new(RecordShape {
            table: table.clone(),
            fields: fields.iter().map(|field| field.field.clone()).collect(),
            key: Vec::new(),
        });
        Self {
            references: ReferenceKeys::new(fields, &columns),
            computed: Computed::new(fields),
            fields: Fields::new(shape, fields, &columns),
            nulls: Nulls::new(fields),
            added: Vec::new(),
            columns: columns.into(),
        }
    }

    /// Adds a rule after all others.
    pub fn push(&mut self, step: Box<dyn Transform>) {
        self.added.push(step);
    }

    /// The columns a record must have, in order; the key's first.
    #[must_use]
    pub fn columns(&self) -> &Arc<[FieldName]> {
        &self.columns
    }

    /// Makes the document of `record`, which is left as it is.
    ///
    /// # Errors
    /// The first rule's refusal.
    pub fn apply(&self, record: &Record, context: &mut RowContext) -> Result<Converted, RowError> {
        context.references = self.references.of(record)?;
        if let Some(computed) = &self.computed {
            context.computed = computed.of(record)?;
        }
        let mut document = self.fields.apply(record, context)?;
        self.nulls.apply(&mut document, context)?;
        for step in &self.added {
            step.apply(&mut document, context)?;
        }
        Ok(Converted { record: document, references: std::mem::take(&mut context.references) })
    }
}
