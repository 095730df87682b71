//! YAML text into one tree, with PyYAML's idea of scalars, duplicate keys and merge keys.

pub mod anchors;
pub mod include;
pub mod json;
pub mod merge;
pub mod parse;
pub mod python;
pub mod scalar;
pub mod tree;
