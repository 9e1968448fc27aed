//! HTML pages, each one self-contained file.

pub(crate) mod assessment;
pub(crate) mod kit;
