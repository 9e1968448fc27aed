use std::sync::Arc;

use super::batch::{KeptRow, Prepared};
use super::references::{Outcome, Referred, resolve_field};
use crate::error::{Error, ErrorKind, Result};
use crate::names::{FieldName, SourceKey, TableName};
use crate::plan::{PlanField, PlanReference, PlanTable};
use crate::record::{FieldChange, Record, RowError};
use crate::reject::Reject;
use crate::resolve::IdResolver;
use crate::sink::{Sink, WriteRecord};
use crate::source::Cursor;
use crate::transform::{Chain, Converted, ParentKey, RowContext};
use crate::value::Value;

/// Turns pages of one table into rows that are ready to be written: rules, references, size.
#[derive(Debug)]
pub(crate) struct Preparer {
    table: Arc<PlanTable>,
    chain: Chain,
    resolver: Arc<dyn IdResolver>,
    sink: Arc<dyn Sink>,
    /// Per alternate key of the table, the positions of its columns.
    alternates: Vec<Vec<usize>>,
    /// Whether references that the second pass sets are among the chain's fields.
    with_links: bool,
}

/// A row with its key and the fields that refer to parents which were not found.
pub(crate) struct PreparedRow {
    pub(crate) row: Prepared,
    pub(crate) key: SourceKey,
    pub(super) misses: Vec<FieldName>,
}

/// A row between its rules and its references.
struct Row {
    key: SourceKey,
    original: Record,
    outcome: std::result::Result<Fate, RowError>,
    changes: Vec<FieldChange>,
    misses: Vec<FieldName>,
}

/// A row that is not rejected.
enum Fate {
    Converted(Converted),
    Skipped,
}

impl Fate {
    fn converted_mut(&mut self) -> Option<&mut Converted> {
        match self {
            Self::Converted(converted) => Some(converted),
            Self::Skipped => None,
        }
    }
}

/// The key of a row in other columns than its own key's; `None` where one of them is NULL, which no reference means.
fn alternate_key(record: &Record, columns: &[usize]) -> Option<SourceKey> {
    record.key_of(columns).ok()
}

impl Preparer {
    pub(crate) fn new(table: Arc<PlanTable>, chain: Chain, resolver: Arc<dyn IdResolver>, sink: Arc<dyn Sink>) -> Self {
        let position = |column: &FieldName| chain.columns().iter().position(|other| other == column);
        let alternates =
            table.alternate_keys.iter().map(|columns| columns.iter().filter_map(position).collect()).collect();
        Self { table, chain, resolver, sink, alternates, with_links: false }
    }

    /// Fills references of the second pass, too; the chain must have them. One whose parent is not in the sink is left
    /// out, as that pass leaves it.
    pub(crate) fn with_links(mut self) -> Self {
        self.with_links = true;
        self
    }

    /// The columns to read.
    pub(crate) fn columns(&self) -> &Arc<[FieldName]> {
        self.chain.columns()
    }

    /// Prepares the rows of a page, in order.
    pub(crate) async fn prepare(&self, records: Vec<Record>) -> Result<Vec<PreparedRow>> {
        let mut rows = Vec::with_capacity(records.len());
        for record in records {
            rows.push(self.convert(record)?);
        }
        // The chain's documents have these fields, in this order.
        let fields = self.table.fields.iter().filter(|field| self.with_links || !field.is_cut());
        for (position, field) in fields.enumerate() {
            if let Some(reference) = field.reference() {
                self.fill_reference(&mut rows, position, field, reference).await?;
            }
        }
        Ok(rows.into_iter().map(|row| self.finish(row)).collect())
    }

    fn convert(&self, record: Record) -> Result<Row> {
        let key = key_of(&self.table.source, &record)?;
        let mut context = RowContext::default();
        let outcome = self.chain.apply(&record, &mut context).map(|converted| {
            // What is split off of a row is nothing where all of it is: then it has no document.
            let is_empty = self.table.part_of.is_some() && converted.record.values.iter().all(Value::is_nothing);
            if is_empty { Fate::Skipped } else { Fate::Converted(converted) }
        });
        Ok(Row { key, original: record, outcome, changes: context.changes, misses: Vec::new() })
    }

    async fn fill_reference(
        &self,
        rows: &mut [Row],
        position: usize,
        field: &PlanField,
        reference: &PlanReference,
    ) -> Result<()> {
        let parents_of = |row: &mut Row| -> Vec<ParentKey> {
            let converted = row.outcome.as_mut().ok().and_then(Fate::converted_mut);
            converted
                .and_then(|converted| converted.references.get_mut(position))
                .map(std::mem::take)
                .unwrap_or_default()
        };
        let parents: Vec<Vec<ParentKey>> = rows.iter_mut().map(parents_of).collect();
        if parents.iter().all(Vec::is_empty) {
            return Ok(());
        }
        let wanted: Vec<(&SourceKey, &[ParentKey])> =
            rows.iter().zip(&parents).map(|(row, parents)| (&row.key, &**parents)).collect();
        let referred = resolve_field(&*self.resolver, &self.table.source, field, reference, &wanted).await?;
        for (row, referred) in rows.iter_mut().zip(referred) {
            let Some(Referred { outcome, misses }) = referred else { continue };
            row.misses.extend(std::iter::repeat_n(field.field.clone(), misses));
            let outcome = match outcome {
                Outcome::Skip | Outcome::Reject(_) if field.is_cut() => Outcome::Value(Value::Absent),
                outcome => outcome,
            };
            match outcome {
                Outcome::Value(value) => {
                    let converted = row.outcome.as_mut().ok().and_then(Fate::converted_mut);
                    if let Some(slot) = converted.and_then(|converted| converted.record.values.get_mut(position)) {
                        *slot = value;
                    }
                }
                Outcome::Skip => row.outcome = Ok(Fate::Skipped),
                Outcome::Reject(error) => row.outcome = Err(error),
            }
        }
        Ok(())
    }

    fn finish(&self, row: Row) -> PreparedRow {
        let Row { key, original, outcome, changes, misses } = row;
        let measured = outcome.and_then(|fate| match fate {
            Fate::Skipped => Ok(None),
            Fate::Converted(converted) => {
                let write = WriteRecord { key: key.clone(), id: None, record: converted.record };
                self.sink.measure(&write).map(|bytes| Some((write, bytes)))
            }
        });
        let row = match measured {
            Ok(None) => Prepared::Skipped,
            Ok(Some((write, bytes))) => {
                let alternates = self.alternates.iter().map(|columns| alternate_key(&original, columns)).collect();
                Prepared::Ready(write, KeptRow { original, changes, bytes, alternates, misses: misses.clone() })
            }
            Err(error) => Prepared::Rejected(Box::new(Reject::new(&self.table, key.clone(), &original, error))),
        };
        PreparedRow { row, key, misses }
    }
}

/// A row's key.
pub(crate) fn key_of(table: &TableName, record: &Record) -> Result<SourceKey> {
    record.key().map_err(|error| {
        Error::new(ErrorKind::Protocol, format!("read a row's key: {}", error.message)).with_context("table", table)
    })
}

/// The place of a row in the order of the table's key.
pub(super) fn place_of(table: &PlanTable, key: &SourceKey) -> Result<Cursor> {
    key.parts(table.key.len()).map(Cursor).ok_or_else(|| {
        Error::new(ErrorKind::Unexpected, "tell a row's place by its key").with_context("table", &table.source)
    })
}
