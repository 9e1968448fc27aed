//! Migrations that are killed and disturbed at every moment, and compared row by row afterwards.

pub mod shop;
pub mod trial;

pub use shop::{Differences, Expected, Size};
pub use trial::{End, Shop, Target, Trial};
