//! What changed between two runs, as a page.

use migrate_core::Result;
use migrate_core::report::{Pair, ReportDiff};
use minijinja::{Value, context};

use super::kit::{self, Tone};
use crate::render::diff::{Grid, grids, verdict};

const PAGE: &str = include_str!("diff.html");

/// The page of a comparison.
///
/// # Errors
/// `Unexpected` where the page's template is wrong.
pub(crate) fn page(diff: &ReportDiff) -> Result<String> {
    let grids = grids(diff);
    let sections: Vec<Value> = grids
        .iter()
        .map(|grid| context! { id => id(grid), title => grid.title, note => "", tone => Tone::Plain })
        .collect();
    let (tone, word) = judged(diff);
    let grids: Vec<Value> = grids
        .into_iter()
        .map(|grid| context! { id => id(&grid), title => grid.title, heads => grid.heads, rows => grid.rows })
        .collect();
    let values = context! {
        title => "Two runs compared",
        sections,
        tone,
        word,
        verdict => verdict(diff),
        tool => diff.after.tool.clone(),
        grids,
    };
    kit::render(PAGE, values)
}

fn id(grid: &Grid) -> String {
    grid.title.to_lowercase().replace(' ', "-")
}

/// Whether the other run came to more or to less.
fn judged(diff: &ReportDiff) -> (Tone, &'static str) {
    let worse = |pair: Pair<u64>| pair.after > pair.before;
    let totals = &diff.totals;
    match () {
        () if diff.is_same() => (Tone::Good, "the same"),
        () if worse(totals.rejected) || worse(totals.unlinked) => (Tone::Bad, "more rows are left out"),
        () if totals.rejected.after < totals.rejected.before => (Tone::Good, "fewer rows are rejected"),
        () => (Tone::Notice, "something changed"),
    }
}
