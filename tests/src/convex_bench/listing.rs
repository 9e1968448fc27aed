//! Documents read back, page by page (convex-backend, `npm-packages/system-udfs/convex/_system/cli/tableData.ts`).

use std::fmt::Write as _;

use super::functions::Failure;
use super::kept::KeptDocument;
use super::store::{Store, in_order_of_creation};

/// What one page of a table's documents has at most.
const PAGE_DOCUMENTS: usize = 10_000;
const PAGE_BYTES: usize = 5 << 20;

impl Store {
    /// A page of a table's documents in order of creation, as the system's own query gives it: 10,000 of them or 5 MiB.
    pub(super) fn page(&mut self, table: &str, start: usize, limit: usize) -> Result<String, Failure> {
        let mut answer = String::from(r#"{"page":["#);
        let (mut end, mut all) = (start, 0);
        if let Some(table) = self.tables.get_mut(table) {
            let version = table.version;
            if table.listing.as_ref().is_none_or(|(of, _)| *of != version) {
                let ids = in_order_of_creation(&table.rows).into_iter().map(|(internal, _)| *internal).collect();
                table.listing = Some((version, ids));
            }
            let listed = table.listing.as_ref().map(|(_, ids)| &**ids).unwrap_or_default();
            if listed.len() != table.rows.len() {
                return Err(Failure::Plain("documents are not kept: start with --keep-documents".to_owned()));
            }
            all = listed.len();
            for internal in listed.iter().skip(start).take(limit.min(PAGE_DOCUMENTS)) {
                let document = table.rows.get(internal).and_then(|row| row.document.as_ref());
                if end > start {
                    answer.push(',');
                }
                answer.push_str(document.map(KeptDocument::text).unwrap_or_default());
                end += 1;
                if answer.len() > PAGE_BYTES {
                    break;
                }
            }
        }
        let is_done = end >= all;
        let _ = write!(answer, r#"],"isDone":{is_done},"continueCursor":"{end}"}}"#);
        Ok(answer)
    }
}
