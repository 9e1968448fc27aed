use std::collections::{BTreeMap, BTreeSet};

use super::naming::Naming;
use super::select::Selection;
use super::{Builder, PlanIssue, SinkNames};
use crate::catalog::{Column, ForeignKey, ScalarKind, TableSchema, TableState};
use crate::names::{FieldName, KeySpace, TableName};
use crate::plan::config::{ColumnConfig, MigrateConfig, NullChoice, ReferenceConfig, TableConfig};
use crate::plan::rules::labels_of;
use crate::plan::toml_error::suggest;
use crate::plan::{
    AdoptedTable, Conversion, FieldType, MissingParent, PlanField, PlanParent, PlanReference, PlanTable,
};

/// The tables that references may lead to, and how their rows are named.
pub(super) struct Parents<'a> {
    tables: BTreeMap<&'a TableName, Parent<'a>>,
    sinks: &'a SinkNames,
}

struct Parent<'a> {
    schema: &'a TableSchema,
    key: Vec<FieldName>,
    /// The natural key's columns, where the table is adopted.
    natural_key: Option<Vec<FieldName>>,
}

impl<'a> Parents<'a> {
    pub(super) fn of(config: &MigrateConfig, selection: &Selection<'a>, sinks: &'a SinkNames) -> Self {
        let parent = |schema: &&'a TableSchema| {
            let settings = config.tables.get(&schema.name);
            let key = settings
                .and_then(|settings| settings.key.clone())
                .unwrap_or_else(|| schema.row_key().fields().to_vec());
            let adopt = settings.and_then(|settings| settings.adopt.as_ref());
            (&schema.name, Parent { schema, key, natural_key: adopt.map(|adopt| adopt.key.clone()) })
        };
        Self { tables: selection.tables.iter().map(parent).collect(), sinks }
    }

    pub(super) fn sinks(&self) -> impl Iterator<Item = &TableName> {
        self.sinks.values()
    }

    pub(super) fn sink(&self, table: &TableName) -> Option<&TableName> {
        self.sinks.get(table)
    }

    fn names(&self) -> Vec<String> {
        self.tables.keys().map(ToString::to_string).collect()
    }
}

/// Why a reference stays a value.
enum Unfollowed {
    /// Said in a note, for a reference that the source shows.
    NotPlanned,
    /// Its columns name no row of the parent.
    NotUnique(String),
}

impl Builder<'_> {
    /// The reference that a column is: declared in the configuration, or shown by the source and followed by the plan.
    pub(super) fn column_reference(
        &mut self,
        schema: &TableSchema,
        column: &Column,
        choice: Option<&ColumnConfig>,
        parents: &Parents<'_>,
        is_key: bool,
    ) -> Option<PlanReference> {
        let reference = self.find_reference(schema, column, choice, parents, is_key)?;
        if choice.and_then(|choice| choice.nulls) == Some(NullChoice::Default) {
            self.issues.push(PlanIssue::new(
                &["tables", &schema.name.to_string(), "columns", column.name.as_str(), "nulls"],
                format!("{}.{} is a reference, which has no default", schema.name, column.name),
                "choose nulls = \"absent\", \"null\" or \"reject\"",
            ));
        }
        Some(reference)
    }

    fn find_reference(
        &mut self,
        schema: &TableSchema,
        column: &Column,
        choice: Option<&ColumnConfig>,
        parents: &Parents<'_>,
        is_key: bool,
    ) -> Option<PlanReference> {
        if choice.is_some_and(|choice| choice.field_type.is_some()) {
            return None;
        }
        let list = column.source_type.array;
        let nulls = choice.and_then(|choice| choice.nulls);
        let reject_null = column.nullable && nulls.unwrap_or(self.config.defaults.nulls) == NullChoice::Reject;
        let on_missing = choice.and_then(|choice| choice.on_missing).unwrap_or(self.config.defaults.on_missing);
        let path = |last: &'static str| {
            ["tables", &schema.name.to_string(), "columns", column.name.as_str(), last].map(str::to_owned)
        };
        if let Some(wanted) = choice.and_then(|choice| choice.references.as_ref()) {
            let to = self.declared(&path("references"), schema, wanted, 1, parents)?;
            return Some(PlanReference { list, on_missing, reject_null, ..PlanReference::by(to) });
        }
        // A key of one column has no field of its own.
        let stays = if is_key { "it is kept in the legacy id only" } else { "it stays a value" };
        let of_column = |foreign: &&ForeignKey| matches!(&*foreign.columns, [only] if *only == column.name);
        let mut followed: Option<KeySpace> = None;
        let mut left: Vec<String> = Vec::new();
        for foreign in schema.foreign_keys.iter().filter(of_column) {
            match (follow(&foreign.parent, &foreign.parent_columns, parents), &followed) {
                (Ok((to, _)), None) => followed = Some(to),
                (Ok((to, _)), Some(first)) if to != *first => left.push(format!("{to} as well")),
                (Ok(_), Some(_)) => {}
                (Err(Unfollowed::NotPlanned), _) => left.push(format!("{}, which is not in the plan", foreign.parent)),
                (Err(Unfollowed::NotUnique(reason)), _) => left.push(format!("{}, but {reason}", foreign.parent)),
            }
        }
        for other in left {
            let kept = followed.as_ref().map_or_else(|| stays.to_owned(), |to| format!("the field is the id of {to}"));
            self.notes.push(format!("{}.{} refers to {other}: {kept}", schema.name, column.name));
        }
        Some(PlanReference { on_missing, reject_null, ..PlanReference::by(followed?) })
    }

    /// Where a reference that the configuration declares leads to.
    fn declared(
        &mut self,
        path: &[String],
        schema: &TableSchema,
        wanted: &KeySpace,
        columns: usize,
        parents: &Parents<'_>,
    ) -> Option<KeySpace> {
        let issue = |message: String, remedy: String| PlanIssue { path: path.to_vec(), message, remedy: Some(remedy) };
        let place = path.get(3).map_or("", String::as_str);
        let Some(parent) = parents.tables.get(wanted.table()) else {
            let message = format!("{}.{place} refers to {}, which is not in the plan", schema.name, wanted.table());
            let remedy = if self.catalog.table(wanted.table()).is_some_and(|table| table.state != TableState::Missing) {
                format!("add {} to include, or adopt it", wanted.table())
            } else {
                suggest(&wanted.table().to_string(), &parents.names())
            };
            self.issues.push(issue(message, remedy));
            return None;
        };
        let named = if wanted.columns().is_empty() { parent.key.clone() } else { wanted.columns().to_vec() };
        let known = parent.schema.column_names();
        if let Some(unknown) = named.iter().find(|column| parent.schema.column(column.as_str()).is_none()) {
            let message = format!("{} has no column {unknown} to be referred to by", wanted.table());
            self.issues.push(issue(message, suggest(unknown.as_str(), &known)));
            return None;
        }
        if named.len() != columns {
            let plural = if columns == 1 { "column" } else { "columns" };
            let message = format!("{columns} {plural} cannot refer to {wanted}, whose key has {}", named.len());
            self.issues.push(issue(message, "name as many columns as the key has, in its order".to_owned()));
            return None;
        }
        match follow(wanted.table(), &named, parents) {
            Ok((to, _)) => Some(to),
            // What is declared may be unique without a constraint that says so.
            Err(Unfollowed::NotUnique(_)) if parent.natural_key.is_none() => {
                self.notes.push(format!(
                    "{}.{place} refers to {wanted}, which is not shown to be unique: of rows with one key the last one is \
                     referred to",
                    schema.name
                ));
                Some(KeySpace::by(wanted.table().clone(), &named))
            }
            Err(_) => {
                self.issues.push(issue(
                    format!("{} is adopted, and can be referred to by its key or its natural key only", wanted.table()),
                    "refer to its key".to_owned(),
                ));
                None
            }
        }
    }

    pub(super) fn reference_field(
        &mut self,
        name: FieldName,
        schema: &TableSchema,
        column: &Column,
        choice: &ColumnConfig,
        reference: PlanReference,
        parents: &Parents<'_>,
    ) -> PlanField {
        let nulls = choice.nulls.unwrap_or(self.config.defaults.nulls);
        if choice.nulls == Some(NullChoice::Default) {
            self.issues.push(PlanIssue::new(
                &["tables", &schema.name.to_string(), "columns", column.name.as_str(), "nulls"],
                format!("{}.{} is a reference, which has no default", schema.name, column.name),
                "choose nulls = \"absent\", \"null\" or \"reject\"",
            ));
        }
        let field = Referring {
            name,
            columns: vec![column],
            nulls,
            may_be_null: column.nullable,
            comment: column.comment.clone(),
        };
        let planned = planned(field, reference, parents);
        if column.nullable && !planned.optional && !planned.nullable {
            self.note_required(column, "a reject");
        }
        planned
    }

    /// References of several columns: those of the configuration, and those that the source shows.
    pub(super) fn wide_references(
        &mut self,
        schema: &TableSchema,
        settings: &TableConfig,
        parents: &Parents<'_>,
        naming: &mut Naming,
    ) -> Vec<PlanField> {
        let mut fields = Vec::new();
        for (name, choice) in &settings.references {
            fields.extend(self.configured_reference(schema, name, choice, parents));
        }
        // The configuration may name the columns in another order than the source.
        let configured: BTreeSet<BTreeSet<&FieldName>> =
            settings.references.values().map(|choice| choice.columns.iter().collect()).collect();
        for foreign in schema.foreign_keys.iter().filter(|foreign| foreign.columns.len() > 1) {
            if configured.contains(&foreign.columns.iter().collect()) {
                continue;
            }
            let columns: Vec<&Column> =
                foreign.columns.iter().filter_map(|column| schema.column(column.as_str())).collect();
            let listed: Vec<&str> = foreign.columns.iter().map(FieldName::as_str).collect();
            let (to, order) = match follow(&foreign.parent, &foreign.parent_columns, parents) {
                Ok(followed) if columns.len() == foreign.columns.len() => followed,
                Ok(_) => continue,
                Err(unfollowed) => {
                    let reason = match unfollowed {
                        Unfollowed::NotPlanned => format!("{} is not in the plan", foreign.parent),
                        Unfollowed::NotUnique(reason) => reason,
                    };
                    self.notes.push(format!("{}: ({}) stay values: {reason}", schema.name, listed.join(", ")));
                    continue;
                }
            };
            let columns: Vec<&Column> = order.into_iter().filter_map(|at| columns.get(at).copied()).collect();
            let reference = PlanReference {
                on_missing: self.config.defaults.on_missing,
                reject_null: self.config.defaults.nulls == NullChoice::Reject,
                ..PlanReference::by(to)
            };
            let wanted = self.reference_name(&reference, parents);
            let name = self.free_field(&wanted, naming);
            self.notes.push(format!("{}: the reference ({}) becomes the field {name}", schema.name, listed.join(", ")));
            let may_be_null = columns.iter().any(|column| column.nullable);
            let nulls = self.config.defaults.nulls;
            fields.push(planned(Referring { name, columns, nulls, may_be_null, comment: None }, reference, parents));
        }
        fields
    }

    fn configured_reference(
        &mut self,
        schema: &TableSchema,
        name: &FieldName,
        choice: &ReferenceConfig,
        parents: &Parents<'_>,
    ) -> Option<PlanField> {
        let path: Vec<String> =
            ["tables", &schema.name.to_string(), "references", name.as_str()].map(str::to_owned).to_vec();
        let below = |parts: &[&str]| -> Vec<String> {
            path.iter().cloned().chain(parts.iter().map(|&part| part.to_owned())).collect()
        };
        let known = schema.column_names();
        let mut columns: Vec<&Column> = Vec::new();
        let named = choice.columns.iter().map(|column| (column, below(&["columns", column.as_str()])));
        for (column, path) in named.chain(choice.by.iter().map(|column| (column, below(&["by"])))) {
            let Some(found) = schema.column(column.as_str()) else {
                self.issues.push(PlanIssue {
                    path,
                    message: format!("{} has no column {column}", schema.name),
                    remedy: Some(suggest(column.as_str(), &known)),
                });
                return None;
            };
            columns.push(found);
        }
        if choice.columns.is_empty() {
            self.issues.push(PlanIssue {
                path: below(&["columns"]),
                message: format!("the reference {name} of {} has no column", schema.name),
                remedy: Some("name the referring columns, in the order of the key they refer to".to_owned()),
            });
            return None;
        }
        let texts = choice.by.as_ref().and_then(|by| schema.column(by.as_str()));
        let texts = texts.and_then(|by| labels_of(schema, by, &BTreeMap::new()));
        for text in choice.when.keys() {
            if let Some(texts) = texts.as_ref().filter(|texts| !texts.contains(text)) {
                self.issues.push(PlanIssue {
                    path: below(&["when", text]),
                    message: format!("the reference {name} of {} is for {text:?}, which no row can have", schema.name),
                    remedy: Some(suggest(text, texts)),
                });
            }
        }
        let targets: Vec<(Option<String>, &KeySpace, Vec<String>)> = match (&choice.to, &choice.by) {
            (Some(to), None) if choice.when.is_empty() => vec![(None, to, below(&["to"]))],
            (None, Some(_)) if !choice.when.is_empty() => {
                choice.when.iter().map(|(value, to)| (Some(value.clone()), to, below(&["when", value]))).collect()
            }
            _ => {
                self.issues.push(PlanIssue {
                    path,
                    message: format!("the reference {name} of {} leads nowhere or to two places", schema.name),
                    remedy: Some("give it `to` for one table, or `by` and `when` for one of several".to_owned()),
                });
                return None;
            }
        };
        let mut to = Vec::with_capacity(targets.len());
        for (when, target, path) in targets {
            to.push(PlanParent { to: self.declared(&path, schema, target, choice.columns.len(), parents)?, when });
        }
        let reference = PlanReference {
            parents: to,
            discriminator: choice.by.clone(),
            list: false,
            on_missing: choice.on_missing.unwrap_or(self.config.defaults.on_missing),
            reject_null: self.config.defaults.nulls == NullChoice::Reject,
            cut: false,
        };
        let may_be_null = columns.iter().any(|column| column.nullable);
        let nulls = self.config.defaults.nulls;
        Some(planned(Referring { name: name.clone(), columns, nulls, may_be_null, comment: None }, reference, parents))
    }

    /// What a reference is called that no column gives its name: after its parent.
    pub(super) fn reference_name(&self, reference: &PlanReference, parents: &Parents<'_>) -> String {
        let parent = reference.tables().next().and_then(|table| parents.sink(table));
        self.config.defaults.field_names.apply(&format!("{}_ref", parent.map_or("parent", TableName::name)))
    }
}

/// A reference's field before its type is known.
struct Referring<'a> {
    name: FieldName,
    columns: Vec<&'a Column>,
    nulls: NullChoice,
    may_be_null: bool,
    comment: Option<String>,
}

fn planned(field: Referring<'_>, reference: PlanReference, parents: &Parents<'_>) -> PlanField {
    let Referring { name, columns, nulls, may_be_null, comment } = field;
    let mut kinds: Vec<FieldType> = Vec::new();
    for sink in reference.tables().filter_map(|table| parents.sink(table)) {
        let kind = FieldType::Id(sink.clone());
        if !kinds.contains(&kind) {
            kinds.push(kind);
        }
    }
    let one = if kinds.len() == 1 { kinds.swap_remove(0) } else { FieldType::Union(kinds) };
    let leads_to: Vec<String> = reference.parents.iter().map(|parent| parent.to.to_string()).collect();
    let drops_field = reference.on_missing == MissingParent::Null && !reference.list;
    let may_lack = may_be_null || drops_field;
    let nullable = may_lack && nulls == NullChoice::Null;
    let required = reference.reject_null && !drops_field;
    PlanField {
        field: name,
        source_type: columns.first().map_or_else(
            || crate::catalog::SourceType::new("", ScalarKind::Other),
            |column| column.source_type.clone(),
        ),
        columns: columns.into_iter().map(|column| column.name.clone()).collect(),
        field_type: if reference.list { FieldType::Array(Box::new(one)) } else { one },
        optional: may_lack && !nullable && !required,
        nullable,
        rule: format!("references {}", leads_to.join(" or ")),
        conversion: Conversion::Reference(reference),
        comment,
    }
}

/// Where a reference to some columns of a table leads, and in which order its own columns name the parent.
fn follow(
    table: &TableName,
    columns: &[FieldName],
    parents: &Parents<'_>,
) -> Result<(KeySpace, Vec<usize>), Unfollowed> {
    let parent = parents.tables.get(table).ok_or(Unfollowed::NotPlanned)?;
    let in_order_of = |key: &[FieldName]| -> Option<Vec<usize>> {
        let order: Option<Vec<usize>> =
            key.iter().map(|wanted| columns.iter().position(|column| column == wanted)).collect();
        order.filter(|order| order.len() == columns.len())
    };
    if let Some(order) = in_order_of(&parent.key) {
        return Ok((KeySpace::primary(table.clone()), order));
    }
    let as_given = || (0..columns.len()).collect();
    match &parent.natural_key {
        None if parent.schema.is_unique(columns) || parent.schema.unique_keys.is_none() => {
            Ok((KeySpace::by(table.clone(), columns), as_given()))
        }
        None => Err(Unfollowed::NotUnique(format!("it refers to columns of {table} that are not unique"))),
        Some(natural) => {
            let is_text = |column: &FieldName| {
                parent.schema.column(column.as_str()).is_some_and(|column| {
                    !column.source_type.array
                        && matches!(column.source_type.scalar, ScalarKind::Text | ScalarKind::Uuid)
                })
            };
            match in_order_of(natural) {
                Some(order) if natural.iter().all(is_text) => Ok((KeySpace::by(table.clone(), natural), order)),
                _ => Err(Unfollowed::NotUnique(format!(
                    "{table} is adopted, and it refers to columns that are neither its key nor its natural key"
                ))),
            }
        }
    }
}

/// Tells each table by which other columns its rows are referred to.
pub(super) fn collect_alternate_keys(tables: &mut [PlanTable], adopted: &[AdoptedTable]) {
    let mut wanted: BTreeMap<TableName, BTreeSet<Vec<FieldName>>> = BTreeMap::new();
    let fields = tables.iter().flat_map(|table| &table.fields);
    for field in fields.chain(adopted.iter().flat_map(|table| &table.natural_key)) {
        let Conversion::Reference(reference) = &field.conversion else { continue };
        for parent in reference.parents.iter().filter(|parent| !parent.to.columns().is_empty()) {
            wanted.entry(parent.to.table().clone()).or_default().insert(parent.to.columns().to_vec());
        }
    }
    for table in tables {
        table.alternate_keys = wanted.remove(&table.source).into_iter().flatten().collect();
    }
}
