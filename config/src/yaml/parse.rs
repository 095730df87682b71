//! YAML events into a tree.

use std::borrow::Cow;

use granit_parser::{ErrorKind, Event, Parser, ScalarStyle, ScanError, Span, Tag};

use super::anchors::{Anchors, TooMuch};
use super::merge::{self, Merge};
use super::tree::{Entry, Node, Value};
use super::{python, scalar};
use crate::diagnostics::{Path, Place, Report, shown};

/// Depth of nested collections, at most: code that walks the tree may recurse. Real files need six.
const MAX_DEPTH: usize = 100;
const DOCUMENT: Path<'static> = Path::top("document");

/// The document of a file; `None` with an error.
pub(crate) fn parse(file: u16, text: &str, report: &mut Report) -> Option<Node> {
    let options = granit_parser::options! {
        // As PyYAML: a block scalar at the end of a file without line feed has none either.
        block_scalar_eof_without_line_feed: true,
        flow_nesting_limit: MAX_DEPTH,
        block_nesting_limit: MAX_DEPTH,
    };
    let anchors = Anchors::of_file(text.len());
    let mut builder = Builder { file, report, stack: Vec::new(), anchors, root: None };
    let mut documents = 0_usize;
    // Editors add a byte-order mark.
    for event in Parser::new_from_str_with_options(text.trim_start_matches('\u{feff}'), options) {
        let outcome = match event {
            Ok((Event::DocumentStart(..), span)) => {
                documents = documents.saturating_add(1);
                if documents > 1 { Err(builder.second_document(span)) } else { Ok(()) }
            }
            Ok((event, span)) => builder.take(event, span),
            Err(error) => Err(builder.syntax(&error)),
        };
        if outcome.is_err() {
            return None;
        }
    }
    let root = builder.root;
    Some(root.unwrap_or(Node { place: Place { file, line: 1 }, value: Value::Null }))
}

/// The report has the error.
struct Reported;

/// An open collection.
enum Frame {
    List { place: Place, anchor: usize, items: Vec<Node> },
    Map { place: Place, anchor: usize, entries: Vec<Entry>, merges: Vec<Merge>, key: Option<Key> },
}

/// A key without its value yet.
struct Key {
    text: String,
    place: Place,
    /// A plain `<<`.
    merges: bool,
}

struct Builder<'r> {
    file: u16,
    report: &'r mut Report,
    stack: Vec<Frame>,
    anchors: Anchors,
    root: Option<Node>,
}

impl Builder<'_> {
    fn place(&self, span: Span) -> Place {
        Place { file: self.file, line: u32::try_from(span.start.line()).unwrap_or(u32::MAX) }
    }

    fn error(&mut self, place: Place, message: &str, advice: &str) -> Reported {
        self.report.error(place, &DOCUMENT, message, advice);
        Reported
    }

    fn second_document(&mut self, span: Span) -> Reported {
        self.error(
            self.place(span),
            "expected one YAML document, found a second one",
            "remove the `---`; use `include:` to join files",
        )
    }

    fn syntax(&mut self, error: &ScanError) -> Reported {
        let line = u32::try_from(error.marker().line()).unwrap_or(u32::MAX);
        let place = Place { file: self.file, line };
        let is_tab = matches!(
            error.kind(),
            ErrorKind::TabNotAllowed
                | ErrorKind::TabInBlockIndentation
                | ErrorKind::UnexpectedCharacter { character: '\t' }
        );
        if is_tab {
            return self.error(place, "invalid YAML: tab in indentation", "indent with spaces");
        }
        let column = error.marker().col().saturating_add(1);
        let message = format!("invalid YAML near column {column}: {}", error.info());
        self.error(place, &message, "quoting a value often helps")
    }

    fn take(&mut self, event: Event<'_>, span: Span) -> Result<(), Reported> {
        let place = self.place(span);
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                self.scalar(place, text, style, anchor, tag.as_deref())
            }
            Event::SequenceStart(_, anchor, tag) => {
                self.check_collection(place, tag.as_deref(), "seq")?;
                self.stack.push(Frame::List { place, anchor, items: Vec::new() });
                Ok(())
            }
            Event::MappingStart(_, anchor, tag) => {
                self.check_collection(place, tag.as_deref(), "map")?;
                let (entries, merges) = (Vec::new(), Vec::new());
                self.stack.push(Frame::Map { place, anchor, entries, merges, key: None });
                Ok(())
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(),
            Event::Alias(id) => self.alias(place, id),
            _ => Ok(()),
        }
    }

    fn scalar(
        &mut self,
        place: Place,
        text: Cow<'_, str>,
        style: ScalarStyle,
        anchor: usize,
        tag: Option<&Tag>,
    ) -> Result<(), Reported> {
        let plain = style == ScalarStyle::Plain;
        let merges = plain && tag.is_none() && text == "<<";
        let value = match tag {
            None if plain => scalar::resolve(&text),
            None => Value::Text(text.into_owned()),
            Some(tag) => self.tagged(place, &text, tag)?,
        };
        if anchor != 0 {
            self.keep(anchor, &Node { place, value: value.clone() })?;
        }
        if let Some(Frame::Map { key: key @ None, .. }) = self.stack.last_mut() {
            *key = Some(Key { text: python::into_str(value), place, merges });
            return Ok(());
        }
        self.place_node(Node { place, value })
    }

    /// The core tags for scalars. PyYAML has no others that a configuration could use.
    fn tagged(&mut self, place: Place, text: &str, tag: &Tag) -> Result<Value, Reported> {
        let resolved = scalar::resolve(text);
        let value = match (tag.core_suffix(), resolved) {
            (Some("str"), _) => Some(Value::Text(text.to_owned())),
            (Some("int"), value @ Value::Int(_))
            | (Some("float"), value @ Value::Float(_))
            | (Some("bool"), value @ Value::Bool(_))
            | (Some("null"), value @ Value::Null) => Some(value),
            (Some("float"), Value::Int(_)) => text.parse().ok().map(Value::Float),
            // `!`, the non-specific tag: PyYAML resolves the scalar all the same.
            (None, value) if tag.suffix() == "!" || tag.original() == "!" => Some(value),
            _ => None,
        };
        value.ok_or_else(|| self.unknown_tag(place, tag))
    }

    fn check_collection(&mut self, place: Place, tag: Option<&Tag>, kind: &str) -> Result<(), Reported> {
        if self.stack.len() >= MAX_DEPTH {
            return Err(self.too_deep(place));
        }
        if let Some(Frame::Map { key: None, .. }) = self.stack.last() {
            let advice = "quote it if it is a string, as in \"{{ name }}\"";
            return Err(self.error(place, "expected a key, found a list or a map", advice));
        }
        match tag {
            Some(tag) if !tag.is_yaml_core_schema_tag(kind) && tag.suffix() != "!" => {
                Err(self.unknown_tag(place, tag))
            }
            _ => Ok(()),
        }
    }

    fn unknown_tag(&mut self, place: Place, tag: &Tag) -> Reported {
        let message = format!("unsupported YAML tag {}", tag.original());
        self.error(place, &message, "remove it; write environment variables as os.environ/NAME")
    }

    fn too_deep(&mut self, place: Place) -> Reported {
        self.error(place, "more than 100 nested collections", "flatten this part of the file")
    }

    fn too_much(&mut self, place: Place) -> Reported {
        let message = self.anchors.too_much();
        self.error(place, &message, "repeat less of this file")
    }

    /// Keeps a copy of an anchored node.
    fn keep(&mut self, anchor: usize, node: &Node) -> Result<(), Reported> {
        self.anchors.keep(anchor, node).map_err(|TooMuch| self.too_much(node.place))
    }

    fn alias(&mut self, place: Place, id: usize) -> Result<(), Reported> {
        let (node, height) = match self.anchors.repeated(id) {
            Some(Ok(found)) => found,
            Some(Err(TooMuch)) => return Err(self.too_much(place)),
            None => {
                return Err(self.error(place, "recursive alias", "write it out"));
            }
        };
        if self.stack.len().saturating_add(height) > MAX_DEPTH {
            return Err(self.too_deep(place));
        }
        if let Some(Frame::Map { key: key @ None, .. }) = self.stack.last_mut() {
            *key = Some(Key { text: python::into_str(node.value), place, merges: false });
            return Ok(());
        }
        self.place_node(node)
    }

    fn close(&mut self) -> Result<(), Reported> {
        let (node, anchor) = match self.stack.pop() {
            Some(Frame::List { place, anchor, items }) => (Node { place, value: Value::List(items) }, anchor),
            Some(Frame::Map { place, anchor, entries, merges, .. }) => {
                let path = || path_text(&self.stack);
                let entries = merge::finish(entries, merges, &path, self.report);
                (Node { place, value: Value::Map(entries) }, anchor)
            }
            None => return Ok(()),
        };
        if anchor != 0 {
            self.keep(anchor, &node)?;
        }
        self.place_node(node)
    }

    fn place_node(&mut self, node: Node) -> Result<(), Reported> {
        match self.stack.last_mut() {
            None => self.root = Some(node),
            Some(Frame::List { items, .. }) => items.push(node),
            Some(Frame::Map { key, entries, merges, .. }) => match key.take() {
                Some(key) if key.merges => match Merge::new(node) {
                    Ok(merge) => merges.push(merge),
                    Err(place) => {
                        let message = "`<<` expects a map or a list of maps";
                        return Err(self.error(place, message, "write the alias of a map"));
                    }
                },
                Some(Key { text, place, .. }) => entries.push(Entry { key: text, place, node }),
                None => {}
            },
        }
        Ok(())
    }
}

/// The path of the collection that was just closed, with a dot at its end.
fn path_text(stack: &[Frame]) -> String {
    let mut path = String::new();
    for frame in stack {
        match frame {
            Frame::List { items, .. } => {
                path.pop();
                path.push('[');
                path.push_str(&items.len().to_string());
                path.push_str("].");
            }
            Frame::Map { key: Some(key), .. } => {
                path.push_str(shown(&key.text));
                path.push('.');
            }
            Frame::Map { .. } => {}
        }
    }
    path
}
