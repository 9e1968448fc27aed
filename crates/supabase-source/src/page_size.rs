//! How many rows to ask for: less after a page that was too large, more again after good ones.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use migrate_core::names::TableName;
use migrate_core::{Disposition, Error};

/// Codes of answers that a smaller page may mend: statement timeout, a body of over 1 GiB, and gateways that stopped
/// waiting. PGRST003 comes with 504 too, but it speaks of connections, not of the page.
const TOO_LARGE: &[&str] = &["57014", "54000", "504", "524", "544"];

/// Good pages in a row before the limit grows.
const PAGES_BEFORE_GROWTH: u32 = 8;

/// How often one row is asked for before it counts as too large.
const TRIES_OF_ONE_ROW: u32 = 3;

/// Whether the same page in fewer rows may succeed.
pub(crate) fn is_too_large(error: &Error) -> bool {
    TOO_LARGE.contains(&error.code())
}

/// Whether the server names a time before which the same request is not welcome: the retry layer waits that long.
pub(crate) fn asks_to_wait(error: &Error) -> bool {
    error.retry_after().is_some() && error.disposition() == Disposition::Retry
}

/// How often one row was asked for alone. A lock or a cold disk may have been what took so long.
#[derive(Debug, Default)]
pub(crate) struct OneRow(u32);

impl OneRow {
    /// Whether to ask for it once more after this error. Those that the retry layer repeats are left to it.
    pub(crate) fn may_be_tried_again(&mut self, error: &Error) -> bool {
        self.0 += 1;
        self.0 < TRIES_OF_ONE_ROW && error.disposition() == Disposition::Split
    }
}

/// The row limits that were learned, by table. They outlive a page, but not the source.
#[derive(Debug, Default)]
pub(crate) struct PageSizes(Mutex<HashMap<TableName, Learned>>);

#[derive(Debug, Clone, Copy)]
struct Learned {
    rows: usize,
    good_pages: u32,
}

impl PageSizes {
    /// Rows to ask for where the caller wants at most `asked`; at least 1.
    pub(crate) fn limit(&self, table: &TableName, asked: usize) -> usize {
        let learned = self.lock().get(table).map_or(asked, |learned| learned.rows);
        learned.min(asked).max(1)
    }

    /// Halves the limit after `tried` rows were too many; `None` when one row was.
    ///
    /// Pages of other ranges of the table may have failed at the same time: the limit is halved once for all of them.
    pub(crate) fn shrink(&self, table: &TableName, tried: usize) -> Option<usize> {
        let half = tried / 2;
        if half == 0 {
            return None;
        }
        let mut sizes = self.lock();
        let learned = sizes.entry(table.clone()).or_insert(Learned { rows: half, good_pages: 0 });
        learned.rows = learned.rows.min(half);
        learned.good_pages = 0;
        Some(learned.rows)
    }

    /// Notes a good page; after 8 of them the limit grows by a quarter, up to what is asked for.
    pub(crate) fn good_page(&self, table: &TableName, asked: usize) {
        let mut sizes = self.lock();
        let Some(learned) = sizes.get_mut(table) else { return };
        learned.good_pages += 1;
        if learned.good_pages < PAGES_BEFORE_GROWTH {
            return;
        }
        learned.good_pages = 0;
        learned.rows += (learned.rows / 4).max(1);
        if learned.rows >= asked {
            sizes.remove(table);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<TableName, Learned>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use migrate_core::ErrorKind;

    use super::*;

    #[test]
    fn halves_at_once_and_grows_back_by_quarters() {
        let sizes = PageSizes::default();
        let table: TableName = "payments".parse().unwrap();
        let other: TableName = "auth.users".parse().unwrap();
        assert_eq!(sizes.limit(&table, 1000), 1000);
        assert_eq!(sizes.shrink(&table, 1000), Some(500));
        assert_eq!(sizes.shrink(&table, 1000), Some(500), "a page that failed beside the first does not halve again");
        assert_eq!(sizes.limit(&table, 1000), 500);
        assert_eq!(sizes.limit(&table, 200), 200);
        assert_eq!(sizes.limit(&other, 1000), 1000);
        for _ in 0..7 {
            sizes.good_page(&table, 1000);
        }
        assert_eq!(sizes.limit(&table, 1000), 500);
        sizes.good_page(&table, 1000);
        assert_eq!(sizes.limit(&table, 1000), 625);
        for _ in 0..8 * 3 {
            sizes.good_page(&table, 1000);
        }
        assert_eq!(sizes.limit(&table, 1000), 1000);
    }

    #[test]
    fn one_row_is_the_floor_and_can_grow() {
        let sizes = PageSizes::default();
        let table: TableName = "payments".parse().unwrap();
        assert_eq!(sizes.shrink(&table, 3), Some(1));
        assert_eq!(sizes.shrink(&table, 1), None);
        for _ in 0..8 {
            sizes.good_page(&table, 100);
        }
        assert_eq!(sizes.limit(&table, 100), 2);
    }

    #[test]
    fn pool_exhaustion_is_not_about_the_page() {
        let with = |code: &str| Error::new(ErrorKind::TimedOut, "read").with_code(code);
        assert!(is_too_large(&with("504")));
        assert!(is_too_large(&with("57014")));
        assert!(!is_too_large(&with("PGRST003")));
    }
}
