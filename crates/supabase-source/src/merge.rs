//! One catalog out of what the data API shows and what Postgres says.

use std::collections::BTreeMap;

use migrate_core::catalog::{Catalog, Column, InventoryItem, ScalarKind, TableSchema, TableState};
use migrate_core::names::{FieldName, TableName};

use crate::discover::unlisted;
use crate::errors::grant_statement;
use crate::openapi::NOT_IN_OPENAPI;

const RELOAD: &str = "run: notify pgrst, 'reload schema';";

/// The catalog that both origins make together.
///
/// Tables, columns, keys and the inventory are Postgres', which knows more; whether a table can be read and how many rows
/// it has is the data API's, which is what the rows are read through. A table that only Postgres has is `Forbidden` where
/// the data API shows others of its schema, and stays as it is elsewhere. Where both tell, and tell otherwise, as after
/// an `ALTER TABLE` of which the data API has not heard, [`Catalog::differences`] says so.
#[must_use]
pub fn merge(openapi: Catalog, postgres: Catalog) -> Catalog {
    let origin = format!("{}, {}", openapi.origin, postgres.origin);
    let mut unknown: Vec<String> = openapi
        .unknown
        .into_iter()
        .filter(|line| !NOT_IN_OPENAPI.contains(&line.as_str()))
        .filter(|line| !postgres.tables.iter().any(|table| is_there(table) && *line == unlisted(&table.name)))
        .collect();
    unknown.extend(postgres.unknown);
    let mut differences = openapi.differences;
    differences.extend(postgres.differences);
    let of_api: BTreeMap<TableName, TableSchema> = by_name(openapi.tables);
    let mut of_postgres: BTreeMap<TableName, TableSchema> = by_name(postgres.tables);
    let is_shown =
        |schema: &str| of_api.values().any(|table| table.name.schema() == schema && !table.columns.is_empty());
    let mut tables = Vec::with_capacity(of_postgres.len());
    for (name, table) in &of_postgres {
        if !of_api.contains_key(name) {
            let mut table = table.clone();
            if is_there(&table) && is_shown(name.schema()) {
                table.state = TableState::Forbidden;
                table.rows = None;
                let grant = grant_statement(name, "service_role");
                unknown.push(format!("table {name} is in Postgres, but the data API does not show it; run: {grant}"));
            } else if is_there(&table) {
                unknown.push(format!("table {name} is in Postgres, and no table of its schema is in the data API"));
            }
            tables.push(table);
        }
    }
    let is_other_project = !of_api.values().any(|table| of_postgres.get(&table.name).is_some_and(is_there))
        && of_api.values().any(|table| !table.columns.is_empty())
        && of_postgres.values().any(is_there);
    if is_other_project {
        differences
            .push("no table is in both the data API and Postgres: the addresses may be of two projects".to_owned());
    }
    for (name, api) in of_api {
        match of_postgres.remove(&name) {
            Some(postgres) if is_there(&postgres) => tables.push(one_table(api, postgres, &mut differences)),
            _ => {
                if !api.columns.is_empty() {
                    differences.push(format!(
                        "table {name}: the data API lists it, Postgres does not have it; if it was dropped or renamed, {RELOAD}"
                    ));
                }
                tables.push(api);
            }
        }
    }
    tables.sort_by(|one, other| one.name.cmp(&other.name));
    let mut inventory = postgres.inventory;
    let is_new =
        |item: &InventoryItem| !inventory.iter().any(|known| (known.kind, &known.name) == (item.kind, &item.name));
    let new: Vec<InventoryItem> = openapi.inventory.into_iter().filter(is_new).collect();
    inventory.extend(new);
    inventory.sort();
    Catalog { version: postgres.version, origin, unknown, differences, tables, inventory }
}

/// Postgres' table, with the data API's state and rows.
fn one_table(api: TableSchema, mut postgres: TableSchema, differences: &mut Vec<String>) -> TableSchema {
    let name = &postgres.name;
    postgres.state = api.state;
    postgres.rows = api.rows;
    if api.columns.is_empty() {
        match api.state {
            TableState::Missing => differences.push(format!(
                "table {name}: Postgres has it, the data API does not know it; if its schema is exposed, {RELOAD}"
            )),
            TableState::Present | TableState::Empty => {
                differences.push(format!("table {name}: it can be read, but the data API does not list it; {RELOAD}"));
            }
            TableState::Forbidden => {}
        }
        return postgres;
    }
    let mut say = |column: &FieldName, text: String| {
        differences.push(format!("column {name}.{column}: {text}; Postgres' word was taken; if it changed, {RELOAD}"));
    };
    for column in &postgres.columns {
        match api.column(column.name.as_str()) {
            None => say(&column.name, "Postgres has it, the data API does not list it".to_owned()),
            Some(shown) => {
                if let Some(text) = type_difference(shown, column) {
                    say(&column.name, text);
                }
                if shown.nullable != column.nullable {
                    let may = |nullable: bool| if nullable { "may be NULL" } else { "is never NULL" };
                    let (of_api, of_postgres) = (may(shown.nullable), may(column.nullable));
                    say(&column.name, format!("it {of_api} for the data API and {of_postgres} in Postgres"));
                }
            }
        }
    }
    for shown in &api.columns {
        if postgres.column(shown.name.as_str()).is_none() {
            say(&shown.name, "the data API lists it, Postgres does not have it".to_owned());
        }
    }
    if postgres.kind.is_view() {
        // A view has no keys and references in Postgres; the data API takes them from the tables that it reads.
        let is_there = |column: &FieldName| postgres.column(column.as_str()).is_some();
        let is_whole = api.primary_key.iter().all(is_there);
        let references: Vec<_> = api.foreign_keys.into_iter().filter(|key| key.columns.iter().all(is_there)).collect();
        postgres.primary_key = if is_whole { api.primary_key } else { Vec::new() };
        postgres.foreign_keys = references;
        return postgres;
    }
    let sorted = |key: &[FieldName]| {
        let mut key: Vec<String> = key.iter().map(ToString::to_string).collect();
        key.sort();
        key
    };
    if sorted(&api.primary_key) != sorted(&postgres.primary_key) {
        let shown = |key: &[FieldName]| if key.is_empty() { "none".to_owned() } else { sorted(key).join(", ") };
        let (of_api, of_postgres) = (shown(&api.primary_key), shown(&postgres.primary_key));
        differences.push(format!(
            "table {name}: its primary key is {of_api} for the data API and {of_postgres} in Postgres, whose word was taken"
        ));
    }
    for reference in &api.foreign_keys {
        // The data API shows one reference of a column, and may show that of a partition.
        if !postgres.foreign_keys.iter().any(|known| known.columns == reference.columns) {
            let columns: Vec<&str> = reference.columns.iter().map(FieldName::as_str).collect();
            differences.push(format!(
                "table {name}: the data API shows a reference of {} to {}, Postgres has none; if it was dropped, {RELOAD}",
                columns.join(", "),
                reference.parent
            ));
        }
    }
    postgres
}

/// Where the data API cannot tell a type, it is no difference.
fn type_difference(api: &Column, postgres: &Column) -> Option<String> {
    let (shown, known) = (&api.source_type, &postgres.source_type);
    let is_same_scalar = shown.scalar == known.scalar || shown.scalar == ScalarKind::Other;
    if !is_same_scalar || shown.array != known.array {
        return Some(format!("its type is {} for the data API and {} in Postgres", shown.name, known.name));
    }
    if !shown.labels.is_empty() && !known.labels.is_empty() && shown.labels != known.labels {
        let labels = |labels: &[String]| labels.join(", ");
        let (shown, known) = (labels(&shown.labels), labels(&known.labels));
        return Some(format!("its labels are {shown} for the data API and {known} in Postgres"));
    }
    None
}

fn is_there(table: &TableSchema) -> bool {
    table.state != TableState::Missing
}

fn by_name(tables: Vec<TableSchema>) -> BTreeMap<TableName, TableSchema> {
    tables.into_iter().map(|table| (table.name.clone(), table)).collect()
}
