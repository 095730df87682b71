//! Building blocks of Envoy's configuration messages.

use std::net::SocketAddr;

use serde_json::{Value, json};

/// A message with its type, which must come first.
pub(super) fn typed(name: &str, message: Value) -> Value {
    let mut all = serde_json::Map::new();
    all.insert("@type".into(), format!("type.googleapis.com/{name}").into());
    if let Value::Object(members) = message {
        all.extend(members);
    }
    Value::Object(all)
}

/// A message with one more field, if there is a value.
pub(super) fn with(mut message: Value, field: &str, value: impl Into<Option<Value>>) -> Value {
    if let (Value::Object(members), Some(value)) = (&mut message, value.into()) {
        members.insert(field.to_owned(), value);
    }
    message
}

pub(super) fn socket_address(host: &str, port: u16) -> Value {
    json!({"socket_address": {"address": host, "port_value": port}})
}

/// A listener's address. `::` includes IPv4.
pub(super) fn listener_address(listen: SocketAddr) -> Value {
    let address = json!({"address": listen.ip().to_string(), "port_value": listen.port()});
    let every = (listen.is_ipv6() && listen.ip().is_unspecified()).then_some(Value::Bool(true));
    json!({"socket_address": with(address, "ipv4_compat", every)})
}

/// The name of the network filter for HTTP, and the type of its configuration.
pub(super) const HTTP_CONNECTION_MANAGER: &str = "envoy.filters.network.http_connection_manager";
pub(super) const HTTP_CONNECTION_MANAGER_TYPE: &str =
    "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager";

/// The filter chains of a listener that speaks HTTP.
pub(super) fn http_connection_manager(manager: Value) -> Value {
    filter_chains(HTTP_CONNECTION_MANAGER, typed(HTTP_CONNECTION_MANAGER_TYPE, manager))
}

/// The filter chains of a listener that passes bytes.
pub(super) fn tcp_proxy(proxy: Value) -> Value {
    const TYPE: &str = "envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy";
    filter_chains("envoy.filters.network.tcp_proxy", typed(TYPE, proxy))
}

fn filter_chains(name: &str, config: Value) -> Value {
    json!([{"filters": [{"name": name, "typed_config": config}]}])
}

/// The endpoint at an address.
pub(super) fn endpoint(address: Value) -> Value {
    json!({"endpoint": {"address": address}})
}

/// The endpoints of a cluster: one.
pub(super) fn load_assignment(cluster: &str, endpoint: Value) -> Value {
    json!({"cluster_name": cluster, "endpoints": [{"lb_endpoints": [endpoint]}]})
}

/// The transport socket to an internal listener.
pub(super) fn internal_upstream(transport: Value) -> Value {
    const TYPE: &str = "envoy.extensions.transport_sockets.internal_upstream.v3.InternalUpstreamTransport";
    json!({"name": "envoy.transport_sockets.internal_upstream", "typed_config": typed(TYPE, transport)})
}

/// The name of the last HTTP filter, and the type of its configuration.
pub(super) const ROUTER: &str = "envoy.filters.http.router";
pub(super) const ROUTER_TYPE: &str = "envoy.extensions.filters.http.router.v3.Router";

/// The last HTTP filter, without its `x-envoy-` headers about the upstream, and without statistics
/// of each status, whose names it would look up for every answer.
pub(super) fn router() -> Value {
    router_with(json!({}))
}

/// The same with further options.
pub(super) fn router_with(options: Value) -> Value {
    json!({
        "name": ROUTER,
        "typed_config": typed(
            ROUTER_TYPE,
            with(with(options, "suppress_envoy_headers", Value::Bool(true)), "dynamic_stats", Value::Bool(false)),
        ),
    })
}

/// HTTP/1.1 to the upstream; an idle connection is closed after this time.
pub(super) fn http1(idle_timeout: &str) -> Value {
    http1_options(idle_timeout, json!({}), None)
}

/// The same to a provider, whose answers may have a length and be chunked as well: the chunks count
/// (RFC 9112, 6.3). Portkey's gateway sends both.
pub(super) fn http1_of_provider(idle_timeout: &str) -> Value {
    http1_options(idle_timeout, provider_options(), None)
}

/// Options for answers of providers.
pub(super) fn provider_options() -> Value {
    json!({"allow_chunked_length": true})
}

/// The most headers of a request and of an answer, of which Envoy allows 100 by default. Two LiteLLM
/// proxies in a row send 82.
pub(super) const MAX_HEADERS: u32 = 200;

/// The same with further options and upstream filters.
pub(super) fn http1_options(idle_timeout: &str, options: Value, filters: Option<Value>) -> Value {
    const TYPE: &str = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";
    let protocol = json!({
        "common_http_protocol_options": {"idle_timeout": idle_timeout, "max_headers_count": MAX_HEADERS},
        "explicit_http_config": {"http_protocol_options": options},
    });
    json!({TYPE: typed(TYPE, with(protocol, "http_filters", filters))})
}

/// The VM of a filter in WebAssembly, which has the filter's name. `code` says where the module is.
pub(super) fn wasm_vm(name: &str, code: Value) -> Value {
    json!({"vm_id": name, "runtime": "envoy.wasm.runtime.v8", "code": {"local": code}})
}

/// Whether a filter in WebAssembly may pause headers without the body behind them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Headers {
    Pass,
    MayPause,
}

/// A filter in WebAssembly.
pub(super) fn wasm_filter(
    (name, root_id): (&str, &str),
    headers: Headers,
    vm: Value,
    configuration: Option<Value>,
) -> Value {
    let plugin = json!({"name": name, "root_id": root_id, "failure_policy": "FAIL_RELOAD"});
    let may_pause = (headers == Headers::MayPause).then_some(Value::Bool(true));
    let plugin = with(plugin, "allow_on_headers_stop_iteration", may_pause);
    let plugin = with(with(plugin, "vm_config", vm), "configuration", configuration);
    let config = typed("envoy.extensions.filters.http.wasm.v3.Wasm", json!({"config": plugin}));
    json!({"name": name, "typed_config": config})
}

/// A filter that changes a request's headers by one mutation.
pub(super) fn header_mutation(mutation: Value) -> Value {
    let mutations = json!({"mutations": {"request_mutations": [mutation]}});
    json!({
        "name": "envoy.filters.http.header_mutation",
        "typed_config": typed("envoy.extensions.filters.http.header_mutation.v3.HeaderMutation", mutations),
    })
}

/// The extensions of a connection manager that change a request's headers before the first filter.
pub(super) fn early_header_mutation(mutations: Vec<Value>) -> Value {
    const TYPE: &str = "envoy.extensions.http.early_header_mutation.header_mutation.v3.HeaderMutation";
    let mutations = typed(TYPE, json!({"mutations": mutations}));
    json!([{"name": "envoy.http.early_header_mutation.header_mutation", "typed_config": mutations}])
}

/// Sets a header, whether it is there or not.
pub(super) fn overwrite(name: &str, value: &str) -> Value {
    json!({
        "header": {"key": name, "value": value},
        "append_action": "OVERWRITE_IF_EXISTS_OR_ADD",
    })
}

/// The last upstream filter.
pub(super) fn upstream_codec() -> Value {
    const TYPE: &str = "envoy.extensions.filters.http.upstream_codec.v3.UpstreamCodec";
    json!({"name": "envoy.filters.http.upstream_codec", "typed_config": typed(TYPE, json!({}))})
}

/// Circuit breakers that never open: the filter limits requests in flight, and a breaker's 503
/// would count as a failure of the provider. (Envoy's default of 3 concurrent retries failed 88 %
/// of the requests of 32 clients.)
pub(super) fn open_breakers() -> Value {
    const OPEN: u32 = 1_000_000;
    json!({"thresholds": [{
        "max_connections": OPEN,
        "max_pending_requests": OPEN,
        "max_requests": OPEN,
        "max_retries": OPEN,
    }]})
}
