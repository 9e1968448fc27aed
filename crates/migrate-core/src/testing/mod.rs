//! Parts for tests: an in-memory source and sink, fault injection, and the suites that every adapter and every layer
//! must pass.

mod conformance;
mod faults;
mod memory_sink;
mod memory_source;

pub use conformance::{LookupFixture, SinkFixture, SourceFixture, Violation, check_sink, check_source, write_record};
pub use faults::{Faults, Faulty, When};
pub use memory_sink::{Document, MemorySink};
pub use memory_source::{MemorySource, column, table};
