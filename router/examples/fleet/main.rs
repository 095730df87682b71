//! Many instances that share limits through one Redis: how exactly, and how often they ask it.
//!
//! `make simulate` prints the tables and fails where the limit is missed. Time is simulated and chance is seeded, so the
//! same code prints the same tables anywhere. The instances are the product's own routers, what they send is what the filter
//! sends, and the scripts run as they stand, in the Lua that Redis has; only Redis' data structures are simulated.

#![allow(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a simulation that goes wrong had better stop"
)]

#[cfg(not(target_family = "wasm"))]
mod data;
#[cfg(not(target_family = "wasm"))]
mod events;
#[cfg(not(target_family = "wasm"))]
mod instance;
#[cfg(not(target_family = "wasm"))]
mod redis;
#[cfg(not(target_family = "wasm"))]
mod tables;

#[cfg(not(target_family = "wasm"))]
fn main() -> std::process::ExitCode {
    tables::print()
}

/// There is no Lua here.
#[cfg(target_family = "wasm")]
fn main() {}
