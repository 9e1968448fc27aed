use std::collections::{BTreeSet, HashMap};

use petgraph::algo::tarjan_scc;
use petgraph::graph::{DiGraph, NodeIndex};

use super::{AdoptedTable, Conversion, PlanField, PlanParent, PlanReference, PlanTable, WriteMethod};
use crate::names::TableName;

/// Cycles of references that cannot be cut: every reference in them is required.
#[derive(Debug)]
pub(super) struct UncuttableCycles(pub(super) Vec<Vec<TableName>>);

/// Cuts self references and one nullable reference of each cycle, gives every table its level, and sorts by it.
///
/// Only references between tables of the plan count: adopted parents are there before the run. Returns what was cut, as
/// `table.field`.
///
/// In a snapshot, ids are computed from keys: only references to other columns than the key need an order, and none can
/// be cut, because there is no second pass.
pub(super) fn order(
    tables: &mut [PlanTable],
    adopted: &[AdoptedTable],
    write: WriteMethod,
) -> Result<Vec<String>, UncuttableCycles> {
    let (mut cut, mut uncuttable) = (Vec::new(), Vec::new());
    // The tables of a cycle are one component. Each round cuts one reference of every one; what is left of them may hold
    // further cycles, and nothing else does.
    let mut pending: Vec<Vec<usize>> = vec![(0..tables.len()).collect()];
    while !pending.is_empty() {
        let mut left = Vec::new();
        let found: Vec<Vec<usize>> =
            pending.iter().flat_map(|members| components(tables, adopted, members, write)).collect();
        for mut component in found {
            component.sort_unstable();
            if is_cycle(tables, &component, write) {
                match cut_one(tables, &component, write) {
                    Ok(link) => {
                        cut.push(link);
                        left.push(component);
                    }
                    Err(names) => uncuttable.push(names),
                }
            }
        }
        pending = left;
    }
    if !uncuttable.is_empty() {
        return Err(UncuttableCycles(uncuttable));
    }
    let all: Vec<usize> = (0..tables.len()).collect();
    let graph = graph(tables, adopted, &all, write);
    let mut levels = vec![0_usize; tables.len()];
    // tarjan_scc gives parents (targets of edges) before children.
    for node in tarjan_scc(&graph).into_iter().flatten() {
        let level =
            graph.neighbors(node).filter_map(|parent| levels.get(parent.index())).max().map_or(0, |&top| top + 1);
        if let Some(slot) = levels.get_mut(node.index()) {
            *slot = level;
        }
    }
    for (table, level) in tables.iter_mut().zip(levels) {
        table.level = level;
    }
    tables.sort_by_key(|table| table.level);
    Ok(cut)
}

/// The strongly connected components of some tables.
fn components(
    tables: &[PlanTable],
    adopted: &[AdoptedTable],
    members: &[usize],
    write: WriteMethod,
) -> Vec<Vec<usize>> {
    let position = |node: NodeIndex| members.get(node.index()).copied();
    let components = tarjan_scc(&graph(tables, adopted, members, write));
    components.into_iter().map(|component| component.into_iter().filter_map(position).collect()).collect()
}

/// Child to parent among some tables, for references that are not cut. Nodes are in the order of `members`.
///
/// A reference to an adopted table waits for the tables that its natural key refers to.
fn graph(tables: &[PlanTable], adopted: &[AdoptedTable], members: &[usize], write: WriteMethod) -> DiGraph<(), ()> {
    let mut graph = DiGraph::new();
    let members: Vec<&PlanTable> = members.iter().filter_map(|&at| tables.get(at)).collect();
    let nodes: HashMap<&TableName, NodeIndex> =
        members.iter().map(|table| (&table.source, graph.add_node(()))).collect();
    for table in &members {
        for reference in table.fields.iter().filter_map(PlanField::reference).filter(|reference| !reference.cut) {
            let Some(&child) = nodes.get(&table.source) else { continue };
            let waited_for = waited_for(reference, write).flat_map(|parent| behind(parent, adopted));
            for parent in waited_for.filter_map(|parent| nodes.get(parent)) {
                graph.update_edge(child, *parent, ());
            }
        }
    }
    graph
}

/// The tables that must be there before a reference to them can be resolved.
fn waited_for(reference: &PlanReference, write: WriteMethod) -> impl Iterator<Item = &TableName> {
    let waits = move |parent: &&PlanParent| write == WriteMethod::Mutations || !parent.to.columns().is_empty();
    reference.parents.iter().filter(waits).map(|parent| parent.to.table())
}

/// A parent and, where it is adopted, the tables that its natural key needs, at whatever distance.
fn behind<'a>(parent: &'a TableName, adopted: &'a [AdoptedTable]) -> Vec<&'a TableName> {
    let mut tables = vec![parent];
    let mut at = 0;
    while let Some(&table) = tables.get(at) {
        at += 1;
        let natural_key = adopted.iter().filter(|other| other.source == *table).flat_map(|other| &other.natural_key);
        for next in natural_key.filter_map(PlanField::reference).flat_map(PlanReference::tables) {
            if !tables.contains(&next) {
                tables.push(next);
            }
        }
    }
    tables
}

fn is_cycle(tables: &[PlanTable], component: &[usize], write: WriteMethod) -> bool {
    match component {
        [only] => tables.get(*only).is_some_and(|table| {
            let mut references = table.fields.iter().filter_map(PlanField::reference);
            references
                .any(|reference| !reference.cut && waited_for(reference, write).any(|parent| *parent == table.source))
        }),
        several => several.len() > 1,
    }
}

/// Cuts the first reference inside the component that documents may lack; the component's tables where there is none.
fn cut_one(tables: &mut [PlanTable], members: &[usize], write: WriteMethod) -> Result<String, Vec<TableName>> {
    let names: BTreeSet<TableName> =
        members.iter().filter_map(|&at| tables.get(at)).map(|table| table.source.clone()).collect();
    for &at in members {
        let Some(table) = tables.get_mut(at).filter(|_| write == WriteMethod::Mutations) else { continue };
        for field in &mut table.fields {
            if let Conversion::Reference(reference) = &mut field.conversion
                && !reference.cut
                && (field.optional || field.nullable || reference.list)
                && reference.tables().any(|parent| names.contains(parent))
            {
                reference.cut = true;
                field.optional = true;
                return Ok(format!("{}.{}", table.source, field.field));
            }
        }
    }
    Err(names.into_iter().collect())
}
