//! Host calls of a dynamic module: Envoy's callbacks, for the stream that is current on this thread.
//!
//! What ends or resumes a stream waits until the hook is over, as it does for WebAssembly: Envoy
//! would enter the filter again from within it.

mod body;
mod calls;
mod headers;

use std::sync::LazyLock;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

pub(crate) use self::body::{body_size, buffer, discard, set_buffer, set_buffer_pieces};
pub(crate) use self::calls::{WakeUp, call, call_redis, redis_replies};
pub(crate) use self::headers::{header, headers, remove_header, set_header, set_headers};
use super::{Detail, Error, Result};
use crate::module::abi::{
    Attribute, EnvoyBuffer, EnvoyPtr, ModuleBuffer,
    envoy_dynamic_module_callback_http_filter_get_attribute_int,
    envoy_dynamic_module_callback_http_filter_get_attribute_string,
    envoy_dynamic_module_callback_http_set_filter_state_bytes,
};
use crate::module::deferred::{Deferred, LocalReply};
use crate::module::{metrics, shared_data as shared, worker};

/// What happens to what a hook is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// It goes on.
    Continue,
    /// Envoy holds it.
    Pause,
}

/// A body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BufferType {
    HttpRequestBody,
    HttpResponseBody,
}

/// The headers of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MapType {
    HttpRequestHeaders,
    HttpResponseHeaders,
}

/// What a metric is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MetricType {
    Counter,
    Gauge,
    Histogram,
}

/// There is no stream, or it has nothing like that.
const MISSING: Error = Error(1);
/// Envoy has refused.
const REFUSED: Error = Error(2);

fn ok(done: bool) -> Result<()> {
    if done { Ok(()) } else { Err(REFUSED) }
}

/// Time since the Unix epoch.
#[expect(clippy::disallowed_methods, reason = "this is the host's clock")]
pub(crate) fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// Time since the first call: unlike [`now`], it goes on evenly though the clock is set.
#[expect(clippy::disallowed_methods, reason = "this is the host's clock")]
pub(crate) fn uptime() -> Duration {
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    START.elapsed()
}

/// Sets the interval of ticks for the current configuration; zero for never.
pub(crate) fn set_tick_period(period: Duration) {
    worker::set_tick_period(period);
}

/// Runs something for which host calls act on this stream, if it is there.
pub(crate) fn in_stream(context: u32, part: impl FnOnce()) {
    worker::in_stream(context, part);
}

/// Our number of a metric. All workers that define it share what it counts.
pub(crate) fn define_metric(_kind: MetricType, name: &str) -> Result<u32> {
    metrics::define(name).ok_or(MISSING)
}

/// Sets a gauge, or adds an observation to a histogram.
pub(crate) fn record_metric(id: u32, value: u64) {
    metrics::record(id, value);
}

/// Adds to a counter or a gauge; `by` may be negative for a gauge.
pub(crate) fn increment_metric(id: u32, by: i64) {
    metrics::increment(id, by);
}

/// Writes a filter state object of the current request, `wasm.<name>` to the rest of Envoy.
pub(crate) fn set_property(name: &str, value: &str) {
    let Ok(filter) = current() else { return };
    let key = format!("wasm.{name}");
    let (key, value) = (ModuleBuffer::new(key.as_bytes()), ModuleBuffer::new(value.as_bytes()));
    // SAFETY: the stream is there. A failure changes nothing here.
    unsafe { envoy_dynamic_module_callback_http_set_filter_state_bytes(filter, key, value) };
}

/// A value that all workers share, with its version; `None` before the first write.
pub(crate) fn shared_data(key: &str) -> Option<(Vec<u8>, u32)> {
    shared::get(key)
}

/// Writes a value that all workers share, unless it was written since this version.
pub(crate) fn set_shared_data(key: &str, value: &[u8], version: u32) -> Result<()> {
    if shared::set(key, value, version) { Ok(()) } else { Err(REFUSED) }
}

/// The response flags of the current stream; 0 where there are none.
pub(crate) fn response_flags() -> u64 {
    let Ok(filter) = current() else { return 0 };
    let (attribute, mut value) = (Attribute::ResponseFlags, 0);
    // SAFETY: the stream is there; the place for the result is valid.
    let found = unsafe {
        envoy_dynamic_module_callback_http_filter_get_attribute_int(filter, attribute, &raw mut value)
    };
    if found { value } else { 0 }
}

/// What Envoy says about the current stream.
pub(crate) fn detail(what: Detail) -> Option<Vec<u8>> {
    let attribute = match what {
        Detail::Response => Attribute::ResponseCodeDetails,
        Detail::TransportFailure => Attribute::UpstreamTransportFailureReason,
    };
    let mut value = EnvoyBuffer::EMPTY;
    // SAFETY: the stream is there; the place for the result is valid.
    let found = unsafe {
        envoy_dynamic_module_callback_http_filter_get_attribute_string(
            current().ok()?,
            attribute,
            &raw mut value,
        )
    };
    // SAFETY: the attribute does not change before it is copied.
    found.then(|| unsafe { value.bytes() }.to_vec())
}

/// Resumes a paused request.
pub(crate) fn resume_request() {
    worker::defer(Deferred::ResumeRequest);
}

/// Resumes a paused response.
pub(crate) fn resume_response() {
    worker::defer(Deferred::ResumeResponse);
}

/// Ends a stream without an answer.
pub(crate) fn close_response() {
    worker::defer(Deferred::Reset);
}

/// Answers a request locally.
pub(crate) fn send_response<'a>(
    status: u16,
    headers: impl Iterator<Item = (&'a str, &'a str)> + Clone,
    body: &str,
    details: &str,
) -> Result<()> {
    current()?;
    let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    let (body, details) = (body.to_owned(), details.to_owned());
    worker::defer(Deferred::Reply(Box::new(LocalReply { status, headers, body, details })));
    Ok(())
}

/// Whether a response may be resumed in the middle of its body, outside of a hook.
pub(crate) const RESUMES_BODIES: bool = true;

/// Whether [`send_again`] does anything.
pub(crate) const SENDS_AGAIN: bool = true;

/// Runs a request through the edge once more, under this path and with these headers, in place of its
/// response. Returns whether it will; it is complete, so it does.
pub(crate) fn send_again(path: &str, headers: [(&str, &str); 2]) -> bool {
    let mut all = headers.into_iter().chain([(":path", path)]);
    let will = all.all(|(name, value)| set_header(MapType::HttpRequestHeaders, name, value).is_ok());
    if will {
        worker::defer(Deferred::SendAgain);
    }
    will
}

fn current() -> Result<EnvoyPtr> {
    worker::current().ok_or(MISSING)
}
