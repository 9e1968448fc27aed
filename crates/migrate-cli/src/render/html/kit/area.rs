//! A rate over time as an area, with limits as lines.

use std::fmt::Write as _;

use super::{Markup, escape, units};

const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 230.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = 16.0;
const TOP: f64 = 18.0;
const BOTTOM: f64 = 34.0;
/// A limit that is so many times the peak is not drawn.
const FLAT: f64 = 20.0;

/// A line across an area.
#[derive(Debug, Clone)]
pub(crate) struct Limit {
    pub(crate) value: f64,
    pub(crate) label: String,
}

/// What an area shows.
#[derive(Debug)]
pub(crate) struct Area<'a> {
    /// What it is, for those who do not see it.
    pub(crate) label: &'a str,
    /// The rate in each step of time, first to last.
    pub(crate) rates: &'a [f64],
    /// How long all steps took, in seconds.
    pub(crate) seconds: f64,
    /// Those that the rates passed are drawn, and the next one.
    pub(crate) limits: &'a [Limit],
    /// A rate in words.
    pub(crate) unit: fn(f64) -> String,
}

/// The area, or nothing where there is nothing to show.
#[expect(clippy::cast_precision_loss, reason = "there are a hundred steps or so")]
pub(crate) fn area(area: &Area<'_>) -> Markup {
    let finite = |rate: &f64| if rate.is_finite() { rate.max(0.0) } else { 0.0 };
    let rates: Vec<f64> = area.rates.iter().map(finite).collect();
    let peak = rates.iter().copied().fold(0.0, f64::max);
    if peak <= 0.0 || rates.is_empty() {
        return Markup::default();
    }
    // All limits that were passed, and the next one if it is not so far that the area would be flat below it.
    let next = area.limits.iter().map(|limit| limit.value).filter(|value| *value > peak).reduce(f64::min);
    let highest = next.filter(|next| *next <= peak * FLAT).unwrap_or(peak);
    let shown: Vec<&Limit> = area.limits.iter().filter(|limit| limit.value <= highest).collect();
    let top = shown.iter().map(|limit| limit.value).fold(peak, f64::max);
    let (step, top) = scale(top);
    let x = |at: usize| LEFT + (WIDTH - LEFT - RIGHT) * at as f64 / rates.len() as f64;
    let y = |rate: f64| HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * rate / top;
    let label = escape::text(area.label);
    let mut svg = format!(
        "<svg class=\"area\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{label}\"><title>{label}</title>"
    );
    let mut tick = 0.0;
    while tick <= top * 1.001 {
        let (at, words) = (y(tick), escape::text(&(area.unit)(tick)));
        let end = WIDTH - RIGHT;
        let _ = write!(svg, "<path class=\"grid\" d=\"M{LEFT} {at:.1}H{end}\"/>");
        let _ = write!(svg, "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{words}</text>", LEFT - 8.0, at + 4.0);
        tick += step;
    }
    let mut path = format!("M{LEFT} {:.1}", y(0.0));
    for (at, rate) in rates.iter().enumerate() {
        let _ = write!(path, "L{:.1} {:.1}L{:.1} {:.1}", x(at), y(*rate), x(at + 1), y(*rate));
    }
    let _ = write!(path, "L{:.1} {:.1}Z", x(rates.len()), y(0.0));
    let _ = write!(svg, "<path class=\"rate\" d=\"{path}\"/>");
    for limit in shown {
        let (at, words, end) = (y(limit.value), escape::text(&limit.label), WIDTH - RIGHT);
        let _ = write!(svg, "<path class=\"limit\" d=\"M{LEFT} {at:.1}H{end}\"/>");
        let _ =
            write!(svg, "<text class=\"limit\" x=\"{end}\" y=\"{:.1}\" text-anchor=\"end\">{words}</text>", at - 5.0);
    }
    for second in ticks(area.seconds) {
        let at = LEFT + (WIDTH - LEFT - RIGHT) * second / area.seconds;
        let words = escape::text(&units::seconds(second));
        let anchor = if at > WIDTH - RIGHT - 20.0 { "end" } else { "middle" };
        let _ = write!(
            svg,
            "<text x=\"{at:.1}\" y=\"{:.1}\" text-anchor=\"{anchor}\">{words}</text>",
            HEIGHT - BOTTOM + 20.0
        );
    }
    svg.push_str("</svg>");
    Markup(svg)
}

/// Times to name on an axis that ends there: in seconds, minutes or hours as people count them.
pub(super) fn ticks(end: f64) -> Vec<f64> {
    if !end.is_finite() || end <= 0.0 {
        return Vec::new();
    }
    let minutes = [60.0, 120.0, 300.0, 600.0, 1_200.0, 1_800.0, 3_600.0, 7_200.0, 21_600.0, 43_200.0, 86_400.0];
    let rough = end / 6.0;
    let step =
        if rough <= 30.0 { scale(end).0 } else { minutes.into_iter().find(|step| *step >= rough).unwrap_or(rough) };
    let mut ticks = Vec::new();
    let mut at = 0.0;
    while at <= end * 1.001 && ticks.len() < 12 {
        ticks.push(at);
        at += step;
    }
    ticks
}

/// A step of one, two or five with zeros, of which three to six reach `peak`; and the first of them that does.
fn scale(peak: f64) -> (f64, f64) {
    let rough = peak / 4.0;
    let power = 10_f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].iter().map(|factor| factor * power).find(|step| *step >= rough).unwrap_or(rough);
    (step, (peak / step).ceil() * step)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_round_and_reach_the_peak() {
        for (peak, expected) in
            [(4.0, (1.0, 4.0)), (7.3, (2.0, 8.0)), (0.9, (0.5, 1.0)), (12_345.0, (5_000.0, 15_000.0))]
        {
            let (step, top) = scale(peak);
            assert!((step - expected.0).abs() < 1e-9 && (top - expected.1).abs() < 1e-9, "{peak}: {step} {top}");
        }
    }

    #[test]
    fn times_are_counted_as_people_do() {
        let near = |end: f64, expected: &[f64]| {
            let ticks = ticks(end);
            assert_eq!(ticks.len(), expected.len(), "{end}: {ticks:?}");
            assert!(ticks.iter().zip(expected).all(|(one, other)| (one - other).abs() < 1e-9), "{end}: {ticks:?}");
        };
        near(2.2, &[0.0, 1.0, 2.0]);
        near(0.9, &[0.0, 0.5]);
        near(100.0, &[0.0, 50.0, 100.0]);
        near(400.0, &[0.0, 120.0, 240.0, 360.0]);
        near(10_000.0, &[0.0, 1_800.0, 3_600.0, 5_400.0, 7_200.0, 9_000.0]);
        near(f64::INFINITY, &[]);
        near(0.0, &[]);
        assert!(ticks(1e300).len() <= 12);
    }

    #[test]
    fn limits_far_above_are_left_out() {
        let limits = [4.0, 8.0, 32.0].map(|value| Limit { value, label: format!("<{value}>") });
        let shown = |rates: &[f64]| {
            area(&Area { label: "a", rates, seconds: 10.0, limits: &limits, unit: |rate| format!("{rate}") }).0
        };
        let svg = shown(&[1.0, 3.0, f64::NAN, -2.0]);
        assert!(svg.contains("&lt;4&gt;") && !svg.contains("&lt;8&gt;"), "{svg}");
        let passed = shown(&[9.0]);
        assert!(
            passed.contains("&lt;4&gt;") && passed.contains("&lt;8&gt;") && passed.contains("&lt;32&gt;"),
            "{passed}"
        );
        assert!(!shown(&[0.1]).contains("&lt;4&gt;"), "the area would be flat");
        assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
        assert_eq!(shown(&[]), "");
        assert_eq!(shown(&[0.0, 0.0]), "");
    }
}
