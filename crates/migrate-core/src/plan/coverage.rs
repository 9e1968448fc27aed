use std::fmt;

use super::{Conversion, FieldType, MissingParent, NullPolicy, Plan, PlanField, PlanReference, PlanTable};
use crate::catalog::{Catalog, Column};
use crate::names::{FieldName, TableName};

/// Where one column of the source goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ColumnFate {
    /// The table at the source.
    pub table: TableName,
    /// The column.
    pub column: FieldName,
    /// The fields that hold its value, `table.field` at the sink; empty where none does.
    pub fields: Vec<String>,
    /// Why there is none, or what the key is beside its fields.
    pub note: Option<&'static str>,
}

impl fmt::Display for ColumnFate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{} -> ", self.table, self.column)?;
        match (&*self.fields, self.note) {
            ([], note) => f.write_str(note.unwrap_or("nowhere")),
            (fields, None) => f.write_str(&fields.join(", ")),
            (fields, Some(note)) => write!(f, "{} ({note})", fields.join(", ")),
        }
    }
}

/// Every column of every table of a catalog, and where a plan puts it.
#[must_use]
pub fn coverage(plan: &Plan, catalog: &Catalog) -> Vec<ColumnFate> {
    let columns =
        catalog.tables.iter().flat_map(|table| table.columns.iter().map(|column| (&table.name, &column.name)));
    columns.map(|(table, column)| column_fate(plan, table, column)).collect()
}

/// Where a plan puts one column.
#[must_use]
pub fn column_fate(plan: &Plan, table: &TableName, column: &FieldName) -> ColumnFate {
    let (fields, note) = match plan.tables.iter().find(|planned| planned.source == *table) {
        Some(planned) => {
            let fields = fields_of(plan, table, column);
            let note = if planned.dropped.contains(column) {
                Some("dropped, as the configuration says")
            } else if planned.key.contains(column) {
                Some("part of the legacy id")
            } else {
                None
            };
            (fields.map(|(part, field)| format!("{}.{}", part.sink, field.field)).collect(), note)
        }
        None if plan.adopted.iter().any(|adopted| adopted.source == *table) => {
            (Vec::new(), Some("its table lives in the sink already"))
        }
        None => (Vec::new(), Some("its table is not in the plan")),
    };
    ColumnFate { table: table.clone(), column: column.clone(), fields, note }
}

/// The fields that hold a column's value, with the tables they are of: the table's own, or one it is split off into.
fn fields_of<'a>(
    plan: &'a Plan,
    table: &'a TableName,
    column: &'a FieldName,
) -> impl Iterator<Item = (&'a PlanTable, &'a PlanField)> {
    let parts = plan.tables.iter().filter(move |part| part.read_from() == table);
    let fields = parts.flat_map(|part| part.fields.iter().map(move |field| (part, field)));
    fields.filter(move |(_, field)| field.columns.contains(column))
}

/// What a plan does with one column, and which rule decided, in words; `None` where the catalog has no such column.
#[must_use]
pub fn explain(plan: &Plan, catalog: &Catalog, table: &TableName, column: &str) -> Option<String> {
    let known = catalog.table(table)?.column(column)?;
    let mut lines = vec![format!("{table}.{column}: {}", source_words(known))];
    for (part, field) in fields_of(plan, table, &known.name) {
        lines.push(format!("  becomes {}.{}: {}", part.sink, field.field, field.field_type));
        lines.push(format!("    decided by: {}", field.rule));
        lines.push(format!("    value: {}", conversion_words(&field.conversion)));
        lines.push(format!("    NULL: {}", null_words(field)));
    }
    if let Some(note) = column_fate(plan, table, &known.name).note {
        lines.push(format!("  {note}"));
    }
    Some(lines.join("\n"))
}

fn source_words(column: &Column) -> String {
    let null = if column.nullable { "may be NULL" } else { "never NULL" };
    format!("{}, {null}", column.source_type.name)
}

impl fmt::Display for FieldType {
    /// In words, such as `array of number`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::String => f.write_str("string"),
            Self::Number => f.write_str("number"),
            Self::Int64 => f.write_str("int64"),
            Self::Boolean => f.write_str("boolean"),
            Self::Bytes => f.write_str("bytes"),
            Self::Any => f.write_str("any"),
            Self::Id(table) => write!(f, "id of {table}"),
            Self::Array(inner) => write!(f, "array of {inner}"),
            Self::Literals(texts) => write!(f, "one of {} texts", texts.len()),
            Self::Nullable(inner) => write!(f, "{inner} or null"),
            Self::Union(types) => {
                for (position, one) in types.iter().enumerate() {
                    write!(f, "{}{one}", if position == 0 { "" } else { " or " })?;
                }
                Ok(())
            }
        }
    }
}

fn conversion_words(conversion: &Conversion) -> String {
    match conversion {
        Conversion::Value { cast, values, .. } => {
            let cast = serde_json::to_value(cast).ok().and_then(|name| name.as_str().map(str::to_owned));
            let mapped = if values.is_empty() { String::new() } else { format!(", {} texts mapped", values.len()) };
            format!("cast {}{mapped}", cast.unwrap_or_default())
        }
        Conversion::Reference(PlanReference { parents, on_missing, cut, .. }) => {
            let to: Vec<String> = parents.iter().map(|parent| parent.to.to_string()).collect();
            let missing = match on_missing {
                MissingParent::Reject => "rejects the row",
                MissingParent::Null => "leaves the field out",
                MissingParent::Skip => "leaves the row out",
                MissingParent::Fail => "ends the run",
            };
            let pass = if *cut { ", set in a second pass" } else { "" };
            format!("the id of the document that {} became{pass}; a missing one {missing}", to.join(" or "))
        }
        Conversion::Computed { expression, .. } => format!("the expression {expression}"),
        Conversion::Constant(_) => "a constant".to_owned(),
    }
}

fn null_words(field: &PlanField) -> &'static str {
    match &field.conversion {
        Conversion::Value { nulls: NullPolicy::Default(_), .. } => "becomes the default",
        _ if field.optional => "no field",
        _ if field.nullable => "null",
        _ => "rejects the row",
    }
}
