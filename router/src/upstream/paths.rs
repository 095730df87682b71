//! Where each route is at each kind of provider: the one table of paths. `tests/paths.txt` shows what comes of it.

use std::borrow::Cow;

use llm_balancer_config::{Endpoint, Layout};
use percent_encoding::{AsciiSet, CONTROLS, percent_encode};

/// What may not stand in a path segment as it is (RFC 3986, 3.3).
const SEGMENT: &AsciiSet =
    &CONTROLS.add(b' ').add(b'"').add(b'#').add(b'%').add(b'/').add(b'<').add(b'>').add(b'?').add(b'\\');

/// Where Azure's own path begins; what comes before it belongs to the operator.
const AZURE: &str = "/openai/deployments/";

/// LiteLLM's `AZURE_DEFAULT_API_VERSION`, and its version for responses, which Azure serves from that one on.
const AZURE_DEFAULT: &str = "api-version=2025-02-01-preview";
const AZURE_RESPONSES: &str = "api-version=2025-03-01-preview";

/// How a route is put behind an endpoint's path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// `{path}{route}`
    Base,
    /// `{path}/v1{route}`
    V1,
    /// `{path}/v2{route}`
    V2,
    /// `{path}/openai/deployments/{model}{route}`
    Deployment,
    /// `{resource}/openai{route}`, the model in the body alone.
    Resource,
}

/// The table. `None` where the provider has no such route.
fn place(layout: Layout, route: &str) -> Option<Place> {
    match (layout, route) {
        (Layout::OpenAi, _) => Some(Place::Base),
        (Layout::AzureDeployments | Layout::AzureDeployment, "/responses" | "/models") => {
            Some(Place::Resource)
        }
        (Layout::AzureDeployments, _) if is_azures(route) => Some(Place::Deployment),
        (Layout::AzureV1, "/responses" | "/models") => Some(Place::Base),
        (Layout::AzureDeployment | Layout::AzureV1, _) if is_azures(route) => Some(Place::Base),
        (Layout::Foundry, "/chat/completions" | "/embeddings") => Some(Place::Base),
        (Layout::AzureAi | Layout::Foundry, "/rerank") => Some(Place::V1),
        (Layout::AzureAi, _) => Some(Place::Base),
        (Layout::Anthropic, "/chat/completions" | "/models") => Some(Place::Base),
        (Layout::Gemini, "/chat/completions" | "/embeddings" | "/images/generations" | "/models") => {
            Some(Place::Base)
        }
        (Layout::Vertex, "/chat/completions" | "/completions" | "/embeddings") => Some(Place::Base),
        (Layout::Bedrock, "/chat/completions" | "/responses" | "/models") => Some(Place::Base),
        (Layout::TextCompletion, "/completions" | "/models") => Some(Place::Base),
        (Layout::Vectors, "/embeddings" | "/rerank" | "/models") => Some(Place::Base),
        (Layout::CohereRerank, "/rerank") => Some(Place::V2),
        (Layout::CohereRerank, "/models") => Some(Place::V1),
        _ => None,
    }
}

/// What Azure serves besides responses; where the `api_version` is a date, under a deployment's name.
fn is_azures(route: &str) -> bool {
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

/// Whether a provider of this layout has a route at all.
pub fn serves(layout: Layout, route: &str) -> bool {
    place(layout, route).is_some()
}

/// Where a request goes at this endpoint, with the query that the endpoint needs. `route` is named as in OpenAI's
/// layout: `/chat/completions`, or `/models` for the list of models. A route that the layout shortfall is put behind the
/// base, where the provider will say that it does not know it.
pub fn path(endpoint: &Endpoint, route: &str, model: &str) -> String {
    let place = place(endpoint.layout, route).unwrap_or(Place::Base);
    let mut path = String::with_capacity(128);
    match place {
        Place::Base => path.push_str(&endpoint.path),
        Place::V1 => {
            // Foundry's rerankings are beside its `/models`.
            let base = endpoint.path.strip_suffix("/models").unwrap_or(&endpoint.path);
            push_versioned(&mut path, base, "/v1");
        }
        Place::V2 => push_versioned(&mut path, &endpoint.path, "/v2"),
        Place::Deployment => {
            path.extend([&endpoint.path, AZURE]);
            path.extend(percent_encode(model.as_bytes(), SEGMENT));
        }
        Place::Resource => {
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

/// A base may end in a version already.
fn push_versioned(path: &mut String, base: &str, version: &str) {
    path.push_str(base);
    if !["/v1", "/v2"].iter().any(|end| base.ends_with(end)) {
        path.push_str(version);
    }
}

fn query_of<'q>(query: &'q str, route: &str) -> Cow<'q, str> {
    match route {
        "/responses" if query.contains(AZURE_DEFAULT) => query.replace(AZURE_DEFAULT, AZURE_RESPONSES).into(),
        _ => query.into(),
    }
}
