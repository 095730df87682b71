//! Requests whose first attempt failed on the edge. Envoy runs such a request through the edge
//! again, with what the deployment got. There it becomes the client's again, and goes to the
//! internal listener, where the filter decides every later attempt.

use std::cell::RefCell;
use std::time::Duration;

use llm_balancer_config::names;
use llm_balancer_router::stream::{Arrived, Event, Selected};
use llm_balancer_router::{Headers, Refusal};

use super::Stream;
use super::kept_body::{KeptBody, has_room};
use crate::by_stream::ByStream;
use crate::hostcalls::{Action, BufferType, MapType};
use crate::{hostcalls, retry_store};

/// What a client sent.
struct ClientRequest {
    headers: Headers,
    body: KeptBody,
}

thread_local! {
    // Not in the root context: it survives a reload of the configuration.
    static STORE: RefCell<ByStream<ClientRequest>> = RefCell::default();
}

/// Whether what one more client sent may be kept.
pub(super) fn may_keep() -> bool {
    STORE.with_borrow(ByStream::has_room)
}

/// Drops what no request comes back for.
pub(crate) fn drop_old(uptime: Duration) {
    STORE.with_borrow_mut(|store| store.drop_old(uptime));
}

/// Drops what a client sent that has left before its request was sent again.
pub(super) fn forget(stream: &str) {
    STORE.with_borrow_mut(|store| store.take(stream));
}

impl Stream {
    /// Keeps what the client sent for the stream that takes the place of this one.
    pub(super) fn keep_client_request(&mut self) {
        let Some((cluster, body)) = self.later_attempts().zip(self.original.take()) else { return };
        let headers = self.headers_for(&cluster);
        let bytes = headers.size();
        let client = ClientRequest { headers, body };
        hostcalls::set_property(names::NEXT_ATTEMPT, self.stream_id());
        STORE.with_borrow_mut(|store| store.put(self.stream_id(), client, bytes));
    }

    /// Whether Envoy runs a request through the edge again. `complete` means that no body follows.
    pub(super) fn arrived_again(&mut self, complete: bool) -> Option<Arrived> {
        if !self.is_on_edge() || self.request_headers.get(":path") != Some(names::NEXT_ATTEMPT_PATH) {
            return None;
        }
        let id = self.request_headers.get(names::NEXT_ATTEMPT)?;
        let Some(client) = STORE.with_borrow_mut(|store| store.take(id)) else {
            self.refuse(&Refusal::Lost);
            return Some(Arrived::Reply);
        };
        (self.request_headers, self.original) = (client.headers, Some(client.body));
        if !complete {
            return Some(Arrived::Again);
        }
        // A client may have sent a body that did not matter, about a stored response.
        let headers = self.request_headers.iter().filter(|(name, _)| *name != "content-length");
        (self.is_back_without_body, self.request_headers) = (true, headers.collect());
        Some(Arrived::AgainComplete)
    }

    /// Makes the request the client's again.
    pub(super) fn restore(&mut self) -> Action {
        let Some(original) = self.original.take() else { return self.step(Event::StateMissing) };
        let sent = if self.is_back_without_body {
            Vec::new()
        } else {
            hostcalls::buffer(BufferType::HttpRequestBody)
        };
        let restored = original.original().pieces(&sent).is_some_and(|pieces| {
            hostcalls::set_headers(MapType::HttpRequestHeaders, &self.request_headers)
                .and_then(|()| self.restore_body(pieces))
                .is_ok()
        });
        if restored {
            return self.step(Event::Selected(Selected::Forwarded));
        }
        retry_store::take(self.stream_id());
        self.step(Event::Selected(Selected::NotRewritten))
    }

    /// Sends a request to the internal listener at once, if this VM keeps too much of others.
    pub(super) fn pass_on(&mut self) -> Option<Action> {
        if has_room(self.request_size) {
            return None;
        }
        let cluster = self.later_attempts()?;
        let headers = self.headers_for(&cluster);
        let passed = hostcalls::set_headers(MapType::HttpRequestHeaders, &headers).is_ok();
        let selected = if passed { Selected::PassedOn } else { Selected::NotRewritten };
        Some(self.step(Event::Selected(selected)))
    }

    /// A request without a body stays without one.
    fn restore_body(&self, pieces: Vec<&[u8]>) -> hostcalls::Result<()> {
        if self.is_back_without_body {
            return Ok(());
        }
        hostcalls::set_buffer_pieces(BufferType::HttpRequestBody, pieces.into_iter())
    }

    /// The cluster of later attempts: the one of the configuration that the request began with.
    fn later_attempts(&self) -> Option<String> {
        self.filter.role.later_attempts().map(str::to_owned)
    }

    /// The client's headers, for that cluster.
    fn headers_for(&self, cluster: &str) -> Headers {
        const OWN: [&str; 3] = [names::CLUSTER, names::NEXT_ATTEMPT, names::ATTEMPT_COUNT];
        let clients = self.request_headers.iter().filter(|(name, _)| !OWN.contains(name));
        clients.chain([(names::CLUSTER, cluster)]).collect()
    }
}
