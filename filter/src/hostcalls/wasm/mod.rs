//! Host calls of the proxy-wasm ABI 0.2.1 that return errors where the SDK's would panic: a buffer
//! that is not there, headers after the end of their callback, an attribute that is a map, a call
//! that timed out. A panic ends the VM, and with it every request of the worker.
//! <https://github.com/proxy-wasm/spec/tree/main/abi-versions/v0.2.1>
//!
//! Calls to other clusters, shared queues and the log go through the SDK: its dispatcher panics on
//! the answer to a call that it has not made.

mod calls;

use std::ops::Range;
use std::ptr::{null, null_mut};
use std::time::Duration;

use llm_balancer_router::Headers;
use proxy_wasm::types::StreamType;
pub(crate) use proxy_wasm::types::{Action, BufferType, MapType, MetricType};

pub(crate) use self::calls::{WakeUp, call, call_redis, redis_replies};
use super::{Detail, Error, Result};

#[link(wasm_import_module = "env")]
unsafe extern "C" {
    fn proxy_get_current_time_nanoseconds(time: *mut u64) -> u32;
    fn proxy_set_tick_period_milliseconds(period: u32) -> u32;
    fn proxy_set_effective_context(context: u32) -> u32;
    fn proxy_define_metric(kind: MetricType, name: *const u8, size: usize, id: *mut u32) -> u32;
    fn proxy_record_metric(id: u32, value: u64) -> u32;
    fn proxy_increment_metric(id: u32, offset: i64) -> u32;
    fn proxy_set_property(path: *const u8, path_size: usize, value: *const u8, value_size: usize) -> u32;
    fn proxy_get_shared_data(
        key: *const u8,
        key_size: usize,
        data: *mut *mut u8,
        size: *mut usize,
        version: *mut u32,
    ) -> u32;
    fn proxy_set_shared_data(
        key: *const u8,
        key_size: usize,
        data: *const u8,
        size: usize,
        version: u32,
    ) -> u32;
    fn proxy_get_buffer_bytes(
        kind: BufferType,
        start: usize,
        max: usize,
        data: *mut *mut u8,
        size: *mut usize,
    ) -> u32;
    fn proxy_set_buffer_bytes(
        kind: BufferType,
        start: usize,
        size: usize,
        data: *const u8,
        length: usize,
    ) -> u32;
    fn proxy_get_header_map_pairs(kind: MapType, data: *mut *mut u8, size: *mut usize) -> u32;
    fn proxy_set_header_map_pairs(kind: MapType, data: *const u8, size: usize) -> u32;
    fn proxy_get_header_map_value(
        kind: MapType,
        name: *const u8,
        name_size: usize,
        data: *mut *mut u8,
        size: *mut usize,
    ) -> u32;
    fn proxy_replace_header_map_value(
        kind: MapType,
        name: *const u8,
        name_size: usize,
        value: *const u8,
        value_size: usize,
    ) -> u32;
    fn proxy_remove_header_map_value(kind: MapType, name: *const u8, name_size: usize) -> u32;
    fn proxy_get_property(path: *const u8, path_size: usize, data: *mut *mut u8, size: *mut usize) -> u32;
    fn proxy_continue_stream(kind: StreamType) -> u32;
    fn proxy_close_stream(kind: StreamType) -> u32;
    fn proxy_send_local_response(
        status: u32,
        details: *const u8,
        details_size: usize,
        body: *const u8,
        body_size: usize,
        headers: *const u8,
        headers_size: usize,
        grpc_status: i32,
    ) -> u32;
}

#[link(wasm_import_module = "wasi_snapshot_preview1")]
unsafe extern "C" {
    fn clock_time_get(clock: u32, precision: u64, time: *mut u64) -> u32;
}

fn ok(status: u32) -> Result<()> {
    if status == 0 { Ok(()) } else { Err(Error(status)) }
}

/// Runs a host call that returns memory, and owns that memory.
fn taken(call: impl FnOnce(*mut *mut u8, *mut usize) -> u32) -> Result<Option<Vec<u8>>> {
    let mut data: *mut u8 = null_mut();
    let mut size: usize = 0;
    ok(call(&raw mut data, &raw mut size))?;
    if data.is_null() {
        return Ok(None);
    }
    // SAFETY: the host got this memory from the SDK's `proxy_on_memory_allocate(size)`, a boxed
    // slice of exactly `size` bytes, and keeps no pointer to it.
    Ok(Some(unsafe { Vec::from_raw_parts(data, size, size) }))
}

/// Time since the Unix epoch.
pub(crate) fn now() -> Duration {
    let mut nanoseconds = 0;
    // SAFETY: the pointer is valid for the call. A clock that fails reads as the epoch.
    let _ = unsafe { proxy_get_current_time_nanoseconds(&raw mut nanoseconds) };
    Duration::from_nanos(nanoseconds)
}

/// Time since some moment in the past: unlike [`now`], it goes on evenly though the clock is set.
pub(crate) fn uptime() -> Duration {
    const MONOTONIC: u32 = 1;
    let mut nanoseconds = 0;
    // SAFETY: the pointer is valid for the call. Without this clock, timers never fire.
    let _ = unsafe { clock_time_get(MONOTONIC, 0, &raw mut nanoseconds) };
    Duration::from_nanos(nanoseconds)
}

/// Sets the interval of `on_tick` for the root context of the current one; zero for never.
pub(crate) fn set_tick_period(period: Duration) {
    let period = u32::try_from(period.as_millis()).unwrap_or(u32::MAX);
    // SAFETY: no pointers. Without ticks, waits end with the request's own timeouts.
    let _ = unsafe { proxy_set_tick_period_milliseconds(period) };
}

/// Runs something for which host calls act on another context, if it is there.
pub(crate) fn in_stream(context: u32, part: impl FnOnce()) {
    // SAFETY: no pointers.
    if unsafe { proxy_set_effective_context(context) } == 0 {
        part();
    }
}

/// Envoy's id of a metric. All workers that define it share it.
pub(crate) fn define_metric(kind: MetricType, name: &str) -> Result<u32> {
    let mut id = 0;
    // SAFETY: pointer and length of a live string, and a valid place for the result.
    ok(unsafe { proxy_define_metric(kind, name.as_ptr(), name.len(), &raw mut id) })?;
    Ok(id)
}

/// Sets a gauge, or adds an observation to a histogram.
pub(crate) fn record_metric(id: u32, value: u64) {
    // SAFETY: no pointers. A failure changes nothing here.
    let _ = unsafe { proxy_record_metric(id, value) };
}

/// Adds to a counter or a gauge; `by` may be negative for a gauge.
pub(crate) fn increment_metric(id: u32, by: i64) {
    // SAFETY: no pointers. A failure changes nothing here.
    let _ = unsafe { proxy_increment_metric(id, by) };
}

/// Writes a filter state object of the current request, `wasm.<name>` to the rest of Envoy.
pub(crate) fn set_property(name: &str, value: &str) {
    // SAFETY: pointers and lengths of live strings. A failure changes nothing here.
    let _ = unsafe { proxy_set_property(name.as_ptr(), name.len(), value.as_ptr(), value.len()) };
}

/// A value that all workers share, with its version; `None` before the first write.
pub(crate) fn shared_data(key: &str) -> Option<(Vec<u8>, u32)> {
    let mut version = 0;
    // SAFETY: pointer and length of a live string; `taken` passes valid places for the results.
    let bytes = taken(|data, size| unsafe {
        proxy_get_shared_data(key.as_ptr(), key.len(), data, size, &raw mut version)
    });
    // An empty value has no memory.
    bytes.ok().map(|bytes| (bytes.unwrap_or_default(), version))
}

/// Writes a value that all workers share, unless it was written since this version; 0 always
/// writes.
pub(crate) fn set_shared_data(key: &str, value: &[u8], version: u32) -> Result<()> {
    // SAFETY: pointers and lengths of live values.
    ok(unsafe { proxy_set_shared_data(key.as_ptr(), key.len(), value.as_ptr(), value.len(), version) })
}

/// All that a buffer holds; empty if there is none.
pub(crate) fn buffer(kind: BufferType) -> Vec<u8> {
    // SAFETY: `taken` passes valid places for the results.
    let bytes = taken(|data, size| unsafe { proxy_get_buffer_bytes(kind, 0, usize::MAX, data, size) });
    bytes.ok().flatten().unwrap_or_default()
}

/// Replaces all that a buffer holds.
pub(crate) fn set_buffer(kind: BufferType, bytes: &[u8]) -> Result<()> {
    // SAFETY: pointer and length of a live slice.
    ok(unsafe { proxy_set_buffer_bytes(kind, 0, usize::MAX, bytes.as_ptr(), bytes.len()) })
}

/// Discards what Envoy holds of a body.
pub(crate) fn discard(kind: BufferType) {
    let _ = set_buffer(kind, b"");
}

/// Replaces all that a buffer holds by these pieces, so that nothing large is joined in this VM's
/// memory.
pub(crate) fn set_buffer_pieces<'a>(
    kind: BufferType,
    mut pieces: impl Iterator<Item = &'a [u8]>,
) -> Result<()> {
    set_buffer(kind, pieces.next().unwrap_or_default())?;
    pieces.filter(|piece| !piece.is_empty()).try_for_each(|piece| append_to_buffer(kind, piece))
}

fn append_to_buffer(kind: BufferType, bytes: &[u8]) -> Result<()> {
    // A start behind the end appends.
    // SAFETY: pointer and length of a live slice.
    ok(unsafe { proxy_set_buffer_bytes(kind, usize::MAX, 0, bytes.as_ptr(), bytes.len()) })
}

/// All headers of a message, in one call.
pub(crate) fn headers(kind: MapType) -> Headers {
    // SAFETY: `taken` passes valid places for the results.
    let bytes = taken(|data, size| unsafe { proxy_get_header_map_pairs(kind, data, size) });
    let bytes = bytes.ok().flatten().unwrap_or_default();
    let entries = places(&bytes).unwrap_or_default();
    Headers::new(bytes, entries)
}

/// The places of names and values in the ABI's form of a map: a count, the lengths in pairs, then
/// the texts, each followed by a zero byte.
fn places(bytes: &[u8]) -> Option<Vec<(Range<usize>, Range<usize>)>> {
    let (count, rest) = bytes.split_first_chunk::<4>()?;
    let count = u32::from_le_bytes(*count) as usize;
    let lengths = rest.get(..count.checked_mul(8)?)?;
    let mut entries = Vec::with_capacity(count);
    let mut at = count.checked_mul(8)?.checked_add(4)?;
    for pair in lengths.chunks_exact(8) {
        let (name, value) = pair.split_first_chunk::<4>()?;
        let name_end = at.checked_add(u32::from_le_bytes(*name) as usize)?;
        let value_start = name_end.checked_add(1)?;
        let value_end = value_start.checked_add(u32::from_le_bytes(*value.first_chunk::<4>()?) as usize)?;
        entries.push((at..name_end, value_start..value_end));
        at = value_end.checked_add(1)?;
    }
    Some(entries)
}

/// Headers in the ABI's form of a map.
fn map<'a>(headers: impl Iterator<Item = (&'a [u8], &'a [u8])> + Clone) -> Vec<u8> {
    let (count, size) = headers.clone().fold((0_u32, 4_usize), |(count, size), (name, value)| {
        // Two lengths of four bytes, two zero bytes.
        (
            count.saturating_add(1),
            size.saturating_add(name.len()).saturating_add(value.len()).saturating_add(10),
        )
    });
    let mut bytes = Vec::with_capacity(size);
    let length = |text: &[u8]| u32::try_from(text.len()).unwrap_or_default().to_le_bytes();
    bytes.extend_from_slice(&count.to_le_bytes());
    for (name, value) in headers.clone() {
        bytes.extend_from_slice(&length(name));
        bytes.extend_from_slice(&length(value));
    }
    for (name, value) in headers {
        bytes.extend_from_slice(name);
        bytes.push(0);
        bytes.extend_from_slice(value);
        bytes.push(0);
    }
    bytes
}

/// Replaces all headers of a message, in one call.
pub(crate) fn set_headers(kind: MapType, headers: &Headers) -> Result<()> {
    let bytes = map(headers.bytes());
    // SAFETY: pointer and length of a live slice.
    ok(unsafe { proxy_set_header_map_pairs(kind, bytes.as_ptr(), bytes.len()) })
}

/// One header's value.
pub(crate) fn header(kind: MapType, name: &str) -> Option<String> {
    // SAFETY: pointer and length of a live string; `taken` passes valid places for the results.
    let bytes = taken(|data, size| unsafe {
        proxy_get_header_map_value(kind, name.as_ptr(), name.len(), data, size)
    });
    String::from_utf8(bytes.ok().flatten()?).ok()
}

/// Sets one header and removes others of its name. On a request, Envoy then selects its route
/// again.
pub(crate) fn set_header(kind: MapType, name: &str, value: &str) -> Result<()> {
    // SAFETY: pointers and lengths of live strings.
    ok(unsafe {
        proxy_replace_header_map_value(kind, name.as_ptr(), name.len(), value.as_ptr(), value.len())
    })
}

/// Removes a header.
pub(crate) fn remove_header(kind: MapType, name: &str) {
    // SAFETY: pointer and length of a live string.
    let _ = unsafe { proxy_remove_header_map_value(kind, name.as_ptr(), name.len()) };
}

/// The response flags of the current stream; 0 where there are none.
pub(crate) fn response_flags() -> u64 {
    let bytes = property("response\0flags").unwrap_or_default();
    bytes.first_chunk::<8>().map_or(0, |bytes| u64::from_le_bytes(*bytes))
}

/// What Envoy says about the current stream.
pub(crate) fn detail(what: Detail) -> Option<Vec<u8>> {
    property(match what {
        Detail::Response => "response\0code_details",
        Detail::TransportFailure => "upstream\0transport_failure_reason",
    })
}

/// An attribute's bytes; the parts of its path are separated by zero bytes.
pub(crate) fn property(path: &str) -> Option<Vec<u8>> {
    // SAFETY: pointer and length of a live string; `taken` passes valid places for the results.
    let bytes = taken(|data, size| unsafe { proxy_get_property(path.as_ptr(), path.len(), data, size) });
    bytes.ok().flatten()
}

/// Resumes a paused request.
pub(crate) fn resume_request() {
    // SAFETY: no pointers. Fails only if the stream is gone, which needs nothing more.
    let _ = unsafe { proxy_continue_stream(StreamType::HttpRequest) };
}

/// Resumes a paused response.
pub(crate) fn resume_response() {
    // SAFETY: no pointers. Fails only if the stream is gone, which needs nothing more.
    let _ = unsafe { proxy_continue_stream(StreamType::HttpResponse) };
}

/// Ends a stream without an answer.
pub(crate) fn close_response() {
    // SAFETY: no pointers. Fails only if the stream is gone, which needs nothing more.
    let _ = unsafe { proxy_close_stream(StreamType::HttpResponse) };
}

/// Answers a request locally.
pub(crate) fn send_response<'a>(
    status: u16,
    headers: impl Iterator<Item = (&'a str, &'a str)> + Clone,
    body: &str,
    details: &str,
) -> Result<()> {
    const NO_GRPC: i32 = -1;
    let headers = map(headers.map(|(name, value)| (name.as_bytes(), value.as_bytes())));
    let body_start = if body.is_empty() { null() } else { body.as_ptr() };
    // SAFETY: pointers and lengths of live values.
    ok(unsafe {
        proxy_send_local_response(
            u32::from(status),
            details.as_ptr(),
            details.len(),
            body_start,
            body.len(),
            headers.as_ptr(),
            headers.len(),
            NO_GRPC,
        )
    })
}

/// Whether a response may be resumed in the middle of its body, outside of a hook. Envoys without the
/// fix of envoyproxy/envoy#46841 lose the next chunk, and 1.37 and 1.38 are such.
pub(crate) const RESUMES_BODIES: bool = false;

/// Whether [`send_again`] does anything.
pub(crate) const SENDS_AGAIN: bool = false;

/// Runs a request through the edge once more, in place of its response. Only Envoy's own filter can,
/// which the response's headers ask to.
pub(crate) fn send_again(_path: &str, _headers: [(&str, &str); 2]) -> bool {
    false
}
