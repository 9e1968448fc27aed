//! Tables that an import fills while nobody sees them, and what each of their documents must be
//! (convex-backend, `crates/database/src/bootstrap_model/import_facing.rs`).

use std::collections::{BTreeSet, HashMap, hash_map::Entry};

use serde_json::{Map, Value};

use crate::convex_bench::{
    document_id::DocumentId,
    functions::hash,
    kept::KeptDocument,
    limits,
    store::{Internal, Row},
};

use super::{archive::invalid_json, decode::Encoding};

/// Times are whole or broken milliseconds below this.
const MAX_CREATION_TIME: f64 = 9_007_199_254_740_992.0;

/// The documents of a table, or of a part of it.
#[derive(Debug)]
pub(in crate::convex_bench) struct HiddenTable {
    pub(in crate::convex_bench) name: String,
    pub(in crate::convex_bench) number: u32,
    pub(in crate::convex_bench) rows: HashMap<Internal, Row>,
    /// Ids of documents by their legacy id.
    pub(in crate::convex_bench) by_legacy_id: HashMap<u64, Internal>,
    pub(in crate::convex_bench) fields: BTreeSet<String>,
}

/// How documents are taken from rows.
#[derive(Debug, Clone, Copy)]
pub(super) struct Filling<'a> {
    pub(super) encoding: &'a Encoding,
    pub(super) keep_documents: bool,
    pub(super) legacy_id_field: &'a str,
}

impl HiddenTable {
    pub(in crate::convex_bench) fn new(name: &str, number: u32) -> Self {
        Self {
            name: name.to_owned(),
            number,
            rows: HashMap::new(),
            by_legacy_id: HashMap::new(),
            fields: BTreeSet::new(),
        }
    }

    /// Takes the documents out, and leaves an empty table.
    pub(super) fn take(&mut self) -> Self {
        let empty = Self::new(&self.name, self.number);
        std::mem::replace(self, empty)
    }

    /// Adds the document of a line. `unnamed` makes an id for a row that has none.
    pub(super) fn add(
        &mut self,
        filling: Filling<'_>,
        row: usize,
        line: &[u8],
        unnamed: impl FnOnce() -> Internal,
    ) -> Result<(), String> {
        let value: Value = serde_json::from_slice(line).map_err(|error| invalid_json(row, &error))?;
        let not_convex = |error| format!("Row {row} wasn't a valid Convex value: {error}");
        let decoded = filling.encoding.decode(value).map_err(not_convex)?;
        let Value::Object(mut document) = decoded else { return Err(format!("Row {row} wasn't an object")) };
        let internal = match document.get("_id") {
            None => unnamed(),
            Some(id) => self.internal_id(id)?,
        };
        check_creation_time(document.get("_creationTime"))?;
        if !document.contains_key("_id") {
            let id = DocumentId { table_number: self.number, internal }.to_string();
            document.insert("_id".to_owned(), id.into());
        }
        limits::check_stored(&document)?;
        if let Some(Value::String(legacy_id)) = document.get(filling.legacy_id_field) {
            self.by_legacy_id.insert(hash(legacy_id), internal);
        }
        let document = filling.keep_documents.then(|| self.keep(&document));
        let Entry::Vacant(free) = self.rows.entry(internal) else {
            return Err(format!("Objects in table \"{}\" have duplicate _id fields", self.name));
        };
        let inserted_hash = hash(&String::from_utf8_lossy(line));
        free.insert(Row { inserted_hash, patched_hash: 0, document });
        Ok(())
    }

    fn keep(&mut self, document: &Map<String, Value>) -> KeptDocument {
        if !document.keys().all(|name| self.fields.contains(name)) {
            self.fields.extend(document.keys().filter(|name| !name.starts_with('_')).cloned());
        }
        KeptDocument::of(document)
    }

    fn internal_id(&self, id: &Value) -> Result<Internal, String> {
        let text = id.as_str().ok_or_else(|| format!("invalid _id '{id}'"))?;
        let parsed: DocumentId = text.parse().map_err(|_| format!("invalid _id '{text}'"))?;
        if parsed.table_number != self.number {
            return Err(format!(
                "_id {text} cannot be imported into '{}' because its IDs have a different format",
                self.name
            ));
        }
        Ok(parsed.internal)
    }
}

fn check_creation_time(time: Option<&Value>) -> Result<(), String> {
    let Some(time) = time else { return Ok(()) };
    match time.as_f64() {
        Some(number) if number > 0.0 && number < MAX_CREATION_TIME => Ok(()),
        Some(number) => Err(format!("Creation time {number} is not a positive number below 2^53")),
        None => Err(format!("Provided creation time doesn't match '_creationTime' field {time}: it is a float")),
    }
}
