use super::Reject;
use crate::names::SourceKey;
use crate::record::RejectCode;
use crate::state::{Tally, Totals};

/// What the counts hold of these rejects: what a replay takes back before it counts their rows anew.
pub(crate) fn taken<'a>(rejects: impl IntoIterator<Item = &'a Reject>) -> Totals {
    let mut totals = Totals::default();
    for Reject { key, code, counted, .. } in rejects {
        // A row without its links is migrated: it is among the rejects, and counted as none.
        if *code != RejectCode::ReferenceUnlinked {
            totals.read += 1;
            totals.rejected += 1;
            add(totals.reject_codes.entry(*code).or_default(), key, 1);
        }
        totals.linked += counted.linked;
        totals.unlinked += counted.unlinked;
        for (reference, count) in &counted.misses {
            add(totals.reference_misses.entry(reference.clone()).or_default(), key, *count);
        }
    }
    totals
}

/// Every key, not the first few: each may be a sample.
fn add(tally: &mut Tally, key: &SourceKey, count: u64) {
    tally.count += count;
    tally.sample_keys.push(key.clone());
}
