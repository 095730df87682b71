//! The body as the chosen deployment gets it: its own model, its defaults, and nothing that was meant for the router.

mod drop_path;
mod metadata;

use std::borrow::Cow;

use llm_balancer_config::{Deployment, Member};

use crate::http::json::{self, Object, folded, quoted};
use crate::http::multipart::{Form, parameter};
use crate::http::new_body::{BodyWriter, NewBody};
use crate::http::route::ModelRoute;
use crate::request::parse::{ParsedRequest, Payload};
use crate::request::reserved_params::is_reserved;
use crate::upstream::stream_options;

/// The body to send, or `None` if the client's own does as it is. With `include_usage` it asks for the usage of a stream
/// wherever [`stream_options::injects_usage`] says so.
pub fn rewritten(
    old: &[u8],
    parsed: &ParsedRequest<'_>,
    route: ModelRoute,
    deployment: &Deployment,
    model: &str,
    include_usage: bool,
) -> Option<NewBody> {
    match &parsed.payload {
        Payload::Json(object) => {
            let options = include_usage.then(|| stream_options::with_usage(parsed, route, deployment));
            let edits = Edits::new(object, parsed.stream, route, deployment, options.flatten());
            json_body(old, object, &edits, model)
        }
        Payload::Form(form) => Some(form_body(form, parsed.stream, route, deployment, model)),
    }
}

/// Bodies below this are copied as a whole, and room for them is made at once.
const SMALL: usize = 64 * 1024;

/// Items of a list that a deployment adds to a form.
const MOST_ITEMS: usize = 100;

fn json_body(old: &[u8], object: &Object<'_>, edits: &Edits<'_>, model: &str) -> Option<NewBody> {
    if is_asked_for(object, model) && edits.are_none(object) {
        return None;
    }
    let mut writer = Writer::new(old);
    writer.member("model", &quoted(model));
    for member in object.members().iter().filter(|member| edits.keep(&member.key)) {
        writer.member_quoted(member.written, &edits.value(member));
    }
    let extra = edits.deployment.extra_body.iter();
    let extra = extra.filter(|member| edits.fits(&member.key) && !edits.is_injected(&member.key));
    for Member { key, json } in edits.defaults.iter().copied().chain(extra) {
        writer.member_quoted(&quoted(key), json);
    }
    for member in edits.client_extra.iter().filter(|member| !edits.is_the_deployments(&folded(&member.key))) {
        writer.member_quoted(member.written, &edits.value(member));
    }
    if let Some(options) = &edits.stream_options {
        writer.member("stream_options", options);
    }
    Some(writer.finish())
}

/// What changes in a JSON body on its way to a deployment, the model aside.
///
/// A provider may ignore the case of names: Go's reader of JSON does, and the last one counts. So a member that differs
/// by case alone from one that is set or left out here is left out as well.
struct Edits<'a> {
    route: ModelRoute,
    /// The answer is stored at the provider, with the client's metadata.
    stores: bool,
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
            stores: route.suffix == "/chat/completions" && metadata::is_stored(object, deployment),
            stream,
            deployment,
            defaults: Vec::new(),
            client_extra: Vec::new(),
            stream_options,
        };
        let may_stand = |member: &&json::Member<'a>| {
            let name = folded(&member.key);
            edits.is_wanted(&name) && !matches!(&*name, "model" | "stream" | "stream_options")
        };
        let client_extra = extra.iter().flat_map(|extra| extra.members().iter().filter(may_stand).cloned());
        edits.client_extra = client_extra.collect();
        let is_open = |member: &&Member| {
            object.present(&member.key).is_none()
                && edits.fits(&member.key)
                && !edits.is_the_deployments(&folded(&member.key))
                && !edits.client_extra.iter().any(|extra| extra.key == member.key)
        };
        edits.defaults = deployment.defaults.iter().filter(is_open).collect();
        edits
    }

    fn are_none(&self, object: &Object<'_>) -> bool {
        let stays = |member: &json::Member<'_>| {
            member.key == "model" || (self.keep(&member.key) && self.value(member) == member.value)
        };
        !object.differs_from_its_text()
            && self.stream_options.is_none()
            && self.defaults.is_empty()
            && self.deployment.extra_body.is_empty()
            && object.members().iter().all(stays)
    }

    /// Whether a member of the client's goes out as it came.
    fn keep(&self, key: &str) -> bool {
        let name = folded(key);
        let is_stream = matches!(&*name, "stream" | "stream_options");
        self.is_wanted(&name)
            && !self.is_the_deployments(&name)
            && !self.client_extra.iter().any(|member| member.key == key)
            && !self.defaults.iter().any(|member| member.key == key)
            && (!is_stream || (self.stream && name == key))
    }

    /// Whether a member of the file goes with this request: one that is about streams is refused without a stream.
    fn fits(&self, key: &str) -> bool {
        self.stream || !is_about_streams(key)
    }

    /// What goes out of a member that is kept: nothing that the deployment must not see, and of metadata nothing that is
    /// meant for the router.
    fn value<'m>(&self, member: &json::Member<'m>) -> Cow<'m, str> {
        let value = match self.stores && member.key == "metadata" {
            true => metadata::for_the_provider(member.value),
            false => Cow::Borrowed(member.value),
        };
        drop_path::pruned(&member.key, &value, &self.deployment.drop_paths).map_or(value, Cow::Owned)
    }

    /// Whether a provider may see a member of this folded name, wherever the client put it.
    fn is_wanted(&self, name: &str) -> bool {
        let is_kept = name == "metadata" && self.stores;
        (is_kept || !is_reserved(name, self.route))
            && !self.deployment.drop_params.iter().any(|dropped| is_called(dropped, name))
    }

    /// Whether a member of this folded name has a value that the client has no say in.
    fn is_the_deployments(&self, name: &str) -> bool {
        name == "model"
            || self.is_injected(name)
            || self.deployment.extra_body.iter().any(|member| is_called(&member.key, name))
    }

    fn is_injected(&self, key: &str) -> bool {
        key == "stream_options" && self.stream_options.is_some()
    }
}

/// Whether a member says how an answer is streamed: vLLM and OpenAI refuse it where none is.
fn is_about_streams(key: &str) -> bool {
    matches!(key, "stream" | "stream_options" | "partial_images")
}

/// Whether a name is this folded one to a reader that ignores case.
fn is_called(own: &str, folded_name: &str) -> bool {
    own == folded_name || folded(own) == folded_name
}

/// Whether a body asks for this model, and in these letters alone.
fn is_asked_for(object: &Object<'_>, model: &str) -> bool {
    object.get("model").and_then(json::string).is_some_and(|sent| sent == model)
        && object.members().iter().all(|member| member.key == "model" || folded(&member.key) != "model")
}

/// An object in the making. Members keep the client's order and its bytes.
struct Writer<'a> {
    out: BodyWriter<'a>,
}

impl<'a> Writer<'a> {
    fn new(old: &'a [u8]) -> Self {
        Self { out: BodyWriter::new(old, old.len().min(SMALL).saturating_add(256)) }
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
        self.out.write(&[if self.out.is_empty() { b"{" } else { b"," }]);
        for piece in pieces {
            self.out.write(&[piece.as_bytes()]);
        }
    }

    fn finish(mut self) -> NewBody {
        self.out.write(&[b"}"]);
        self.out.finish()
    }
}

/// A form keeps the client's order. Its parameters are told apart without regard to case, as some readers do.
fn form_body(
    form: &Form<'_>,
    streams: bool,
    route: ModelRoute,
    deployment: &Deployment,
    model: &str,
) -> NewBody {
    let is_extra = |name: &str| deployment.extra_body.iter().any(|member| same(name, &member.key));
    let fits = |member: &&Member| streams || !is_about_streams(&member.key);
    let is_open = |member: &&Member| !form.sets(parameter(&member.key)) && !is_extra(&member.key);
    let defaults = deployment.defaults.iter().filter(is_open);
    let mut added = Vec::new();
    if !is_extra("model") {
        added.push((Cow::Borrowed("model"), Cow::Borrowed(model)));
    }
    added.extend(defaults.chain(&deployment.extra_body).filter(fits).flat_map(form_fields));
    let added: Vec<(&str, &str)> = added.iter().map(|(name, value)| (&**name, &**value)).collect();
    let keep = |name: &str| {
        !same(name, "model")
            && !is_extra(name)
            && !is_reserved(&name.to_ascii_lowercase(), route)
            && !deployment.drop_params.iter().any(|dropped| same(name, dropped))
    };
    form.rewritten(keep, &added)
}

fn same(name: &str, other: &str) -> bool {
    parameter(name).eq_ignore_ascii_case(parameter(other))
}

/// A parameter as the fields of a form, which have no types: a string without its quotes, a list as OpenAI's clients write it.
fn form_fields(member: &Member) -> Vec<(Cow<'_, str>, Cow<'_, str>)> {
    let text = |json| json::string(json).unwrap_or(Cow::Borrowed(json));
    match json::list(&member.json, MOST_ITEMS) {
        Some(items) => {
            items.into_iter().map(|item| (format!("{}[]", member.key).into(), text(item))).collect()
        }
        None => vec![(Cow::Borrowed(&*member.key), text(&member.json))],
    }
}
