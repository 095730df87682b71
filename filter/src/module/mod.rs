//! The filter as a dynamic module of Envoy: the hooks that Envoy calls, and what WebAssembly's host
//! does for a filter there.
//!
//! ```text
//! main thread    http_filter (configurations), workers (the cluster that leads to the workers)
//! each worker    http_filter (hooks), stream, worker (what is current), queue (what waits for the end
//!                of a hook), root (a configuration)
//! own threads    clock, redis_call
//! ```
//!
//! Numbers stand for objects of ours in what Envoy keeps, so no pointer of it is trusted. A hook that
//! panics ends its request, and nothing else.

pub(crate) mod abi;
mod clock;
mod config;
pub(crate) mod deferred;
mod hold;
mod http_filter;
mod log;
pub(crate) mod metrics;
mod queue;
pub(crate) mod redis_call;
mod root;
pub(crate) mod shared_data;
mod stream;
pub(crate) mod worker;
mod workers;

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks what threads share. Nothing panics while it holds one of these locks.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
