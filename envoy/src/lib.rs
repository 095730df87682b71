//! LiteLLM's `config.yaml` in front of Envoy: what the `llm-balancer` program consists of.
//!
//! `commands` uses `serve` and `render`, both use `support`, and nothing uses what is above it.
//! What is public is public for the tests of this crate.

mod cli;
mod commands;
pub mod page;
pub mod render;
pub mod serve;
pub mod support;

pub use commands::run;
