//! What a plan and one that was mended after it must share for a run to go on.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{LegacyIds, Plan};
use crate::names::{FieldName, TableName};
use crate::state::BoundPlan;

/// What decides which document a row is: the tables of both sides, their keys, and where the keys are kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlanIdentity {
    legacy_ids: LegacyIds,
    legacy_id_field: FieldName,
    tables: BTreeMap<TableName, TableIdentity>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct TableIdentity {
    sink: TableName,
    key: Vec<FieldName>,
    /// Rows that are migrated have their ids by these, and by no others.
    alternate_keys: Vec<Vec<FieldName>>,
}

impl Plan {
    /// What a state keeps of the plan.
    #[must_use]
    pub fn bound(&self) -> BoundPlan {
        let tables = self.tables.iter().map(|table| {
            let identity = TableIdentity {
                sink: table.sink.clone(),
                key: table.key.clone(),
                alternate_keys: table.alternate_keys.clone(),
            };
            (table.source.clone(), identity)
        });
        let identity = PlanIdentity {
            legacy_ids: self.sink.legacy_ids,
            legacy_id_field: self.sink.legacy_id_field.clone(),
            tables: tables.collect(),
        };
        BoundPlan { fingerprint: self.fingerprint.clone(), identity: Some(identity) }
    }
}

impl PlanIdentity {
    /// Why a run of this plan cannot go on by `mended`, a line for each reason. A table that is new in it is none:
    /// nothing of it is migrated yet.
    pub(crate) fn differences(&self, mended: &Self) -> Vec<String> {
        let mut lines = Vec::new();
        if (self.legacy_ids, &self.legacy_id_field) != (mended.legacy_ids, &mended.legacy_id_field) {
            lines.push("the rows' keys are kept elsewhere".to_owned());
        }
        for (table, was) in &self.tables {
            let Some(is) = mended.tables.get(table) else {
                lines.push(format!("{table}: not in the plan"));
                continue;
            };
            if was.sink != is.sink {
                lines.push(format!("{table}: its documents went to {}, now to {}", was.sink, is.sink));
            }
            if was.key != is.key {
                lines.push(format!("{table}: its key was {}, is {}", names(&was.key), names(&is.key)));
            }
            for columns in is.alternate_keys.iter().filter(|columns| !was.alternate_keys.contains(columns)) {
                lines.push(format!("{table}: is referred to by {}, which no id was kept by", names(columns)));
            }
        }
        lines
    }
}

fn names(columns: &[FieldName]) -> String {
    columns.iter().map(FieldName::as_str).collect::<Vec<_>>().join(", ")
}
