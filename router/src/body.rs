//! The body as the chosen deployment gets it: its own model, its defaults, and nothing that was meant for the router.

use std::borrow::Cow;

use llm_balancer_config::{Deployment, Member};

use crate::drop_path;
use crate::json::{self, Object, quoted};
use crate::multipart::Form;
use crate::request::{Facts, Payload};
use crate::route::ModelRoute;
use crate::stream_options;

/// The body to send, or `None` if the client's own does as it is. With `include_usage` it asks for the usage of a stream
/// wherever [`stream_options::injects_usage`] says so.
pub fn rewritten(
    facts: &Facts<'_>,
    route: ModelRoute,
    deployment: &Deployment,
    model: &str,
    include_usage: bool,
) -> Option<Vec<u8>> {
    match &facts.payload {
        Payload::Json(object) => {
            let options = include_usage.then(|| stream_options::with_usage(facts, route, deployment));
            let edits = Edits::new(object, facts.stream, route, deployment, options.flatten());
            json_body(object, &edits, model)
        }
        Payload::Form(form) => Some(form_body(form, route, deployment, model)),
    }
}

/// Whether a member is LiteLLM's, and none of the provider's business (BEHAVIOUR 9.3).
fn is_for_the_router(key: &str, route: ModelRoute) -> bool {
    match key {
        "metadata" => !route.keeps_metadata,
        // What the router reads, and LiteLLM's other features.
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
        | "extra_headers"
        | "extra_body"
        | "no-log"
        | "cooldown_time" => true,
        _ => is_the_operators(key) || ["mock_", "litellm_"].iter().any(|prefix| key.starts_with(prefix)),
    }
}

/// Whether a member says where a deployment is or what opens it: the operator's business alone.
pub fn is_the_operators(key: &str) -> bool {
    match key {
        "api_key"
        | "api_base"
        | "base_url"
        | "api_version"
        | "custom_llm_provider"
        | "organization"
        | "headers"
        | "azure_ad_token"
        | "deployment_id"
        | "model_id"
        | "specific_deployment"
        | "ssl_verify"
        | "user_config" => true,
        _ => ["aws_", "vertex_"].iter().any(|prefix| key.starts_with(prefix)),
    }
}

fn json_body(object: &Object<'_>, edits: &Edits<'_>, model: &str) -> Option<Vec<u8>> {
    if is_asked_for(object, model) && edits.are_none(object) {
        return None;
    }
    let members = object.members().iter();
    let size = members.clone().fold(256, |size: usize, member| {
        size.saturating_add(member.key.len()).saturating_add(member.value.len()).saturating_add(4)
    });
    let mut writer = Writer::new(size);
    writer.member("model", &quoted(model));
    for member in members.filter(|member| edits.keep(&member.key)) {
        let pruned = edits.pruned(member);
        let value = pruned.as_deref().unwrap_or(member.value);
        match &member.key {
            Cow::Borrowed(key) => writer.member(key, value),
            // A name that was escaped is escaped again.
            Cow::Owned(key) => writer.member_quoted(&quoted(key), value),
        }
    }
    let extra = edits.deployment.extra_body.iter().filter(|member| !edits.is_injected(&member.key));
    for Member { key, json } in edits.defaults.iter().copied().chain(extra) {
        writer.member_quoted(&quoted(key), json);
    }
    for member in edits.client_extra.iter().filter(|member| !edits.is_the_deployments(&member.key)) {
        let pruned = edits.pruned(member);
        writer.member_quoted(&quoted(&member.key), pruned.as_deref().unwrap_or(member.value));
    }
    if let Some(options) = &edits.stream_options {
        writer.member("stream_options", options);
    }
    Some(writer.finish())
}

/// What changes in a JSON body on its way to a deployment, the model aside.
struct Edits<'a> {
    route: ModelRoute,
    stream: bool,
    deployment: &'a Deployment,
    /// The deployment's defaults that the client left open.
    defaults: Vec<&'a Member>,
    /// The client's own extra_body, which an SDK merges before it sends and curl does not.
    client_extra: Vec<json::Member<'a>>,
    /// `stream_options` that take the place of everybody's, to learn the usage.
    stream_options: Option<String>,
}

impl<'a> Edits<'a> {
    fn new(
        object: &Object<'a>,
        stream: bool,
        route: ModelRoute,
        deployment: &'a Deployment,
        stream_options: Option<String>,
    ) -> Self {
        let extra = object.present("extra_body").and_then(|value| Object::parse(value.as_bytes()).ok());
        let mut edits = Self {
            route,
            stream,
            deployment,
            defaults: Vec::new(),
            client_extra: Vec::new(),
            stream_options,
        };
        let may_stand = |member: &&json::Member<'a>| {
            edits.is_wanted(&member.key) && !matches!(&*member.key, "model" | "stream" | "stream_options")
        };
        let client_extra = extra.iter().flat_map(|extra| extra.members().iter().filter(may_stand).cloned());
        edits.client_extra = client_extra.collect();
        let is_open = |member: &&Member| object.present(&member.key).is_none() && !edits.is_set(&member.key);
        edits.defaults = deployment.defaults.iter().filter(is_open).collect();
        edits
    }

    fn are_none(&self, object: &Object<'_>) -> bool {
        let stays = |member: &json::Member<'_>| {
            member.key == "model" || self.keep(&member.key) && self.pruned(member).is_none()
        };
        self.stream_options.is_none()
            && self.defaults.is_empty()
            && self.deployment.extra_body.is_empty()
            && object.members().iter().all(stays)
    }

    /// Whether a member of the client's goes out as it came.
    fn keep(&self, key: &str) -> bool {
        self.is_wanted(key)
            && !self.is_set(key)
            && !self.defaults.iter().any(|member| member.key == key)
            && (self.stream || !matches!(key, "stream" | "stream_options"))
    }

    /// Whether a provider may see a member, wherever the client put it.
    fn is_wanted(&self, key: &str) -> bool {
        !is_for_the_router(key, self.route) && !self.deployment.drop_params.iter().any(|name| name == key)
    }

    /// A member's value without what the deployment must not see of it, if there is any of that.
    fn pruned(&self, member: &json::Member<'_>) -> Option<String> {
        drop_path::pruned(&member.key, member.value, &self.deployment.drop_paths)
    }

    /// Whether a member has a value that the client's top level has no say in.
    fn is_set(&self, key: &str) -> bool {
        self.is_the_deployments(key) || self.client_extra.iter().any(|member| member.key == key)
    }

    fn is_the_deployments(&self, key: &str) -> bool {
        key == "model"
            || self.is_injected(key)
            || self.deployment.extra_body.iter().any(|member| member.key == key)
    }

    fn is_injected(&self, key: &str) -> bool {
        key == "stream_options" && self.stream_options.is_some()
    }
}

/// Whether a body asks for this model, once, and in these letters.
fn is_asked_for(object: &Object<'_>, model: &str) -> bool {
    let mut models = object.members().iter().filter(|member| member.key == "model");
    match (models.next(), models.next()) {
        (Some(only), None) => json::string(only.value).is_some_and(|sent| sent == model),
        _ => false,
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

    /// A name that needs no escapes.
    fn member(&mut self, key: &str, value: &str) {
        self.write(&["\"", key, "\":", value]);
    }

    /// A name with its quotes.
    fn member_quoted(&mut self, key: &str, value: &str) {
        self.write(&[key, ":", value]);
    }

    fn write(&mut self, pieces: &[&str]) {
        if self.out.len() > 1 {
            self.out.push(b',');
        }
        for piece in pieces {
            self.out.extend_from_slice(piece.as_bytes());
        }
    }

    fn finish(mut self) -> Vec<u8> {
        self.out.push(b'}');
        self.out
    }
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
