//! The path of each route at each kind of provider. `tests/paths.txt` has the resulting URLs.

use std::borrow::Cow;

use llm_balancer_config::{Endpoint, Layout, Wire};
use percent_encoding::{AsciiSet, CONTROLS, percent_encode};

use crate::http::route::{RESPONSES, is_of_responses, percent_decoded, wire};

/// Characters that a path segment has percent-encoded (RFC 3986, 3.3).
const SEGMENT: &AsciiSet =
    &CONTROLS.add(b' ').add(b'"').add(b'#').add(b'%').add(b'/').add(b'<').add(b'>').add(b'?').add(b'\\');

/// The start of Azure's own path, behind the operator's.
const AZURE: &str = "/openai/deployments/";

/// LiteLLM's `AZURE_DEFAULT_API_VERSION`, and its version for responses, the first one in which
/// Azure serves them.
const AZURE_DEFAULT: &str = "api-version=2025-02-01-preview";
const AZURE_RESPONSES: &str = "api-version=2025-03-01-preview";

/// How a URL is made of an endpoint's path and a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Template {
    /// `{path}{route}`
    Base,
    /// `{path}/v1{route}`
    V1,
    /// `{path}/v2{route}`
    V2,
    /// `{path}/compatibility/v1{route}`
    Compatible,
    /// `{path}/openai/deployments/{model}{route}`
    Deployment,
    /// `{resource}/openai{route}`, with the model in the body alone.
    Resource,
}

/// The table. `None` where the provider lacks the route.
fn template(layout: Layout, route: &str) -> Option<Template> {
    if wire(route) == Wire::Anthropic {
        return layout.speaks(Wire::Anthropic).then_some(Template::Base);
    }
    match (layout, route) {
        (Layout::OpenAi, _) => Some(Template::Base),
        (Layout::AzureDeployments | Layout::AzureDeployment, _) if is_of_resource(route) => {
            Some(Template::Resource)
        }
        (Layout::AzureDeployments, _) if azure_serves(route) => Some(Template::Deployment),
        (Layout::AzureV1, _) if is_of_resource(route) => Some(Template::Base),
        (Layout::AzureDeployment | Layout::AzureV1, _) if azure_serves(route) => Some(Template::Base),
        (Layout::Foundry, "/chat/completions" | "/embeddings") => Some(Template::Base),
        (Layout::AzureAi | Layout::Foundry, "/rerank") => Some(Template::V1),
        (Layout::AzureAi, _) => Some(Template::Base),
        (Layout::Anthropic, "/chat/completions" | "/models") => Some(Template::Base),
        (Layout::Messages, "/models") => Some(Template::Base),
        (Layout::Gemini, "/chat/completions" | "/embeddings" | "/images/generations" | "/models") => {
            Some(Template::Base)
        }
        (Layout::Vertex, "/chat/completions" | "/completions" | "/embeddings") => Some(Template::Base),
        (Layout::Bedrock, "/chat/completions" | "/responses" | "/models") => Some(Template::Base),
        (Layout::TextCompletion, "/completions" | "/models") => Some(Template::Base),
        (Layout::Vectors, "/embeddings" | "/rerank" | "/models") => Some(Template::Base),
        (Layout::HuggingFace, "/chat/completions" | "/responses" | "/models") => Some(Template::Base),
        (Layout::Cohere, "/chat/completions" | "/embeddings" | "/audio/transcriptions") => {
            Some(Template::Compatible)
        }
        (Layout::CohereRerank | Layout::Cohere, "/rerank") => Some(Template::V2),
        (Layout::CohereRerank | Layout::Cohere, "/models") => Some(Template::V1),
        _ => None,
    }
}

/// Routes that Azure serves for the whole resource, whatever the deployment.
fn is_of_resource(route: &str) -> bool {
    route == "/models" || is_of_responses(route)
}

/// Routes that Azure serves besides those; under a deployment's name where the `api_version` is
/// a date.
fn azure_serves(route: &str) -> bool {
    matches!(
        route,
        "/chat/completions"
            | "/completions"
            | "/embeddings"
            | "/images/generations"
            | "/images/edits"
            | "/audio/transcriptions"
            | "/audio/translations"
            | "/audio/speech"
    )
}

/// Whether a provider of this layout has a route.
pub fn serves(layout: Layout, route: &str) -> bool {
    template(layout, route).is_some()
}

/// The path and query of a route at this endpoint. `route` is spelt as OpenAI and Anthropic do:
/// `/chat/completions`, `/messages`, or `/models` for the list of models. A route that the layout
/// lacks is put behind the base, where the provider answers with its own error.
pub fn path(endpoint: &Endpoint, route: &str, model: &str) -> String {
    let mut path = String::with_capacity(128);
    match template(endpoint.layout, route).unwrap_or(Template::Base) {
        Template::Base => path.push_str(&endpoint.path),
        Template::V1 => {
            // Foundry has `/rerank` beside its `/models`.
            let base = endpoint.path.strip_suffix("/models").unwrap_or(&endpoint.path);
            push_versioned(&mut path, base, "/v1");
        }
        Template::V2 => push_versioned(&mut path, &endpoint.path, "/v2"),
        Template::Compatible => path.extend([&endpoint.path, "/compatibility/v1"]),
        Template::Deployment => {
            path.extend([&endpoint.path, AZURE]);
            path.extend(percent_encode(model.as_bytes(), SEGMENT));
        }
        Template::Resource => {
            let resource = endpoint.path.split_once(AZURE).map_or(&*endpoint.path, |(resource, _)| resource);
            path.extend([resource, "/openai"]);
        }
    }
    path.push_str(route);
    if let Some(query) = &endpoint.query {
        path.push('?');
        path.push_str(&query_of(query, route));
    }
    path
}

/// The path and query of a route about one response; `tail` is what follows its id. Adds the
/// client's query, but for parameters that the endpoint has itself, however they are spelt: Azure
/// reads their names without regard to case.
pub fn stored(endpoint: &Endpoint, (id, tail): (&str, &str), query: &str) -> String {
    let responses = path(endpoint, RESPONSES, "");
    let (base, own) = responses.split_once('?').unwrap_or((&responses, ""));
    let name = |pair: &str| percent_decoded(pair.split('=').next().unwrap_or_default()).to_ascii_lowercase();
    let is_own = |pair: &&str| {
        let name_of_pair = name(pair);
        name_of_pair == "api-version" || own.split('&').any(|own| name(own) == name_of_pair)
    };
    let clients = query.split('&').filter(|pair| !pair.is_empty() && !is_own(pair));
    let mut path = [base, "/", id, tail].concat();
    for (place, pair) in own.split('&').filter(|pair| !pair.is_empty()).chain(clients).enumerate() {
        path.push(if place == 0 { '?' } else { '&' });
        path.push_str(pair);
    }
    path
}

/// Adds a base, and the version unless the base ends in one.
fn push_versioned(path: &mut String, base: &str, version: &str) {
    path.push_str(base);
    if !["/v1", "/v2"].iter().any(|end| base.ends_with(end)) {
        path.push_str(version);
    }
}

fn query_of<'q>(query: &'q str, route: &str) -> Cow<'q, str> {
    if query.contains(AZURE_DEFAULT) && is_of_responses(route) {
        return query.replace(AZURE_DEFAULT, AZURE_RESPONSES).into();
    }
    query.into()
}
