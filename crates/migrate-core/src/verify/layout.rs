use std::collections::HashMap;
use std::sync::Arc;

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

/// Puts documents of the sink into the layout's order, one after the other.
#[derive(Debug)]
pub(super) struct Arranger<'a> {
    layout: &'a Layout,
    /// What the fields of the last document are: those of the next one are mostly the same, in the same order.
    last: Vec<(Arc<str>, Part)>,
    /// The planned fields of the last document, in the layout's order.
    values: Vec<Value>,
    unplanned: Vec<Arc<str>>,
}

/// What a field of a document is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    /// The planned field at this position.
    Planned(usize),
    Key,
    Unplanned,
}

/// A document of the sink, ready to be compared.
#[derive(Debug)]
pub(super) struct Arranged<'a> {
    /// The row's key in its own field; none where it has no such field, or that is no text.
    pub(super) key: Option<SourceKey>,
    /// Its planned fields, in the layout's order.
    pub(super) values: &'a [Value],
    /// Fields that the plan does not know.
    pub(super) unplanned: &'a [Arc<str>],
}

impl<'a> Arranger<'a> {
    pub(super) fn new(layout: &'a Layout) -> Self {
        Self { layout, last: Vec::new(), values: Vec::new(), unplanned: Vec::new() }
    }

    pub(super) fn arrange(&mut self, creation_time: f64, fields: Vec<(Arc<str>, Value)>) -> Arranged<'_> {
        self.values.clear();
        self.values.resize(self.layout.len(), Value::Absent);
        self.unplanned.clear();
        let mut key = None;
        for (at, (name, value)) in fields.into_iter().enumerate() {
            match self.part(at, &name) {
                Part::Planned(position) => {
                    if let Some(slot) = self.values.get_mut(position) {
                        *slot = value;
                    }
                }
                Part::Key => {
                    key = match value {
                        Value::Text(text) => Some(SourceKey::new(text.into_string())),
                        _ => None,
                    }
                }
                Part::Unplanned => self.unplanned.push(name),
            }
        }
        let created = self.layout.positions.get(CREATION_TIME).and_then(|&at| self.values.get_mut(at));
        if let Some(slot) = created {
            *slot = Value::Float64(creation_time);
        }
        Arranged { key, values: &self.values, unplanned: &self.unplanned }
    }

    fn part(&mut self, at: usize, name: &Arc<str>) -> Part {
        if let Some((last, part)) = self.last.get(at)
            && (Arc::ptr_eq(last, name) || last == name)
        {
            return *part;
        }
        let part = match self.layout.positions.get(name) {
            Some(&position) => Part::Planned(position),
            None if self.layout.key.as_deref() == Some(&**name) => Part::Key,
            None => Part::Unplanned,
        };
        match self.last.get_mut(at) {
            Some(known) => *known = (name.clone(), part),
            None => self.last.push((name.clone(), part)),
        }
        part
    }
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
    pub(super) fn in_order<'r>(order: &'r [Option<usize>], record: &'r Record) -> impl Iterator<Item = &'r Value> {
        order.iter().map(|at| at.and_then(|at| record.values.get(at)).unwrap_or(&Value::Absent))
    }
}
