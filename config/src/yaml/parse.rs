//! YAML text into a tree, with PyYAML's idea of scalars, duplicate keys and merge keys.

use granit_parser::{ErrorKind, Event, Parser, ScalarStyle, ScanError, Span, Tag};

use crate::diagnostics::report::{Path, Report};
use crate::yaml::anchors::{Anchors, TooMuch};
use crate::yaml::merge::{self, Merge};
use crate::yaml::scalar;
use crate::yaml::tree::{Entry, Node, Place, Value};

/// Collections within collections at most. Real files need six; what walks the tree may then recurse.
const MAX_DEPTH: usize = 100;
const DOCUMENT: Path<'static> = Path::top("document");

/// The one document of a file, or `None` with the reason in the report.
pub fn parse(file: u16, text: &str, report: &mut Report) -> Option<Node> {
    let options = granit_parser::options! {
        // As PyYAML has it: the last line of a block scalar gets no line feed the file does not have.
        block_scalar_eof_without_line_feed: true,
        flow_nesting_limit: MAX_DEPTH,
        block_nesting_limit: MAX_DEPTH,
    };
    let anchors = Anchors::of_file(text.len());
    let mut builder = Builder { file, report, stack: Vec::new(), anchors, root: None };
    let mut documents = 0_usize;
    // A byte-order mark is no part of the text: editors put it there.
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

/// The document is refused, and the report says why.
struct Refused;

/// A collection that is not closed yet.
enum Frame {
    List { place: Place, anchor: usize, items: Vec<Node> },
    Map { place: Place, anchor: usize, entries: Vec<Entry>, merges: Vec<Merge>, key: Option<Key> },
}

/// A key that waits for its value.
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

    fn refuse(&mut self, place: Place, message: &str, advice: &str) -> Refused {
        self.report.refuse(place, &DOCUMENT, message, advice);
        Refused
    }

    fn second_document(&mut self, span: Span) -> Refused {
        self.refuse(
            self.place(span),
            "a second YAML document begins here",
            "keep one document in the file: remove the `---`, and join files with `include:`",
        )
    }

    fn syntax(&mut self, error: &ScanError) -> Refused {
        let line = u32::try_from(error.marker().line()).unwrap_or(u32::MAX);
        let place = Place { file: self.file, line };
        let is_tab = matches!(
            error.kind(),
            ErrorKind::TabNotAllowed
                | ErrorKind::TabInBlockIndentation
                | ErrorKind::UnexpectedCharacter { character: '\t' }
        );
        if is_tab {
            return self.refuse(place, "a tab stands where YAML allows spaces only", "indent with spaces");
        }
        let column = error.marker().col().saturating_add(1);
        let advice = format!("correct the YAML near column {column}; quoting a value often helps");
        self.refuse(place, &format!("this is no valid YAML: {}", error.info()), &advice)
    }

    fn take(&mut self, event: Event<'_>, span: Span) -> Result<(), Refused> {
        let place = self.place(span);
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                self.scalar(place, &text, style, anchor, tag.as_deref())
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
        text: &str,
        style: ScalarStyle,
        anchor: usize,
        tag: Option<&Tag>,
    ) -> Result<(), Refused> {
        let plain = style == ScalarStyle::Plain;
        let value = match tag {
            None if plain => scalar::resolve(text),
            None => Value::Text(text.to_owned()),
            Some(tag) => self.tagged(place, text, tag)?,
        };
        if anchor != 0 {
            self.keep(anchor, &Node { place, value: value.clone() })?;
        }
        if let Some(Frame::Map { key: key @ None, .. }) = self.stack.last_mut() {
            let merges = plain && tag.is_none() && text == "<<";
            *key = Some(Key { text: merge::key_text(&value), place, merges });
            return Ok(());
        }
        self.place_node(Node { place, value })
    }

    /// The five core tags do what they say; PyYAML knows no others that a configuration could use.
    fn tagged(&mut self, place: Place, text: &str, tag: &Tag) -> Result<Value, Refused> {
        let resolved = scalar::resolve(text);
        let value = match (tag.core_suffix(), resolved) {
            (Some("str"), _) => Some(Value::Text(text.to_owned())),
            (Some("int"), value @ Value::Int(_))
            | (Some("float"), value @ Value::Float(_))
            | (Some("bool"), value @ Value::Bool(_))
            | (Some("null"), value @ Value::Null) => Some(value),
            (Some("float"), Value::Int(_)) => text.parse().ok().map(Value::Float),
            // The tag that says nothing: PyYAML resolves the scalar all the same.
            (None, value) if tag.suffix() == "!" || tag.original() == "!" => Some(value),
            _ => None,
        };
        value.ok_or_else(|| self.unknown_tag(place, tag))
    }

    fn check_collection(&mut self, place: Place, tag: Option<&Tag>, kind: &str) -> Result<(), Refused> {
        if self.stack.len() >= MAX_DEPTH {
            return Err(self.too_deep(place));
        }
        if let Some(Frame::Map { key: None, .. }) = self.stack.last() {
            return Err(self.refuse(
                place,
                "a list or a map stands where a key belongs",
                "quote it if it is text, as in \"{{ name }}\"",
            ));
        }
        match tag {
            Some(tag) if !tag.is_yaml_core_schema_tag(kind) && tag.suffix() != "!" => {
                Err(self.unknown_tag(place, tag))
            }
            _ => Ok(()),
        }
    }

    fn unknown_tag(&mut self, place: Place, tag: &Tag) -> Refused {
        let message = format!("the tag {} does not fit here", tag.original());
        self.refuse(
            place,
            &message,
            "remove the tag; values from the environment are written os.environ/NAME",
        )
    }

    fn too_deep(&mut self, place: Place) -> Refused {
        self.refuse(place, "more than 100 collections within each other", "flatten this part of the file")
    }

    fn too_much(&mut self, place: Place) -> Refused {
        let message = self.anchors.too_much();
        self.refuse(place, &message, "repeat less of this file")
    }

    /// Keeps a copy of an anchored node.
    fn keep(&mut self, anchor: usize, node: &Node) -> Result<(), Refused> {
        self.anchors.keep(anchor, node).map_err(|TooMuch| self.too_much(node.place))
    }

    fn alias(&mut self, place: Place, id: usize) -> Result<(), Refused> {
        let (node, height) = match self.anchors.repeated(id) {
            Some(Ok(found)) => found,
            Some(Err(TooMuch)) => return Err(self.too_much(place)),
            None => {
                let message = "this alias repeats the collection it stands in";
                return Err(self.refuse(place, message, "write it out"));
            }
        };
        if self.stack.len().saturating_add(height) > MAX_DEPTH {
            return Err(self.too_deep(place));
        }
        if let Some(Frame::Map { key: key @ None, .. }) = self.stack.last_mut() {
            *key = Some(Key { text: merge::key_text(&node.value), place, merges: false });
            return Ok(());
        }
        self.place_node(node)
    }

    fn close(&mut self) -> Result<(), Refused> {
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

    fn place_node(&mut self, node: Node) -> Result<(), Refused> {
        match self.stack.last_mut() {
            None => self.root = Some(node),
            Some(Frame::List { items, .. }) => items.push(node),
            Some(Frame::Map { key, entries, merges, .. }) => match key.take() {
                Some(key) if key.merges => match Merge::new(node) {
                    Ok(merge) => merges.push(merge),
                    Err(place) => {
                        let advice = "merge a map, or a list of maps, by its alias";
                        return Err(self.refuse(place, "`<<` can only merge maps", advice));
                    }
                },
                Some(Key { text, place, .. }) => entries.push(Entry { key: text, place, node }),
                None => {}
            },
        }
        Ok(())
    }
}

/// Where the collection that was just closed stands, as a path with a dot at its end.
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
                path.push_str(&key.text);
                path.push('.');
            }
            Frame::Map { .. } => {}
        }
    }
    path
}
