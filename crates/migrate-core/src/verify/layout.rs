use std::collections::HashMap;
use std::sync::Arc;

use super::Document;
use crate::names::{SourceKey, TableName};
use crate::plan::{LegacyIds, Plan, PlanField, PlanTable};
use crate::record::Record;
use crate::value::Value;

/// The field that a document's time of creation is in.
pub(super) const CREATION_TIME: &str = "_creationTime";

/// Which fields of a table's documents are compared, in which order.
#[derive(Debug, Clone)]
pub(super) struct Layout {
    /// In the order of their names.
    columns: Vec<Column>,
    positions: HashMap<Arc<str>, usize>,
    /// The field of the legacy id, where documents have it.
    key: Option<Arc<str>>,
}

#[derive(Debug, Clone)]
struct Column {
    name: Arc<str>,
    /// The tables at the source that its ids lead to; none where it is no reference.
    parents: Option<Vec<TableName>>,
}

/// A document of the sink, ready to be compared.
#[derive(Debug)]
pub(super) struct Arranged {
    /// The row's key in its own field; none where it has no such field, or that is no text.
    pub(super) key: Option<SourceKey>,
    /// Its planned fields, in the layout's order.
    pub(super) values: Vec<Value>,
    /// Fields that the plan does not know.
    pub(super) unplanned: Vec<Box<str>>,
}

impl Layout {
    pub(super) fn new(plan: &Plan, table: &PlanTable) -> Self {
        let planned = table.fields.iter().map(|field| (field.field.as_str(), field));
        let created = table.creation_time.iter().map(|field| (CREATION_TIME, field));
        let parents = |field: &PlanField| field.reference().map(|reference| reference.tables().cloned().collect());
        let columns =
            planned.chain(created).map(|(name, field)| Column { name: name.into(), parents: parents(field) }).collect();
        let key = (plan.sink.legacy_ids == LegacyIds::Field).then(|| plan.sink.legacy_id_field.as_str().into());
        Self::of(columns, key)
    }

    fn of(mut columns: Vec<Column>, key: Option<Arc<str>>) -> Self {
        columns.sort_by(|one, other| one.name.cmp(&other.name));
        let positions = columns.iter().enumerate().map(|(at, column)| (column.name.clone(), at)).collect();
        Self { columns, positions, key }
    }

    #[cfg(test)]
    pub(super) fn of_names(names: &[&str]) -> Self {
        Self::of(names.iter().map(|&name| Column { name: name.into(), parents: None }).collect(), None)
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.columns.iter().map(|column| &*column.name)
    }

    pub(super) fn len(&self) -> usize {
        self.columns.len()
    }

    /// The tables that the ids of a field lead to; none where it is no reference.
    pub(super) fn parents(&self, position: usize) -> Option<&[TableName]> {
        self.columns.get(position).and_then(|column| column.parents.as_deref())
    }

    /// For records of this shape: where each of them has the layout's fields.
    pub(super) fn order_of(&self, record: &Record) -> Vec<Option<usize>> {
        let at = |name: &str| record.shape.fields.iter().position(|field| field.as_str() == name);
        self.names().map(at).collect()
    }

    /// A record's values in the layout's order.
    pub(super) fn arrange_record(order: &[Option<usize>], mut record: Record) -> Vec<Value> {
        let mut take = |at: &Option<usize>| at.and_then(|at| record.values.get_mut(at)).map(std::mem::take);
        order.iter().map(|at| take(at).unwrap_or_default()).collect()
    }

    /// A document's values in the layout's order.
    pub(super) fn arrange(&self, document: Document) -> Arranged {
        let mut values = vec![Value::Absent; self.columns.len()];
        let (mut key, mut unplanned) = (None, Vec::new());
        for (name, value) in document.fields {
            if let Some(slot) = self.positions.get(&*name).and_then(|&at| values.get_mut(at)) {
                *slot = value;
            } else if self.key.as_deref() == Some(&*name) {
                key = match value {
                    Value::Text(text) => Some(SourceKey::new(text.into_string())),
                    _ => None,
                };
            } else {
                unplanned.push(name);
            }
        }
        if let Some(slot) = self.positions.get(CREATION_TIME).and_then(|&at| values.get_mut(at)) {
            *slot = Value::Float64(document.creation_time);
        }
        Arranged { key, values, unplanned }
    }
}
