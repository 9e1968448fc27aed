//! What a source holds: tables, columns, keys and references.

use std::fmt::Write as _;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

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

impl Catalog {
    /// How the tables of a later catalog differ from this one in what a plan rests on: columns, types, nullability,
    /// keys and references. Row counts and comments do not count. One line for each difference.
    #[must_use]
    pub fn drift<'a>(&self, later: &Self, tables: impl Iterator<Item = &'a TableName>) -> Vec<String> {
        let mut lines = Vec::new();
        for name in tables {
            let (before, after) = (self.table(name), later.table(name));
            let is_there = |table: &&TableSchema| matches!(table.state, TableState::Present | TableState::Empty);
            match (before.filter(is_there), after.filter(is_there)) {
                (Some(before), Some(after)) => before.drift(after, &mut lines),
                (Some(_), None) => lines.push(format!("{name}: it is gone, or may not be read any more")),
                (None, Some(_)) => lines.push(format!("{name}: it is there now")),
                (None, None) => {}
            }
        }
        lines
    }
}

impl Catalog {
    /// SHA-256, in hex, of what [`Catalog::drift`] compares, for these tables.
    #[must_use]
    pub fn digest<'a>(&self, tables: impl Iterator<Item = &'a TableName>) -> String {
        let mut digest = Sha256::new();
        for table in tables.filter_map(|name| self.table(name)) {
            let columns: Vec<_> = table
                .columns
                .iter()
                .map(|column| {
                    (column.name.as_str(), &column.source_type.name, &column.source_type.labels, column.nullable)
                })
                .collect();
            // The debug form of names and texts quotes them: no two tables share one.
            digest.update(format!("{:?}", (&table.name, columns, &table.primary_key, table.reference_ends())));
        }
        hex(&digest.finalize())
    }
}

/// Bytes in hex.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
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

    fn drift(&self, later: &Self, lines: &mut Vec<String>) {
        let name = &self.name;
        for column in &self.columns {
            let Some(after) = later.column(column.name.as_str()) else {
                lines.push(format!("{name}.{}: the column is gone", column.name));
                continue;
            };
            let (was, is) = (&column.source_type, &after.source_type);
            if was.name != is.name || was.labels != is.labels {
                let labels = if was.name == is.name { ", with other labels" } else { "" };
                lines.push(format!("{name}.{}: was {}, is {}{labels}", column.name, was.name, is.name));
            }
            if column.nullable != after.nullable {
                let words = |nullable| if nullable { "may be NULL" } else { "is never NULL" };
                let (was, is) = (words(column.nullable), words(after.nullable));
                lines.push(format!("{name}.{}: {was} in the plan, {is} now", column.name));
            }
        }
        let added = later.columns.iter().filter(|column| self.column(column.name.as_str()).is_none());
        lines.extend(added.map(|column| format!("{name}.{}: a new column", column.name)));
        if self.primary_key != later.primary_key {
            lines.push(format!("{name}: another primary key"));
        }
        if self.reference_ends() != later.reference_ends() {
            lines.push(format!("{name}: other references"));
        }
    }

    /// Both ends of each reference, in an order of their own: a source may list them in any.
    fn reference_ends(&self) -> Vec<(&[FieldName], &TableName, &[FieldName])> {
        let foreign_keys = self.foreign_keys.iter();
        let mut ends: Vec<_> =
            foreign_keys.map(|foreign| (&*foreign.columns, &foreign.parent, &*foreign.parent_columns)).collect();
        ends.sort();
        ends
    }

    /// The columns' names, in their order.
    #[must_use]
    pub fn column_names(&self) -> Vec<String> {
        self.columns.iter().map(|column| column.name.to_string()).collect()
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

    /// What tells the table's rows apart, where nobody names anything else: the primary key, else the smallest unique
    /// key without NULLs whose values have a text, else the place where a row is stored.
    ///
    /// Views and foreign tables have no such place: without a key theirs is [`RowKey::Columns`] of none, and whoever
    /// wants to read them must name one.
    #[must_use]
    pub fn row_key(&self) -> RowKey {
        if !self.primary_key.is_empty() {
            return RowKey::Columns(self.primary_key.clone());
        }
        let can_be_key = |name: &FieldName| {
            self.column(name.as_str()).is_some_and(|column| {
                let source_type = &column.source_type;
                let has_text = !matches!(source_type.scalar, ScalarKind::Json | ScalarKind::Composite);
                !column.nullable && !source_type.array && has_text
            })
        };
        let unique = self.unique_keys.iter().flatten().filter(|key| !key.is_empty() && key.iter().all(can_be_key));
        if let Some(key) = unique.min_by_key(|key| key.len()) {
            return RowKey::Columns(key.clone());
        }
        match self.kind {
            TableKind::Table => RowKey::Place(vec![FieldName::from(PLACE)]),
            TableKind::Partitioned => RowKey::Place(vec![FieldName::from(PLACE_TABLE), FieldName::from(PLACE)]),
            TableKind::View | TableKind::MaterializedView | TableKind::Foreign => RowKey::Columns(Vec::new()),
        }
    }
}

/// The pseudo column of a row's place in its table: block and number, such as `(0,4)`. It is no column of the table, but
/// can be read like one (Postgres documentation, "System Columns").
pub const PLACE: &str = "ctid";

/// The pseudo column of the table that a row is stored in: a partition's number, such as `16900`.
pub const PLACE_TABLE: &str = "tableoid";

/// What tells the rows of a table apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RowKey {
    /// These columns, in key order; none where nothing is known to.
    Columns(Vec<FieldName>),
    /// The row's place: the pseudo column [`PLACE`], of a partitioned table after [`PLACE_TABLE`].
    ///
    /// An update moves a row to another place, and so does a restore or `VACUUM FULL`. A row that is updated while its
    /// table is read may be seen twice or not at all, and a second run takes moved rows for new ones: such a table is to
    /// be left alone until it is migrated.
    Place(Vec<FieldName>),
}

impl RowKey {
    /// The columns, pseudo or not, in key order.
    #[must_use]
    pub fn fields(&self) -> &[FieldName] {
        match self {
            Self::Columns(fields) | Self::Place(fields) => fields,
        }
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
    /// `PostGIS` `geometry` or `geography`, as hex EWKB.
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

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> Vec<FieldName> {
        names.iter().copied().map(FieldName::from).collect()
    }

    fn table(kind: TableKind, unique_keys: Option<&[&[&str]]>) -> TableSchema {
        let column = |name: &str, scalar, nullable| Column {
            nullable,
            ..Column::new(name.into(), SourceType::new(format!("{scalar:?}"), scalar))
        };
        TableSchema {
            kind,
            columns: vec![
                column("a", ScalarKind::Text, false),
                column("b", ScalarKind::Int8, false),
                column("maybe", ScalarKind::Uuid, true),
                column("json", ScalarKind::Json, false),
            ],
            unique_keys: unique_keys.map(|keys| keys.iter().map(|key| names(key)).collect()),
            ..TableSchema::new("t".parse().unwrap())
        }
    }

    #[test]
    fn rows_are_told_apart_by_the_best_that_is_known() {
        let keyed = TableSchema { primary_key: names(&["b"]), ..table(TableKind::Table, Some(&[&["a"]])) };
        assert_eq!(keyed.row_key(), RowKey::Columns(names(&["b"])));
        let unique = table(TableKind::Partitioned, Some(&[&["maybe"], &["json"], &["a", "b"], &["b"], &["a"]]));
        assert_eq!(unique.row_key(), RowKey::Columns(names(&["b"])));
        for keys in [None, Some([].as_slice()), Some([["maybe"].as_slice(), &["json"], &["gone"]].as_slice())] {
            assert_eq!(table(TableKind::Table, keys).row_key(), RowKey::Place(names(&["ctid"])));
        }
        assert_eq!(table(TableKind::Partitioned, None).row_key(), RowKey::Place(names(&["tableoid", "ctid"])));
        for kind in [TableKind::View, TableKind::MaterializedView, TableKind::Foreign] {
            assert!(table(kind, None).row_key().fields().is_empty());
        }
    }
}
