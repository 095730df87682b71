//! Anchored nodes, and a bound on what aliases repeat: a short file must not become a large tree.

use std::collections::BTreeMap;

use super::tree::{Node, Value};

/// Nodes that aliases add, at most.
const MAX_NODES: usize = 200_000;
/// Bytes of text that aliases add, at most: a multiple of the file's size ..
const BYTES_TIMES: usize = 16;
/// .. within these bounds.
const BYTES: (usize, usize) = (1 << 20, 1 << 24);

/// The anchored nodes of a document.
pub(crate) struct Anchors {
    kept: BTreeMap<usize, Anchor>,
    /// What aliases repeat, and the copies kept for them.
    aliased: Weight,
    most: Weight,
}

/// Aliases repeat too much.
pub(crate) struct TooMuch;

struct Anchor {
    node: Node,
    weight: Weight,
    height: usize,
}

/// The memory of nodes.
#[derive(Clone, Copy, Default)]
struct Weight {
    nodes: usize,
    /// Keys and texts.
    bytes: usize,
}

impl Anchors {
    /// For a file of this size in bytes.
    pub(crate) fn of_file(bytes: usize) -> Self {
        let (least, highest) = BYTES;
        let bytes = bytes.saturating_mul(BYTES_TIMES).clamp(least, highest);
        let most = Weight { nodes: MAX_NODES, bytes };
        Self { kept: BTreeMap::new(), aliased: Weight::default(), most }
    }

    /// Keeps a copy of an anchored node.
    pub(crate) fn keep(&mut self, id: usize, node: &Node) -> Result<(), TooMuch> {
        let (weight, height) = measure(node);
        self.take(weight)?;
        self.kept.insert(id, Anchor { node: node.clone(), weight, height });
        Ok(())
    }

    /// A copy of an anchored node, and its depth; `None` if nothing is anchored yet.
    pub(crate) fn repeated(&mut self, id: usize) -> Option<Result<(Node, usize), TooMuch>> {
        let weight = self.kept.get(&id)?.weight;
        if self.take(weight).is_err() {
            return Some(Err(TooMuch));
        }
        self.kept.get(&id).map(|anchor| Ok((anchor.node.clone(), anchor.height)))
    }

    /// The error message.
    pub(crate) fn too_much(&self) -> String {
        let Weight { nodes, bytes } = self.most;
        format!("aliases repeat more than {nodes} values or {bytes} bytes of text")
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

/// The memory of a node, and its depth.
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
