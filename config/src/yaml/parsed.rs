//! A tree as bytes: what the filter gets of a file that the program has parsed, so that no worker
//! parses the text again. The bytes have no lines, since the program has reported all mistakes, and
//! every key once, since Envoy copies and compares them as often as it reads its files.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use super::tree::{Entry, Node, Value};
use crate::diagnostics::Place;

/// Begins all bytes of this kind. No configuration in YAML begins so.
const KIND: &[u8] = b"llm-balancer/parsed/";
/// Follows it; to be changed with every change of [`Packed`].
const VERSION: &[u8] = b"1\n";

/// A tree whose keys are indices of `keys`.
#[derive(Debug, Serialize, Deserialize)]
struct Parsed {
    keys: Vec<String>,
    tree: Packed,
}

#[derive(Debug, Serialize, Deserialize)]
enum Packed {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
    List(Vec<Packed>),
    Map(Vec<(usize, Packed)>),
}

/// A tree as bytes.
pub(crate) fn encode(tree: &Node) -> Vec<u8> {
    let mut keys = Keys::default();
    let tree = keys.pack(&tree.value);
    let encoded = postcard::to_extend(&Parsed { keys: keys.all, tree }, [KIND, VERSION].concat());
    debug_assert!(encoded.is_ok(), "every tree can be written");
    encoded.unwrap_or_default()
}

/// The tree from bytes, every node on line 1; `None` for bytes of another kind, such as the text of
/// a file.
///
/// # Errors
/// Why the bytes cannot be read.
pub(crate) fn decode(bytes: &[u8]) -> Option<Result<Node, &'static str>> {
    let versioned = bytes.strip_prefix(KIND)?;
    Some(match versioned.strip_prefix(VERSION) {
        Some(encoded) => postcard::from_bytes(encoded)
            .ok()
            .and_then(|Parsed { keys, tree }| tree.unpack(&keys))
            .ok_or("the parsed file is damaged"),
        None => Err("the program that parsed the file is of another version than this filter"),
    })
}

/// The keys of a tree, each once.
#[derive(Default)]
struct Keys {
    all: Vec<String>,
    indices: HashMap<String, usize>,
}

impl Keys {
    fn pack(&mut self, value: &Value) -> Packed {
        match value {
            Value::Null => Packed::Null,
            Value::Bool(is_on) => Packed::Bool(*is_on),
            Value::Int(number) => Packed::Int(*number),
            Value::Float(number) => Packed::Float(*number),
            Value::Text(text) => Packed::Text(text.clone()),
            Value::List(items) => Packed::List(items.iter().map(|item| self.pack(&item.value)).collect()),
            Value::Map(entries) => {
                let entry = |entry: &Entry| (self.index(&entry.key), self.pack(&entry.node.value));
                Packed::Map(entries.iter().map(entry).collect())
            }
        }
    }

    fn index(&mut self, key: &str) -> usize {
        if let Some(index) = self.indices.get(key) {
            return *index;
        }
        let index = self.all.len();
        self.all.push(key.to_owned());
        self.indices.insert(key.to_owned(), index);
        index
    }
}

impl Packed {
    /// `None` if a key has no name.
    fn unpack(self, keys: &[String]) -> Option<Node> {
        let value = match self {
            Self::Null => Value::Null,
            Self::Bool(is_on) => Value::Bool(is_on),
            Self::Int(number) => Value::Int(number),
            Self::Float(number) => Value::Float(number),
            Self::Text(text) => Value::Text(text),
            Self::List(items) => {
                let mut nodes = Vec::with_capacity(items.len());
                for item in items {
                    nodes.push(item.unpack(keys)?);
                }
                Value::List(nodes)
            }
            Self::Map(entries) => {
                let mut named = Vec::with_capacity(entries.len());
                for (key, value) in entries {
                    let (key, node) = (keys.get(key)?.clone(), value.unpack(keys)?);
                    named.push(Entry { key, place: Place::FIRST_LINE, node });
                }
                Value::Map(named)
            }
        };
        Some(Node { place: Place::FIRST_LINE, value })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnostics::Report;
    use crate::yaml::{document, parse};

    /// A tree before and after, as text.
    fn both(tree: &Node) -> [String; 2] {
        let again = decode(&encode(tree)).unwrap().unwrap();
        [tree, &again].map(|tree| document(tree.entries().unwrap()))
    }

    fn tree(text: &str) -> Node {
        parse(0, text, &mut Report::new("a.yaml")).unwrap()
    }

    #[test]
    fn every_kind_of_value_is_read_back() {
        let [before, after] = both(&tree(
            "null: ~\nbools: [yes, off]\nints: [0, -9223372036854775808, 9223372036854775807]\n\
             floats: [1.5, -0.0, .inf, .nan, 5.0e-324]\ntext: \"\\0 é 🦀\"\nempty: [{}, [], '']\n\
             nested: {text: {text: {null: 1}}}\n",
        ));
        assert_eq!(after, before);
    }

    #[test]
    fn a_key_takes_no_more_room_the_second_time() {
        let length = |items: usize| {
            let item = format!("- {{{}: 1}}\n", "k".repeat(100));
            encode(&tree(&format!("list:\n{}", item.repeat(items)))).len()
        };
        assert!(length(100) < length(1) + 100 * 8, "{} {}", length(1), length(100));
    }

    #[test]
    fn text_is_no_parsed_file() {
        for text in ["", "model_list: []", "llm-balancer", "\u{feff}llm-balancer/parsed/1\n"] {
            assert!(decode(text.as_bytes()).is_none(), "{text}");
        }
    }

    #[test]
    fn bytes_of_another_version_are_refused_and_so_are_damaged_ones() {
        let bytes = encode(&tree("model_list: [a, b]"));
        let other = String::from_utf8_lossy(&bytes).replace("parsed/1", "parsed/2").into_bytes();
        assert!(decode(&other).unwrap().unwrap_err().contains("of another version"));
        // A key without a name.
        let stray = Parsed { keys: Vec::new(), tree: Packed::Map(vec![(0, Packed::Null)]) };
        let stray = postcard::to_extend(&stray, [KIND, VERSION].concat()).unwrap();
        assert_eq!(decode(&stray).unwrap().unwrap_err(), "the parsed file is damaged");
        let start = KIND.len() + VERSION.len();
        for length in start..bytes.len() {
            assert_eq!(decode(&bytes[..length]).unwrap().unwrap_err(), "the parsed file is damaged");
        }
    }
}
