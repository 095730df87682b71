//! The connection to Redis for a filter that can only send HTTP requests.
//!
//! ```text
//! filter ── POST ── cluster "redis-hop" ── Unix socket ── listener "redis-hop" ── cluster "redis" ── Redis
//!           commands, the last one QUIT    0600           body to bytes and back   TCP or TLS
//! ```
//!
//! A Unix socket, because the main thread's VM cannot reach an internal listener, and because its
//! mode keeps other users out. The filter authenticates itself, so nothing here holds a password.

use llm_balancer_config::{Redis, names};
use serde_json::{Value, json};

use super::message::{http_connection_manager, http1, open_breakers, router, socket_address, with};
use super::upstream_cluster::{Lookup, is_name, transport_socket};

/// rw-------
const MODE: u32 = 0o600;

/// Longer than any call of the filter: only ends what the filter has given up.
const TIMEOUT: &str = "1s";

/// Short: treat a slow Redis as down.
const CONNECT_TIMEOUT: &str = "0.25s";

/// Turns the body of a POST into bytes to Redis, and its replies into the answer's body.
pub(super) fn listener(socket: &str) -> Value {
    json!({
        "name": names::REDIS_HOP,
        "stat_prefix": names::REDIS_HOP,
        "address": pipe(socket),
        "filter_chains": http_connection_manager(json!({
            "stat_prefix": names::REDIS_HOP,
            "generate_request_id": false,
            "stream_idle_timeout": TIMEOUT,
            "request_headers_timeout": TIMEOUT,
            "delayed_close_timeout": "0s",
            "route_config": {"name": names::REDIS_HOP, "virtual_hosts": [virtual_host()]},
            "http_filters": [router()],
        })),
    })
}

/// POST only: another method would reach Redis as HTTP.
fn virtual_host() -> Value {
    let post = json!([{"name": ":method", "string_match": {"exact": "POST"}}]);
    json!({
        "name": names::REDIS_HOP,
        "domains": ["*"],
        "routes": [{
            "match": {"prefix": "/", "headers": post},
            "route": {
                "cluster": names::REDIS,
                "timeout": TIMEOUT,
                "upgrade_configs": [{"upgrade_type": "CONNECT", "connect_config": {"allow_post": true}}],
            },
        }],
    })
}

pub(super) fn clusters(redis: &Redis, socket: &str, system_cas: &str) -> [Value; 2] {
    let hop = json!({
        "name": names::REDIS_HOP,
        "connect_timeout": CONNECT_TIMEOUT,
        "circuit_breakers": open_breakers(),
        "typed_extension_protocol_options": http1("60s"),
        "load_assignment": load_assignment(names::REDIS_HOP, &pipe(socket)),
    });
    let server = json!({
        "name": names::REDIS,
        "connect_timeout": CONNECT_TIMEOUT,
        "circuit_breakers": open_breakers(),
        "load_assignment": load_assignment(names::REDIS, &socket_address(&redis.host, redis.port)),
    });
    // One server, however many addresses its name has: counts spread over several servers would
    // limit nothing.
    let lookup = is_name(&redis.host).then(|| Lookup::Logical.cluster_type());
    let server = with(server, "cluster_type", lookup);
    [hop, with(server, "transport_socket", transport_socket(&redis.host, &redis.tls, system_cas, None))]
}

fn pipe(socket: &str) -> Value {
    json!({"pipe": {"path": socket, "mode": MODE}})
}

fn load_assignment(name: &str, address: &Value) -> Value {
    json!({"cluster_name": name, "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address}}]}]})
}
