//! When a run did what: rates in steps of time, and the times of phases and tables.

use std::time::Duration;

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::names::TableName;

/// Most steps of time that are kept.
const STEPS: usize = 120;
/// The first width of a step; it doubles whenever there is no room for another.
const FIRST_STEP: Duration = Duration::from_millis(250);

/// When the last run did what. Times are seconds since it began.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TimingReport {
    /// How long it took.
    pub seconds: f64,
    /// How long a step of the lists below is.
    pub step_seconds: f64,
    /// Rows whose fate became durable, in each step; at most 120 of them.
    pub rows: Vec<u64>,
    /// Bytes written, in each step, by the sink's own measure.
    pub bytes: Vec<u64>,
    /// Calls that were repeated, in each step.
    pub retries: Vec<u64>,
    /// What went on when, in the order of beginning.
    pub spans: Vec<SpanReport>,
}

/// A time in which something went on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SpanReport {
    /// What.
    pub phase: Phase,
    /// Of which table; none for what is of all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub table: Option<TableName>,
    /// When it began.
    pub from_seconds: f64,
    /// How long it took.
    pub seconds: f64,
}

/// What goes on in a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Checks of both sides, before the first table.
    Prepare,
    /// Rows are read, converted and written.
    Copy,
    /// References that were cut are set.
    Link,
    /// What comes behind the last row: counts, and the import of a snapshot.
    Finish,
}

/// Folds what happens into a [`TimingReport`]. All times are since the beginning.
#[derive(Debug)]
pub(super) struct Timeline {
    step: Duration,
    steps: Vec<Step>,
    tables: IndexMap<TableName, TableTimes>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Step {
    rows: u64,
    bytes: u64,
    retries: u64,
}

#[derive(Debug, Default)]
struct TableTimes {
    began: Option<Duration>,
    /// The last sign of life of the copy.
    copied: Option<Duration>,
    linking: Option<Duration>,
    linked: Option<Duration>,
}

impl Default for Timeline {
    fn default() -> Self {
        Self { step: FIRST_STEP, steps: Vec::new(), tables: IndexMap::new() }
    }
}

impl Timeline {
    pub(super) fn wrote(&mut self, at: Duration, table: &TableName, rows: u64, bytes: u64) {
        let step = self.step_at(at);
        step.rows = step.rows.saturating_add(rows);
        step.bytes = step.bytes.saturating_add(bytes);
        self.sign_of_life(at, table);
    }

    pub(super) fn retried(&mut self, at: Duration) {
        let step = self.step_at(at);
        step.retries = step.retries.saturating_add(1);
    }

    pub(super) fn began(&mut self, at: Duration, table: &TableName) {
        self.tables.entry(table.clone()).or_default().began.get_or_insert(at);
    }

    /// A table was read, or its rows were written.
    pub(super) fn sign_of_life(&mut self, at: Duration, table: &TableName) {
        let times = self.tables.entry(table.clone()).or_default();
        let last = if times.linking.is_some() { &mut times.linked } else { &mut times.copied };
        *last = Some(at);
    }

    pub(super) fn links(&mut self, at: Duration, table: &TableName) {
        self.tables.entry(table.clone()).or_default().linking.get_or_insert(at);
    }

    /// The report after so long a time.
    pub(super) fn report(&self, elapsed: Duration) -> TimingReport {
        let mut timing = TimingReport {
            seconds: seconds(elapsed),
            step_seconds: self.step.as_secs_f64(),
            spans: self.spans(elapsed),
            ..TimingReport::default()
        };
        for Step { rows, bytes, retries } in &self.steps {
            timing.rows.push(*rows);
            timing.bytes.push(*bytes);
            timing.retries.push(*retries);
        }
        timing
    }

    fn spans(&self, elapsed: Duration) -> Vec<SpanReport> {
        let mut spans = Vec::new();
        let mut add = |phase, table: Option<&TableName>, from: Duration, to: Duration| {
            let (from_seconds, seconds) = (seconds(from), seconds(to.saturating_sub(from)));
            spans.push(SpanReport { phase, table: table.cloned(), from_seconds, seconds });
        };
        let (mut first, mut last) = (None::<Duration>, None::<Duration>);
        for (name, times) in &self.tables {
            // A table that is absent or left out has nothing to show.
            let (Some(began), Some(copied)) = (times.began, times.copied) else { continue };
            first = Some(first.map_or(began, |first| first.min(began)));
            add(Phase::Copy, Some(name), began, copied);
            let mut end = copied;
            if let Some(linking) = times.linking {
                end = times.linked.unwrap_or(linking);
                add(Phase::Link, Some(name), linking, end);
            }
            last = last.max(Some(end));
        }
        add(Phase::Prepare, None, Duration::ZERO, first.unwrap_or(elapsed));
        if let Some(last) = last {
            add(Phase::Finish, None, last, elapsed.max(last));
        }
        spans.sort_by(|one, other| one.from_seconds.total_cmp(&other.from_seconds));
        spans
    }

    /// The step of that time, with steps as wide as they must be.
    fn step_at(&mut self, at: Duration) -> &mut Step {
        let position = |step: Duration| usize::try_from(at.as_nanos() / step.as_nanos().max(1)).unwrap_or(usize::MAX);
        while position(self.step) >= STEPS {
            self.steps = self.steps.chunks(2).map(|pair| pair.iter().fold(Step::default(), Step::plus)).collect();
            self.step = self.step.saturating_mul(2);
        }
        let position = position(self.step);
        if self.steps.len() <= position {
            self.steps.resize(position + 1, Step::default());
        }
        &mut self.steps[position]
    }
}

impl Step {
    fn plus(self, other: &Self) -> Self {
        Self {
            rows: self.rows.saturating_add(other.rows),
            bytes: self.bytes.saturating_add(other.bytes),
            retries: self.retries.saturating_add(other.retries),
        }
    }
}

/// Seconds to the millisecond.
fn seconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1000.0).round() / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(name: &str) -> TableName {
        name.parse().unwrap()
    }

    #[test]
    fn steps_double_and_lose_nothing() {
        let (mut timeline, orders) = (Timeline::default(), table("orders"));
        for second in 0..1000_u64 {
            timeline.wrote(Duration::from_secs(second), &orders, 3, 10);
            timeline.retried(Duration::from_millis(second * 1000 + 999));
            let timing = timeline.report(Duration::from_secs(second));
            assert!(timing.rows.len() <= STEPS && timing.rows.len() == timing.retries.len());
        }
        let timing = timeline.report(Duration::from_secs(1000));
        assert!((timing.step_seconds - 16.0).abs() < f64::EPSILON, "{}", timing.step_seconds);
        assert_eq!(timing.rows.len(), 63);
        let sums = [&timing.rows, &timing.bytes, &timing.retries].map(|list| list.iter().sum::<u64>());
        assert_eq!(sums, [3_000, 10_000, 1_000]);
        assert!(timing.rows[..62].iter().all(|rows| *rows == 48), "each step has 16 seconds: {:?}", timing.rows);
    }

    #[test]
    fn a_jump_in_time_ends() {
        let mut timeline = Timeline::default();
        timeline.retried(Duration::from_secs(1));
        timeline.retried(Duration::from_secs(10_000_000_000));
        let timing = timeline.report(Duration::from_secs(10_000_000_000));
        assert_eq!(timing.retries.iter().sum::<u64>(), 2);
        assert!(timing.retries.len() <= STEPS);
    }

    #[test]
    fn spans_tell_phases_and_tables() {
        let (mut timeline, orders, lines) = (Timeline::default(), table("orders"), table("lines"));
        let at = Duration::from_secs;
        timeline.began(at(2), &orders);
        timeline.wrote(at(5), &orders, 1, 1);
        timeline.began(at(5), &lines);
        timeline.sign_of_life(at(7), &lines);
        timeline.links(at(8), &orders);
        timeline.wrote(at(9), &orders, 0, 0);
        timeline.began(at(9), &table("left_out"));
        let spans = timeline.report(at(12)).spans;
        let shown: Vec<String> = spans
            .iter()
            .map(|span| {
                let table = span.table.as_ref().map(|table| format!(" {table}")).unwrap_or_default();
                format!("{:?}{table} {}+{}", span.phase, span.from_seconds, span.seconds)
            })
            .collect();
        let expected = ["Prepare 0+2", "Copy orders 2+3", "Copy lines 5+2", "Link orders 8+1", "Finish 9+3"];
        assert_eq!(shown, expected);
        let nothing = Timeline::default().report(at(3)).spans;
        assert_eq!(
            (nothing.len(), nothing[0].phase, nothing[0].seconds.to_bits()),
            (1, Phase::Prepare, 3_f64.to_bits())
        );
    }
}
