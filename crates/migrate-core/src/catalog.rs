//! What a source holds: tables, columns, keys and references.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::names::{FieldName, TableName};

/// Version of the catalog file's format.
pub const CATALOG_VERSION: u32 = 1;

/// What a source holds, as far as it could be seen. What could not be seen is `None`, never guessed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Catalog {
    /// Format version of this file.
    pub version: u32,
    /// Where it was read, such as `PostgREST 12.0.2 (OpenAPI)`.
    pub origin: String,
    /// Facts that this origin cannot tell, in words.
    pub unknown: Vec<String>,
    /// Tables by name, those that were asked for and are missing included.
    pub tables: Vec<TableSchema>,
}

impl Catalog {
    /// The table of that name.
    #[must_use]
    pub fn table(&self, name: &TableName) -> Option<&TableSchema> {
        self.tables.iter().find(|table| table.name == *name)
    }
}

/// One table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TableSchema {
    /// Its name.
    pub name: TableName,
    /// Whether it can be read.
    pub state: TableState,
    /// Exact number of rows when the catalog was made.
    pub rows: Option<u64>,
    /// Columns in their own order.
    pub columns: Vec<Column>,
    /// Columns of the primary key; empty where there is none or it cannot be seen.
    pub primary_key: Vec<FieldName>,
    /// References to other tables that could be seen.
    pub foreign_keys: Vec<ForeignKey>,
    /// Unique keys beside the primary one; `None` where the origin cannot tell.
    pub unique_keys: Option<Vec<Vec<FieldName>>>,
    /// The table's comment.
    pub comment: Option<String>,
}

impl TableSchema {
    /// The column of that name.
    #[must_use]
    pub fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| column.name.as_str() == name)
    }
}

/// Whether a table can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TableState {
    /// It has rows.
    Present,
    /// It has none.
    Empty,
    /// There is no such table.
    Missing,
    /// It is there, but this key may not read it.
    Forbidden,
}

/// One column.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Column {
    /// Its name.
    pub name: FieldName,
    /// Its type.
    #[serde(rename = "type")]
    pub source_type: SourceType,
    /// Whether NULL is possible.
    pub nullable: bool,
    /// The default as JSON, where it is a constant.
    pub default: Option<serde_json::Value>,
    /// The default as an SQL expression such as `now()`, where it is not a constant.
    pub default_expression: Option<String>,
    /// The column's comment.
    pub comment: Option<String>,
}

/// A column's type at the source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SourceType {
    /// The source's own name for it, such as `character varying` or `public.mood[]`.
    pub name: String,
    /// What it is, of an array what its elements are.
    pub scalar: ScalarKind,
    /// True for an array of `scalar`, of any number of dimensions.
    pub array: bool,
    /// Labels of an enum, in order; empty for all else.
    pub labels: Vec<String>,
}

/// Families of types that are read and cast alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ScalarKind {
    /// `boolean`.
    Bool,
    /// `smallint` or `integer`, which newer servers do not tell apart.
    Int4,
    /// `bigint`.
    Int8,
    /// `real` or `double precision`.
    Float8,
    /// `numeric`.
    Numeric,
    /// Text of any kind: `text`, `character varying`, `character`, `citext`, `name`.
    Text,
    /// `uuid`.
    Uuid,
    /// An enum.
    Enum,
    /// `json` or `jsonb`.
    Json,
    /// `bytea`.
    Bytes,
    /// `timestamp with time zone`.
    TimestampTz,
    /// `timestamp without time zone`.
    Timestamp,
    /// `date`.
    Date,
    /// `time without time zone`.
    Time,
    /// `time with time zone`.
    TimeTz,
    /// `interval`.
    Interval,
    /// Any other type, kept in the form the source gives it.
    Other,
}

/// A reference from columns of one table to columns of another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ForeignKey {
    /// The referring columns.
    pub columns: Vec<FieldName>,
    /// The table referred to.
    pub parent: TableName,
    /// Its columns, in the order of `columns`.
    pub parent_columns: Vec<FieldName>,
}
