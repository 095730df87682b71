//! Keys of a map made unique: merge keys first, the last value of a duplicate, the place of the first.

use std::collections::{BTreeMap, BTreeSet};

use crate::diagnostics::report::{Path, Report};
use crate::yaml::python;
use crate::yaml::tree::{Entry, Node, Place, Value};

/// What a `<<` brings in.
pub struct Merge(Vec<Entry>);

impl Merge {
    /// From a map, or a list of maps of which the first wins. `Err` is the place of what is neither.
    pub fn new(node: Node) -> Result<Self, Place> {
        match node.value {
            Value::Map(entries) => Ok(Self(entries)),
            Value::List(items) => {
                let mut all = Vec::new();
                for item in items.into_iter().rev() {
                    match item.value {
                        Value::Map(entries) => all.extend(entries),
                        _ => return Err(item.place),
                    }
                }
                Ok(Self(all))
            }
            _ => Err(node.place),
        }
    }
}

/// A key as Python's `str` writes it.
pub fn key_text(value: &Value) -> String {
    match value {
        Value::Text(text) => text.clone(),
        other => {
            let mut out = String::new();
            python::repr(other, &mut out);
            out
        }
    }
}

/// The entries that a Python `dict` would hold, in its order. Keys written twice are reported, behind the path, which is
/// long to write out.
pub fn finish(
    own: Vec<Entry>,
    merges: Vec<Merge>,
    path: &dyn Fn() -> String,
    report: &mut Report,
) -> Vec<Entry> {
    if has_duplicates(&own) {
        report_duplicates(&own, &path(), report);
    } else if merges.is_empty() {
        return own;
    }
    let merged = merges.into_iter().flat_map(|merge| merge.0);
    let mut positions: BTreeMap<String, usize> = BTreeMap::new();
    let mut all: Vec<Entry> = Vec::new();
    for entry in merged.chain(own) {
        match positions.get(&entry.key).and_then(|position| all.get_mut(*position)) {
            Some(earlier) => *earlier = entry,
            None => {
                positions.insert(entry.key.clone(), all.len());
                all.push(entry);
            }
        }
    }
    all
}

fn has_duplicates(entries: &[Entry]) -> bool {
    let mut seen = BTreeSet::new();
    entries.iter().any(|entry| !seen.insert(entry.key.as_str()))
}

fn report_duplicates(entries: &[Entry], path: &str, report: &mut Report) {
    let mut earlier: BTreeMap<&str, Place> = BTreeMap::new();
    for entry in entries {
        if let Some(first) = earlier.insert(&entry.key, entry.place) {
            let key = format!("{path}{}", entry.key);
            let message = format!("stands on line {} already, and the last one wins", first.line);
            report.warn(entry.place, &Path::top(&key), &message, "remove one of the two");
        }
    }
}
