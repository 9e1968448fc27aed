//! Rows a second, of late: what a guess of the time left rests on.

use std::collections::VecDeque;
use std::time::Duration;

/// How far back it looks: long enough to be steady, short enough to follow a change of pace.
const WINDOW: Duration = Duration::from_secs(15);

/// Until so much time is over, there is no rate: the first batches come at once, or late.
const LEAST: Duration = Duration::from_secs(1);

/// Rows in the seconds of the window. Times are since the run began.
#[derive(Debug, Default)]
pub(super) struct Rate {
    began: Option<Duration>,
    seconds: VecDeque<(u64, u64)>,
}

impl Rate {
    /// Begins to count; before that, there is no rate.
    pub(super) fn begin(&mut self, at: Duration) {
        self.began.get_or_insert(at);
    }

    /// Counts rows.
    pub(super) fn add(&mut self, at: Duration, rows: u64) {
        self.begin(at);
        let second = at.as_secs();
        match self.seconds.back_mut() {
            Some((last, counted)) if *last >= second => *counted += rows,
            _ => self.seconds.push_back((second, rows)),
        }
        while self.seconds.front().is_some_and(|(first, _)| *first + WINDOW.as_secs() < second) {
            self.seconds.pop_front();
        }
    }

    /// Rows a second over the window; none where too little is known.
    pub(super) fn per_second(&self, at: Duration) -> Option<u64> {
        let from = self.began?.max(Duration::from_secs(at.as_secs().saturating_sub(WINDOW.as_secs() - 1)));
        let span = at.saturating_sub(from);
        if span < LEAST {
            return None;
        }
        let rows: u64 = self.seconds.iter().filter(|(second, _)| *second >= from.as_secs()).map(|(_, rows)| rows).sum();
        u64::try_from(u128::from(rows) * 1000 / span.as_millis().max(1)).ok()
    }

    /// How long so many rows take at this rate; none where nobody can say.
    pub(super) fn time_for(&self, rows: u64, at: Duration) -> Option<Duration> {
        let per_second = self.per_second(at).filter(|rate| *rate > 0)?;
        Some(Duration::from_millis(rows.saturating_mul(1000) / per_second))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(tenths: u64) -> Duration {
        Duration::from_millis(tenths * 100)
    }

    #[test]
    fn a_rate_follows_a_change_of_pace() {
        let mut rate = Rate::default();
        assert_eq!(rate.per_second(seconds(50)), None, "nothing began");
        for tenth in 0..100 {
            rate.add(seconds(tenth), 100);
        }
        assert_eq!(rate.per_second(seconds(5)), None, "half a second tells nothing");
        assert_eq!(rate.per_second(seconds(100)), Some(1000));
        assert_eq!(rate.time_for(3000, seconds(100)), Some(Duration::from_secs(3)));
        for tenth in 100..300 {
            rate.add(seconds(tenth), 10);
        }
        assert_eq!(rate.per_second(seconds(300)), Some(100), "what was long ago does not count");
        assert_eq!(rate.per_second(seconds(600)), Some(0), "nothing came of late");
        assert_eq!(rate.time_for(1, seconds(600)), None, "at this pace it would never end");
    }
}
