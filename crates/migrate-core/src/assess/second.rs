//! A second look at a table: the references that led on to rows which were not read yet.

use std::sync::Arc;

use super::finding::{Effect, listed};
use super::jobs::{Job, Jobs};
use super::rows::{Counts, judge, look};
use super::scan::{Shared, side_by_side};
use super::spool::{Fate, Seen};
use crate::error::{Error, Result};
use crate::names::{KeySpace, SourceKey};
use crate::pipeline::key_of;
use crate::plan::PlanField;
use crate::record::Record;
use crate::source::KeyRange;
use crate::stop::stopped;
use crate::transform::{Chain, ParentKey, RowContext};

/// The second pass over one table.
pub(super) struct Second<'a> {
    shared: &'a Arc<Shared>,
    table: Arc<Linked>,
}

struct Linked {
    job: Arc<Job>,
    fields: Vec<PlanField>,
    chain: Chain,
    /// The space of its own keys, where they are kept.
    own: Option<usize>,
}

impl<'a> Second<'a> {
    pub(super) fn new(shared: &'a Arc<Shared>, job: Arc<Job>, links: &[usize], jobs: &Jobs) -> Self {
        let fields: Vec<PlanField> = links.iter().filter_map(|&at| job.fields.get(at).cloned()).collect();
        let chain = Chain::with_key(&job.sink, &fields, &job.key);
        let own = jobs.space(&KeySpace::primary(job.name.clone()));
        Self { shared, table: Arc::new(Linked { job, fields, chain, own }) }
    }

    /// Adds what it finds to the counts of the first pass.
    pub(super) async fn run(&mut self, counts: &mut Counts) -> Result<()> {
        let ranges = self.shared.ranges(&self.table.job).await?;
        let table = self.table.clone();
        let (found, failure) = side_by_side(self.shared, ranges, move |shared, range| {
            let table = table.clone();
            async move { table.scan(&shared, range).await }
        })
        .await;
        counts.rejected += found.rejected;
        counts.skipped += found.skipped;
        counts.documents = counts.documents.saturating_sub(found.rejected + found.skipped);
        counts.source_bytes += found.source_bytes;
        counts.findings.absorb(found.findings);
        failure.map_or(Ok(()), Err)
    }
}

impl Linked {
    async fn scan(&self, shared: &Arc<Shared>, range: KeyRange) -> (Counts, Option<Error>) {
        let mut counts = Counts::default();
        let mut pages = shared.pages(&self.job, self.chain.columns().clone(), range);
        let scanned = async {
            loop {
                let page = pages.recv().await.unwrap_or_else(|| Err(stopped()))?;
                if page.records.is_empty() {
                    return Ok(());
                }
                counts.source_bytes += page.bytes;
                self.check(shared, page.records, &mut counts).await?;
            }
        };
        let failure = scanned.await.err();
        (counts, failure)
    }

    async fn check(&self, shared: &Shared, records: Vec<Record>, counts: &mut Counts) -> Result<()> {
        let mut rows: Vec<(SourceKey, Vec<Vec<ParentKey>>, Option<Effect>)> = Vec::with_capacity(records.len());
        for record in records {
            let key = key_of(&self.job.read_from, &record)?;
            // What its rules refuse was counted by the first pass.
            let converted = self.chain.apply(&record, &mut RowContext::default());
            rows.push((key, converted.map(|converted| converted.references).unwrap_or_default(), None));
        }
        for (position, field) in self.fields.iter().enumerate() {
            let Some(reference) = field.reference() else { continue };
            let parents = rows.iter().map(|(_, parents, _)| parents.get(position));
            let seen = look(&*shared.parents, reference, parents).await?;
            for ((key, parents, gravest), seen) in rows.iter_mut().zip(seen) {
                let Some(parents) = parents.get(position) else { continue };
                let column = Some(listed(&field.columns));
                let effect = judge(reference, parents, &seen, column, key, &mut counts.findings);
                *gravest = [*gravest, effect].into_iter().flatten().min();
            }
        }
        let leaves = |effect: Option<Effect>| match effect {
            Some(Effect::EndsRun | Effect::Rejected) => Some(true),
            Some(Effect::Skipped) => Some(false),
            _ => None,
        };
        let lost: Vec<(SourceKey, bool)> =
            rows.into_iter().filter_map(|(key, _, effect)| Some((key, leaves(effect)?))).collect();
        // A row that the first pass left behind already is not counted again.
        let keys: Vec<SourceKey> = lost.iter().map(|(key, _)| key.clone()).collect();
        let fates = match (self.own, &shared.spool) {
            (Some(space), Some(spool)) if !keys.is_empty() => {
                let fates = spool.see(space, keys.clone()).await?;
                spool.leave_behind(space, keys).await?;
                fates
            }
            _ => vec![Seen::Once(Fate::Migrated); keys.len()],
        };
        for ((_, is_rejected), _) in lost.iter().zip(fates).filter(|(_, seen)| *seen != Seen::Once(Fate::LeftBehind)) {
            *(if *is_rejected { &mut counts.rejected } else { &mut counts.skipped }) += 1;
        }
        Ok(())
    }
}
