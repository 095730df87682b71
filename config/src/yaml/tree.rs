//! A YAML document as an ordered tree in which every node knows its line.

/// Where something stands: which of the files that were read, and the line in it, from 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// Index into the names of the files, the operator's own file first.
    pub file: u16,
    /// From 1.
    pub line: u32,
}

/// A value and its place.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// Where it starts.
    pub place: Place,
    /// What it is.
    pub value: Value,
}

/// What PyYAML's SafeLoader would make of a node.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// `~`, `null`, nothing.
    Null,
    /// `true`, `Yes`, `off`.
    Bool(bool),
    /// In any base, sexagesimal included. What 64 bits do not hold is text.
    Int(i64),
    /// With a point; `1e3` is text in YAML 1.1.
    Float(f64),
    /// Everything else that is no collection; dates as Python writes them.
    Text(String),
    /// `- a` or `[a]`.
    List(Vec<Node>),
    /// In file order; every key once.
    Map(Vec<Entry>),
}

/// A key of a map and what it holds.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// As Python's `str` would write it.
    pub key: String,
    /// Where the key stands.
    pub place: Place,
    /// What it holds.
    pub node: Node,
}

impl Node {
    /// The entries of a map; `None` for everything else.
    pub fn entries(&self) -> Option<&[Entry]> {
        match &self.value {
            Value::Map(entries) => Some(entries),
            _ => None,
        }
    }

    /// Whether the value asks for nothing: absent, off, empty or zero.
    pub fn is_falsy(&self) -> bool {
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

    /// What kind of thing it is, for messages.
    pub fn kind(&self) -> &'static str {
        match &self.value {
            Value::Null => "nothing",
            Value::Bool(_) => "a truth value",
            Value::Int(_) | Value::Float(_) => "a number",
            Value::Text(_) => "text",
            Value::List(_) => "a list",
            Value::Map(_) => "a map",
        }
    }
}

/// The entry of that name, unless its value is null: nulls count as absent.
pub fn find<'a>(entries: &'a [Entry], key: &str) -> Option<&'a Entry> {
    entries.iter().find(|entry| entry.key == key && entry.node.value != Value::Null)
}
