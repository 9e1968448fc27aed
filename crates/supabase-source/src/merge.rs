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

#[cfg(test)]
mod tests {
    use migrate_core::catalog::{CATALOG_VERSION, ForeignKey, InventoryKind, SourceType, TableKind};

    use super::*;

    fn catalog(origin: &str, tables: Vec<TableSchema>) -> Catalog {
        Catalog {
            version: CATALOG_VERSION,
            origin: origin.to_owned(),
            unknown: Vec::new(),
            differences: Vec::new(),
            tables,
            inventory: Vec::new(),
        }
    }

    /// A table with the integer columns named.
    fn table(name: &str, state: TableState, columns: &[&str]) -> TableSchema {
        let column = |name: &&str| Column::new(FieldName::from(*name), SourceType::new("integer", ScalarKind::Int4));
        TableSchema {
            state,
            columns: columns.iter().map(column).collect(),
            primary_key: columns.first().map(|name| FieldName::from(*name)).into_iter().collect(),
            ..TableSchema::new(name.parse().unwrap())
        }
    }

    fn get<'c>(catalog: &'c Catalog, name: &str) -> &'c TableSchema {
        catalog.table(&name.parse().unwrap()).unwrap()
    }

    #[test]
    fn postgres_knows_the_columns_and_the_data_api_the_rows() {
        let mut api = catalog("api", vec![TableSchema { rows: Some(7), ..table("a", TableState::Present, &["id"]) }]);
        api.unknown = NOT_IN_OPENAPI.iter().copied().chain(["something else"]).map(str::to_owned).collect();
        let mut known = table("a", TableState::Present, &["id"]);
        known.unique_keys = Some(vec![vec!["id".into()]]);
        let merged = merge(api, catalog("postgres", vec![known]));
        assert_eq!((get(&merged, "a").rows, get(&merged, "a").unique_keys.is_some()), (Some(7), true));
        assert_eq!(
            (merged.origin.as_str(), merged.unknown.as_slice()),
            ("api, postgres", ["something else".to_owned()].as_slice())
        );
        assert_eq!(merged.differences, [""; 0]);
    }

    #[test]
    fn what_the_data_api_does_not_show_is_forbidden_in_a_schema_that_it_does() {
        let api = catalog("api", vec![table("a", TableState::Present, &["id"])]);
        let tables = ["a", "b", "private.c"].map(|name| table(name, TableState::Present, &["id"]));
        let merged = merge(api, catalog("postgres", tables.to_vec()));
        assert_eq!(get(&merged, "b").state, TableState::Forbidden);
        assert_eq!(get(&merged, "private.c").state, TableState::Present);
        let says = |text: &str| merged.unknown.iter().any(|line| line.contains(text));
        assert!(says("grant select on public.b to service_role;") && says("table private.c"), "{:?}", merged.unknown);
    }

    #[test]
    fn a_missing_table_stays_missing_and_one_that_is_gone_is_named() {
        let api = catalog(
            "api",
            vec![
                table("expected", TableState::Missing, &[]),
                table("gone", TableState::Present, &["id"]),
                table("hidden", TableState::Missing, &[]),
            ],
        );
        let postgres = vec![table("expected", TableState::Missing, &[]), table("hidden", TableState::Present, &["id"])];
        let merged = merge(api, catalog("postgres", postgres));
        let states: Vec<_> = merged.tables.iter().map(|table| (table.name.name(), table.state)).collect();
        let missing = TableState::Missing;
        assert_eq!(states, [("expected", missing), ("gone", TableState::Present), ("hidden", missing)]);
        let says = |text: &str| merged.differences.iter().any(|line| line.contains(text));
        assert!(
            says("table gone: the data API lists it") && says("table hidden: Postgres has it"),
            "{:?}",
            merged.differences
        );
        assert!(!says("expected"));
    }

    #[test]
    fn two_projects_are_suspected() {
        let api = catalog("api", vec![table("a", TableState::Present, &["id"])]);
        let merged = merge(api, catalog("postgres", vec![table("b", TableState::Present, &["id"])]));
        assert!(merged.differences.iter().any(|line| line.contains("two projects")), "{:?}", merged.differences);
    }

    #[test]
    fn keys_and_references_of_views_are_the_data_apis() {
        let view = |state| TableSchema { kind: TableKind::View, ..table("v", state, &["id", "a"]) };
        let mut shown = view(TableState::Present);
        shown.foreign_keys.push(ForeignKey::single("a".into(), "a".parse().unwrap(), "id".into()));
        let mut known = view(TableState::Present);
        known.primary_key.clear();
        let mut api = catalog("api", vec![shown]);
        let item = InventoryItem { kind: InventoryKind::View, name: "v".to_owned(), detail: None };
        api.inventory.push(item.clone());
        let mut postgres = catalog("postgres", vec![known]);
        postgres.inventory.push(InventoryItem { detail: Some("select".to_owned()), ..item });
        let merged = merge(api, postgres);
        assert_eq!((get(&merged, "v").primary_key.len(), get(&merged, "v").foreign_keys.len()), (1, 1));
        assert_eq!(merged.inventory.len(), 1, "Postgres' item knows more");
        assert_eq!(merged.differences, [""; 0]);
    }

    #[test]
    fn a_key_and_a_reference_that_differ_are_named() {
        let mut shown = table("a", TableState::Present, &["id", "b"]);
        shown.foreign_keys.push(ForeignKey::single("b".into(), "b".parse().unwrap(), "id".into()));
        let mut known = table("a", TableState::Present, &["id", "b"]);
        known.primary_key.push("b".into());
        let merged = merge(catalog("api", vec![shown]), catalog("postgres", vec![known]));
        assert_eq!(merged.differences.len(), 2, "{:?}", merged.differences);
        assert_eq!(get(&merged, "a").primary_key.len(), 2);
    }
}
