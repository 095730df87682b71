//! Anchored nodes and what their aliases may repeat: a short file must not become a large one.

use std::collections::BTreeMap;

use crate::yaml::tree::{Node, Value};

/// Nodes that aliases may add.
const MAX_NODES: usize = 200_000;
/// Bytes of text that aliases may add: so many times the file's own ..
const BYTES_TIMES: usize = 16;
/// .. within these bounds.
const BYTES: (usize, usize) = (1 << 20, 1 << 24);

/// The anchored nodes of a document.
pub struct Anchors {
    kept: BTreeMap<usize, Anchor>,
    /// What aliases repeat, and the copies that are kept for them.
    aliased: Weight,
    most: Weight,
}

/// More is repeated than is read.
pub struct TooMuch;

struct Anchor {
    node: Node,
    weight: Weight,
    height: usize,
}

/// What nodes take of memory.
#[derive(Clone, Copy, Default)]
struct Weight {
    nodes: usize,
    /// Of keys and texts.
    bytes: usize,
}

impl Anchors {
    /// For a file of so many bytes.
    pub fn of_file(bytes: usize) -> Self {
        let (least, highest) = BYTES;
        let bytes = bytes.saturating_mul(BYTES_TIMES).clamp(least, highest);
        let most = Weight { nodes: MAX_NODES, bytes };
        Self { kept: BTreeMap::new(), aliased: Weight::default(), most }
    }

    /// Keeps a copy of an anchored node.
    pub fn keep(&mut self, id: usize, node: &Node) -> Result<(), TooMuch> {
        let (weight, height) = measure(node);
        self.take(weight)?;
        self.kept.insert(id, Anchor { node: node.clone(), weight, height });
        Ok(())
    }

    /// Another copy of an anchored node, and how deep it is; `None` where nothing is anchored yet.
    pub fn repeated(&mut self, id: usize) -> Option<Result<(Node, usize), TooMuch>> {
        let weight = self.kept.get(&id)?.weight;
        if self.take(weight).is_err() {
            return Some(Err(TooMuch));
        }
        self.kept.get(&id).map(|anchor| Ok((anchor.node.clone(), anchor.height)))
    }

    /// What may be repeated, in words.
    pub fn too_much(&self) -> String {
        let Weight { nodes, bytes } = self.most;
        format!("anchors and aliases repeat more than {nodes} values or {bytes} bytes of text")
    }

    fn take(&mut self, weight: Weight) -> Result<(), TooMuch> {
        self.aliased.add(weight);
        let exceeded = self.aliased.nodes > self.most.nodes || self.aliased.bytes > self.most.bytes;
        if exceeded { Err(TooMuch) } else { Ok(()) }
    }
}

impl Weight {
    fn add(&mut self, other: Self) {
        self.nodes = self.nodes.saturating_add(other.nodes);
        self.bytes = self.bytes.saturating_add(other.bytes);
    }
}

/// What a node takes, and how deep it is.
fn measure(node: &Node) -> (Weight, usize) {
    let (mut weight, mut height) = (Weight { nodes: 1, bytes: 0 }, 0_usize);
    let mut add = |key: &str, child: &Node| {
        let (below, depth) = measure(child);
        weight.add(below);
        weight.add(Weight { nodes: 0, bytes: key.len() });
        height = height.max(depth.saturating_add(1));
    };
    match &node.value {
        Value::List(items) => items.iter().for_each(|item| add("", item)),
        Value::Map(entries) => entries.iter().for_each(|entry| add(&entry.key, &entry.node)),
        Value::Text(text) => weight.bytes = text.len(),
        _ => {}
    }
    (weight, height)
}
