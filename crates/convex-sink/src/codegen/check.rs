//! What Convex would refuse of a plan, found before a file is written.

use std::collections::{BTreeMap, BTreeSet};

use migrate_core::Plan;
use migrate_core::error::{Error, ErrorKind, Result};
use migrate_core::names::{DEFAULT_SCHEMA, FieldName, TableName};
use migrate_core::plan::{FieldType, LegacyIds, PlanField};

use crate::names::{INHERITED, LEGACY_IDS_TABLE, bulk_insert_export, identifier_fault, module_fault};

/// Proves that every name in the plan can be one of Convex's, and that no two things have the same.
///
/// # Errors
/// `Config`, with the table, the column and the remedy.
pub(super) fn check(plan: &Plan) -> Result<()> {
    if let Some(fault) = module_fault(&plan.sink.module) {
        return Err(config(format!("name the module {:?}: {fault}", plan.sink.module))
            .with_remedy("set convex.module to a name such as \"migration/migrate\""));
    }
    let legacy = &plan.sink.legacy_id_field;
    if let Some(fault) = identifier_fault(legacy.as_str()) {
        return Err(config(format!("name the legacy id field {:?}: {fault}", legacy.as_str()))
            .with_remedy("set convex.legacy_id_field to a name such as \"supabaseId\""));
    }
    let tables = table_names(plan)?;
    for table in &plan.tables {
        check_fields(&table.source, &table.fields, &tables)?;
        let clash = table.fields.iter().find(|field| field.field == *legacy);
        if let Some(field) = clash {
            return Err(of_column(&table.source, field, "it is the name of the field that keeps the row's key")
                .with_remedy("rename the column at the sink, or set convex.legacy_id_field to another name"));
        }
    }
    for table in &plan.adopted {
        check_fields(&table.source, &table.fields, &tables)?;
        check_fields(&table.source, &table.natural_key, &tables)?;
        if table.natural_key.is_empty() {
            return Err(config("adopt a table without a natural key").with_context("table", &table.source));
        }
    }
    Ok(())
}

/// The names of all tables at the sink.
fn table_names(plan: &Plan) -> Result<BTreeSet<&TableName>> {
    let mut names = BTreeSet::new();
    let mut exports: BTreeMap<String, &TableName> = BTreeMap::new();
    let migrated = plan.tables.iter().map(|table| (&table.source, &table.sink, true));
    let adopted = plan.adopted.iter().map(|table| (&table.source, &table.sink, false));
    for (source, sink, has_functions) in migrated.chain(adopted) {
        let schema = (sink.schema() != DEFAULT_SCHEMA).then_some("Convex's tables have no schema");
        if let Some(fault) = schema.or_else(|| identifier_fault(sink.name())) {
            return Err(of_table(source, sink, fault));
        }
        if plan.sink.legacy_ids == LegacyIds::SideTable && sink.name() == LEGACY_IDS_TABLE {
            return Err(of_table(source, sink, "the table that keeps the rows' keys has that name"));
        }
        if !names.insert(sink) {
            return Err(of_table(source, sink, "another table has that name at the sink"));
        }
        if has_functions && let Some(other) = exports.insert(bulk_insert_export(sink), source) {
            return Err(of_table(source, sink, "its functions would have the names of another table's")
                .with_context("other", other));
        }
    }
    Ok(names)
}

fn check_fields(table: &TableName, fields: &[PlanField], tables: &BTreeSet<&TableName>) -> Result<()> {
    let mut seen: BTreeSet<&FieldName> = BTreeSet::new();
    for field in fields {
        if let Some(fault) = identifier_fault(field.field.as_str()) {
            return Err(of_column(table, field, fault));
        }
        if INHERITED.contains(&field.field.as_str()) {
            return Err(of_column(table, field, "every JavaScript object inherits that name"));
        }
        if !seen.insert(&field.field) {
            return Err(of_column(table, field, "another column has that name at the sink"));
        }
        check_type(table, field, &field.field_type, tables)?;
    }
    Ok(())
}

fn check_type(table: &TableName, field: &PlanField, of: &FieldType, tables: &BTreeSet<&TableName>) -> Result<()> {
    match of {
        FieldType::Array(item) | FieldType::Nullable(item) => check_type(table, field, item, tables),
        FieldType::Union(types) if types.is_empty() => Err(of_column(table, field, "its type is one of no types")),
        FieldType::Union(types) => types.iter().try_for_each(|of| check_type(table, field, of, tables)),
        FieldType::Literals(texts) if texts.is_empty() => {
            Err(of_column(table, field, "its type is a set of no texts").with_remedy("plan type = \"string\" for it"))
        }
        FieldType::Id(parent) if !tables.contains(parent) => {
            Err(of_column(table, field, "it refers to a table that is neither migrated nor adopted")
                .with_context("parent", parent)
                .with_remedy("include or adopt the parent, or plan type = \"string\" for the column"))
        }
        _ => Ok(()),
    }
}

fn config(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Config, message)
}

fn of_table(source: &TableName, sink: &TableName, fault: &str) -> Error {
    config(format!("name a Convex table {:?}: {fault}", sink.to_string()))
        .with_context("table", source)
        .with_remedy("set another name for it under [tables.<table>], name = \"…\"")
}

/// An error about a column; a remedy that is given later replaces this one.
fn of_column(table: &TableName, field: &PlanField, fault: &str) -> Error {
    let columns: Vec<&str> = field.columns.iter().map(FieldName::as_str).collect();
    config(format!("generate the field {:?}: {fault}", field.field.as_str()))
        .with_context("table", table)
        .with_context("column", columns.join(", "))
        .with_remedy("set another name for it under [tables.<table>.columns.<column>], name = \"…\"")
}
