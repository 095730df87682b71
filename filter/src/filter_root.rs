//! The root context: Envoy creates one per configuration and VM, and calls it for everything that
//! is not one stream's.
//!
//! All calls to Redis start here, because the SDK gives an answer to the context that was active
//! when its call was made, and drops it if that context is gone. Streams queue what they need, and
//! a shared queue of Envoy wakes up the root context right after the stream's callback.

use std::rc::Rc;

use llm_balancer_config::names;
use proxy_wasm::hostcalls::dequeue_shared_queue;
use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::{BufferType, ContextType};

use crate::filter::Filter;
use crate::http_stream::HttpStream;
use crate::{hostcalls, metrics};

/// Owner of a configuration; empty until Envoy hands it over.
pub(crate) struct FilterRoot {
    context: u32,
    filter: Option<Rc<Filter>>,
}

impl FilterRoot {
    pub(crate) fn new(context: u32) -> Self {
        Self { context, filter: None }
    }
}

impl Context for FilterRoot {
    fn on_http_call_response(&mut self, token: u32, _headers: usize, _body: usize, _trailers: usize) {
        if let Some(filter) = &self.filter {
            filter.on_redis_reply(token);
        }
    }
}

impl RootContext for FilterRoot {
    fn on_configure(&mut self, _size: usize) -> bool {
        let root_id = hostcalls::property("plugin_root_id").and_then(|id| String::from_utf8(id).ok());
        let root_id = root_id.unwrap_or_default();
        let file = hostcalls::buffer(BufferType::PluginConfiguration);
        if root_id.starts_with(names::GAUGES) {
            metrics::set_gauges(&file);
            return true;
        }
        let filter = Filter::configure(self.context, &root_id, &file);
        self.filter = filter.map(Rc::new);
        self.filter.is_some()
    }

    fn on_tick(&mut self) {
        if let Some(filter) = &self.filter {
            filter.on_tick();
        }
    }

    fn on_queue_ready(&mut self, queue: u32) {
        // The entry has no content: it only wakes up this context.
        let _ = dequeue_shared_queue(queue);
        if let Some(filter) = &self.filter {
            filter.on_queue_ready();
        }
    }

    /// Never `None`, which the SDK would panic on. A stream without a filter answers 500.
    fn create_http_context(&self, context: u32) -> Option<Box<dyn HttpContext>> {
        Some(Box::new(HttpStream::new(context, self.filter.clone())))
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }
}
