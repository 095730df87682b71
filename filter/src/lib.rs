//! The filter: Envoy's callbacks on one side, the router on the other. It decides nothing.
//!
//! It runs once per attempt: on the edge for the first one, behind an internal listener for later
//! ones; in a mesh behind the listener for all. The router selects a deployment. A response that is
//! marked for retry makes Envoy send the request again, which is a new stream here.

#![cfg(target_family = "wasm")]
#![expect(missing_docs, reason = "the SDK's macro defines a public function without documentation")]

mod allocator;
mod by_stream;
mod decider;
mod filter;
mod filter_root;
mod health_probe;
mod hostcalls;
mod http_stream;
mod metrics;
mod redis;
mod response_scan;
mod retry_store;
mod shared_data;
mod shared_router;
mod stream_handle;
#[cfg(feature = "testing")]
mod testing;
mod timers;

use proxy_wasm::types::LogLevel;

use crate::filter_root::FilterRoot;

proxy_wasm::main! {{
    proxy_wasm::set_log_level(LogLevel::Warn);
    proxy_wasm::set_root_context(|context| Box::new(FilterRoot::new(context)));
}}
