//! Fallbacks: a list of maps with one group each, `[{group: [other, ..]}]`.

use std::sync::Arc;

use crate::config::{Fallback, Member, Target};
use crate::deployments::params;
use crate::diagnostics::report::{ADVISES, Path};
use crate::keys::tables::{REQUEST_PARAMETERS, is_litellms_own, is_request_parameter};
use crate::values::credentials::is_secret_name;
use crate::values::reader::{Reader, Section, Unset};
use crate::values::settings::Settings;
use crate::values::visible::TextKind;
use crate::yaml::tree::{Entry, Node, Value};

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
    if !reader.check_key(*place, &path, key) {
        return None;
    }
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
        targets.extend(target(reader, item, &path.index(index)));
    }
    targets
}

/// A group; or a map of its name and of what changes in the request on the way there.
fn target(reader: &mut Reader<'_>, item: &Node, path: &Path<'_>) -> Option<Target> {
    let Some(entries) = item.entries() else {
        let model = reader.string_of(item, path, Unset::Drop)?;
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
            reader.report.refuse(item.place, path, "names no group in model", advice);
            None
        }
    }
}

/// Members that replace those of the client's body.
fn overrides(reader: &mut Reader<'_>, section: &Section<'_>) -> Vec<Member> {
    let mut members = Vec::new();
    for entry in section.entries.iter().filter(|entry| entry.key != "model") {
        let path = section.path.key(&entry.key);
        if leads_elsewhere(&entry.key) {
            let message = "names a credential or an address, which a fallback cannot change";
            let advice = "put it into the litellm_params of a group of its own, and name that group";
            reader.refuse_at(entry, &path, message, advice);
            continue;
        }
        if ADVISES && !is_request_parameter(&entry.key) && !is_a_body_member(&entry.key) {
            let near = reader.report.suggestions.name(&entry.key, REQUEST_PARAMETERS.iter().copied());
            let advice = match near {
                Some(near) => format!("did you mean {near}?"),
                None => "remove it if the provider does not know it".to_owned(),
            };
            let message = "is not known here and is put into the request, as LiteLLM does";
            reader.report.warn(entry.place, &path, message, &advice);
        }
        let value = match &entry.node.value {
            Value::Null => Some(Value::Null),
            _ => reader.json_value(&entry.node, &path),
        };
        members.extend(value.map(|value| params::member(&entry.key, &value)));
    }
    members
}

/// What a request is about: no default of a deployment, but a fallback may replace it.
fn is_a_body_member(key: &str) -> bool {
    matches!(key, "input" | "messages" | "metadata" | "prompt" | "query" | "documents")
}

/// Whether a parameter of LiteLLM's says where a request goes, or what opens the door there.
fn leads_elsewhere(key: &str) -> bool {
    const PLACES: [&str; 7] = [
        "api_base",
        "api_version",
        "base_url",
        "custom_llm_provider",
        "extra_headers",
        "headers",
        "organization",
    ];
    PLACES.contains(&key) || !is_request_parameter(key) && (is_secret_name(key) || is_litellms_own(key))
}
