//! The session and the caller of a request, by its headers and its body.

use std::borrow::Cow;

use crate::hash::{Hasher, hash};
use crate::http::json::{self, Object};
use crate::request::Request;
use crate::request::sent_members::SentMembers;

/// What separates a user from a session in Claude Code's `metadata.user_id`.
const SESSION_OF_USER: &str = "_session_";

/// The key of a request's session, in the order of LiteLLM (BEHAVIOUR 14); `None` for a request
/// without one. It depends on the client's key: two clients with one id steer each other nowhere.
pub(super) fn session_key(request: &Request, body: Option<&SentMembers<'_>>) -> Option<u64> {
    let headers = &request.affinity;
    let id = headers.session().or_else(|| body_session(body?)).or_else(|| headers.last_session())?;
    Some(key(2, request.client, id))
}

/// The key of the caller of a request: the end user that the body names, or else the client's
/// key, unless all clients have the same.
pub(super) fn caller_key(request: &Request, body: Option<&SentMembers<'_>>) -> Option<u64> {
    let user = body.and_then(user);
    if user.is_none() && request.client.is_none() {
        return None;
    }
    Some(key(3, request.client, user.unwrap_or_default()))
}

fn key(kind: u64, client: Option<u64>, id: u64) -> u64 {
    let mut hasher = Hasher::new(kind);
    hasher.add(&client.unwrap_or_default().to_le_bytes());
    hasher.add(&id.to_le_bytes());
    hasher.finish()
}

fn body_session(body: &SentMembers<'_>) -> Option<u64> {
    let of = |name| session_of_metadata(&Object::parse(non_empty(body.present(name))?.as_bytes()).ok()?);
    let own = || non_empty(body.present("litellm_session_id")).map(|id| hash(id.as_bytes()));
    of("litellm_metadata").or_else(|| of("metadata")).or_else(own)
}

fn session_of_metadata(metadata: &Object<'_>) -> Option<u64> {
    if let Some(id) = non_empty(metadata.present("session_id")) {
        return Some(hash(id.as_bytes()));
    }
    let user = non_empty(metadata.present("user_id"))?;
    if let Some((_, id)) = user.rsplit_once(SESSION_OF_USER) {
        return Some(hash(id.as_bytes()));
    }
    // Newer versions send an object, as text or as it is.
    let user = Object::parse(user.as_bytes()).ok()?;
    non_empty(user.present("session_id")).map(|id| hash(id.as_bytes()))
}

/// `user` of OpenAI, or `metadata.user_id` of Anthropic.
fn user(body: &SentMembers<'_>) -> Option<u64> {
    if let Some(user) = non_empty(body.present("user")) {
        return Some(hash(user.as_bytes()));
    }
    let metadata = non_empty(body.present("metadata"))?;
    let metadata = Object::parse(metadata.as_bytes()).ok()?;
    let user = non_empty(metadata.present("user_id"))?;
    let user = user.rsplit_once(SESSION_OF_USER).map_or(&*user, |(user, _)| user);
    Some(hash(user.as_bytes()))
}

/// A member's value: a string without its escapes, anything else as it is written; `None` where
/// that is empty.
fn non_empty(value: Option<&str>) -> Option<Cow<'_, str>> {
    value.map(json::string_or_raw).filter(|text| !text.is_empty())
}
