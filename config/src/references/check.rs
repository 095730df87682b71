//! Names that refer to groups: aliases, fallbacks and routing groups.

use std::sync::Arc;

use crate::config::Alias;
use crate::diagnostics::report::Path;
use crate::keys::support::{self, Table, applied};
use crate::references::known_names::KnownNames;
use crate::values::reader::{Reader, Section};
use crate::values::settings::Settings;
use crate::values::visible::TextKind;
use crate::yaml::tree::{Entry, Node, Place, Value};

/// Reads `model_group_alias`.
pub fn aliases(reader: &mut Reader<'_>, settings: &Settings<'_>) -> Vec<Alias> {
    let Some((section, _)) = settings.routing("model_group_alias") else { return Vec::new() };
    if settings.router.and_then(|router| router.find("model_group_alias")).is_none() {
        reader.misplaced(&section, "model_group_alias", "router_settings");
    }
    let Some(map) = reader.section(&section, "model_group_alias") else { return Vec::new() };
    let mut aliases = Vec::new();
    for entry in map.entries {
        aliases.extend(alias(reader, entry, &map.path.key(&entry.key)));
    }
    aliases
}

const ALIAS: &Table = &Table {
    name: "model_group_alias",
    keys: &[applied("hidden", "left out of the listings"), applied("model", "the group it stands for")],
    open: false,
};

fn alias(reader: &mut Reader<'_>, entry: &Entry, path: &Path<'_>) -> Option<Alias> {
    const SHAPE: &str = "write name: group, or name: {model: group, hidden: true}";
    if !reader.check_key(entry.place, path, &entry.key) {
        return None;
    }
    if entry.key.contains('*') {
        let message = "is a pattern, and aliases are looked up as they are written";
        let advice = "put a deployment with this model_name into model_list";
        reader.refuse_at(entry, path, message, advice);
        return None;
    }
    let name = Arc::from(entry.key.as_str());
    let (target, hidden) = match &entry.node.value {
        Value::Null => return None,
        Value::Map(entries) => {
            let section = Section { entries, path: *path, place: entry.place };
            support::check_keys(reader, &section, ALIAS);
            let hidden = reader.bool(&section, "hidden").unwrap_or(false);
            (reader.string(&section, "model"), hidden)
        }
        Value::List(_) => {
            let message = "a list stands where one group belongs";
            reader.refuse_at(entry, path, message, "put all of its deployments into one group of model_list");
            return None;
        }
        _ => (reader.string_of(&entry.node, path, crate::values::reader::Unset::Drop), false),
    };
    match target.filter(|target| !target.is_empty()) {
        Some(target) => {
            reader.check_text(entry.place, path, &target, TextKind::Name);
            Some(Alias { name, target: Arc::from(target), hidden })
        }
        None => {
            reader.refuse_at(entry, path, "names no group", SHAPE);
            None
        }
    }
}

/// Reports aliases that lead nowhere and fallbacks to groups that are not there.
pub fn check(reader: &mut Reader<'_>, settings: &Settings<'_>, names: &mut KnownNames<'_>) {
    check_aliases(reader, settings, names);
    for key in ["fallbacks", "context_window_fallbacks", "content_policy_fallbacks"] {
        let Some((section, entry)) = settings.routing(key) else { continue };
        let Value::List(items) = &entry.node.value else { continue };
        let path = section.path.key(key);
        for (index, item) in items.iter().enumerate() {
            check_fallback(reader, item, &path.index(index), names);
        }
    }
    if let Some((section, entry)) = settings.routing("default_fallbacks")
        && let Value::List(items) = &entry.node.value
    {
        check_targets(reader, items, &section.path.key("default_fallbacks"), names);
    }
    check_routing_groups(reader, settings, names);
    let policies = settings.router.and_then(|router| router.find("model_group_retry_policy"));
    for entry in policies.and_then(|entry| entry.node.entries()).unwrap_or_default() {
        let router = Path::top("router_settings");
        let path = router.key("model_group_retry_policy");
        warn_unless_known(reader, entry, &path.key(&entry.key), names);
    }
}

fn check_routing_groups(reader: &mut Reader<'_>, settings: &Settings<'_>, names: &mut KnownNames<'_>) {
    let Some(router) = settings.router else { return };
    let Some(entry) = router.find("routing_groups") else { return };
    let Value::List(items) = &entry.node.value else { return };
    let path = router.path.key("routing_groups");
    for (index, item) in items.iter().enumerate() {
        let path = path.index(index);
        let Some(entries) = item.entries() else { continue };
        if let Some(Entry { node: Node { value: Value::Text(name), .. }, place, .. }) =
            crate::yaml::tree::find(entries, "group_name")
            && names.is_listed(name)
        {
            let message = format!("{name} is a group of model_list too, and requests to it go there");
            let advice = "give the routing group another name if it is to be asked for";
            reader.report.warn(*place, &path.key("group_name"), &message, advice);
        }
        if let Some(Value::List(models)) =
            crate::yaml::tree::find(entries, "models").map(|entry| &entry.node.value)
        {
            check_models(reader, models, &path.key("models"), names);
        }
    }
}

/// Groups of `model_list` under their own names: LiteLLM looks up neither aliases nor patterns here.
fn check_models(reader: &mut Reader<'_>, models: &[Node], path: &Path<'_>, names: &mut KnownNames<'_>) {
    for (index, item) in models.iter().enumerate() {
        if let Value::Text(name) = &item.value
            && !name.starts_with(crate::values::environment::PREFIX)
            && !is_skipped(reader, item.place, &path.index(index), name, names)
            && !names.is_listed(name)
        {
            let message = format!("{name} is no group of model_list");
            let advice = names.advice(&mut reader.report.suggestions, name);
            reader.report.refuse(item.place, &path.index(index), &message, &advice);
        }
    }
}

fn check_fallback(reader: &mut Reader<'_>, item: &Node, path: &Path<'_>, names: &mut KnownNames<'_>) {
    for entry in item.entries().unwrap_or_default() {
        let path = path.key(&entry.key);
        warn_unless_known(reader, entry, &path, names);
        if let Value::List(items) = &entry.node.value {
            check_targets(reader, items, &path, names);
        }
    }
}

/// Whether a name leads to what is skipped: then the report says so, and the name is remembered as one of those.
fn is_skipped(
    reader: &mut Reader<'_>,
    place: Place,
    path: &Path<'_>,
    name: &str,
    names: &mut KnownNames<'_>,
) -> bool {
    let Some(reason) = names.why_skipped(name) else { return false };
    let message = format!("{name} is skipped, and so is what stands here");
    reader.report.warn(place, path, &message, "remove it, or give the group a deployment that can be served");
    names.skip_name(name, reason);
    true
}

/// Whether requests are sent to a pattern, which the report refuses.
fn is_pattern(
    reader: &mut Reader<'_>,
    place: Place,
    path: &Path<'_>,
    target: &str,
    names: &KnownNames<'_>,
) -> bool {
    let is_pattern = names.is_pattern(target);
    if is_pattern {
        let message = format!("{target} is a pattern, and requests cannot be sent to one");
        reader.report.refuse(place, path, &message, "name a model that the pattern matches");
    }
    is_pattern
}

fn warn_unless_known(reader: &mut Reader<'_>, entry: &Entry, path: &Path<'_>, names: &mut KnownNames<'_>) {
    if !is_skipped(reader, entry.place, path, &entry.key, names) && !names.is_known(&entry.key) {
        let message = format!("{} is no group, so this never applies", entry.key);
        let advice = names.advice(&mut reader.report.suggestions, &entry.key);
        reader.report.warn(entry.place, path, &message, &advice);
    }
}

fn check_targets(reader: &mut Reader<'_>, items: &[Node], path: &Path<'_>, names: &mut KnownNames<'_>) {
    for (index, item) in items.iter().enumerate() {
        let model = item.entries().and_then(|entries| crate::yaml::tree::find(entries, "model"));
        let node = model.map_or(item, |entry| &entry.node);
        if let Value::Text(name) = &node.value
            && !name.starts_with(crate::values::environment::PREFIX)
            && !is_skipped(reader, item.place, &path.index(index), name, names)
            && !is_pattern(reader, item.place, &path.index(index), name, names)
            && !names.is_known(name)
        {
            let message = format!("{name} is no group");
            let advice = names.advice(&mut reader.report.suggestions, name);
            reader.report.refuse(item.place, &path.index(index), &message, &advice);
        }
    }
}

fn check_aliases(reader: &mut Reader<'_>, settings: &Settings<'_>, names: &mut KnownNames<'_>) {
    let Some((section, entry)) = settings.routing("model_group_alias") else { return };
    let path = section.path.key("model_group_alias");
    for entry in entry.node.entries().unwrap_or_default() {
        let target = match &entry.node.value {
            Value::Text(target) => target,
            Value::Map(entries) => {
                match crate::yaml::tree::find(entries, "model").map(|entry| &entry.node.value) {
                    Some(Value::Text(target)) => target,
                    _ => continue,
                }
            }
            _ => continue,
        };
        check_alias(reader, entry, target, &path.key(&entry.key), names);
    }
}

/// LiteLLM starts with such aliases, and requests to them fail.
fn check_alias(
    reader: &mut Reader<'_>,
    entry: &Entry,
    target: &str,
    path: &Path<'_>,
    names: &mut KnownNames<'_>,
) {
    let name = entry.key.as_str();
    if is_skipped(reader, entry.place, path, target, names)
        || is_pattern(reader, entry.place, path, target, names)
    {
        return;
    }
    let served = names.is_served(target);
    if !served && names.is_alias(target) {
        let message = format!("{target} is an alias itself, and aliases are looked up once");
        reader.report.warn(entry.place, path, &message, "name the group");
    } else if !served && !target.starts_with(crate::values::environment::PREFIX) {
        let message = format!("{target} is no group, so requests to {name} fail");
        let advice = names.advice(&mut reader.report.suggestions, target);
        reader.report.warn(entry.place, path, &message, &advice);
    } else if names.is_hidden_by(name) && name != target {
        let message = format!("hides the group {name}: requests to it go to {target}");
        reader.report.warn(entry.place, path, &message, "give the alias another name");
    }
}
