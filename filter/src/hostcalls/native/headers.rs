//! Headers of the current stream.

use std::ops::Range;

use llm_balancer_router::Headers;

use super::{MapType, Result, current, ok};
use crate::module::abi::{
    EnvoyBuffer, EnvoyHeader, EnvoyPtr, HeaderType, ModuleBuffer,
    envoy_dynamic_module_callback_http_add_header, envoy_dynamic_module_callback_http_clear_route_cache,
    envoy_dynamic_module_callback_http_get_header, envoy_dynamic_module_callback_http_get_headers,
    envoy_dynamic_module_callback_http_get_headers_size, envoy_dynamic_module_callback_http_set_header,
};

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
        // Envoy adds no empty value to others, and refuses to.
        if is_there || (is_further && value.is_empty()) {
            continue;
        }
        let value = ModuleBuffer::new(value);
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
