//! What the schema's template is filled with: lines that are TypeScript already.

use std::collections::BTreeMap;

use migrate_core::Plan;
use migrate_core::names::{FieldName, TableName};
use migrate_core::plan::{AdoptedTable, LegacyIds, PlanField, PlanIndex, PlanTable};
use serde::Serialize;

use super::indexes::TableIndexes;
use super::ts::{Entry, Expr, literal};
use super::{Files, GENERATED_MARKER, comments, one_word, validators};
use crate::names::{LEGACY_IDS_INDEX, LEGACY_IDS_TABLE};

/// Columns that a table stands at.
const INDENT: usize = 2;

/// `schema.ts`
#[derive(Debug, Serialize)]
pub(super) struct SchemaFile {
    marker: &'static str,
    fingerprint: String,
    /// How the app's schema imports this file; none where this file is the app's schema.
    import: Option<String>,
    tables: Vec<SchemaTable>,
}

#[derive(Debug, Serialize)]
struct SchemaTable {
    /// The table's name at the sink, an identifier.
    name: String,
    /// Lines above it, each with its `//`.
    comment: Vec<String>,
    /// `defineTable({…})` with its indexes.
    definition: String,
}

impl SchemaFile {
    pub(super) fn new(plan: &Plan, indexes: &BTreeMap<TableName, TableIndexes>, files: &Files) -> Self {
        let of = |sink: &TableName| indexes.get(sink).map_or(&[][..], |own| &own.list);
        let adopted = plan.adopted.iter().map(|table| SchemaTable {
            name: table.sink.name().to_owned(),
            comment: of_adopted(table),
            definition: definition(adopted_fields(table), of(&table.sink)),
        });
        let migrated = plan.tables.iter().map(|table| {
            let without = indexes.get(&table.sink).map_or(&[][..], |own| &own.without);
            SchemaTable {
                name: table.sink.name().to_owned(),
                comment: of_migrated(table, without),
                definition: definition(migrated_fields(table, plan), of(&table.sink)),
            }
        });
        let side = (plan.sink.legacy_ids == LegacyIds::SideTable && !plan.tables.is_empty()).then(legacy_ids);
        Self {
            marker: GENERATED_MARKER,
            fingerprint: one_word(&plan.fingerprint),
            import: files.import.clone(),
            tables: adopted.chain(migrated).chain(side).collect(),
        }
    }
}

/// The table that keeps the rows' keys.
fn legacy_ids() -> SchemaTable {
    let text = || Expr::call("v.string", []);
    let fields = ["table", "legacyId", "documentId"].map(|name| Entry::new(name, text()));
    let index = PlanIndex {
        name: LEGACY_IDS_INDEX.to_owned(),
        fields: vec![FieldName::from("table"), FieldName::from("legacyId")],
    };
    let comment = "Which document each row became, for as long as the migration lasts: a second run finds its own \
                   documents by it. scrubLegacyIds empties it.";
    SchemaTable {
        name: LEGACY_IDS_TABLE.to_owned(),
        comment: comments::lines(comment, INDENT),
        definition: definition(fields.into_iter(), &[index]),
    }
}

fn migrated_fields(table: &PlanTable, plan: &Plan) -> impl Iterator<Item = Entry> {
    let key = (plan.sink.legacy_ids == LegacyIds::Field).then(|| Entry {
        name: plan.sink.legacy_id_field.to_string(),
        value: Some(Expr::call("v.optional", [Expr::call("v.string", [])])),
        comment: Some("The row's key, by which a second run finds the document. scrubLegacyIds removes it.".to_owned()),
    });
    key.into_iter().chain(table.fields.iter().map(entry))
}

fn adopted_fields(table: &AdoptedTable) -> impl Iterator<Item = Entry> {
    let missing = |field: &&PlanField| !table.fields.iter().any(|other| other.field == field.field);
    table.natural_key.iter().filter(missing).chain(&table.fields).map(entry)
}

fn entry(field: &PlanField) -> Entry {
    Entry { comment: field.comment.clone(), ..Entry::new(field.field.to_string(), validators::of_field(field)) }
}

fn of_adopted(table: &AdoptedTable) -> Vec<String> {
    let source = literal(&table.source.to_string());
    comments::lines(
        &format!("{source} lives in Convex already and is only looked up; the app's own definition wins."),
        INDENT,
    )
}

/// Where a table comes from, what it is, and what nothing enforces any more.
fn of_migrated(table: &PlanTable, without: &[FieldName]) -> Vec<String> {
    let mut lines = comments::lines(&format!("Migrated from {}.", literal(&table.source.to_string())), INDENT);
    lines.extend(table.comment.iter().flat_map(|comment| comments::lines(comment, INDENT)));
    let rows: Vec<String> = table.filter.iter().map(|filter| format!("Only the rows of {}", literal(filter))).collect();
    let dropped: Vec<&str> = table.dropped.iter().map(FieldName::as_str).collect();
    let dropped = (!dropped.is_empty()).then(|| format!("Without the columns {}", dropped.join(", ")));
    let without = without
        .iter()
        .map(|field| format!("No index for {field}: its name is taken, or the table has as many as Convex takes"));
    let own: Vec<String> = rows.into_iter().chain(dropped).chain(without).collect();
    list(&mut lines, "Of the migration:", &own);
    list(&mut lines, "Postgres enforced this; here it is the functions' matter:", &table.not_enforced);
    list(
        &mut lines,
        "Indexes of Postgres of another kind; where queries need them, add their counterparts:",
        &table.index_hints,
    );
    lines
}

/// A headed list, after an empty line; nothing where there are no items.
fn list(lines: &mut Vec<String>, heading: &str, items: &[String]) {
    if items.is_empty() {
        return;
    }
    lines.push("//".to_owned());
    lines.extend(comments::lines(heading, INDENT));
    lines.extend(items.iter().flat_map(|item| comments::item(item, INDENT)));
}

/// `defineTable({…})`, with one index on the last line or several on lines of their own, as prettier has it.
fn definition(fields: impl Iterator<Item = Entry>, indexes: &[PlanIndex]) -> String {
    let mut text = Expr::call("defineTable", [Expr::open_object(fields)]).print(INDENT, INDENT, 0);
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
