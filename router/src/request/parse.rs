//! Reads a request for a model: its path and query, its headers, and the top level of its body.

use std::borrow::Cow;

use llm_balancer_config::Wire;

use crate::http::auth;
use crate::http::headers::{Headers, utf8_or_empty, utf8_or_latin1};
use crate::http::json::{self, NotAnObject, Object};
use crate::http::multipart::Form;
use crate::http::route::{BodyKind, ModelRoute, query_value};
use crate::request::affinity_headers::AffinityHeaders;
use crate::request::fallbacks_param;
use crate::request::model_name;
use crate::request::overrides::RequestOverrides;
use crate::request::refusal::Refusal;
use crate::request::routing_params::{AllowedParams, RoutingParams};
use crate::request::sent_members::SentMembers;
use crate::request::stored_response::StoredResponse;
use crate::request::tags_param::header_tags;
use crate::request::unresolved::Unresolved;

/// A request for a model, without its body.
#[derive(Clone, Debug)]
pub struct Request {
    /// The route that it was sent to.
    pub route: ModelRoute,
    /// The model in the path or the query; goes before the one in the body.
    pub addressed_model: Option<String>,
    /// content-type, which has the boundary of a form.
    pub content_type: String,
    /// accept, which the provider gets.
    pub accept: Option<String>,
    /// What the headers set.
    pub overrides: RequestOverrides,
    /// `x-litellm-tags`, if deployments are filtered by tags.
    pub tags: Vec<String>,
    /// What the configuration lets a request set.
    pub allowed: AllowedParams,
    /// Whether the answer explains how the deployment was selected.
    pub explain: bool,
    /// The session, if requests of one may go to the same deployment again.
    pub affinity: AffinityHeaders,
    /// Headers of the client that the provider gets: version and betas of Anthropic's API, and others
    /// if the configuration allows it.
    pub forwarded: Vec<(String, String)>,
    /// The stored response that the request is about, in place of a model.
    pub stored: Option<Box<StoredResponse>>,
    /// The hash of the client's key, where clients have keys of their own and the configuration or
    /// the route tells clients apart.
    pub client: Option<u64>,
}

/// A request with its body.
#[derive(Debug)]
pub struct ParsedRequest<'a> {
    /// The body.
    pub payload: Payload<'a>,
    /// The model, as the client named it.
    pub model: Cow<'a, str>,
    /// Whether the answer is to be streamed.
    pub stream: bool,
    /// `stream_options: {include_usage: true}`: the client wants the usage of a stream.
    pub client_wants_usage: bool,
    /// Retries and time limits, from the body, else from the headers.
    pub overrides: RequestOverrides,
    /// Fallbacks, tags and mock errors.
    pub routing: RoutingParams,
}

/// A body by its kind.
#[derive(Debug)]
pub enum Payload<'a> {
    /// A JSON object.
    Json(SentMembers<'a>),
    /// multipart/form-data.
    Form(Form<'a>),
}

impl Payload<'_> {
    /// The content-type to send to the provider.
    pub fn content_type(&self) -> Cow<'static, str> {
        match self {
            Self::Json(_) => Cow::Borrowed("application/json"),
            Self::Form(form) => Cow::Owned(form.content_type()),
        }
    }
}

impl Request {
    /// Reads the headers of a request for a model.
    ///
    /// # Errors
    /// A [`Refusal`] for a header with an invalid value, and for a compressed body.
    pub fn new(
        route: ModelRoute,
        path_model: Option<&str>,
        query: &str,
        headers: &Headers,
        allowed: AllowedParams,
    ) -> Result<Self, Refusal> {
        let mut request = Self {
            route,
            addressed_model: path_model.map(str::to_owned).or_else(|| {
                // Most requests have no query.
                (!query.is_empty()).then(|| query_value(query, "model").map(Cow::into_owned)).flatten()
            }),
            content_type: String::new(),
            accept: None,
            overrides: RequestOverrides::default(),
            tags: Vec::new(),
            allowed,
            explain: false,
            affinity: AffinityHeaders::default(),
            forwarded: Vec::new(),
            stored: None,
            client: None,
        };
        for (name, value) in headers.bytes() {
            if allowed.affinity {
                request.affinity.read(name, value);
            }
            match name {
                b"content-type" => utf8_or_empty(value).clone_into(&mut request.content_type),
                b"accept" => request.accept = Some(utf8_or_empty(value).to_owned()),
                b"content-encoding"
                    if !["", "identity"]
                        .iter()
                        .any(|plain| utf8_or_empty(value).eq_ignore_ascii_case(plain)) =>
                {
                    return Err(Refusal::Encoded(utf8_or_empty(value).to_owned()));
                }
                b"x-litellm-tags" if allowed.tags => header_tags(&mut request.tags, &utf8_or_latin1(value))?,
                b"anthropic-version" | b"anthropic-beta" if route.wire() == Wire::Anthropic => {
                    request
                        .forwarded
                        .push((utf8_or_empty(name).to_owned(), utf8_or_latin1(value).into_owned()));
                }
                _ if allowed.forwarding && is_forwarded(utf8_or_empty(name)) => {
                    request
                        .forwarded
                        .push((utf8_or_empty(name).to_owned(), utf8_or_latin1(value).into_owned()));
                }
                _ if name.starts_with(b"x-litellm-") => {
                    request.overrides.read_header(utf8_or_empty(name), utf8_or_empty(value))?;
                }
                _ => {}
            }
        }
        Ok(request)
    }

    /// Reads the whole body.
    ///
    /// # Errors
    /// A [`Refusal`] if the body is not what the route needs, or names no model.
    pub fn parsed<'a>(&'a self, body: &'a [u8]) -> Result<ParsedRequest<'a>, Refusal> {
        if let Some(stored) = &self.stored {
            return stored.parsed(self.overrides);
        }
        match self.body_kind() {
            BodyKind::Json => self.parsed_json(body),
            BodyKind::Multipart => self.parsed_form(body),
        }
    }

    /// The kind of the body. Routes that take files as a form also take JSON, with addresses in
    /// place of the files.
    pub fn body_kind(&self) -> BodyKind {
        let kind = self.content_type.split(';').next().unwrap_or_default().trim();
        if kind.eq_ignore_ascii_case("application/json") { BodyKind::Json } else { self.route.body }
    }

    fn parsed_json<'a>(&'a self, body: &'a [u8]) -> Result<ParsedRequest<'a>, Refusal> {
        if body.is_empty() {
            // Envoy unpacks nothing where a body is not the gzip that its header promises.
            let why = "the body is empty, or not in the encoding of its content-encoding";
            return Err(Refusal::Malformed(why.to_owned()));
        }
        let object = Object::parse(body).map_err(|error| match error {
            NotAnObject::Malformed(why) => Refusal::Malformed(why),
            NotAnObject::OtherJson => Refusal::NotAnObject,
        })?;
        refuse_address(&|name| object.present(name))?;
        let model = match (&self.addressed_model, object.present("model")) {
            (Some(model), _) => Cow::Borrowed(model.as_str()),
            (None, Some(value)) => json::string(value).ok_or(Refusal::ModelNotAString)?,
            (None, None) => return Err(self.unnamed(None)),
        };
        let stream = match object.present("stream") {
            None | Some("false") => false,
            Some("true") => true,
            Some(_) => return Err(Refusal::Parameter("stream".to_owned(), "true or false")),
        };
        let value = |name: &str| object.present(name);
        let keeps_fallbacks =
            self.has_fallback_beta() && value("fallbacks").is_some_and(fallbacks_param::are_anthropics);
        let members = object.members().iter().map(|member| (&*member.key, member.value));
        let routers = members.filter(|(key, _)| !(keeps_fallbacks && *key == "fallbacks"));
        Ok(ParsedRequest {
            overrides: self.overrides.with_body(value)?,
            stream,
            client_wants_usage: stream && object.present("stream_options").is_some_and(asks_for_usage),
            routing: self.routing(routers, body.len())?,
            model: self.named(model)?,
            payload: Payload::Json(SentMembers { keeps_fallbacks, ..SentMembers::of(object) }),
        })
    }

    fn parsed_form<'a>(&'a self, body: &'a [u8]) -> Result<ParsedRequest<'a>, Refusal> {
        let form = Form::parse(&self.content_type, body).map_err(Refusal::NotAForm)?;
        refuse_address(&|name| form.field(name))?;
        let model = match (&self.addressed_model, form.field("model")) {
            (Some(model), _) => model.as_str(),
            (None, Some(model)) => model,
            (None, None) => return Err(self.unnamed(None)),
        };
        Ok(ParsedRequest {
            overrides: self.overrides.with_body(|name| form.field(name))?,
            // Python writes True, which providers accept.
            stream: form
                .field("stream")
                .is_some_and(|stream| stream.eq_ignore_ascii_case("true") || stream == "1"),
            client_wants_usage: false,
            routing: self.routing(form.fields(), body.len())?,
            model: self.named(Cow::Borrowed(model))?,
            payload: Payload::Form(form),
        })
    }

    /// Whether Anthropic is to fall back by itself where a model refuses to answer, which its beta
    /// turns on. Only Anthropic's routes forward its headers.
    fn has_fallback_beta(&self) -> bool {
        let is_beta = |(name, value): &(String, String)| {
            name == "anthropic-beta" && value.contains("server-side-fallback")
        };
        self.forwarded.iter().any(is_beta)
    }

    fn routing<'k, 'a>(
        &self,
        members: impl Iterator<Item = (&'k str, &'a str)>,
        body: usize,
    ) -> Result<RoutingParams, Refusal> {
        RoutingParams::read(members, &self.tags, self.allowed, self.route.keeps_metadata, body)
    }

    fn named<'a>(&self, model: Cow<'a, str>) -> Result<Cow<'a, str>, Refusal> {
        match model {
            model if model.is_empty() => Err(self.unnamed(Some(String::new()))),
            model if model_name::is_sendable(&model) => Ok(model),
            _ => Err(Refusal::Parameter("model".to_owned(), model_name::MUST_BE)),
        }
    }

    fn unnamed(&self, model: Option<String>) -> Refusal {
        Refusal::Unresolved(model, Unresolved::Unknown, self.route.suffix)
    }
}

/// No client chooses where its request goes.
fn refuse_address<'a>(value: &dyn Fn(&str) -> Option<&'a str>) -> Result<(), Refusal> {
    match ["api_base", "base_url"].into_iter().find(|name| value(name).is_some()) {
        Some(name) => {
            let expected = "left out: the configuration sets the address of each deployment";
            Err(Refusal::Parameter(name.to_owned(), expected))
        }
        None => Ok(()),
    }
}

/// Whether `stream_options` hold `include_usage: true`.
fn asks_for_usage(options: &str) -> bool {
    Object::parse(options.as_bytes()).is_ok_and(|options| options.is_true("include_usage"))
}

/// Whether LiteLLM's `forward_client_headers_to_llm_api` covers a header: a custom one, but none of
/// an SDK, a proxy or this product.
fn is_forwarded(name: &str) -> bool {
    const NOT: [&str; 5] = ["x-stainless-", "x-litellm-", "x-llm-", "x-envoy-", "x-forwarded-"];
    let is_key = auth::is_for_keys(name.as_bytes());
    let is_own = is_key || name == "x-request-id" || NOT.iter().any(|prefix| name.starts_with(prefix));
    name.starts_with("x-") && !is_own
}

#[cfg(test)]
mod tests;
