use std::collections::BTreeSet;

use heck::ToLowerCamelCase as _;

use super::config::{ColumnConfig, MigrateConfig, NameStyle, NullChoice, TableConfig, TypeChoice};
use super::fingerprint::fingerprint;
use super::order::{UncuttableCycle, order};
use super::rules::{CAST_RULES, Target};
use super::toml_error::suggest;
use super::{
    AbsentTable, AdoptedTable, Cast, Conversion, FieldType, MissingParent, NullPolicy, PLAN_VERSION, Plan, PlanField,
    PlanReference, PlanTable, SinkPlan,
};
use crate::catalog::{Catalog, Column, ScalarKind, TableSchema, TableState};
use crate::names::{FieldName, TableName};

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

/// Makes the plan of a configuration for what a catalog shows. Pure.
///
/// # Errors
/// Every issue that was found, not only the first.
pub fn build_plan(config: &MigrateConfig, catalog: &Catalog) -> Result<Plan, Vec<PlanIssue>> {
    let mut builder = Builder { config, catalog, issues: Vec::new(), notes: Vec::new() };
    let selection = builder.select();
    let mut tables: Vec<PlanTable> = Vec::new();
    let mut adopted: Vec<AdoptedTable> = Vec::new();
    for schema in &selection.tables {
        let settings = config.tables.get(&schema.name).cloned().unwrap_or_default();
        if settings.adopt.is_some() {
            adopted.extend(builder.adopted_table(schema, &settings, &selection));
        } else {
            tables.extend(builder.table(schema, &settings, &selection));
        }
    }
    builder.check_sink_names(&tables, &adopted);
    match order(&mut tables) {
        Ok(cut) => builder.notes.extend(
            cut.into_iter()
                .map(|link| format!("{link} is part of a cycle: it is left out at first and set in a second pass")),
        ),
        Err(UncuttableCycle(names)) => {
            let names: Vec<String> = names.iter().map(ToString::to_string).collect();
            builder.issues.push(PlanIssue::new(
                &["tables", names.first().map_or("", String::as_str)],
                format!("the required references of {} form a cycle", names.join(", ")),
                "plan on_missing = \"null\" for one of them, or load them by a snapshot, where ids are known beforehand",
            ));
        }
    }
    if !builder.issues.is_empty() {
        return Err(builder.issues);
    }
    let mut plan = Plan {
        version: PLAN_VERSION,
        fingerprint: String::new(),
        sink: SinkPlan {
            functions: config.convex.functions.clone(),
            module: config.convex.module.clone(),
            legacy_id_field: config.convex.legacy_id_field.clone(),
        },
        tables,
        adopted,
        absent: selection.absent,
        run: config.run.clone(),
        notes: builder.notes,
    };
    plan.fingerprint = fingerprint(&plan)
        .map_err(|error| vec![PlanIssue { path: Vec::new(), message: error.to_string(), remedy: None }])?;
    Ok(plan)
}

struct Selection<'a> {
    tables: Vec<&'a TableSchema>,
    absent: Vec<AbsentTable>,
}

struct Builder<'a> {
    config: &'a MigrateConfig,
    catalog: &'a Catalog,
    issues: Vec<PlanIssue>,
    notes: Vec<String>,
}

impl<'a> Builder<'a> {
    /// The tables to plan for, and those that were asked for and cannot be read.
    fn select(&mut self) -> Selection<'a> {
        let mut wanted: BTreeSet<TableName> = match &self.config.include {
            Some(include) => include.iter().cloned().collect(),
            None => self.catalog.tables.iter().map(|table| table.name.clone()).collect(),
        };
        wanted.extend(self.config.tables.keys().cloned());
        for excluded in &self.config.exclude {
            if !wanted.remove(excluded) && self.catalog.table(excluded).is_none() {
                self.unknown_table(&["exclude", &excluded.to_string()], excluded);
            }
        }
        let mut selection = Selection { tables: Vec::new(), absent: Vec::new() };
        for name in wanted {
            let state = self.catalog.table(&name).map_or(TableState::Missing, |table| table.state);
            let allowed = self.config.tables.get(&name).is_some_and(|table| table.allow_missing);
            match (state, self.catalog.table(&name)) {
                (TableState::Present | TableState::Empty, Some(table)) => selection.tables.push(table),
                (TableState::Forbidden, _) => self.issues.push(PlanIssue::new(
                    &["tables", &name.to_string()],
                    format!("the key may not read {name}"),
                    format!(
                        "run: grant select on {}.{} to service_role; then migrate-discover",
                        name.schema(),
                        name.name()
                    ),
                )),
                _ if allowed => selection.absent.push(AbsentTable { table: name, state: TableState::Missing }),
                _ => {
                    let path = if self.config.tables.contains_key(&name) { "tables" } else { "include" };
                    self.unknown_table(&[path, &name.to_string()], &name);
                }
            }
        }
        // The catalog's own order, so that a plan does not change with the alphabet.
        let position = |name: &TableName| self.catalog.tables.iter().position(|table| table.name == *name);
        selection.tables.sort_by_key(|table| position(&table.name));
        selection
    }

    fn unknown_table(&mut self, path: &[&str], name: &TableName) {
        let readable = self.catalog.tables.iter().filter(|table| table.state != TableState::Missing);
        let known: Vec<String> = readable.map(|table| table.name.to_string()).collect();
        self.issues.push(PlanIssue::new(
            path,
            format!("the source has no table {name}"),
            format!("{} Where it may be absent: allow_missing = true", suggest(&name.to_string(), &known)),
        ));
    }

    fn table(&mut self, schema: &TableSchema, settings: &TableConfig, selection: &Selection<'_>) -> Option<PlanTable> {
        let key = self.key(schema)?;
        let fields = self.fields(schema, settings, selection, &key);
        let legacy = &self.config.convex.legacy_id_field;
        if let Some(clash) = fields.iter().find(|field| field.field == *legacy) {
            let column = clash.columns.first().map_or("", FieldName::as_str);
            self.issues.push(PlanIssue::new(
                &["tables", &schema.name.to_string(), "columns", column],
                format!("{}.{column} has the name of the legacy id field, {legacy}", schema.name),
                "give the column another name, or set convex.legacy_id_field",
            ));
        }
        self.check_indexes(schema, settings, &fields);
        Some(PlanTable {
            source: schema.name.clone(),
            sink: self.sink_name(schema, settings)?,
            level: 0,
            key,
            fields,
            indexes: settings.indexes.clone(),
        })
    }

    fn adopted_table(
        &mut self,
        schema: &TableSchema,
        settings: &TableConfig,
        selection: &Selection<'_>,
    ) -> Option<AdoptedTable> {
        let adopt = settings.adopt.as_ref()?;
        let key = self.key(schema)?;
        let fields = self.fields(schema, settings, selection, &key);
        let mut natural_key = Vec::new();
        for column in &adopt.key {
            if let Some(field) = fields.iter().find(|field| field.columns.contains(column)) {
                natural_key.push(field.clone());
            } else {
                let known: Vec<String> = schema.columns.iter().map(|column| column.name.to_string()).collect();
                self.issues.push(PlanIssue::new(
                    &["tables", &schema.name.to_string(), "adopt", "key"],
                    format!("{} has no column {column} for its natural key", schema.name),
                    suggest(column.as_str(), &known),
                ));
            }
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
            sink: self.sink_name(schema, settings)?,
            key,
            index: adopt.index.clone(),
            natural_key,
            fields,
            indexes: settings.indexes.clone(),
        })
    }

    fn key(&mut self, schema: &TableSchema) -> Option<Vec<FieldName>> {
        if schema.primary_key.is_empty() {
            self.issues.push(PlanIssue::new(
                &["tables", &schema.name.to_string()],
                format!("{} has no primary key, by which it could be read and written again", schema.name),
                format!("add one at the source, or leave it out: exclude = [\"{}\"]", schema.name),
            ));
            return None;
        }
        Some(schema.primary_key.clone())
    }

    fn sink_name(&mut self, schema: &TableSchema, settings: &TableConfig) -> Option<TableName> {
        let name = match (&settings.name, self.config.defaults.table_names) {
            (Some(name), _) => name.clone(),
            (None, NameStyle::Keep) => schema.name.name().to_owned(),
            (None, NameStyle::Camel) => schema.name.name().to_lower_camel_case(),
        };
        TableName::new(crate::names::DEFAULT_SCHEMA, &name)
            .inspect_err(|_| {
                self.issues.push(PlanIssue::new(
                    &["tables", &schema.name.to_string(), "name"],
                    format!("{} has an empty name at the sink", schema.name),
                    "give it a name",
                ));
            })
            .ok()
    }

    fn fields(
        &mut self,
        schema: &TableSchema,
        settings: &TableConfig,
        selection: &Selection<'_>,
        key: &[FieldName],
    ) -> Vec<PlanField> {
        let known: Vec<String> = schema.columns.iter().map(|column| column.name.to_string()).collect();
        for column in settings.columns.keys().filter(|column| schema.column(column.as_str()).is_none()) {
            self.issues.push(PlanIssue::new(
                &["tables", &schema.name.to_string(), "columns", column.as_str()],
                format!("{} has no column {column}", schema.name),
                suggest(column.as_str(), &known),
            ));
        }
        let mut fields: Vec<PlanField> = Vec::new();
        for column in &schema.columns {
            let choice = settings.columns.get(&column.name);
            // The only key column is the legacy id; it is a field of its own only where the configuration names it.
            let is_legacy_id = matches!(key, [only] if *only == column.name);
            if choice.is_some_and(|choice| choice.drop) || (is_legacy_id && choice.is_none()) {
                continue;
            }
            let choice = choice.cloned().unwrap_or_default();
            if let Some(field) = self.field(schema, column, &choice, selection) {
                if let Some(twin) = fields.iter().find(|twin| twin.field == field.field) {
                    let twin = twin.columns.first().map_or("", FieldName::as_str);
                    self.issues.push(PlanIssue::new(
                        &["tables", &schema.name.to_string(), "columns", column.name.as_str()],
                        format!("{}: {} and {twin} would both be the field {}", schema.name, column.name, field.field),
                        "give one of them another name",
                    ));
                }
                fields.push(field);
            }
        }
        fields
    }

    fn field(
        &mut self,
        schema: &TableSchema,
        column: &Column,
        choice: &ColumnConfig,
        selection: &Selection<'_>,
    ) -> Option<PlanField> {
        let field = FieldName::new(match (&choice.name, self.config.defaults.field_names) {
            (Some(name), _) => name.clone(),
            (None, NameStyle::Keep) => column.name.to_string(),
            (None, NameStyle::Camel) => column.name.as_str().to_lower_camel_case(),
        });
        let nulls = choice.nulls.unwrap_or(self.config.defaults.nulls);
        if choice.field_type.is_none()
            && let Some((reference, sink)) = self.reference(schema, column, choice, selection)
        {
            let may_lack = column.nullable || reference.on_missing == MissingParent::Null;
            let nullable = may_lack && nulls == NullChoice::Null;
            let required = matches!(nulls, NullChoice::Reject | NullChoice::Default)
                && reference.on_missing != MissingParent::Null;
            let rule = format!("references {}", reference.parent);
            return Some(PlanField {
                field,
                columns: vec![column.name.clone()],
                source_type: column.source_type.clone(),
                field_type: FieldType::Id(sink),
                optional: may_lack && !nullable && !required,
                nullable,
                conversion: Conversion::Reference(reference),
                rule,
            });
        }
        let (field_type, cast, rule) = self.type_of(schema, column, choice)?;
        let policy = match (column.nullable, nulls) {
            (false, _) | (true, NullChoice::Reject) => NullPolicy::Reject,
            (true, NullChoice::Absent) => NullPolicy::Absent,
            (true, NullChoice::Null) => NullPolicy::Null,
            (true, NullChoice::Default) => NullPolicy::Default(self.default(schema, column, choice, &field_type)?),
        };
        if column.nullable && matches!(policy, NullPolicy::Default(_) | NullPolicy::Reject) {
            let becomes = if policy == NullPolicy::Reject { "a reject" } else { "the default" };
            self.notes.push(format!(
                "{}.{} may be NULL and is required at the sink: NULL becomes {becomes}",
                schema.name, column.name
            ));
        }
        Some(PlanField {
            field,
            columns: vec![column.name.clone()],
            source_type: column.source_type.clone(),
            optional: policy == NullPolicy::Absent,
            nullable: policy == NullPolicy::Null,
            field_type,
            conversion: Conversion::Value { cast, nulls: policy },
            rule,
        })
    }

    /// The reference a column is, where its parent is in the plan, and the parent's table at the sink.
    fn reference(
        &mut self,
        schema: &TableSchema,
        column: &Column,
        choice: &ColumnConfig,
        selection: &Selection<'_>,
    ) -> Option<(PlanReference, TableName)> {
        let foreign_key =
            schema.foreign_keys.iter().find(|foreign| matches!(&*foreign.columns, [only] if *only == column.name));
        let wanted = choice.references.as_ref().or(foreign_key.map(|foreign| &foreign.parent))?;
        let Some(parent) = selection.tables.iter().find(|table| table.name == *wanted) else {
            if choice.references.is_some() {
                let known: Vec<String> = selection.tables.iter().map(|table| table.name.to_string()).collect();
                self.issues.push(PlanIssue::new(
                    &["tables", &schema.name.to_string(), "columns", column.name.as_str(), "references"],
                    format!("{}.{} refers to {wanted}, which is not in the plan", schema.name, column.name),
                    suggest(&wanted.to_string(), &known),
                ));
            } else {
                self.notes.push(format!(
                    "{}.{} refers to {wanted}, which is not in the plan: it stays text",
                    schema.name, column.name
                ));
            }
            return None;
        };
        // A reference that is declared is to the key; one that the source shows names its column.
        let is_to_key = match (choice.references.as_ref(), foreign_key) {
            (Some(_), _) => parent.primary_key.len() == 1,
            (None, foreign) => foreign.is_some_and(|foreign| foreign.parent_columns == parent.primary_key),
        };
        if !is_to_key {
            self.notes.push(format!(
                "{}.{} does not refer to the one key column of {}: it stays text",
                schema.name, column.name, parent.name
            ));
            return None;
        }
        let settings = self.config.tables.get(&parent.name).cloned().unwrap_or_default();
        let sink = self.sink_name(parent, &settings)?;
        let on_missing = choice.on_missing.unwrap_or(self.config.defaults.on_missing);
        Some((PlanReference { parent: parent.name.clone(), on_missing, cut: false }, sink))
    }

    fn type_of(
        &mut self,
        schema: &TableSchema,
        column: &Column,
        choice: &ColumnConfig,
    ) -> Option<(FieldType, Cast, String)> {
        let source = &column.source_type;
        let chosen = match choice.field_type {
            None => CAST_RULES
                .iter()
                .find(|rule| rule.scalar == source.scalar)
                .map(|rule| (rule.target, rule.cast, format!("{}: {}", source.name, rule.why))),
            Some(kind) => chosen_type(kind, source.scalar, source.array)
                .map(|(target, cast)| (target, cast, "chosen in the configuration".to_owned())),
        };
        let Some((target, cast, rule)) = chosen else {
            self.issues.push(PlanIssue::new(
                &["tables", &schema.name.to_string(), "columns", column.name.as_str(), "type"],
                format!("{}.{} is {} and cannot be made of that type", schema.name, column.name, source.name),
                "leave out `type` for the exact mapping, or choose \"string\"",
            ));
            return None;
        };
        let scalar = target.field_type(&source.labels);
        let is_array = source.array && target != Target::Any;
        Some((if is_array { FieldType::Array(Box::new(scalar)) } else { scalar }, cast, rule))
    }

    fn default(
        &mut self,
        schema: &TableSchema,
        column: &Column,
        choice: &ColumnConfig,
        field_type: &FieldType,
    ) -> Option<serde_json::Value> {
        let own = column.default.as_ref().map(|default| source_default(default, field_type));
        let place = ["tables", &schema.name.to_string(), "columns", column.name.as_str()].map(str::to_owned);
        let Some(default) = choice.default.clone().or(own) else {
            self.issues.push(PlanIssue {
                path: place.to_vec(),
                message: format!("{}.{} has no constant default at the source", schema.name, column.name),
                remedy: Some("give one: default = …, or choose nulls = \"absent\"".to_owned()),
            });
            return None;
        };
        if !fits(&default, field_type) {
            self.issues.push(PlanIssue {
                path: place.to_vec(),
                message: format!("the default of {}.{} is not of its type at the sink", schema.name, column.name),
                remedy: Some("give one that is: default = …".to_owned()),
            });
            return None;
        }
        Some(default)
    }

    fn check_indexes(&mut self, schema: &TableSchema, settings: &TableConfig, fields: &[PlanField]) {
        let known: Vec<String> = fields.iter().map(|field| field.field.to_string()).collect();
        for index in &settings.indexes {
            for field in index.fields.iter().filter(|field| !known.contains(&field.to_string())) {
                self.issues.push(PlanIssue::new(
                    &["tables", &schema.name.to_string(), "indexes"],
                    format!("the index {} of {} has no field {field}", index.name, schema.name),
                    suggest(field.as_str(), &known),
                ));
            }
        }
    }

    fn check_sink_names(&mut self, tables: &[PlanTable], adopted: &[AdoptedTable]) {
        let mut names = BTreeSet::new();
        let all = tables.iter().map(|table| (&table.source, &table.sink));
        for (source, sink) in all.chain(adopted.iter().map(|table| (&table.source, &table.sink))) {
            if !names.insert(sink) {
                self.issues.push(PlanIssue::new(
                    &["tables", &source.to_string(), "name"],
                    format!("two tables would both be {sink} at the sink"),
                    "give one of them another name",
                ));
            }
        }
    }
}

fn chosen_type(kind: TypeChoice, scalar: ScalarKind, array: bool) -> Option<(Target, Cast)> {
    use ScalarKind as S;
    match (kind, scalar) {
        (TypeChoice::String | TypeChoice::JsonText, S::Json) => Some((Target::String, Cast::JsonText)),
        (TypeChoice::String, S::Bytes) if array => None,
        (TypeChoice::String, _) => Some((Target::String, Cast::Text)),
        (TypeChoice::Number, S::Int4 | S::Int8 | S::Float8 | S::Numeric) => Some((Target::Number, Cast::Number)),
        (TypeChoice::Int64, S::Int4 | S::Int8) => Some((Target::Int64, Cast::Int64)),
        (TypeChoice::EpochMs, S::TimestampTz) => Some((Target::Number, Cast::EpochMs)),
        (TypeChoice::Any, S::Json | S::Other) => Some((Target::Any, Cast::Json)),
        _ => None,
    }
}

/// A default as the catalog gives it, in the sink's type: the source writes arrays and JSON as text.
fn source_default(default: &serde_json::Value, field_type: &FieldType) -> serde_json::Value {
    match (default.as_str(), field_type) {
        (Some("{}"), FieldType::Array(_)) => serde_json::Value::Array(Vec::new()),
        (Some(text), FieldType::Any) => serde_json::from_str(text).unwrap_or_else(|_| default.clone()),
        _ => default.clone(),
    }
}

fn fits(value: &serde_json::Value, field_type: &FieldType) -> bool {
    match field_type {
        FieldType::String => value.is_string(),
        FieldType::Number => value.is_number(),
        FieldType::Int64 => value.is_i64(),
        FieldType::Boolean => value.is_boolean(),
        FieldType::Any => true,
        FieldType::Bytes | FieldType::Id(_) => false,
        FieldType::Array(inner) => value.as_array().is_some_and(|items| items.iter().all(|item| fits(item, inner))),
        FieldType::Literals(labels) => value.as_str().is_some_and(|text| labels.iter().any(|label| label == text)),
    }
}
