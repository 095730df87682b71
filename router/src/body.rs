//! The body as the chosen deployment gets it: its own model, its defaults, and nothing that was meant for the router.

use std::borrow::Cow;

use llm_balancer_config::{Deployment, Member};

use crate::json::{self, Object, quoted};
use crate::multipart::Form;
use crate::request::{Facts, Payload};
use crate::route::ModelRoute;

/// The body to send, or `None` if the client's own does as it is.
pub fn rewritten(
    facts: &Facts<'_>,
    route: ModelRoute,
    deployment: &Deployment,
    model: &str,
) -> Option<Vec<u8>> {
    match &facts.payload {
        Payload::Json(object) => json_body(object, facts.stream, route, deployment, model),
        Payload::Form(form) => Some(form_body(form, route, deployment, model)),
    }
}

/// Whether a member is LiteLLM's, and none of the provider's business (BEHAVIOUR 9.3).
fn is_for_the_router(key: &str, route: ModelRoute) -> bool {
    match key {
        "metadata" => !route.keeps_metadata,
        "tags"
        | "fallbacks"
        | "context_window_fallbacks"
        | "content_policy_fallbacks"
        | "disable_fallbacks"
        | "num_retries"
        | "max_retries"
        | "timeout"
        | "request_timeout"
        | "stream_timeout"
        | "cache"
        | "caching"
        | "guardrails"
        | "priority"
        | "rpm"
        | "tpm"
        | "weight"
        | "order"
        | "drop_params"
        | "additional_drop_params"
        | "allowed_openai_params"
        | "api_key"
        | "api_version"
        | "custom_llm_provider"
        | "extra_headers"
        | "no-log"
        | "cooldown_time" => true,
        _ => key.starts_with("mock_") || key.starts_with("litellm_"),
    }
}

/// An object in the making. Members keep the client's order and its bytes.
struct Writer {
    out: Vec<u8>,
}

impl Writer {
    fn new(capacity: usize) -> Self {
        let mut out = Vec::with_capacity(capacity);
        out.push(b'{');
        Self { out }
    }

    fn member(&mut self, key: &str, key_is_plain: bool, value: &str) {
        if self.out.len() > 1 {
            self.out.push(b',');
        }
        if key_is_plain {
            self.out.push(b'"');
            self.out.extend_from_slice(key.as_bytes());
            self.out.push(b'"');
        } else {
            self.out.extend_from_slice(quoted(key).as_bytes());
        }
        self.out.push(b':');
        self.out.extend_from_slice(value.as_bytes());
    }

    fn finish(mut self) -> Vec<u8> {
        self.out.push(b'}');
        self.out
    }
}

fn json_body(
    object: &Object<'_>,
    stream: bool,
    route: ModelRoute,
    deployment: &Deployment,
    model: &str,
) -> Option<Vec<u8>> {
    // The client's own extra_body, which an SDK merges before sending and curl does not.
    let client_extra = object.present("extra_body").and_then(|value| Object::parse(value.as_bytes()).ok());
    let client_extra = client_extra.as_ref().map_or(&[][..], Object::members);
    let set_by_us = |key: &str| {
        key == "model"
            || deployment.extra_body.iter().any(|member| member.key == key)
            || client_extra.iter().any(|member| member.key == key)
    };
    let dropped = |key: &str| {
        is_for_the_router(key, route)
            || deployment.drop_params.iter().any(|name| name == key)
            || (!stream && matches!(key, "stream" | "stream_options"))
            || (key == "extra_body" && !client_extra.is_empty())
    };
    let missing = |member: &&Member| object.present(&member.key).is_none() && !set_by_us(&member.key);
    let defaults = || deployment.defaults.iter().filter(missing);
    let given_default = |key: &str| defaults().any(|member| member.key == key);

    let model_is_right = {
        let mut models = object.members().iter().filter(|member| member.key == "model");
        let only = models.next().filter(|_| models.next().is_none());
        only.and_then(|member| json::string(member.value)).is_some_and(|sent| sent == model)
    };
    let unchanged = model_is_right
        && deployment.extra_body.is_empty()
        && defaults().next().is_none()
        && object.members().iter().all(|member| !dropped(&member.key));
    if unchanged {
        return None;
    }

    let size: usize =
        object.members().iter().map(|member| member.key.len().saturating_add(member.value.len())).sum();
    let mut writer = Writer::new(size.saturating_add(256));
    writer.member("model", true, &quoted(model));
    for member in object.members() {
        let key = member.key.as_ref();
        if !dropped(key) && !set_by_us(key) && !given_default(key) {
            writer.member(key, matches!(member.key, Cow::Borrowed(_)), member.value);
        }
    }
    for member in defaults().chain(&deployment.extra_body) {
        writer.member(&member.key, false, &member.json);
    }
    let ours = |key: &str| key == "model" || deployment.extra_body.iter().any(|member| member.key == key);
    for member in client_extra.iter().filter(|member| !ours(&member.key)) {
        writer.member(&member.key, false, member.value);
    }
    Some(writer.finish())
}

fn form_body(form: &Form<'_>, route: ModelRoute, deployment: &Deployment, model: &str) -> Vec<u8> {
    let is_extra = |name: &str| deployment.extra_body.iter().any(|member| member.key == name);
    let absent = |member: &&Member| form.field(&member.key).is_none() && !is_extra(&member.key);
    let added: Vec<(&str, Cow<'_, str>)> = [("model", Cow::Borrowed(model))]
        .into_iter()
        .chain(
            (deployment.defaults.iter().filter(absent).chain(&deployment.extra_body))
                // A form's values have no types: a JSON string goes in without its quotes.
                .map(|member| {
                    (member.key.as_str(), json::string(&member.json).unwrap_or(Cow::Borrowed(&member.json)))
                }),
        )
        .collect();
    let added: Vec<(&str, &str)> = added.iter().map(|(name, value)| (*name, value.as_ref())).collect();
    let keep = |name: &str| {
        name != "model"
            && !is_extra(name)
            && !is_for_the_router(name, route)
            && !deployment.drop_params.iter().any(|dropped| dropped == name)
    };
    form.rewritten(keep, &added)
}
