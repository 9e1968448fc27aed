//! Counting, without comparing.

use super::SinkProbe;
use super::describe::one;
use super::report::{DifferenceKind, TableVerification};
use super::sink_side::leads_on;
use crate::error::Result;
use crate::names::TableName;
use crate::plan::PlanTable;
use crate::source::Source;
use crate::stop::{Stop, stopped};

/// Counts rows and documents of a table.
pub(super) async fn count_table(
    source: &dyn Source,
    probe: &dyn SinkProbe,
    table: &PlanTable,
    stop: &Stop,
) -> Result<TableVerification> {
    let rows = source.count(table.read_from()).await?;
    let documents = count_documents(probe, &table.sink, stop).await?;
    let source = rows.unwrap_or(0);
    let mut counted = TableVerification {
        is_compared: rows.is_some(),
        source,
        expected: source,
        documents,
        ..TableVerification::of(table.sink.clone())
    };
    // A part has no document for a row in which all of it is nothing: its rows cannot be counted.
    if rows.is_some_and(|rows| rows != documents) && table.part_of.is_none() {
        let (expected, found) = (format!("{source} documents"), format!("{documents} documents"));
        counted.differences.push(one(DifferenceKind::Count, None, None, expected, found));
    }
    Ok(counted)
}

/// The exact number of a table's documents, by reading all of them where the sink knows no other way.
async fn count_documents(probe: &dyn SinkProbe, table: &TableName, stop: &Stop) -> Result<u64> {
    if let Some(documents) = probe.count(table).await? {
        return Ok(documents);
    }
    let (mut documents, mut cursor) = (0, None::<String>);
    loop {
        if stop.is_requested() {
            return Err(stopped());
        }
        let page = probe.count_page(table, cursor.as_deref()).await?;
        documents += page.documents;
        match leads_on(Some(table), cursor.as_ref(), page.next)? {
            Some(next) => cursor = Some(next),
            None => return Ok(documents),
        }
    }
}
