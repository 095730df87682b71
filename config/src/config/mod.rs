//! The checked configuration: every default filled in, every reference resolved, every unit named.

mod affinity;
mod deployment;
mod endpoint;
mod failure_policy;
mod no_proxy;
mod proxies;
mod routing;

use std::sync::Arc;

use crate::values::Secret;

pub use affinity::Affinity;
pub use deployment::{Credential, Deployment, DropPath, Member, Segment, is_oauth_token};
pub use endpoint::{Endpoint, Layout, Scheme, Tls, Wire};
pub use failure_policy::FailurePolicy;
pub(crate) use no_proxy::NoProxy;
pub use proxies::{Proxies, Proxy, ProxyUrl};
pub use routing::{Fallback, RouterSettings, RoutingGroup, Strategy, StrategyArgs, Target};

/// A whole configuration, checked.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// In the order of `model_list`, followed by those that a list of organizations adds.
    pub deployments: Vec<Deployment>,
    /// `router_settings.model_group_alias`, in file order.
    pub aliases: Vec<Alias>,
    /// How requests are routed.
    pub router: RouterSettings,
    /// How clients are admitted.
    pub server: ServerSettings,
    /// The Redis in which instances share what they count. Without one, each counts for itself.
    pub redis: Option<Redis>,
    /// Names whose deployments were all skipped (`unsupported_deployments: skip`), sorted.
    pub skipped: Vec<Skipped>,
    /// How many deployments were skipped.
    pub skipped_deployments: usize,
    /// The forward proxies between Envoy and the providers.
    pub proxies: Proxies,
    /// The PEM file with the CAs that verify providers, Redis and proxies, and the variable that
    /// names it.
    pub ca_bundle: Option<(String, String)>,
    /// Names of the environment variables that the file refers to, sorted, each once.
    pub env_names: Vec<String>,
}

/// Another name for a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alias {
    /// The name that clients use.
    pub name: Arc<str>,
    /// The model group, or litellm model, that the alias names. Aliases do not chain.
    pub target: Arc<str>,
    /// Not in the listings. Requests work all the same.
    pub hidden: bool,
}

/// A group, alias, routing group, deployment id or litellm model whose deployments were all
/// skipped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skipped {
    /// The name; of a wildcard group its pattern.
    pub name: Arc<str>,
    /// Why, for people, without a full stop.
    pub reason: String,
}

/// The settings of `general_settings` and `llm_balancer` that concern clients.
#[derive(Clone, Debug, PartialEq)]
pub struct ServerSettings {
    /// Required on every route but liveliness and readiness. `None`: no key is required.
    pub master_key: Option<Secret>,
    /// `general_settings.litellm_key_header_name`, in lower case: one more header for the key.
    pub key_header: Option<String>,
    /// Larger request bodies get a 413; `llm_balancer.max_body_mb`, 64 MiB if unset.
    pub max_body_bytes: u64,
    /// `llm_balancer.access_log`: a line of JSON for every request; on if unset.
    pub access_log: bool,
    /// `general_settings.forward_client_headers_to_llm_api`: `x-` headers of clients reach the
    /// provider.
    pub forward_client_headers: bool,
    /// `general_settings.always_include_stream_usage`: streams of chats and completions end with
    /// their usage, unless the request sets `stream_options.include_usage`.
    pub always_include_usage: bool,
}

/// The Redis in which instances share what they count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redis {
    /// A DNS name or an IP address, without brackets.
    pub host: String,
    /// TCP port; 6379 if unset.
    pub port: u16,
    /// For `SELECT`; 0 if unset.
    pub database: u32,
    /// For `AUTH`, before the password. `None` if there is no password.
    pub username: Option<String>,
    /// For `AUTH`.
    pub password: Option<Secret>,
    /// How the server is verified.
    pub tls: Tls,
    /// Prefix of every key: `llm_balancer.redis_namespace`, `cache_params.namespace`, or
    /// `llm-balancer`. Letters, digits, `-`, `_`, `.` and `:` only.
    pub namespace: String,
}
