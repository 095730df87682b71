//! Fallbacks: a list of maps with one group each, `[{group: [other, ..]}]`.

use std::sync::Arc;

use crate::config::{Fallback, Target};
use crate::reader::{Reader, Section, Unset};
use crate::report::Path;
use crate::settings::Settings;
use crate::tree::{Entry, Node, Value};

/// `fallbacks`, and `default_fallbacks` under the key `*` behind them.
pub fn with_default(reader: &mut Reader<'_>, settings: &Settings<'_>) -> Vec<Fallback> {
    let mut fallbacks = list(reader, settings, "fallbacks");
    let Some((section, entry)) = settings.routing("default_fallbacks") else { return fallbacks };
    let path = section.path.key("default_fallbacks");
    let targets = match &entry.node.value {
        Value::List(items) => targets(reader, items, &path),
        _ => {
            let advice = "write a list of groups: [group, other]";
            reader.refuse_at(
                entry,
                &path,
                &format!("{} stands where a list belongs", entry.node.kind()),
                advice,
            );
            return fallbacks;
        }
    };
    if !targets.is_empty() {
        fallbacks.push(Fallback { group: Arc::from("*"), targets });
    }
    fallbacks
}

/// One of the lists of fallbacks.
pub fn list(reader: &mut Reader<'_>, settings: &Settings<'_>, key: &str) -> Vec<Fallback> {
    let Some((section, entry)) = settings.routing(key) else { return Vec::new() };
    let path = section.path.key(key);
    let Value::List(items) = &entry.node.value else {
        let message = format!("{} stands where a list of maps belongs", entry.node.kind());
        reader.refuse_at(entry, &path, &message, SHAPE);
        return Vec::new();
    };
    let mut fallbacks = Vec::new();
    for (index, item) in items.iter().enumerate() {
        fallbacks.extend(fallback(reader, item, &path.index(index)));
    }
    fallbacks
}

const SHAPE: &str = "write [{group: [other, another]}]";

fn fallback(reader: &mut Reader<'_>, item: &Node, path: &Path<'_>) -> Option<Fallback> {
    let entries = item.entries().unwrap_or_default();
    let [Entry { key, place, node }] = entries else {
        let message = match entries.len() {
            0 => format!("{} stands where a map with one group belongs", item.kind()),
            count => format!("a map with {count} keys stands where a map with one group belongs"),
        };
        reader.report.refuse(item.place, path, &message, SHAPE);
        return None;
    };
    let path = path.key(key);
    let Value::List(items) = &node.value else {
        let message = format!("{} stands where a list of groups belongs", node.kind());
        reader.report.refuse(*place, &path, &message, SHAPE);
        return None;
    };
    Some(Fallback { group: Arc::from(key.as_str()), targets: targets(reader, items, &path) })
}

fn targets(reader: &mut Reader<'_>, items: &[Node], path: &Path<'_>) -> Vec<Target> {
    let mut targets = Vec::new();
    for (index, item) in items.iter().enumerate() {
        let model = target(reader, item, &path.index(index));
        targets.extend(model.map(|model| Target { model, overrides: Vec::new() }));
    }
    targets
}

/// A group; or a map with nothing but its name, which says the same.
fn target(reader: &mut Reader<'_>, item: &Node, path: &Path<'_>) -> Option<Arc<str>> {
    let Some(entries) = item.entries() else {
        return reader.text_of(item, path, Unset::Drop).map(Arc::from);
    };
    let section = Section { entries, path: *path, place: item.place };
    if entries.len() == 1
        && let Some(model) = reader.text(&section, "model")
    {
        return Some(Arc::from(model));
    }
    let message = "changes the request for a fallback, which is not served";
    reader.report.refuse(
        item.place,
        path,
        message,
        "name the group alone, and set its parameters in its litellm_params",
    );
    None
}
