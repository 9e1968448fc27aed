//! What a run rests on: its plan and its source, as far as a reader of the report wants to know.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::catalog::{Catalog, InventoryItem, InventoryKind};
use crate::names::{FieldName, TableName};
use crate::plan::{Plan, PlanTable, RunConfig, SinkPlan};

/// Letters of what an item is, at most: a policy's condition may be long.
const DETAIL: usize = 400;

/// The plan that was run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PlanReport {
    /// Where the documents go.
    pub sink: SinkPlan,
    /// Settings of the run, those of the command line included.
    pub run: RunConfig,
    /// The tables to migrate, parents before children.
    pub tables: Vec<PlannedTable>,
    /// Tables that live in the sink already, and are only referred to.
    pub adopted: Vec<AdoptedReport>,
    /// Decisions a reader should know of, in words.
    pub notes: Vec<String>,
}

/// A table of the plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PlannedTable {
    /// The table at the source.
    pub table: TableName,
    /// The table at the sink.
    pub sink: TableName,
    /// 0 for tables without parents to wait for.
    pub level: usize,
    /// Its references.
    pub references: Vec<ReferenceReport>,
    /// What the source enforces of it and the sink does not, in words.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub not_enforced: Vec<String>,
}

/// A reference to a table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReferenceReport {
    /// The field that refers.
    pub field: FieldName,
    /// The table referred to.
    pub to: TableName,
    /// True when it is set after all tables were copied.
    pub cut: bool,
}

/// A table that lives in the sink already.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AdoptedReport {
    /// The table at the source.
    pub table: TableName,
    /// The table at the sink.
    pub sink: TableName,
    /// The sink's index by which its documents are found.
    pub index: String,
}

/// What the source holds beside rows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SourceReport {
    /// How it was looked at, such as `PostgREST 12.0.2 (OpenAPI)`.
    pub origin: String,
    /// What does not move by itself, as far as it could be seen.
    pub left_behind: Vec<InventoryItem>,
    /// Facts that could not be seen, in words.
    pub unknown: Vec<String>,
}

impl From<&Plan> for PlanReport {
    fn from(plan: &Plan) -> Self {
        Self {
            sink: plan.sink.clone(),
            run: plan.run.clone(),
            tables: plan.tables.iter().map(PlannedTable::from).collect(),
            adopted: plan
                .adopted
                .iter()
                .map(|table| AdoptedReport {
                    table: table.source.clone(),
                    sink: table.sink.clone(),
                    index: table.index.clone(),
                })
                .collect(),
            notes: plan.notes.clone(),
        }
    }
}

impl From<&PlanTable> for PlannedTable {
    fn from(table: &PlanTable) -> Self {
        let references = table.fields.iter().filter_map(|field| Some((field, field.reference()?)));
        let references = references.flat_map(|(field, reference)| {
            reference.tables().map(|parent| ReferenceReport {
                field: field.field.clone(),
                to: parent.clone(),
                cut: reference.cut,
            })
        });
        Self {
            table: table.source.clone(),
            sink: table.sink.clone(),
            level: table.level,
            references: references.collect(),
            not_enforced: table.not_enforced.clone(),
        }
    }
}

impl From<&Catalog> for SourceReport {
    fn from(catalog: &Catalog) -> Self {
        let short = |item: &InventoryItem| {
            // The text of a view is long, and in the catalog.
            let detail = item.detail.as_ref().filter(|_| item.kind != InventoryKind::View).map(|detail| {
                let end = detail.char_indices().nth(DETAIL).map(|(end, _)| end);
                end.map_or_else(|| detail.clone(), |end| format!("{} …", detail.get(..end).unwrap_or_default()))
            });
            InventoryItem { detail, ..item.clone() }
        };
        Self {
            origin: catalog.origin.clone(),
            left_behind: catalog.inventory.iter().map(short).collect(),
            unknown: catalog.unknown.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_behind_stays_short() {
        let item = |kind, detail: String| InventoryItem { kind, name: "orders.x".to_owned(), detail: Some(detail) };
        let catalog = Catalog {
            version: 2,
            origin: "a test".to_owned(),
            unknown: vec!["the jobs".to_owned()],
            differences: Vec::new(),
            tables: Vec::new(),
            inventory: vec![
                item(InventoryKind::Policy, "ö".repeat(DETAIL + 1)),
                item(InventoryKind::Trigger, "after insert".to_owned()),
                item(InventoryKind::View, "select 1".to_owned()),
            ],
        };
        let report = SourceReport::from(&catalog);
        let details: Vec<Option<&str>> = report.left_behind.iter().map(|item| item.detail.as_deref()).collect();
        assert_eq!(details, [Some(&*format!("{} …", "ö".repeat(DETAIL))), Some("after insert"), None]);
        assert_eq!(report.unknown, catalog.unknown);
    }
}
