//! What a scan has to do for each table of a plan, and in which order.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::finding::{Effect, FindingKind, listed};
use crate::catalog::{Catalog, PLACE, ScalarKind, TableSchema};
use crate::names::{FieldName, KeySpace, TableName};
use crate::plan::{Conversion, MissingParent, Plan, PlanField, PlanIndex, PlanReference};

/// One table to scan.
#[derive(Debug)]
pub(super) struct Job {
    /// Its name in the plan; of a part that is split off, the part's.
    pub(super) name: TableName,
    pub(super) read_from: TableName,
    pub(super) sink: TableName,
    pub(super) key: Vec<FieldName>,
    pub(super) fields: Vec<PlanField>,
    pub(super) indexes: Vec<PlanIndex>,
    /// Its rows live in the sink already: only what names them is read.
    pub(super) adopted: bool,
    pub(super) is_part: bool,
    /// The spaces its rows have keys in.
    pub(super) own: Vec<OwnSpace>,
    pub(super) rows: Option<u64>,
}

/// A space that a table's rows have keys in.
#[derive(Debug)]
pub(super) struct OwnSpace {
    pub(super) id: usize,
    /// Its columns; none for the table's key.
    pub(super) columns: Vec<FieldName>,
    /// What it is where several rows have one key, unless a constraint rules that out.
    pub(super) shared: Option<(FindingKind, Effect)>,
}

impl OwnSpace {
    /// What findings name.
    pub(super) fn label(&self, job: &Job) -> String {
        listed(if self.columns.is_empty() { &job.key } else { &self.columns })
    }
}

/// All tables to scan, and the spaces that their rows have keys in.
#[derive(Debug)]
pub(super) struct Jobs {
    pub(super) list: Vec<Arc<Job>>,
    pub(super) spaces: Vec<KeySpace>,
}

/// Columns that are unique by their names.
const UNIQUE_NAMES: &[&str] = &["email", "handle", "slug", "sku", "user_name", "username"];

impl Jobs {
    pub(super) fn of(plan: &Plan, catalog: &Catalog) -> Self {
        let mut jobs: Vec<Job> = Vec::new();
        for table in &plan.tables {
            let fields = table.fields.iter().chain(&table.creation_time).cloned().collect();
            jobs.push(Job {
                name: table.source.clone(),
                read_from: table.read_from().clone(),
                sink: table.sink.clone(),
                key: table.key.clone(),
                fields,
                indexes: table.indexes.clone(),
                adopted: false,
                is_part: table.part_of.is_some(),
                own: Vec::new(),
                rows: catalog.table(table.read_from()).and_then(|schema| schema.rows),
            });
        }
        for table in &plan.adopted {
            jobs.push(Job {
                name: table.source.clone(),
                read_from: table.source.clone(),
                sink: table.sink.clone(),
                key: table.key.clone(),
                fields: table.natural_key.clone(),
                indexes: Vec::new(),
                adopted: true,
                is_part: false,
                own: Vec::new(),
                rows: catalog.table(&table.source).and_then(|schema| schema.rows),
            });
        }
        let mut spaces: Vec<KeySpace> = Vec::new();
        let referred: Vec<KeySpace> = jobs
            .iter()
            .flat_map(|job| references(&job.fields))
            .flat_map(|(_, reference)| reference.parents.iter().map(|parent| parent.to.clone()))
            .collect();
        for job in &mut jobs {
            let schema = catalog.table(&job.read_from);
            let mut wanted: BTreeMap<KeySpace, Option<(FindingKind, Effect)>> = BTreeMap::new();
            for space in referred.iter().filter(|space| *space.table() == job.name) {
                let unproven = !space.columns().is_empty() && !is_unique(schema, space.columns());
                wanted.insert(space.clone(), unproven.then_some((FindingKind::DuplicateKey, Effect::Merged)));
            }
            // Whether a row was left behind is known by its own key.
            if !wanted.is_empty() && references(&job.fields).next().is_some() {
                wanted.entry(KeySpace::primary(job.name.clone())).or_default();
            }
            for (space, shared) in doubtful(job, schema) {
                wanted.entry(space).or_default().get_or_insert(shared);
            }
            job.own = wanted
                .into_iter()
                .map(|(space, shared)| {
                    let id = spaces.len();
                    let columns = space.columns().to_vec();
                    spaces.push(space);
                    OwnSpace { id, columns, shared }
                })
                .collect();
        }
        Self { list: jobs.into_iter().map(Arc::new).collect(), spaces }
    }

    pub(super) fn space(&self, wanted: &KeySpace) -> Option<usize> {
        self.spaces.iter().position(|space| space == wanted)
    }
}

/// Spaces that nothing refers to, or whose keys may be shared though the plan takes them for unique.
fn doubtful(job: &Job, schema: Option<&TableSchema>) -> Vec<(KeySpace, (FindingKind, Effect))> {
    let mut spaces = Vec::new();
    if job.is_part {
        return spaces;
    }
    let merged = (FindingKind::DuplicateKey, Effect::Merged);
    if !is_unique(schema, &job.key) && !job.key.iter().any(|column| column.as_str() == PLACE) {
        spaces.push((KeySpace::primary(job.name.clone()), merged));
    }
    if job.adopted {
        let natural: Vec<FieldName> = job.fields.iter().flat_map(|field| field.columns.clone()).collect();
        if !is_unique(schema, &natural) {
            spaces.push((KeySpace::by(job.name.clone(), &natural), merged));
        }
        return spaces;
    }
    let Some(schema) = schema else { return spaces };
    let keys = || schema.unique_keys.iter().flatten().chain([&schema.primary_key]);
    let is_watched = |field: &&PlanField| match &*field.columns {
        [only] => {
            let name = only.as_str().to_lowercase();
            let is_text = matches!(field.source_type.scalar, ScalarKind::Text | ScalarKind::Uuid);
            // A key of several columns with it in it says that it is not unique alone.
            let in_key = keys().any(|key| key.contains(only));
            UNIQUE_NAMES.contains(&&*name) && is_text && !field.source_type.array && !in_key
        }
        _ => false,
    };
    for field in job.fields.iter().filter(is_watched) {
        let space = KeySpace::by(job.name.clone(), &field.columns);
        spaces.push((space, (FindingKind::DuplicateName, Effect::Kept)));
    }
    spaces
}

fn is_unique(schema: Option<&TableSchema>, columns: &[FieldName]) -> bool {
    schema.is_some_and(|schema| schema.is_unique(columns))
}

/// The fields that are references, by their positions.
pub(super) fn references(fields: &[PlanField]) -> impl Iterator<Item = (usize, &PlanReference)> {
    fields.iter().enumerate().filter_map(|(position, field)| match &field.conversion {
        Conversion::Reference(reference) => Some((position, reference)),
        _ => None,
    })
}

/// What becomes of a row whose parent is not there.
pub(super) fn effect_of(reference: &PlanReference) -> Effect {
    match (reference.on_missing, reference.cut) {
        (MissingParent::Fail, _) => Effect::EndsRun,
        (MissingParent::Null, _) => Effect::Changed,
        (MissingParent::Reject | MissingParent::Skip, true) => Effect::Unlinked,
        (MissingParent::Reject, false) => Effect::Rejected,
        (MissingParent::Skip, false) => Effect::Skipped,
    }
}
