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
    /// A JSON object. What must be in it, apart from the model, is the provider's to say: the same route takes other
    /// members elsewhere, such as `messages` in place of `input`.
    Json,
    /// multipart/form-data.
    Multipart,
}

const fn json(suffix: &'static str) -> ModelRoute {
    ModelRoute { suffix, body: BodyKind::Json, keeps_metadata: false }
}

const fn multipart(suffix: &'static str) -> ModelRoute {
    ModelRoute { suffix, body: BodyKind::Multipart, keeps_metadata: false }
}

/// BEHAVIOUR 9.1, the routes that need no translation.
pub const MODEL_ROUTES: [ModelRoute; 12] = [
    json("/chat/completions"),
    json("/completions"),
    json("/embeddings"),
    json("/images/generations"),
    multipart("/images/edits"),
    multipart("/images/variations"),
    multipart("/audio/transcriptions"),
    multipart("/audio/translations"),
    json("/audio/speech"),
    json("/moderations"),
    json("/rerank"),
    ModelRoute { suffix: "/responses", body: BodyKind::Json, keeps_metadata: true },
];

/// The path as it is looked up: a base URL that ends in a slash makes two of one. A slash that is part of a model's
/// name is written as `%2F`, or stands alone.
pub fn merge_slashes(path: &str) -> Cow<'_, str> {
    if !path.contains("//") {
        return Cow::Borrowed(path);
    }
    let mut single = String::with_capacity(path.len());
    for character in path.chars() {
        if character != '/' || !single.ends_with('/') {
            single.push(character);
        }
    }
    Cow::Owned(single)
}

/// What comes below a base URL that ends in this.
fn below<'a>(path: &'a str, base: &str) -> Option<&'a str> {
    path.strip_prefix(base).filter(|rest| rest.starts_with('/'))
}

impl<'a> Route<'a> {
    /// Reads a path without its query, its slashes single. `/v1` in front is optional everywhere, as in LiteLLM;
    /// `/openai` and `/openai/v1` stand in front of what Azure's clients ask for.
    pub fn parse(path: &'a str) -> Self {
        let path = path.strip_suffix('/').filter(|rest| !rest.is_empty()).unwrap_or(path);
        let path = below(path, "/v1").unwrap_or(path);
        if let Some(path) = below(path, "/openai") {
            return Self::of_azure(below(path, "/v1").unwrap_or(path));
        }
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

    /// Azure has no routes but OpenAI's own, and `/deployments/{model}` in front of them.
    fn of_azure(path: &'a str) -> Self {
        match (path, path.strip_prefix("/deployments/")) {
            ("/models", _) => Self::Models,
            (_, Some(rest)) => Self::addressed(rest),
            _ => Self::with_model(path),
        }
    }

    fn with_model(path: &'a str) -> Self {
        // Cohere's clients name the version of the format.
        let path = if path == "/v2/rerank" { "/rerank" } else { path };
        if let Some(route) = MODEL_ROUTES.iter().find(|route| route.suffix == path) {
            return Self::Model(*route, None);
        }
        if let Some(id) = path.strip_prefix("/models/") {
            return Self::ModelById(decoded(id));
        }
        path.strip_prefix("/engines/").map_or(Self::Unknown, Self::addressed)
    }

    /// `{model}/chat/completions`. The longest suffix wins: `/chat/completions` before `/completions`.
    fn addressed(rest: &'a str) -> Self {
        let named = MODEL_ROUTES.iter().filter_map(|route| Some((route, rest.strip_suffix(route.suffix)?)));
        match named.filter(|(_, model)| !model.is_empty()).max_by_key(|(route, _)| route.suffix.len()) {
            Some((route, model)) => Self::Model(*route, Some(decoded(model))),
            None => Self::Unknown,
        }
    }

    /// The route that a path which is not served was meant for: a known one behind something, or before a second `/v1`.
    pub fn suggestion(path: &str) -> Option<&'static str> {
        let path = path.trim_end_matches('/');
        let path = path.strip_suffix("/v1").unwrap_or(path);
        let routes = MODEL_ROUTES.iter().map(|route| route.suffix).filter(|suffix| path.ends_with(suffix));
        routes.max_by_key(|suffix| suffix.len())
    }

    /// Whether it is a GET route or a POST route.
    pub fn method(&self) -> &'static str {
        match self {
            Self::Model(..) => "POST",
            _ => "GET",
        }
    }

    /// Whether it is served without a key: what an orchestrator's probes call.
    pub fn is_public(&self) -> bool {
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
        match Route::parse(path) {
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
        assert_eq!(Route::parse("/v1/models/"), Route::Models);
        assert_eq!(Route::parse("/v1beta/models"), Route::Unknown);
        assert_eq!(Route::parse("/"), Route::Unknown);
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
        assert_eq!(Route::parse("/engines//completions"), Route::Unknown);
    }

    #[test]
    fn azures_clients_are_served_under_each_of_their_base_urls() {
        for route in MODEL_ROUTES {
            let suffix = route.suffix;
            for base in ["/openai", "/openai/v1", "/v1/openai"] {
                assert_eq!(model_of(&format!("{base}{suffix}")), Some((suffix, None)), "{base}");
            }
            let addressed = format!("/openai/deployments/meta%2Fllama{suffix}");
            assert_eq!(model_of(&addressed), Some((suffix, Some("meta/llama".to_owned()))));
        }
        assert_eq!(Route::parse("/openai/models"), Route::Models);
        assert_eq!(Route::parse("/openai/v1/models"), Route::Models);
        assert_eq!(Route::parse("/openai/v1/models/gpt"), Route::ModelById("gpt".into()));
        for unknown in
            ["/openai", "/openai/v1", "/openai/health", "/openai/deployments", "/openai/deployments/a"]
        {
            assert_eq!(Route::parse(unknown), Route::Unknown, "{unknown}");
        }
    }

    #[test]
    fn a_slash_too_many_does_no_harm() {
        for path in [
            "//v1/chat/completions",
            "/v1//chat/completions",
            "/v1/chat/completions//",
            "/v1/chat/completions/",
        ] {
            assert_eq!(model_of(&merge_slashes(path)), Some(("/chat/completions", None)), "{path}");
        }
        assert!(matches!(merge_slashes("/v1/models"), Cow::Borrowed(_)));
    }

    #[test]
    fn rerankings_are_asked_for_by_coheres_paths_too() {
        for path in ["/rerank", "/v1/rerank", "/v2/rerank"] {
            assert_eq!(model_of(path), Some(("/rerank", None)), "{path}");
        }
    }

    #[test]
    fn what_an_unknown_path_was_meant_for_is_found() {
        for (path, meant) in [
            ("/v1/v1/chat/completions", Some("/chat/completions")),
            ("/chat/completions/v1", Some("/chat/completions")),
            ("/api/v1/completions/", Some("/completions")),
            ("/v1/responses/resp_1", None),
            ("/v1", None),
            ("/", None),
        ] {
            assert_eq!(Route::parse(path), Route::Unknown, "{path}");
            assert_eq!(Route::suggestion(path), meant, "{path}");
        }
    }

    #[test]
    fn a_query_parameter_is_found_by_its_whole_name() {
        assert_eq!(query_value("amodel=x&model=fb%2F1", "model").as_deref(), Some("fb/1"));
        assert_eq!(query_value("model=", "model"), None);
    }
}
