//! What the templates are filled with: lines that are TypeScript already.

use std::collections::BTreeMap;

use migrate_core::Plan;
use migrate_core::names::{FieldName, TableName};
use migrate_core::plan::{AdoptedTable, PlanField, PlanIndex, PlanTable};
use serde::Serialize;

use super::indexes::TableIndexes;
use super::ts::{Expr, literal};
use super::{GENERATED_MARKER, validators};
use crate::names::{bulk_insert_export, patch_export};

type Indexes = BTreeMap<TableName, TableIndexes>;

/// Columns of a line.
const WIDTH: usize = 100;

/// `schema.ts`
#[derive(Debug, Serialize)]
pub(super) struct SchemaFile {
    marker: &'static str,
    fingerprint: String,
    legacy: String,
    adopted: Vec<SchemaTable>,
    tables: Vec<SchemaTable>,
}

#[derive(Debug, Serialize)]
struct SchemaTable {
    /// The table's name at the sink, an identifier.
    name: String,
    /// The table's name at the source, as a literal.
    source: String,
    /// `defineTable({…})` with its indexes.
    definition: String,
    /// References without an index of their own.
    without: Vec<String>,
}

impl SchemaFile {
    pub(super) fn new(plan: &Plan, indexes: &Indexes) -> Self {
        let legacy = &plan.sink.legacy_id_field;
        let migrated = |table: &PlanTable| {
            let key = Expr::call("v.optional", [Expr::call("v.string", [])]);
            let own = std::iter::once((legacy.to_string(), key));
            schema_table(&table.source, &table.sink, own.chain(fields(table.fields.iter())), indexes)
        };
        let adopted = |table: &AdoptedTable| {
            let missing = |field: &&PlanField| !table.fields.iter().any(|other| other.field == field.field);
            let all = table.natural_key.iter().filter(missing).chain(&table.fields);
            schema_table(&table.source, &table.sink, fields(all), indexes)
        };
        Self {
            marker: GENERATED_MARKER,
            fingerprint: one_word(&plan.fingerprint),
            legacy: legacy.to_string(),
            adopted: plan.adopted.iter().map(adopted).collect(),
            tables: plan.tables.iter().map(migrated).collect(),
        }
    }
}

fn schema_table(
    source: &TableName,
    sink: &TableName,
    fields: impl Iterator<Item = (String, Expr)>,
    indexes: &Indexes,
) -> SchemaTable {
    let own = indexes.get(sink);
    let list = own.map_or(&[][..], |own| &own.list);
    SchemaTable {
        name: sink.name().to_owned(),
        source: literal(&source.to_string()),
        definition: definition(Expr::open_object(fields), list),
        without: own.into_iter().flat_map(|own| &own.without).map(FieldName::to_string).collect(),
    }
}

/// `defineTable({…})`, with one index on the last line or several on lines of their own, as prettier has it.
fn definition(fields: Expr, indexes: &[PlanIndex]) -> String {
    let mut text = Expr::call("defineTable", [fields]).print(2, 2, 0);
    for index in indexes {
        let names = index.fields.iter().map(|field| Expr::text(field.as_str())).collect();
        let call = Expr::Call(".index", vec![Expr::text(&index.name), Expr::List(names)]);
        if indexes.len() == 1 {
            text.push_str(&call.print(2, 4, 1));
        } else {
            text.push_str("\n    ");
            text.push_str(&call.print(4, 4, 1));
        }
    }
    text
}

/// `migrate.ts`
#[derive(Debug, Serialize)]
pub(super) struct MigrateFile {
    marker: &'static str,
    fingerprint: String,
    /// `./` or, for a module in a folder, `../`.
    root: String,
    tables: Vec<MigrateTable>,
    /// `lookup`'s table validator; `None` without adopted tables.
    lookup: Option<String>,
    finders: Vec<Finder>,
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
    fields: Vec<String>,
    patch: Option<MigratePatch>,
}

#[derive(Debug, Serialize)]
struct MigratePatch {
    name: String,
    records: String,
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
        let legacy = &plan.sink.legacy_id_field;
        let names = plan.adopted.iter().map(|table| table.sink.name());
        Self {
            marker: GENERATED_MARKER,
            fingerprint: one_word(&plan.fingerprint),
            root: if folders == 0 { "./".to_owned() } else { "../".repeat(folders) },
            tables: plan.tables.iter().map(|table| MigrateTable::new(table, legacy, indexes)).collect(),
            lookup: (!plan.adopted.is_empty()).then(|| validators::one_of(names).print(4, 11, 1)),
            finders: plan.adopted.iter().map(Finder::new).collect(),
        }
    }
}

impl MigrateTable {
    fn new(table: &PlanTable, legacy: &FieldName, indexes: &Indexes) -> Self {
        let name = literal(table.sink.name());
        let first = || table.fields.iter().filter(|field| !field.is_cut());
        let key = std::iter::once((legacy.to_string(), Expr::call("v.string", [])));
        let result = Expr::Object {
            entries: vec![("id".to_owned(), Some(id_of(&table.sink))), ("outcome".to_owned(), None)],
            open: false,
        };
        let index = indexes.get(&table.sink).map_or("", |own| own.legacy.as_str());
        let cut: Vec<&PlanField> = table.cut_fields().collect();
        let patch = (!cut.is_empty()).then(|| MigratePatch {
            name: patch_export(&table.sink),
            records: records(std::iter::once(("id".to_owned(), id_of(&table.sink))).chain(fields(cut.iter().copied()))),
            fields: cut.iter().map(|field| field.field.to_string()).collect(),
        });
        Self {
            name,
            source: literal(&table.source.to_string()),
            bulk_insert: bulk_insert_export(&table.sink),
            records: records(key.chain(fields(first()))),
            returns: Expr::call("v.array", [Expr::call("v.object", [result])]).print(2, 11, 1),
            by_legacy_id: with_index(8, index, &[format!(".eq({}, record.{legacy})", literal(legacy.as_str()))]),
            fields: first().map(|field| field.field.to_string()).collect(),
            patch,
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

/// `v.array(v.object({…}))`, the value of the argument `records`.
fn records(fields: impl Iterator<Item = (String, Expr)>) -> String {
    let object = Expr::call("v.object", [Expr::open_object(fields)]);
    Expr::call("v.array", [object]).print(4, 13, 1)
}

fn id_of(table: &TableName) -> Expr {
    Expr::call("v.id", [Expr::text(table.name())])
}

fn fields<'a>(fields: impl Iterator<Item = &'a PlanField>) -> impl Iterator<Item = (String, Expr)> {
    fields.map(|field| (field.field.to_string(), validators::of_field(field)))
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

/// A fingerprint fit for a comment: letters and digits.
fn one_word(text: &str) -> String {
    text.chars().filter(char::is_ascii_alphanumeric).collect()
}
