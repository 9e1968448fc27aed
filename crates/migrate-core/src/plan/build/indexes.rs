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
            schema.indexes.iter().flatten().filter(|index| is_plain(&index.method)).map(|index| &index.columns);
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
            let (fields, most) = (found.len(), self.rules.index_fields);
            let fault = if fields > most {
                format!("it has {fields} fields, and the sink takes {most}")
            } else if indexes.len() >= room {
                format!("the sink takes {} on a table, those of references included", self.rules.indexes)
            } else {
                String::new()
            };
            if !fault.is_empty() {
                self.notes.push(format!("{}: no index on ({}): {fault}", schema.name, listed()));
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
        let table = schema.name.to_string();
        let mut known: Vec<String> = fields.iter().map(|field| field.field.to_string()).collect();
        known.push(self.config.convex.legacy_id_field.to_string());
        let mut issue = |position: usize, rest: &[&str], message: String, remedy: String| {
            let position = position.to_string();
            let path = [&["tables", table.as_str(), "indexes", position.as_str()], rest].concat();
            self.issues.push(PlanIssue::new(&path, message, remedy));
        };
        for (position, index) in settings.indexes.iter().enumerate() {
            let called = format!("the index {:?} of {table}", index.name);
            let before = settings.indexes.get(..position).unwrap_or_default();
            if let Some(fault) = self.rules.fault(&index.name, self.rules.reserved_indexes) {
                issue(
                    position,
                    &["name"],
                    format!("{called} cannot have that name: {fault}"),
                    "give it another name".to_owned(),
                );
            }
            if let Some(other) = before.iter().find(|other| other.name == index.name || other.fields == index.fields) {
                let message = format!("{called} has the name or the fields of another: {:?}", other.name);
                issue(position, &["name"], message, "leave out one of the two".to_owned());
            }
            if index.fields.is_empty() || index.fields.len() > self.rules.index_fields {
                let message = format!("{called} has {} fields", index.fields.len());
                issue(position, &["fields"], message, format!("name 1 to {} fields", self.rules.index_fields));
            }
            for (at, field) in index.fields.iter().enumerate() {
                if !known.contains(&field.to_string()) {
                    let message = format!("{called} has no field {field}");
                    issue(position, &["fields", field.as_str()], message, suggest(field.as_str(), &known));
                } else if index.fields.get(..at).is_some_and(|before| before.contains(field)) {
                    let message = format!("{called} has the field {field} twice");
                    issue(position, &["fields", field.as_str()], message, "name it once".to_owned());
                }
            }
        }
        // One is the legacy id's.
        if settings.indexes.len() >= self.rules.indexes {
            let message = format!("{table} has {} indexes", settings.indexes.len());
            let remedy = format!("name {} at most", self.rules.indexes.saturating_sub(1));
            issue(self.rules.indexes.saturating_sub(1), &[], message, remedy);
        }
        settings.indexes.clone()
    }
}

/// Whether a method's lookups are those of a plain index.
fn is_plain(method: &str) -> bool {
    matches!(method, "btree" | "hash" | "brin")
}

/// What the source enforces and the sink does not, as far as the catalog shows it.
pub(super) fn not_enforced(schema: &TableSchema, dropped: &[FieldName], fields: &[PlanField]) -> Vec<String> {
    let list = |columns: &[FieldName]| columns.iter().map(FieldName::as_str).collect::<Vec<_>>().join(", ");
    let is_kept = |columns: &[FieldName]| !columns.iter().any(|column| dropped.contains(column));
    let uniques = schema.unique_keys.iter().flatten().filter(|key| is_kept(key));
    let mut unenforced: Vec<String> = uniques.map(|key| format!("unique ({})", list(key))).collect();
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
    for foreign in schema.foreign_keys.iter().filter(|foreign| is_kept(&foreign.columns)) {
        let action = match foreign.on_delete {
            Some(OnDelete::Cascade) => "deletes the row",
            Some(OnDelete::SetNull) => "sets NULL",
            Some(OnDelete::SetDefault) => "sets the default",
            Some(OnDelete::Restrict) => "is refused",
            None => continue,
        };
        unenforced.push(format!("({}): deleting its row of {} {action}", list(&foreign.columns), foreign.parent));
    }
    for column in schema.columns.iter().filter(|column| !dropped.contains(&column.name)) {
        let constant = column.default.as_ref().map(|default| match default.as_str() {
            Some(json) if column.source_type.scalar == ScalarKind::Json => json.to_owned(),
            _ => default.to_string(),
        });
        let default = column.default_expression.clone().or(constant);
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
    let mut hints: Vec<String> = Vec::new();
    let field_of = |column: &FieldName| fields.iter().find(|field| field.columns.contains(column));
    for index in schema.indexes.iter().flatten().filter(|index| !is_plain(&index.method)) {
        for field in index.columns.iter().filter_map(field_of) {
            let name = &field.field;
            let hint = match (field.source_type.scalar, &field.field_type) {
                (ScalarKind::Vector, _) => {
                    let size = dimensions(&field.source_type.name);
                    format!(".vectorIndex(\"by_{name}\", {{ vectorField: \"{name}\", dimensions: {size} }})")
                }
                (ScalarKind::Text, FieldType::String) => {
                    format!(".searchIndex(\"search_{name}\", {{ searchField: \"{name}\" }})")
                }
                (ScalarKind::Search, _) => format!(
                    "{} ({}) on {name}: give the text that it is made of a .searchIndex(…) instead",
                    index.name, index.method
                ),
                _ => format!("{} ({}) on {name} has no counterpart", index.name, index.method),
            };
            if !hints.contains(&hint) {
                hints.push(hint);
            }
        }
    }
    hints
}

/// The dimensions that `vector(3)` names.
fn dimensions(type_name: &str) -> String {
    let inner = type_name.split_once('(').and_then(|(_, rest)| rest.split_once(')'));
    inner.map_or_else(|| "/* of the vectors */".to_owned(), |(size, _)| size.to_owned())
}
