//! What prefix affinity is worth: the product's strategies with and without it over a simulated
//! fleet of vLLM workers, whose time to first token depends on the prompts that they have served.
//!
//! `make simulate` prints the tables and fails where a target is missed. Time is simulated and
//! chance is seeded, so the same code prints the same tables anywhere. `fake_provider::vllm` has the
//! workers and their clients, docs/affinity.md what the figures mean.

#![allow(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a simulation that goes wrong stops"
)]

#[cfg(not(target_family = "wasm"))]
mod others;
#[cfg(not(target_family = "wasm"))]
mod ours;
#[cfg(not(target_family = "wasm"))]
mod replay;
#[cfg(not(target_family = "wasm"))]
mod tables;

#[cfg(not(target_family = "wasm"))]
fn main() -> std::process::ExitCode {
    tables::print()
}

/// The workers need a network library that WebAssembly does not have.
#[cfg(target_family = "wasm")]
fn main() {}
