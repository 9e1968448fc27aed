//! HTML pages, each one self-contained file.

pub(crate) mod assessment;
pub(crate) mod kit;
mod report;

pub(crate) use report::page as report;
