use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};

use super::{LegacyIds, MissingParent, PlanIndex, Unfit, WriteMethod};
use crate::names::{FieldName, KeySpace, TableName};
use crate::plan::WriteRate;

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
    /// Tables to migrate, by name or by pattern such as `shop_*`; all tables that the source shows where it is left
    /// out, and views only where they are named. Adopted tables need not be in it.
    pub include: Option<Vec<String>>,
    /// Tables to leave out, by name or by pattern.
    pub exclude: Vec<String>,
    /// Rules for types, tried in order before the built-in ones.
    pub types: Vec<TypeRule>,
    /// Choices for one table, by its name at the source.
    pub tables: BTreeMap<TableName, TableConfig>,
}

impl MigrateConfig {
    /// The tables that are named one by one, rather than by a pattern: they are expected to be there.
    pub fn named_tables(&self) -> impl Iterator<Item = TableName> {
        let included = self.include.iter().flatten().filter(|text| !is_pattern(text));
        included.filter_map(|text| text.parse().ok()).chain(self.tables.keys().cloned())
    }
}

/// Whether an entry of `include` or `exclude` is a pattern rather than a name.
pub(crate) fn is_pattern(text: &str) -> bool {
    text.contains(['*', '?', '[', '{'])
}

/// The entry of `include` or `exclude` that names this table and no other: signs of a pattern in its name are escaped.
#[must_use]
pub fn table_entry(table: &TableName) -> String {
    let text = table.to_string();
    if !is_pattern(&text) {
        return text;
    }
    let escaped = text.chars().flat_map(|char| {
        let sign = matches!(char, '*' | '?' | '[' | ']' | '{' | '}' | '\\' | '!' | ',').then_some('\\');
        sign.into_iter().chain([char])
    });
    escaped.collect()
}

fn at_least_one<'de, D: Deserializer<'de>>(deserializer: D) -> Result<usize, D::Error> {
    match usize::deserialize(deserializer)? {
        0 => Err(serde::de::Error::custom("it must be at least 1")),
        number => Ok(number),
    }
}

fn some_at_least_one<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<usize>, D::Error> {
    match Option::deserialize(deserializer)? {
        Some(0) => Err(serde::de::Error::custom("it must be at least 1")),
        number => Ok(number),
    }
}

/// Dimensions of an array, of which Postgres has six at most.
fn one_to_six<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u8>, D::Error> {
    match u8::deserialize(deserializer)? {
        number @ 1..=6 => Ok(Some(number)),
        _ => Err(serde::de::Error::custom("an array has 1 to 6 dimensions")),
    }
}

/// The Supabase project. Keys are never in the file: `SUPABASE_SECRET_KEY` or `SUPABASE_SERVICE_ROLE_KEY`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SupabaseConfig {
    /// The project's address, such as `https://abc.supabase.co`; the environment's `SUPABASE_URL` wins.
    pub url: Option<String>,
    /// The schemas whose tables are read. Tables of another schema than `public` are written `schema.table`.
    pub schemas: Vec<String>,
    /// What the rows are read through.
    pub access: Access,
}

impl Default for SupabaseConfig {
    fn default() -> Self {
        Self { url: None, schemas: vec![crate::names::DEFAULT_SCHEMA.to_owned()], access: Access::default() }
    }
}

/// What a source's rows are read through.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Access {
    /// The data API.
    #[default]
    Rest,
    /// Postgres itself, by `SUPABASE_DB_URL`: all tables as they are at one moment, and faster.
    Postgres,
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
    /// Where the rows' keys are kept: in that field, or in a table of their own.
    pub legacy_ids: LegacyIds,
    /// Generate functions that can be called without a deploy key, with a secret that the deployment's environment
    /// holds as `MIGRATION_SECRET`. Only where no deploy key can be had.
    pub public_functions: bool,
    /// How documents get into the deployment: by mutations, or as one snapshot that is imported.
    pub write: WriteMethod,
    /// With `write = "snapshot"`: what tells this migration's ids apart from those of another one into the same
    /// deployment. Ids are computed from it, the table's name and the row's key.
    pub id_stream: String,
}

impl Default for ConvexConfig {
    fn default() -> Self {
        Self {
            url: None,
            functions: "convex".to_owned(),
            module: "migration/migrate".to_owned(),
            legacy_id_field: FieldName::from("supabaseId"),
            legacy_ids: LegacyIds::default(),
            public_functions: false,
            write: WriteMethod::default(),
            id_stream: "supabase".to_owned(),
        }
    }
}

/// Settings of a run. They change how it goes, not what comes out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RunConfig {
    /// Rows asked for in one page.
    #[schemars(range(min = 1))]
    #[serde(deserialize_with = "at_least_one")]
    pub page_rows: usize,
    /// Records in one batch, at most; the sink's own limit may be lower.
    #[schemars(range(min = 1))]
    #[serde(deserialize_with = "at_least_one")]
    pub batch_records: usize,
    /// Batches on the way at once, over all tables.
    #[schemars(range(min = 1))]
    #[serde(deserialize_with = "at_least_one")]
    pub in_flight: usize,
    /// Tables of one dependency level, and parts of large ones, that are read side by side.
    #[schemars(range(min = 1))]
    #[serde(deserialize_with = "at_least_one")]
    pub tables_in_parallel: usize,
    /// Parts that a table is cut into, each with a checkpoint of its own. Left out, one for every 50,000 rows, up to
    /// `tables_in_parallel`.
    #[schemars(range(min = 1))]
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "some_at_least_one")]
    pub partitions: Option<usize>,
    /// Stop after this many rejected rows.
    pub max_rejects: Option<u64>,
    /// Write no faster than so many bytes a second: `"3MiB"`. A Convex deployment takes 4 MiB a second or more, by its
    /// class, from all who write into it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub write_rate: Option<WriteRate>,
}

impl Default for RunConfig {
    fn default() -> Self {
        Self {
            page_rows: 1000,
            batch_records: 1000,
            in_flight: 4,
            tables_in_parallel: 4,
            partitions: None,
            max_rejects: None,
            write_rate: None,
        }
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
    /// What becomes of a value that its type at the sink cannot hold, such as `infinity` as a number of milliseconds.
    pub on_unfit: Unfit,
    /// What becomes of NULL inside an array.
    pub null_elements: NullElements,
    /// What becomes of JSON whose objects have keys that Convex refuses.
    pub json_keys: JsonKeys,
    /// Which indexes of the source are made at the sink.
    pub indexes: IndexChoice,
}

/// One rule of the type mapping.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TypeRule {
    /// The type's name at the source, or a pattern such as `numeric*`; any where it is left out.
    pub from: Option<String>,
    /// The tables it is for, by pattern.
    pub table: Option<String>,
    /// The columns it is for, by pattern, such as `*_at`.
    pub column: Option<String>,
    /// The type at the sink.
    pub to: TypeChoice,
}

/// What becomes of NULL inside an array.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum NullElements {
    /// The row is rejected; the elements' type has no null.
    #[default]
    Reject,
    /// `null`; the elements' type has it.
    Null,
}

/// What becomes of JSON whose objects have keys that Convex refuses.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum JsonKeys {
    /// The row is rejected.
    #[default]
    Reject,
    /// Such keys are written in percent escapes, as in URLs, which can be undone.
    Escape,
    /// The column becomes its JSON text, whatever its keys.
    Text,
}

/// Which indexes of the source are made at the sink.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum IndexChoice {
    /// Unique keys and btree indexes, as far as the catalog shows them, and one for each reference.
    #[default]
    All,
    /// One for each reference.
    References,
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
    /// Which rows are read, in PostgREST's filter syntax: `tenant_id=eq.7&deleted_at=is.null`.
    pub filter: Option<String>,
    /// The columns that name a row, where the source shows none: of a view, or of a table without a primary key. They
    /// must be unique and never NULL.
    pub key: Option<Vec<FieldName>>,
    /// With `convex.write = "snapshot"`: the column that a document's time of creation is taken from.
    pub creation_time: Option<FieldName>,
    /// Indexes of the sink's table.
    pub indexes: Vec<PlanIndex>,
    /// Choices for one column, by its name at the source.
    pub columns: BTreeMap<FieldName, ColumnConfig>,
    /// References of several columns, or to one of several tables, by the field they become.
    pub references: BTreeMap<FieldName, ReferenceConfig>,
    /// Fields that no column is, by their name at the sink.
    pub fields: BTreeMap<FieldName, FieldConfig>,
}

/// A reference that is not one column to one key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReferenceConfig {
    /// The referring columns, in the order of the key they refer to.
    pub columns: Vec<FieldName>,
    /// The table referred to: `orders`, or `orders(tenant_id, code)` for columns other than its key.
    pub to: Option<KeySpace>,
    /// For one of several tables: the column that says which.
    pub by: Option<FieldName>,
    /// For one of several tables: the table for each value of that column.
    #[serde(default)]
    pub when: BTreeMap<String, KeySpace>,
    /// What becomes of a row whose parent is not in the sink.
    pub on_missing: Option<MissingParent>,
}

/// A field that no column is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FieldConfig {
    /// Its type at the sink.
    #[serde(rename = "type")]
    pub field_type: ComputedType,
    /// The value that every document has.
    pub value: Option<serde_json::Value>,
    /// An expression over the row's columns, such as `first_name ~ " " ~ (last_name or "")` or `address.city`.
    pub expression: Option<String>,
    /// What the expression's null becomes.
    #[serde(default)]
    pub nulls: NullChoice,
}

/// The type of a field that no column is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ComputedType {
    /// `v.string()`
    String,
    /// `v.number()`
    Number,
    /// `v.int64()`
    Int64,
    /// `v.boolean()`
    Boolean,
    /// `v.any()`
    Any,
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
    /// the catalog cannot show. `users(email)` for a unique column that is not the key. Of an array, each element.
    pub references: Option<KeySpace>,
    /// What becomes of a row whose parent is not in the sink.
    pub on_missing: Option<MissingParent>,
    /// Texts that become other texts, for an enum or a text column: `{ "archived" = "closed" }`. With them, the field
    /// is one of the resulting texts, and a text that is neither mapped nor known is a reject.
    pub values: BTreeMap<String, String>,
    /// Dimensions of an array.
    #[schemars(range(min = 1, max = 6))]
    #[serde(deserialize_with = "one_to_six")]
    pub dimensions: Option<u8>,
    /// What becomes of NULL inside an array.
    pub null_elements: Option<NullElements>,
    /// What becomes of JSON whose objects have keys that Convex refuses.
    pub json_keys: Option<JsonKeys>,
    /// What becomes of a value that the type at the sink cannot hold.
    pub on_unfit: Option<Unfit>,
    /// Keep the column in a table of its own at the sink, of this name, with the id of the row's document: what would make
    /// documents too large. Columns with one name share a table.
    pub split_off: Option<String>,
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
    /// `v.number()`: milliseconds since 1970-01-01T00:00Z. A date or a time without a zone is taken as UTC.
    EpochMs,
    /// `v.array(v.number())`, of a vector.
    Numbers,
    /// A union of an enum's labels, or of the texts a check allows.
    Literals,
    /// `v.any()`.
    Any,
    /// `v.string()`: the JSON text of a JSON column.
    JsonText,
}
