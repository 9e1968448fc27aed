use super::ParentKey;
use crate::names::{FieldName, SourceKey};
use crate::plan::{Conversion, PlanField, PlanReference};
use crate::record::{Record, RejectCode, RowError};
use crate::value::Value;

/// Reads the keys of the parents a row refers to. A reference with NULL in any of its columns refers to nothing, as in
/// SQL's `MATCH SIMPLE`; so does a NULL element of a list.
#[derive(Debug)]
pub(super) struct ReferenceKeys {
    /// Per field of the document, where it is a reference.
    fields: Vec<Option<Referring>>,
}

#[derive(Debug)]
struct Referring {
    /// Positions of the columns that make the parent's key.
    columns: Vec<usize>,
    /// The position and name of the column that says which parent, with its values in the parents' order.
    discriminator: Option<(usize, FieldName, Vec<Option<String>>)>,
    list: bool,
}

impl ReferenceKeys {
    /// The references among `fields`, of records with `columns`.
    pub(super) fn new(fields: &[PlanField], columns: &[FieldName]) -> Self {
        let position = |column: &FieldName| columns.iter().position(|other| other == column);
        let referring = |field: &PlanField, reference: &PlanReference| {
            let key = field.columns.iter().filter(|column| Some(*column) != reference.discriminator.as_ref());
            let by =
                reference.discriminator.as_ref().and_then(|column| position(column).map(|at| (at, column.clone())));
            Referring {
                columns: key.filter_map(position).collect(),
                discriminator: by
                    .map(|(at, name)| (at, name, reference.parents.iter().map(|parent| parent.when.clone()).collect())),
                list: reference.list,
            }
        };
        let of_field = |field: &PlanField| match &field.conversion {
            Conversion::Reference(reference) => Some(referring(field, reference)),
            _ => None,
        };
        Self { fields: fields.iter().map(of_field).collect() }
    }

    /// Per field of the document, the keys of the parents that a row refers to by it.
    ///
    /// # Errors
    /// `key_unusable` for what cannot be a key, `unknown_value` for a discriminator that names no parent.
    pub(super) fn of(&self, record: &Record) -> Result<Vec<Vec<ParentKey>>, RowError> {
        // Collected, it would grow step by step: an error may end it early.
        let mut keys = Vec::with_capacity(self.fields.len());
        for field in &self.fields {
            keys.push(field.as_ref().map_or_else(|| Ok(Vec::new()), |field| field.keys(record))?);
        }
        Ok(keys)
    }
}

impl Referring {
    fn keys(&self, record: &Record) -> Result<Vec<ParentKey>, RowError> {
        let is_nothing = |&at: &usize| record.values.get(at).is_none_or(Value::is_nothing);
        if self.columns.iter().any(is_nothing) {
            return Ok(Vec::new());
        }
        let parent = match &self.discriminator {
            None => 0,
            Some((at, ..)) if is_nothing(at) => return Ok(Vec::new()),
            Some((at, name, values)) => {
                let text = record.values.get(*at).and_then(Value::key_str);
                values.iter().position(|value| value.as_deref() == text.as_deref()).ok_or_else(|| {
                    RowError::new(RejectCode::UnknownValue, format!("{name} names none of the planned parents"))
                        .at(Some(name.clone()))
                })?
            }
        };
        let items = match (self.list, &*self.columns) {
            (true, [only]) => record.values.get(*only),
            _ => None,
        };
        let Some(Value::Array(items)) = items else {
            return Ok(vec![ParentKey { parent, key: record.key_of(&self.columns)? }]);
        };
        let keys = items.iter().filter(|item| !item.is_nothing()).map(|item| {
            item.key_str()
                .map(|text| ParentKey { parent, key: SourceKey::new(&*text) })
                .ok_or_else(|| RowError::new(RejectCode::KeyUnusable, format!("an element is {}", item.kind())))
        });
        keys.collect()
    }
}
