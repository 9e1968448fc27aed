//! What a run will do, decided beforehand: validated, ordered, fingerprinted.

mod build;
mod config;
mod coverage;
mod fingerprint;
mod identity;
mod order;
mod rules;
mod secret_words;
mod sink_rules;
mod toml_error;
mod write_rate;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use build::{PlanIssue, build_plan};
pub(crate) use build::{fits as is_of_type, pattern};
pub(crate) use config::is_pattern;
pub use config::{
    Access, AdoptConfig, ColumnConfig, ComputedType, ConvexConfig, Defaults, FieldConfig, IndexChoice, JsonKeys,
    MigrateConfig, NameStyle, NullChoice, NullElements, ReferenceConfig, RunConfig, SupabaseConfig, TableConfig,
    TypeChoice, TypeRule, table_entry,
};
pub use coverage::{ColumnFate, column_fate, coverage, explain};
pub use identity::PlanIdentity;
pub use rules::{CAST_RULES, CastRule, Condition, Target};
pub use sink_rules::SinkRules;
pub use toml_error::{ConfigError, read_config, suggest};
pub use write_rate::{InvalidWriteRate, WriteRate};

use crate::catalog::{SourceType, TableState};
use crate::names::{FieldName, KeySpace, TableName};

/// Version of the plan file's format.
pub const PLAN_VERSION: u32 = 2;

/// What a run will do. A file; a state is tied to its fingerprint.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// Format version of this file.
    pub version: u32,
    /// SHA-256 of everything below, in hex.
    pub fingerprint: String,
    /// Digest of the source's schema that the plan was made for: [`crate::catalog::Catalog::digest`] of its tables.
    pub source_schema: String,
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
    /// Where the rows' keys are kept.
    #[serde(default)]
    pub legacy_ids: LegacyIds,
    /// Whether the functions can be called by whoever knows a secret, rather than with a deploy key.
    #[serde(default)]
    pub public_functions: bool,
    /// How documents get into the sink.
    #[serde(default, skip_serializing_if = "WriteMethod::is_default")]
    pub write: WriteMethod,
    /// With `snapshot`: what tells this migration's ids apart from another's into the same deployment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id_stream: Option<String>,
}

/// How documents get into the sink.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum WriteMethod {
    /// By the generated mutations, batch by batch: into a deployment in use, and again whenever rows changed.
    #[default]
    Mutations,
    /// As one file that is imported at once: all tables or none, with ids that are computed from the rows' keys.
    Snapshot,
}

impl WriteMethod {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// Where the rows' keys are kept at the sink.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LegacyIds {
    /// In a field of each document, which is removed afterwards.
    #[default]
    Field,
    /// In a table of their own, which is dropped afterwards: the application's documents never have such a field.
    SideTable,
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
    /// With `snapshot`: the document's time of creation; the time of the import where it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub creation_time: Option<PlanField>,
    /// The table it is read from, where that is another's: of columns that are split off, `source` only names the part.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub part_of: Option<TableName>,
    /// Which rows are read, in the source's own filter syntax; all where it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filter: Option<String>,
    /// Unique columns, beside the key, by which other tables refer to its rows.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub alternate_keys: Vec<Vec<FieldName>>,
    /// Columns that are left out because the configuration says so.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dropped: Vec<FieldName>,
    /// What the source enforces of the table and the sink does not, in words.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub not_enforced: Vec<String>,
    /// Indexes of the source that the sink has no plain index for, in words.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub index_hints: Vec<String>,
    /// The table's comment at the source.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
}

impl Plan {
    /// The tables it rests on: migrated ones, then adopted ones.
    pub fn source_tables(&self) -> impl Iterator<Item = &TableName> {
        let migrated = self.tables.iter().filter(|table| table.part_of.is_none()).map(|table| &table.source);
        migrated.chain(self.adopted.iter().map(|table| &table.source))
    }
}

impl PlanTable {
    /// The table at the source that its rows are read from.
    #[must_use]
    pub fn read_from(&self) -> &TableName {
        self.part_of.as_ref().unwrap_or(&self.source)
    }

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
    /// The source columns it is made of; several only for a composite reference and for a computed field.
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
    /// The column's comment at the source.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
}

impl PlanField {
    /// True when the second pass sets it.
    #[must_use]
    pub fn is_cut(&self) -> bool {
        self.reference().is_some_and(|reference| reference.cut)
    }

    /// The reference it is, if it is one.
    #[must_use]
    pub fn reference(&self) -> Option<&PlanReference> {
        match &self.conversion {
            Conversion::Reference(reference) => Some(reference),
            _ => None,
        }
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
    /// That, or null; only inside an array, whose elements may be NULL.
    Nullable(Box<FieldType>),
    /// One of several types: the ids of a reference to one of several tables.
    Union(Vec<FieldType>),
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
        /// Texts that become other texts before they are compared with the type's literals.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        values: BTreeMap<String, String>,
        /// What becomes of a value that the type cannot hold.
        #[serde(default, skip_serializing_if = "Unfit::is_default")]
        on_unfit: Unfit,
    },
    /// From the document that another row became.
    Reference(PlanReference),
    /// From an expression over the row's columns.
    Computed {
        /// The expression.
        expression: String,
        /// What NULL becomes.
        nulls: NullPolicy,
    },
    /// The same in every document.
    Constant(serde_json::Value),
}

/// What becomes of a value that the planned type cannot hold.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Unfit {
    /// The row is rejected.
    #[default]
    Reject,
    /// It is treated as NULL; counted.
    Null,
}

impl Unfit {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
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
    /// An instant becomes milliseconds since 1970-01-01T00:00Z; microseconds are cut off, counted. A date or a time
    /// without a zone is read as UTC.
    EpochMs,
    /// JSON becomes a value; its numbers become doubles, counted where that rounds.
    Json,
    /// As `json`, with the keys of objects that sinks refuse written in percent escapes, which can be undone.
    JsonEscaped,
    /// `[1,2.5]` as text becomes an array of doubles.
    Numbers,
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
    /// The parents: one, or for a reference to one of several tables one for each value of `discriminator`.
    pub parents: Vec<PlanParent>,
    /// The column that says which of several parents is meant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub discriminator: Option<FieldName>,
    /// True when the column is an array, of which each element refers to a row.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub list: bool,
    /// What is done where the parent is not in the sink.
    pub on_missing: MissingParent,
    /// True when a row that refers to nothing is rejected.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub reject_null: bool,
    /// True when the second pass sets it, because the parent may come later.
    pub cut: bool,
}

/// One table that a reference leads to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PlanParent {
    /// The parent's table at the source, with the columns it is referred to by.
    pub to: KeySpace,
    /// The discriminator's value that means this parent; none where there is no discriminator.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<String>,
}

impl PlanReference {
    /// A reference to one table's primary key.
    #[must_use]
    pub fn to(parent: TableName) -> Self {
        Self::by(KeySpace::primary(parent))
    }

    /// A reference to one table, by whichever of its keys.
    #[must_use]
    pub fn by(to: KeySpace) -> Self {
        Self {
            parents: vec![PlanParent { to, when: None }],
            discriminator: None,
            list: false,
            on_missing: MissingParent::default(),
            reject_null: false,
            cut: false,
        }
    }

    /// The tables it leads to.
    pub fn tables(&self) -> impl Iterator<Item = &TableName> {
        self.parents.iter().map(|parent| parent.to.table())
    }
}

/// What is done where a parent is not in the sink.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum MissingParent {
    /// The row is rejected.
    #[default]
    Reject,
    /// The field is left out (or null, where the field holds nulls); counted. Of a list, the element is left out.
    Null,
    /// The row is left out on purpose, and counted as skipped: what a row filter on the parent leaves out takes its
    /// children with it.
    Skip,
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
