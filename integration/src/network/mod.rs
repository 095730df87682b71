//! What lies between processes: ports, certificates, a forward proxy, and a link that can be cut
//! and slowed.

pub mod certificates;
mod forward_proxy;
mod link;
mod ports;

pub use forward_proxy::ForwardProxy;
pub use link::Link;
pub(crate) use ports::free_pair;
pub use ports::free_port;
