//! YAML text into a tree, with PyYAML's rules for scalars, duplicate keys and merge keys.

mod anchors;
mod document;
mod include;
mod json;
mod merge;
mod parse;
mod parsed;
pub(crate) mod python;
pub(crate) mod scalar;
mod tree;
mod write;

pub(crate) use document::{document, json, json_document};
pub(crate) use include::with_includes;
pub(crate) use json::parse_json;
pub(crate) use parse::parse;
pub(crate) use parsed::{decode, encode};
pub(crate) use tree::{Entry, Node, Value, find};
