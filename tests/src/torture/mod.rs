//! Migrations that are killed and disturbed at every moment, and compared row by row afterwards.

pub mod faults;
pub mod rows;
pub mod trial;

pub use faults::{Disturbed, run_with_faults};
pub use rows::{Differences, Expected, Size};
pub use trial::{End, Stage, Target, Trial, Undisturbed};
