//! What a deployment adds to requests and shows in listings.

use super::native_params;
use crate::config::{Layout, Member};
use crate::diagnostics::{ADVISES, Path, did_you_mean};
use crate::keys::tables::{
    LITELLM_PARAMS, REQUEST_PARAMETERS, home_of, is_litellms_own_key, is_request_parameter,
};
use crate::values::{
    PREFIX, Reader, Secret, Section, TextKind, Unset, is_hidden_name, is_secret_name, unreplaced,
};
use crate::yaml::{Entry, Node, Value};

/// Request parameters among litellm_params: those of OpenAI, and all others that LiteLLM sends to
/// the provider.
pub(super) fn defaults(reader: &mut Reader<'_>, params: &Section<'_>, provider: &str) -> Vec<Member> {
    let mut members = Vec::new();
    for entry in params.entries {
        let key = entry.key.as_str();
        if entry.node.value == Value::Null
            || LITELLM_PARAMS.find(key).is_some()
            || is_price(key)
            || native_params::is_withheld(provider, key)
        {
            continue;
        }
        let path = params.path.key(key);
        if !is_request_parameter(&entry.key) && !warn_of_unknown(reader, entry, &path) {
            continue;
        }
        if ADVISES
            && let Value::Text(text) = &entry.node.value
            && !text.starts_with(PREFIX)
            && let Some((message, advice)) = unreplaced(text)
        {
            reader.report.warn(entry.place, &path, &message, advice);
        }
        if let Some(value) = reader.json_value(&entry.node, &path) {
            members.push(Member::new(&entry.key, &value));
        }
    }
    members
}

/// Prices are not sent to a provider.
pub(super) fn is_price(key: &str) -> bool {
    key.contains("cost_per_") || key.contains("_cost_") || key.ends_with("_cost")
}

/// Warns of an unknown parameter. Whether it is sent.
fn warn_of_unknown(reader: &mut Reader<'_>, entry: &Entry, path: &Path<'_>) -> bool {
    let (message, advice) = if is_litellms_own_key(&entry.key) {
        ("unsupported key, ignored", "remove it".to_owned())
    } else if is_secret_name(&entry.key) && !entry.key.ends_with("token") {
        let near = reader.report.suggestions.name(&entry.key, LITELLM_PARAMS.names());
        ("unknown key, ignored", did_you_mean(near, "set credentials as api_key, or in extra_headers"))
    } else if let Some(home) = home_of(&entry.key, LITELLM_PARAMS.name) {
        ("has no effect here", format!("move it to {home}"))
    } else {
        // Sent, even if it looks like another key: `models` is a parameter of OpenRouter's.
        let names = LITELLM_PARAMS.names().chain(REQUEST_PARAMETERS.iter().copied());
        let near = reader.report.suggestions.name(&entry.key, names);
        let advice = did_you_mean(near, "remove it if the provider does not support it");
        let message = "unknown key, sent to the provider as in LiteLLM";
        reader.report.warn(entry.place, path, message, &advice);
        return true;
    };
    reader.report.warn(entry.place, path, message, &advice);
    false
}

/// The members of `extra_body` except `model`, which each body has already. Google's own options are
/// in a further one, where Google reads them.
pub(super) fn extra_body(reader: &mut Reader<'_>, params: &Section<'_>, layout: Layout) -> Vec<Member> {
    let Some(section) = reader.section(params, "extra_body") else { return Vec::new() };
    let mut members = Vec::new();
    for entry in section.entries {
        if entry.key.eq_ignore_ascii_case("model") {
            let advice = "set model in litellm_params";
            reader.report.warn(entry.place, &section.path.key(&entry.key), "has no effect here", advice);
            continue;
        }
        let value = reader.json_value_or_null(&entry.node, &section.path.key(&entry.key));
        members.extend(value.map(|value| Member::new(&entry.key, &value)));
    }
    if layout.reads_google_options()
        && !members.iter().any(|member| member.key == "extra_body")
        && let Some(google) = members.iter_mut().find(|member| member.key == "google")
    {
        google.key = "extra_body".to_owned();
        google.json = ["{\"google\":", &google.json, "}"].concat();
    }
    members
}

/// `extra_headers` (or `headers`), names in lower case.
pub(super) fn headers(reader: &mut Reader<'_>, params: &Section<'_>) -> Vec<(String, Secret)> {
    let mut headers = Vec::new();
    for key in ["headers", "extra_headers"] {
        let Some(section) = reader.section(params, key) else { continue };
        for entry in section.entries {
            let path = section.path.key(&entry.key);
            if let Some(value) = header(reader, entry, &path) {
                headers.retain(|(name, _): &(String, Secret)| *name != value.0);
                headers.push(value);
            }
        }
    }
    headers
}

fn header(reader: &mut Reader<'_>, entry: &Entry, path: &Path<'_>) -> Option<(String, Secret)> {
    let name = entry.key.to_ascii_lowercase();
    if !reader.check_header_name(entry.place, path, &name) {
        return None;
    }
    if matches!(name.as_str(), "host" | "content-length" | "transfer-encoding" | "connection") {
        reader.report.error(entry.place, path, "reserved header, which Envoy sets", "remove it");
        return None;
    }
    if is_secret_name(&name) {
        return Some((name, reader.secret(entry, path, Unset::Error)?));
    }
    let text = reader.string_of(&entry.node, path, Unset::Ignore)?;
    reader.check_text(entry.node.place, path, &text, TextKind::Header).then(|| (name, Secret::new(text)))
}

/// litellm_params as listings show them: no credentials, and `model` at the end, as in LiteLLM.
pub(super) fn public(
    reader: &mut Reader<'_>,
    params: &Section<'_>,
    display_url: &str,
    limits: &[(&str, Option<u64>)],
) -> Vec<Member> {
    const ELSEWHERE: [&str; 3] = ["model", "api_base", "base_url"];
    let mut members = Vec::new();
    if params.find("api_base").or_else(|| params.find("base_url")).is_some() {
        members.push(Member::new("api_base", &Value::Text(display_url.to_owned())));
    }
    for (key, limit) in limits {
        if let Some(limit) = limit {
            members.push(Member { key: (*key).to_owned(), json: limit.to_string() });
        }
    }
    let mut model = None;
    for entry in params.entries {
        let key = entry.key.as_str();
        let is_limit = limits.iter().any(|(name, _)| *name == key);
        let value = match &entry.node.value {
            Value::Null => continue,
            _ if key == "model" => {
                model = reader.quiet(key, &entry.node).map(|value| Member::new("model", &value));
                continue;
            }
            _ if is_limit || ELSEWHERE.contains(&key) || is_hidden_name(key) => continue,
            _ => reader.quiet(key, &entry.node),
        };
        members.extend(value.map(|value| Member::new(key, &without_secrets(value))));
    }
    members.extend(model);
    members
}

/// A value without the credentials inside, such as those of `extra_body` and `tools`.
pub(super) fn without_secrets(mut value: Value) -> Value {
    remove_secrets(&mut value);
    value
}

fn remove_secrets(value: &mut Value) {
    match value {
        Value::Map(entries) => {
            entries.retain(|entry| !is_hidden_name(&entry.key));
            entries.iter_mut().for_each(|entry| remove_secrets(&mut entry.node.value));
        }
        Value::List(items) => items.iter_mut().for_each(|item| remove_secrets(&mut item.value)),
        _ => {}
    }
}

impl Reader<'_> {
    /// A value that was read before: its findings are in the report already.
    fn quiet(&mut self, key: &str, node: &Node) -> Option<Value> {
        let mark = self.report.mark();
        let value = self.json_value(node, &Path::top(key));
        self.report.forget_since(mark);
        value
    }
}
