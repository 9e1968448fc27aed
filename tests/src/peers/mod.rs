//! How fast a large table moves: ours beside floors, beside the scripts that people write, and beside other tools.

mod contender;
mod figures;
mod floors;
pub mod growth_plot;
mod jsonl_tools;
mod machine;
mod scripts;

pub use self::contender::{CONTENDERS, Contender, Outcome, Run};
pub use self::figures::{Figures, Sample, json, markdown, text};
pub use self::floors::{Child, run_child};
pub use self::machine::Machine;
