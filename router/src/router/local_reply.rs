//! Answers that the router writes in place of a provider.

use std::time::Duration;

use llm_balancer_config::Wire;

use super::decisions::CONTENT_ENCODING;
use super::{ErrorResponse, Router, response_headers};
use crate::attempt::RetryState;
use crate::http::reply::Reply;
use crate::http::retry_after::whole_seconds;
use crate::outcome::Failure;
use crate::request::parse::ParsedRequest;
use crate::request::refusal::Refusal;
use crate::request::token_estimate::TokenEstimate;
use crate::request::unavailable::Unavailable;
use crate::select::NoDeployment;
use crate::state::eligibility::Excluded;
use crate::telemetry::explain;

/// No deployment of a group may serve.
pub(super) fn no_deployment(
    router: &Router,
    parsed: &ParsedRequest<'_>,
    estimate: TokenEstimate,
    none: NoDeployment,
    now: Duration,
) -> Refusal {
    let model = parsed.model.to_string();
    let excluded = match none {
        NoDeployment::Tags => return Refusal::Tags { model, tags: parsed.routing.tags.clone() },
        NoDeployment::Excluded(excluded) => excluded,
        NoDeployment::Unleased((index, _)) => vec![(index, Excluded::Unleased)],
    };
    let end = |(index, why): &(usize, Excluded)| match why {
        Excluded::Unleased => end_of_used_up(router, *index, &estimate, now),
        _ => why.until(),
    };
    // A deployment without an end may have room at any moment, except one that is too small.
    let may_serve = excluded.iter().filter(|(_, why)| *why != Excluded::TooSmall);
    let soonest = may_serve.map(|one| end(one).unwrap_or(now)).min().unwrap_or(now);
    let cooling = excluded.iter().filter(|(_, why)| matches!(why, Excluded::CoolingDown(_)));
    let cooling: Vec<_> =
        cooling.filter_map(|(index, _)| Some(router.deployment(*index)?.id.clone())).collect();
    let mut limits = Vec::new();
    for (_, why) in &excluded {
        let limit = (why.name(), why.limit());
        if !limits.contains(&limit) {
            limits.push(limit);
        }
    }
    Refusal::Unavailable(Unavailable {
        model,
        limits,
        wait: soonest.saturating_sub(now),
        all_cooling: !excluded.is_empty() && cooling.len() == excluded.len(),
        pre_call_checks: router.config.router.pre_call_checks,
        cooling,
    })
}

/// The end of the minute, if all instances together have used up a deployment's limit: no lease is
/// to be had before.
fn end_of_used_up(
    router: &Router,
    index: usize,
    estimate: &TokenEstimate,
    now: Duration,
) -> Option<Duration> {
    let states = router.states.borrow();
    let tokens = states.tokens(index, estimate, true);
    let (record, limits) = states.record(index)?;
    let window = record.window.at(now);
    // What requests in flight reserve may be free at any moment.
    record.lease.is_exhausted(&window.settled(), limits.per_minute(), tokens).then(|| window.ends())
}

/// The answer to a request whose last attempt could not answer the client.
pub(super) fn undelivered(
    router: &Router,
    wire: Wire,
    model: &str,
    retry_state: &mut RetryState,
    failure: Failure,
    timeout: Duration,
) -> Reply {
    let last = retry_state.tried.last().and_then(|id| router.deployment(router.index_of(id)?));
    let mut reply = match retry_state.first_group_reply.take() {
        Some(reply) => *reply,
        None if last.is_some() => no_answer(wire, failure, timeout, None),
        None => Refusal::NoConnection.reply(wire),
    };
    let mut headers = match last {
        Some(last) => response_headers::owned(response_headers::of_deployment(last, model, retry_state)),
        None => response_headers::of_group(model, retry_state),
    };
    headers.extend(retry_state.explanation.take().map(|text| (explain::HEADER, text)));
    reply.replace_headers(headers);
    reply
}

/// The answer to a failure that has none of the provider's. `location` is where a redirect leads.
pub(super) fn no_answer(wire: Wire, failure: Failure, timeout: Duration, location: Option<String>) -> Reply {
    match failure {
        Failure::TimedOut => Refusal::TimedOut(timeout).reply(wire),
        Failure::NoConnection | Failure::Broken => Refusal::NoConnection.reply(wire),
        Failure::Provider { status, .. } => Refusal::Redirected(status, location).reply(wire),
    }
}

/// A provider's error response, as an answer of the router, whose body is text.
pub(super) fn of_provider(wire: Wire, failure: &Failure, response: ErrorResponse) -> Reply {
    let status = failure.status();
    let ErrorResponse { mut headers, content_type, body, received_status, .. } = response;
    let encoding = headers.iter().position(|(name, _)| *name == CONTENT_ENCODING);
    let encoding = encoding.map(|at| headers.remove(at).1);
    // The body of an error under a status of success is the router's.
    let is_encoded = received_status.is_none()
        && encoding.is_some_and(|encoding| !encoding.eq_ignore_ascii_case("identity"));
    let reason = if body.trim_ascii().is_empty() {
        Some("an empty body")
    } else if is_encoded {
        Some("a compressed body")
    } else {
        None
    };
    headers.extend(failure.retry_after().map(retry_after));
    match reason {
        Some(body) => {
            let provider_status = received_status.unwrap_or(status);
            Reply { headers, ..Refusal::NoAnswer { status, provider_status, body }.reply(wire) }
        }
        None => {
            let body = String::from_utf8_lossy(&body).into_owned();
            Reply { status, content_type, headers, body }
        }
    }
}

/// The header that says when to try again.
pub(super) fn retry_after(wait: Duration) -> (&'static str, String) {
    ("retry-after", whole_seconds(wait).to_string())
}

/// A status that HTTP does not have counts as a server error (RFC 9110, section 15): HTTP clients
/// fail on it.
pub(super) fn invalid_status(
    wire: Wire,
    status: u16,
    retry_after: Option<Duration>,
) -> (Failure, ErrorResponse) {
    const BAD_GATEWAY: u16 = 502;
    let refusal =
        Refusal::NoAnswer { status: BAD_GATEWAY, provider_status: status, body: "no valid HTTP status" };
    let response = ErrorResponse {
        body: refusal.reply(wire).body.into_bytes(),
        received_status: Some(status),
        ..ErrorResponse::default()
    };
    (Failure::Provider { status: BAD_GATEWAY, retry_after }, response)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FAILURE: Failure = Failure::Provider { status: 429, retry_after: Some(Duration::from_secs(9)) };

    fn repeated(encoding: Option<&str>, body: &[u8], received_status: Option<u16>) -> Reply {
        let headers = [("x-request-id", Some("7")), (CONTENT_ENCODING, encoding)];
        let headers = headers.into_iter().filter_map(|(name, value)| Some((name, value?.to_owned())));
        let response = ErrorResponse {
            content_type: Some("text/plain".to_owned()),
            headers: headers.collect(),
            body: body.to_vec(),
            received_status,
            ..ErrorResponse::default()
        };
        of_provider(Wire::OpenAi, &FAILURE, response)
    }

    #[test]
    fn an_error_that_is_compressed_or_empty_is_told_in_other_words_with_its_status_and_headers() {
        const GZIP: &[u8] = b"\x1f\x8b\x08\0\0\0\0\0\0\x03\xab\x56\x4a";
        for (encoding, body, received, expected) in [
            (Some("gzip"), GZIP, None, Err("and a compressed body.")),
            (Some("br"), b"\x0b\x02\x80{}\x03", None, Err("and a compressed body.")),
            (Some("gzip"), b" \n", None, Err("and an empty body.")),
            (None, b"", None, Err("and an empty body.")),
            (Some("Identity"), b"slow down", None, Ok("slow down")),
            (None, b"slow\xff down", None, Ok("slow\u{fffd} down")),
            (Some("gzip"), b"of an empty body", Some(200), Ok("of an empty body")),
        ] {
            let reply = repeated(encoding, body, received);
            match expected {
                Ok(text) => assert_eq!(reply.body, text),
                Err(words) => assert!(reply.body.contains(words), "{}", reply.body),
            }
            assert_eq!(reply.content_type.is_some(), expected.is_ok(), "{reply:?}");
            let headers = [("x-request-id", "7".to_owned()), ("retry-after", "9".to_owned())];
            assert_eq!((reply.status, reply.headers.as_slice()), (429, &headers[..]), "{encoding:?}");
        }
    }
}
