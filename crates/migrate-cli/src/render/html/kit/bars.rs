//! A whole as a bar of its parts.

use std::fmt::Write as _;

use super::{Markup, escape};

/// A part of a bar.
#[derive(Debug, Clone)]
pub(crate) struct Part {
    /// A class of the style that colours it, such as `inserted`.
    pub(crate) class: &'static str,
    pub(crate) label: String,
    pub(crate) count: u64,
}

/// Least width of a part that is there, in percent: a few rejects among millions are to be seen.
const LEAST: f64 = 0.8;

/// The parts side by side, as wide as the place they are in. Nothing where all are empty.
#[expect(clippy::cast_precision_loss, reason = "a picture needs no exact count")]
pub(crate) fn bar(parts: &[Part]) -> Markup {
    let parts: Vec<&Part> = parts.iter().filter(|part| part.count > 0).collect();
    let whole: f64 = parts.iter().map(|part| part.count as f64).sum();
    if parts.is_empty() {
        return Markup::default();
    }
    let wanted: Vec<f64> = parts.iter().map(|part| (part.count as f64 * 100.0 / whole).max(LEAST)).collect();
    let scale = 100.0 / wanted.iter().sum::<f64>();
    let words: Vec<String> =
        parts.iter().map(|part| format!("{} {}", crate::render::thousands(part.count), part.label)).collect();
    let words = escape::text(&words.join(", "));
    let mut svg = format!("<svg class=\"bar\" role=\"img\" aria-label=\"{words}\"><title>{words}</title>");
    let mut at = 0.0;
    for (part, wanted) in parts.iter().zip(wanted) {
        let width = wanted * scale;
        let class = part.class;
        let _ = write!(svg, "<rect class=\"{class}\" x=\"{at:.2}%\" width=\"{width:.2}%\" height=\"100%\"/>");
        at += width;
    }
    svg.push_str("</svg>");
    Markup(svg)
}
