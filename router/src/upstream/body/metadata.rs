//! `metadata` of a chat that the provider is to store. LiteLLM always removes it as its own
//! parameter; OpenAI keeps it with the stored response.

use std::borrow::Cow;

use llm_balancer_config::Deployment;

use crate::http::json::{Object, ObjectText};
use crate::upstream::params;

/// Whether the provider gets `store: true`.
pub(super) fn is_stored(object: &Object<'_>, deployment: &Deployment) -> bool {
    params::effective("store", object.present("store"), deployment) == Some("true")
}

/// Metadata without the router's `tags`, which are a list; OpenAI's values are strings.
pub(super) fn without_tags(metadata: &str) -> Cow<'_, str> {
    let Ok(object) = Object::parse(metadata.as_bytes()) else { return Cow::Borrowed(metadata) };
    if !object.get("tags").is_some_and(|tags| tags.starts_with('[')) {
        return Cow::Borrowed(metadata);
    }
    let mut text = ObjectText::with_capacity(metadata.len());
    for member in object.members().iter().filter(|member| member.key != "tags") {
        text.member(member.written, member.value);
    }
    Cow::Owned(text.finish())
}
