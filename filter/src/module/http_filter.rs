//! Envoy's hooks for HTTP filters.

use std::ffi::c_void;
use std::ptr::null;

use llm_balancer_config::names;

use super::abi::{CONTINUE, EnvoyBuffer, EnvoyHeader, EnvoyPtr, STOP, VERSION, VersionPtr};
use super::stream::ModuleStream;
use super::{config, log, worker, workers};
use crate::filter::read_config;
use crate::health_probe::UPSTREAM_TIME;
use crate::hostcalls::Action;
use crate::metrics;

/// What Envoy keeps of ours: a number, never 0.
type Number = *const c_void;

fn number(of: Number) -> u32 {
    of as usize as u32
}

fn as_number(number: u32) -> Number {
    number as usize as Number
}

/// The configurations of the holding filter, which has none.
const HOLD: u32 = u32::MAX;
/// Those that set gauges and serve no request.
const GAUGES: u32 = HOLD.wrapping_sub(1);

/// Envoy loads the module.
#[unsafe(no_mangle)]
pub extern "C" fn envoy_dynamic_module_on_program_init() -> VersionPtr {
    log::start();
    VERSION.as_ptr().cast()
}

/// A configuration. Null refuses it.
#[unsafe(no_mangle)]
pub extern "C" fn envoy_dynamic_module_on_http_filter_config_new(
    _config: EnvoyPtr,
    name: EnvoyBuffer,
    file: EnvoyBuffer,
) -> Number {
    // SAFETY: Envoy's texts are valid during the hook.
    let (name, file) = unsafe { (name.bytes(), file.bytes()) };
    let Ok(root_id) = std::str::from_utf8(name) else { return null() };
    if root_id == names::HOLD {
        return as_number(HOLD);
    }
    if root_id.starts_with(names::GAUGES) {
        let _ = std::panic::catch_unwind(|| metrics::set_gauges(file));
        return as_number(GAUGES);
    }
    let is_read = std::panic::catch_unwind(|| read_config(file).is_some()).unwrap_or(false);
    if !is_read {
        return null();
    }
    let number = config::add(root_id.to_owned(), file.to_vec());
    workers::wake_up();
    as_number(number)
}

/// Nothing uses a configuration any more.
#[unsafe(no_mangle)]
pub extern "C" fn envoy_dynamic_module_on_http_filter_config_destroy(config: Number) {
    config::remove(number(config));
    workers::signal();
}

/// A stream begins.
#[unsafe(no_mangle)]
pub extern "C" fn envoy_dynamic_module_on_http_filter_new(config: Number, envoy: EnvoyPtr) -> Number {
    let stream = match number(config) {
        HOLD => Some(worker::add_held(envoy)),
        config => worker::add_filtered(envoy, config),
    };
    stream.map_or(null(), as_number)
}

/// A stream is gone.
#[unsafe(no_mangle)]
pub extern "C" fn envoy_dynamic_module_on_http_filter_destroy(stream: Number) {
    worker::remove(number(stream));
}

fn enter(stream: Number, hook: impl FnOnce(&ModuleStream) -> Action) -> u32 {
    match worker::enter(number(stream), hook) {
        Action::Pause => STOP,
        Action::Continue => CONTINUE,
    }
}

/// The headers of a request.
#[unsafe(no_mangle)]
pub extern "C" fn envoy_dynamic_module_on_http_filter_request_headers(
    _envoy: EnvoyPtr,
    stream: Number,
    complete: bool,
) -> u32 {
    enter(stream, |stream| stream.on_request_headers(complete))
}

/// A part of a request's body.
#[unsafe(no_mangle)]
pub extern "C" fn envoy_dynamic_module_on_http_filter_request_body(
    _envoy: EnvoyPtr,
    stream: Number,
    complete: bool,
) -> u32 {
    enter(stream, |stream| stream.on_request_body(complete))
}

/// The trailers of a request.
#[unsafe(no_mangle)]
pub extern "C" fn envoy_dynamic_module_on_http_filter_request_trailers(
    _envoy: EnvoyPtr,
    stream: Number,
) -> u32 {
    enter(stream, |stream| stream.on_request_trailers())
}

/// The headers of a response.
#[unsafe(no_mangle)]
pub extern "C" fn envoy_dynamic_module_on_http_filter_response_headers(
    _envoy: EnvoyPtr,
    stream: Number,
    complete: bool,
) -> u32 {
    enter(stream, |stream| stream.on_response_headers(complete))
}

/// A part of a response's body.
#[unsafe(no_mangle)]
pub extern "C" fn envoy_dynamic_module_on_http_filter_response_body(
    _envoy: EnvoyPtr,
    stream: Number,
    complete: bool,
) -> u32 {
    enter(stream, |stream| stream.on_response_body(complete))
}

/// The trailers of a response. A body that ends in them never says so itself.
#[unsafe(no_mangle)]
pub extern "C" fn envoy_dynamic_module_on_http_filter_response_trailers(
    _envoy: EnvoyPtr,
    _stream: Number,
) -> u32 {
    CONTINUE
}

/// The end of a stream, before Envoy writes its access log.
#[unsafe(no_mangle)]
pub extern "C" fn envoy_dynamic_module_on_http_filter_stream_complete(_envoy: EnvoyPtr, stream: Number) {
    worker::complete(number(stream));
}

/// The answer to a call of a stream.
///
/// # Safety
/// `headers` are as many as `headers_size` says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn envoy_dynamic_module_on_http_filter_http_callout_done(
    _envoy: EnvoyPtr,
    stream: Number,
    id: u64,
    _result: u32,
    headers: *const EnvoyHeader,
    headers_size: usize,
    _chunks: *const EnvoyBuffer,
    _chunks_size: usize,
) {
    let headers = if headers.is_null() {
        &[]
    } else {
        // SAFETY: Envoy passes the headers with their number.
        unsafe { std::slice::from_raw_parts(headers, headers_size) }
    };
    // SAFETY: Envoy's headers are valid during the hook.
    let texts = || headers.iter().map(|header| unsafe { (header.name.bytes(), header.value.bytes()) });
    let header = |wanted: &str| texts().find(|(name, _)| *name == wanted.as_bytes()).map(|(_, value)| value);
    let status =
        header(UPSTREAM_TIME).and_then(|_| std::str::from_utf8(header(":status")?).ok()?.parse().ok());
    if let Ok(token) = u32::try_from(id) {
        worker::on_probe_reply(number(stream), token, status);
    }
}

/// What was posted when a hook of this stream was over.
#[unsafe(no_mangle)]
pub extern "C" fn envoy_dynamic_module_on_http_filter_scheduled(
    _envoy: EnvoyPtr,
    _stream: Number,
    _event: u64,
) {
    worker::on_posted();
}

/// Envoy answers in place of the provider or of the filter.
#[unsafe(no_mangle)]
pub extern "C" fn envoy_dynamic_module_on_http_filter_local_reply() -> u32 {
    CONTINUE
}

/// There are no configurations of routes.
#[unsafe(no_mangle)]
pub extern "C" fn envoy_dynamic_module_on_http_filter_per_route_config_new() -> Number {
    null()
}

/// Hooks that Envoy wants to find, and that nothing here asks for.
macro_rules! unused {
    ($($hook:ident)*) => {$(
        /// Not used.
        #[unsafe(no_mangle)]
        pub extern "C" fn $hook() {}
    )*};
}

unused! {
    envoy_dynamic_module_on_http_filter_per_route_config_destroy
    envoy_dynamic_module_on_http_filter_http_stream_headers
    envoy_dynamic_module_on_http_filter_http_stream_data
    envoy_dynamic_module_on_http_filter_http_stream_trailers
    envoy_dynamic_module_on_http_filter_http_stream_complete
    envoy_dynamic_module_on_http_filter_http_stream_reset
    envoy_dynamic_module_on_http_filter_downstream_above_write_buffer_high_watermark
    envoy_dynamic_module_on_http_filter_downstream_below_write_buffer_low_watermark
    envoy_dynamic_module_on_http_filter_config_scheduled
    envoy_dynamic_module_on_http_filter_config_http_callout_done
    envoy_dynamic_module_on_http_filter_config_http_stream_headers
    envoy_dynamic_module_on_http_filter_config_http_stream_data
    envoy_dynamic_module_on_http_filter_config_http_stream_trailers
    envoy_dynamic_module_on_http_filter_config_http_stream_complete
    envoy_dynamic_module_on_http_filter_config_http_stream_reset
}
