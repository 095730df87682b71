//! The holding filter as a part of the module, by the rule of `llm-balancer-hold`.

use std::cell::Cell;

use llm_balancer_config::{is_withheld, names};
use llm_balancer_hold::{Decision, ERROR_BODY, FILLER, decide, has_time, is_filler, is_success};
use llm_balancer_router::stream;

use super::abi::EnvoyPtr;
use crate::hostcalls::{self, Action, BufferType, MapType};

/// Less would be passed on before the filter has read it.
const _: () = assert!(ERROR_BODY == stream::ERROR_BODY);

/// A response on its way to the edge's router.
pub(super) struct HeldStream {
    pub(super) envoy: EnvoyPtr,
    is_held: Cell<bool>,
    /// When its filler began, in milliseconds; `None` without filler.
    since: Cell<Option<u32>>,
}

impl HeldStream {
    pub(super) fn new(envoy: EnvoyPtr) -> Self {
        Self { envoy, is_held: Cell::new(false), since: Cell::new(None) }
    }

    /// Envoy counts the attempts of all routes or of none. No provider gets the count.
    pub(super) fn on_request_headers(&self) -> Action {
        hostcalls::remove_header(MapType::HttpRequestHeaders, names::ATTEMPT_COUNT);
        Action::Continue
    }

    /// Clients do not get all headers of a provider.
    pub(super) fn on_response_headers(&self, complete: bool) -> Action {
        let headers = hostcalls::headers(MapType::HttpResponseHeaders);
        for name in headers.iter().map(|(name, _)| name).filter(|name| is_withheld(name)) {
            hostcalls::remove_header(MapType::HttpResponseHeaders, name);
        }
        self.is_held.set(!complete);
        if complete { Action::Continue } else { Action::Pause }
    }

    pub(super) fn on_response_body(&self, complete: bool) -> Action {
        // The rest of a body that goes on costs no host call.
        if !self.is_held.get() {
            return Action::Continue;
        }
        let held = hostcalls::body_size(BufferType::HttpResponseBody);
        let may_wait = || holds_filler(held) && self.may_wait(now());
        match decide(held, complete, has_success_status, may_wait) {
            Decision::Hold => Action::Pause,
            Decision::Pass => {
                self.is_held.set(false);
                Action::Continue
            }
        }
    }

    fn may_wait(&self, now: u32) -> bool {
        let since = self.since.get().unwrap_or(now);
        self.since.set(Some(since));
        has_time(since, now)
    }
}

/// Milliseconds since some moment.
fn now() -> u32 {
    hostcalls::uptime().as_millis() as u32
}

fn has_success_status() -> bool {
    let status = hostcalls::header(MapType::HttpResponseHeaders, ":status");
    status.is_some_and(|status| is_success(status.as_bytes()))
}

fn holds_filler(held: usize) -> bool {
    held <= FILLER && is_filler(hostcalls::buffer(BufferType::HttpResponseBody).into_iter())
}
