//! What a request has in common with others that should go to the same deployment.

use llm_balancer_config::Affinity;

use crate::affinity::prompt::{prompt_bytes, prompt_key};
use crate::affinity::session::{caller_key, session_key};
use crate::affinity::{AffinityKey, Preference};
use crate::request::Request;
use crate::request::parse::{ParsedRequest, Payload};

/// Providers do not cache shorter prompts: 1,024 tokens (LiteLLM's
/// `DEFAULT_MINIMUM_PROMPT_CACHE_TOKEN_COUNT`), at four bytes each.
const CACHED_PROMPT: usize = 4096;

/// The preference of a request to a group: by its session, else by its caller, else by its prompt.
pub(crate) fn preference(
    affinity: Affinity,
    request: &Request,
    parsed: &ParsedRequest<'_>,
    has_master_key: bool,
) -> Preference {
    if !affinity.is_ranked() {
        return Preference::None;
    }
    let body = match &parsed.payload {
        Payload::Json(object) => Some(object),
        Payload::Form(_) => None,
    };
    let session = || if affinity.sessions { session_key(request, body) } else { None };
    let caller = || if affinity.callers { caller_key(request, body, has_master_key) } else { None };
    if let Some(hash) = session().or_else(caller) {
        return Preference::Ranked(AffinityKey { hash, is_bounded: false });
    }
    let is_cached =
        |body| affinity.prefixes || affinity.prompt_caching && prompt_bytes(body) >= CACHED_PROMPT;
    let prompt = body.filter(|body| is_cached(*body)).and_then(|body| prompt_key(body, request.route.suffix));
    prompt.map_or(Preference::None, |hash| Preference::Ranked(AffinityKey { hash, is_bounded: true }))
}
