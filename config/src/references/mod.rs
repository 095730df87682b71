//! Names that refer to groups, and what leads to deployments that are skipped.

pub mod check;
pub mod known_names;
pub mod skipped;
