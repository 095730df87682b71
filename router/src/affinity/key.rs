//! What a request has in common with others that should go to the same deployment.

use std::cell::OnceCell;

use llm_balancer_config::Affinity;

use crate::affinity::popularity::{Beginning, Popularity, PromptPlace};
use crate::affinity::prompt::{beginning, prompt_bytes};
use crate::affinity::session::{caller_key, session_key};
use crate::affinity::{AffinityKey, Preference};
use crate::request::Request;
use crate::request::parse::{ParsedRequest, Payload};
use crate::state::store::Store;

/// Providers do not cache shorter prompts: 1,024 tokens (LiteLLM's
/// `DEFAULT_MINIMUM_PROMPT_CACHE_TOKEN_COUNT`), at four bytes each.
const CACHED_PROMPT: usize = 4096;

/// A group to which requests go again.
#[derive(Clone, Copy)]
pub(crate) struct AffinityGroup<'a> {
    pub affinity: Affinity,
    /// The name of its partition, and how many deployments that has; `None` for some of the group's
    /// deployments, which were found for one request.
    pub partition: Option<(&'a str, usize)>,
    /// The deployment at a point of the partition.
    pub at: &'a dyn Fn(f64) -> Option<usize>,
    /// Whether the partition has counted the request.
    pub is_counted: bool,
}

/// What was read of a body for its affinity, once for all groups of a request.
#[derive(Debug, Default)]
pub(crate) struct BodyAffinity {
    session: OnceCell<Option<u64>>,
    caller: OnceCell<Option<u64>>,
    prompt: OnceCell<Option<Beginning>>,
}

/// The preference of a request: by its session, else by its caller, else by its prompt.
pub(crate) fn preference(
    group: &AffinityGroup<'_>,
    request: &Request,
    (parsed, read): (&ParsedRequest<'_>, &BodyAffinity),
    popularity: &Popularity,
    store: &dyn Store,
) -> Preference {
    let AffinityGroup { affinity, partition, at, is_counted } = *group;
    let body = match &parsed.payload {
        Payload::Json(sent) => Some(sent),
        Payload::Form(_) => None,
    };
    let session =
        || if affinity.sessions { *read.session.get_or_init(|| session_key(request, body)) } else { None };
    let caller =
        || if affinity.callers { *read.caller.get_or_init(|| caller_key(request, body)) } else { None };
    if let Some(hash) = session().or_else(caller) {
        return Preference::Ranked(AffinityKey { hash, first: None, is_bounded: false });
    }
    let is_cached =
        |body| affinity.prefixes || affinity.prompt_caching && prompt_bytes(body) >= CACHED_PROMPT;
    let body = body.filter(|body| is_cached(*body));
    let suffix = request.route.suffix;
    let prompt = body.and_then(|body| *read.prompt.get_or_init(|| beginning(body, suffix)));
    let Some(prompt) = prompt else {
        return Preference::None;
    };
    let place = partition.map_or(PromptPlace::by_hash(&prompt), |(name, deployments)| {
        if !is_counted {
            popularity.count(name, deployments, &prompt, store);
        }
        popularity.place(name, &prompt, store)
    });
    let first = place.point.and_then(at);
    Preference::Ranked(AffinityKey { hash: place.key, first, is_bounded: true })
}
