//! A stream of one of the module's filters, and its hooks.

use std::cell::Cell;
use std::rc::Rc;

use super::abi::EnvoyPtr;
use super::hold::HeldStream;
use super::root::Root;
use crate::hostcalls::{self, Action, BufferType};
use crate::http_stream::HttpStream;

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
