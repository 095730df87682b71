//! Building blocks of Envoy's configuration messages.

use std::net::SocketAddr;

use serde_json::{Value, json};

/// A message of Envoy's with its type, which goes first.
pub(super) fn typed(name: &str, message: Value) -> Value {
    let mut all = serde_json::Map::new();
    all.insert("@type".into(), format!("type.googleapis.com/{name}").into());
    if let Value::Object(members) = message {
        all.extend(members);
    }
    Value::Object(all)
}

/// A message with one more field, if there is something to put into it.
pub(super) fn with(mut message: Value, field: &str, value: impl Into<Option<Value>>) -> Value {
    if let (Value::Object(members), Some(value)) = (&mut message, value.into()) {
        members.insert(field.to_owned(), value);
    }
    message
}

pub(super) fn socket_address(host: &str, port: u16) -> Value {
    json!({"socket_address": {"address": host, "port_value": port}})
}

/// Where a listener listens. `--host ::` means every address, as it does elsewhere.
pub(super) fn listener_address(listen: SocketAddr) -> Value {
    let address = json!({"address": listen.ip().to_string(), "port_value": listen.port()});
    let every = (listen.is_ipv6() && listen.ip().is_unspecified()).then_some(Value::Bool(true));
    json!({"socket_address": with(address, "ipv4_compat", every)})
}

/// A listener's one filter chain, which speaks HTTP.
pub(super) fn http_connection_manager(manager: Value) -> Value {
    const TYPE: &str = "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager";
    let name = "envoy.filters.network.http_connection_manager";
    json!([{"filters": [{"name": name, "typed_config": typed(TYPE, manager)}]}])
}

/// The last HTTP filter; it tells nobody what it knows about the upstream.
pub(super) fn router() -> Value {
    json!({
        "name": "envoy.filters.http.router",
        "typed_config": typed("envoy.extensions.filters.http.router.v3.Router", json!({"suppress_envoy_headers": true})),
    })
}

/// HTTP/1.1 to the upstream, idle connections closed after this long.
pub(super) fn http1(idle_timeout: &str) -> Value {
    http1_options(idle_timeout, json!({}), None)
}

/// The same with further options, and with filters on the way out.
pub(super) fn http1_options(idle_timeout: &str, options: Value, filters: Option<Value>) -> Value {
    const TYPE: &str = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";
    let protocol = json!({
        "common_http_protocol_options": {"idle_timeout": idle_timeout},
        "explicit_http_config": {"http_protocol_options": options},
    });
    json!({TYPE: typed(TYPE, with(protocol, "http_filters", filters))})
}

/// Out of the way: how much a deployment may have in flight is the filter's to decide, and a breaker's 503 would
/// count as the provider's failure. (The default of 3 retries at a time failed 88 % of the requests of 32 clients.)
pub(super) fn open_breakers() -> Value {
    const OPEN: u32 = 1_000_000;
    json!({"thresholds": [{
        "max_connections": OPEN,
        "max_pending_requests": OPEN,
        "max_requests": OPEN,
        "max_retries": OPEN,
    }]})
}
