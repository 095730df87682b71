//! `metadata` of a chat that the provider is asked to store. LiteLLM takes it for its own and removes it always; OpenAI
//! keeps it with the stored answer.

use std::borrow::Cow;

use llm_balancer_config::{Deployment, Member};

use crate::http::json::Object;

/// Whether `store: true` is what will be sent: the deployment's extra_body goes before the client's own, and that
/// before the defaults.
pub fn is_stored(object: &Object<'_>, deployment: &Deployment) -> bool {
    let store = of(&deployment.extra_body).or(object.present("store")).or_else(|| of(&deployment.defaults));
    store == Some("true")
}

fn of(params: &[Member]) -> Option<&str> {
    params.iter().find(|member| member.key == "store").map(|member| member.json.as_str())
}

/// Metadata without the router's `tags`, which are a list. OpenAI's values are strings.
pub fn for_the_provider(metadata: &str) -> Cow<'_, str> {
    let Ok(object) = Object::parse(metadata.as_bytes()) else { return Cow::Borrowed(metadata) };
    if !object.get("tags").is_some_and(|tags| tags.starts_with('[')) {
        return Cow::Borrowed(metadata);
    }
    let mut text = String::with_capacity(metadata.len());
    for member in object.members().iter().filter(|member| member.key != "tags") {
        text.push(if text.is_empty() { '{' } else { ',' });
        text.extend([member.written, ":", member.value]);
    }
    if text.is_empty() {
        text.push('{');
    }
    text.push('}');
    Cow::Owned(text)
}
