//! Aliases, fallbacks and routing groups that refer to unknown or skipped groups.

use super::known_names::KnownNames;
use crate::diagnostics::{ADVISES, Path, Place};
use crate::values::{PREFIX, Reader, Settings};
use crate::yaml::{self, Entry, Node, Value};

/// Reports references to unknown and skipped groups.
pub(crate) fn check_references(reader: &mut Reader<'_>, settings: &Settings<'_>, names: &mut KnownNames<'_>) {
    check_aliases(reader, settings, names);
    for key in ["fallbacks", "context_window_fallbacks", "content_policy_fallbacks"] {
        let Some((section, entry)) = settings.routing(key) else { continue };
        let Value::List(items) = &entry.node.value else { continue };
        let path = section.path.key(key);
        for (index, item) in items.iter().enumerate() {
            check_fallback(reader, items, item, &path.index(index), names);
        }
    }
    if let Some((section, entry)) = settings.routing("default_fallbacks")
        && let Value::List(items) = &entry.node.value
    {
        check_targets(reader, items, &section.path.key("default_fallbacks"), names);
    }
    check_routing_groups(reader, settings, names);
    if ADVISES {
        check_names(reader, settings, names);
        check_contexts(reader, settings, names);
    }
}

/// Warns of `enable_pre_call_checks` where there is nothing to compare prompts with. LiteLLM has a
/// table of models.
fn check_contexts(reader: &mut Reader<'_>, settings: &Settings<'_>, names: &KnownNames<'_>) {
    const KEY: &str = "enable_pre_call_checks";
    let Some(entry) = settings.router.and_then(|router| router.find(KEY)) else { return };
    if !names.has_contexts() && !entry.node.is_falsy() {
        let (message, advice) =
            ("checks nothing: no deployment has max_input_tokens", "set model_info.max_input_tokens");
        reader.report.warn(entry.place, &Path::top("router_settings").key(KEY), message, advice);
    }
}

/// Warns of settings for groups that there are not, on which nothing else depends.
fn check_names(reader: &mut Reader<'_>, settings: &Settings<'_>, names: &mut KnownNames<'_>) {
    let router = Path::top("router_settings");
    let entries = |key| settings.router.and_then(|router| router.find(key)?.node.entries());
    let policies = entries("model_group_retry_policy").unwrap_or_default();
    for entry in policies {
        let path = router.key("model_group_retry_policy");
        warn_unless_known(reader, entry, &path.key(&entry.key), names);
        let is_set = |group: &&str| yaml::find(policies, group).is_some();
        if let Some(group) = names.group_of_model(&entry.key).filter(|group| !is_set(group)) {
            warn_of_model(reader, entry, &path.key(&entry.key), group);
        }
    }
    for entry in entries("model_group_affinity_config").unwrap_or_default() {
        let path = router.key("model_group_affinity_config");
        warn_unless_listed(reader, entry, &path.key(&entry.key), names);
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
            yaml::find(entries, "group_name")
            && names.is_listed(name)
        {
            let message = format!("\"{name}\" is also a group of model_list, which gets its requests");
            let advice = "use another name for the routing group if clients request it";
            reader.report.warn(*place, &path.key("group_name"), &message, advice);
        }
        if let Some(Value::List(models)) = yaml::find(entries, "models").map(|entry| &entry.node.value) {
            check_models(reader, models, &path.key("models"), names);
        }
    }
}

/// The models of a routing group. LiteLLM looks up neither aliases nor patterns here.
fn check_models(reader: &mut Reader<'_>, models: &[Node], path: &Path<'_>, names: &mut KnownNames<'_>) {
    for (index, item) in models.iter().enumerate() {
        if let Value::Text(name) = &item.value
            && !name.starts_with(PREFIX)
            && !is_skipped(reader, item.place, &path.index(index), name, names)
            && !names.is_listed(name)
        {
            report_unknown(reader, item.place, &path.index(index), name, names);
        }
    }
}

fn check_fallback(
    reader: &mut Reader<'_>,
    all: &[Node],
    item: &Node,
    path: &Path<'_>,
    names: &mut KnownNames<'_>,
) {
    // Any other shape is an error already.
    let Some([entry]) = item.entries() else { return };
    let path = path.key(&entry.key);
    if ADVISES && names.why_skipped(&entry.key).is_none() {
        let is_set = |group: &str| all.iter().any(|item| is_key(item, group));
        if !names.has_fallbacks_under(&entry.key) {
            warn_of_unknown(reader, entry, &path, names);
        } else if let Some(group) = names.group_of_model(&entry.key).filter(|group| !is_set(group)) {
            warn_of_model(reader, entry, &path, group);
        }
    }
    if let Value::List(items) = &entry.node.value {
        check_targets(reader, items, &path, names);
    }
}

fn is_key(item: &Node, key: &str) -> bool {
    item.entries().is_some_and(|entries| yaml::find(entries, key).is_some())
}

fn warn_of_model(reader: &mut Reader<'_>, entry: &Entry, path: &Path<'_>, group: &str) {
    let message = format!(
        "the model of a deployment, not a group: requests for the group \"{group}\" do not use it, as in LiteLLM"
    );
    reader.report.warn(entry.place, path, &message, &format!("write {group}"));
}

fn report_unknown(
    reader: &mut Reader<'_>,
    place: Place,
    path: &Path<'_>,
    name: &str,
    names: &KnownNames<'_>,
) {
    let advice = names.advice(&mut reader.report.suggestions, name);
    reader.report.error(place, path, &format!("unknown group \"{name}\""), &advice);
}

/// Whether a name refers to a skipped group. Adds a warning and records the name if so.
fn is_skipped(
    reader: &mut Reader<'_>,
    place: Place,
    path: &Path<'_>,
    name: &str,
    names: &mut KnownNames<'_>,
) -> bool {
    let Some(reason) = names.why_skipped(name) else { return false };
    let message = format!("\"{name}\" is skipped, so this has no effect");
    reader.report.warn(place, path, &message, "remove it, or add a supported deployment to the group");
    names.add_skipped(name, reason);
    true
}

/// Whether a name is a pattern, to which no request can be sent. Adds an error if so.
fn is_pattern(
    reader: &mut Reader<'_>,
    place: Place,
    path: &Path<'_>,
    target: &str,
    names: &KnownNames<'_>,
) -> bool {
    let is_pattern = names.is_pattern(target);
    if is_pattern {
        let message = format!("expected a model, found the pattern \"{target}\"");
        reader.report.error(place, path, &message, "write a model that matches the pattern");
    }
    is_pattern
}

fn warn_unless_known(reader: &mut Reader<'_>, entry: &Entry, path: &Path<'_>, names: &mut KnownNames<'_>) {
    if !is_skipped(reader, entry.place, path, &entry.key, names) && !names.is_known(&entry.key) {
        warn_of_unknown(reader, entry, path, names);
    }
}

fn warn_of_unknown(reader: &mut Reader<'_>, entry: &Entry, path: &Path<'_>, names: &KnownNames<'_>) {
    let message = format!("unknown group \"{}\", so this has no effect", entry.key);
    let advice = names.advice(&mut reader.report.suggestions, &entry.key);
    reader.report.warn(entry.place, path, &message, &advice);
}

/// The same for a key that applies to groups of `model_list` alone.
fn warn_unless_listed(reader: &mut Reader<'_>, entry: &Entry, path: &Path<'_>, names: &KnownNames<'_>) {
    if !names.is_listed(&entry.key) {
        let message = format!("\"{}\" is not the name of a served group, so this has no effect", entry.key);
        let advice = names.advice(&mut reader.report.suggestions, &entry.key);
        reader.report.warn(entry.place, path, &message, &advice);
    }
}

fn check_targets(reader: &mut Reader<'_>, items: &[Node], path: &Path<'_>, names: &mut KnownNames<'_>) {
    for (index, item) in items.iter().enumerate() {
        let model = item.entries().and_then(|entries| yaml::find(entries, "model"));
        let node = model.map_or(item, |entry| &entry.node);
        if let Value::Text(name) = &node.value
            && !name.starts_with(PREFIX)
            && !is_skipped(reader, item.place, &path.index(index), name, names)
            && !is_pattern(reader, item.place, &path.index(index), name, names)
            && !names.is_known(name)
        {
            report_unknown(reader, item.place, &path.index(index), name, names);
        }
    }
}

fn check_aliases(reader: &mut Reader<'_>, settings: &Settings<'_>, names: &mut KnownNames<'_>) {
    let Some((section, entry)) = settings.routing("model_group_alias") else { return };
    let path = section.path.key("model_group_alias");
    for entry in entry.node.entries().unwrap_or_default() {
        let target = match &entry.node.value {
            Value::Text(target) => target,
            Value::Map(entries) => match yaml::find(entries, "model").map(|entry| &entry.node.value) {
                Some(Value::Text(target)) => target,
                _ => continue,
            },
            _ => continue,
        };
        check_alias(reader, entry, target, &path.key(&entry.key), names);
    }
}

/// LiteLLM starts with an alias of an unknown group, and its requests fail.
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
        let message =
            format!("\"{target}\" is an alias: requests to \"{name}\" fail, since aliases do not chain");
        reader.report.warn(entry.place, path, &message, "write the group");
    } else if !served && !target.starts_with(PREFIX) {
        let message = format!("unknown group \"{target}\": requests to \"{name}\" fail");
        let advice = names.advice(&mut reader.report.suggestions, target);
        reader.report.warn(entry.place, path, &message, &advice);
    } else if names.is_hidden_by(name) && name != target {
        let message = format!("the alias hides the group \"{name}\": its requests go to \"{target}\"");
        reader.report.warn(entry.place, path, &message, "use another name for the alias");
    }
}
