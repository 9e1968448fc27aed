//! What a run will do, decided beforehand: validated, ordered, fingerprinted.

mod build;
mod config;
mod fingerprint;
mod order;
mod rules;
mod toml_error;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use build::{PlanIssue, build_plan};
pub use config::{
    AdoptConfig, ColumnConfig, ConvexConfig, Defaults, MigrateConfig, NullChoice, RunConfig, SupabaseConfig,
    TableConfig, TypeChoice,
};
pub use rules::{CAST_RULES, CastRule, Target};
pub use toml_error::{ConfigError, read_config};

use crate::catalog::{SourceType, TableState};
use crate::names::{FieldName, TableName};

/// Version of the plan file's format.
pub const PLAN_VERSION: u32 = 1;

/// What a run will do. A file; a state is tied to its fingerprint.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// Format version of this file.
    pub version: u32,
    /// SHA-256 of everything below, in hex.
    pub fingerprint: String,
    /// Where the documents go.
    pub sink: SinkPlan,
    /// Tables to migrate, parents before children.
    pub tables: Vec<PlanTable>,
    /// Tables whose rows live in the sink already and are only referred to.
    pub adopted: Vec<AdoptedTable>,
    /// Tables that were asked for and cannot be read.
    pub absent: Vec<AbsentTable>,
    /// Settings of the run.
    pub run: RunConfig,
    /// Decisions a reader should know of, in words.
    pub notes: Vec<String>,
}

/// Where the documents go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SinkPlan {
    /// Folder of the sink's functions, relative to the configuration.
    pub functions: String,
    /// Module of the generated functions, such as `migrate`.
    pub module: String,
    /// Field that keeps the row's key in every document.
    pub legacy_id_field: FieldName,
}

/// One table to migrate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PlanTable {
    /// The table at the source.
    pub source: TableName,
    /// The table at the sink.
    pub sink: TableName,
    /// 0 for tables without parents to wait for; tables of one level may run side by side.
    pub level: usize,
    /// Columns of its key, in key order.
    pub key: Vec<FieldName>,
    /// Fields of its documents.
    pub fields: Vec<PlanField>,
    /// Indexes of the sink's table, beside the one on the legacy id.
    pub indexes: Vec<PlanIndex>,
}

impl PlanTable {
    /// Fields that the second pass sets.
    pub fn cut_fields(&self) -> impl Iterator<Item = &PlanField> {
        self.fields.iter().filter(|field| field.is_cut())
    }
}

/// One field of a document.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PlanField {
    /// Its name at the sink.
    pub field: FieldName,
    /// The source columns it is made of; several only for a composite reference.
    pub columns: Vec<FieldName>,
    /// The columns' type at the source (of the first, for several).
    pub source_type: SourceType,
    /// Its type at the sink.
    #[serde(rename = "type")]
    pub field_type: FieldType,
    /// True when documents may lack it.
    pub optional: bool,
    /// True when it may hold null.
    pub nullable: bool,
    /// How the value is made.
    pub conversion: Conversion,
    /// Which rule decided, in words.
    pub rule: String,
}

impl PlanField {
    /// True when the second pass sets it.
    #[must_use]
    pub fn is_cut(&self) -> bool {
        matches!(&self.conversion, Conversion::Reference(reference) if reference.cut)
    }
}

/// A type at the sink.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum FieldType {
    /// Text.
    String,
    /// A double.
    Number,
    /// A 64-bit integer.
    Int64,
    /// A boolean.
    Boolean,
    /// Bytes.
    Bytes,
    /// Any value.
    Any,
    /// The id of a document of a table.
    Id(TableName),
    /// An array.
    Array(Box<FieldType>),
    /// One of these texts.
    Literals(Vec<String>),
}

/// How a field's value is made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Conversion {
    /// From the column's value.
    Value {
        /// What is done to it.
        cast: Cast,
        /// What NULL becomes.
        nulls: NullPolicy,
    },
    /// From the document that another row became.
    Reference(PlanReference),
}

/// What is done to a value that is not NULL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Cast {
    /// Nothing: boolean to boolean, text to text, bytes to bytes.
    Exact,
    /// A number becomes a double; integers over 2^53 are refused, decimals become the nearest double, counted.
    Number,
    /// An integer stays a 64-bit integer.
    Int64,
    /// The value's own text.
    Text,
    /// An instant becomes milliseconds since 1970-01-01T00:00Z; microseconds are cut off, counted.
    EpochMs,
    /// JSON becomes a value; its numbers become doubles, counted where that rounds.
    Json,
    /// JSON becomes its text.
    JsonText,
    /// Text must be one of the type's literals.
    Literal,
}

/// What NULL becomes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum NullPolicy {
    /// No field.
    Absent,
    /// `null`.
    Null,
    /// This value, given in the sink's type; counted.
    Default(serde_json::Value),
    /// The row is rejected.
    Reject,
}

/// A reference to the document another row became.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PlanReference {
    /// The parent's table at the source.
    pub parent: TableName,
    /// What is done where the parent is not in the sink.
    pub on_missing: MissingParent,
    /// True when the second pass sets it, because the parent may come later.
    pub cut: bool,
}

/// What is done where a parent is not in the sink.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum MissingParent {
    /// The row is rejected.
    #[default]
    Reject,
    /// The field is left out (or null, where the field holds nulls); counted.
    Null,
    /// The run stops.
    Fail,
}

/// An index of a sink's table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PlanIndex {
    /// Its name.
    pub name: String,
    /// Its fields, in order.
    pub fields: Vec<FieldName>,
}

/// A table whose rows live in the sink already; they are found by a natural key.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AdoptedTable {
    /// The table at the source.
    pub source: TableName,
    /// The table at the sink.
    pub sink: TableName,
    /// Columns of its key at the source, in key order.
    pub key: Vec<FieldName>,
    /// The sink's index over the natural key.
    pub index: String,
    /// The natural key's fields, in the index's order.
    pub natural_key: Vec<PlanField>,
    /// All fields its documents would have, for the suggested schema.
    pub fields: Vec<PlanField>,
    /// Further indexes, for the suggested schema.
    pub indexes: Vec<PlanIndex>,
}

/// A table that was asked for and cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AbsentTable {
    /// The table.
    pub table: TableName,
    /// Missing or forbidden.
    pub state: TableState,
}
