//! What took how long, and when: a line for each thing, on one axis of time.

use std::fmt::Write as _;

use super::area::ticks;
use super::{Markup, escape, units};

const WIDTH: f64 = 760.0;
const LABELS: f64 = 210.0;
const RIGHT: f64 = 70.0;
const LINE: f64 = 24.0;
const AXIS: f64 = 28.0;
/// Letters of a name that there is room for.
const LETTERS: usize = 30;

/// A time in which something went on.
#[derive(Debug, Clone)]
pub(crate) struct Span {
    /// A class of the style that colours it.
    pub(crate) class: &'static str,
    /// Seconds from the beginning.
    pub(crate) from: f64,
    pub(crate) seconds: f64,
    pub(crate) label: String,
}

/// A thing with its times.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) spans: Vec<Span>,
}

/// The rows below each other, or nothing where there are none.
#[expect(clippy::cast_precision_loss, reason = "a picture has no 2^52 lines")]
pub(crate) fn spans(label: &str, rows: &[Row], seconds: f64) -> Markup {
    let ends = rows.iter().flat_map(|row| &row.spans).map(|span| span.from.max(0.0) + span.seconds.max(0.0));
    let end = ends.fold(seconds, |end, other| if other.is_finite() { end.max(other) } else { f64::INFINITY });
    if rows.is_empty() || !end.is_finite() || end <= 0.0 {
        return Markup::default();
    }
    let height = rows.len() as f64 * LINE + AXIS;
    let room = WIDTH - LABELS - RIGHT;
    let x = |at: f64| LABELS + room * at / end;
    let label = escape::text(label);
    let mut svg = format!(
        "<svg class=\"spans\" viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" aria-label=\"{label}\"><title>{label}</title>"
    );
    for second in ticks(end) {
        let (at, bottom) = (x(second), height - AXIS);
        let _ = write!(svg, "<path class=\"grid\" d=\"M{at:.1} 0V{bottom:.1}\"/>");
        let words = escape::text(&units::seconds(second));
        let _ = write!(svg, "<text x=\"{at:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{words}</text>", height - 8.0);
    }
    for (position, row) in rows.iter().enumerate() {
        let top = position as f64 * LINE;
        let (name, whole) = (escape::text(&crate::wrap::shorten(&row.name, LETTERS)), escape::text(&row.name));
        let _ = write!(
            svg,
            "<text class=\"name\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\"><title>{whole}</title>{name}</text>",
            LABELS - 10.0,
            top + 16.0
        );
        for Span { class, from, seconds, label } in &row.spans {
            let width = (room * seconds / end).max(2.0);
            let words = escape::text(label);
            let _ = write!(
                svg,
                "<rect class=\"{class}\" x=\"{:.1}\" y=\"{:.1}\" width=\"{width:.1}\" height=\"14\" rx=\"3\">\
                 <title>{words}</title></rect>",
                x(*from),
                top + 5.0
            );
        }
        let last = row.spans.iter().map(|span| span.from + span.seconds).fold(0.0, f64::max);
        let took: f64 = row.spans.iter().map(|span| span.seconds).sum();
        let words = escape::text(&units::seconds(took));
        let _ = write!(svg, "<text x=\"{:.1}\" y=\"{:.1}\">{words}</text>", x(last) + 6.0, top + 16.0);
    }
    svg.push_str("</svg>");
    Markup(svg)
}
