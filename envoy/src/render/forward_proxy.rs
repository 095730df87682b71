//! Providers behind a forward proxy (docs/decisions/forward-proxies.md).
//!
//! ```text
//! https: the deployment's cluster ── TLS to the provider ── listener "forward-proxy-.." ── CONNECT host:port ── proxy ── provider
//! http:  the deployment's cluster ── GET http://host/.. ── proxy ── provider
//! ```
//!
//! The proxy resolves the provider's name, which often cannot be resolved here.

use std::collections::BTreeMap;

use data_encoding::BASE64;
use llm_balancer_config::{Config, Deployment, Endpoint, Proxy, Scheme, Secret, Tls, bracketed, names};
use serde_json::{Value, json};

use super::first_hop;
use super::message::{
    self, header_mutation, http1, http1_of_provider, http1_options, internal_upstream, provider_options,
    socket_address, tcp_proxy, typed, with,
};
use super::process::Options;
use super::upstream_cluster::{IDLE_TIMEOUT, Lookup, at, is_name, tcp_keepalive, transport_socket};

/// Metadata of an endpoint: the target of the tunnel.
const TUNNEL: &str = "llm_balancer.tunnel";
const TARGET: &str = "target";

/// Bytes. Envoy reads before the proxy has answered, and so notices an attempt that was given up:
/// without it, tunnels through a hanging proxy are never closed. A TLS handshake begins with a few
/// hundred bytes.
const EARLY_DATA: u32 = 16 * 1024;

/// No limit: the filter times out answers, and the deployment's cluster closes an idle tunnel.
const TUNNEL_IDLE_TIMEOUT: &str = "0s";

/// Variables that Envoy's environment needs, each with the value of `proxy-authorization`.
pub(crate) fn variables(config: &Config) -> BTreeMap<&'static str, Secret> {
    let used = config.deployments.iter().filter_map(|it| Some((it, config.proxies.of(&it.endpoint)?)));
    let variable = |(deployment, proxy): (&Deployment, &Proxy)| {
        let login = proxy.url.login.as_ref().filter(|_| !proxy.in_file)?;
        Some((variable(&deployment.endpoint), Secret::new(basic(login))))
    };
    used.filter_map(variable).collect()
}

/// One per scheme, since each scheme has a proxy of its own.
fn variable(endpoint: &Endpoint) -> &'static str {
    match endpoint.scheme() {
        Scheme::Http => names::HTTP_PROXY_AUTHORIZATION,
        Scheme::Https => names::HTTPS_PROXY_AUTHORIZATION,
    }
}

fn basic(login: &Secret) -> String {
    format!("Basic {}", BASE64.encode(login.reveal().as_bytes()))
}

/// The proxy's credentials, which come from Envoy's environment unless the file has them.
fn authorization(proxy: &Proxy, endpoint: &Endpoint) -> Option<Value> {
    let login = proxy.url.login.as_ref()?;
    let value = if proxy.in_file { basic(login) } else { format!("%ENVIRONMENT({})%", variable(endpoint)) };
    Some(json!({"key": "proxy-authorization", "value": value}))
}

/// The proxy for tunnels.
pub(crate) fn for_tunnels(config: &Config) -> Option<&Proxy> {
    tunnelled(config).map(|(proxy, _)| proxy)
}

/// The proxy for tunnels, with one of the endpoints behind it.
fn tunnelled(config: &Config) -> Option<(&Proxy, &Endpoint)> {
    let mut endpoints = config.deployments.iter().map(|deployment| &deployment.endpoint);
    let https = endpoints.find(|it| it.scheme() == Scheme::Https && config.proxies.of(it).is_some())?;
    config.proxies.of(https).map(|proxy| (proxy, https))
}

/// Name of the listener and of the cluster. It differs after a reload that changed the proxy: Envoy
/// closes the tunnels of a listener that changes, and those of another one stay.
fn name(proxy: &Proxy, options: &Options) -> String {
    match options.proxy_changes {
        0 => stat_name(proxy),
        changes => format!("{}-{changes}", stat_name(proxy)),
    }
}

fn stat_name(proxy: &Proxy) -> String {
    let plain = |byte: char| if byte.is_ascii_alphanumeric() { byte } else { '-' };
    let host: String = proxy.url.host.chars().map(plain).collect();
    format!("{}-{host}-{}", names::FORWARD_PROXY, proxy.url.port)
}

/// The cluster of the proxy for tunnels.
pub(super) fn cluster(config: &Config, options: &Options) -> Option<Value> {
    let (proxy, _) = tunnelled(config)?;
    let cluster = at_proxy(&name(proxy, options), proxy, http1(IDLE_TIMEOUT), &options.system_cas);
    let is_changed = options.proxy_changes > 0;
    Some(with(cluster, "alt_stat_name", is_changed.then(|| stat_name(proxy).into())))
}

/// The listener that turns each connection into a tunnel.
pub(super) fn listener(config: &Config, options: &Options) -> Option<Value> {
    let (proxy, endpoint) = tunnelled(config)?;
    let headers = authorization(proxy, endpoint).map(|header| json!([{"header": header}]));
    let target = format!("%DYNAMIC_METADATA({TUNNEL}:{TARGET})%");
    let tunnel = json!({
        "stat_prefix": names::FORWARD_PROXY,
        "cluster": name(proxy, options),
        "idle_timeout": TUNNEL_IDLE_TIMEOUT,
        "max_early_data_bytes": EARLY_DATA,
        "tunneling_config": with(json!({"hostname": target}), "headers_to_add", headers),
        "access_log": [failures(proxy)],
    });
    Some(json!({
        "name": name(proxy, options),
        "stat_prefix": names::FORWARD_PROXY,
        "internal_listener": {},
        "filter_chains": tcp_proxy(tunnel),
    }))
}

/// Logs a line to standard error for each tunnel that fails: `tunnel_response:407` is the proxy's
/// answer.
fn failures(proxy: &Proxy) -> Value {
    let line = format!(
        "llm-balancer: no tunnel through {} ({}) to %DYNAMIC_METADATA({TUNNEL}:{TARGET})%: %RESPONSE_FLAGS% %UPSTREAM_TRANSPORT_FAILURE_REASON%\n",
        proxy.url.display_url(),
        proxy.variable,
    );
    json!({
        "name": "envoy.access_loggers.stderr",
        "filter": {"response_flag_filter": {"flags": ["UF", "UH", "NC", "UO"]}},
        "typed_config": typed(
            "envoy.extensions.access_loggers.stream.v3.StderrAccessLog",
            json!({"log_format": {"text_format_source": {"inline_string": line}}}),
        ),
    })
}

/// The cluster of a deployment that is reached through a proxy.
pub(super) fn deployment(name: &str, endpoint: &Endpoint, proxy: &Proxy, options: &Options) -> Value {
    match endpoint.scheme() {
        Scheme::Http => forwarded(name, endpoint, proxy, options),
        Scheme::Https => inside(name, endpoint, proxy, options),
    }
}

/// TLS to the provider, inside of a tunnel.
fn inside(name: &str, endpoint: &Endpoint, proxy: &Proxy, options: &Options) -> Value {
    let target = target(endpoint);
    // The id keeps connections to different providers apart.
    let listener = json!({"server_listener_name": self::name(proxy, options), "endpoint_id": target});
    let place = json!({
        "endpoint": {"address": {"envoy_internal_address": listener}},
        "metadata": {"filter_metadata": {TUNNEL: {TARGET: target}}},
    });
    let tls = transport_socket(&endpoint.host, &endpoint.tls, &options.system_cas, Some("http/1.1"));
    with(at(name, place, http1_of_provider(IDLE_TIMEOUT)), "transport_socket", named_for_the_tunnel(tls))
}

/// Passes the endpoint's metadata to the listener.
fn named_for_the_tunnel(tls: Option<Value>) -> Value {
    let metadata = json!({"passthrough_metadata": [{"kind": {"host": {}}, "name": TUNNEL}]});
    internal_upstream(with(metadata, "transport_socket", tls))
}

/// HTTP to the provider: the request line holds its whole URL.
fn forwarded(name: &str, endpoint: &Endpoint, proxy: &Proxy, options: &Options) -> Value {
    // A cluster's filters take the place of the router's.
    let filters = authorization(proxy, endpoint)
        .map(|header| first_hop::upstream_filters(options, Some(adds(header))).into());
    let http1 = http1_options(
        IDLE_TIMEOUT,
        with(provider_options(), "send_fully_qualified_url", Value::Bool(true)),
        filters,
    );
    at_proxy(name, proxy, http1, &options.system_cas)
}

/// Set behind the filter, which does not know the proxy.
fn adds(header: Value) -> Value {
    let append = json!({"header": header, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"});
    header_mutation(json!({"append": append}))
}

/// A cluster with the proxy's address.
fn at_proxy(name: &str, proxy: &Proxy, protocol: Value, system_cas: &str) -> Value {
    let address = socket_address(&proxy.url.host, proxy.url.port);
    let cluster = at(name, message::endpoint(address), protocol);
    let cluster = with(cluster, "upstream_connection_options", tcp_keepalive());
    let lookup = is_name(&proxy.url.host).then(|| Lookup::Logical.cluster_type());
    let cluster = with(cluster, "cluster_type", lookup);
    let tls = if proxy.url.tls { Tls::SystemCas } else { Tls::Off };
    let socket = transport_socket(&proxy.url.host, &tls, system_cas, Some("http/1.1"));
    with(cluster, "transport_socket", socket)
}

/// `api.openai.com:443`, `[::1]:8443`
fn target(endpoint: &Endpoint) -> String {
    let Endpoint { host, port, .. } = endpoint;
    format!("{}:{port}", bracketed(host))
}

#[cfg(test)]
mod tests {
    use llm_balancer_config::read;

    use super::*;
    use crate::render::bootstrap;

    fn config(text: &str, variables: &[(&str, &str)]) -> Config {
        let lookup =
            |name: &str| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
        let reading = read("config.yaml", text, &lookup);
        reading.config.unwrap_or_else(|| panic!("{:?}", reading.findings))
    }

    fn rendered(config: &Config) -> Value {
        bootstrap(config, "", &Options::example())
    }

    fn items(bases: &[&str]) -> String {
        let item = |base: &&str| {
            format!(
                "- {{model_name: g, litellm_params: {{model: openai/m, api_base: '{base}', api_key: k}}}}\n"
            )
        };
        format!("model_list:\n{}", bases.iter().map(item).collect::<String>())
    }

    #[test]
    fn a_password_of_the_environment_is_in_no_rendered_file() {
        let config = config(
            &items(&["https://a/v1", "http://b/v1"]),
            &[("HTTPS_PROXY", "http://ada:s%40cret@p:3128"), ("HTTP_PROXY", "http://bob:word@q")],
        );
        let variables = variables(&config);
        let shown: Vec<_> = variables.iter().map(|(name, value)| (*name, value.reveal())).collect();
        let (https, http) = (BASE64.encode(b"ada:s@cret"), BASE64.encode(b"bob:word"));
        assert_eq!(
            shown,
            [
                (names::HTTPS_PROXY_AUTHORIZATION, format!("Basic {https}").as_str()),
                (names::HTTP_PROXY_AUTHORIZATION, format!("Basic {http}").as_str()),
            ]
        );
        let text = rendered(&config).to_string();
        for secret in ["s@cret", "s%40cret", "word", &https, &http] {
            assert!(!text.contains(secret), "{secret}");
        }
        for name in [names::HTTP_PROXY_AUTHORIZATION, names::HTTPS_PROXY_AUTHORIZATION] {
            assert!(text.contains(&format!("%ENVIRONMENT({name})%")), "{name}");
        }
    }

    #[test]
    fn many_deployments_share_one_way_out() {
        let bases: Vec<String> = (0..50).map(|number| format!("https://host{number}.example/v1")).collect();
        let bases: Vec<&str> = bases.iter().map(String::as_str).collect();
        let rendered = rendered(&config(&items(&bases), &[("ALL_PROXY", "p:1")]));
        let named = |pointer: &str| {
            let all = rendered.pointer(pointer).and_then(Value::as_array).unwrap();
            all.iter().filter(|it| it["name"].as_str().unwrap().starts_with(names::FORWARD_PROXY)).count()
        };
        assert_eq!((named("/static_resources/listeners"), named("/static_resources/clusters")), (1, 1));
    }

    #[test]
    fn no_name_of_a_provider_behind_a_proxy_is_looked_up() {
        let config = config(
            &items(&["https://far.example/v1", "http://far.example/v1"]),
            &[("ALL_PROXY", "10.0.0.9:3128")],
        );
        let text = rendered(&config)["static_resources"]["clusters"].to_string();
        assert!(!text.contains("envoy.clusters.dns"), "{text}");
    }

    #[test]
    fn without_a_proxy_nothing_leads_through_one() {
        let text = rendered(&config(&items(&["https://a/v1", "http://b/v1"]), &[])).to_string();
        assert!(!text.contains(names::FORWARD_PROXY) && !text.contains("fully_qualified"), "{text}");
    }
}
