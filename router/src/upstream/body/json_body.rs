//! A JSON object rewritten for a deployment. Members keep the client's order and bytes.

use std::borrow::Cow;
use std::collections::HashSet;

use llm_balancer_config::{Deployment, Member};

use super::chat_params::ChatEdits;
use super::{defaults, drop_path, is_about_streams, metadata, roles};
use crate::http::json::{self, Object, fold_case, quoted};
use crate::http::rewritten_body::{BodyWriter, RewrittenBody};
use crate::http::route::ModelRoute;
use crate::request::reserved_params::is_reserved;
use crate::request::sent_members::SentMembers;

/// Room is made at once for bodies of up to so many bytes.
const SMALL: usize = 64 * 1024;

/// A member that providers of more than OpenAI's parameters have, Google among them. SDKs and
/// clients have another one of this name around it, which is merged into the body.
const NESTED: &str = "extra_body";

/// The object with the model and the edits, or `None` where it stays the same.
pub(super) fn rewritten(
    client: &[u8],
    object: &Object<'_>,
    edits: &Edits<'_>,
    model: &str,
) -> Option<RewrittenBody> {
    if has_model(object, model) && edits.change_nothing_in(object) {
        return None;
    }
    let mut writer = Writer::new(client);
    writer.member("model", &quoted(model));
    for member in object.members().iter().filter(|member| edits.keep(&member.key)) {
        writer.client_member(member, edits);
    }
    let extra = edits.extra.iter().copied();
    let may_be_extra = |key: &str| edits.is_of_its_kind(key) && defaults::may_be_extra(edits.route, key);
    let extra = extra.filter(|member| may_be_extra(&member.key) && !edits.is_injected(&member.key));
    for Member { key, json } in &edits.defaults {
        writer.quoted_member(&quoted(edits.chat.sent_name(key)), json);
    }
    for Member { key, json } in extra {
        writer.quoted_member(&quoted(key), json);
    }
    for member in edits.client_extra.iter().filter(|member| edits.keep_extra(&member.key)) {
        if edits.nests(&member.key) {
            writer.member(NESTED, &["{\"google\":", &edits.value(member), "}"].concat());
        } else {
            writer.client_member(member, edits);
        }
    }
    if let Some(options) = &edits.stream_options {
        writer.member("stream_options", options);
    }
    if let Some(reasoning) = &edits.reasoning {
        writer.member("reasoning", reasoning);
    }
    Some(writer.finish())
}

/// The changes to a JSON body for a deployment, the model aside.
///
/// Some providers ignore the case of names, as Go's JSON reader does, and read the last of repeated
/// ones. So a member that differs by case alone from one that is set or dropped here is dropped,
/// too.
pub(super) struct Edits<'a> {
    route: ModelRoute,
    /// The provider stores the response, with the client's metadata.
    stores: bool,
    /// `fallbacks` are the provider's.
    keeps_fallbacks: bool,
    stream: bool,
    deployment: &'a Deployment,
    chat: ChatEdits<'a>,
    /// The deployment's defaults that neither the client nor the deployment sets otherwise.
    defaults: Vec<&'a Member>,
    /// The members of the deployment's extra_body that the client does not override.
    extra: Vec<&'a Member>,
    /// The `reasoning` of a response that only the file sets.
    reasoning: Option<String>,
    /// The members of the client's extra_body, which SDKs merge before they send and curl does not.
    client_extra: Vec<json::Member<'a>>,
    /// Their names: a thousand may be as long as a thousand others, and be compared with each.
    client_extra_names: HashSet<Cow<'a, str>>,
    /// `google` of the client's extra_body is sent in the one that Google reads.
    nests_google: bool,
    /// `stream_options` that ask for the usage, and replace all others.
    stream_options: Option<String>,
}

impl<'a> Edits<'a> {
    pub(super) fn new(
        sent: &SentMembers<'a>,
        stream: bool,
        route: ModelRoute,
        deployment: &'a Deployment,
        model: &'a str,
        stream_options: Option<String>,
    ) -> Self {
        const EFFORT: &str = "reasoning_effort";
        let SentMembers { body: object, extra, keeps_fallbacks } = sent;
        let default = |key| deployment.defaults.iter().find(|own| own.key == key).map(|own| &*own.json);
        let effort = object.present(EFFORT).or_else(|| default(EFFORT));
        let mut edits = Self {
            route,
            stores: route.suffix == "/chat/completions" && metadata::is_stored(object, deployment),
            keeps_fallbacks: *keeps_fallbacks,
            stream,
            deployment,
            chat: ChatEdits::new(route, deployment, model, effort),
            defaults: Vec::new(),
            extra: Vec::new(),
            reasoning: None,
            client_extra: Vec::new(),
            client_extra_names: HashSet::new(),
            nests_google: false,
            stream_options,
        };
        let may_merge = |member: &&json::Member<'a>| {
            let name = fold_case(&member.key);
            let is_own = edits.is_allowed(&name) && !matches!(&*name, "model" | "stream" | "stream_options");
            is_own || (name == NESTED && !edits.is_dropped(&name))
        };
        let client_extra = extra.iter().flat_map(|extra| extra.members().iter().filter(may_merge).cloned());
        edits.client_extra = client_extra.collect();
        edits.client_extra_names = edits.client_extra.iter().map(|member| member.key.clone()).collect();
        if deployment.endpoint.layout.reads_google_options()
            && edits.client_extra_names.contains("google")
            && edits.client_extra_names.insert(Cow::Borrowed(NESTED))
        {
            edits.nests_google = true;
        }
        let sends = |key: &str| object.present(key).is_some() || edits.client_extra_names.contains(key);
        let is_clients = |key: &str| match key {
            NESTED => edits.client_extra_names.contains(key),
            _ => sends(key) && edits.is_allowed(&fold_case(key)),
        };
        let overrides =
            |member: &&Member| defaults::overrides_clients(&member.key) || !is_clients(&member.key);
        edits.extra = deployment.extra_body.iter().filter(overrides).collect();
        let is_open = |member: &&Member| {
            defaults::spellings(&member.key).all(|key| !sends(key) && !edits.is_overridden(&fold_case(key)))
                && edits.is_of_its_kind(&member.key)
                && defaults::fits(route, &member.key)
                && !edits.chat.drops(&member.key)
                && !defaults::has_newer_name(deployment, &member.key)
        };
        edits.defaults = deployment.defaults.iter().filter(is_open).collect();
        let is_files = |key: &str| deployment.extra_body.iter().any(|own| own.key == key);
        edits.chat.rename(|key| sends(key) || is_files(key));
        if object.present("reasoning").is_none() && !edits.client_extra_names.contains("reasoning") {
            edits.reasoning = defaults::reasoning(route, deployment);
        }
        edits
    }

    fn change_nothing_in(&self, object: &Object<'_>) -> bool {
        let stays = |member: &json::Member<'_>| {
            member.key == "model"
                || (self.keep(&member.key)
                    && self.value(member) == member.value
                    && self.renamed_roles(member, member.value).is_none()
                    && self.chat.new_name(&member.key).is_none())
        };
        !object.differs_from_its_text()
            && self.stream_options.is_none()
            && self.reasoning.is_none()
            && self.defaults.is_empty()
            && self.extra.is_empty()
            && object.members().iter().all(stays)
    }

    /// Whether a member of the client's body is kept.
    fn keep(&self, key: &str) -> bool {
        let name = fold_case(key);
        let is_stream = matches!(&*name, "stream" | "stream_options");
        self.is_allowed(&name)
            && !self.is_overridden(&name)
            && !self.chat.is_replaced(key, &name)
            && !self.client_extra_names.contains(key)
            && !self.defaults.iter().any(|member| self.chat.sent_name(&member.key) == key)
            && (!is_stream || (self.stream && name == key))
    }

    /// Whether a member of the client's extra_body is kept.
    fn keep_extra(&self, key: &str) -> bool {
        let name = fold_case(key);
        !self.is_overridden(&name) && !self.chat.is_replaced(key, &name)
    }

    /// Whether the request streams, if that is what a parameter is about.
    fn is_of_its_kind(&self, key: &str) -> bool {
        self.stream || !is_about_streams(key)
    }

    /// The value of a kept member, without the deployment's drop paths and without tags in
    /// metadata.
    fn value<'m>(&self, member: &json::Member<'m>) -> Cow<'m, str> {
        let value = if self.stores && member.key == "metadata" {
            metadata::without_tags(member.value)
        } else {
            Cow::Borrowed(member.value)
        };
        drop_path::pruned(&member.key, &value, &self.deployment.drop_paths).map_or(value, Cow::Owned)
    }

    /// The value to send in pieces, if it has roles that the provider calls otherwise.
    fn renamed_roles<'v>(&self, member: &json::Member<'_>, value: &'v str) -> Option<Vec<&'v str>> {
        let may_have = member.has_developer && member.key == "messages" && self.chat.renames_developer();
        if may_have { roles::with_system(value) } else { None }
    }

    /// Whether the provider may get a member of this folded name, in the body or in extra_body.
    fn is_allowed(&self, name: &str) -> bool {
        let is_kept = match name {
            "metadata" => self.stores,
            "fallbacks" => self.keeps_fallbacks,
            _ => false,
        };
        (is_kept || !is_reserved(name, self.route)) && !self.is_dropped(name)
    }

    /// Whether the provider must not get a member of this folded name of the client's.
    fn is_dropped(&self, name: &str) -> bool {
        self.chat.drops(name)
            || (name == "priority" && defaults::is_for_a_queue(self.route, self.deployment))
            || self.deployment.drop_params.iter().any(|dropped| matches_folded(dropped, name))
    }

    /// Whether a member of the client's extra_body is sent in another one.
    fn nests(&self, key: &str) -> bool {
        self.nests_google && key == "google"
    }

    /// Whether the router or the deployment sets a member of this folded name, whatever the client
    /// sends.
    fn is_overridden(&self, name: &str) -> bool {
        name == "model"
            || self.is_injected(name)
            || self.extra.iter().any(|member| matches_folded(&member.key, name))
    }

    fn is_injected(&self, key: &str) -> bool {
        match key {
            "stream_options" => self.stream_options.is_some(),
            "reasoning" => self.reasoning.is_some(),
            _ => false,
        }
    }
}

/// Whether a name equals a folded one without regard to case.
fn matches_folded(own: &str, folded_name: &str) -> bool {
    own == folded_name || fold_case(own) == folded_name
}

/// Whether a body has this model, and no other member that could be read as one.
fn has_model(object: &Object<'_>, model: &str) -> bool {
    object.get("model").and_then(json::string).is_some_and(|sent| sent == model)
        && object.members().iter().all(|member| member.key == "model" || fold_case(&member.key) != "model")
}

/// Writes an object.
struct Writer<'a> {
    out: BodyWriter<'a>,
}

impl<'a> Writer<'a> {
    fn new(client: &'a [u8]) -> Self {
        Self { out: BodyWriter::new(client, client.len().min(SMALL).saturating_add(256)) }
    }

    /// Adds a member of the client's, under the provider's name for it.
    fn client_member(&mut self, member: &json::Member<'_>, edits: &Edits<'_>) {
        let value = edits.value(member);
        if let Some(pieces) = edits.renamed_roles(member, &value) {
            return self.pieces(member.written, &pieces);
        }
        match edits.chat.new_name(&member.key) {
            Some(name) => self.member(name, &value),
            None => self.quoted_member(member.written, &value),
        }
    }

    /// Adds a member whose name needs no escapes.
    fn member(&mut self, key: &str, value: &str) {
        self.write(&["\"", key, "\":", value]);
    }

    /// Adds a member whose name has its quotes.
    fn quoted_member(&mut self, key: &str, value: &str) {
        self.write(&[key, ":", value]);
    }

    /// The same, with a value in pieces.
    #[cold]
    fn pieces(&mut self, key: &str, value: &[&str]) {
        self.quoted_member(key, "");
        for piece in value {
            self.out.write(&[piece.as_bytes()]);
        }
    }

    fn write(&mut self, pieces: &[&str]) {
        self.out.write(&[if self.out.is_empty() { b"{" } else { b"," }]);
        for piece in pieces {
            self.out.write(&[piece.as_bytes()]);
        }
    }

    fn finish(mut self) -> RewrittenBody {
        self.out.write(&[b"}"]);
        self.out.finish()
    }
}
