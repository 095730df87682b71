//! LiteLLM's `config.yaml` in front of Envoy: the bootstrap that serves it, and the Envoy that runs it.

pub mod cas;
pub mod check;
pub mod cli;
pub mod configuration;
pub mod failure;
pub mod files;
pub mod filter;
pub mod findings;
pub mod health;
pub mod listen;
pub mod mesh;
pub mod render;
pub mod rendered;
pub mod serve;
pub mod socket;
pub mod surroundings;
