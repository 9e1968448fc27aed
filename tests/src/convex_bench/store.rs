//! What the stand-in holds: one entry for each document, and the document itself where documents are kept.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use super::{
    counters::Counters,
    document_id::DocumentId,
    functions::{Failure, PatchRecord, Prepared, UpsertRecord, hash},
    import::{FIRST_TABLE_NUMBER, lowest_free},
    kept::KeptDocument,
};

/// The time of the first document. Each later one is a millisecond younger: no clock takes part.
const FIRST_CREATION_TIME: f64 = 1_767_225_600_000.0;
/// A look-up returns no more matches than tell one document from several.
const MAX_MATCHES: usize = 2;

/// The part of an id that differs within a table.
pub(super) type Internal = [u8; 16];

/// How the store makes ids and which look-ups it knows.
#[derive(Debug, Clone)]
pub(super) struct StoreOptions {
    pub(super) legacy_id_field: String,
    pub(super) id_seed: u64,
    pub(super) day: u16,
    pub(super) indexes: BTreeMap<String, Vec<String>>,
}

/// All tables.
#[derive(Debug)]
pub(super) struct Store {
    pub(super) options: StoreOptions,
    pub(super) tables: BTreeMap<String, Table>,
    documents_made: u32,
}

#[derive(Debug, Default)]
pub(super) struct Table {
    pub(super) number: u32,
    pub(super) rows: HashMap<Internal, Row>,
    /// Documents that an import brought, by the hash of their legacy id: their ids do not follow from it.
    pub(super) imported: HashMap<u64, Internal>,
    /// The fields that inserts have given so far: those that an upsert takes away when a record lacks them.
    pub(super) inserted_fields: BTreeSet<String>,
    /// Grows with every change, so that an index made earlier is known to be old.
    pub(super) version: u64,
    indexes: HashMap<String, TableIndex>,
    /// All documents in order of creation, for pages of them; made anew when the table has changed since.
    pub(super) listing: Option<(u64, Vec<Internal>)>,
}

#[derive(Debug)]
pub(super) struct Row {
    pub(super) inserted_hash: u64,
    pub(super) patched_hash: u64,
    pub(super) document: Option<KeptDocument>,
}

/// Documents by key, in order of creation.
#[derive(Debug)]
struct TableIndex {
    version: u64,
    matches: HashMap<String, Vec<Internal>>,
}

/// What a write did, with the word that stands for it in the answer.
type Effect = &'static str;
const INSERTED: Effect = "inserted";
const UPDATED: Effect = "updated";
const UNCHANGED: Effect = "unchanged";

impl Store {
    pub(super) fn new(options: StoreOptions) -> Self {
        Self { options, tables: BTreeMap::new(), documents_made: 0 }
    }

    /// Runs a call as one transaction: all of it or nothing. Returns the value as JSON.
    pub(super) fn run(&mut self, call: Prepared<'_>, counters: &mut Counters) -> Result<String, Failure> {
        match call {
            Prepared::Upsert { table, records } => Ok(self.upsert(&table, records, counters)),
            Prepared::Patch { table, records } => self.patch(&table, records, counters),
            Prepared::Lookup { table, index, keys } => {
                counters.lookups += count(keys.len());
                self.lookup(&table, &index, &keys)
            }
        }
    }

    /// Puts a document in without a call, as if the application had written it, and returns its id.
    pub(super) fn seed(&mut self, table: &str, mut fields: Map<String, Value>) -> String {
        let made = self.documents_made;
        let internal = match fields.get(&self.options.legacy_id_field).and_then(Value::as_str) {
            Some(legacy_id) => self.options.internal_id(table, "legacy", legacy_id),
            None => self.options.internal_id(table, "seeded", &made.to_string()),
        };
        let creation_time = self.next_creation_time();
        let table = self.table(table);
        let id = DocumentId { table_number: table.number, internal }.to_string();
        add_system_fields(&mut fields, &id, creation_time);
        let row = Row { inserted_hash: 0, patched_hash: 0, document: Some(KeptDocument::of(&fields)) };
        table.rows.insert(internal, row);
        table.version += 1;
        id
    }

    /// The id of the document with this legacy id.
    pub(super) fn id_of(&self, table: &str, legacy_id: &str) -> Option<String> {
        let internal = self.internal_of(table, legacy_id);
        let table = self.tables.get(table).filter(|table| table.rows.contains_key(&internal))?;
        Some(DocumentId { table_number: table.number, internal }.to_string())
    }

    /// The documents of a table in order of creation, as far as they are kept.
    pub(super) fn documents(&self, table: &str) -> Vec<Value> {
        let Some(table) = self.tables.get(table) else { return Vec::new() };
        let kept = in_order_of_creation(&table.rows);
        kept.into_iter().map(|(_, document)| Value::Object(document.fields())).collect()
    }

    /// Tables and how many documents each has.
    pub(super) fn document_counts(&self) -> BTreeMap<String, usize> {
        self.tables.iter().map(|(name, table)| (name.clone(), table.rows.len())).collect()
    }

    pub(super) fn table(&mut self, name: &str) -> &mut Table {
        let number = match self.tables.get(name) {
            Some(table) => table.number,
            None => lowest_free(self.tables.values().map(|table| table.number)),
        };
        self.tables.entry(name.to_owned()).or_insert_with(|| Table::empty(number))
    }

    pub(super) fn next_creation_time(&mut self) -> f64 {
        self.documents_made += 1;
        FIRST_CREATION_TIME + f64::from(self.documents_made)
    }

    /// The id that the document with this legacy id has, or will get.
    fn internal_of(&self, table: &str, legacy_id: &str) -> Internal {
        let imported = self.tables.get(table).and_then(|table| table.imported.get(&hash(legacy_id)));
        imported.copied().unwrap_or_else(|| self.options.internal_id(table, "legacy", legacy_id))
    }

    fn upsert(&mut self, name: &str, records: Vec<UpsertRecord<'_>>, counters: &mut Counters) -> String {
        let mut answer = Answer::with_capacity(records.len());
        let mut in_batch = HashSet::with_capacity(records.len());
        for record in records {
            let internal = self.internal_of(name, &record.legacy_id);
            if !in_batch.insert(internal) {
                counters.duplicates += 1;
            }
            let creation_time = self.next_creation_time();
            let table = self.table(name);
            let id = DocumentId { table_number: table.number, internal };
            let effect = table.upsert(id, record, creation_time);
            match effect {
                INSERTED => counters.inserted += 1,
                UPDATED => counters.updated += 1,
                _ => counters.unchanged += 1,
            }
            answer.push(id, effect);
        }
        answer.finish()
    }

    fn patch(&mut self, name: &str, records: Vec<PatchRecord>, counters: &mut Counters) -> Result<String, Failure> {
        let mut answer = Answer::with_capacity(records.len());
        let table = self.table(name);
        let ids = records.iter().map(|record| table.find(name, &record.id)).collect::<Result<Vec<_>, _>>()?;
        for (id, record) in ids.into_iter().zip(records) {
            let effect = table.patch(id, record);
            if effect == UPDATED {
                counters.patched += 1;
            } else {
                counters.patch_unchanged += 1;
            }
            answer.push(id, effect);
        }
        Ok(answer.finish())
    }

    fn lookup(&mut self, name: &str, index: &str, keys: &[Vec<Value>]) -> Result<String, Failure> {
        let indexes = &self.options.indexes;
        let fields = indexes.get(&format!("{name}.{index}")).or_else(|| indexes.get(index)).cloned();
        let fields = fields.ok_or_else(|| Failure::Thrown(format!("Index {name}.{index} not found.")))?;
        if let Some(key) = keys.iter().find(|key| key.len() != fields.len()) {
            let (given, wanted) = (key.len(), fields.len());
            let message = format!("a key of index {name}.{index} has {wanted} values, not {given}");
            return Err(Failure::Thrown(message));
        }
        let Some(table) = self.tables.get_mut(name) else {
            return Ok(Value::from(vec![json!([]); keys.len()]).to_string());
        };
        let number = table.number;
        let index = table.index(index, &fields);
        let ids_of = |key: &Vec<Value>| -> Value {
            let key: String = key.iter().map(|value| index_key(Some(value))).collect();
            let found = index.matches.get(&key).into_iter().flatten().take(MAX_MATCHES);
            found.map(|internal| DocumentId { table_number: number, internal: *internal }.to_string()).collect()
        };
        Ok(keys.iter().map(ids_of).collect::<Value>().to_string())
    }
}

impl StoreOptions {
    /// The same id for the same table and name: whether a document exists is the only question that a map must answer.
    pub(super) fn internal_id(&self, table: &str, space: &str, name: &str) -> Internal {
        let mut hasher = Sha256::new();
        hasher.update(self.id_seed.to_le_bytes());
        for part in [table, space, name] {
            hasher.update(part.as_bytes());
            hasher.update([0]);
        }
        let digest = hasher.finalize();
        let random = std::array::from_fn(|position| digest[position]);
        DocumentId::from_parts(FIRST_TABLE_NUMBER, random, self.day).internal
    }
}

impl Table {
    pub(super) fn empty(number: u32) -> Self {
        Self { number, ..Self::default() }
    }

    fn upsert(&mut self, id: DocumentId, record: UpsertRecord<'_>, creation_time: f64) -> Effect {
        let UpsertRecord { content_hash, kept, .. } = record;
        for name in kept.iter().flat_map(|kept| &kept.names) {
            if !self.inserted_fields.contains(&**name) {
                self.inserted_fields.insert(name.to_string());
            }
        }
        let Some(row) = self.rows.get_mut(&id.internal) else {
            let document = kept.map(|kept| KeptDocument::of_record(kept.text, &id.to_string(), creation_time));
            self.rows.insert(id.internal, Row { inserted_hash: content_hash, patched_hash: 0, document });
            self.version += 1;
            return INSERTED;
        };
        let changed = match (&mut row.document, kept) {
            (Some(document), Some(record)) => {
                let fields: Map<String, Value> = serde_json::from_str(record.text).unwrap_or_default();
                change(document, |document| {
                    let count = document.len();
                    document.retain(|name, _| fields.contains_key(name) || !self.inserted_fields.contains(name));
                    let removed = document.len() < count;
                    set_fields(document, fields) || removed
                })
            }
            _ => row.inserted_hash != content_hash,
        };
        row.inserted_hash = content_hash;
        self.version += u64::from(changed);
        if changed { UPDATED } else { UNCHANGED }
    }

    fn patch(&mut self, id: DocumentId, record: PatchRecord) -> Effect {
        let PatchRecord { content_hash, fields, .. } = record;
        let Some(row) = self.rows.get_mut(&id.internal) else { return UNCHANGED };
        let changed = match (&mut row.document, fields) {
            (Some(document), Some(fields)) => change(document, |document| set_fields(document, fields)),
            _ => row.patched_hash != content_hash,
        };
        row.patched_hash = content_hash;
        self.version += u64::from(changed);
        if changed { UPDATED } else { UNCHANGED }
    }

    fn find(&self, name: &str, id: &str) -> Result<DocumentId, Failure> {
        let parsed: DocumentId = id.parse().map_err(|error| {
            Failure::Plain(format!(
                "ArgumentValidationError: Value does not match validator.\nValue: \"{id}\"\nValidator: v.id(\"{name}\") ({error})"
            ))
        })?;
        if parsed.table_number != self.number {
            return Err(Failure::Plain(format!(
                "ArgumentValidationError: Found ID \"{id}\" from another table, which does not match the table name in validator `v.id(\"{name}\")`."
            )));
        }
        if !self.rows.contains_key(&parsed.internal) {
            return Err(Failure::ConvexError(json!({ "code": "document_missing", "table": name, "id": id })));
        }
        Ok(parsed)
    }

    /// The documents by the values of these fields, made anew when the table has changed since.
    fn index(&mut self, name: &str, fields: &[String]) -> &TableIndex {
        let Self { rows, version, indexes, .. } = self;
        let index = indexes.entry(name.to_owned()).or_insert(TableIndex { version: u64::MAX, matches: HashMap::new() });
        if index.version != *version {
            index.version = *version;
            index.matches.clear();
            for (internal, document) in in_order_of_creation(rows) {
                let document = document.fields();
                let key = fields.iter().map(|field| index_key(document.get(field))).collect();
                index.matches.entry(key).or_default().push(*internal);
            }
        }
        index
    }
}

pub(super) fn in_order_of_creation(rows: &HashMap<Internal, Row>) -> Vec<(&Internal, &KeptDocument)> {
    let kept = rows.iter().filter_map(|(internal, row)| Some((internal, row.document.as_ref()?)));
    // The time is beside each: to follow a million documents at each comparison takes longer than all else.
    let timed = kept.map(|(internal, document)| (document.created().unwrap_or_default(), internal, document));
    let mut kept: Vec<_> = timed.collect();
    kept.sort_unstable_by(|(a, first, _), (b, second, _)| a.total_cmp(b).then(first.cmp(second)));
    kept.into_iter().map(|(_, internal, document)| (internal, document)).collect()
}

/// Changes a document, and says whether it is another one now.
fn change(document: &mut KeptDocument, change: impl FnOnce(&mut Map<String, Value>) -> bool) -> bool {
    let mut fields = document.fields();
    let changed = change(&mut fields);
    if changed {
        *document = KeptDocument::of(&fields);
    }
    changed
}

fn add_system_fields(document: &mut Map<String, Value>, id: &str, creation_time: f64) {
    document.insert("_id".to_owned(), id.into());
    document.insert("_creationTime".to_owned(), creation_time.into());
}

/// Sets fields and says whether one of them was not so before.
fn set_fields(document: &mut Map<String, Value>, fields: Map<String, Value>) -> bool {
    let mut changed = false;
    for (name, value) in fields {
        if document.get(&name) != Some(&value) {
            document.insert(name, value);
            changed = true;
        }
    }
    changed
}

/// A value of a key as text: an absent field is not null, and 1 is 1.0.
fn index_key(value: Option<&Value>) -> String {
    match value {
        None => "undefined,".to_owned(),
        Some(Value::Number(number)) => format!("{:?},", number.as_f64()),
        Some(value) => format!("{value},"),
    }
}

/// The answer of a write: `[{"id": …, "outcome": …}, …]`.
struct Answer(String);

impl Answer {
    fn with_capacity(records: usize) -> Self {
        let mut text = String::with_capacity(records * 72 + 2);
        text.push('[');
        Self(text)
    }

    fn push(&mut self, id: DocumentId, effect: Effect) {
        if self.0.len() > 1 {
            self.0.push(',');
        }
        self.0.push_str(r#"{"id":""#);
        id.write_to(&mut self.0);
        self.0.push_str(r#"","outcome":""#);
        self.0.push_str(effect);
        self.0.push_str(r#""}"#);
    }

    fn finish(mut self) -> String {
        self.0.push(']');
        self.0
    }
}

fn count(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}
