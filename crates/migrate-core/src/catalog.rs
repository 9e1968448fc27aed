//! What a source holds: tables, columns, keys and references.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::names::{FieldName, TableName};

/// Version of the catalog file's format.
pub const CATALOG_VERSION: u32 = 2;

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
    /// Where two origins say different things, in words; the better one was taken.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub differences: Vec<String>,
    /// Tables by name, those that were asked for and are missing included.
    pub tables: Vec<TableSchema>,
    /// What does not move by itself, as far as it could be seen.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub inventory: Vec<InventoryItem>,
}

/// Something of the project that a migration of rows leaves behind.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct InventoryItem {
    /// What it is.
    pub kind: InventoryKind,
    /// Its name, with the table it is of where it is of one: `orders.only_own`.
    pub name: String,
    /// What it does, in words or in SQL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

/// Kinds of things that rows do not carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum InventoryKind {
    /// A table with row-level security switched on.
    RowLevelSecurity,
    /// A policy of row-level security.
    Policy,
    /// A trigger.
    Trigger,
    /// A function or procedure.
    Function,
    /// A job of `pg_cron`.
    CronJob,
    /// A table that is published for Realtime.
    Realtime,
    /// A bucket of files.
    StorageBucket,
    /// The users of Supabase Auth.
    AuthUsers,
    /// A view that is not migrated.
    View,
    /// An extension.
    Extension,
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
    /// What it is.
    #[serde(default)]
    pub kind: TableKind,
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
    /// Its indexes over whole columns and all rows, unique ones and the primary key's left out; `None` where the origin
    /// cannot tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub indexes: Option<Vec<Index>>,
    /// Its checks; `None` where the origin cannot tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checks: Option<Vec<Check>>,
    /// The table's comment.
    pub comment: Option<String>,
}

impl TableSchema {
    /// A table of that name without columns, of which nothing is known yet.
    #[must_use]
    pub fn new(name: TableName) -> Self {
        Self {
            name,
            kind: TableKind::Table,
            state: TableState::Missing,
            rows: None,
            columns: Vec::new(),
            primary_key: Vec::new(),
            foreign_keys: Vec::new(),
            unique_keys: None,
            indexes: None,
            checks: None,
            comment: None,
        }
    }

    /// Whether every row has another key in these columns, as far as the catalog tells.
    #[must_use]
    pub fn is_unique(&self, columns: &[FieldName]) -> bool {
        let same = |key: &[FieldName]| key.len() == columns.len() && key.iter().all(|column| columns.contains(column));
        same(&self.primary_key) || self.unique_keys.iter().flatten().any(|key| same(key))
    }

    /// The column of that name.
    #[must_use]
    pub fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| column.name.as_str() == name)
    }
}

/// What rows are read from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum TableKind {
    /// An ordinary table.
    #[default]
    Table,
    /// A partitioned table; its partitions are not listed.
    Partitioned,
    /// A view.
    View,
    /// A materialised view.
    MaterializedView,
    /// A table of another server.
    Foreign,
}

impl TableKind {
    /// Whether its rows are stored somewhere else as well: such a relation is read only where it is asked for by name.
    #[must_use]
    pub fn is_view(self) -> bool {
        matches!(self, Self::View | Self::MaterializedView)
    }
}

/// An index over columns.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Index {
    /// Its name.
    pub name: String,
    /// Its columns, in order.
    pub columns: Vec<FieldName>,
    /// Its method: `btree`, `gin`, `hnsw`.
    pub method: String,
}

/// A condition that every row holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Check {
    /// Its name.
    pub name: String,
    /// Its SQL, such as `CHECK ((price > 0))`.
    pub definition: String,
    /// For `column IN ('a', 'b')`: the column and its texts, in order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub one_of: Option<OneOf>,
}

/// The texts that a check allows in a column.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OneOf {
    /// The column.
    pub column: FieldName,
    /// The texts, in the order of the check.
    pub values: Vec<String>,
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
    /// Who makes its values; `None` where the origin cannot tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generation: Option<Generation>,
    /// The column's comment.
    pub comment: Option<String>,
}

impl Column {
    /// A column that may be NULL and of which nothing else is known.
    #[must_use]
    pub fn new(name: FieldName, source_type: SourceType) -> Self {
        Self {
            name,
            source_type,
            nullable: true,
            default: None,
            default_expression: None,
            generation: None,
            comment: None,
        }
    }
}

/// Who makes a column's values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Generation {
    /// Whoever writes the row.
    Written,
    /// The database, from other columns of the row.
    Stored,
    /// The database, from a sequence: an identity or serial column.
    Sequence,
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
    /// Digits of a `numeric(precision, scale)`, all and after the point; `None` where it has no bound, or where the
    /// origin cannot tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digits: Option<Digits>,
    /// Dimensions an array is declared with, which Postgres does not enforce; 1 where nothing is known, 0 for no array.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dimensions: Option<u8>,
    /// The domain's own name, where `name` is that of the type below it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub domain: Option<String>,
}

impl SourceType {
    /// A type by its name and family.
    pub fn new(name: impl Into<String>, scalar: ScalarKind) -> Self {
        Self {
            name: name.into(),
            scalar,
            array: false,
            labels: Vec::new(),
            digits: None,
            dimensions: None,
            domain: None,
        }
    }
}

/// Digits of a decimal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Digits {
    /// All digits.
    pub precision: u16,
    /// Digits after the point; negative where it is rounded before it.
    pub scale: i16,
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
    /// `money`, in the form of the server's locale.
    Money,
    /// `inet`, `cidr`, `macaddr` or `macaddr8`.
    Network,
    /// `bit` or `bit varying`.
    Bits,
    /// `xml`.
    Xml,
    /// `tsvector` or `tsquery`.
    Search,
    /// `hstore`.
    Hstore,
    /// `oid`, `xid`, `regclass` and other names of the server's own objects.
    Oid,
    /// A range or multirange.
    Range,
    /// `point`, `box`, `polygon` and other shapes of Postgres itself.
    Shape,
    /// PostGIS `geometry` or `geography`, as hex EWKB.
    Geometry,
    /// `vector` or `halfvec` of pgvector.
    Vector,
    /// A composite type, as an object.
    Composite,
    /// Any other type, kept in the form the source gives it.
    Other,
}

/// A reference from columns of one table to columns of another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ForeignKey {
    /// The constraint's name, where the origin tells it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What happens to the row when its parent is deleted, where the origin tells it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_delete: Option<OnDelete>,
    /// The referring columns.
    pub columns: Vec<FieldName>,
    /// The table referred to.
    pub parent: TableName,
    /// Its columns, in the order of `columns`.
    pub parent_columns: Vec<FieldName>,
}

impl ForeignKey {
    /// A reference of one column to one column.
    #[must_use]
    pub fn single(column: FieldName, parent: TableName, parent_column: FieldName) -> Self {
        Self { name: None, on_delete: None, columns: vec![column], parent, parent_columns: vec![parent_column] }
    }
}

/// What happens to a row when its parent is deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnDelete {
    /// The parent cannot be deleted.
    Restrict,
    /// The row is deleted too.
    Cascade,
    /// The reference becomes NULL.
    SetNull,
    /// The reference becomes its default.
    SetDefault,
}
