//! Stories of whole requests, natively and in Node: what a client gets, what the providers see, and
//! what workers share.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a story that cannot go on, or overflows, has failed"
)]

mod affinity;
mod betas;
mod common;
#[path = "../failures/rules.rs"]
mod rules;

mod chat_params;
mod contract;
mod cooldowns;
mod fallbacks;
mod forms;
mod limits;
mod messages;
mod model_lists;
mod model_names;
mod pre_call_checks;
mod refusals;
mod resends;
mod response_items;
mod responses;
mod retries;
mod rewriting;
mod roles;
mod routes;
mod shared_state;
mod single_hop;
mod strategies;
mod stream_ends;
mod stream_errors;
mod system_prompts;
mod telemetry;
mod tokens;

// With threads, files or random inputs: natively alone.
#[cfg(not(target_family = "wasm"))]
#[path = "../plain/mod.rs"]
mod plain;

#[cfg(not(target_family = "wasm"))]
mod bodies;
#[cfg(not(target_family = "wasm"))]
mod explanations;
mod extra_body;
mod failure_shares;
mod fallback_names;
#[cfg(not(target_family = "wasm"))]
mod full_groups;
#[cfg(not(target_family = "wasm"))]
mod orders;
mod paths;
#[cfg(not(target_family = "wasm"))]
mod properties;
#[cfg(not(target_family = "wasm"))]
mod snapshots;
#[cfg(not(target_family = "wasm"))]
mod streams;
