//! Statements of one transaction and their rows.

use std::collections::HashMap;

use migrate_core::names::TableName;
use migrate_core::{Error, ErrorKind, Result};
use tokio_postgres::types::{FromSql, ToSql, Type};
use tokio_postgres::{Row, Transaction};

use super::PostgresSettings;
use super::address::Address;
use super::errors::query_error;
use super::sql;

/// The tables that are asked for, as the statements' parameters.
pub(super) struct Scope {
    schemas: Vec<String>,
    expected_schemas: Vec<String>,
    expected_names: Vec<String>,
}

impl Scope {
    pub(super) fn of(settings: &PostgresSettings) -> Self {
        let expected = || settings.expected_tables.iter();
        Self {
            schemas: settings.schemas.clone(),
            expected_schemas: expected().map(|table| table.schema().to_owned()).collect(),
            expected_names: expected().map(|table| table.name().to_owned()).collect(),
        }
    }
}

/// The transaction that all is read in.
pub(super) struct Reader<'t> {
    transaction: Transaction<'t>,
    address: &'t Address,
    scope: Scope,
}

impl<'t> Reader<'t> {
    pub(super) fn new(transaction: Transaction<'t>, address: &'t Address, scope: Scope) -> Self {
        Self { transaction, address, scope }
    }

    /// The server's version, as `15.18`, and the role.
    pub(super) async fn server(&self) -> Result<(String, String)> {
        let rows = self.rows(sql::SERVER, &[]).await?;
        let row = rows.first().ok_or_else(|| Error::new(ErrorKind::Protocol, "read the server's version"))?;
        let version: String = get(row, 0)?;
        Ok((version.split_whitespace().next().unwrap_or_default().to_owned(), get(row, 1)?))
    }

    /// The rows of a statement about the tables in scope.
    pub(super) async fn in_scope(&self, statement: &str) -> Result<Vec<Row>> {
        let Scope { schemas, expected_schemas, expected_names } = &self.scope;
        self.rows(statement, &[schemas, expected_schemas, expected_names]).await
    }

    /// The rows of a statement about the schemas in scope.
    pub(super) async fn in_schemas(&self, statement: &str) -> Result<Vec<Row>> {
        self.rows(statement, &[&self.scope.schemas]).await
    }

    /// The rows of a statement without parameters that may fail: then what was read before stays readable.
    pub(super) async fn attempt(&mut self, statement: &str) -> Result<Vec<Row>> {
        let failed = |error: tokio_postgres::Error| query_error(&error, "read", self.address);
        let savepoint = self.transaction.savepoint("attempt").await.map_err(failed)?;
        match savepoint.query_typed(statement, &[]).await {
            Ok(rows) => {
                savepoint.commit().await.map_err(failed)?;
                Ok(rows)
            }
            Err(error) => {
                savepoint.rollback().await.map_err(failed)?;
                Err(failed(error))
            }
        }
    }

    /// The rows of a statement that needs no right.
    pub(super) async fn rows(&self, statement: &str, texts: &[&Vec<String>]) -> Result<Vec<Row>> {
        let parameters: Vec<(&(dyn ToSql + Sync), Type)> =
            texts.iter().map(|list| (*list as &(dyn ToSql + Sync), Type::TEXT_ARRAY)).collect();
        let rows = self.transaction.query_typed(statement, &parameters).await;
        rows.map_err(|error| query_error(&error, "read the catalog", self.address))
    }
}

/// A column of a row.
///
/// # Errors
/// `Protocol` when the server gives another type than the statement says.
pub(super) fn get<'r, T: FromSql<'r>>(row: &'r Row, column: impl ColumnIndex) -> Result<T> {
    column.get(row).map_err(|_| Error::new(ErrorKind::Protocol, "read the catalog: a column is not of its type"))
}

/// A column's name or position.
pub(super) trait ColumnIndex {
    fn get<'r, T: FromSql<'r>>(self, row: &'r Row) -> Result<T, tokio_postgres::Error>;
}

impl ColumnIndex for &str {
    fn get<'r, T: FromSql<'r>>(self, row: &'r Row) -> Result<T, tokio_postgres::Error> {
        row.try_get(self)
    }
}

impl ColumnIndex for usize {
    fn get<'r, T: FromSql<'r>>(self, row: &'r Row) -> Result<T, tokio_postgres::Error> {
        row.try_get(self)
    }
}

/// The table that a row names in `schema` and `relation`.
pub(super) fn relation_of(row: &Row) -> Result<TableName> {
    TableName::new(get(row, "schema")?, get(row, "relation")?)
}

/// Rows by the table that they name.
pub(super) fn by_relation(rows: Vec<Row>) -> Result<HashMap<TableName, Vec<Row>>> {
    let mut grouped: HashMap<TableName, Vec<Row>> = HashMap::new();
    for row in rows {
        grouped.entry(relation_of(&row)?).or_default().push(row);
    }
    Ok(grouped)
}
