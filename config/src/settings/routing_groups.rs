//! `routing_groups`: model groups with their own strategy, which clients can also request together.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::strategy::{self, PRIORITY};
use crate::config::{RoutingGroup, Strategy, StrategyArgs};
use crate::diagnostics::Path;
use crate::keys::{Table, applied, check_keys};
use crate::values::{Reader, Section, TextKind};
use crate::yaml::{Entry, Node, Value};

/// Keys of a routing group.
pub(crate) const ROUTING_GROUPS: &Table = &Table {
    name: "routing_groups",
    keys: &[
        applied("group_name", "the name for all of them"),
        applied(
            "model_priorities",
            "with the strategy `priority`: a number for each model; lower is preferred",
        ),
        applied("models", "the model groups"),
        applied("routing_strategy", "as router_settings.routing_strategy, or `priority`"),
        applied("routing_strategy_args", "as router_settings.routing_strategy_args"),
    ],
    open: false,
};

const SHAPE: &str = "write {group_name: name, models: [group, other], routing_strategy: least-busy}";

/// Reads all of them. Among equal priorities, the strategy of the file decides.
pub(super) fn read(
    reader: &mut Reader<'_>,
    router: &Section<'_>,
    strategy: Strategy,
    args: &StrategyArgs,
) -> Vec<RoutingGroup> {
    let Some(entry) = router.find("routing_groups") else { return Vec::new() };
    let path = router.path.key("routing_groups");
    let Value::List(items) = &entry.node.value else {
        let message = format!("expected a list of maps, found {}", entry.node.kind());
        reader.report.error(entry.place, &path, &message, SHAPE);
        return Vec::new();
    };
    let mut groups: Vec<RoutingGroup> = Vec::new();
    let mut owners = BTreeMap::new();
    for (index, item) in items.iter().enumerate() {
        let path = path.index(index);
        let Some(group) = group(reader, item, path, strategy, args) else { continue };
        if groups.iter().any(|other| other.name == group.name) {
            let message = format!("duplicate routing group \"{}\"", group.name);
            reader.report.error(item.place, &path.key("group_name"), &message, "use another name");
        }
        claim(reader, &mut owners, &group, item, &path.key("models"));
        groups.push(group);
    }
    groups
}

/// A model has one strategy, so it may be in one group only, unless groups have priorities: those
/// apply to requests for the routing group only.
fn claim(
    reader: &mut Reader<'_>,
    owners: &mut BTreeMap<Arc<str>, Arc<str>>,
    group: &RoutingGroup,
    item: &Node,
    path: &Path<'_>,
) {
    if !group.priorities.is_empty() {
        return;
    }
    for model in &group.models {
        let owner = owners.entry(Arc::clone(model)).or_insert_with(|| Arc::clone(&group.name));
        if *owner != group.name {
            let message = format!("\"{model}\" is also in the routing group \"{owner}\"");
            reader.report.error(item.place, path, &message, "list each model in one routing group");
        }
    }
}

fn group(
    reader: &mut Reader<'_>,
    item: &Node,
    path: Path<'_>,
    strategy: Strategy,
    args: &StrategyArgs,
) -> Option<RoutingGroup> {
    let Some(entries) = item.entries() else {
        let message = format!("expected a map, found {}", item.kind());
        reader.report.error(item.place, &path, &message, SHAPE);
        return None;
    };
    let section = Section { entries, path, place: item.place };
    check_keys(reader, &section, ROUTING_GROUPS);
    let name = name(reader, &section);
    let models = models(reader, &section);
    let (entry, word) = required(reader, &section, "routing_strategy", &strategy::choice())?;
    let (name, models) = (name?, models?);
    if word == PRIORITY {
        let priorities = priorities(reader, &section, &models);
        return Some(RoutingGroup { name, models, strategy, strategy_args: args.clone(), priorities });
    }
    if let Some(entry) = section.find("model_priorities").filter(|entry| !entry.node.is_falsy()) {
        let message = format!("has no effect with the strategy {word}");
        let advice = "write routing_strategy: priority, or remove it";
        reader.report.error(entry.place, &path.key("model_priorities"), &message, advice);
    }
    let strategy = strategy::named(reader, &section, entry, &word);
    let strategy_args = strategy::args(reader, &section);
    Some(RoutingGroup { name, models, strategy, strategy_args, priorities: Vec::new() })
}

fn name(reader: &mut Reader<'_>, section: &Section<'_>) -> Option<Arc<str>> {
    let (entry, name) = required(reader, section, "group_name", "a name for clients")?;
    if !reader.check_text(entry.place, &section.path.key("group_name"), &name, TextKind::Name) {
        return None;
    }
    if name == "default" {
        let path = section.path.key("group_name");
        reader.report.error(entry.place, &path, "\"default\" is reserved", "use another name");
    }
    Some(Arc::from(name))
}

fn required<'s>(
    reader: &mut Reader<'_>,
    section: &Section<'s>,
    key: &str,
    what: &str,
) -> Option<(&'s Entry, String)> {
    let found = section.find(key).map(|entry| (entry, reader.required_string(section, key)));
    match found {
        Some((entry, Some(text))) if !text.trim().is_empty() => Some((entry, text)),
        Some((_, None)) => None,
        _ => {
            let path = section.path.key(key);
            reader.report.error(section.place, &path, "missing key", &format!("write {what}"));
            None
        }
    }
}

fn models(reader: &mut Reader<'_>, section: &Section<'_>) -> Option<Vec<Arc<str>>> {
    let listed = section.find("models").is_some();
    let names = reader.strings(section, "models").unwrap_or_default();
    let mut models: Vec<Arc<str>> = Vec::new();
    for name in names {
        if models.iter().all(|other| **other != *name) {
            models.push(Arc::from(name));
        }
    }
    if models.is_empty() {
        let path = section.path.key("models");
        let message = if listed { "empty list" } else { "missing key" };
        reader.report.error(section.place, &path, message, "list groups of model_list there");
        return None;
    }
    Some(models)
}

/// A positive number for each model, as LiteLLM requires.
fn priorities(reader: &mut Reader<'_>, section: &Section<'_>, models: &[Arc<str>]) -> Vec<(Arc<str>, i64)> {
    if let Some(entry) = section.find("routing_strategy_args").filter(|entry| !entry.node.is_falsy()) {
        let path = section.path.key("routing_strategy_args");
        reader.report.error(entry.place, &path, "has no effect with the strategy priority", "remove it");
    }
    let nothing = Section { entries: &[], path: section.path.key("model_priorities"), place: section.place };
    let map = reader.section(section, "model_priorities").unwrap_or(nothing);
    for entry in map.entries.iter().filter(|entry| models.iter().all(|model| **model != *entry.key)) {
        let message = "not a model of this routing group";
        reader.report.error(
            entry.place,
            &map.path.key(&entry.key),
            message,
            "add it to models, or remove it",
        );
    }
    let mut priorities = Vec::new();
    for model in models {
        let number = match map.find(model) {
            Some(_) => reader.integer(&map, model).unwrap_or(1),
            None => 0,
        };
        if number < 1 {
            let message = format!("expected a positive number for \"{model}\"");
            reader.report.error(
                map.place,
                &map.path,
                &message,
                "write one for each model; lower is preferred",
            );
        }
        priorities.push((Arc::clone(model), number));
    }
    priorities
}
