//! Reads a request for a model: its path and query, its headers, and the top level of its body.

use std::borrow::Cow;

use llm_balancer_config::Wire;

use crate::http::auth;
use crate::http::headers::{Headers, decoded, text};
use crate::http::json::{self, NotAnObject, Object};
use crate::http::multipart::Form;
use crate::http::route::{BodyKind, ModelRoute, query_value};
use crate::request::affinity_headers::AffinityHeaders;
use crate::request::model_name;
use crate::request::overrides::RequestOverrides;
use crate::request::refusal::Refusal;
use crate::request::routing_params::{AllowedParams, RoutingParams};
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
    /// The session and the caller, if requests of one may go to the same deployment again.
    pub affinity: AffinityHeaders,
    /// Headers of the client that the provider gets: version and betas of Anthropic's API, and others
    /// if the configuration allows it.
    pub forwarded: Vec<(String, String)>,
    /// The stored response that the request is about, in place of a model.
    pub stored: Option<Box<StoredResponse>>,
    /// The hash of the client's key, where clients have keys of their own; else 0.
    pub caller: u64,
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
    pub asks_usage: bool,
    /// Retries and time limits, from the body, else from the headers.
    pub overrides: RequestOverrides,
    /// Fallbacks, tags and mock errors.
    pub routing: RoutingParams,
}

/// A body by its kind.
#[derive(Debug)]
pub enum Payload<'a> {
    /// A JSON object.
    Json(Object<'a>),
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
            caller: 0,
        };
        for (name, value) in headers.bytes() {
            if allowed.affinity {
                request.affinity.read(name, value);
            }
            match name {
                b"content-type" => text(value).clone_into(&mut request.content_type),
                b"accept" => request.accept = Some(text(value).to_owned()),
                b"content-encoding"
                    if !["", "identity"].iter().any(|plain| text(value).eq_ignore_ascii_case(plain)) =>
                {
                    return Err(Refusal::Encoded(text(value).to_owned()));
                }
                b"x-litellm-tags" if allowed.tags => header_tags(&mut request.tags, &decoded(value))?,
                b"anthropic-version" | b"anthropic-beta" if route.wire() == Wire::Anthropic => {
                    request.forwarded.push((text(name).to_owned(), decoded(value).into_owned()));
                }
                _ if allowed.forwarding && is_forwarded(text(name)) => {
                    request.forwarded.push((text(name).to_owned(), decoded(value).into_owned()));
                }
                _ if name.starts_with(b"x-litellm-") => {
                    request.overrides.read_header(text(name), text(value))?;
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
            return Err(Refusal::NoBody);
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
        Ok(ParsedRequest {
            overrides: self.overrides.with_body(value)?,
            stream,
            asks_usage: stream && object.present("stream_options").is_some_and(asks_for_usage),
            routing: self
                .routing(object.members().iter().map(|member| (&*member.key, member.value)), body.len())?,
            model: self.named(model)?,
            payload: Payload::Json(object),
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
            asks_usage: false,
            routing: self.routing(form.fields(), body.len())?,
            model: self.named(Cow::Borrowed(model))?,
            payload: Payload::Form(form),
        })
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
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::http::route::Route;

    fn request(path: &str, headers: &[(&str, &str)]) -> Result<Request, Refusal> {
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let Route::Model(route, model) = Route::parse(path) else { panic!("{path} is no model route") };
        let allowed = AllowedParams { tags: true, ..AllowedParams::default() };
        Request::new(route, model.as_deref(), query, &headers.iter().copied().collect(), allowed)
    }

    fn chat() -> Request {
        request("/v1/chat/completions", &[("x-litellm-num-retries", "1"), ("x-litellm-timeout", "0.5")])
            .unwrap()
    }

    #[test]
    fn the_body_goes_before_the_headers() {
        let chat = chat();
        let parsed = chat.parsed(br#"{"model":"g","messages":[],"num_retries":5.0,"stream":true}"#).unwrap();
        assert_eq!(parsed.model, "g");
        assert_eq!(parsed.overrides.num_retries, Some(5));
        assert_eq!(parsed.overrides.timeout, Some(Duration::from_millis(500)));
        assert!(parsed.stream);
    }

    #[test]
    fn path_and_query_go_before_the_body() {
        for path in ["/engines/a/chat/completions", "/chat/completions?x=1&model=a"] {
            let request = request(path, &[]).unwrap();
            assert_eq!(request.parsed(br#"{"model":"b","messages":[]}"#).unwrap().model, "a", "{path}");
        }
    }

    #[test]
    fn what_is_wrong_with_a_body_is_said() {
        let unnamed = |model: Option<&str>| {
            let model = model.map(str::to_owned);
            Refusal::Unresolved(model, Unresolved::Unknown, "/chat/completions")
        };
        for (body, expected) in [
            ("", Refusal::NoBody),
            ("[]", Refusal::NotAnObject),
            ("{}", unnamed(None)),
            (r#"{"messages":[]}"#, unnamed(None)),
            (r#"{"messages":[],"model":null}"#, unnamed(None)),
            (r#"{"messages":[],"model":""}"#, unnamed(Some(""))),
            (r#"{"messages":[],"model":4}"#, Refusal::ModelNotAString),
            (
                r#"{"messages":[],"model":"g\r\nx-llm-retry: 1"}"#,
                Refusal::Parameter("model".into(), model_name::MUST_BE),
            ),
            (
                r#"{"messages":[],"model":"g","num_retries":"many"}"#,
                Refusal::Parameter("num_retries".into(), "a whole number"),
            ),
            (
                r#"{"messages":[],"model":"g","stream":"true"}"#,
                Refusal::Parameter("stream".into(), "true or false"),
            ),
            (
                r#"{"messages":[],"model":"g","timeout":-1}"#,
                Refusal::Parameter("timeout".into(), "a number of seconds"),
            ),
        ] {
            assert_eq!(chat().parsed(body.as_bytes()).unwrap_err(), expected, "{body}");
        }
        assert!(matches!(chat().parsed(b"{\"a\":").unwrap_err(), Refusal::Malformed(_)));
        let forms = request("/audio/transcriptions", &[("content-type", "text/plain")]).unwrap();
        assert!(matches!(forms.parsed(b"{}").unwrap_err(), Refusal::NotAForm(_)));
    }

    #[test]
    fn nothing_but_the_model_has_to_be_there() {
        for path in ["/chat/completions", "/completions", "/embeddings", "/audio/speech", "/rerank"] {
            let request = request(path, &[]).unwrap();
            assert_eq!(request.parsed(br#"{"model":"g"}"#).unwrap().model, "g", "{path}");
        }
        let addressed = request("/engines/g/embeddings", &[]).unwrap();
        assert_eq!(addressed.parsed(b"{}").unwrap().model, "g");
    }

    #[test]
    fn a_route_of_forms_takes_json_that_says_so() {
        for kind in ["application/json", "Application/JSON; charset=utf-8"] {
            let edit = request("/images/edits", &[("content-type", kind)]).unwrap();
            assert_eq!(edit.parsed(br#"{"model":"g","images":[]}"#).unwrap().model, "g", "{kind}");
        }
    }

    #[test]
    fn headers_that_are_not_utf8_are_latin1() {
        let headers = Headers::new(b"x-litellm-tags!eu, m\xfcnchen".to_vec(), vec![(0..14, 14..26)]);
        let Route::Model(route, model) = Route::parse("/embeddings") else { panic!("no model route") };
        let allowed = AllowedParams { tags: true, ..AllowedParams::default() };
        let request = Request::new(route, model.as_deref(), "", &headers, allowed).unwrap();
        assert_eq!(request.tags, ["!eu", "münchen"]);
    }

    #[test]
    fn routing_parameters_are_read_from_headers_json_and_forms() {
        let json = request("/embeddings", &[("x-litellm-tags", "a, b")]).unwrap();
        let parsed =
            json.parsed(br#"{"model":"g","input":"","tags":["c"],"disable_fallbacks":true}"#).unwrap();
        assert_eq!(parsed.routing.tags, ["a", "b", "c"]);
        assert!(parsed.routing.disable_fallbacks);

        let content_type = [("content-type", "multipart/form-data; boundary=b")];
        let form = request("/audio/transcriptions", &content_type).unwrap();
        let field = |name, value| {
            format!("--b\r\ncontent-disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
        };
        let body = format!("{}{}--b--\r\n", field("model", "g"), field("fallbacks", r#"["other"]"#));
        let parsed = form.parsed(body.as_bytes()).unwrap();
        assert_eq!(&*parsed.routing.fallbacks.unwrap()[0].targets[0].model, "other");
    }

    #[test]
    fn an_address_is_refused_in_json_and_in_forms() {
        let content_type = [("content-type", "multipart/form-data; boundary=b")];
        let form = request("/audio/transcriptions", &content_type).unwrap();
        for name in ["api_base", "base_url"] {
            let field = |name, value| {
                format!("--b\r\ncontent-disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
            };
            let body = format!("{}{}--b--\r\n", field("model", "g"), field(name, "https://evil.test"));
            let json = format!(r#"{{"model":"g","{name}":"https://evil.test"}}"#);
            for refused in [form.parsed(body.as_bytes()), chat().parsed(json.as_bytes())] {
                assert!(matches!(refused, Err(Refusal::Parameter(key, _)) if key == name), "{name}");
            }
        }
    }

    #[test]
    fn a_form_asks_for_a_stream_in_any_case() {
        let content_type = [("content-type", "multipart/form-data; boundary=b")];
        let form = request("/audio/transcriptions", &content_type).unwrap();
        for (value, streams) in [("true", true), ("True", true), ("1", true), ("false", false), ("", false)] {
            let field = |name, value| {
                format!("--b\r\ncontent-disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
            };
            let body = format!("{}{}--b--\r\n", field("model", "g"), field("stream", value));
            assert_eq!(form.parsed(body.as_bytes()).unwrap().stream, streams, "{value:?}");
        }
    }

    #[test]
    fn a_header_that_cannot_be_read_is_an_error_of_the_client() {
        for (name, value) in [("x-litellm-timeout", "soon"), ("x-litellm-num-retries", "-1")] {
            assert!(
                matches!(request("/embeddings", &[(name, value)]), Err(Refusal::Parameter(..))),
                "{name}"
            );
        }
        let gzip = request("/embeddings", &[("content-encoding", "gzip")]);
        assert_eq!(gzip.unwrap_err(), Refusal::Encoded("gzip".into()));
    }
}
