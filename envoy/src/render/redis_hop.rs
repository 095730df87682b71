//! The connection to Redis: a Unix socket, and behind it the cluster `redis` with TCP or TLS. Its mode
//! keeps other users out. The filter authenticates itself, so nothing here holds a password.
//!
//! A dynamic module connects to the socket itself, and the listener passes bytes.
//!
//! ```text
//! module ── Unix socket ── listener "redis-hop" ── cluster "redis" ── Redis
//!           0600           passes bytes            TCP or TLS
//! ```
//!
//! A filter in WebAssembly can only send HTTP requests.
//!
//! ```text
//! filter ── POST ── cluster "redis-hop" ── Unix socket ── listener "redis-hop" ── cluster "redis" ── Redis
//!           commands, the last one QUIT    0600           body to bytes and back   TCP or TLS
//! ```
//!
//! The listener's own filter (`redis_hop.wat`) keeps the connection open until Redis ends it, which
//! it does after QUIT. So a call may wait in Redis for another instance.
//!
//! A Unix socket, because the main thread's VM cannot reach an internal listener.

use data_encoding::BASE64;
use llm_balancer_config::{Redis, names};
use serde_json::{Value, json};

use super::message::{
    Headers, endpoint, http_connection_manager, http1, load_assignment, open_breakers, router,
    socket_address, tcp_proxy, wasm_filter, wasm_vm, with,
};
use super::process::{Options, Runtime};
use super::upstream_cluster::{Lookup, is_name, transport_socket};

/// rw-------
const MODE: u32 = 0o600;

/// The timeout of the filter's calls: the filter waits for half of it at least, and must be the first
/// to give up, for it knows why.
const TIMEOUT: &str = "2s";

/// The same for calls that wait for other instances.
const WAIT_TIMEOUT: &str = "70s";

/// Short: treat a slow Redis as down.
const CONNECT_TIMEOUT: &str = "0.25s";

pub(super) fn listener(options: &Options) -> Value {
    json!({
        "name": names::REDIS_HOP,
        "stat_prefix": names::REDIS_HOP,
        "address": pipe(&options.redis_socket),
        // Clients cannot keep it busy.
        "ignore_global_conn_limit": true,
        "filter_chains": match options.runtime() {
            Runtime::Wasm => http(),
            Runtime::Module => tcp(),
        },
    })
}

/// Turns the body of a POST into bytes to Redis, and its replies into the answer's body.
fn http() -> Value {
    http_connection_manager(json!({
        "stat_prefix": names::REDIS_HOP,
        "generate_request_id": false,
        "stream_idle_timeout": TIMEOUT,
        "request_headers_timeout": TIMEOUT,
        "delayed_close_timeout": "0s",
        "route_config": {"name": names::REDIS_HOP, "virtual_hosts": [virtual_host()]},
        "http_filters": [keep_open(), router()],
    }))
}

/// Passes bytes. The module ends a call that takes too long.
fn tcp() -> Value {
    tcp_proxy(json!({"stat_prefix": names::REDIS_HOP, "cluster": names::REDIS, "idle_timeout": WAIT_TIMEOUT}))
}

/// Holds back the end of a call. Every gateway has it as it is: it needs no file.
fn keep_open() -> Value {
    let code = BASE64.encode(include_bytes!(concat!(env!("OUT_DIR"), "/redis_hop.wasm")));
    let vm = wasm_vm(names::REDIS_HOP, json!({"inline_bytes": code}));
    wasm_filter((names::REDIS_HOP, names::REDIS_HOP), Headers::Pass, vm, None)
}

fn virtual_host() -> Value {
    json!({
        "name": names::REDIS_HOP,
        "domains": ["*"],
        "routes": [route(json!({"path": names::REDIS_WAIT}), WAIT_TIMEOUT), route(json!({"prefix": "/"}), TIMEOUT)],
    })
}

/// POST only: another method would reach Redis as HTTP.
fn route(path: Value, timeout: &str) -> Value {
    let post = json!([{"name": ":method", "string_match": {"exact": "POST"}}]);
    json!({
        "match": with(path, "headers", post),
        "route": {
            "cluster": names::REDIS,
            "timeout": timeout,
            "idle_timeout": timeout,
            "upgrade_configs": [{"upgrade_type": "CONNECT", "connect_config": {"allow_post": true}}],
        },
    })
}

pub(super) fn clusters(redis: &Redis, options: &Options) -> Vec<Value> {
    let hop = (options.runtime() == Runtime::Wasm).then(|| hop(&options.redis_socket));
    hop.into_iter().chain([server(redis, &options.system_cas)]).collect()
}

/// To the listener.
fn hop(socket: &str) -> Value {
    json!({
        "name": names::REDIS_HOP,
        "connect_timeout": CONNECT_TIMEOUT,
        "circuit_breakers": open_breakers(),
        "typed_extension_protocol_options": http1("60s"),
        "load_assignment": load_assignment(names::REDIS_HOP, endpoint(pipe(socket))),
    })
}

fn server(redis: &Redis, system_cas: &str) -> Value {
    let address = socket_address(&redis.host, redis.port);
    let server = json!({
        "name": names::REDIS,
        "connect_timeout": CONNECT_TIMEOUT,
        "circuit_breakers": open_breakers(),
        "load_assignment": load_assignment(names::REDIS, endpoint(address)),
    });
    // One server, however many addresses its name has: counts spread over several servers would
    // limit nothing.
    let lookup = is_name(&redis.host).then(|| Lookup::Logical.cluster_type());
    let server = with(server, "cluster_type", lookup);
    with(server, "transport_socket", transport_socket(&redis.host, &redis.tls, system_cas, None))
}

fn pipe(socket: &str) -> Value {
    json!({"pipe": {"path": socket, "mode": MODE}})
}
