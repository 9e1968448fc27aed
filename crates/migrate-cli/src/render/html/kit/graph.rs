//! Tables and their references: a column for each level, parents to the left of their children.

use std::collections::HashMap;
use std::fmt::Write as _;

use super::{Markup, Tone, escape};
use crate::wrap;

const NODE_WIDTH: f64 = 196.0;
const NODE_HEIGHT: f64 = 44.0;
const COLUMN: f64 = NODE_WIDTH + 84.0;
const LINE: f64 = NODE_HEIGHT + 18.0;
const MARGIN: f64 = 12.0;
/// Room for the loop of a reference to itself.
const LOOP: f64 = 26.0;
/// Letters that there is room for in a box.
const LETTERS: usize = 24;
/// Rounds of putting each box beside those that it is tied to.
const ROUNDS: usize = 8;

/// A table.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub(crate) name: String,
    /// The second line, such as rows and state.
    pub(crate) detail: String,
    pub(crate) tone: Tone,
    pub(crate) level: usize,
    /// Where on the page it is told more of, without `#`.
    pub(crate) anchor: Option<String>,
}

/// A reference, by positions in the list of nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Edge {
    /// The table that refers.
    pub(crate) from: usize,
    /// The table referred to.
    pub(crate) to: usize,
    /// Whether it is set after all tables are there.
    pub(crate) cut: bool,
}

/// The graph in its own size, or nothing where there are no references. Tables without any are left out; edges to no
/// node too.
pub(crate) fn graph(label: &str, nodes: &[Node], edges: &[Edge]) -> Markup {
    let edges: Vec<Edge> =
        edges.iter().copied().filter(|edge| edge.from < nodes.len() && edge.to < nodes.len()).collect();
    let columns = columns(nodes, &edges);
    if columns.is_empty() {
        return Markup::default();
    }
    let places = places(&columns);
    let (width, height) = size(&places);
    let label = escape::text(label);
    let mut svg = format!(
        "<svg class=\"graph\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\" role=\"group\" \
         aria-label=\"{label}\"><defs><marker id=\"arrow\" viewBox=\"0 0 8 8\" refX=\"7\" refY=\"4\" markerWidth=\"7\" \
         markerHeight=\"7\" orient=\"auto-start-reverse\"><path class=\"tip\" d=\"M0 0.5L8 4L0 7.5Z\"/></marker></defs>"
    );
    for edge in &edges {
        if let (Some(child), Some(parent)) = (places.get(&edge.from), places.get(&edge.to)) {
            let words = escape::text(&format!("{} refers to {}", name(nodes, edge.from), name(nodes, edge.to)));
            let class = if edge.cut { "edge cut" } else { "edge" };
            let path = path(*child, *parent);
            let _ = write!(
                svg,
                "<path class=\"{class}\" d=\"{path}\" marker-end=\"url(#arrow)\"><title>{words}</title></path>"
            );
        }
    }
    for at in columns.iter().flatten() {
        if let (Some(node), Some((x, y))) = (nodes.get(*at), places.get(at)) {
            write_node(&mut svg, node, *x, *y);
        }
    }
    svg.push_str("</svg>");
    Markup(svg)
}

fn name(nodes: &[Node], at: usize) -> &str {
    nodes.get(at).map_or("", |node| &node.name)
}

fn write_node(svg: &mut String, node: &Node, x: f64, y: f64) {
    let (tone, whole) = (node.tone.as_str(), escape::text(&format!("{}: {}", node.name, node.detail)));
    let (name, detail) =
        (escape::text(&wrap::shorten(&node.name, LETTERS)), escape::text(&wrap::shorten(&node.detail, LETTERS + 6)));
    let text_x = x + 14.0;
    let inner = format!(
        "<g class=\"node {tone}\"><title>{whole}</title>\
         <rect class=\"box\" x=\"{x}\" y=\"{y}\" width=\"{NODE_WIDTH}\" height=\"{NODE_HEIGHT}\" rx=\"7\"/>\
         <rect class=\"edge-of-box\" x=\"{x}\" y=\"{y}\" width=\"5\" height=\"{NODE_HEIGHT}\" rx=\"2.5\"/>\
         <text class=\"name\" x=\"{text_x}\" y=\"{}\">{name}</text>\
         <text class=\"detail\" x=\"{text_x}\" y=\"{}\">{detail}</text></g>",
        y + 18.0,
        y + 35.0
    );
    match &node.anchor {
        Some(anchor) => {
            let _ = write!(svg, "<a href=\"#{}\">{inner}</a>", escape::text(anchor));
        }
        None => svg.push_str(&inner),
    }
}

/// The nodes that have references, by level, in an order that keeps those that are tied close to each other.
fn columns(nodes: &[Node], edges: &[Edge]) -> Vec<Vec<usize>> {
    let mut tied: HashMap<usize, Vec<usize>> = HashMap::new();
    for edge in edges {
        tied.entry(edge.from).or_default().push(edge.to);
        tied.entry(edge.to).or_default().push(edge.from);
    }
    let mut levels: Vec<usize> = tied.keys().filter_map(|at| nodes.get(*at).map(|node| node.level)).collect();
    levels.sort_unstable();
    levels.dedup();
    let of_level = |level: &usize| {
        let own = (0..nodes.len())
            .filter(|at| tied.contains_key(at) && nodes.get(*at).is_some_and(|node| node.level == *level));
        own.collect::<Vec<usize>>()
    };
    let mut columns: Vec<Vec<usize>> = levels.iter().map(of_level).collect();
    for round in 0..ROUNDS {
        let order: Vec<usize> =
            if round % 2 == 0 { (0..columns.len()).collect() } else { (0..columns.len()).rev().collect() };
        for column in order {
            let heights = heights(&columns);
            let Some(own) = columns.get_mut(column) else { continue };
            let wanted = |at: &usize| {
                let others = tied.get(at).into_iter().flatten().filter(|other| *other != at);
                let others: Vec<f64> = others.filter_map(|other| heights.get(other)).copied().collect();
                mean(&others).or_else(|| heights.get(at).copied()).unwrap_or_default()
            };
            let mut placed: Vec<(f64, usize)> = own.iter().map(|at| (wanted(at), *at)).collect();
            placed.sort_by(|one, other| one.0.total_cmp(&other.0).then(one.1.cmp(&other.1)));
            *own = placed.into_iter().map(|(_, at)| at).collect();
        }
    }
    columns
}

/// How far down each node is, with columns centred on each other.
#[expect(clippy::cast_precision_loss, reason = "a picture has no 2^52 lines")]
fn heights(columns: &[Vec<usize>]) -> HashMap<usize, f64> {
    let of_column = |column: &Vec<usize>| {
        let middle = (column.len() as f64 - 1.0) / 2.0;
        column.iter().enumerate().map(|(position, at)| (*at, position as f64 - middle)).collect::<Vec<_>>()
    };
    columns.iter().flat_map(of_column).collect()
}

#[expect(clippy::cast_precision_loss, reason = "a picture has no 2^52 lines")]
fn mean(numbers: &[f64]) -> Option<f64> {
    (!numbers.is_empty()).then(|| numbers.iter().sum::<f64>() / numbers.len() as f64)
}

/// The upper left corner of each node's box.
#[expect(clippy::cast_precision_loss, reason = "a picture has no 2^52 lines")]
fn places(columns: &[Vec<usize>]) -> HashMap<usize, (f64, f64)> {
    let tallest = columns.iter().map(Vec::len).max().unwrap_or_default() as f64;
    let heights = heights(columns);
    let mut places = HashMap::new();
    for (column, own) in columns.iter().enumerate() {
        for at in own {
            let down = heights.get(at).copied().unwrap_or_default() + (tallest - 1.0) / 2.0;
            places.insert(*at, (MARGIN + column as f64 * COLUMN, MARGIN + LOOP + down * LINE));
        }
    }
    places
}

fn size(places: &HashMap<usize, (f64, f64)>) -> (f64, f64) {
    let reach = |(width, height): (f64, f64), (x, y): &(f64, f64)| {
        (width.max(x + NODE_WIDTH + LOOP + MARGIN), height.max(y + NODE_HEIGHT + MARGIN))
    };
    places.values().fold((0.0, 0.0), reach)
}

/// From the child's box to its parent's.
fn path(child: (f64, f64), parent: (f64, f64)) -> String {
    let middle = NODE_HEIGHT / 2.0;
    let (child_y, parent_y) = (child.1 + middle, parent.1 + middle);
    let (child_right, parent_right) = (child.0 + NODE_WIDTH, parent.0 + NODE_WIDTH);
    if child == parent {
        let (x, y) = (child_right, child.1);
        return format!("M{} {y}C{} {}, {} {}, {x} {}", x - 30.0, x - 24.0, y - LOOP, x + LOOP, y - 12.0, y + 14.0);
    }
    if parent.0 < child.0 {
        let bend = ((child.0 - parent_right) / 2.0).max(30.0);
        return format!(
            "M{} {child_y:.1}C{} {child_y:.1}, {} {parent_y:.1}, {} {parent_y:.1}",
            child.0,
            child.0 - bend,
            parent_right + bend,
            parent_right + 3.0
        );
    }
    // Against the order of levels, or within one: around the right side of both.
    let bend = child_right.max(parent_right) + 34.0;
    format!(
        "M{child_right} {child_y:.1}C{bend} {child_y:.1}, {bend} {parent_y:.1}, {} {parent_y:.1}",
        parent_right + 3.0
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(name: &str, level: usize) -> Node {
        Node { name: name.to_owned(), detail: "3 rows".to_owned(), tone: Tone::Good, level, anchor: None }
    }

    fn edge(from: usize, to: usize) -> Edge {
        Edge { from, to, cut: false }
    }

    #[test]
    fn columns_are_levels_and_lines_do_not_cross() {
        let nodes = [node("a", 0), node("b", 0), node("alone", 0), node("of_b", 1), node("of_a", 1), node("deep", 4)];
        let edges = [edge(3, 1), edge(4, 0), edge(5, 3), edge(9, 0)];
        let columns = columns(&nodes, &edges[..3]);
        let (parents, children) = (columns[0].clone(), columns[1].clone());
        assert!([([0, 1], [4, 3]), ([1, 0], [3, 4])].iter().any(|(left, right)| parents == left && children == right));
        assert_eq!(columns[2], [5], "levels without tables take no room");
        let svg = graph("tables", &nodes, &edges).0;
        assert!(svg.contains("of_b refers to b") && !svg.contains("alone"), "{svg}");
        assert_eq!(svg.matches("class=\"edge\"").count(), 3, "an edge to no node is left out");
        assert_eq!(graph("tables", &nodes, &[]).0, "");
    }

    #[test]
    fn boxes_do_not_overlap_and_are_inside() {
        let nodes: Vec<Node> = (0..40).map(|at| node(&format!("t{at}"), at % 5)).collect();
        let edges: Vec<Edge> = (5..40).map(|at| edge(at, at / 2)).chain([edge(7, 7), edge(3, 8)]).collect();
        let places = places(&columns(&nodes, &edges));
        let (width, height) = size(&places);
        for (at, (x, y)) in &places {
            assert!(*x >= 0.0 && *y >= LOOP && x + NODE_WIDTH <= width && y + NODE_HEIGHT <= height);
            for (other, (other_x, other_y)) in &places {
                let apart = (x - other_x).abs() >= NODE_WIDTH || (y - other_y).abs() >= NODE_HEIGHT;
                assert!(at == other || apart, "{at} and {other}");
            }
        }
    }

    #[test]
    fn names_are_text() {
        let nodes = [Node { anchor: Some("a\"b".to_owned()), ..node("<b>", 0) }, node("c", 1)];
        let svg = graph("<i>", &nodes, &[Edge { cut: true, ..edge(1, 0) }, edge(0, 0)]).0;
        assert!(svg.contains("&lt;b&gt;") && svg.contains("#a&quot;b") && !svg.contains("<b>") && !svg.contains("<i>"));
        assert!(svg.contains("class=\"edge cut\""));
    }
}
