//! What an import does to the stored tables: all of it in one step, or batch by batch where it appends.

use std::collections::BTreeMap;

use crate::convex_bench::kept::KeptDocument;
use crate::convex_bench::store::{Store, Table};

use super::hidden::HiddenTable;

impl Store {
    /// Tables and their numbers.
    pub(in crate::convex_bench) fn table_numbers(&self) -> BTreeMap<String, u32> {
        self.tables.iter().map(|(name, table)| (name.clone(), table.number)).collect()
    }

    /// The documents of a table; none where there is no such table.
    pub(in crate::convex_bench) fn count(&self, table: &str) -> usize {
        self.tables.get(table).map_or(0, |table| table.rows.len())
    }

    /// Makes empty tables, as a deployment does for those of its schema: in the order of their names.
    pub(in crate::convex_bench) fn declare(&mut self, tables: &[String]) {
        let mut names: Vec<_> = tables.iter().collect();
        names.sort();
        for name in names {
            self.table(name);
        }
    }

    /// Puts the hidden tables in the place of those with their names, all in one step. With `emptied` all other tables
    /// lose their documents, and those that it does not name are gone.
    pub(super) fn switch(&mut self, hidden: Vec<HiddenTable>, emptied: Option<&[String]>) {
        if let Some(kept) = emptied {
            self.tables.retain(|name, _| kept.contains(name) || hidden.iter().any(|table| table.name == *name));
            for table in self.tables.values_mut() {
                *table = Table::empty(table.number);
            }
        }
        // The old ones go first: one of the new ones may have the number of another.
        for table in &hidden {
            self.tables.remove(&table.name);
        }
        for table in hidden {
            let (name, number) = (table.name.clone(), table.number);
            self.tables.insert(name, Table::empty(number));
            self.insert(table);
        }
    }

    /// Adds a batch to a table that is there, unless one of its documents is there already.
    pub(super) fn append(&mut self, batch: HiddenTable) -> Result<(), String> {
        let rows = &self.table(&batch.name).rows;
        if batch.rows.keys().any(|internal| rows.contains_key(internal)) {
            return Err(format!("a document with this _id exists in table \"{}\" already", batch.name));
        }
        self.insert(batch);
        Ok(())
    }

    fn insert(&mut self, mut batch: HiddenTable) {
        for row in batch.rows.values_mut() {
            if let Some(document) = &mut row.document
                && document.created().is_none()
            {
                let mut fields = document.fields();
                fields.insert("_creationTime".to_owned(), self.next_creation_time().into());
                *document = KeptDocument::of(&fields);
            }
        }
        let table = self.table(&batch.name);
        table.rows.extend(batch.rows);
        table.imported.extend(batch.by_legacy_id);
        table.inserted_fields.append(&mut batch.fields);
        table.version += 1;
    }
}
