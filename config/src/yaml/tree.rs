//! A YAML document as an ordered tree in which every node knows its line.

use crate::diagnostics::Place;

/// A value and its place.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Node {
    /// Where it starts.
    pub(crate) place: Place,
    /// What it is.
    pub(crate) value: Value,
}

/// What PyYAML's SafeLoader would make of a node.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    /// `~`, `null`, nothing.
    Null,
    /// `true`, `Yes`, `off`.
    Bool(bool),
    /// In any base, sexagesimal included. Integers above 64 bits are text.
    Int(i64),
    /// With a point; `1e3` is text in YAML 1.1.
    Float(f64),
    /// Every other scalar; dates as Python writes them.
    Text(String),
    /// `- a` or `[a]`.
    List(Vec<Node>),
    /// In file order; every key once.
    Map(Vec<Entry>),
}

/// A key of a map and its value.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Entry {
    /// As Python's `str` writes it.
    pub(crate) key: String,
    /// Where the key is written.
    pub(crate) place: Place,
    /// Its value.
    pub(crate) node: Node,
}

impl Node {
    /// The entries of a map; `None` for everything else.
    pub(crate) fn entries(&self) -> Option<&[Entry]> {
        match &self.value {
            Value::Map(entries) => Some(entries),
            _ => None,
        }
    }

    /// Whether Python counts the value as false: null, off, empty or zero.
    pub(crate) fn is_falsy(&self) -> bool {
        match &self.value {
            Value::Null => true,
            Value::Bool(on) => !on,
            Value::Int(number) => *number == 0,
            Value::Float(number) => *number == 0.0,
            Value::Text(text) => text.is_empty(),
            Value::List(items) => items.is_empty(),
            Value::Map(entries) => entries.is_empty(),
        }
    }

    /// The type of the value, for messages.
    pub(crate) fn kind(&self) -> &'static str {
        match &self.value {
            Value::Null => "null",
            Value::Bool(_) => "a boolean",
            Value::Int(_) | Value::Float(_) => "a number",
            Value::Text(_) => "a string",
            Value::List(_) => "a list",
            Value::Map(_) => "a map",
        }
    }
}

/// The entry of that name, unless its value is null: null counts as absent.
pub(crate) fn find<'a>(entries: &'a [Entry], key: &str) -> Option<&'a Entry> {
    entries.iter().find(|entry| entry.key == key && entry.node.value != Value::Null)
}
