//! Where a deployment's requests go: provider, address, credential, and the way there.

pub mod base_url;
pub mod base_url_routes;
pub mod context;
pub mod endpoints;
pub mod formats;
pub mod infer;
pub mod no_proxy;
pub mod proxies;
pub mod resolve;
pub mod table;
pub mod tls;
