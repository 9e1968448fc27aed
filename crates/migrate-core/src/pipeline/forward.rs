use crate::error::{Error, ErrorKind, Result};
use crate::names::TableName;
use crate::source::{Cursor, Page};

/// Proves that pages lead on: one that does not would make the run read for ever, or end early.
///
/// Sources refuse what goes back in an order that they know. Of others, such as that of texts, only the places are known:
/// one that comes again is found by Brent's algorithm, which keeps a single earlier place, whatever the table's size.
#[derive(Debug, Default)]
pub(crate) struct Forward {
    kept: Option<Cursor>,
    pages: u64,
}

impl Forward {
    /// The page that came for what follows `after`.
    ///
    /// # Errors
    /// `Protocol` where it does not lead on.
    pub(crate) fn check(&mut self, table: &TableName, page: Page, after: Option<&Cursor>) -> Result<Page> {
        let refuse = |text: &str| Err(Error::new(ErrorKind::Protocol, text).with_context("table", table));
        if page.records.is_empty() != page.next.is_none() || (page.next.is_some() && page.next.as_ref() == after) {
            return refuse("read on: the source gave a page that does not lead further");
        }
        if page.next.is_some() && page.next == self.kept {
            return refuse("read on: the source gave pages that it gave before");
        }
        self.pages += 1;
        if self.pages.is_power_of_two() {
            self.kept.clone_from(&page.next);
        }
        Ok(page)
    }
}
