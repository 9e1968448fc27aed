use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{MissingParent, PlanIndex};
use crate::names::{FieldName, TableName};

/// A migration's configuration: the file `migrate.toml`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct MigrateConfig {
    /// The Supabase project.
    pub supabase: SupabaseConfig,
    /// The Convex deployment.
    pub convex: ConvexConfig,
    /// Settings of the run.
    pub run: RunConfig,
    /// Choices for all tables.
    pub defaults: Defaults,
    /// Tables to migrate; all that the source shows where it is left out. Adopted tables need not be in it.
    pub include: Option<Vec<TableName>>,
    /// Tables to leave out.
    pub exclude: Vec<TableName>,
    /// Choices for one table, by its name at the source.
    pub tables: BTreeMap<TableName, TableConfig>,
}

/// The Supabase project. Keys are never in the file: `SUPABASE_SECRET_KEY` or `SUPABASE_SERVICE_ROLE_KEY`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SupabaseConfig {
    /// The project's address, such as `https://abc.supabase.co`; the environment's `SUPABASE_URL` wins.
    pub url: Option<String>,
    /// The schema whose tables are read.
    pub schema: String,
}

impl Default for SupabaseConfig {
    fn default() -> Self {
        Self { url: None, schema: crate::names::DEFAULT_SCHEMA.to_owned() }
    }
}

/// The Convex deployment. Keys are never in the file: `CONVEX_DEPLOY_KEY` or `CONVEX_SELF_HOSTED_ADMIN_KEY`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ConvexConfig {
    /// The deployment's address, such as `https://happy-animal-123.convex.cloud`; the environment's `CONVEX_URL` wins.
    pub url: Option<String>,
    /// Folder of the project's functions, relative to this file.
    pub functions: String,
    /// Module of the generated functions in that folder.
    pub module: String,
    /// Field that keeps the row's key in every document.
    pub legacy_id_field: FieldName,
}

impl Default for ConvexConfig {
    fn default() -> Self {
        Self {
            url: None,
            functions: "convex".to_owned(),
            module: "migrate".to_owned(),
            legacy_id_field: FieldName::from("supabaseId"),
        }
    }
}

/// Settings of a run. They change how it goes, not what comes out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RunConfig {
    /// Rows asked for in one page.
    #[schemars(range(min = 1))]
    pub page_rows: usize,
    /// Records in one batch, at most; the sink's own limit may be lower.
    #[schemars(range(min = 1))]
    pub batch_records: usize,
    /// Batches on the way at once, over all tables.
    #[schemars(range(min = 1))]
    pub in_flight: usize,
    /// Tables of one dependency level that run side by side.
    #[schemars(range(min = 1))]
    pub tables_in_parallel: usize,
    /// Stop after this many rejected rows.
    pub max_rejects: Option<u64>,
}

impl Default for RunConfig {
    fn default() -> Self {
        Self { page_rows: 1000, batch_records: 1000, in_flight: 4, tables_in_parallel: 4, max_rejects: None }
    }
}

/// Choices for all tables.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Defaults {
    /// What NULL becomes.
    pub nulls: NullChoice,
    /// Names of the sink's tables.
    pub table_names: NameStyle,
    /// Names of the documents' fields.
    pub field_names: NameStyle,
    /// What becomes of a row whose parent is not in the sink.
    pub on_missing: MissingParent,
}

/// How names are made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum NameStyle {
    /// As at the source.
    #[default]
    Keep,
    /// `snake_case` to `camelCase`.
    Camel,
}

/// What NULL becomes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum NullChoice {
    /// No field; `v.optional(…)`.
    #[default]
    Absent,
    /// `null`; `v.union(…, v.null())`.
    Null,
    /// The column's default at the source, or the one given; the field is required.
    Default,
    /// The row is rejected; the field is required.
    Reject,
}

/// Choices for one table.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TableConfig {
    /// The table's name at the sink.
    pub name: Option<String>,
    /// The rows live in the sink already: they are not migrated, only found by a natural key.
    pub adopt: Option<AdoptConfig>,
    /// The source may lack the table: the report says `missing`, and the run is not a failure for it.
    pub allow_missing: bool,
    /// Indexes of the sink's table.
    pub indexes: Vec<PlanIndex>,
    /// Choices for one column, by its name at the source.
    pub columns: BTreeMap<FieldName, ColumnConfig>,
}

/// How rows that live in the sink already are found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AdoptConfig {
    /// The sink's index over the natural key, such as `by_workspace_phone`.
    pub index: String,
    /// The natural key's columns at the source, in the index's order.
    pub key: Vec<FieldName>,
}

/// Choices for one column.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ColumnConfig {
    /// The field's name at the sink.
    pub name: Option<String>,
    /// The field's type at the sink.
    #[serde(rename = "type")]
    pub field_type: Option<TypeChoice>,
    /// What NULL becomes.
    pub nulls: Option<NullChoice>,
    /// The value that NULL becomes with `nulls = "default"`, instead of the source's own default.
    pub default: Option<serde_json::Value>,
    /// The table whose key the column holds, where the source does not say so itself: a soft reference, or one that
    /// the catalog cannot show.
    pub references: Option<TableName>,
    /// What becomes of a row whose parent is not in the sink.
    pub on_missing: Option<MissingParent>,
    /// Leave the column out.
    pub drop: bool,
}

/// A type at the sink.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TypeChoice {
    /// `v.string()`: the value's own text.
    String,
    /// `v.number()`.
    Number,
    /// `v.int64()`.
    Int64,
    /// `v.number()`: milliseconds since 1970.
    EpochMs,
    /// `v.any()`.
    Any,
    /// `v.string()`: the JSON text of a JSON column.
    JsonText,
}
