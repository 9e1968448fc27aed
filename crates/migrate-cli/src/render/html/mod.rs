//! HTML pages, each one self-contained file.

pub(crate) mod assessment;
mod diff;
pub(crate) mod kit;
mod report;

pub(crate) use diff::page as diff;
pub(crate) use kit::units;
pub(crate) use report::page as report;
