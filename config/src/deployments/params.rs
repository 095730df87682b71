//! What a deployment adds to requests and shows in listings.

use crate::config::Member;
use crate::diagnostics::report::{ADVISES, Path};
use crate::diagnostics::suggest;
use crate::keys::tables::{
    LITELLM_PARAMS, REQUEST_PARAMETERS, home_of, is_litellms_own, is_request_parameter,
};
use crate::values::credentials::is_secret_name;
use crate::values::environment::PREFIX;
use crate::values::reader::{Reader, Section, Unset};
use crate::values::secret::Secret;
use crate::values::visible::{self, TextKind};
use crate::yaml::json;
use crate::yaml::tree::{Entry, Node, Value};

/// A member of a JSON object.
pub fn member(key: &str, value: &Value) -> Member {
    Member { key: key.to_owned(), json: json::text(value) }
}

/// Request parameters among litellm_params: those of OpenAI, and everything LiteLLM would hand to the provider.
pub fn defaults(reader: &mut Reader<'_>, params: &Section<'_>) -> Vec<Member> {
    let mut members = Vec::new();
    for entry in params.entries {
        if entry.node.value == Value::Null || LITELLM_PARAMS.find(&entry.key).is_some() {
            continue;
        }
        let path = params.path.key(&entry.key);
        if is_ours_to_keep(&entry.key) {
            continue;
        }
        if !is_request_parameter(&entry.key) && !announce(reader, entry, &path) {
            continue;
        }
        if ADVISES
            && let Value::Text(text) = &entry.node.value
            && !text.starts_with(PREFIX)
            && let Some((message, advice)) = visible::unreplaced(text)
        {
            reader.report.warn(entry.place, &path, &message, advice);
        }
        if let Some(value) = reader.json_value(&entry.node, &path) {
            members.push(member(&entry.key, &value));
        }
    }
    members
}

/// Prices and the settings of LiteLLM's other features never go to a provider.
fn is_ours_to_keep(key: &str) -> bool {
    key.contains("cost_per_") || key.contains("_cost_") || key.ends_with("_cost")
}

/// Warns of a parameter that may be a misspelling; whether it is sent.
fn announce(reader: &mut Reader<'_>, entry: &Entry, path: &Path<'_>) -> bool {
    // Whether it is sent depends on it, here and in the filter alike.
    let near = suggest::nearest(&entry.key, LITELLM_PARAMS.keys.iter().map(|key| key.name));
    let (message, advice) = if let Some(near) = near {
        ("is not known here and has no effect", format!("did you mean {near}?"))
    } else if is_litellms_own(&entry.key) {
        ("belongs to a feature of LiteLLM that is not served, and has no effect", "remove it".to_owned())
    } else if is_secret_name(&entry.key) && !entry.key.ends_with("token") {
        ("is not known here and has no effect", "give credentials as api_key, or in extra_headers".to_owned())
    } else if let Some(home) = home_of(&entry.key, LITELLM_PARAMS.name) {
        ("has no effect here", format!("it belongs in {home}"))
    } else {
        let near = reader.report.suggestions.name(&entry.key, REQUEST_PARAMETERS.iter().copied());
        let advice = match near {
            Some(near) => format!("did you mean {near}?"),
            None => "remove it if the provider does not know it".to_owned(),
        };
        let message = "is not known here and is sent to the provider, as LiteLLM does";
        reader.report.warn(entry.place, path, message, &advice);
        return true;
    };
    reader.report.warn(entry.place, path, message, &advice);
    false
}

/// The members of `extra_body`. `model` is none of them: it would stand beside the deployment's own in each body.
pub fn extra_body(reader: &mut Reader<'_>, params: &Section<'_>) -> Vec<Member> {
    let Some(section) = reader.section(params, "extra_body") else { return Vec::new() };
    let mut members = Vec::new();
    for entry in section.entries {
        if entry.key.eq_ignore_ascii_case("model") {
            let advice = "name the provider's model as model of litellm_params";
            reader.report.warn(entry.place, &section.path.key(&entry.key), "has no effect", advice);
            continue;
        }
        let value = match &entry.node.value {
            Value::Null => Some(Value::Null),
            _ => reader.json_value(&entry.node, &section.path.key(&entry.key)),
        };
        if let Some(value) = value {
            members.push(member(&entry.key, &value));
        }
    }
    members
}

/// `extra_headers` (or `headers`), names in lower case.
pub fn headers(reader: &mut Reader<'_>, params: &Section<'_>) -> Vec<(String, Secret)> {
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
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if name.is_empty() || !name.bytes().all(is_token) {
        reader.report.refuse(entry.place, path, "is no name of a header", "correct the name");
        return None;
    }
    if matches!(name.as_str(), "host" | "content-length" | "transfer-encoding" | "connection") {
        let advice = "remove it";
        reader.report.refuse(entry.place, path, "is a header that Envoy alone may set", advice);
        return None;
    }
    if is_secret_name(&name) {
        return Some((name, reader.secret(entry, path, Unset::Refuse)?));
    }
    let text = reader.string_of(&entry.node, path, Unset::Drop)?;
    reader.check_text(entry.node.place, path, &text, TextKind::Header).then(|| (name, Secret::new(text)))
}

/// litellm_params as the listings may show them: nothing that could be a credential, `model` at the end, where
/// LiteLLM shows it.
pub fn public(
    reader: &mut Reader<'_>,
    params: &Section<'_>,
    display_url: &str,
    limits: &[(&str, Option<u64>)],
) -> Vec<Member> {
    const HIDDEN: [&str; 5] = ["model", "extra_headers", "headers", "api_base", "base_url"];
    let mut members = Vec::new();
    if params.find("api_base").or_else(|| params.find("base_url")).is_some() {
        members.push(Member { key: "api_base".to_owned(), json: json::quoted(display_url) });
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
                model = reader.quiet(key, &entry.node).map(|value| member("model", &value));
                continue;
            }
            _ if is_limit || HIDDEN.contains(&key) || is_secret_name(key) => continue,
            _ => reader.quiet(key, &entry.node),
        };
        members.extend(value.map(|value| member(key, &value_without_secrets(value))));
    }
    members.extend(model);
    members
}

/// `extra_body` may hold keys of its own.
fn value_without_secrets(value: Value) -> Value {
    match value {
        Value::Map(mut entries) => {
            entries.retain(|entry| !is_secret_name(&entry.key));
            for entry in &mut entries {
                let value = std::mem::replace(&mut entry.node.value, Value::Null);
                entry.node.value = value_without_secrets(value);
            }
            Value::Map(entries)
        }
        other => other,
    }
}

impl Reader<'_> {
    /// A value that has been read, and reported on, before.
    fn quiet(&mut self, key: &str, node: &Node) -> Option<Value> {
        let mark = self.report.mark();
        let value = self.json_value(node, &Path::top(key));
        self.report.forget_since(mark);
        value
    }
}
