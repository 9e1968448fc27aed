//! What is known of the tables of a verification.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use super::report::TableVerification;
use crate::observe::{Event, Observer};
use crate::plan::Plan;

/// The results of tables, by their places in the plan. Each is told of as it comes.
pub(super) struct Results {
    plan: Arc<Plan>,
    observer: Arc<dyn Observer>,
    /// None once the verification took them: a table's task may outlive it by a step, and tells nothing then.
    known: Mutex<Option<BTreeMap<usize, TableVerification>>>,
}

impl fmt::Debug for Results {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Results").finish_non_exhaustive()
    }
}

impl Results {
    pub(super) fn new(plan: Arc<Plan>, observer: Arc<dyn Observer>) -> Self {
        Self { plan, observer, known: Mutex::new(Some(BTreeMap::new())) }
    }

    /// Adds a table's, and tells of it: what was told is in the verification, and the other way round.
    pub(super) fn add(&self, place: usize, result: TableVerification) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let (Some(known), Some(table)) = (known.as_mut(), self.plan.tables.get(place)) else { return };
        let (table, told) = (table.source.clone(), Box::new(result.clone()));
        known.insert(place, result);
        self.observer.on_event(&Event::TableVerified { table, result: told });
    }

    /// Takes all of them; none is added any more.
    pub(super) fn take(&self) -> BTreeMap<usize, TableVerification> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).take().unwrap_or_default()
    }
}
