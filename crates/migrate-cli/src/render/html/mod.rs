//! HTML pages, each one self-contained file.

pub(crate) mod kit;
