//! Many instances that share limits through one Redis: how exactly, at how many calls, and what is
//! refused while Redis is away.
//!
//! `make simulate` prints the tables and fails where the limit is missed. Time is simulated and
//! chance is seeded, so the same code prints the same tables anywhere. The instances are the
//! product's own routers, they send what the filter sends, and the scripts run unchanged in the Lua
//! that Redis has. Only Redis' data structures are simulated.

#![allow(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    dead_code,
    reason = "a simulation that goes wrong stops; router/tests/fleet.rs uses the rest of it"
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

/// There is no Lua for WebAssembly.
#[cfg(target_family = "wasm")]
fn main() {}
