//! Names that refer to groups: unknown ones, and those whose deployments were all skipped.

mod check;
mod known_names;
mod skipped;

pub(crate) use check::check_references;
pub(crate) use known_names::KnownNames;
pub(crate) use skipped::remove_skipped;
