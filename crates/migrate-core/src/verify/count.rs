//! Counting, without comparing.

use super::SinkProbe;
use super::describe::one;
use super::report::{DifferenceKind, TableVerification};
use super::results::Results;
use super::sink_side::leads_on;
use crate::error::Result;
use crate::observe::{Event, Observer};
use crate::plan::{Plan, PlanTable};
use crate::source::Source;
use crate::stop::{Stop, stopped};

/// Both sides, and who hears of them.
pub(super) struct Counter<'a> {
    pub(super) source: &'a dyn Source,
    pub(super) probe: &'a dyn SinkProbe,
    pub(super) observer: &'a dyn Observer,
    pub(super) stop: &'a Stop,
}

impl Counter<'_> {
    /// Counts rows and documents of the tables at `selected`, one after the other.
    pub(super) async fn count_all(&self, plan: &Plan, selected: &[usize], results: &Results) -> Result<()> {
        for &place in selected {
            if self.stop.is_requested() {
                return Err(stopped());
            }
            if let Some(table) = plan.tables.get(place) {
                results.add(place, self.count_table(table).await?);
            }
        }
        Ok(())
    }

    async fn count_table(&self, table: &PlanTable) -> Result<TableVerification> {
        let rows = self.source.count(table.read_from()).await?;
        let documents = self.count_documents(table).await?;
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
    async fn count_documents(&self, table: &PlanTable) -> Result<u64> {
        if let Some(documents) = self.probe.count(&table.sink).await? {
            return Ok(documents);
        }
        let (mut documents, mut cursor) = (0, None::<String>);
        loop {
            if self.stop.is_requested() {
                return Err(stopped());
            }
            let page = self.probe.count_page(&table.sink, cursor.as_deref()).await?;
            let read = Event::VerificationRead { table: table.source.clone(), documents: page.documents, rows: 0 };
            self.observer.on_event(&read);
            documents += page.documents;
            match leads_on(Some(&table.sink), cursor.as_ref(), page.next)? {
                Some(next) => cursor = Some(next),
                None => return Ok(documents),
            }
        }
    }
}
