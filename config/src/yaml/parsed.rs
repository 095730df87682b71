//! A tree as bytes: what the filter gets of a file that the program has parsed. Reading it takes a
//! tenth of the time of parsing the text.

use serde::{Deserialize, Serialize};

use super::tree::Node;

/// Begins all bytes of this kind. No configuration in YAML begins so.
const KIND: &[u8] = b"llm-balancer/parsed/";
/// Follows it; to be changed with every change of [`Node`] or what it consists of.
const VERSION: &[u8] = b"1\n";

/// A file after parsing.
#[derive(Debug, PartialEq, Deserialize)]
pub(crate) struct Parsed {
    /// The names of the file and of those that it includes.
    pub(crate) files: Vec<String>,
    /// What they say together.
    pub(crate) tree: Node,
}

/// A tree as bytes, with the names of the files that its places refer to.
pub(crate) fn encode(files: &[String], tree: &Node) -> Vec<u8> {
    #[derive(Serialize)]
    struct Borrowed<'a> {
        files: &'a [String],
        tree: &'a Node,
    }
    let encoded = postcard::to_extend(&Borrowed { files, tree }, [KIND, VERSION].concat());
    debug_assert!(encoded.is_ok(), "every tree can be written");
    encoded.unwrap_or_default()
}

/// The tree from bytes; `None` for bytes of another kind, such as the text of a file.
///
/// # Errors
/// Why the bytes cannot be read.
pub(crate) fn decode(bytes: &[u8]) -> Option<Result<Parsed, &'static str>> {
    let versioned = bytes.strip_prefix(KIND)?;
    Some(match versioned.strip_prefix(VERSION) {
        Some(encoded) => postcard::from_bytes(encoded).map_err(|_| "the parsed file is damaged"),
        None => Err("the program that parsed the file is of another version than this filter"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnostics::{Place, Report};
    use crate::yaml::{Entry, Value, parse};

    fn encoded(text: &str) -> (Vec<u8>, Node) {
        let tree = parse(0, text, &mut Report::new("a.yaml")).unwrap();
        (encode(&["a.yaml".to_owned()], &tree), tree)
    }

    #[test]
    fn every_kind_of_value_is_read_back_with_its_line() {
        let (bytes, tree) = encoded(
            "null: ~\nbools: [yes, off]\nints: [0, -9223372036854775808, 9223372036854775807]\n\
             floats: [1.5, -0.0, .inf, 5.0e-324]\ntext: \"\\0 é 🦀\"\nempty: [{}, [], '']\n",
        );
        let parsed = decode(&bytes).unwrap().unwrap();
        assert_eq!(parsed, Parsed { files: vec!["a.yaml".to_owned()], tree });
    }

    #[test]
    fn a_number_that_is_not_a_number_is_read_back() {
        let place = Place { file: 3, line: 70_000 };
        let node = Node { place, value: Value::Float(f64::NAN) };
        let tree = Node { place, value: Value::Map(vec![Entry { key: "nan".to_owned(), place, node }]) };
        let parsed = decode(&encode(&[], &tree)).unwrap().unwrap();
        assert_eq!(format!("{:?}", parsed.tree), format!("{tree:?}"));
    }

    #[test]
    fn text_is_no_parsed_file() {
        for text in ["", "model_list: []", "llm-balancer", "\u{feff}llm-balancer/parsed/1\n"] {
            assert!(decode(text.as_bytes()).is_none(), "{text}");
        }
    }

    #[test]
    fn bytes_of_another_version_are_refused_and_so_are_damaged_ones() {
        let (bytes, _) = encoded("model_list: [a, b]");
        let other = String::from_utf8_lossy(&bytes).replace("parsed/1", "parsed/2").into_bytes();
        assert!(decode(&other).unwrap().unwrap_err().contains("of another version"));
        let start = KIND.len() + VERSION.len();
        for length in start..bytes.len() {
            assert_eq!(decode(&bytes[..length]), Some(Err("the parsed file is damaged")), "{length}");
        }
    }
}
