//! Findings about a configuration: each with its place, the path of its key, and advice.

mod accept;
mod finding;
mod one_line;
mod path;
mod report;
mod suggest;
mod summary;

pub(crate) use accept::Accepted;
pub(crate) use finding::{ADVISES, Place};
pub use finding::{Finding, Severity};
pub(crate) use one_line::is_invisible;
pub(crate) use path::{Path, shown};
pub(crate) use report::Report;
pub(crate) use suggest::{Suggestions, did_you_mean};
