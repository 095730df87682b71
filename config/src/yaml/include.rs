//! `include:`, several files merged into one as LiteLLM merges them: lists are extended, all else is overwritten.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::rc::Rc;

use crate::diagnostics::finding::Finding;
use crate::diagnostics::report::{Path, Report};
use crate::read::{self, Reading};
use crate::yaml::json;
use crate::yaml::parse;
use crate::yaml::tree::{self, Entry, Node, Place, Value};

/// Files that one configuration may consist of.
const MAX_FILES: usize = 1000;

const INCLUDE: Path<'static> = Path::top("include");

/// A file, read together with what it includes.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// Findings name the file and the line that they are about.
    pub reading: Reading,
    /// The file unchanged if it includes nothing; else one document that [`read`](crate::read) takes and that comes
    /// to the same configuration.
    pub text: String,
}

/// Reads a file and what it includes, each relative to the file that names it.
pub fn load(
    file: &str,
    read_file: &dyn Fn(&str) -> Result<String, String>,
    env: &dyn Fn(&str) -> Option<String>,
) -> Loaded {
    let mut report = Report::new(vec![file.to_owned()]);
    let start = Place { file: 0, line: 1 };
    let text = match read_file(file) {
        Ok(text) => text,
        Err(error) => {
            let message = format!("cannot be read: {error}");
            report.refuse(start, &Path::top("document"), &message, "name a file that exists and is readable");
            return Loaded { reading: refused(report), text: String::new() };
        }
    };
    let Some(document) = parse::parse(0, &text, &mut report) else {
        return Loaded { reading: refused(report), text };
    };
    let names_others = document.entries().is_some_and(|entries| tree::find(entries, "include").is_some());
    if !names_others {
        return Loaded { reading: read::read_tree(&document, report, env), text };
    }
    let document = merged(document, &mut report, read_file);
    let text = json::document(document.entries().unwrap_or_default());
    Loaded { reading: read::read_tree(&document, report, env), text }
}

fn refused(report: Report) -> Reading {
    let findings: Vec<Finding> = report.into_findings();
    Reading { config: None, findings, variables: Vec::new() }
}

/// A file that is still to be merged in.
struct Pending {
    path: String,
    place: Place,
    /// The files that led here, for cycles.
    chain: Rc<[String]>,
}

/// Breadth first, as LiteLLM does it: what a file includes comes behind everything its includer names.
fn merged(document: Node, report: &mut Report, read_file: &dyn Fn(&str) -> Result<String, String>) -> Node {
    let root = report.file(0).to_owned();
    let place = document.place;
    let mut queue = VecDeque::new();
    let mut loaded = BTreeSet::from([root.clone()]);
    let mut entries = split_off_includes(document, &[root], report, &mut queue);
    while let Some(pending) = queue.pop_front() {
        if pending.chain.contains(&pending.path) {
            let message = format!("{} includes itself: {}", pending.path, pending.chain.join(" -> "));
            report.refuse(pending.place, &INCLUDE, &message, "remove one of these lines");
            continue;
        }
        // LiteLLM reads a file once, however often it is named.
        if loaded.contains(&pending.path) {
            continue;
        }
        if loaded.len() >= MAX_FILES {
            report.refuse(pending.place, &INCLUDE, "names more than 1000 files", "join some of them");
            break;
        }
        loaded.insert(pending.path.clone());
        let text = match read_file(&pending.path) {
            Ok(text) => text,
            Err(error) => {
                let message = format!("{} cannot be read: {error}", pending.path);
                report.refuse(
                    pending.place,
                    &INCLUDE,
                    &message,
                    "name a file beside the one that includes it",
                );
                continue;
            }
        };
        let file = report.add_file(&pending.path);
        let Some(included) = parse::parse(file, &text, report) else { continue };
        if included.value != Value::Null && included.entries().is_none() {
            let message = format!("is {}, not a map", included.kind());
            report.refuse(
                included.place,
                &Path::top("document"),
                &message,
                "begin with a key, such as model_list:",
            );
            continue;
        }
        let mut chain = pending.chain.to_vec();
        chain.push(pending.path);
        let included = split_off_includes(included, &chain, report, &mut queue);
        merge(&mut entries, included);
    }
    Node { place, value: Value::Map(entries) }
}

/// The entries without `include`, whose files go to the queue.
fn split_off_includes(
    document: Node,
    chain: &[String],
    report: &mut Report,
    queue: &mut VecDeque<Pending>,
) -> Vec<Entry> {
    let Value::Map(mut entries) = document.value else { return Vec::new() };
    let Some(position) = entries.iter().position(|entry| entry.key == "include") else { return entries };
    let include = entries.remove(position);
    let Value::List(items) = &include.node.value else {
        if include.node.value != Value::Null {
            let message = format!("{} stands where a list of files belongs", include.node.kind());
            report.refuse(include.place, &INCLUDE, &message, "write include: [file.yaml]");
        }
        return entries;
    };
    let shared: Rc<[String]> = Rc::from(chain);
    for (index, item) in items.iter().enumerate() {
        match &item.value {
            Value::Text(name) if !name.is_empty() => {
                let from = chain.last().map_or("", String::as_str);
                queue.push_back(Pending {
                    path: beside(from, name),
                    place: item.place,
                    chain: Rc::clone(&shared),
                });
            }
            _ => {
                let message = format!("{} stands where the name of a file belongs", item.kind());
                report.refuse(item.place, &INCLUDE.index(index), &message, "write the name of a file");
            }
        }
    }
    entries
}

/// A path relative to the directory of the file that names it, `.` and `..` resolved.
fn beside(from: &str, name: &str) -> String {
    let joined = match from.rsplit_once('/') {
        _ if name.starts_with('/') => name.to_owned(),
        Some((directory, _)) => format!("{directory}/{name}"),
        None => name.to_owned(),
    };
    let mut parts: Vec<&str> = Vec::new();
    for part in joined.split('/') {
        match part {
            "." => {}
            "" if !parts.is_empty() => {}
            ".." if parts.last().is_some_and(|last| !matches!(*last, ".." | "")) => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    parts.join("/")
}

/// Lists are extended, all else is overwritten, and new keys are added.
fn merge(base: &mut Vec<Entry>, included: Vec<Entry>) {
    let mut places: BTreeMap<String, usize> = BTreeMap::new();
    for (index, own) in base.iter().enumerate() {
        places.entry(own.key.clone()).or_insert(index);
    }
    for entry in included {
        match places.get(&entry.key).and_then(|index| base.get_mut(*index)) {
            None => {
                places.insert(entry.key.clone(), base.len());
                base.push(entry);
            }
            Some(own) => match (&mut own.node.value, entry.node.value) {
                (Value::List(items), Value::List(more)) => items.extend(more),
                (_, value) => {
                    own.place = entry.place;
                    own.node = Node { place: entry.node.place, value };
                }
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::beside;

    #[test]
    fn files_are_looked_for_beside_the_one_that_names_them() {
        let rows = [
            ("config.yaml", "models.yaml", "models.yaml"),
            ("/etc/llm/config.yaml", "models.yaml", "/etc/llm/models.yaml"),
            ("/etc/llm/config.yaml", "../shared/./models.yaml", "/etc/shared/models.yaml"),
            ("conf/config.yaml", "../../models.yaml", "../models.yaml"),
            ("conf/config.yaml", "/abs//models.yaml", "/abs/models.yaml"),
        ];
        for (from, name, expected) in rows {
            assert_eq!(beside(from, name), expected);
        }
    }
}
