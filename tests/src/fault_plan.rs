//! Which call meets which fault: the schedule that convex-bench and the fault proxy share.

use std::collections::{HashMap, VecDeque};

/// Why a text names no fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidFault {
    /// The name is unknown.
    #[error("no fault is named `{0}`")]
    Name(String),
    /// The value after `=` is absent, superfluous or not a number.
    #[error("fault `{fault}` takes {takes}")]
    Value {
        /// The fault's name.
        fault: &'static str,
        /// What may follow it.
        takes: &'static str,
    },
}

/// When faults happen.
///
/// Chance does not depend on the order in which concurrent calls arrive: it is drawn from the seed, the call's content
/// and how often that content was sent before.
#[derive(Debug, Clone, PartialEq)]
pub struct FaultPlan<F> {
    /// One entry for each coming call, `None` for a call that goes well. A fault that does not apply to its call is
    /// spent all the same.
    pub script: VecDeque<Option<F>>,
    /// Faults that hold for every call.
    pub standing: Vec<F>,
    /// Faults by chance, each with its probability from 0 to 1. The first one drawn is taken.
    pub random: Vec<(F, f64)>,
    /// The seed of chance.
    pub seed: u64,
    /// After this many faults by chance in a row the same call goes well.
    pub max_consecutive: u32,
}

impl<F> Default for FaultPlan<F> {
    fn default() -> Self {
        Self { script: VecDeque::new(), standing: Vec::new(), random: Vec::new(), seed: 0, max_consecutive: 3 }
    }
}

/// A plan and where it stands.
#[derive(Debug)]
pub(crate) struct Schedule<F> {
    pub(crate) plan: FaultPlan<F>,
    sent: HashMap<u64, Sent>,
}

/// How often one content was sent.
#[derive(Debug, Default)]
struct Sent {
    times: u32,
    faults_in_a_row: u32,
}

impl<F: Clone> Schedule<F> {
    pub(crate) fn new(plan: FaultPlan<F>) -> Self {
        Self { plan, sent: HashMap::new() }
    }

    /// The faults of the next call, whose content has this fingerprint. Standing delays and conditions come together
    /// with the one fault that the script or chance adds.
    pub(crate) fn next(&mut self, fingerprint: u64) -> Vec<F> {
        let mut faults = self.plan.standing.clone();
        match self.plan.script.pop_front() {
            Some(scripted) => faults.extend(scripted),
            None => faults.extend(self.draw(fingerprint)),
        }
        faults
    }

    fn draw(&mut self, fingerprint: u64) -> Option<F> {
        if self.plan.random.is_empty() {
            return None;
        }
        let sent = self.sent.entry(fingerprint).or_default();
        let time = sent.times;
        sent.times += 1;
        let drawn = self.plan.random.iter().zip(0_u64..).find(|((_, probability), position)| {
            let state = self.plan.seed ^ mix(fingerprint ^ mix((u64::from(time) << 32) | position));
            unit(mix(state)) < *probability
        });
        match drawn {
            Some(((fault, _), _)) if sent.faults_in_a_row < self.plan.max_consecutive => {
                sent.faults_in_a_row += 1;
                Some(fault.clone())
            }
            _ => {
                sent.faults_in_a_row = 0;
                None
            }
        }
    }
}

/// One step of splitmix64: a number that looks random for every different input.
fn mix(state: u64) -> u64 {
    let mut z = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// A number from 0 up to but not including 1.
fn unit(bits: u64) -> f64 {
    let [.., a, b, c, d] = (bits >> 32).to_be_bytes();
    f64::from(u32::from_be_bytes([a, b, c, d])) / (f64::from(u32::MAX) + 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::convex_bench::Fault;

    fn by_chance(probability: f64) -> FaultPlan<Fault> {
        FaultPlan { random: vec![(Fault::Occ503, probability)], seed: 7, ..FaultPlan::default() }
    }

    #[test]
    fn a_script_comes_in_order_and_then_ends() {
        let script = [None, Some(Fault::Hang), Some(Fault::Malformed)].into();
        let mut schedule = Schedule::new(FaultPlan { script, ..FaultPlan::default() });
        let calls: Vec<_> = (0..4).map(|call| schedule.next(call)).collect();
        assert_eq!(calls, [vec![], vec![Fault::Hang], vec![Fault::Malformed], vec![]]);
    }

    #[test]
    fn standing_faults_come_with_every_call() {
        let plan = FaultPlan {
            standing: vec![Fault::TooLarge(5)],
            script: [Some(Fault::Occ503)].into(),
            ..FaultPlan::default()
        };
        let mut schedule = Schedule::new(plan);
        assert_eq!(schedule.next(1), [Fault::TooLarge(5), Fault::Occ503]);
        assert_eq!(schedule.next(1), [Fault::TooLarge(5)]);
    }

    #[test]
    fn chance_keeps_to_its_probability() {
        let mut schedule = Schedule::new(by_chance(0.2));
        let hits = (0..10_000).filter(|call| !schedule.next(*call).is_empty()).count();
        assert!((1_800..2_200).contains(&hits), "{hits} of 10000");
    }

    #[test]
    fn chance_does_not_depend_on_the_order_of_calls() {
        let (mut forwards, mut backwards) = (Schedule::new(by_chance(0.5)), Schedule::new(by_chance(0.5)));
        let there: Vec<_> = (0..100).map(|call| forwards.next(call)).collect();
        let mut back: Vec<_> = (0..100).rev().map(|call| backwards.next(call)).collect();
        back.reverse();
        assert_eq!(there, back);
    }

    #[test]
    fn faults_in_a_row_are_limited() {
        let mut schedule = Schedule::new(FaultPlan { max_consecutive: 2, ..by_chance(1.0) });
        let calls: Vec<_> = (0..6).map(|_| schedule.next(42).len()).collect();
        assert_eq!(calls, [1, 1, 0, 1, 1, 0]);
    }
}
