//! Tables and their references: a column for each level, parents to the left of their children.

use std::collections::HashMap;
use std::fmt::Write as _;

use super::{Markup, Tone, escape};
use crate::wrap;

const NODE_WIDTH: f64 = 196.0;
const NODE_HEIGHT: f64 = 44.0;
const COLUMN: f64 = NODE_WIDTH + 84.0;
const LINE: f64 = NODE_HEIGHT + 18.0;
/// Room for a line that passes between boxes.
const GAP: f64 = 16.0;
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
    for (position, edge) in edges.iter().enumerate() {
        if let (Some(child), Some(parent)) = (places.get(&Slot::Node(edge.from)), places.get(&Slot::Node(edge.to))) {
            let gaps = (0..columns.len()).rev().filter_map(|column| places.get(&Slot::Gap(position, column)));
            let gaps: Vec<(f64, f64)> = gaps.copied().collect();
            let words = escape::text(&format!("{} refers to {}", name(nodes, edge.from), name(nodes, edge.to)));
            let class = if edge.cut { "edge cut" } else { "edge" };
            let path = path(*child, &gaps, *parent);
            let _ = write!(
                svg,
                "<path class=\"{class}\" d=\"{path}\" marker-end=\"url(#arrow)\"><title>{words}</title></path>"
            );
        }
    }
    for slot in columns.iter().flatten() {
        if let (Slot::Node(at), Some((x, middle))) = (slot, places.get(slot))
            && let Some(node) = nodes.get(*at)
        {
            write_node(&mut svg, node, *x, middle - NODE_HEIGHT / 2.0);
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

/// What is in a column: a table, or a gap through which an edge passes on its way to a column further left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Slot {
    Node(usize),
    /// The edge's position, and the column.
    Gap(usize, usize),
}

/// The nodes that have references by level, and the gaps between them, in an order that keeps those that are tied close
/// to each other.
fn columns(nodes: &[Node], edges: &[Edge]) -> Vec<Vec<Slot>> {
    let level = |at: usize| nodes.get(at).map_or(0, |node| node.level);
    let mut levels: Vec<usize> = edges.iter().flat_map(|edge| [level(edge.from), level(edge.to)]).collect();
    levels.sort_unstable();
    levels.dedup();
    let column_of = |at: usize| levels.binary_search(&level(at)).unwrap_or_default();
    let mut tied: HashMap<Slot, Vec<Slot>> = HashMap::new();
    for (position, edge) in edges.iter().enumerate() {
        let mut last = Slot::Node(edge.to);
        let gaps = (column_of(edge.to) + 1..column_of(edge.from)).map(|column| Slot::Gap(position, column));
        for slot in gaps.chain([Slot::Node(edge.from)]) {
            tied.entry(last).or_default().push(slot);
            tied.entry(slot).or_default().push(last);
            last = slot;
        }
    }
    let mut columns: Vec<Vec<Slot>> = vec![Vec::new(); levels.len()];
    let mut slots: Vec<Slot> = tied.keys().copied().collect();
    slots.sort_unstable();
    for slot in slots {
        let column = match slot {
            Slot::Node(at) => column_of(at),
            Slot::Gap(_, column) => column,
        };
        if let Some(column) = columns.get_mut(column) {
            column.push(slot);
        }
    }
    for round in 0..ROUNDS {
        let order: Vec<usize> =
            if round % 2 == 0 { (0..columns.len()).collect() } else { (0..columns.len()).rev().collect() };
        for column in order {
            let heights = heights(&columns);
            let Some(own) = columns.get_mut(column) else { continue };
            let wanted = |slot: &Slot| {
                let others = tied.get(slot).into_iter().flatten().filter(|other| *other != slot);
                let others: Vec<f64> = others.filter_map(|other| heights.get(other)).copied().collect();
                mean(&others).or_else(|| heights.get(slot).copied()).unwrap_or_default()
            };
            let mut placed: Vec<(f64, Slot)> = own.iter().map(|slot| (wanted(slot), *slot)).collect();
            placed.sort_by(|one, other| one.0.total_cmp(&other.0).then(one.1.cmp(&other.1)));
            *own = placed.into_iter().map(|(_, slot)| slot).collect();
        }
    }
    columns
}

/// Room that a slot takes in its column.
fn room(slot: Slot) -> f64 {
    match slot {
        Slot::Node(_) => LINE,
        Slot::Gap(..) => GAP,
    }
}

/// How far down the middle of each slot is, with columns centred on each other.
fn heights(columns: &[Vec<Slot>]) -> HashMap<Slot, f64> {
    let mut heights = HashMap::new();
    for column in columns {
        let mut down = -column.iter().copied().map(room).sum::<f64>() / 2.0;
        for slot in column {
            heights.insert(*slot, down + room(*slot) / 2.0);
            down += room(*slot);
        }
    }
    heights
}

#[expect(clippy::cast_precision_loss, reason = "a picture has no 2^52 lines")]
fn mean(numbers: &[f64]) -> Option<f64> {
    (!numbers.is_empty()).then(|| numbers.iter().sum::<f64>() / numbers.len() as f64)
}

/// The left end and the middle of each slot.
#[expect(clippy::cast_precision_loss, reason = "a picture has no 2^52 lines")]
fn places(columns: &[Vec<Slot>]) -> HashMap<Slot, (f64, f64)> {
    let tallest = columns.iter().map(|column| column.iter().copied().map(room).sum::<f64>()).fold(0.0, f64::max);
    let heights = heights(columns);
    let of_column = |(column, own): (usize, &Vec<Slot>)| {
        let x = MARGIN + column as f64 * COLUMN;
        let place = |slot: &Slot| {
            let down = heights.get(slot).copied().unwrap_or_default();
            (*slot, (x, MARGIN + LOOP + tallest / 2.0 + down))
        };
        own.iter().map(place).collect::<Vec<_>>()
    };
    columns.iter().enumerate().flat_map(of_column).collect()
}

fn size(places: &HashMap<Slot, (f64, f64)>) -> (f64, f64) {
    let reach = |(width, height): (f64, f64), (x, y): &(f64, f64)| {
        (width.max(x + NODE_WIDTH + LOOP + MARGIN), height.max(y + LINE / 2.0 + MARGIN))
    };
    places.values().fold((0.0, 0.0), reach)
}

/// From the child's box to its parent's, through the gaps between.
fn path(child: (f64, f64), gaps: &[(f64, f64)], parent: (f64, f64)) -> String {
    let (child_right, parent_right) = (child.0 + NODE_WIDTH, parent.0 + NODE_WIDTH);
    if child == parent {
        let (x, y) = (child_right, child.1 - NODE_HEIGHT / 2.0);
        return format!("M{} {y}C{} {}, {} {}, {x} {}", x - 30.0, x - 24.0, y - LOOP, x + LOOP, y - 12.0, y + 14.0);
    }
    if parent.0 >= child.0 {
        // Against the order of levels, or within one: around the right side of both.
        let bend = child_right.max(parent_right) + 34.0;
        return format!(
            "M{child_right} {:.1}C{bend} {:.1}, {bend} {:.1}, {} {:.1}",
            child.1,
            child.1,
            parent.1,
            parent_right + 3.0,
            parent.1
        );
    }
    let mut path = format!("M{} {:.1}", child.0, child.1);
    let (mut x, mut y) = child;
    for (left, middle) in gaps {
        curve(&mut path, (x, y), (left + NODE_WIDTH, *middle));
        let _ = write!(path, "H{left}");
        (x, y) = (*left, *middle);
    }
    curve(&mut path, (x, y), (parent_right + 3.0, parent.1));
    path
}

/// On from one point to one further left, level at both ends.
fn curve(path: &mut String, from: (f64, f64), to: (f64, f64)) {
    let bend = ((from.0 - to.0) / 2.0).max(20.0);
    let _ = write!(path, "C{} {:.1}, {} {:.1}, {} {:.1}", from.0 - bend, from.1, to.0 + bend, to.1, to.0, to.1);
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
        let order = |column: usize| -> Vec<usize> {
            let nodes = columns[column].iter().filter_map(|slot| match slot {
                Slot::Node(at) => Some(*at),
                Slot::Gap(..) => None,
            });
            nodes.collect()
        };
        assert!([([0, 1], [4, 3]), ([1, 0], [3, 4])].iter().any(|(left, right)| order(0) == left && order(1) == right));
        assert_eq!(order(2), [5], "levels without tables take no room");
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
            assert!(*x >= 0.0 && *y >= LOOP && x + NODE_WIDTH <= width && y + NODE_HEIGHT / 2.0 <= height);
            for (other, (other_x, other_y)) in &places {
                let apart =
                    (x - other_x).abs() >= NODE_WIDTH || (y - other_y).abs() >= f64::midpoint(room(*at), room(*other));
                assert!(at == other || apart, "{at:?} and {other:?}");
            }
        }
        let gaps = places.keys().filter(|slot| matches!(slot, Slot::Gap(..))).count();
        assert!(gaps > 0, "some edges pass a level");
    }

    #[test]
    fn names_are_text() {
        let nodes = [Node { anchor: Some("a\"b".to_owned()), ..node("<b>", 0) }, node("c", 1)];
        let svg = graph("<i>", &nodes, &[Edge { cut: true, ..edge(1, 0) }, edge(0, 0)]).0;
        assert!(svg.contains("&lt;b&gt;") && svg.contains("#a&quot;b") && !svg.contains("<b>") && !svg.contains("<i>"));
        assert!(svg.contains("class=\"edge cut\""));
    }
}
