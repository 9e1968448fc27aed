//! What the functions' template is filled with: lines that are TypeScript already.

use std::collections::{BTreeMap, BTreeSet};

use migrate_core::Plan;
use migrate_core::names::{FieldName, TableName};
use migrate_core::plan::{AdoptedTable, LegacyIds, PlanField, PlanTable};
use serde::Serialize;

use super::indexes::TableIndexes;
use super::ts::{Entry, Expr, WIDTH, literal};
use super::{GENERATED_MARKER, one_word, validators};
use crate::names::{FunctionNames, LEGACY_IDS_INDEX, LEGACY_IDS_TABLE, bulk_insert_export, patch_export};
use crate::settings::SECRET_LENGTH;

type Indexes = BTreeMap<TableName, TableIndexes>;

/// `migrate.ts`
#[derive(Debug, Serialize)]
pub(super) struct MigrateFile {
    marker: &'static str,
    fingerprint: String,
    /// `./` or, for a module in a folder, `../`.
    root: String,
    /// Whether a secret stands in for a deploy key.
    public: bool,
    /// What is imported from `_generated/server`, by name.
    server: String,
    /// `internalMutation` or `mutation`.
    mutation: &'static str,
    /// `internalQuery` or `query`.
    query: &'static str,
    /// Characters that the secret has at least.
    secret_length: usize,
    tables: Vec<MigrateTable>,
    /// What `scrubLegacyIds` and the queries that read documents back need; `None` without migrated tables.
    scrub: Option<Scrub>,
    /// `lookup`'s table validator; `None` without adopted tables.
    lookup: Option<String>,
    finders: Vec<Finder>,
}

/// How the rows' keys are kept and removed, and which tables there are to read back.
#[derive(Debug, Serialize)]
struct Scrub {
    /// The migrated tables' validator.
    tables: String,
    /// What names the validator of all tables that the migration writes.
    stored: &'static str,
    /// The field of the documents.
    field: String,
    /// `found.page.filter(…)` of those that have it.
    filter: String,
    /// The command that calls it first.
    command: String,
    /// The table of the keys, as a literal; `None` where the documents have them.
    side: Option<String>,
    /// `.withIndex(…)` on all keys of one table in it.
    by_table: String,
}

#[derive(Debug, Serialize)]
struct MigrateTable {
    /// The table's name at the sink, as a literal.
    name: String,
    /// The table's name at the source, as a literal.
    source: String,
    bulk_insert: String,
    records: String,
    returns: String,
    /// `.withIndex(…)` on the legacy id.
    by_legacy_id: String,
    /// `name: record.name,` of each field.
    fields: Vec<String>,
    patch: Option<MigratePatch>,
}

#[derive(Debug, Serialize)]
struct MigratePatch {
    name: String,
    records: String,
    /// `name: record.fields.name,` of each field.
    fields: Vec<String>,
}

/// One table and index of `lookup`.
#[derive(Debug, Serialize)]
struct Finder {
    /// `"table.index"` as a literal.
    case: String,
    table: String,
    parts: usize,
    /// `.withIndex(…)` on the key's parts.
    by_key: String,
}

impl MigrateFile {
    pub(super) fn new(plan: &Plan, indexes: &Indexes) -> Self {
        let folders = plan.sink.module.matches('/').count();
        let public = plan.sink.public_functions;
        let (mutation, query) = if public { ("mutation", "query") } else { ("internalMutation", "internalQuery") };
        let names = plan.adopted.iter().map(|table| table.sink.name());
        let has_tables = !plan.tables.is_empty();
        // Documents are read back by an internal query whatever the others are.
        let imported = [
            (mutation, has_tables),
            ("internalQuery", has_tables),
            ("type QueryCtx", has_tables),
            (query, !plan.adopted.is_empty()),
        ];
        let imported: BTreeSet<&str> = imported.into_iter().filter_map(|(name, used)| used.then_some(name)).collect();
        Self {
            marker: GENERATED_MARKER,
            fingerprint: one_word(&plan.fingerprint),
            root: if folders == 0 { "./".to_owned() } else { "../".repeat(folders) },
            public,
            server: imported.into_iter().collect::<Vec<_>>().join(", "),
            mutation,
            query,
            secret_length: SECRET_LENGTH,
            tables: plan.tables.iter().map(|table| MigrateTable::new(table, plan, indexes)).collect(),
            scrub: plan.tables.first().map(|first| Scrub::new(first, plan)),
            lookup: (!plan.adopted.is_empty()).then(|| validators::one_of(names).print(4, 11, 1)),
            finders: plan.adopted.iter().map(Finder::new).collect(),
        }
    }
}

impl MigrateTable {
    fn new(table: &PlanTable, plan: &Plan, indexes: &Indexes) -> Self {
        let name = literal(table.sink.name());
        let legacy = &plan.sink.legacy_id_field;
        let first = || table.fields.iter().filter(|field| !field.is_cut());
        let outcome = Entry { name: "outcome".to_owned(), value: None, comment: None };
        let result = Expr::Object { entries: vec![Entry::new("id", id_of(&table.sink)), outcome], open: false };
        let by_legacy_id = match plan.sink.legacy_ids {
            LegacyIds::Field => {
                let index = indexes.get(&table.sink).map_or("", |own| own.legacy.as_str());
                with_index(8, index, &[format!(".eq({}, record.{legacy})", literal(legacy.as_str()))])
            }
            LegacyIds::SideTable => with_index(
                8,
                LEGACY_IDS_INDEX,
                &[format!(".eq(\"table\", {name})"), ".eq(\"legacyId\", key)".to_owned()],
            ),
        };
        let cut: Vec<&PlanField> = table.cut_fields().collect();
        let patch = (!cut.is_empty()).then(|| MigratePatch {
            name: patch_export(&table.sink),
            records: patch_records(table).print(4, 13, 1),
            fields: cut.iter().map(|field| assigned(field, "record.fields")).collect(),
        });
        Self {
            name,
            source: literal(&table.source.to_string()),
            bulk_insert: bulk_insert_export(&table.sink),
            records: insert_records(table, legacy).print(4, 13, 1),
            returns: Expr::call("v.array", [Expr::call("v.object", [result])]).print(2, 11, 1),
            by_legacy_id,
            fields: first().map(|field| assigned(field, "record")).collect(),
            patch,
        }
    }
}

impl Scrub {
    fn new(first: &PlanTable, plan: &Plan) -> Self {
        let side = plan.sink.legacy_ids == LegacyIds::SideTable;
        let function = FunctionNames::new(plan.sink.module.as_str()).scrub_legacy_ids();
        let secret = if plan.sink.public_functions { "\"secret\":\"…\"," } else { "" };
        let table = literal(first.sink.name());
        Self {
            tables: migrated_tables(plan).print(0, "const migratedTable = ".len(), 1),
            stored: if side { "storedTable" } else { "migratedTable" },
            filter: filter(plan.sink.legacy_id_field.as_str()),
            field: plan.sink.legacy_id_field.to_string(),
            command: format!("npx convex run {function} '{{{secret}\"table\":{table},\"cursor\":null}}'"),
            side: side.then(|| literal(LEGACY_IDS_TABLE)),
            by_table: with_index(6, LEGACY_IDS_INDEX, &[".eq(\"table\", table)".to_owned()]),
        }
    }
}

impl Finder {
    fn new(table: &AdoptedTable) -> Self {
        let name = literal(table.sink.name());
        let part = |(position, field): (usize, &PlanField)| {
            let field = literal(field.field.as_str());
            format!(".eq({field}, key[{position}] as Doc<{name}>[{field}])")
        };
        let parts: Vec<String> = table.natural_key.iter().enumerate().map(part).collect();
        Self {
            case: literal(&format!("{}.{}", table.sink.name(), table.index)),
            parts: parts.len(),
            by_key: with_index(12, &table.index, &parts),
            table: name,
        }
    }
}

/// The validator of the tables that the migration writes: the plan's, and that of the rows' keys.
pub(super) fn stored_tables(plan: &Plan) -> Expr {
    match plan.sink.legacy_ids {
        LegacyIds::Field => migrated_tables(plan),
        LegacyIds::SideTable => {
            Expr::call("v.union", [migrated_tables(plan), validators::one_of(std::iter::once(LEGACY_IDS_TABLE))])
        }
    }
}

/// The validator of the plan's tables.
pub(super) fn migrated_tables(plan: &Plan) -> Expr {
    validators::one_of(plan.tables.iter().map(|table| table.sink.name()))
}

/// The argument `records` of a table's upsert: the row's key and all fields but the cut ones.
pub(super) fn insert_records(table: &PlanTable, legacy_id_field: &FieldName) -> Expr {
    let key = Entry::new(legacy_id_field.to_string(), Expr::call("v.string", []));
    records(std::iter::once(key).chain(fields(table.fields.iter().filter(|field| !field.is_cut()))))
}

/// The argument `records` of a table's second pass: the document and its cut fields.
pub(super) fn patch_records(table: &PlanTable) -> Expr {
    let cut = Expr::call("v.object", [Expr::open_object(fields(table.cut_fields()))]);
    records([Entry::new("documentId", id_of(&table.sink)), Entry::new("fields", cut)].into_iter())
}

/// `v.array(v.object({…}))`
fn records(fields: impl Iterator<Item = Entry>) -> Expr {
    Expr::call("v.array", [Expr::call("v.object", [Expr::open_object(fields)])])
}

fn id_of(table: &TableName) -> Expr {
    Expr::call("v.id", [Expr::text(table.name())])
}

fn fields<'a>(fields: impl Iterator<Item = &'a PlanField>) -> impl Iterator<Item = Entry> {
    fields.map(|field| Entry::new(field.field.to_string(), validators::of_field(field)))
}

/// `name: record.name,`, on two lines where one is too short.
fn assigned(field: &PlanField, from: &str) -> String {
    let name = &field.field;
    let line = format!("{name}: {from}.{name},");
    if 8 + line.len() <= WIDTH { line } else { format!("{name}:\n          {from}.{name},") }
}

/// `found.page.filter((document) => document.name !== undefined);`, on three lines where one is too short.
fn filter(field: &str) -> String {
    let inner = format!("(document) => document.{field} !== undefined");
    let line = format!("found.page.filter({inner});");
    if "    const documents = ".len() + line.len() <= WIDTH {
        line
    } else {
        format!("found.page.filter(\n      {inner},\n    );")
    }
}

/// `.withIndex("name", (q) => q.eq(…))`, broken as prettier breaks it: after the arrow, then at each call.
fn with_index(indent: usize, index: &str, conditions: &[String]) -> String {
    let head = format!(".withIndex({}, (q) =>", literal(index));
    let chain = format!("q{}", conditions.concat());
    let short = conditions.len() <= 2;
    if short && indent + head.len() + 1 + chain.len() < WIDTH {
        return format!("{head} {chain})");
    }
    let inner = indent + 2;
    if conditions.len() == 1 || (short && inner + chain.len() < WIDTH) {
        return format!("{head}\n{:inner$}{chain},\n{:indent$})", "", "");
    }
    let deeper = inner + 2;
    let separator = format!("\n{:deeper$}", "");
    let lines = conditions.join(&separator);
    format!("{head}\n{:inner$}q{separator}{lines},\n{:indent$})", "", "")
}
