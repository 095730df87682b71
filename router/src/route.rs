//! Which of the served routes a request's path names, and the model that the path itself may carry.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

/// A request's target, told apart by path alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Route<'a> {
    /// Goes to a deployment.
    Model(ModelRoute, Option<Cow<'a, str>>),
    /// `GET /v1/models`
    Models,
    /// `GET /v1/models/{id}`
    ModelById(Cow<'a, str>),
    /// `GET /v1/model/info`
    ModelInfo,
    /// `GET /v1/model_group/info`
    ModelGroupInfo,
    /// `GET /health`
    Health,
    /// `GET /health/liveliness`
    Liveliness,
    /// `GET /health/readiness`
    Readiness,
    /// Nothing that is served here.
    Unknown,
}

/// A route that a provider serves: the path below its base, and what its body must hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ModelRoute {
    /// As providers spell it below their base: `/chat/completions`.
    pub suffix: &'static str,
    /// What its body is.
    pub body: BodyKind,
    /// True where `metadata` is the provider's own parameter, and not LiteLLM's (BEHAVIOUR 9.3).
    pub keeps_metadata: bool,
}

/// What a route's body is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyKind {
    /// A JSON object; the member that has to be there, if there is one (BEHAVIOUR 2.1, step 1).
    Json(Option<&'static str>),
    /// multipart/form-data.
    Multipart,
}

const fn json(suffix: &'static str, required: Option<&'static str>) -> ModelRoute {
    ModelRoute { suffix, body: BodyKind::Json(required), keeps_metadata: false }
}

const fn multipart(suffix: &'static str) -> ModelRoute {
    ModelRoute { suffix, body: BodyKind::Multipart, keeps_metadata: false }
}

/// BEHAVIOUR 9.1, the routes that need no translation.
const MODEL_ROUTES: [ModelRoute; 11] = [
    json("/chat/completions", Some("messages")),
    json("/completions", Some("prompt")),
    json("/embeddings", Some("input")),
    json("/images/generations", Some("prompt")),
    multipart("/images/edits"),
    multipart("/images/variations"),
    multipart("/audio/transcriptions"),
    multipart("/audio/translations"),
    json("/audio/speech", Some("input")),
    json("/moderations", Some("input")),
    ModelRoute { suffix: "/responses", body: BodyKind::Json(None), keeps_metadata: true },
];

/// Prefixes after which a path carries the model: `/engines/{model}/chat/completions`.
const MODEL_PREFIXES: [&str; 2] = ["/openai/deployments/", "/engines/"];

impl<'a> Route<'a> {
    /// Reads a path without its query. `/v1` in front is optional everywhere, as in LiteLLM.
    pub fn of(path: &'a str) -> Self {
        let path = path.strip_suffix('/').filter(|rest| !rest.is_empty()).unwrap_or(path);
        let path = path.strip_prefix("/v1").filter(|rest| rest.starts_with('/')).unwrap_or(path);
        match path {
            "/models" => Self::Models,
            "/model/info" => Self::ModelInfo,
            "/model_group/info" => Self::ModelGroupInfo,
            "/health" => Self::Health,
            "/health/liveliness" | "/health/liveness" => Self::Liveliness,
            "/health/readiness" => Self::Readiness,
            _ => Self::with_model(path),
        }
    }

    fn with_model(path: &'a str) -> Self {
        if let Some(route) = MODEL_ROUTES.iter().find(|route| route.suffix == path) {
            return Self::Model(*route, None);
        }
        if let Some(id) = path.strip_prefix("/models/") {
            return Self::ModelById(decoded(id));
        }
        let addressed = MODEL_PREFIXES.iter().find_map(|prefix| path.strip_prefix(prefix)).and_then(|rest| {
            // The longest suffix wins: `/chat/completions` before `/completions`.
            let ends = |route: &&ModelRoute| rest.len() > route.suffix.len() && rest.ends_with(route.suffix);
            let route = MODEL_ROUTES.iter().filter(ends).max_by_key(|route| route.suffix.len())?;
            Some((*route, rest.strip_suffix(route.suffix)?))
        });
        match addressed {
            Some((route, model)) => Self::Model(route, Some(decoded(model))),
            None => Self::Unknown,
        }
    }

    /// Whether it is a GET route or a POST route.
    pub fn method(&self) -> &'static str {
        match self {
            Self::Model(..) => "POST",
            _ => "GET",
        }
    }

    /// Whether it is served without a key: what an orchestrator's probes call.
    pub fn is_open(&self) -> bool {
        matches!(self, Self::Liveliness | Self::Readiness)
    }
}

/// The value of a query parameter, decoded; `None` where it is absent or empty.
pub fn query_value<'a>(query: &'a str, name: &str) -> Option<Cow<'a, str>> {
    let value = query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))?;
    Some(decoded(value)).filter(|value| !value.is_empty())
}

fn decoded(text: &str) -> Cow<'_, str> {
    percent_decode_str(text).decode_utf8_lossy()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model_of(path: &str) -> Option<(&'static str, Option<String>)> {
        match Route::of(path) {
            Route::Model(route, model) => Some((route.suffix, model.map(Cow::into_owned))),
            _ => None,
        }
    }

    #[test]
    fn every_route_is_served_with_and_without_v1() {
        for route in MODEL_ROUTES {
            assert_eq!(model_of(route.suffix), Some((route.suffix, None)));
            assert_eq!(model_of(&format!("/v1{}", route.suffix)), Some((route.suffix, None)));
        }
        assert_eq!(Route::of("/v1/models/"), Route::Models);
        assert_eq!(Route::of("/v1beta/models"), Route::Unknown);
        assert_eq!(Route::of("/"), Route::Unknown);
    }

    #[test]
    fn a_path_may_carry_the_model_slashes_included() {
        let chat = "/chat/completions";
        for (path, model) in [
            ("/openai/deployments/gpt-4/chat/completions", "gpt-4"),
            ("/engines/openai%2Fgpt-4/chat/completions", "openai/gpt-4"),
            ("/engines/openai/gpt-4/chat/completions", "openai/gpt-4"),
            ("/v1/engines/a/chat/completions", "a"),
        ] {
            assert_eq!(model_of(path), Some((chat, Some(model.to_owned()))), "{path}");
        }
        assert_eq!(model_of("/engines/a/completions"), Some(("/completions", Some("a".to_owned()))));
        assert_eq!(Route::of("/engines//completions"), Route::Unknown);
    }

    #[test]
    fn a_query_parameter_is_found_by_its_whole_name() {
        assert_eq!(query_value("amodel=x&model=fb%2F1", "model").as_deref(), Some("fb/1"));
        assert_eq!(query_value("model=", "model"), None);
    }
}
