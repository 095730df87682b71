//! The near side of the balancer: an HTTP client, many at once, and bytes on a socket.

mod client;
mod crowd;
pub mod raw;

pub use client::{Client, Events, Reply, ask};
pub use crowd::{crowd, times};
