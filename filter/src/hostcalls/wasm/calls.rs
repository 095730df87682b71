//! Calls of a stream and of a configuration, and what wakes one up.

use std::time::Duration;

use llm_balancer_config::names;
use proxy_wasm::hostcalls::{dispatch_http_call, enqueue_shared_queue, register_shared_queue};

use super::{BufferType, MapType, buffer, header};
use crate::hostcalls::{Error, Result};

/// Calls another cluster, without a body. The active stream gets the answer, under this token.
pub(crate) fn call(cluster: &str, headers: Vec<(&str, &str)>, timeout: Duration) -> Result<u32> {
    dispatch_http_call(cluster, headers, None, Vec::new(), timeout).map_err(|status| Error(status as u32))
}

/// Sends a pipeline to Redis, through a listener of this process that turns the body of a POST into
/// bytes on a connection. The root context gets the replies, under this token.
pub(crate) fn call_redis(pipeline: &[u8], is_wait: bool, timeout: Duration) -> Result<u32> {
    let path = if is_wait { names::REDIS_WAIT } else { "/" };
    let headers =
        vec![(":method", "POST"), (":path", path), (":authority", names::REDIS), (":scheme", "http")];
    dispatch_http_call(names::REDIS_HOP, headers, Some(pipeline), Vec::new(), timeout)
        .map_err(|status| Error(status as u32))
}

/// The replies of Redis, in the callback for them; `None` without a connection.
pub(crate) fn redis_replies() -> Option<Vec<u8>> {
    let is_ok = header(MapType::HttpCallResponseHeaders, ":status").as_deref() == Some("200");
    is_ok.then(|| buffer(BufferType::HttpCallResponseBody))
}

/// Wakes up a root context: a shared queue of Envoy, which calls it when it gets an entry.
pub(crate) struct WakeUp(Option<u32>);

impl WakeUp {
    /// For the root context with this number in the VM with this one.
    pub(crate) fn new(vm: u32, root: u32) -> Self {
        Self(register_shared_queue(&format!("{}/{vm}/{root}", names::REDIS)).ok())
    }

    /// Makes Envoy call `on_queue_ready` when this callback is over. Returns whether it will.
    pub(crate) fn request(&self) -> bool {
        self.0.is_some_and(|queue| enqueue_shared_queue(queue, None).is_ok())
    }
}
