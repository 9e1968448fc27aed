use std::sync::Arc;

use super::batch::{Prepared, ReadyRow};
use crate::error::{Error, ErrorKind, Result};
use crate::names::{SourceKey, TableName};
use crate::plan::{Conversion, MissingParent, PlanField, PlanReference, PlanTable};
use crate::record::{FieldChange, Record, RejectCode, RowError};
use crate::reject::Reject;
use crate::resolve::{IdResolver, Resolution};
use crate::sink::{Sink, WriteRecord};
use crate::source::Cursor;
use crate::transform::{Chain, Converted, RowContext};
use crate::value::Value;

/// Turns pages of one table into rows that are ready to be written: rules, references, size.
#[derive(Debug)]
pub(super) struct Preparer {
    pub(super) table: Arc<PlanTable>,
    pub(super) chain: Chain,
    pub(super) resolver: Arc<dyn IdResolver>,
    pub(super) sink: Arc<dyn Sink>,
}

/// A row with its place and the references whose parents were not found.
pub(super) struct PreparedRow {
    pub(super) row: Prepared,
    pub(super) place: Cursor,
    pub(super) misses: Vec<(String, SourceKey)>,
}

/// A row between its rules and its references.
struct Row {
    key: SourceKey,
    place: Cursor,
    original: Record,
    outcome: std::result::Result<Converted, RowError>,
    changes: Vec<FieldChange>,
    misses: Vec<(String, SourceKey)>,
}

impl Preparer {
    /// Prepares the rows of a page, in order.
    pub(super) async fn prepare(&self, records: Vec<Record>) -> Result<Vec<PreparedRow>> {
        let mut rows = Vec::with_capacity(records.len());
        for record in records {
            rows.push(self.convert(record)?);
        }
        for (position, field) in self.table.fields.iter().enumerate() {
            if let Conversion::Reference(reference) = &field.conversion
                && !reference.cut
            {
                self.fill_reference(&mut rows, position, field, reference).await?;
            }
        }
        Ok(rows.into_iter().map(|row| self.finish(row)).collect())
    }

    fn convert(&self, record: Record) -> Result<Row> {
        let (key, place) = place_of(&self.table.source, &record)?;
        let mut context = RowContext::default();
        let outcome = self.chain.apply(&record, &mut context);
        Ok(Row { key, place, original: record, outcome, changes: context.changes, misses: Vec::new() })
    }

    async fn fill_reference(
        &self,
        rows: &mut [Row],
        position: usize,
        field: &PlanField,
        reference: &PlanReference,
    ) -> Result<()> {
        let parent_of = |row: &Row| -> Option<SourceKey> {
            row.outcome.as_ref().ok().and_then(|converted| converted.references.get(position).cloned().flatten())
        };
        let wanted: Vec<SourceKey> = rows.iter().filter_map(parent_of).collect();
        if wanted.is_empty() {
            return Ok(());
        }
        let mut resolved = self.resolver.resolve(&reference.parent, &wanted).await?.into_iter();
        for row in rows.iter_mut() {
            let Some(parent) = parent_of(row) else { continue };
            let resolution = resolved.next().ok_or_else(|| {
                Error::new(ErrorKind::Protocol, "match resolved ids to the keys asked for")
                    .with_context("table", &reference.parent)
            })?;
            let value = match &resolution {
                Resolution::Found(id) => Ok(Value::text(id.as_str())),
                _ => missing_parent(&self.table.source, &row.key, field, reference, &parent, &resolution)?,
            };
            if resolution.id().is_none() {
                row.misses.push((field.field.to_string(), row.key.clone()));
            }
            match value {
                Ok(value) => {
                    if let Some(slot) = row.outcome.as_mut().ok().and_then(|c| c.record.values.get_mut(position)) {
                        *slot = value;
                    }
                }
                Err(error) => row.outcome = Err(error),
            }
        }
        Ok(())
    }

    fn finish(&self, row: Row) -> PreparedRow {
        let Row { key, place, original, outcome, changes, misses } = row;
        let measured = outcome.and_then(|converted| {
            let write = WriteRecord { key: key.clone(), id: None, record: converted.record };
            self.sink.measure(&write).map(|bytes| (write, bytes))
        });
        let row = match measured {
            Ok((write, bytes)) => Prepared::Ready(Box::new(ReadyRow { write, original, changes, bytes })),
            Err(error) => Prepared::Rejected(Box::new(Reject::new(&self.table.source, key, &original, error))),
        };
        PreparedRow { row, place, misses }
    }
}

/// A row's key, and its place in key order.
pub(super) fn place_of(table: &TableName, record: &Record) -> Result<(SourceKey, Cursor)> {
    let texts = record.texts(&record.shape.key).map_err(|error| {
        Error::new(ErrorKind::Protocol, format!("read a row's key: {}", error.message)).with_context("table", table)
    })?;
    Ok((SourceKey::from_parts(&texts), Cursor(texts)))
}

/// What the plan says of a reference whose parent is not in the sink: a value, a reject, or the end of the run.
pub(super) fn missing_parent(
    table: &TableName,
    key: &SourceKey,
    field: &PlanField,
    reference: &PlanReference,
    parent: &SourceKey,
    resolution: &Resolution,
) -> Result<std::result::Result<Value, RowError>> {
    let column = field.columns.first().unwrap_or(&field.field);
    let (code, reason) = match resolution {
        Resolution::Ambiguous { table, key } => {
            (RejectCode::ReferenceAmbiguous, format!("several documents match the natural key of {table} {key}"))
        }
        Resolution::Missing { table, key } if *table != reference.parent => (
            RejectCode::ReferenceMissing,
            format!(
                "{} {parent} cannot be found, because its parent {table} {key} is not in the sink",
                reference.parent
            ),
        ),
        Resolution::Missing { .. } | Resolution::Found(_) => {
            (RejectCode::ReferenceMissing, format!("{} {parent} is not in the sink", reference.parent))
        }
    };
    match reference.on_missing {
        MissingParent::Null if code == RejectCode::ReferenceMissing => {
            Ok(Ok(if field.nullable { Value::Null } else { Value::Absent }))
        }
        MissingParent::Fail => Err(Error::new(ErrorKind::TooManyRejects, format!("go on: {reason}"))
            .with_context("table", table)
            .with_context("key", key)
            .with_context("column", column)
            .with_remedy("bring the parent into the sink, or plan on_missing = \"reject\"")),
        MissingParent::Null | MissingParent::Reject => {
            Ok(Err(RowError::new(code, format!("{column}: {reason}")).at(Some(column.clone()))))
        }
    }
}
