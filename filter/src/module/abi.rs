//! The part of Envoy's ABI for dynamic modules that the filter needs, version 0.2 (Envoy 1.40).
//! <https://github.com/envoyproxy/envoy/blob/v1.40.0/source/extensions/dynamic_modules/abi/abi.h>
//!
//! Envoy guarantees that a module of one minor version runs with the next one, too.

use std::ffi::{c_char, c_void};
use std::ptr::null;

/// What a module says of itself, with the zero byte of C.
pub(crate) const VERSION: &[u8; 7] = b"v0.2.0\0";

/// An object of Envoy's.
pub(crate) type EnvoyPtr = *mut c_void;

/// Bytes of Envoy's, valid until the headers or the body that they are of change, or the hook ends.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct EnvoyBuffer {
    data: *const u8,
    size: usize,
}

impl EnvoyBuffer {
    pub(crate) const EMPTY: Self = Self { data: null(), size: 0 };

    /// # Safety
    /// They must still be valid, and stay so while the result is used.
    pub(crate) unsafe fn bytes<'a>(self) -> &'a [u8] {
        if self.data.is_null() {
            return &[];
        }
        // SAFETY: Envoy passes pointer and length of bytes that are there; the caller promises the rest.
        unsafe { std::slice::from_raw_parts(self.data, self.size) }
    }
}

/// Bytes of ours, valid during the call that gets them.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct ModuleBuffer {
    data: *const u8,
    size: usize,
}

impl ModuleBuffer {
    /// Removes a header, where it stands for its value.
    pub(crate) const NONE: Self = Self { data: null(), size: 0 };

    pub(crate) fn new(bytes: &[u8]) -> Self {
        Self { data: bytes.as_ptr(), size: bytes.len() }
    }
}

/// Name and value of one of Envoy's headers.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct EnvoyHeader {
    pub(crate) name: EnvoyBuffer,
    pub(crate) value: EnvoyBuffer,
}

impl EnvoyHeader {
    pub(crate) const EMPTY: Self = Self { name: EnvoyBuffer::EMPTY, value: EnvoyBuffer::EMPTY };
}

/// Name and value of one of our headers.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct ModuleHeader {
    pub(crate) name: ModuleBuffer,
    pub(crate) value: ModuleBuffer,
}

/// Which headers.
#[repr(u32)]
#[derive(Clone, Copy)]
pub(crate) enum HeaderType {
    Request = 0,
    Response = 2,
}

/// Which part of a body: what the hook is about, or what Envoy holds of earlier ones.
#[repr(u32)]
#[derive(Clone, Copy)]
pub(crate) enum BodyType {
    ReceivedRequest = 0,
    BufferedRequest = 1,
    ReceivedResponse = 2,
    BufferedResponse = 3,
}

/// Attributes of a stream.
#[repr(u32)]
#[derive(Clone, Copy)]
pub(crate) enum Attribute {
    ResponseCodeDetails = 16,
    ResponseFlags = 17,
    UpstreamTransportFailureReason = 52,
}

/// What happens to headers, a body or trailers after a hook: they go on.
pub(crate) const CONTINUE: u32 = 0;
/// They are held; what follows of the message still comes. A body is kept in Envoy's buffer.
pub(crate) const STOP: u32 = 1;

/// The status of a callback that has worked.
pub(crate) const SUCCESS: u32 = 0;

/// Levels of Envoy's log.
pub(crate) const WARN: u32 = 3;
pub(crate) const ERROR: u32 = 4;
pub(crate) const CRITICAL: u32 = 5;

/// How a stream is reset that the filter ends.
pub(crate) const LOCAL_RESET: u32 = 0;

// Envoy's binary has these.
unsafe extern "C" {
    pub(crate) fn envoy_dynamic_module_callback_log(level: u32, message: ModuleBuffer);

    pub(crate) fn envoy_dynamic_module_callback_http_get_header(
        filter: EnvoyPtr,
        headers: HeaderType,
        name: ModuleBuffer,
        value: *mut EnvoyBuffer,
        index: usize,
        count: *mut usize,
    ) -> bool;
    pub(crate) fn envoy_dynamic_module_callback_http_get_headers_size(
        filter: EnvoyPtr,
        headers: HeaderType,
    ) -> usize;
    pub(crate) fn envoy_dynamic_module_callback_http_get_headers(
        filter: EnvoyPtr,
        headers: HeaderType,
        all: *mut EnvoyHeader,
    ) -> bool;
    pub(crate) fn envoy_dynamic_module_callback_http_set_header(
        filter: EnvoyPtr,
        headers: HeaderType,
        name: ModuleBuffer,
        value: ModuleBuffer,
    ) -> bool;
    pub(crate) fn envoy_dynamic_module_callback_http_add_header(
        filter: EnvoyPtr,
        headers: HeaderType,
        name: ModuleBuffer,
        value: ModuleBuffer,
    ) -> bool;
    pub(crate) fn envoy_dynamic_module_callback_http_get_body_size(filter: EnvoyPtr, body: BodyType)
    -> usize;
    pub(crate) fn envoy_dynamic_module_callback_http_get_body_chunks_size(
        filter: EnvoyPtr,
        body: BodyType,
    ) -> usize;
    pub(crate) fn envoy_dynamic_module_callback_http_get_body_chunks(
        filter: EnvoyPtr,
        body: BodyType,
        chunks: *mut EnvoyBuffer,
    ) -> bool;
    pub(crate) fn envoy_dynamic_module_callback_http_append_body(
        filter: EnvoyPtr,
        body: BodyType,
        bytes: ModuleBuffer,
    ) -> bool;
    pub(crate) fn envoy_dynamic_module_callback_http_drain_body(
        filter: EnvoyPtr,
        body: BodyType,
        size: usize,
    ) -> bool;
    pub(crate) fn envoy_dynamic_module_callback_http_send_response(
        filter: EnvoyPtr,
        status: u32,
        headers: *const ModuleHeader,
        headers_size: usize,
        body: ModuleBuffer,
        details: ModuleBuffer,
    );
    pub(crate) fn envoy_dynamic_module_callback_http_set_filter_state_bytes(
        filter: EnvoyPtr,
        key: ModuleBuffer,
        value: ModuleBuffer,
    ) -> bool;
    pub(crate) fn envoy_dynamic_module_callback_http_clear_route_cache(filter: EnvoyPtr);
    pub(crate) fn envoy_dynamic_module_callback_http_filter_continue_decoding(filter: EnvoyPtr);
    pub(crate) fn envoy_dynamic_module_callback_http_filter_continue_encoding(filter: EnvoyPtr);
    pub(crate) fn envoy_dynamic_module_callback_http_filter_reset_stream(
        filter: EnvoyPtr,
        reason: u32,
        details: ModuleBuffer,
    );
    pub(crate) fn envoy_dynamic_module_callback_http_filter_recreate_stream(
        filter: EnvoyPtr,
        headers: *const ModuleHeader,
        headers_size: usize,
    ) -> bool;
    pub(crate) fn envoy_dynamic_module_callback_http_filter_get_attribute_int(
        filter: EnvoyPtr,
        attribute: Attribute,
        value: *mut u64,
    ) -> bool;
    pub(crate) fn envoy_dynamic_module_callback_http_filter_get_attribute_string(
        filter: EnvoyPtr,
        attribute: Attribute,
        value: *mut EnvoyBuffer,
    ) -> bool;
    pub(crate) fn envoy_dynamic_module_callback_http_filter_http_callout(
        filter: EnvoyPtr,
        id: *mut u64,
        cluster: ModuleBuffer,
        headers: *const ModuleHeader,
        headers_size: usize,
        body: ModuleBuffer,
        timeout_milliseconds: u64,
    ) -> u32;

    pub(crate) fn envoy_dynamic_module_callback_http_filter_scheduler_new(filter: EnvoyPtr) -> EnvoyPtr;
    pub(crate) fn envoy_dynamic_module_callback_http_filter_scheduler_commit(scheduler: EnvoyPtr, event: u64);
    pub(crate) fn envoy_dynamic_module_callback_http_filter_scheduler_delete(scheduler: EnvoyPtr);

    pub(crate) fn envoy_dynamic_module_callback_cluster_pre_init_complete(cluster: EnvoyPtr);
    pub(crate) fn envoy_dynamic_module_callback_cluster_scheduler_new(cluster: EnvoyPtr) -> EnvoyPtr;
    pub(crate) fn envoy_dynamic_module_callback_cluster_scheduler_delete(scheduler: EnvoyPtr);
    pub(crate) fn envoy_dynamic_module_callback_cluster_scheduler_commit(scheduler: EnvoyPtr, event: u64);
    pub(crate) fn envoy_dynamic_module_callback_cluster_run_on_all_workers(cluster: EnvoyPtr, event: u64);

    pub(crate) fn envoy_dynamic_module_callback_cluster_config_define_counter(
        config: EnvoyPtr,
        name: ModuleBuffer,
        labels: *const ModuleBuffer,
        labels_size: usize,
        id: *mut usize,
    ) -> u32;
    pub(crate) fn envoy_dynamic_module_callback_cluster_config_define_gauge(
        config: EnvoyPtr,
        name: ModuleBuffer,
        labels: *const ModuleBuffer,
        labels_size: usize,
        id: *mut usize,
    ) -> u32;
    pub(crate) fn envoy_dynamic_module_callback_cluster_config_define_histogram(
        config: EnvoyPtr,
        name: ModuleBuffer,
        labels: *const ModuleBuffer,
        labels_size: usize,
        id: *mut usize,
    ) -> u32;
    pub(crate) fn envoy_dynamic_module_callback_cluster_config_increment_counter(
        config: EnvoyPtr,
        id: usize,
        values: *const ModuleBuffer,
        values_size: usize,
        by: u64,
    ) -> u32;
    pub(crate) fn envoy_dynamic_module_callback_cluster_config_set_gauge(
        config: EnvoyPtr,
        id: usize,
        values: *const ModuleBuffer,
        values_size: usize,
        value: u64,
    ) -> u32;
    pub(crate) fn envoy_dynamic_module_callback_cluster_config_increment_gauge(
        config: EnvoyPtr,
        id: usize,
        values: *const ModuleBuffer,
        values_size: usize,
        by: u64,
    ) -> u32;
    pub(crate) fn envoy_dynamic_module_callback_cluster_config_decrement_gauge(
        config: EnvoyPtr,
        id: usize,
        values: *const ModuleBuffer,
        values_size: usize,
        by: u64,
    ) -> u32;
    pub(crate) fn envoy_dynamic_module_callback_cluster_config_record_histogram_value(
        config: EnvoyPtr,
        id: usize,
        values: *const ModuleBuffer,
        values_size: usize,
        value: u64,
    ) -> u32;
}

/// A text that Envoy passes at the start.
pub(crate) type VersionPtr = *const c_char;
