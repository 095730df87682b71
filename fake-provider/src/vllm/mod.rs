//! A fleet of vLLM workers without a model: what a prompt costs depends on what the worker's prefix
//! cache has of it.
//!
//! `cache` is a worker's prefix cache, `engine` its time, `prompt` turns messages into blocks, and
//! `server` speaks vLLM's API. `scenario` and `workload` have the clients, for measurements and tests.

mod cache;
mod engine;
mod prompt;
mod scenario;
mod server;
mod workload;

pub use cache::{BLOCK_TOKENS, BlockHash, PrefixCache};
pub use engine::{Counters, Engine, Model, Served, Work};
pub use prompt::{Prompt, TOKEN_BYTES, reply, words};
pub use scenario::Scenario;
pub use server::Workers;
pub use workload::{Blocks, Turn, Workload};

/// Microseconds since the beginning.
pub type Micros = u64;

/// SplitMix64: the next 64 random bits.
fn random(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut bits = *state;
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}
