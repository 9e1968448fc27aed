//! How fast it went, and when what went on.

use migrate_core::plan::WriteMethod;
use migrate_core::report::{Phase, Report, SpanReport, TimingReport};
use minijinja::{Value, context};

use super::super::kit::area::{Area, Limit, area};
use super::super::kit::spans::{Row, Span, spans};
use super::super::kit::units;
use crate::render::thousands;

/// Classes of Convex deployments and the bytes a second that each takes, index entries included (Convex documentation,
/// "Limits").
const CLASSES: [(&str, u64); 4] = [("S16", 4), ("S256", 8), ("D1024", 32), ("D2048", 64)];
const MIB: f64 = 1024.0 * 1024.0;
/// The time that Convex's limits are for, and that rates are means over at least.
const SECOND: f64 = 1.0;
/// Tables that have a line in the drawing; the longest are shown.
const MOST_ROWS: usize = 40;

pub(super) fn values(report: &Report) -> Option<Value> {
    let timing = report.timing.as_ref()?;
    let by_mutations = report.plan.as_ref().is_none_or(|plan| plan.sink.write == WriteMethod::Mutations);
    let bytes = rates(timing, &timing.bytes);
    let rows = rates(timing, &timing.rows);
    let written: u64 = timing.bytes.iter().fold(0, |sum, bytes| sum.saturating_add(*bytes));
    let peak = bytes.iter().copied().fold(0.0, f64::max);
    let retries = timing.retries.iter().fold(0_u64, |sum, count| sum.saturating_add(*count));
    let limits: Vec<Limit> = if by_mutations {
        let limit =
            |(name, mib): &(&str, u64)| Limit { value: as_f64(*mib), label: format!("{mib} MiB/s: class {name}") };
        CLASSES.iter().map(limit).collect()
    } else {
        Vec::new()
    };
    let mib: Vec<f64> = bytes.iter().map(|rate| rate / MIB).collect();
    let seconds = as_f64(timing.rows.len() as u64) * timing.step_seconds;
    let drawn = area(&Area { label: "MiB written a second", rates: &mib, seconds, limits: &limits, unit: mib_words });
    let row_area = area(&Area { label: "Rows a second", rates: &rows, seconds, limits: &[], unit: row_words });
    let classes: Vec<Value> = CLASSES
        .iter()
        .map(|&(name, mib)| {
            let least = as_f64(written) / (as_f64(mib) * MIB);
            context! { name, limit => mib, least, passed => peak > as_f64(mib) * MIB }
        })
        .collect();
    let (copy_seconds, mean) = mean(timing, written);
    Some(context! {
        by_mutations,
        area => drawn,
        rows => row_area,
        written,
        peak => if written > 0 { Some(rate_words(peak)) } else { None },
        // A mean of a second or so says no more than the peak.
        mean => mean.filter(|_| copy_seconds >= 3.0 * SECOND).map(rate_words),
        has_links => timing.spans.iter().any(|span| span.phase == Phase::Link),
        row_peak => row_words(rows.iter().copied().fold(0.0, f64::max)),
        step => timing.step_seconds.max(SECOND),
        retries,
        classes,
        phases => phases(timing),
        spans => table_spans(timing),
        span_count => timing.spans.iter().filter(|span| span.table.is_some()).count(),
        most_rows => MOST_ROWS,
    })
}

/// What comes out a second, for each step: the mean over the second before its end, where steps are shorter.
fn rates(timing: &TimingReport, counts: &[u64]) -> Vec<f64> {
    if timing.step_seconds.is_nan() || timing.step_seconds <= 0.0 {
        return Vec::new();
    }
    let steps = whole_steps(SECOND / timing.step_seconds).max(1);
    let rate = |at: usize| {
        let window = counts.get((at + 1).saturating_sub(steps)..=at).unwrap_or_default();
        window.iter().map(|count| as_f64(*count)).sum::<f64>() / (as_f64(window.len() as u64) * timing.step_seconds)
    };
    (0..counts.len()).map(rate).collect()
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "`as` stops at the ends")]
fn whole_steps(steps: f64) -> usize {
    steps.ceil() as usize
}

/// The time from the first copy to the end of the last, and the bytes a second in it.
fn mean(timing: &TimingReport, written: u64) -> (f64, Option<f64>) {
    let copies = timing.spans.iter().filter(|span| span.table.is_some());
    let (from, to) = copies.fold((f64::INFINITY, 0.0_f64), |(from, to), span| {
        (from.min(span.from_seconds), to.max(span.from_seconds + span.seconds))
    });
    let seconds = if to > from { to - from } else { 0.0 };
    (seconds, (written > 0 && seconds > 0.0).then(|| as_f64(written) / seconds))
}

/// Preparation, copies, links and the end: the copies and links of all tables together.
fn phases(timing: &TimingReport) -> Vec<Value> {
    let words = [
        (Phase::Prepare, "Checks before the first table"),
        (Phase::Copy, "Tables copied"),
        (Phase::Link, "Links set that were cut"),
        (Phase::Finish, "After the last row: counts, import"),
    ];
    let of = |(phase, name): (Phase, &str)| {
        let own: Vec<&SpanReport> = timing.spans.iter().filter(|span| span.phase == phase).collect();
        let from = own.iter().map(|span| span.from_seconds).reduce(f64::min)?;
        let to = own.iter().map(|span| span.from_seconds + span.seconds).fold(from, f64::max);
        Some(context! { name, from, seconds => to - from })
    };
    words.into_iter().filter_map(of).collect()
}

fn table_spans(timing: &TimingReport) -> super::super::kit::Markup {
    let mut rows: Vec<Row> = Vec::new();
    for span in &timing.spans {
        let Some(table) = &span.table else { continue };
        let (class, word) = if span.phase == Phase::Link { ("link", "links of") } else { ("copy", "copy of") };
        let name = table.to_string();
        let label = format!("{word} {name}: {}", units::seconds(span.seconds));
        let drawn = Span { class, from: span.from_seconds, seconds: span.seconds, label };
        match rows.iter_mut().find(|row| row.name == name) {
            Some(row) => row.spans.push(drawn),
            None => rows.push(Row { name, spans: vec![drawn] }),
        }
    }
    if rows.len() > MOST_ROWS {
        let took = |row: &Row| row.spans.iter().map(|span| span.seconds).sum::<f64>();
        let mut times: Vec<f64> = rows.iter().map(took).collect();
        times.sort_by(|one, other| other.total_cmp(one));
        let least = times.get(MOST_ROWS - 1).copied().unwrap_or_default();
        rows.retain(|row| took(row) >= least);
        rows.truncate(MOST_ROWS);
    }
    spans("When each table was copied", &rows, timing.seconds)
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a rate to look at; `as` stops at the ends"
)]
fn rate_words(rate: f64) -> String {
    format!("{}/s", units::bytes(rate.round() as u64))
}

fn mib_words(rate: f64) -> String {
    let rounded = (rate * 1000.0).round() / 1000.0;
    format!("{rounded} MiB/s")
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a rate to look at; `as` stops at the ends"
)]
fn row_words(rate: f64) -> String {
    thousands(rate.round() as u64)
}

#[expect(clippy::cast_precision_loss, reason = "a rate needs no exact count")]
fn as_f64(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn timing(step_seconds: f64, bytes: &[u64]) -> TimingReport {
        TimingReport { step_seconds, bytes: bytes.to_vec(), ..TimingReport::default() }
    }

    fn near(rates: &[f64], expected: &[f64]) {
        assert_eq!(rates.len(), expected.len());
        assert!(rates.iter().zip(expected).all(|(one, other)| (one - other).abs() < 1e-9), "{rates:?}");
    }

    #[test]
    fn rates_are_means_over_a_second_or_a_step() {
        let short = timing(0.25, &[100, 0, 0, 0, 0]);
        near(&rates(&short, &short.bytes), &[400.0, 200.0, 400.0 / 3.0, 100.0, 0.0]);
        let long = timing(4.0, &[100, 0, 8]);
        near(&rates(&long, &long.bytes), &[25.0, 0.0, 2.0]);
        for step in [0.0, -1.0, f64::NAN] {
            assert!(rates(&timing(step, &[1]), &[1]).is_empty());
        }
    }
}
