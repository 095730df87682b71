//! The near side of the balancer: an HTTP client, and bytes on a socket.

mod client;
pub mod raw;

pub use client::{Client, Events, Reply, ask};
