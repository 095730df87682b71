//! Fallbacks: a list of maps with one group each, `[{group: [other, ..]}]`.

use std::sync::Arc;

use crate::config::{Fallback, Member, Target};
use crate::diagnostics::{ADVISES, Path, did_you_mean};
use crate::keys::tables::{REQUEST_PARAMETERS, is_litellms_own_key, is_request_parameter};
use crate::values::{Reader, Section, Settings, TextKind, Unset, is_secret_name};
use crate::yaml::{Entry, Node, Value};

/// `fallbacks`, then `default_fallbacks` under the group `*`.
pub(super) fn with_default(reader: &mut Reader<'_>, settings: &Settings<'_>) -> Vec<Fallback> {
    let mut fallbacks = list(reader, settings, "fallbacks");
    let Some((section, entry)) = settings.routing("default_fallbacks") else { return fallbacks };
    let path = section.path.key("default_fallbacks");
    let targets = match &entry.node.value {
        Value::List(items) => targets(reader, items, &path),
        _ => {
            let advice = "write a list of groups: [group, other]";
            reader.report.error(
                entry.place,
                &path,
                &format!("expected a list, found {}", entry.node.kind()),
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
pub(super) fn list(reader: &mut Reader<'_>, settings: &Settings<'_>, key: &str) -> Vec<Fallback> {
    let Some((section, entry)) = settings.routing(key) else { return Vec::new() };
    let path = section.path.key(key);
    let Value::List(items) = &entry.node.value else {
        let message = format!("expected a list of maps, found {}", entry.node.kind());
        reader.report.error(entry.place, &path, &message, SHAPE);
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
            0 => format!("expected a map with one group, found {}", item.kind()),
            count => format!("expected a map with one group, found {count} keys"),
        };
        reader.report.error(item.place, path, &message, SHAPE);
        return None;
    };
    let path = path.key(key);
    if !reader.check_key(*place, &path, key) {
        return None;
    }
    let Value::List(items) = &node.value else {
        let message = format!("expected a list of groups, found {}", node.kind());
        reader.report.error(*place, &path, &message, SHAPE);
        return None;
    };
    Some(Fallback { group: Arc::from(key.as_str()), targets: targets(reader, items, &path) })
}

fn targets(reader: &mut Reader<'_>, items: &[Node], path: &Path<'_>) -> Vec<Target> {
    let mut targets = Vec::new();
    for (index, item) in items.iter().enumerate() {
        targets.extend(target(reader, item, &path.index(index)));
    }
    targets
}

/// A group, or a map of its name and of members that replace those of the request.
fn target(reader: &mut Reader<'_>, item: &Node, path: &Path<'_>) -> Option<Target> {
    let Some(entries) = item.entries() else {
        let model = reader.string_of(item, path, Unset::Ignore)?;
        reader.check_text(item.place, path, &model, TextKind::Name);
        return Some(Target { model: Arc::from(model), overrides: Vec::new() });
    };
    let section = Section { entries, path: *path, place: item.place };
    let overrides = overrides(reader, &section);
    match reader.string(&section, "model").filter(|model| !model.is_empty()) {
        Some(model) => {
            reader.check_text(item.place, &path.key("model"), &model, TextKind::Name);
            Some(Target { model: Arc::from(model), overrides })
        }
        None => {
            let advice = "write {model: group, temperature: 0}";
            reader.report.error(item.place, path, "missing group in model", advice);
            None
        }
    }
}

/// Members that replace those of the client's body.
fn overrides(reader: &mut Reader<'_>, section: &Section<'_>) -> Vec<Member> {
    let mut members = Vec::new();
    for entry in section.entries.iter().filter(|entry| entry.key != "model") {
        let path = section.path.key(&entry.key);
        if is_connection_setting(&entry.key) {
            let message = "a fallback cannot change credentials or addresses";
            let advice = "add a group with it in litellm_params, and fall back to that group";
            reader.report.error(entry.place, &path, message, advice);
            continue;
        }
        if ADVISES && !is_request_parameter(&entry.key) && !is_of_a_request(&entry.key) {
            let near = reader.report.suggestions.name(&entry.key, REQUEST_PARAMETERS.iter().copied());
            let advice = did_you_mean(near, "remove it if the provider does not support it");
            let message = "unknown key, added to the request as in LiteLLM";
            reader.report.warn(entry.place, &path, message, &advice);
        }
        let value = reader.json_value_or_null(&entry.node, &path);
        members.extend(value.map(|value| Member::new(&entry.key, &value)));
    }
    members
}

/// The content of a request and what it says to the router, which a fallback may replace.
fn is_of_a_request(key: &str) -> bool {
    matches!(key, "input" | "messages" | "metadata" | "prompt" | "query" | "documents")
        || matches!(key, "num_retries" | "request_timeout" | "stream_timeout" | "timeout" | "extra_body")
}

/// Whether a parameter of LiteLLM's sets an address or a credential.
fn is_connection_setting(key: &str) -> bool {
    const PLACES: [&str; 7] = [
        "api_base", "api_version", "base_url", "custom_llm_provider", "extra_headers", "headers",
        "organization",
    ];
    PLACES.contains(&key) || !is_request_parameter(key) && (is_secret_name(key) || is_litellms_own_key(key))
}
