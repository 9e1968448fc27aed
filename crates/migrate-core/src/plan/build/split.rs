use std::collections::{BTreeMap, BTreeSet};

use heck::ToUpperCamelCase as _;

use super::references::Parents;
use super::{Builder, PlanIssue};
use crate::catalog::TableSchema;
use crate::names::{DEFAULT_SCHEMA, FieldName, TableName};
use crate::plan::config::TableConfig;
use crate::plan::{Conversion, FieldType, MissingParent, PlanField, PlanReference, PlanTable};

impl Builder<'_> {
    /// Takes the columns out of a table that are kept in tables of their own, and plans those: each has the id of the
    /// row's document beside its columns. A row without a document, and one without any of the values, has no part.
    pub(super) fn split_off(
        &mut self,
        schema: &TableSchema,
        settings: &TableConfig,
        mut table: PlanTable,
        parents: &Parents<'_>,
    ) -> (PlanTable, Vec<PlanTable>) {
        let mut wanted: BTreeMap<&String, Vec<PlanField>> = BTreeMap::new();
        for (column, choice) in &settings.columns {
            let Some(name) = &choice.split_off else { continue };
            let is_of_column = |field: &PlanField| matches!(&*field.columns, [only] if only == column);
            let found = table.fields.iter().position(is_of_column);
            let mut refuse = |reason: &str| {
                self.issues.push(PlanIssue::new(
                    &["tables", &schema.name.to_string(), "columns", column.as_str(), "split_off"],
                    format!("{}.{column} cannot be split off: {reason}", schema.name),
                    "split off columns of values that are large",
                ));
            };
            match found.and_then(|at| table.fields.get(at)) {
                _ if table.key.contains(column) => refuse("it is part of the key"),
                None => refuse("it becomes no field"),
                Some(field) if field.reference().is_some() => refuse("it is a reference"),
                Some(field) if table.indexes.iter().any(|index| index.fields.contains(&field.field)) => {
                    refuse("an index is over it");
                }
                Some(field) => {
                    wanted.entry(name).or_default().push(field.clone());
                    table.fields.retain(|field| !is_of_column(field));
                }
            }
        }
        let parts = wanted.into_iter().filter_map(|(name, fields)| self.part(&table, name, fields, parents)).collect();
        (table, parts)
    }

    fn part(
        &mut self,
        table: &PlanTable,
        name: &str,
        mut fields: Vec<PlanField>,
        parents: &Parents<'_>,
    ) -> Option<PlanTable> {
        let exported = name.to_upper_camel_case();
        let is_taken = parents.sinks().any(|other| other.name().to_upper_camel_case() == exported)
            || !self.part_names.insert(exported);
        let fault = self.rules.fault(name, self.rules.reserved_tables);
        if let Some(reason) = fault.or(is_taken.then(|| "another table has it at the sink".to_owned())) {
            self.issues.push(PlanIssue::new(
                &["tables", &table.source.to_string(), "columns"],
                format!("columns of {} cannot be split off into {name}: {reason}", table.source),
                "give split_off another name",
            ));
            return None;
        }
        let reference = PlanReference { on_missing: MissingParent::Skip, ..PlanReference::to(table.source.clone()) };
        let taken: BTreeSet<String> = fields
            .iter()
            .map(|field| field.field.to_string())
            .chain([self.config.convex.legacy_id_field.to_string()])
            .collect();
        let link =
            self.rules.mend(&self.reference_name(&reference, parents), "field", self.rules.reserved_fields, &taken);
        let columns: Vec<&str> = fields.iter().flat_map(|field| &field.columns).map(FieldName::as_str).collect();
        self.notes.push(format!("{}: {} are split off into {name}", table.source, columns.join(", ")));
        fields.insert(
            0,
            PlanField {
                field: FieldName::from(link.as_str()),
                columns: table.key.clone(),
                source_type: fields.first()?.source_type.clone(),
                field_type: FieldType::Id(table.sink.clone()),
                optional: false,
                nullable: false,
                conversion: Conversion::Reference(reference),
                rule: format!("the document that the rest of the row of {} became", table.source),
                comment: None,
            },
        );
        Some(PlanTable {
            source: TableName::new(table.source.schema(), &format!("{}+{name}", table.source.name())).ok()?,
            sink: TableName::new(DEFAULT_SCHEMA, name).ok()?,
            level: 0,
            key: table.key.clone(),
            fields,
            indexes: Vec::new(),
            part_of: Some(table.source.clone()),
            filter: table.filter.clone(),
            creation_time: None,
            alternate_keys: Vec::new(),
            dropped: Vec::new(),
            not_enforced: Vec::new(),
            index_hints: Vec::new(),
            comment: None,
        })
    }
}
