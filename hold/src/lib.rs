//! The upstream filter of the edge's router: it holds a response until there is something of its
//! body but empty lines and comments, and an error until it is complete.
//!
//! A response that breaks off while it is held has not reached the router. So Envoy answers in its
//! place through the edge's filters, and the filter sends the request to another deployment. What
//! the router has passed on can only be cut off.
//!
//! Envoy skips callbacks that a module does not export. So this one has neither the SDK nor an
//! allocator, and Envoy enters it only for responses.

#![cfg_attr(target_family = "wasm", no_std)]

mod rule;
#[cfg(any(test, target_family = "wasm"))]
mod slots;

#[cfg(target_family = "wasm")]
mod abi;

pub use rule::{Decision, ERROR_BODY, FILLER, decide, has_time, is_filler, is_success};
