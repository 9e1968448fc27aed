//! Makes a plan of a configuration for what a catalog shows.

mod computed;
mod creation_time;
mod fields;
mod indexes;
mod naming;
mod references;
mod select;
mod split;
mod types;

use std::collections::{BTreeMap, BTreeSet};

use super::config::{MigrateConfig, TableConfig};
use super::fingerprint::fingerprint;
use super::order::{UncuttableCycles, order};
use super::sink_rules::SinkRules;
use super::toml_error::suggest;
use super::{AdoptedTable, PLAN_VERSION, Plan, PlanTable, SinkPlan, WriteMethod};
use crate::catalog::{Catalog, RowKey, TableSchema};
use crate::names::{FieldName, TableName};

pub(crate) use fields::fits;
pub(crate) use select::pattern;

/// Something in configuration and catalog that no plan can be made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlanIssue {
    /// Keys of the configuration that lead to the place; a place that is not in the file is its nearest part.
    pub path: Vec<String>,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub remedy: Option<String>,
}

impl PlanIssue {
    fn new(path: &[&str], message: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            path: path.iter().map(|&part| part.to_owned()).collect(),
            message: message.into(),
            remedy: Some(remedy.into()),
        }
    }
}

/// Makes the plan of a configuration for what a catalog shows and a sink takes. Pure.
///
/// # Errors
/// Every issue that was found, not only the first.
pub fn build_plan(config: &MigrateConfig, catalog: &Catalog, rules: &SinkRules) -> Result<Plan, Vec<PlanIssue>> {
    let mut builder = Builder {
        config,
        catalog,
        rules,
        issues: Vec::new(),
        notes: Vec::new(),
        part_names: BTreeSet::new(),
        required: BTreeMap::new(),
    };
    builder.check_type_rules();
    builder.check_legacy_id_field();
    let selection = builder.select();
    let names = builder.name_tables(&selection);
    let parents = references::Parents::of(config, &selection, &names);
    let mut tables: Vec<PlanTable> = Vec::new();
    let mut adopted: Vec<AdoptedTable> = Vec::new();
    for schema in &selection.tables {
        let settings = config.tables.get(&schema.name).cloned().unwrap_or_default();
        if settings.adopt.is_some() {
            adopted.extend(builder.adopted_table(schema, &settings, &parents));
        } else if let Some(table) = builder.table(schema, &settings, &parents) {
            let (table, parts) = builder.split_off(schema, &settings, table, &parents);
            tables.push(table);
            tables.extend(parts);
        }
    }
    references::collect_alternate_keys(&mut tables, &adopted);
    match order(&mut tables, &adopted, config.convex.write) {
        Ok(cut) => builder.notes.extend(
            cut.into_iter()
                .map(|link| format!("{link} is part of a cycle: it is left out at first and set in a second pass")),
        ),
        Err(UncuttableCycles(cycles)) => {
            for cycle in cycles {
                let names: Vec<String> = cycle.iter().map(ToString::to_string).collect();
                let what = match &*names {
                    [only] => format!("the rows of {only} require each other"),
                    several => format!("the required references of {} form a cycle", several.join(", ")),
                };
                let remedy = match config.convex.write {
                    WriteMethod::Mutations => {
                        "plan on_missing = \"null\" for one of these references, which is then set in a second pass; or \
                         convex.write = \"snapshot\", which needs no order"
                    }
                    WriteMethod::Snapshot => {
                        "these references are to other columns than the key, whose ids are known once the rows are read: \
                         plan convex.write = \"mutations\""
                    }
                };
                builder.issues.push(PlanIssue::new(
                    &["tables", names.first().map_or("", String::as_str)],
                    what,
                    remedy,
                ));
            }
        }
    }
    if !builder.issues.is_empty() {
        return Err(builder.issues);
    }
    let mut plan = Plan {
        version: PLAN_VERSION,
        fingerprint: String::new(),
        source_schema: String::new(),
        sink: SinkPlan {
            functions: config.convex.functions.clone(),
            module: config.convex.module.clone(),
            legacy_id_field: config.convex.legacy_id_field.clone(),
            legacy_ids: config.convex.legacy_ids,
            public_functions: config.convex.public_functions,
            write: config.convex.write,
            id_stream: match config.convex.write {
                WriteMethod::Mutations => None,
                WriteMethod::Snapshot => Some(config.convex.id_stream.clone()),
            },
        },
        tables,
        adopted,
        absent: selection.absent,
        run: config.run.clone(),
        notes: builder.notes,
    };
    plan.source_schema = catalog.digest(plan.source_tables());
    plan.fingerprint = fingerprint(&plan)
        .map_err(|error| vec![PlanIssue { path: Vec::new(), message: error.to_string(), remedy: None }])?;
    Ok(plan)
}

struct Builder<'a> {
    config: &'a MigrateConfig,
    catalog: &'a Catalog,
    rules: &'a SinkRules,
    issues: Vec<PlanIssue>,
    notes: Vec<String>,
    /// Names of the functions of tables for columns that are split off.
    part_names: BTreeSet<String>,
    /// Columns of the table at hand that may be NULL and are required at the sink, by what NULL becomes.
    required: BTreeMap<&'static str, Vec<FieldName>>,
}

impl Builder<'_> {
    fn table(
        &mut self,
        schema: &TableSchema,
        settings: &TableConfig,
        parents: &references::Parents<'_>,
    ) -> Option<PlanTable> {
        let key = self.key(schema, settings)?;
        let fields = self.fields(schema, settings, parents, &key);
        let indexes = self.indexes(schema, settings, &fields);
        let dropped: Vec<FieldName> =
            settings.columns.iter().filter(|(_, choice)| choice.drop).map(|(column, _)| column.clone()).collect();
        Some(PlanTable {
            source: schema.name.clone(),
            sink: parents.sink(&schema.name)?.clone(),
            level: 0,
            creation_time: self.creation_time(schema, settings),
            key,
            not_enforced: indexes::not_enforced(schema, &dropped, &fields),
            index_hints: indexes::hints(schema, &fields),
            dropped,
            fields,
            indexes,
            part_of: None,
            filter: settings.filter.clone(),
            alternate_keys: Vec::new(),
            comment: schema.comment.clone(),
        })
    }

    fn adopted_table(
        &mut self,
        schema: &TableSchema,
        settings: &TableConfig,
        parents: &references::Parents<'_>,
    ) -> Option<AdoptedTable> {
        let adopt = settings.adopt.as_ref()?;
        let key = self.key(schema, settings)?;
        let fields = self.fields(schema, settings, parents, &key);
        let mut natural_key = Vec::new();
        for column in &adopt.key {
            if let Some(field) = fields.iter().find(|field| field.columns.contains(column)) {
                natural_key.push(field.clone());
            } else {
                let known = schema.column_names();
                self.issues.push(PlanIssue::new(
                    &["tables", &schema.name.to_string(), "adopt", "key", column.as_str()],
                    format!("{} has no column {column} for its natural key", schema.name),
                    suggest(column.as_str(), &known),
                ));
            }
        }
        if let Some(fault) = self.rules.fault(&adopt.index, self.rules.reserved_indexes) {
            self.issues.push(PlanIssue::new(
                &["tables", &schema.name.to_string(), "adopt", "index"],
                format!("the sink cannot have an index {:?}: {fault}", adopt.index),
                "name the index of the sink's table over the natural key",
            ));
        }
        if adopt.key.is_empty() {
            self.issues.push(PlanIssue::new(
                &["tables", &schema.name.to_string(), "adopt", "key"],
                format!("the natural key of {} has no column", schema.name),
                "name the columns of the sink's index, in its order",
            ));
        }
        Some(AdoptedTable {
            source: schema.name.clone(),
            sink: parents.sink(&schema.name)?.clone(),
            key,
            index: adopt.index.clone(),
            natural_key,
            indexes: self.given_indexes(schema, settings, &fields),
            fields,
        })
    }

    fn check_legacy_id_field(&mut self) {
        let name = &self.config.convex.legacy_id_field;
        if let Some(fault) = self.rules.fault(name.as_str(), self.rules.reserved_fields) {
            self.issues.push(PlanIssue::new(
                &["convex", "legacy_id_field"],
                format!("the field that keeps the row's key cannot be named {name:?}: {fault}", name = name.as_str()),
                "give it a name such as \"supabaseId\"",
            ));
        }
    }

    /// The columns that name a row.
    fn key(&mut self, schema: &TableSchema, settings: &TableConfig) -> Option<Vec<FieldName>> {
        let table = schema.name.to_string();
        let Some(given) = &settings.key else {
            let key = schema.row_key();
            if key.fields().is_empty() {
                self.issues.push(PlanIssue::new(
                    &["tables", &table],
                    format!("{table} shows no key, by which it could be read and written again"),
                    format!("name unique columns that are never NULL: key = [\"…\"]; or exclude = [\"{table}\"]"),
                ));
                return None;
            }
            if let RowKey::Place(_) = key {
                self.notes.push(format!(
                    "{table} has no unique key: its rows are named by their place in the table. Stop writing to it before the \
                     run: a row that is updated meanwhile gets another place, and may come twice or not at all"
                ));
            }
            return Some(key.fields().to_vec());
        };
        let known = schema.column_names();
        for column in given.iter().filter(|column| schema.column(column.as_str()).is_none()) {
            self.issues.push(PlanIssue::new(
                &["tables", &table, "key", column.as_str()],
                format!("{table} has no column {column} for its key"),
                suggest(column.as_str(), &known),
            ));
        }
        if given.is_empty() {
            self.issues.push(PlanIssue::new(
                &["tables", &table, "key"],
                format!("the key of {table} has no column"),
                "name unique columns that are never NULL",
            ));
            return None;
        }
        if !schema.is_unique(given) {
            let columns: Vec<&str> = given.iter().map(FieldName::as_str).collect();
            self.notes.push(format!(
                "{table} is read by ({}), which the source does not show to be unique: rows of one key become one document",
                columns.join(", ")
            ));
        }
        Some(given.clone())
    }
}

/// What a set of names at the source is called at the sink.
type SinkNames = BTreeMap<TableName, TableName>;
