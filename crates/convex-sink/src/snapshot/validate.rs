//! Documents against the planned validators, which the deployment's schema is generated from.
//!
//! An import that meets one document outside the schema fails as a whole, so each is looked at before: what the schema
//! would refuse is a reject, with the code that a refusal by the generated functions has.

use migrate_core::names::{FieldName, TableName};
use migrate_core::plan::{FieldType, PlanField};
use migrate_core::record::{Record, RejectCode, RowError};
use migrate_core::value::Value;

use super::numbers::TableNumbers;
use super::uniform::CREATION_TIME;
use crate::document_id::DocumentId;

/// Times of creation that an import takes, in milliseconds: above zero, and below this.
const CREATION_TIME_END: f64 = 9_007_199_254_740_992.0;

/// What the documents of one table must be like.
#[derive(Debug)]
pub(crate) struct Validator {
    fields: Vec<FieldCheck>,
    required: usize,
}

#[derive(Debug)]
struct FieldCheck {
    name: FieldName,
    check: Check,
    optional: bool,
    nullable: bool,
}

/// A planned type, with tables by their number.
#[derive(Debug)]
enum Check {
    String,
    Number,
    Int64,
    Boolean,
    Bytes,
    Any,
    /// The id of a document of that table. The number is none where the deployment's is not known, and `migrated` is true
    /// where the snapshot itself holds the table.
    Id {
        number: Option<u32>,
        migrated: bool,
    },
    Array(Box<Check>),
    Literals(Vec<String>),
    Nullable(Box<Check>),
    Union(Vec<Check>),
}

/// Hears of the references in a document.
pub(crate) trait References {
    /// A reference to a document that the snapshot itself must hold.
    fn refers(&mut self, to: DocumentId);
}

impl Validator {
    /// For the fields of a plan's table; `migrated` are the tables that the snapshot holds.
    pub(crate) fn new(fields: &[PlanField], numbers: &TableNumbers, migrated: &[TableName]) -> Self {
        let check = |field: &PlanField| FieldCheck {
            name: field.field.clone(),
            check: Check::of(&field.field_type, numbers, migrated),
            optional: field.optional,
            nullable: field.nullable,
        };
        let required = fields.iter().filter(|field| !field.optional).count();
        Self { fields: fields.iter().map(check).collect(), required }
    }

    /// Checks a document, and tells of the references in it.
    ///
    /// # Errors
    /// `sink_refused` for what the schema would refuse; `not_representable` for a time of creation that no document has.
    pub(crate) fn check(&self, record: &Record, references: &mut impl References) -> Result<(), RowError> {
        let mut required = 0;
        for (position, (name, value)) in record.shape.fields.iter().zip(&record.values).enumerate() {
            let refused = |what: String| RowError::new(RejectCode::SinkRefused, what).at(Some(name.clone()));
            if matches!(value, Value::Absent) {
                continue;
            }
            if name.as_str() == CREATION_TIME {
                creation_time(value)?;
                continue;
            }
            // Documents have the plan's fields in the plan's order.
            let in_order = self.fields.get(position).filter(|field| field.name == *name);
            let Some(field) = in_order.or_else(|| self.fields.iter().find(|field| field.name == *name)) else {
                return Err(refused(format!("the schema has no field {name}")));
            };
            if !(field.nullable && matches!(value, Value::Null) || field.check.takes(value, references)) {
                return Err(refused(format!("the schema does not take {} in this field", value.kind())));
            }
            required += usize::from(!field.optional);
        }
        if required == self.required {
            return Ok(());
        }
        let is_missing = |field: &&FieldCheck| {
            !field.optional && record.get(field.name.as_str()).is_none_or(|value| matches!(value, Value::Absent))
        };
        let missing = self.fields.iter().find(is_missing).map(|field| field.name.clone());
        Err(RowError::new(RejectCode::SinkRefused, "the schema requires a field that the document lacks").at(missing))
    }
}

fn creation_time(value: &Value) -> Result<(), RowError> {
    match value {
        Value::Float64(time) if *time > 0.0 && *time < CREATION_TIME_END => Ok(()),
        _ => {
            let message = "a document cannot be created at that time: it must be after 1970-01-01";
            Err(RowError::new(RejectCode::NotRepresentable, message).at(Some(FieldName::from(CREATION_TIME))))
        }
    }
}

impl Check {
    fn of(field_type: &FieldType, numbers: &TableNumbers, migrated: &[TableName]) -> Self {
        let inner = |inner: &FieldType| Self::of(inner, numbers, migrated);
        match field_type {
            FieldType::String => Self::String,
            FieldType::Number => Self::Number,
            FieldType::Int64 => Self::Int64,
            FieldType::Boolean => Self::Boolean,
            FieldType::Bytes => Self::Bytes,
            FieldType::Any => Self::Any,
            FieldType::Id(table) => Self::Id { number: numbers.get(table.name()), migrated: migrated.contains(table) },
            FieldType::Array(items) => Self::Array(Box::new(inner(items))),
            FieldType::Literals(texts) => Self::Literals(texts.clone()),
            FieldType::Nullable(value) => Self::Nullable(Box::new(inner(value))),
            FieldType::Union(types) => Self::Union(types.iter().map(inner).collect()),
        }
    }

    fn takes(&self, value: &Value, references: &mut impl References) -> bool {
        match (self, value) {
            (Self::Any, _)
            | (Self::String, Value::Text(_))
            | (Self::Number, Value::Float64(_))
            | (Self::Int64, Value::Int64(_))
            | (Self::Boolean, Value::Bool(_))
            | (Self::Bytes, Value::Bytes(_))
            | (Self::Nullable(_), Value::Null) => true,
            (Self::Nullable(inner), value) => inner.takes(value, references),
            (Self::Literals(texts), Value::Text(text)) => texts.iter().any(|known| **known == **text),
            (Self::Array(item), Value::Array(items)) => items.iter().all(|value| item.takes(value, references)),
            (Self::Union(types), value) => types.iter().any(|one| one.takes(value, references)),
            (Self::Id { number, migrated }, Value::Text(text)) => {
                let Ok(id) = text.parse::<DocumentId>() else { return false };
                let fits = number.is_none_or(|number| number == id.table_number());
                if fits && *migrated {
                    references.refers(id);
                }
                fits
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use migrate_core::catalog::{ScalarKind, SourceType};
    use migrate_core::plan::{Cast, Conversion, NullPolicy, Unfit};
    use migrate_core::record::RecordShape;

    use super::*;

    impl References for Vec<DocumentId> {
        fn refers(&mut self, to: DocumentId) {
            self.push(to);
        }
    }

    fn field(name: &str, field_type: FieldType, optional: bool, nullable: bool) -> PlanField {
        let (values, on_unfit) = (BTreeMap::new(), Unfit::Reject);
        PlanField {
            field: name.into(),
            columns: vec![name.into()],
            source_type: SourceType::new("text", ScalarKind::Text),
            field_type,
            optional,
            nullable,
            conversion: Conversion::Value { cast: Cast::Exact, nulls: NullPolicy::Absent, values, on_unfit },
            rule: String::new(),
            comment: None,
        }
    }

    fn record(fields: &[(&str, Value)]) -> Record {
        let shape = RecordShape {
            table: "t".parse().unwrap(),
            fields: fields.iter().map(|(name, _)| FieldName::from(*name)).collect(),
            key: vec![],
        };
        Record { shape: Arc::new(shape), values: fields.iter().map(|(_, value)| value.clone()).collect() }
    }

    fn validator() -> Validator {
        let numbers = TableNumbers::new([("users".to_owned(), 10_001), ("teams".to_owned(), 10_002)]);
        let users: TableName = "users".parse().unwrap();
        let teams: TableName = "teams".parse().unwrap();
        let ids = FieldType::Union(vec![FieldType::Id(users.clone()), FieldType::Id(teams.clone())]);
        Validator::new(
            &[
                field("name", FieldType::String, false, false),
                field("state", FieldType::Literals(vec!["open".into(), "shut".into()]), true, true),
                field("owner", ids, true, false),
                field("all", FieldType::Array(Box::new(FieldType::Nullable(Box::new(FieldType::Number)))), true, false),
                field("any", FieldType::Any, true, false),
            ],
            &numbers,
            &[users],
        )
    }

    fn check(fields: &[(&str, Value)]) -> Result<Vec<DocumentId>, RowError> {
        let mut found = Vec::new();
        validator().check(&record(fields), &mut found).map(|()| found)
    }

    fn id(number: u32) -> Value {
        Value::text(DocumentId::new(number, [1; 16]).unwrap().to_string())
    }

    #[test]
    fn what_the_schema_takes() {
        let name = ("name", Value::text("a"));
        assert!(check(std::slice::from_ref(&name)).is_ok());
        assert!(check(&[name.clone(), ("state", Value::Null), ("any", Value::Int64(1))]).is_ok());
        assert!(
            check(&[name.clone(), ("state", Value::text("open")), ("all", Value::Array(vec![Value::Null]))]).is_ok()
        );
        assert!(check(&[name.clone(), ("state", Value::Absent), ("_creationTime", Value::Float64(1.5))]).is_ok());
        assert_eq!(check(&[name.clone(), ("owner", id(10_001))]).unwrap().len(), 1);
        assert_eq!(check(&[name, ("owner", id(10_002))]).unwrap().len(), 0, "teams are not in the snapshot");
    }

    #[test]
    fn what_the_schema_refuses() {
        let name = ("name", Value::text("CANARY"));
        for bad in [
            vec![],
            vec![("name", Value::Absent)],
            vec![("name", Value::Null)],
            vec![("name", Value::Int64(1))],
            vec![name.clone(), ("other", Value::Null)],
            vec![name.clone(), ("state", Value::text("CANARY"))],
            vec![name.clone(), ("owner", Value::text("CANARY"))],
            vec![name.clone(), ("owner", id(10_003))],
            vec![name.clone(), ("all", Value::Array(vec![Value::Int64(1)]))],
        ] {
            let error = check(&bad).unwrap_err();
            assert_eq!(error.code, RejectCode::SinkRefused);
            assert!(!error.message.contains("CANARY"), "{}", error.message);
        }
        for time in [Value::Float64(0.0), Value::Float64(-1.0), Value::Float64(f64::NAN), Value::Int64(1), Value::Null]
        {
            assert_eq!(check(&[name.clone(), ("_creationTime", time)]).unwrap_err().code, RejectCode::NotRepresentable);
        }
    }
}
