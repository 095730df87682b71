//! Where a deployment's requests go: provider, address, credential, TLS, forward proxy.

mod azure;
mod base_url;
mod chat_params;
mod context;
mod endpoint_parts;
mod endpoints;
mod formats;
mod infer;
mod lookup;
mod messages;
mod native;
mod provider;
mod proxies;
mod refused_by_model;
mod refused_params;
mod resolve;
mod routes;
mod spelling;
mod table;
mod tls;

pub use chat_params::{ChatParams, is_openais};
pub(crate) use context::{ResolveError, Unsupported};
pub use infer::{are_related, infer_provider, name_at};
pub(crate) use proxies::read_proxies;
pub(crate) use resolve::{Resolved, check_without_model, resolve};
pub use spelling::{router_name, upstream_name};
pub(crate) use tls::{ca_bundle, tls_of_deployment, tls_of_file};
