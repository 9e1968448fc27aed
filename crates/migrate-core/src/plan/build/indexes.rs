use super::{Builder, PlanIssue};
use crate::catalog::{Generation, OnDelete, ScalarKind, TableSchema};
use crate::names::FieldName;
use crate::plan::config::{IndexChoice, TableConfig};
use crate::plan::toml_error::suggest;
use crate::plan::{Cast, Conversion, FieldType, PlanField, PlanIndex};

impl Builder<'_> {
    /// The configured indexes, then the source's own unique keys and btree indexes as far as the sink has room. One for
    /// each reference is the generator's matter, and room is left for it.
    pub(super) fn indexes(
        &mut self,
        schema: &TableSchema,
        settings: &TableConfig,
        fields: &[PlanField],
    ) -> Vec<PlanIndex> {
        let mut indexes = self.given_indexes(schema, settings, fields);
        if self.config.defaults.indexes == IndexChoice::References {
            return indexes;
        }
        let references = fields.iter().filter(|field| matches!(field.field_type, FieldType::Id(_))).count();
        let room = self.rules.indexes.saturating_sub(references + 1);
        let uniques = schema.unique_keys.iter().flatten();
        let others =
            schema.indexes.iter().flatten().filter(|index| index.method == "btree").map(|index| &index.columns);
        for columns in uniques.chain(others) {
            let of_column = |column: &FieldName| {
                fields.iter().find(|field| !field.is_cut() && matches!(&*field.columns, [only] if only == column))
            };
            let found: Option<Vec<FieldName>> =
                columns.iter().map(|column| of_column(column).map(|field| field.field.clone())).collect();
            let listed = || columns.iter().map(FieldName::as_str).collect::<Vec<_>>().join(", ");
            // The key is the legacy id, which has an index of its own.
            let Some(found) = found else { continue };
            let has_same = indexes.iter().any(|index| index.fields == found);
            if has_same || found.is_empty() {
                continue;
            }
            if found.len() > self.rules.index_fields || indexes.len() >= room {
                self.notes.push(format!("{}: no index on ({}): the sink has no room for it", schema.name, listed()));
                continue;
            }
            let taken = indexes.iter().map(|index| index.name.clone()).collect();
            let joined: Vec<&str> = found.iter().map(FieldName::as_str).collect();
            let name = self.rules.mend(&format!("by_{}", joined.join("_")), "by", self.rules.reserved_indexes, &taken);
            indexes.push(PlanIndex { name, fields: found });
        }
        indexes
    }

    /// The configured indexes.
    pub(super) fn given_indexes(
        &mut self,
        schema: &TableSchema,
        settings: &TableConfig,
        fields: &[PlanField],
    ) -> Vec<PlanIndex> {
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
        settings.indexes.clone()
    }
}

/// What the source enforces and the sink does not, as far as the catalog shows it.
pub(super) fn not_enforced(schema: &TableSchema, fields: &[PlanField]) -> Vec<String> {
    let list = |columns: &[FieldName]| columns.iter().map(FieldName::as_str).collect::<Vec<_>>().join(", ");
    let mut unenforced: Vec<String> =
        schema.unique_keys.iter().flatten().map(|key| format!("unique ({})", list(key))).collect();
    let becomes_literals = |column: &FieldName| {
        fields.iter().any(|field| {
            field.columns.contains(column) && matches!(field.conversion, Conversion::Value { cast: Cast::Literal, .. })
        })
    };
    for check in schema.checks.iter().flatten() {
        if !check.one_of.as_ref().is_some_and(|one_of| becomes_literals(&one_of.column)) {
            unenforced.push(format!("{}: {}", check.name, check.definition));
        }
    }
    for foreign in &schema.foreign_keys {
        let action = match foreign.on_delete {
            Some(OnDelete::Cascade) => "deletes the row",
            Some(OnDelete::SetNull) => "sets NULL",
            Some(OnDelete::SetDefault) => "sets the default",
            Some(OnDelete::Restrict) => "is refused",
            None => continue,
        };
        unenforced.push(format!("({}): deleting its row of {} {action}", list(&foreign.columns), foreign.parent));
    }
    for column in &schema.columns {
        let default = column.default_expression.clone().or(column.default.as_ref().map(ToString::to_string));
        match (column.generation, default) {
            (Some(Generation::Stored), Some(expression)) => {
                unenforced.push(format!("{} is always {expression}", column.name));
            }
            (Some(Generation::Sequence), _) => unenforced.push(format!("{} is numbered by a sequence", column.name)),
            (_, Some(default)) => unenforced.push(format!("{} defaults to {default}", column.name)),
            (_, None) => {}
        }
    }
    unenforced
}

/// Suggestions for indexes of the source that a plain index does not replace.
pub(super) fn hints(schema: &TableSchema, fields: &[PlanField]) -> Vec<String> {
    let mut hints = Vec::new();
    let field_of = |column: &FieldName| fields.iter().find(|field| field.columns.contains(column));
    for index in schema.indexes.iter().flatten().filter(|index| index.method != "btree") {
        for field in index.columns.iter().filter_map(field_of) {
            let name = &field.field;
            hints.push(match (field.source_type.scalar, &field.field_type) {
                (ScalarKind::Vector, _) => {
                    let size = dimensions(&field.source_type.name);
                    format!(".vectorIndex(\"by_{name}\", {{ vectorField: \"{name}\", dimensions: {size} }})")
                }
                (ScalarKind::Text | ScalarKind::Search, FieldType::String) => {
                    format!(".searchIndex(\"search_{name}\", {{ searchField: \"{name}\" }})")
                }
                _ => format!("{} ({}) on {name} has no counterpart", index.name, index.method),
            });
        }
    }
    hints
}

/// The dimensions that `vector(3)` names.
fn dimensions(type_name: &str) -> String {
    let inner = type_name.split_once('(').and_then(|(_, rest)| rest.split_once(')'));
    inner.map_or_else(|| "/* of the vectors */".to_owned(), |(size, _)| size.to_owned())
}
