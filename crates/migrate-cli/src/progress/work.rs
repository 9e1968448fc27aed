//! What is done to the tables, in words.

/// What progress is shown of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Work {
    /// A run: rows are read and written.
    Copying,
    /// An assessment: rows are read and checked.
    Checking,
    /// A verification: documents are read back, then rows are compared with them. Both are counted.
    Comparing,
}

/// How it is said.
#[derive(Debug)]
pub(super) struct Words {
    /// What happens to a table.
    pub(super) phase: &'static str,
    /// What is counted.
    pub(super) units: &'static str,
    /// What a rate is of.
    pub(super) rate: &'static str,
    /// What became of rows that did not go well.
    pub(super) findings: &'static str,
    /// False where nothing is written, and there are no bytes to tell.
    pub(super) writes: bool,
}

impl Work {
    pub(super) fn words(self) -> &'static Words {
        match self {
            Self::Copying => {
                &Words { phase: "copying", units: "rows", rate: " rows/s", findings: "rejected", writes: true }
            }
            Self::Checking => {
                &Words { phase: "checking", units: "rows", rate: " rows/s", findings: "rejected", writes: false }
            }
            Self::Comparing => &Words {
                phase: "comparing",
                units: "rows and documents",
                rate: "/s",
                findings: "different",
                writes: false,
            },
        }
    }
}
