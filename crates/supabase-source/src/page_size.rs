//! How many rows to ask for: less after a page that was too large, by the server's time or by its bytes, more again after
//! good ones.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use migrate_core::names::TableName;
use migrate_core::source::Page;
use migrate_core::{Disposition, Error};

/// Bytes that a page shall have at most: several are held at once, for each table and each part of one that is read, and
/// rows of many kilobytes shall take no more memory than narrow ones.
const PAGE_BYTES: u64 = 4 << 20;

/// Bytes of an answer after which its rest is not read, where it may have more than one row: rows may be much wider than
/// those before them.
pub(crate) const MOST_BYTES: u64 = 4 * PAGE_BYTES;

/// The code of an answer that was not read to its end.
pub(crate) const CUT_OFF: &str = "page_bytes";

/// Codes of answers that a smaller page may mend: statement timeout, a body of over 1 GiB, gateways that stopped
/// waiting, and our own bound. PGRST003 comes with 504 too, but it speaks of connections, not of the page.
const TOO_LARGE: &[&str] = &["57014", "54000", "504", "524", "544", CUT_OFF];

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

    /// Notes a good page. One of too many bytes lowers the limit to what its rows say; after 8 others the limit grows by a
    /// quarter, up to what is asked for, as long as so many rows of this width are not too many bytes.
    pub(crate) fn good_page(&self, table: &TableName, asked: usize, page: &Page) {
        let mut sizes = self.lock();
        let rows = page.records.len();
        if rows > 1 && page.bytes > PAGE_BYTES {
            let fitting = rows_in(PAGE_BYTES, rows, page.bytes);
            let learned = sizes.entry(table.clone()).or_insert(Learned { rows: fitting, good_pages: 0 });
            *learned = Learned { rows: learned.rows.min(fitting), good_pages: 0 };
            return;
        }
        let Some(learned) = sizes.get_mut(table) else { return };
        let grown = learned.rows + (learned.rows / 4).max(1);
        if rows > 0 && rows_in(PAGE_BYTES, rows, page.bytes) < grown {
            learned.good_pages = 0;
            return;
        }
        learned.good_pages += 1;
        if learned.good_pages < PAGES_BEFORE_GROWTH {
            return;
        }
        learned.good_pages = 0;
        learned.rows = grown;
        if learned.rows >= asked {
            sizes.remove(table);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<TableName, Learned>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Rows in so many bytes, at least one, where `rows` have `bytes`.
fn rows_in(wanted: u64, rows: usize, bytes: u64) -> usize {
    let fitting = wanted.saturating_mul(rows as u64) / bytes.max(1);
    usize::try_from(fitting).unwrap_or(usize::MAX).max(1)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use migrate_core::ErrorKind;
    use migrate_core::record::{Record, RecordShape};

    use super::*;

    /// A page of so many rows of so many bytes each.
    fn page(rows: usize, width: u64) -> Page {
        let table: TableName = "payments".parse().unwrap();
        let shape = Arc::new(RecordShape { table, fields: Vec::new(), key: Vec::new() });
        let records = (0..rows).map(|_| Record { shape: shape.clone(), values: Vec::new() }).collect();
        Page { records, next: None, bytes: width * rows as u64 }
    }

    #[test]
    fn wide_rows_come_in_pages_of_fewer() {
        let sizes = PageSizes::default();
        let table: TableName = "payments".parse().unwrap();
        sizes.good_page(&table, 1000, &page(1000, 4 << 10));
        assert_eq!(sizes.limit(&table, 1000), 1000, "4 MB are no page of too many bytes");
        sizes.good_page(&table, 1000, &page(1000, 16 << 10));
        assert_eq!(sizes.limit(&table, 1000), 256);
        // Of this width, more rows are too many bytes, however often they come; a wider page lowers it once more.
        for _ in 0..100 {
            sizes.good_page(&table, 1000, &page(256, 16 << 10));
        }
        assert_eq!(sizes.limit(&table, 1000), 256);
        sizes.good_page(&table, 1000, &page(16, 1 << 20));
        assert_eq!(sizes.limit(&table, 1000), 4);
        sizes.good_page(&table, 1000, &page(2, 64 << 20));
        assert_eq!(sizes.limit(&table, 1000), 1);
        // Narrow rows after them bring it back, a quarter at a time.
        for _ in 0..8 * 40 {
            sizes.good_page(&table, 1000, &page(1, 500));
        }
        assert_eq!(sizes.limit(&table, 1000), 1000);
    }

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
            sizes.good_page(&table, 1000, &page(100, 100));
        }
        assert_eq!(sizes.limit(&table, 1000), 500);
        sizes.good_page(&table, 1000, &page(100, 100));
        assert_eq!(sizes.limit(&table, 1000), 625);
        for _ in 0..8 * 3 {
            sizes.good_page(&table, 1000, &page(100, 100));
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
            sizes.good_page(&table, 100, &page(1, 100));
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
