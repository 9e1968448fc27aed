use crate::error::{Error, ErrorKind, Result};
use crate::names::{SourceKey, TableName};
use crate::plan::{MissingParent, PlanField, PlanReference};
use crate::record::{RejectCode, RowError};
use crate::resolve::{IdResolver, Resolution};
use crate::transform::ParentKey;
use crate::value::Value;

/// What became of the reference of one row.
pub(super) struct Referred {
    pub(super) outcome: Outcome,
    /// Parents that were not found.
    pub(super) misses: usize,
}

/// The value of a reference's field, or why the row has none.
pub(super) enum Outcome {
    /// An id, a list of ids, or what the plan puts in the place of a missing parent.
    Value(Value),
    /// The row is left out on purpose.
    Skip,
    /// The row is rejected.
    Reject(RowError),
}

/// Resolves one field of some rows, given by their keys and the keys of their parents. `None` for a row that refers to
/// nothing.
///
/// # Errors
/// Those of the resolver; the end of the run where the plan says so of a missing parent.
pub(super) async fn resolve_field(
    resolver: &dyn IdResolver,
    table: &TableName,
    field: &PlanField,
    reference: &PlanReference,
    rows: &[(&SourceKey, &[ParentKey])],
) -> Result<Vec<Option<Referred>>> {
    let mut answers = Vec::with_capacity(reference.parents.len());
    for (position, parent) in reference.parents.iter().enumerate() {
        let of_parent = |parent: &&ParentKey| parent.parent == position;
        let wanted: Vec<SourceKey> = rows
            .iter()
            .flat_map(|(_, parents)| parents.iter())
            .filter(of_parent)
            .map(|parent| parent.key.clone())
            .collect();
        let found = if wanted.is_empty() { Vec::new() } else { resolver.resolve(&parent.to, &wanted).await? };
        answers.push(found.into_iter());
    }
    let mut referred = Vec::with_capacity(rows.len());
    let mut resolutions = Vec::new();
    for (key, parents) in rows {
        resolutions.clear();
        for parent in *parents {
            let resolution = answers.get_mut(parent.parent).and_then(Iterator::next);
            resolutions.push(resolution.ok_or_else(|| {
                Error::new(ErrorKind::Protocol, "match resolved ids to the keys asked for").with_context("table", table)
            })?);
        }
        referred.push(match (*parents, &*resolutions) {
            ([], _) => None,
            // By far the most.
            ([_], [Resolution::Found(id)]) if !reference.list => {
                Some(Referred { outcome: Outcome::Value(Value::text(id.as_str())), misses: 0 })
            }
            _ => Some(refer(table, key, field, reference, parents, &resolutions)?),
        });
    }
    Ok(referred)
}

fn refer(
    table: &TableName,
    key: &SourceKey,
    field: &PlanField,
    reference: &PlanReference,
    parents: &[ParentKey],
    resolutions: &[Resolution],
) -> Result<Referred> {
    let misses = resolutions.iter().filter(|resolution| resolution.id().is_none()).count();
    let mut ids = Vec::with_capacity(parents.len());
    for (parent, resolution) in parents.iter().zip(resolutions) {
        let Some(id) = resolution.id() else {
            match missing_parent(table, key, field, reference, parent, resolution)? {
                // Of a list, only the element is left out.
                Outcome::Value(_) if reference.list => continue,
                outcome => return Ok(Referred { outcome, misses }),
            }
        };
        ids.push(Value::text(id.as_str()));
    }
    let value = if reference.list { Some(Value::Array(ids)) } else { ids.pop() };
    Ok(Referred { outcome: Outcome::Value(value.unwrap_or_default()), misses })
}

/// What the plan says of a reference whose parent is not in the sink: a value, a row left out, a reject, or the end of
/// the run.
fn missing_parent(
    table: &TableName,
    key: &SourceKey,
    field: &PlanField,
    reference: &PlanReference,
    parent: &ParentKey,
    resolution: &Resolution,
) -> Result<Outcome> {
    let column = field.columns.first().unwrap_or(&field.field);
    let to = reference.parents.get(parent.parent).map(|parent| &parent.to);
    let named = to.map(|to| format!("{to} {}", parent.key)).unwrap_or_default();
    let (code, reason) = match resolution {
        Resolution::Ambiguous { table, key } => {
            (RejectCode::ReferenceAmbiguous, format!("several documents match the natural key of {table} {key}"))
        }
        Resolution::Missing { table, key } if Some(table) != to => (
            RejectCode::ReferenceMissing,
            format!("{named} cannot be found, because its parent {table} {key} is not in the sink"),
        ),
        Resolution::Missing { .. } | Resolution::Found(_) => {
            (RejectCode::ReferenceMissing, format!("{named} is not in the sink"))
        }
    };
    match reference.on_missing {
        MissingParent::Null if code == RejectCode::ReferenceMissing => {
            Ok(Outcome::Value(if field.nullable { Value::Null } else { Value::Absent }))
        }
        MissingParent::Skip if code == RejectCode::ReferenceMissing => Ok(Outcome::Skip),
        MissingParent::Fail => Err(Error::new(ErrorKind::TooManyRejects, format!("go on: {reason}"))
            .with_context("table", table)
            .with_context("key", key)
            .with_context("column", column)
            .with_remedy("bring the parent into the sink, or plan on_missing = \"reject\"")),
        MissingParent::Null | MissingParent::Reject | MissingParent::Skip => {
            Ok(Outcome::Reject(RowError::new(code, format!("{column}: {reason}")).at(Some(column.clone()))))
        }
    }
}
