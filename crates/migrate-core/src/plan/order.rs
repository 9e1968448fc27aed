use std::collections::HashMap;

use petgraph::algo::tarjan_scc;
use petgraph::graph::{DiGraph, NodeIndex};

use super::{AdoptedTable, Conversion, PlanField, PlanReference, PlanTable};
use crate::names::TableName;

/// A cycle of references that cannot be cut: every reference in it is required.
#[derive(Debug)]
pub(super) struct UncuttableCycle(pub(super) Vec<TableName>);

/// Cuts self references and one nullable reference of each cycle, gives every table its level, and sorts by it.
///
/// Only references between tables of the plan count: adopted parents are there before the run. Returns what was cut, as
/// `table.field`.
pub(super) fn order(tables: &mut [PlanTable], adopted: &[AdoptedTable]) -> Result<Vec<String>, UncuttableCycle> {
    let mut cut = Vec::new();
    loop {
        let graph = graph(tables, adopted);
        let Some(cycle) = tarjan_scc(&graph)
            .into_iter()
            .map(|component| component.into_iter().map(petgraph::prelude::NodeIndex::index).collect::<Vec<usize>>())
            .find(|component| is_cycle(tables, component))
        else {
            break;
        };
        cut.push(cut_one(tables, &cycle)?);
    }
    let graph = graph(tables, adopted);
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

/// Child to parent, for references that are not cut.
///
/// A reference to an adopted table waits for the tables that its natural key refers to.
fn graph(tables: &[PlanTable], adopted: &[AdoptedTable]) -> DiGraph<(), ()> {
    let mut graph = DiGraph::new();
    let nodes: HashMap<&TableName, NodeIndex> =
        tables.iter().map(|table| (&table.source, graph.add_node(()))).collect();
    for table in tables {
        for field in &table.fields {
            if let Conversion::Reference(reference) = &field.conversion
                && !reference.cut
                && let Some(&child) = nodes.get(&table.source)
            {
                for parent in reference.tables().flat_map(|parent| behind(parent, adopted)) {
                    if let Some(&parent) = nodes.get(parent) {
                        graph.update_edge(child, parent, ());
                    }
                }
            }
        }
    }
    graph
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

fn is_cycle(tables: &[PlanTable], component: &[usize]) -> bool {
    match component {
        [only] => tables.get(*only).is_some_and(|table| {
            table.fields.iter().any(|field| match &field.conversion {
                Conversion::Reference(reference) => {
                    !reference.cut && reference.tables().any(|parent| *parent == table.source)
                }
                _ => false,
            })
        }),
        several => several.len() > 1,
    }
}

/// Cuts the first reference inside the component that documents may lack.
fn cut_one(tables: &mut [PlanTable], component: &[usize]) -> Result<String, UncuttableCycle> {
    let mut members: Vec<usize> = component.to_vec();
    members.sort_unstable();
    let names: Vec<TableName> =
        members.iter().filter_map(|&at| tables.get(at)).map(|table| table.source.clone()).collect();
    for &at in &members {
        let Some(table) = tables.get_mut(at) else { continue };
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
    Err(UncuttableCycle(names))
}
