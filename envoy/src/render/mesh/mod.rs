//! The bootstrap's pieces in the Envoy of a gateway: `gateway` has the Kubernetes objects that Istio and Envoy Gateway share,
//! `parts` takes the bootstrap apart, `single_hop` rearranges the parts for a gateway without an internal listener.

pub(crate) mod envoy_gateway;
mod gateway;
pub(crate) mod istio;
mod parts;
mod single_hop;

pub(crate) use gateway::{FilterCode, Mesh, SYSTEM_CAS};
