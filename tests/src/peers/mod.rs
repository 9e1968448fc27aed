//! How fast a large table moves: ours beside floors, beside the scripts that people write, and beside other tools.

mod child;
mod contender;
mod figures;
mod floors;
pub mod growth_plot;
mod jsonl_tools;
mod machine;
mod null_sink;
mod scripts;

pub use self::child::{Child, run_child};
pub use self::contender::{CONTENDERS, Contender, Run};
pub use self::figures::{Figures, Sample, json, markdown, text};
pub use self::machine::Machine;
