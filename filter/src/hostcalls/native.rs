//! Host calls of a dynamic module: Envoy's callbacks, for the stream that is current on this thread.
//!
//! What ends or resumes a stream waits until the hook is over, as it does for WebAssembly: Envoy
//! would enter the filter again from within it.

use std::ops::Range;
use std::sync::LazyLock;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use llm_balancer_router::Headers;

use super::{Error, Result};
use crate::module::abi::{
    Attribute, BodyType, EnvoyBuffer, EnvoyHeader, EnvoyPtr, HeaderType, ModuleBuffer, ModuleHeader, SUCCESS,
    envoy_dynamic_module_callback_http_add_header, envoy_dynamic_module_callback_http_append_body,
    envoy_dynamic_module_callback_http_clear_route_cache, envoy_dynamic_module_callback_http_drain_body,
    envoy_dynamic_module_callback_http_filter_get_attribute_int,
    envoy_dynamic_module_callback_http_filter_get_attribute_string,
    envoy_dynamic_module_callback_http_filter_http_callout,
    envoy_dynamic_module_callback_http_get_body_chunks,
    envoy_dynamic_module_callback_http_get_body_chunks_size,
    envoy_dynamic_module_callback_http_get_body_size, envoy_dynamic_module_callback_http_get_header,
    envoy_dynamic_module_callback_http_get_headers, envoy_dynamic_module_callback_http_get_headers_size,
    envoy_dynamic_module_callback_http_set_filter_state_bytes, envoy_dynamic_module_callback_http_set_header,
};
use crate::module::worker::{self, Deferred, LocalReply};
use crate::module::{metrics, redis_call, shared_data as shared};

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

/// Makes the following host calls act on another stream.
pub(crate) fn set_effective_context(context: u32) -> Result<()> {
    if worker::enter_stream(context) { Ok(()) } else { Err(MISSING) }
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

/// The two parts of a body, in their order.
fn parts(kind: BufferType) -> [BodyType; 2] {
    match kind {
        BufferType::HttpRequestBody => [BodyType::BufferedRequest, BodyType::ReceivedRequest],
        BufferType::HttpResponseBody => [BodyType::BufferedResponse, BodyType::ReceivedResponse],
    }
}

fn size_of(filter: EnvoyPtr, part: BodyType) -> usize {
    // SAFETY: the stream is there.
    unsafe { envoy_dynamic_module_callback_http_get_body_size(filter, part) }
}

/// Bytes of a body, with what Envoy holds of it.
pub(crate) fn body_size(kind: BufferType) -> usize {
    let Ok(filter) = current() else { return 0 };
    parts(kind).into_iter().fold(0, |size, part| size.saturating_add(size_of(filter, part)))
}

/// All of a body that is there, with what Envoy holds of it.
pub(crate) fn buffer(kind: BufferType) -> Vec<u8> {
    let Ok(filter) = current() else { return Vec::new() };
    let mut bytes = Vec::with_capacity(body_size(kind));
    for part in parts(kind) {
        // SAFETY: the stream is there.
        let count = unsafe { envoy_dynamic_module_callback_http_get_body_chunks_size(filter, part) };
        let mut chunks = vec![EnvoyBuffer::EMPTY; count];
        // SAFETY: there is room for `count` chunks.
        let known =
            unsafe { envoy_dynamic_module_callback_http_get_body_chunks(filter, part, chunks.as_mut_ptr()) };
        for chunk in chunks.iter().filter(|_| known) {
            // SAFETY: the body has not changed since.
            bytes.extend_from_slice(unsafe { chunk.bytes() });
        }
    }
    bytes
}

/// Replaces all of a body that is there.
pub(crate) fn set_buffer(kind: BufferType, bytes: &[u8]) -> Result<()> {
    set_buffer_pieces(kind, std::iter::once(bytes))
}

/// Discards all of a body that is there.
pub(crate) fn discard(kind: BufferType) {
    let _ = set_buffer(kind, b"");
}

/// Replaces all of a body that is there by these pieces.
pub(crate) fn set_buffer_pieces<'a>(kind: BufferType, pieces: impl Iterator<Item = &'a [u8]>) -> Result<()> {
    let (filter, [held, received]) = (current()?, parts(kind));
    for part in [held, received] {
        // SAFETY: the stream is there. Draining a part that is not there does nothing.
        unsafe { envoy_dynamic_module_callback_http_drain_body(filter, part, size_of(filter, part)) };
    }
    for piece in pieces.filter(|piece| !piece.is_empty()) {
        let bytes = ModuleBuffer::new(piece);
        // Outside of a hook for the body there is only what Envoy holds.
        // SAFETY: the stream is there, and the bytes live longer than the calls.
        ok(unsafe {
            envoy_dynamic_module_callback_http_append_body(filter, received, bytes)
                || envoy_dynamic_module_callback_http_append_body(filter, held, bytes)
        })?;
    }
    Ok(())
}

fn header_type(kind: MapType) -> HeaderType {
    match kind {
        MapType::HttpRequestHeaders => HeaderType::Request,
        MapType::HttpResponseHeaders => HeaderType::Response,
    }
}

/// All headers of a message.
pub(crate) fn headers(kind: MapType) -> Headers {
    read_headers(kind).unwrap_or_default()
}

fn read_headers(kind: MapType) -> Result<Headers> {
    let (filter, kind) = (current()?, header_type(kind));
    // SAFETY: the stream is there.
    let count = unsafe { envoy_dynamic_module_callback_http_get_headers_size(filter, kind) };
    let mut all = vec![EnvoyHeader::EMPTY; count];
    // SAFETY: there is room for `count` headers.
    ok(unsafe { envoy_dynamic_module_callback_http_get_headers(filter, kind, all.as_mut_ptr()) })?;
    // SAFETY: the headers do not change before the end of this function.
    let texts = || all.iter().map(|header| unsafe { (header.name.bytes(), header.value.bytes()) });
    let size = texts()
        .fold(0_usize, |size, (name, value)| size.saturating_add(name.len()).saturating_add(value.len()));
    let mut bytes = Vec::with_capacity(size);
    let mut entries = Vec::with_capacity(count);
    for (name, value) in texts() {
        entries.push((append(&mut bytes, name), append(&mut bytes, value)));
    }
    Ok(Headers::new(bytes, entries))
}

fn append(bytes: &mut Vec<u8>, text: &[u8]) -> Range<usize> {
    let start = bytes.len();
    bytes.extend_from_slice(text);
    start..bytes.len()
}

/// Replaces all headers of a message. On a request, Envoy then selects its route again.
pub(crate) fn set_headers(kind: MapType, headers: &Headers) -> Result<()> {
    let old = read_headers(kind)?;
    let (filter, header_type) = (current()?, header_type(kind));
    let is_new = |name: &[u8]| headers.bytes().any(|(new, _)| new == name);
    for (name, _) in old.bytes().filter(|(name, _)| !is_new(name)) {
        set(filter, header_type, name, ModuleBuffer::NONE)?;
    }
    for (index, (name, value)) in headers.bytes().enumerate() {
        let is_further = headers.bytes().take(index).any(|(earlier, _)| earlier == name);
        let mut same = old.bytes().filter(|(known, _)| *known == name);
        let is_there = !is_further && same.next() == Some((name, value)) && same.next().is_none();
        let value = ModuleBuffer::new(value);
        if is_there {
            continue;
        }
        if is_further {
            let name = ModuleBuffer::new(name);
            // SAFETY: the stream is there, and the texts live longer than the call.
            ok(unsafe { envoy_dynamic_module_callback_http_add_header(filter, header_type, name, value) })?;
        } else {
            set(filter, header_type, name, value)?;
        }
    }
    select_route(filter, kind);
    Ok(())
}

/// Sets the only header of a name; removes all of them where `value` is none.
fn set(filter: EnvoyPtr, kind: HeaderType, name: &[u8], value: ModuleBuffer) -> Result<()> {
    let name = ModuleBuffer::new(name);
    // SAFETY: the stream is there, and the texts live longer than the call.
    ok(unsafe { envoy_dynamic_module_callback_http_set_header(filter, kind, name, value) })
}

fn select_route(filter: EnvoyPtr, kind: MapType) {
    if kind == MapType::HttpRequestHeaders {
        // SAFETY: the stream is there.
        unsafe { envoy_dynamic_module_callback_http_clear_route_cache(filter) };
    }
}

/// One header's value; several of one name are joined by commas.
pub(crate) fn header(kind: MapType, name: &str) -> Option<String> {
    let (filter, kind) = (current().ok()?, header_type(kind));
    let name = ModuleBuffer::new(name.as_bytes());
    let read = |index| {
        let (mut value, mut count) = (EnvoyBuffer::EMPTY, 0);
        // SAFETY: the stream is there; the places for the results are valid.
        let found = unsafe {
            envoy_dynamic_module_callback_http_get_header(
                filter, kind, name, &raw mut value, index, &raw mut count,
            )
        };
        // SAFETY: the headers do not change before it is copied.
        found.then(|| (unsafe { value.bytes() }, count))
    };
    let (first, count) = read(0)?;
    let mut text = first.to_vec();
    for (value, _) in (1..count).filter_map(read) {
        text.push(b',');
        text.extend_from_slice(value);
    }
    String::from_utf8(text).ok()
}

/// Sets one header and removes others of its name. On a request, Envoy then selects its route
/// again.
pub(crate) fn set_header(kind: MapType, name: &str, value: &str) -> Result<()> {
    let filter = current()?;
    set(filter, header_type(kind), name.as_bytes(), ModuleBuffer::new(value.as_bytes()))?;
    select_route(filter, kind);
    Ok(())
}

/// Removes a header.
pub(crate) fn remove_header(kind: MapType, name: &str) {
    if let Ok(filter) = current() {
        let _ = set(filter, header_type(kind), name.as_bytes(), ModuleBuffer::NONE);
    }
}

/// An attribute that is a number; the parts of its path are separated by zero bytes.
pub(crate) fn number_property(path: &str) -> Option<u64> {
    let attribute = match path {
        "response\0flags" => Attribute::ResponseFlags,
        _ => return None,
    };
    let mut value = 0;
    // SAFETY: the stream is there; the place for the result is valid.
    let found = unsafe {
        envoy_dynamic_module_callback_http_filter_get_attribute_int(
            current().ok()?,
            attribute,
            &raw mut value,
        )
    };
    found.then_some(value)
}

/// An attribute's bytes.
pub(crate) fn property(path: &str) -> Option<Vec<u8>> {
    let attribute = match path {
        "response\0code_details" => Attribute::ResponseCodeDetails,
        "upstream\0transport_failure_reason" => Attribute::UpstreamTransportFailureReason,
        _ => return None,
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

fn current() -> Result<EnvoyPtr> {
    worker::current().ok_or(MISSING)
}
