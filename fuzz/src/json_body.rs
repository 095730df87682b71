//! Request bodies in JSON. What is valid is as serde_json says, and the deployment's body is the
//! client's, but for what is meant to differ.

use std::sync::LazyLock;
use std::time::Duration;

use llm_balancer_config::{Config, Deployment};
use llm_balancer_router::testing::{ANTHROPIC_ROUTES, MODEL_ROUTES, Memory, ModelRoute};
use llm_balancer_router::{Arrival, Headers, Moment, Original, Router, Sending, SplitMix, Step};
use serde_json::value::RawValue;

use crate::configuration;
use crate::plain::json::{self, Member};
use crate::withheld::{Withheld, fold_case, withheld};

/// The most members of a body.
const MAX_MEMBERS: usize = 1000;

const PATHS: [&str; 4] = ["/v1/chat/completions", "/v1/completions", "/v1/embeddings", "/v1/responses"];

/// The path where the first byte has this bit.
const MESSAGES: (&str, u8) = ("/v1/messages", 0x80);

/// Further litellm_params of the deployment.
const PARAMS: [&str; 4] = [
    "",
    ", temperature: 0.5, max_tokens: 7, stop: ['a'], partial_images: 2",
    ", top_p: 1, extra_body: {top_k: 5, Seed: 3, tools: []}, additional_drop_params: [user, Logit_Bias, \
     'tools[*].strict', 'response_format.schema', 'messages[0].name']",
    ", tpm: 1000000000, rpm: 1000000",
];

/// Parameters of OpenAI in extra_body.
const OPENAIS: [&str; 1] = ["tools"];

static CONFIGS: LazyLock<Vec<Config>> = LazyLock::new(|| {
    let of = |params: &&str| {
        configuration::of(&format!(
            "model_list:\n\
             - model_name: g\n  litellm_params: {{model: openai/m, api_base: 'http://p.test/v1', api_key: k{params}}}\n\
             - model_name: g\n  litellm_params: {{model: openai/m, api_base: 'http://a.test/v1', api_key: k, llm_balancer: {{wire: anthropic}}{params}}}\n"
        ))
    };
    PARAMS.iter().map(of).collect()
});

/// The first byte selects a route and a deployment; the others are the body.
pub fn json_body(bytes: &[u8]) {
    let Some((selector, body)) = bytes.split_first() else { return };
    let path = if selector & MESSAGES.1 == 0 { PATHS[usize::from(selector % 4)] } else { MESSAGES.0 };
    let config = &CONFIGS[usize::from(selector / 4 % 4)];
    let router = Router::new(config.clone(), 1);
    let store = Memory::default();
    router.open(&store);
    let headers: Headers =
        [(":method", "POST"), (":path", path), ("content-type", "application/json")].into_iter().collect();
    let Arrival::Hold(request) = router.on_request_headers(&headers, false) else { panic!("not held") };
    let mut moment =
        Moment { now: Duration::from_secs(1_740_000_000), random: &mut SplitMix::new(1), store: &store };
    let client = client_object(body);
    match (router.on_request_body(&request, body, None, &mut moment), client) {
        (Step::Reply(reply, _), None) => assert_eq!(reply.status, 400, "{reply:?}"),
        (Step::Reply(reply, _), Some(client)) => {
            assert!((400..600).contains(&reply.status), "{reply:?}");
            let route = route(path);
            let may_be_refused = json::last(&client, "model") != Some(r#""g""#)
                || client.iter().any(|member| is_read(&member.name, route));
            assert!(may_be_refused, "{reply:?}");
        }
        (Step::Send(sending), Some(client)) => {
            let Sending { headers, body: rewritten, attempt } = *sending;
            let original = Original::new(body.to_vec(), rewritten.as_ref());
            let sent = rewritten.map_or_else(|| body.to_vec(), |rewritten| rewritten.joined(body));
            let restored = original.pieces(&sent).map(|pieces| pieces.concat());
            assert_eq!(restored.as_deref(), Some(body), "the client's body again");
            assert_eq!(headers.get("content-type"), Some("application/json"));
            let check =
                Check { client, route: route(path), deployment: &config.deployments[attempt.deployment] };
            check.sent(&sent);
            drop(router.on_client_disconnect(attempt, &moment));
        }
        (step, client) => panic!("{step:?} for {client:?}"),
    }
}

/// The members of a valid body, of repeated ones the last.
fn client_object(body: &[u8]) -> Option<Vec<Member<'_>>> {
    let body = body.strip_prefix("\u{feff}".as_bytes()).unwrap_or(body);
    let members = json::members(body).filter(|members| members.len() <= MAX_MEMBERS)?;
    Some(json::last_of_each(&members))
}

fn route(path: &str) -> ModelRoute {
    let suffix = path.strip_prefix("/v1").expect("a versioned path");
    *MODEL_ROUTES.iter().chain(&ANTHROPIC_ROUTES).find(|route| route.suffix == suffix).expect("a route")
}

/// Whether the router reads a member, and may refuse its value.
fn is_read(name: &str, route: ModelRoute) -> bool {
    withheld(name, route.suffix) != Withheld::No || matches!(name, "stream" | "metadata" | "litellm_metadata")
}

struct Check<'a> {
    client: Vec<Member<'a>>,
    route: ModelRoute,
    deployment: &'a Deployment,
}

impl Check<'_> {
    fn sent(&self, sent: &[u8]) {
        let shown = String::from_utf8_lossy(sent);
        let sent = json::members(sent).unwrap_or_else(|| panic!("no object: {shown}"));
        assert_eq!(json::last_of_each(&sent), sent, "a name twice: {shown}");
        let models: Vec<_> = sent.iter().filter(|member| fold_case(&member.name) == "model").collect();
        assert!(matches!(models[..], [model] if model.name == "model" && model.value == r#""m""#), "{shown}");
        for member in &sent {
            self.has_a_reason(member, &shown);
        }
        for member in &self.client {
            let is_sent = sent.iter().any(|other| other.name == member.name);
            let is_known = self.is_withheld(&fold_case(&member.name)) != Withheld::Either;
            assert!(!is_known || is_sent == self.is_kept(member), "{}: {shown}", member.written);
        }
        for member in self.overriding().filter(|member| self.fits(&member.key)) {
            assert_eq!(json::last(&sent, &member.key), Some(&*member.json), "{}: {shown}", member.key);
        }
    }

    /// The members of the file's extra_body that the client does not override: those of OpenAI, and
    /// those that it does not send.
    fn overriding(&self) -> impl Iterator<Item = &llm_balancer_config::Member> {
        let is_own = |name: &str| self.extra().iter().any(|extra| extra.name == name);
        let is_sent = move |name: &str| {
            let value = json::last(&self.client, name).filter(|value| *value != "null");
            is_own(name) || (value.is_some() && self.is_withheld(&fold_case(name)) != Withheld::Yes)
        };
        let extra_body = self.deployment.extra_body.iter();
        extra_body.filter(move |member| OPENAIS.contains(&&*member.key) || !is_sent(&member.key))
    }

    fn streams(&self) -> bool {
        json::last(&self.client, "stream") == Some("true")
    }

    /// Whether a parameter of the file is for this request.
    fn fits(&self, name: &str) -> bool {
        self.streams() || name != "partial_images"
    }

    /// The members of the client's extra_body.
    fn extra(&self) -> Vec<Member<'_>> {
        let extra = json::last(&self.client, "extra_body").and_then(|value| json::members(value.as_bytes()));
        let extra = extra.filter(|extra| extra.len() <= MAX_MEMBERS).unwrap_or_default();
        let mut extra = json::last_of_each(&extra);
        extra.retain(|member| {
            let name = fold_case(&member.name);
            // Another one within is a member like others.
            (name == "extra_body" && !self.is_dropped(&name))
                || (self.is_withheld(&name) != Withheld::Yes
                    && !matches!(&*name, "model" | "stream" | "stream_options"))
        });
        extra
    }

    /// Whether the client's members of this name in lower case do not go to the provider.
    fn is_withheld(&self, name: &str) -> Withheld {
        let stores = json::last(&self.client, "store") == Some("true");
        let is_stored = name == "metadata" && stores && self.route.suffix == "/chat/completions";
        let is_dropped = self.is_dropped(name);
        match withheld(name, self.route.suffix) {
            _ if is_dropped => Withheld::Yes,
            _ if is_stored => Withheld::No,
            by_name => by_name,
        }
    }

    /// Whether the deployment drops the client's members of this name in lower case.
    fn is_dropped(&self, name: &str) -> bool {
        self.deployment.drop_params.iter().any(|dropped| fold_case(dropped) == name)
    }

    /// Whether a name that the client has set is in the deployment's body, from wherever.
    fn is_kept(&self, member: &Member<'_>) -> bool {
        let name = fold_case(&member.name);
        let is_it = |own: &llm_balancer_config::Member| own.key == member.name && self.fits(&own.key);
        let sets = |own: &llm_balancer_config::Member| fold_case(&own.key) == name;
        match &*name {
            "model" => member.name == "model",
            "stream" | "stream_options" => self.streams() && member.name == name,
            _ if self.overriding().any(sets) => self.overriding().any(is_it),
            _ => {
                self.is_withheld(&name) == Withheld::No
                    || self.extra().iter().any(|extra| extra.name == member.name)
            }
        }
    }

    /// A member of the deployment's body is the client's, the file's, or the router's.
    fn has_a_reason(&self, member: &Member<'_>, shown: &str) {
        let file = self.deployment.defaults.iter().chain(&self.deployment.extra_body);
        let mut file = file.filter(|own| self.fits(&own.key));
        let is_of_file = file.any(|own| own.key == member.name && own.json == member.value);
        let name = fold_case(&member.name);
        let is_of_client = || {
            let extra = self.extra();
            let of_extra = extra.iter().find(|own| own.name == member.name);
            let own = || self.client.iter().find(|own| own.name == member.name);
            let own = of_extra.or_else(|| own().filter(|_| self.is_withheld(&name) != Withheld::Yes));
            own.is_some_and(|own| self.is_same(own, member))
        };
        let is_of_router = name == "model" || (name == "stream_options" && self.asks_for_usage(member.value));
        assert!(is_of_file || is_of_router || is_of_client(), "{}: {shown}", member.written);
    }

    /// Whether options ask for the usage of a stream, and have the client's other members.
    fn asks_for_usage(&self, options: &str) -> bool {
        let clients = json::last(&self.client, "stream_options").filter(|clients| *clients != "null");
        let clients = clients.map_or(Some(Vec::new()), |clients| json::members(clients.as_bytes()));
        let is_other = |member: &Member<'_>| fold_case(&member.name) != "include_usage";
        let is_chat = matches!(self.route.suffix, "/chat/completions" | "/completions");
        let (Some(options), Some(clients)) = (json::members(options.as_bytes()), clients) else {
            return false;
        };
        let mut clients = json::last_of_each(&clients);
        clients.retain(is_other);
        let (asks, others): (Vec<_>, Vec<_>) = options.into_iter().partition(|member| !is_other(member));
        is_chat
            && self.streams()
            && matches!(&asks[..], [asks] if asks.name == "include_usage" && asks.value == "true")
            && others == clients
    }

    /// Whether a value is the client's, but for the roles of a chat, for `tags` in metadata and for
    /// what the deployment drops.
    fn is_same(&self, client: &Member<'_>, sent: &Member<'_>) -> bool {
        let has_roles = client.name == "messages" && self.route.suffix == "/chat/completions";
        let expected = if has_roles { with_system(client.value) } else { client.value.to_owned() };
        if expected == sent.value {
            return true;
        }
        let may_differ = client.name == "metadata"
            || self.deployment.drop_paths.iter().any(|path| {
                matches!(path.segments.first(), Some(llm_balancer_config::Segment::Member(first))
                    if fold_case(first) == fold_case(&client.name))
            });
        may_differ && is_less(sent.value, &expected)
    }
}

/// Messages with the role `system` in place of `developer`.
fn with_system(messages: &str) -> String {
    let mut text = messages.to_owned();
    let items = serde_json::from_str::<Vec<&RawValue>>(messages).unwrap_or_default();
    // From the last one on, so that the places of the others stay.
    for item in items.iter().rev() {
        let members = json::members(item.get().as_bytes()).unwrap_or_default();
        let roles: Vec<_> = members.iter().filter(|member| member.name == "role").collect();
        if let [role] = roles[..]
            && role.value == r#""developer""#
        {
            let at = role.value.as_ptr().addr() - messages.as_ptr().addr();
            text.replace_range(at..at + role.value.len(), r#""system""#);
        }
    }
    text
}

/// Whether a value is another one without some members.
fn is_less(less: &str, more: &str) -> bool {
    if less == more {
        return true;
    }
    let items = |text| serde_json::from_str::<Vec<&RawValue>>(text).ok();
    match (json::members(less.as_bytes()), json::members(more.as_bytes())) {
        (Some(less), Some(more)) => less.iter().all(|less| {
            let mut same = more.iter().filter(|more| more.name == less.name);
            same.any(|more| is_less(less.value, more.value))
        }),
        _ => items(less).zip(items(more)).is_some_and(|(less, more)| {
            less.len() == more.len()
                && less.iter().zip(more).all(|(less, more)| is_less(less.get(), more.get()))
        }),
    }
}
