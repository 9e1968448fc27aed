//! Tables and views with their columns, keys, references, checks and indexes.

use std::collections::HashMap;

use migrate_core::catalog::{
    Check, Column, ForeignKey, Generation, Index, OnDelete, ScalarKind, TableKind, TableSchema, TableState,
};
use migrate_core::names::{FieldName, TableName};
use migrate_core::{Error, ErrorKind, Result};
use tokio_postgres::Row;

use super::checks::one_of;
use super::defaults::constant_or_expression;
use super::read::{Reader, by_relation, get};
use super::sql;
use super::types::TypeParts;
use crate::errors::{grant_statement, identifier};

/// Tables with more bytes of rows are not counted: it takes longer than a discovery should.
const MAX_COUNTED_BYTES: i64 = 64 << 20;

/// A table or view, with what its rows and the catalog do not hold.
pub(super) struct Relation {
    pub(super) table: TableSchema,
    /// Whether row-level security is switched on, and whether it is forced on the owner too.
    pub(super) security: Option<Forced>,
    /// A view's query.
    pub(super) definition: Option<String>,
    usable: bool,
    hidden: bool,
    bytes: Option<i64>,
}

/// Whether row-level security holds for the table's owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Forced(pub(super) bool);

/// Reads all in scope; what this role may not read is added to `unknown`.
pub(super) async fn read(
    reader: &mut Reader<'_>,
    role: &str,
    count_rows: bool,
    unknown: &mut Vec<String>,
) -> Result<Vec<Relation>> {
    let mut relations = reader.in_scope(sql::RELATIONS).await?.iter().map(relation).collect::<Result<Vec<_>>>()?;
    let mut columns = by_relation(reader.in_scope(sql::COLUMNS).await?)?;
    let mut constraints = by_relation(reader.in_scope(sql::CONSTRAINTS).await?)?;
    let mut indexes = by_relation(reader.in_scope(sql::INDEXES).await?)?;
    for relation in &mut relations {
        let table = &mut relation.table;
        let take = |of: &mut HashMap<TableName, Vec<Row>>| of.remove(&table.name).unwrap_or_default();
        let (columns, constraints, indexes) = (take(&mut columns), take(&mut constraints), take(&mut indexes));
        let is_view = table.kind.is_view();
        table.columns = columns.iter().map(|row| column(row, is_view)).collect::<Result<_>>()?;
        add_constraints(table, &constraints)?;
        add_indexes(table, &indexes, unknown)?;
    }
    add_states(reader, &mut relations, role, count_rows, unknown).await?;
    Ok(relations)
}

/// Adds the expected tables that are not there.
pub(super) fn add_missing(tables: &mut Vec<TableSchema>, expected: &[TableName]) {
    for name in expected {
        if !tables.iter().any(|table| table.name == *name) {
            tables.push(TableSchema::new(name.clone()));
        }
    }
    tables.sort_by(|one, other| one.name.cmp(&other.name));
}

fn relation(row: &Row) -> Result<Relation> {
    let kind = match get::<&str>(row, "kind")? {
        "p" => TableKind::Partitioned,
        "v" => TableKind::View,
        "m" => TableKind::MaterializedView,
        "f" => TableKind::Foreign,
        _ => TableKind::Table,
    };
    let state = if get(row, "readable")? { TableState::Present } else { TableState::Forbidden };
    let secured: bool = get(row, "secured")?;
    let forced = Forced(get(row, "forced")?);
    Ok(Relation {
        table: TableSchema {
            kind,
            state,
            unique_keys: Some(Vec::new()),
            indexes: Some(Vec::new()),
            checks: Some(Vec::new()),
            comment: get(row, "comment")?,
            ..TableSchema::new(TableName::new(get(row, "schema")?, get(row, "name")?)?)
        },
        security: secured.then_some(forced),
        definition: get(row, "definition")?,
        usable: get(row, "usable")?,
        hidden: get(row, "hidden")?,
        bytes: get(row, "bytes")?,
    })
}

fn column(row: &Row, is_view: bool) -> Result<Column> {
    let source_type = TypeParts {
        name: get(row, "type_name")?,
        element: get(row, "element_name")?,
        element_kind: get(row, "element_kind")?,
        is_builtin: get(row, "is_builtin")?,
        is_array: get(row, "is_array")?,
        dimensions: get(row, "dimensions")?,
        modifier: get(row, "modifier")?,
        labels: get::<Option<_>>(row, "labels")?.unwrap_or_default(),
        domain: get(row, "domain")?,
    }
    .source_type();
    let default: Option<&str> = get(row, "default_text")?;
    let is_generated = !get::<&str>(row, "generated")?.is_empty();
    let is_identity = !get::<&str>(row, "identity")?.is_empty();
    let generation = match default {
        // What a view's columns are made of is in its query.
        _ if is_view => None,
        _ if is_generated => Some(Generation::Stored),
        Some(default) if default.starts_with("nextval(") => Some(Generation::Sequence),
        _ if is_identity => Some(Generation::Sequence),
        _ => Some(Generation::Written),
    };
    let (default, default_expression) = match default {
        Some(expression) if is_generated => (None, Some(expression.to_owned())),
        Some(default) => constant_or_expression(default, &source_type),
        None => (None, None),
    };
    Ok(Column {
        nullable: !get::<bool>(row, "not_null")?,
        default,
        default_expression,
        generation,
        comment: get(row, "comment")?,
        ..Column::new(FieldName::from(get::<&str>(row, "name")?), source_type)
    })
}

fn add_constraints(table: &mut TableSchema, rows: &[Row]) -> Result<()> {
    for row in rows {
        let name: String = get(row, "name")?;
        let columns = fields(row, "columns")?;
        match get::<&str>(row, "kind")? {
            "p" => table.primary_key = columns,
            "f" => table.foreign_keys.push(ForeignKey {
                name: Some(name),
                on_delete: on_delete(get(row, "on_delete")?),
                columns,
                parent: TableName::new(get(row, "parent_schema")?, get(row, "parent")?)?,
                parent_columns: fields(row, "parent_columns")?,
            }),
            _ => {
                let definition: String = get(row, "definition")?;
                // A list of texts means what it says only where the column holds texts.
                let one_of = one_of(&definition).filter(|one_of| {
                    table.column(one_of.column.as_str()).is_some_and(|column| {
                        column.source_type.scalar == ScalarKind::Text && !column.source_type.array
                    })
                });
                table.checks.get_or_insert_default().push(Check { name, definition, one_of });
            }
        }
    }
    Ok(())
}

/// `NO ACTION` and `RESTRICT` differ only in when they refuse.
fn on_delete(code: &str) -> Option<OnDelete> {
    match code {
        "a" | "r" => Some(OnDelete::Restrict),
        "c" => Some(OnDelete::Cascade),
        "n" => Some(OnDelete::SetNull),
        "d" => Some(OnDelete::SetDefault),
        _ => None,
    }
}

fn add_indexes(table: &mut TableSchema, rows: &[Row], unknown: &mut Vec<String>) -> Result<()> {
    let mut left_out = Vec::new();
    for row in rows {
        let name: String = get(row, "name")?;
        let columns: Option<Vec<String>> = get(row, "columns")?;
        let columns = columns.map(|columns| columns.iter().map(|column| FieldName::from(column.as_str())).collect());
        match (columns, get::<bool>(row, "is_partial")?) {
            (Some(columns), false) if get::<bool>(row, "is_unique")? => {
                let keys = table.unique_keys.get_or_insert_default();
                if !keys.contains(&columns) {
                    keys.push(columns);
                }
            }
            (Some(columns), false) => {
                table.indexes.get_or_insert_default().push(Index { name, columns, method: get(row, "method")? });
            }
            _ => left_out.push(name),
        }
    }
    if !left_out.is_empty() {
        let names = left_out.join(", ");
        unknown.push(format!("indexes of table {} with a condition or over an expression: {names}", table.name));
    }
    Ok(())
}

async fn add_states(
    reader: &mut Reader<'_>,
    relations: &mut [Relation],
    role: &str,
    count_rows: bool,
    unknown: &mut Vec<String>,
) -> Result<()> {
    let (mut counted, mut probed) = (Vec::new(), Vec::new());
    for (position, relation) in relations.iter().enumerate() {
        let name = &relation.table.name;
        let quoted = |name: &str| format!("\"{}\"", name.replace('"', "\"\""));
        let target = format!("{}.{}", quoted(name.schema()), quoted(name.name()));
        match relation.bytes {
            _ if !relation.usable => {
                let grant = format!("grant usage on schema {} to {};", identifier(name.schema()), identifier(role));
                unknown.push(format!("rows of {name}: the role {role} may not use its schema; run: {grant}"));
            }
            _ if relation.table.state == TableState::Forbidden => {
                let grant = grant_statement(name, role);
                unknown.push(format!("rows of {name}: the role {role} may not read them; run: {grant}"));
            }
            _ if !count_rows => {}
            Some(_) if relation.hidden => unknown.push(format!(
                "the number of rows of {name}: row-level security may hide some from the role {role}; use one that bypasses it"
            )),
            Some(bytes) if bytes <= MAX_COUNTED_BYTES => counted.push((position, target)),
            Some(_) => probed.push((position, target)),
            None => {}
        }
    }
    for (position, rows) in numbers::<i64>(reader, &counted, sql::count, "the number of rows", unknown).await? {
        if let Some(relation) = relations.get_mut(position) {
            relation.table.rows = u64::try_from(rows).ok();
            relation.table.state = if rows == 0 { TableState::Empty } else { TableState::Present };
        }
    }
    for (position, any) in numbers::<bool>(reader, &probed, sql::any_row, "whether there are rows", unknown).await? {
        if let Some(relation) = relations.get_mut(position) {
            relation.table.state = if any { TableState::Present } else { TableState::Empty };
        }
    }
    Ok(())
}

/// What one statement says of each table; where it fails, each is asked alone.
async fn numbers<T: for<'r> tokio_postgres::types::FromSql<'r>>(
    reader: &mut Reader<'_>,
    tables: &[(usize, String)],
    statement: fn(&[(usize, String)]) -> String,
    what: &str,
    unknown: &mut Vec<String>,
) -> Result<Vec<(usize, T)>> {
    let mut rows = Vec::new();
    let mut pending: Vec<&[(usize, String)]> = if tables.is_empty() { Vec::new() } else { vec![tables] };
    while let Some(asked) = pending.pop() {
        match (reader.attempt(&statement(asked)).await, asked) {
            (Ok(answer), _) => rows.extend(answer),
            (Err(error), _) if error.kind() == ErrorKind::Unavailable => return Err(error),
            (Err(error), [(_, table)]) => unknown.push(format!("{what} of {table}: {}", error.message())),
            (Err(_), several) => pending.extend(several.chunks(1)),
        }
    }
    let number = |row: &Row| {
        let position = usize::try_from(get::<i64>(row, 0)?)
            .map_err(|_| Error::new(ErrorKind::Protocol, "read the catalog: a position is no number"))?;
        Ok((position, get(row, 1)?))
    };
    rows.iter().map(number).collect()
}

fn fields(row: &Row, column: &str) -> Result<Vec<FieldName>> {
    let names: Option<Vec<String>> = get(row, column)?;
    Ok(names.unwrap_or_default().iter().map(|name| FieldName::from(name.as_str())).collect())
}
