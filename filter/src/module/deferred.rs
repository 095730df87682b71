//! What waits for the end of a hook: Envoy would enter the filter again from within it.

use std::ptr::null;

use llm_balancer_config::{Wire, names};
use llm_balancer_router::{Refusal, Reply};

use super::abi::{
    EnvoyPtr, LOCAL_RESET, ModuleBuffer, ModuleHeader,
    envoy_dynamic_module_callback_http_filter_continue_decoding,
    envoy_dynamic_module_callback_http_filter_continue_encoding,
    envoy_dynamic_module_callback_http_filter_recreate_stream,
    envoy_dynamic_module_callback_http_filter_reset_stream, envoy_dynamic_module_callback_http_send_response,
};

/// What waits for the end of the hook.
pub(crate) enum Deferred {
    ResumeRequest,
    ResumeResponse,
    Reset,
    /// Runs the request through the edge once more.
    SendAgain,
    Reply(Box<LocalReply>),
    ProbeReply {
        token: u32,
        status: Option<u16>,
    },
}

/// An answer in place of a provider's.
pub(crate) struct LocalReply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
    pub(crate) details: String,
}

impl LocalReply {
    /// The answer to a request that a fault of the filter ended.
    pub(super) fn internal_error() -> Self {
        let Reply { status, body, .. } = Refusal::NoConnection.reply(Wire::OpenAi);
        let headers = vec![("content-type".to_owned(), "application/json".to_owned())];
        Self { status, headers, body, details: names::FILTER.to_owned() }
    }
}

/// Does it, but for a probe's reply, about a stream that Envoy has not destroyed. Envoy may enter the
/// module again.
pub(super) fn perform(envoy: EnvoyPtr, what: Deferred) {
    // SAFETY: the stream is there.
    match what {
        Deferred::ResumeRequest => unsafe {
            envoy_dynamic_module_callback_http_filter_continue_decoding(envoy);
        },
        Deferred::ResumeResponse => unsafe {
            envoy_dynamic_module_callback_http_filter_continue_encoding(envoy);
        },
        Deferred::Reset => unsafe {
            envoy_dynamic_module_callback_http_filter_reset_stream(envoy, LOCAL_RESET, ModuleBuffer::NONE);
        },
        // SAFETY: as above; null for no headers of a response.
        Deferred::SendAgain => {
            if !unsafe { envoy_dynamic_module_callback_http_filter_recreate_stream(envoy, null(), 0) } {
                log::error!("{}: Envoy does not run a request again", names::FILTER);
                send(envoy, &LocalReply::internal_error());
            }
        }
        Deferred::Reply(reply) => send(envoy, &reply),
        Deferred::ProbeReply { .. } => {}
    }
}

fn send(envoy: EnvoyPtr, reply: &LocalReply) {
    let buffer = |text: &str| ModuleBuffer::new(text.as_bytes());
    let header = |(name, value): &(String, String)| ModuleHeader { name: buffer(name), value: buffer(value) };
    let headers: Vec<_> = reply.headers.iter().map(header).collect();
    // SAFETY: Envoy has not destroyed the stream; the texts live longer than the call.
    unsafe {
        envoy_dynamic_module_callback_http_send_response(
            envoy,
            u32::from(reply.status),
            headers.as_ptr(),
            headers.len(),
            buffer(&reply.body),
            buffer(&reply.details),
        );
    }
}
