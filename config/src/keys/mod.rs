//! How far every key of LiteLLM is supported: applied, ignored with a warning, or refused.

mod callbacks;
mod check;
mod documentation;
mod ignored_variables;
mod phrases;
mod support;
pub(crate) mod tables;

pub(crate) use callbacks::check_callbacks;
pub(crate) use check::{check_keys, warn_of_unknown};
pub use documentation::documented_tables;
pub(crate) use ignored_variables::warn_of_ignored_variables;
pub(crate) use support::{Table, applied, ignored};
pub use tables::is_litellms_own_member;
