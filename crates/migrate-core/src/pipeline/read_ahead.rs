use std::sync::Arc;
use std::time::Instant;

use tokio::sync::mpsc;

use super::forward::Forward;
use crate::error::Result;
use crate::names::FieldName;
use crate::observe::{Event, Observer};
use crate::plan::PlanTable;
use crate::source::{Cursor, Page, PageRequest, Source};
use crate::state::PartitionId;
use crate::stop::{Stop, stopped};

/// Pages read ahead of the one that is being prepared.
const PAGES_AHEAD: usize = 1;

/// Reads the rows of a plan's tables, page by page.
pub(crate) struct PageReader {
    pub(crate) source: Arc<dyn Source>,
    pub(crate) observer: Arc<dyn Observer>,
    pub(crate) stop: Stop,
    pub(crate) page_rows: usize,
}

impl PageReader {
    /// Reads pages ahead in a task of its own. The channel bounds how far; an empty page or an error is the last item.
    pub(crate) fn ahead(
        self,
        table: &PlanTable,
        partition: PartitionId,
        columns: Arc<[FieldName]>,
        mut after: Option<Cursor>,
    ) -> mpsc::Receiver<Result<Page>> {
        let (sender, receiver) = mpsc::channel(PAGES_AHEAD);
        let key: Arc<[FieldName]> = table.key.as_slice().into();
        let read_from = table.read_from().clone();
        tokio::spawn(async move {
            let mut forward = Forward::default();
            loop {
                if self.stop.is_requested() {
                    let _ = sender.send(Err(stopped())).await;
                    return;
                }
                let request = PageRequest {
                    table: read_from.clone(),
                    columns: columns.clone(),
                    key: key.clone(),
                    range: partition.range.clone(),
                    after: after.clone(),
                    limit: self.page_rows.max(1),
                };
                let started = Instant::now();
                let page = tokio::select! {
                    page = self.source.read_page(request) => page,
                    () = sender.closed() => return,
                    () = self.stop.requested() => Err(stopped()),
                };
                let page = page.and_then(|page| forward.check(&partition.table, page, after.as_ref()));
                let is_last = page.as_ref().map_or(true, |page| page.records.is_empty());
                if let Ok(page) = &page {
                    self.observer.on_event(&Event::PageRead {
                        table: partition.table.clone(),
                        records: page.records.len(),
                        bytes: page.bytes,
                        elapsed: started.elapsed(),
                    });
                    after = page.next.clone();
                }
                if sender.send(page).await.is_err() || is_last {
                    return;
                }
            }
        });
        receiver
    }
}
