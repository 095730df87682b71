//! The body that the selected deployment gets: with its model and its defaults, without the
//! router's own parameters.

mod form_body;
mod json_body;
mod metadata;

use llm_balancer_config::Deployment;

use crate::http::rewritten_body::RewrittenBody;
use crate::http::route::ModelRoute;
use crate::request::parse::{ParsedRequest, Payload};
use crate::upstream::stream_options;

/// The body to send, or `None` where the client's own needs no change. With `include_usage` it asks
/// for the usage of a stream where [`stream_options::injects_usage`].
pub fn rewritten(
    client: &[u8],
    parsed: &ParsedRequest<'_>,
    route: ModelRoute,
    deployment: &Deployment,
    model: &str,
    include_usage: bool,
) -> Option<RewrittenBody> {
    match &parsed.payload {
        Payload::Json(object) => {
            let options = include_usage.then(|| stream_options::with_usage(parsed, route, deployment));
            let edits = json_body::Edits::new(object, parsed.stream, route, deployment, options.flatten());
            json_body::rewritten(client, object, &edits, model)
        }
        Payload::Form(form) => Some(form_body::rewritten(form, parsed.stream, route, deployment, model)),
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

/// Whether a parameter is about streams: vLLM and OpenAI refuse it in other requests.
fn is_about_streams(key: &str) -> bool {
    matches!(key, "stream" | "stream_options" | "partial_images")
}
