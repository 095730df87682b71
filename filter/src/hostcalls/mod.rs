//! What the filter asks of Envoy: the same functions for both hosts. Each returns an error where the
//! host has nothing, and none panics.

#[cfg(not(target_family = "wasm"))]
mod native;
#[cfg(target_family = "wasm")]
mod wasm;

#[cfg(not(target_family = "wasm"))]
pub(crate) use native::*;
#[cfg(target_family = "wasm")]
pub(crate) use wasm::*;

/// What Envoy says in words about the current stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Detail {
    /// Why the response has its status.
    Response,
    /// Why there is no connection, such as an error of TLS.
    TransportFailure,
}

/// A status of the host other than Ok.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Error(u32);

/// Result of a host call.
pub(crate) type Result<T> = std::result::Result<T, Error>;
