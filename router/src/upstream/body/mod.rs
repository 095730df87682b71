//! The body that the selected deployment gets: with its model and its defaults, without the
//! router's own parameters.

mod chat_params;
mod defaults;
mod drop_path;
mod form_body;
mod json_body;
mod metadata;
mod roles;

use llm_balancer_config::Deployment;

use crate::http::rewritten_body::RewrittenBody;
use crate::http::route::ModelRoute;
use crate::request::parse::{ParsedRequest, Payload};
use crate::upstream::stream_options;

/// The body to send, or `None` where the client's own needs no change. With `injects_usage` it asks
/// for the usage of a stream, as [`stream_options::injects_usage`] allows.
pub fn rewritten(
    client: &[u8],
    parsed: &ParsedRequest<'_>,
    route: ModelRoute,
    deployment: &Deployment,
    model: &str,
    injects_usage: bool,
) -> Option<RewrittenBody> {
    match &parsed.payload {
        Payload::Json(sent) => {
            let options = injects_usage.then(|| stream_options::with_usage(parsed, deployment));
            let edits = json_body::Edits::new(sent, parsed.stream, route, deployment, model, options);
            json_body::rewritten(client, &sent.body, &edits, model)
        }
        Payload::Form(form) => Some(form_body::rewritten(form, parsed.stream, route, deployment, model)),
    }
}

/// Whether a parameter is about streams: vLLM and OpenAI refuse it in other requests.
fn is_about_streams(key: &str) -> bool {
    matches!(key, "stream" | "stream_options" | "partial_images")
}
