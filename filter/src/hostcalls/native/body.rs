//! Bodies of the current stream.

use super::{BufferType, Result, current, ok};
use crate::module::abi::{
    BodyType, EnvoyBuffer, EnvoyPtr, ModuleBuffer, envoy_dynamic_module_callback_http_append_body,
    envoy_dynamic_module_callback_http_drain_body, envoy_dynamic_module_callback_http_get_body_chunks,
    envoy_dynamic_module_callback_http_get_body_chunks_size,
    envoy_dynamic_module_callback_http_get_body_size,
};

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
