//! The filter: Envoy's callbacks on one side, the router on the other. It decides nothing.
//!
//! It runs once per attempt: on the edge for the first one, behind an internal listener for later
//! ones; in a mesh behind the listener for all. The router selects a deployment. A response that is
//! marked for retry makes Envoy send the request again, which is a new stream here.
//!
//! It is compiled for two hosts: as WebAssembly, which every Envoy runs, and for this machine as a
//! dynamic module, which takes less CPU. `hostcalls` has what differs for the code that both share.

#![cfg_attr(
    target_family = "wasm",
    expect(missing_docs, reason = "the SDK's macro defines a public function without documentation")
)]

#[cfg(target_family = "wasm")]
mod allocator;
mod by_stream;
mod decider;
mod filter;
#[cfg(target_family = "wasm")]
mod filter_root;
mod health_probe;
mod hostcalls;
mod http_stream;
mod metrics;
#[cfg(not(target_family = "wasm"))]
mod module;
mod redis;
mod response_scan;
mod retry_store;
mod role;
mod shared_data;
mod shared_router;
mod stream_handle;
#[cfg(feature = "testing")]
mod testing;
mod timers;

#[cfg(target_family = "wasm")]
proxy_wasm::main! {{
    proxy_wasm::set_log_level(proxy_wasm::types::LogLevel::Warn);
    proxy_wasm::set_root_context(|context| Box::new(filter_root::FilterRoot::new(context)));
}}
