//! The order in which tables are scanned.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::jobs::{Job, references};
use crate::names::TableName;

/// The tables in the order they are read, those of a wave side by side, each with the references whose parents are read
/// before it.
pub(super) fn waves(jobs: &[Arc<Job>]) -> Vec<Vec<(Arc<Job>, Vec<usize>)>> {
    let mut done: BTreeSet<&TableName> = BTreeSet::new();
    let mut open: Vec<&Arc<Job>> = jobs.iter().collect();
    let mut waves = Vec::new();
    while !open.is_empty() {
        let is_read = |table: &TableName| done.contains(table);
        let waits = |job: &Job| {
            references(&job.fields)
                .flat_map(|(_, reference)| reference.tables())
                .any(|to| *to != job.name && !is_read(to))
        };
        let (later, mut now): (Vec<&Arc<Job>>, Vec<&Arc<Job>>) = open.into_iter().partition(|job| waits(job));
        open = later;
        if now.is_empty() {
            // A cycle: whichever comes first is read before its parents.
            now.push(open.remove(0));
        }
        let with_links = now.iter().map(|job| {
            let inline = references(&job.fields).filter(|(_, reference)| reference.tables().all(is_read));
            ((*job).clone(), inline.map(|(position, _)| position).collect())
        });
        waves.push(with_links.collect());
        done.extend(now.into_iter().map(|job| &job.name));
    }
    waves
}
