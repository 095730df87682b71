//! Merge keys and duplicate keys: the last value of a key is used, at the position of the first.

use std::collections::{BTreeMap, BTreeSet};

use super::tree::{Entry, Node, Value};
use crate::diagnostics::{Path, Place, Report, shown};

/// The entries of a `<<`.
pub(crate) struct Merge(Vec<Entry>);

impl Merge {
    /// From a map, or a list of maps of which the first wins. `Err` is the place of anything else.
    pub(crate) fn new(node: Node) -> Result<Self, Place> {
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

/// The entries of a Python `dict`, in its order. Warns of duplicate keys; `path` is called for
/// those only.
pub(crate) fn finish(
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

/// In a map of so many entries, comparing each with each is quicker than a set.
const FEW: usize = 16;

fn has_duplicates(entries: &[Entry]) -> bool {
    if entries.len() <= FEW {
        let mut rest = entries.iter();
        return std::iter::from_fn(|| rest.next().map(|entry| (entry, rest.clone())))
            .any(|(entry, mut later)| later.any(|other| other.key == entry.key));
    }
    let mut seen = BTreeSet::new();
    entries.iter().any(|entry| !seen.insert(entry.key.as_str()))
}

fn report_duplicates(entries: &[Entry], path: &str, report: &mut Report) {
    let mut earlier: BTreeMap<&str, Place> = BTreeMap::new();
    for entry in entries {
        if let Some(first) = earlier.insert(&entry.key, entry.place) {
            let key = format!("{path}{}", shown(&entry.key));
            let message = format!("duplicate key, first defined on line {}", first.line);
            report.warn(entry.place, &Path::top(&key), &message, "remove one; the last one is used");
        }
    }
}
