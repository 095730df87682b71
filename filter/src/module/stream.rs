//! A stream of one of the module's filters, and its hooks.

use std::cell::Cell;
use std::rc::Rc;

use super::abi::EnvoyPtr;
use super::deferred::LocalReply;
use super::hold::HeldStream;
use super::root::Root;
use crate::hostcalls::{self, Action, BufferType};
use crate::http_stream::{FINAL, HttpStream};

/// A stream of one of the module's filters.
#[derive(Clone)]
pub(super) enum ModuleStream {
    Filtered(Rc<FilteredStream>),
    Held(Rc<HeldStream>),
}

/// A stream of the filter.
pub(super) struct FilteredStream {
    pub(super) envoy: EnvoyPtr,
    pub(super) root: Rc<Root>,
    pub(super) stream: HttpStream,
    /// Whether a hook of it has panicked. Nothing of it goes on.
    pub(super) is_broken: Cell<bool>,
    /// Whether Envoy has ended it. It may be destroyed later.
    pub(super) is_over: Cell<bool>,
}

impl FilteredStream {
    pub(super) fn new(envoy: EnvoyPtr, root: Rc<Root>, number: u32) -> Self {
        let stream = HttpStream::new(number, root.filter());
        Self { envoy, root, stream, is_broken: Cell::new(false), is_over: Cell::new(false) }
    }
}

impl FilteredStream {
    /// Settles what was admitted, and writes the line.
    pub(super) fn end(&self) {
        if self.is_broken.get() {
            self.stream.end_by_fault();
        } else {
            self.stream.end();
        }
    }

    /// The answer after a panic. The edge does not send its request again.
    pub(super) fn fault(&self) -> LocalReply {
        let is_behind_the_edge = self.root.filter().is_some_and(|filter| filter.role.is_behind_the_edge());
        let mut reply = LocalReply::internal_error();
        if is_behind_the_edge {
            reply.headers.push((FINAL.0.to_owned(), FINAL.1.to_owned()));
        }
        reply
    }
}

impl ModuleStream {
    pub(super) fn on_request_headers(&self, complete: bool) -> Action {
        match self {
            Self::Filtered(filtered) => filtered.stream.on_request_headers(complete),
            Self::Held(held) => held.on_request_headers(),
        }
    }

    pub(super) fn on_request_body(&self, complete: bool) -> Action {
        match self {
            Self::Filtered(filtered) => {
                let size = hostcalls::body_size(BufferType::HttpRequestBody);
                filtered.stream.on_request_body(size, complete)
            }
            Self::Held(_) => Action::Continue,
        }
    }

    pub(super) fn on_request_trailers(&self) -> Action {
        match self {
            Self::Filtered(filtered) => filtered.stream.on_request_trailers(),
            Self::Held(_) => Action::Continue,
        }
    }

    pub(super) fn on_response_headers(&self, complete: bool) -> Action {
        match self {
            Self::Filtered(filtered) => filtered.stream.on_response_headers(complete),
            Self::Held(held) => held.on_response_headers(complete),
        }
    }

    pub(super) fn on_response_body(&self, complete: bool) -> Action {
        match self {
            Self::Filtered(filtered) => {
                let size = hostcalls::body_size(BufferType::HttpResponseBody);
                filtered.stream.on_response_body(size, complete)
            }
            Self::Held(held) => held.on_response_body(complete),
        }
    }
}
