//! What a migration would meet, found before anything moves: which tables are ready, what their rows hold that a run
//! would reject or change, and what it would take.
//!
//! [`Prospect`] plans what can be planned. [`Scan`] reads rows by that plan, through the same rules as a run:
//! what it counts is what a run would report. [`Prospect::assess`] puts both into an [`Assessment`].

mod estimate;
mod finding;
mod jobs;
mod model;
mod parents;
mod readiness;
mod rows;
mod scan;
mod second;
mod spool;
mod waves;

pub use estimate::{ClassEstimate, Estimate, RateClass, SinkScale};
pub use finding::{Effect, FINDING_KINDS, Finding, FindingKind};
pub use model::{
    ASSESSMENT_VERSION, Assessment, ColumnAssessment, Decision, Readiness, ScanMode, ScanSummary, TableAssessment,
    TableScan,
};
pub use readiness::Prospect;
pub use rows::Measure;
pub use scan::{Scan, Scanned};
