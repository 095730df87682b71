//! What becomes of every key and variable that LiteLLM reads: applied, ignored or refused.

pub mod callbacks;
pub mod documentation;
pub mod ignored_variables;
pub mod support;
pub mod tables;
