//! Indexes of the sink's tables: the plan's, one on the legacy id, and one per reference.
//!
//! Rules: the backend's `common/src/bootstrap_model/index/index_validation_error.rs`; 32 per table is the documentation's
//! limit, below the backend's own 64.

use std::collections::BTreeMap;

use migrate_core::Plan;
use migrate_core::error::{Error, ErrorKind, Result};
use migrate_core::names::{FieldName, TableName};
use migrate_core::plan::{AdoptedTable, FieldType, LegacyIds, PlanIndex, PlanTable};

use crate::names::{MAX_INDEX_FIELDS, MAX_INDEXES, RESERVED_INDEXES, identifier_fault};

/// The indexes of one table.
#[derive(Debug, Default)]
pub(super) struct TableIndexes {
    /// All of them, in the order they are written.
    pub(super) list: Vec<PlanIndex>,
    /// The one on the legacy id alone; empty where documents have no such field.
    pub(super) legacy: String,
    /// References that could not get an index of their own.
    pub(super) without: Vec<FieldName>,
}

/// The indexes of all tables, by the table's name at the sink.
pub(super) fn of_plan(plan: &Plan) -> Result<BTreeMap<TableName, TableIndexes>> {
    let legacy = (plan.sink.legacy_ids == LegacyIds::Field).then_some(&plan.sink.legacy_id_field);
    let migrated = plan.tables.iter().map(|table| Ok((table.sink.clone(), migrated(table, legacy)?)));
    let adopted = plan.adopted.iter().map(|table| Ok((table.sink.clone(), adopted(table)?)));
    migrated.chain(adopted).collect()
}

fn migrated(table: &PlanTable, legacy: Option<&FieldName>) -> Result<TableIndexes> {
    let known: Vec<&FieldName> = table.fields.iter().map(|field| &field.field).chain(legacy).collect();
    let mut indexes = TableIndexes::default();
    if let Some(legacy) = legacy {
        if let Some(own) = table.indexes.iter().find(|index| index.fields == [legacy.clone()]) {
            indexes.legacy.clone_from(&own.name);
        } else {
            let index = PlanIndex { name: format!("by_{legacy}"), fields: vec![legacy.clone()] };
            indexes.legacy.clone_from(&index.name);
            add(&table.source, &mut indexes.list, &known, index)?;
        }
    }
    for index in &table.indexes {
        add(&table.source, &mut indexes.list, &known, index.clone())?;
    }
    for field in table.fields.iter().filter(|field| is_id(&field.field_type)) {
        if indexes.list.iter().any(|index| index.fields.first() == Some(&field.field)) {
            continue;
        }
        let index = PlanIndex { name: format!("by_{}", field.field), fields: vec![field.field.clone()] };
        if add(&table.source, &mut indexes.list, &known, index).is_err() {
            indexes.without.push(field.field.clone());
        }
    }
    Ok(indexes)
}

/// Whether a field holds one document's id, of whichever table.
fn is_id(field_type: &FieldType) -> bool {
    match field_type {
        FieldType::Id(_) => true,
        FieldType::Union(types) => types.iter().all(is_id),
        _ => false,
    }
}

fn adopted(table: &AdoptedTable) -> Result<TableIndexes> {
    let known: Vec<&FieldName> = table.fields.iter().chain(&table.natural_key).map(|field| &field.field).collect();
    let natural: Vec<FieldName> = table.natural_key.iter().map(|field| field.field.clone()).collect();
    let mut indexes = TableIndexes::default();
    // The natural key's index may have further fields in the app's own schema; it is then among the plan's.
    let own = table.indexes.iter().find(|index| index.name == table.index);
    match own {
        Some(index) if !index.fields.starts_with(&natural) => {
            return Err(refused(&table.source, index, "its fields do not start with the natural key's"));
        }
        Some(_) => {}
        None => {
            let index = PlanIndex { name: table.index.clone(), fields: natural };
            add(&table.source, &mut indexes.list, &known, index)?;
        }
    }
    for index in &table.indexes {
        add(&table.source, &mut indexes.list, &known, index.clone())?;
    }
    Ok(indexes)
}

/// Adds an index, if Convex takes it.
fn add(table: &TableName, list: &mut Vec<PlanIndex>, known: &[&FieldName], index: PlanIndex) -> Result<()> {
    if let Some(fault) = identifier_fault(&index.name) {
        return Err(refused(table, &index, fault));
    }
    if RESERVED_INDEXES.contains(&index.name.as_str()) {
        return Err(refused(table, &index, "Convex has an index of that name"));
    }
    if index.fields.is_empty() || index.fields.len() > MAX_INDEX_FIELDS {
        return Err(refused(table, &index, "an index has 1 to 16 fields"));
    }
    for (position, field) in index.fields.iter().enumerate() {
        if !known.contains(&field) {
            return Err(refused(table, &index, "one of its fields is not in the table").with_context("field", field));
        }
        if index.fields[..position].contains(field) {
            return Err(refused(table, &index, "it has the same field twice").with_context("field", field));
        }
    }
    if let Some(other) = list.iter().find(|other| other.name == index.name || other.fields == index.fields) {
        return Err(refused(table, &index, "another index has the same name or the same fields")
            .with_context("other", other.name.clone()));
    }
    if list.len() == MAX_INDEXES {
        return Err(refused(table, &index, "a table has at most 32 indexes"));
    }
    list.push(index);
    Ok(())
}

fn refused(table: &TableName, index: &PlanIndex, fault: &str) -> Error {
    Error::new(ErrorKind::Config, format!("make the index {:?}: {fault}", index.name))
        .with_context("table", table)
        .with_remedy("change it under [[tables.<table>.indexes]]")
}
