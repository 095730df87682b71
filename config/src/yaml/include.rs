//! `include:`: several files merged as LiteLLM merges them. Lists are extended, other values
//! overwritten.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;
use std::rc::Rc;

use super::parse::parse;
use super::tree::{Entry, Node, Value};
use crate::diagnostics::{Path, Place, Report};

/// Files of one configuration, at most.
const MAX_FILES: usize = 1000;

const INCLUDE: Path<'static> = Path::top("include");

/// A file to be merged.
struct Pending {
    path: String,
    /// The same name beside the first file, where LiteLLM looks for it as well.
    beside_root: Option<String>,
    place: Place,
    /// The files that include it, to find cycles.
    chain: Rc<[String]>,
}

/// The document with all files that it includes, directly or not. Breadth first, as LiteLLM: a
/// file's own includes follow those of the file that includes it.
pub(crate) fn with_includes(
    document: Node,
    report: &mut Report,
    read_file: &dyn Fn(&str) -> io::Result<String>,
) -> Node {
    let root = report.file(0).to_owned();
    let place = document.place;
    let mut queue = VecDeque::new();
    let mut loaded = BTreeSet::new();
    loaded.insert(root.clone());
    let mut entries = split_off_includes(document, &[root], report, &mut queue);
    while let Some(pending) = queue.pop_front() {
        if pending.chain.contains(&pending.path) {
            let message = format!("{} includes itself: {}", pending.path, pending.chain.join(" -> "));
            report.error(pending.place, &INCLUDE, &message, "remove one of these includes");
            continue;
        }
        // LiteLLM reads a file once.
        if loaded.contains(&pending.path) {
            continue;
        }
        if loaded.len() >= MAX_FILES {
            report.error(pending.place, &INCLUDE, "more than 1000 files", "join some of them");
            break;
        }
        loaded.insert(pending.path.clone());
        let text = match read_file(&pending.path) {
            Ok(text) => text,
            Err(error) => {
                // In front, so that it is merged in its turn.
                elsewhere(&pending, &error, report, read_file)
                    .into_iter()
                    .for_each(|it| queue.push_front(it));
                continue;
            }
        };
        let Some(included) = parse_included(&pending, &text, report) else { continue };
        let mut chain = pending.chain.to_vec();
        chain.push(pending.path);
        let included = split_off_includes(included, &chain, report, &mut queue);
        merge(&mut entries, included, report);
    }
    Node { place, value: Value::Map(entries) }
}

/// The same file beside the first one, with a warning. An error if it is not there either, and for a
/// file that is there and cannot be read.
fn elsewhere(
    pending: &Pending,
    error: &io::Error,
    report: &mut Report,
    read_file: &dyn Fn(&str) -> io::Result<String>,
) -> Option<Pending> {
    let Pending { path, beside_root, place, chain } = pending;
    let is_missing = error.kind() == io::ErrorKind::NotFound;
    let Some(found) = beside_root.as_ref().filter(|path| is_missing && read_file(path).is_ok()) else {
        let message = format!("cannot read {path}: {error}");
        report.error(*place, &INCLUDE, &message, "paths are relative to the including file");
        return None;
    };
    let message = format!("cannot read {path}: {error}; {found} is read instead, as in LiteLLM");
    report.warn(*place, &INCLUDE, &message, "write the path relative to the including file");
    Some(Pending { path: found.clone(), beside_root: None, place: *place, chain: Rc::clone(chain) })
}

/// The document of an included file; `None` with an error.
fn parse_included(pending: &Pending, text: &str, report: &mut Report) -> Option<Node> {
    let file = report.add_file(&pending.path);
    let included = parse(file, text, report)?;
    if included.value != Value::Null && included.entries().is_none() {
        let message = format!("expected a map, found {}", included.kind());
        let advice = "begin with a key, such as model_list:";
        report.error(included.place, &Path::top("document"), &message, advice);
        return None;
    }
    Some(included)
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
            let message = format!("expected a list of files, found {}", include.node.kind());
            report.error(include.place, &INCLUDE, &message, "write include: [file.yaml]");
        }
        return entries;
    };
    let shared: Rc<[String]> = Rc::from(chain);
    for (index, item) in items.iter().enumerate() {
        match &item.value {
            Value::Text(name) if !name.is_empty() => {
                let [root, from] = [chain.first(), chain.last()].map(|file| file.map_or("", String::as_str));
                let (path, beside_root) = (beside(from, name), beside(root, name));
                queue.push_back(Pending {
                    beside_root: Some(beside_root).filter(|other| *other != path),
                    path,
                    place: item.place,
                    chain: Rc::clone(&shared),
                });
            }
            _ => {
                let message = format!("expected the name of a file, found {}", item.kind());
                report.error(item.place, &INCLUDE.index(index), &message, "");
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

/// Extends lists, overwrites other values, adds new keys. Warns of a map that is overwritten, because
/// nothing of it applies then.
fn merge(base: &mut Vec<Entry>, included: Vec<Entry>, report: &mut Report) {
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
                (earlier, value) => {
                    let is_lost = matches!(earlier, Value::Map(entries) if !entries.is_empty());
                    // `x-` keys hold anchors, which are replaced already.
                    if is_lost && !entry.key.starts_with("x-") {
                        let Place { file, line } = own.place;
                        let file = report.file(file);
                        let message =
                            format!("replaces all of {} on line {line} of {file}, as in LiteLLM", own.key);
                        report.warn(
                            entry.place,
                            &Path::top(&entry.key),
                            &message,
                            "write the section in one file",
                        );
                    }
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
