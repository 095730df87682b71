//! LiteLLM's `config.yaml` in front of Envoy: what the `llm-balancer` program consists of.
//!
//! `commands` uses `serve`, `render` and `status`; `render` uses `page`, all use `support`, and nothing
//! uses what is above it.
//! What is public is public for the tests of this crate.

mod cli;
mod commands;
pub mod page;
pub mod render;
pub mod serve;
mod status;
pub mod support;

pub use commands::run;
