//! Kubernetes objects that patch the bootstrap's pieces into a gateway's Envoy.
//!
//! `istio` and `envoy_gateway` make them; `gateway` is what both share, `parts` takes the bootstrap
//! apart, and `single_hop` rearranges the parts for a gateway without an internal listener.

pub(crate) mod envoy_gateway;
mod gateway;
pub(crate) mod istio;
mod parts;
mod single_hop;
#[cfg(test)]
pub(crate) mod tests;

pub(crate) use gateway::{FilterCode, Mesh, SYSTEM_CAS};
