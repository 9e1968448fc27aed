use std::collections::BTreeMap;

use super::{Builder, PlanIssue};
use crate::catalog::{ScalarKind, TableSchema};
use crate::names::FieldName;
use crate::plan::config::TableConfig;
use crate::plan::toml_error::suggest;
use crate::plan::{Cast, Conversion, FieldType, NullPolicy, PlanField, Unfit, WriteMethod};

/// The field that Convex keeps a document's time of creation in.
const CREATION_TIME: &str = "_creationTime";

impl Builder<'_> {
    /// The document's time of creation, of the column that the configuration names.
    pub(super) fn creation_time(&mut self, schema: &TableSchema, settings: &TableConfig) -> Option<PlanField> {
        let name = settings.creation_time.as_ref()?;
        let table = schema.name.to_string();
        let mut issue = |message: String, remedy: String| {
            self.issues.push(PlanIssue::new(&["tables", &table, "creation_time"], message, remedy));
        };
        if self.config.convex.write == WriteMethod::Mutations {
            issue(
                format!("mutations cannot set the time at which a document of {table} was created"),
                "leave it out, or plan convex.write = \"snapshot\"".to_owned(),
            );
            return None;
        }
        let Some(column) = schema.column(name.as_str()) else {
            let known = schema.column_names();
            issue(format!("{table} has no column {name} for its time of creation"), suggest(name.as_str(), &known));
            return None;
        };
        let source = &column.source_type;
        let is_time = matches!(source.scalar, ScalarKind::TimestampTz | ScalarKind::Timestamp | ScalarKind::Date);
        if !is_time || source.array {
            issue(
                format!("{table}.{name} is {}, which is no time of creation", source.name),
                "name a column of the type timestamptz, timestamp or date".to_owned(),
            );
            return None;
        }
        Some(PlanField {
            field: FieldName::from(CREATION_TIME),
            columns: vec![name.clone()],
            source_type: source.clone(),
            field_type: FieldType::Number,
            optional: true,
            nullable: false,
            conversion: Conversion::Value {
                cast: Cast::EpochMs,
                nulls: NullPolicy::Absent,
                values: BTreeMap::new(),
                on_unfit: Unfit::default(),
            },
            rule: "the document's time of creation; the time of the import where it is NULL".to_owned(),
            comment: None,
        })
    }
}
