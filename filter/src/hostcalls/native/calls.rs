//! Calls of a stream and of a configuration, and what wakes one up.

use std::time::Duration;

use super::{REFUSED, Result, current};
use crate::hostcalls::Error;
use crate::module::abi::{
    ModuleBuffer, ModuleHeader, SUCCESS, envoy_dynamic_module_callback_http_filter_http_callout,
};
use crate::module::{redis_call, worker};

/// Calls another cluster, without a body. The current stream gets the answer, under this token.
pub(crate) fn call(cluster: &str, headers: Vec<(&str, &str)>, timeout: Duration) -> Result<u32> {
    let filter = current()?;
    let buffer = |text: &str| ModuleBuffer::new(text.as_bytes());
    let headers: Vec<_> = headers
        .into_iter()
        .map(|(name, value)| ModuleHeader { name: buffer(name), value: buffer(value) })
        .collect();
    let mut id = 0;
    // SAFETY: the stream is there; the texts live longer than the call; the place is valid.
    let status = unsafe {
        envoy_dynamic_module_callback_http_filter_http_callout(
            filter,
            &raw mut id,
            buffer(cluster),
            headers.as_ptr(),
            headers.len(),
            ModuleBuffer::NONE,
            u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX),
        )
    };
    if status == SUCCESS { u32::try_from(id).map_err(|_| REFUSED) } else { Err(Error(status)) }
}

/// Sends a pipeline to Redis. The current configuration gets the replies, under this token.
pub(crate) fn call_redis(pipeline: &[u8], _is_wait: bool, timeout: Duration) -> Result<u32> {
    redis_call::start(pipeline, timeout).ok_or(REFUSED)
}

/// The replies of Redis, in the callback for them; `None` without a connection.
pub(crate) fn redis_replies() -> Option<Vec<u8>> {
    redis_call::take_replies()
}

/// Wakes up a configuration.
pub(crate) struct WakeUp {
    root: u32,
}

impl WakeUp {
    /// The one with this number.
    pub(crate) fn new(_vm: u32, root: u32) -> Self {
        Self { root }
    }

    /// Makes its callback run when this hook is over. Returns whether it will.
    pub(crate) fn request(&self) -> bool {
        worker::defer_wake_up(self.root);
        true
    }
}
