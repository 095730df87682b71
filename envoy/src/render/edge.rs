//! The listener for clients. It buffers the body of a request and retries while the filter asks for
//! it.

use llm_balancer_config::{Config, WITHHELD_HEADERS, max_edge_retries, names};
use serde_json::{Value, json};

use super::local_replies::local_replies;
use super::message::{
    MAX_HEADERS, http_connection_manager, listener_address, overwrite, router, router_with, typed, with,
};
use super::process::{Hops, Options, Runtime};
use super::{attempts, first_hop, silence};

/// Name of the listener, and of its routes.
pub(super) const EDGE: &str = "edge";

/// Bytes of the replay buffer beyond the body. A request above the buffer is sent once and never
/// retried.
const REPLAY_SLACK: u64 = 1024 * 1024;

/// How long a client may keep a connection without a request, each of which takes a descriptor.
/// Longer than load balancers keep theirs, of which Google's have 600 s, so that it is they who
/// close them. Envoy's default is an hour.
const IDLE_TIMEOUT: &str = "660s";

/// Response headers between the filter and the edge, and a redirect of the provider.
const INTERNAL: [&str; 3] = [names::RETRY, names::REUSED, "location"];

/// The listener. `routes` is the field of the connection manager that has them: inline, or the
/// source to load them from. So is `filter`, which only one hop uses.
pub(super) fn listener(options: &Options, routes: (&str, Value), filter: Value) -> Value {
    json!({
        "name": EDGE,
        // For `/drain_listeners?inboundonly`: requests in flight need the other listeners.
        "traffic_direction": "INBOUND",
        "address": listener_address(options.listen),
        "filter_chains": http_connection_manager(with_first_hop(manager(routes), options, filter)),
    })
}

/// Adds the filter for first attempts, if they take one hop.
fn with_first_hop(manager: Value, options: &Options, filter: Value) -> Value {
    if options.hops == Hops::Two {
        return manager;
    }
    let router = router_with(json!({"upstream_http_filters": first_hop::upstream_filters(options, None)}));
    // A module runs a request through the edge again by itself.
    let next_attempt = (options.runtime() == Runtime::Wasm).then(first_hop::next_attempt);
    let filters: Vec<_> = next_attempt.into_iter().chain([gunzip(), filter, router]).collect();
    let manager = with(manager, "http_filters", Value::from(filters));
    let manager = with(manager, "early_header_mutation_extensions", first_hop::early_headers());
    let manager = with(manager, "local_reply_config", local_replies(&first_hop::local_reply_mappers()));
    // Also where the filter writes no line: a reload may turn it on, and does not change the edge.
    with(manager, "access_log", attempts::access_log())
}

fn manager((kind, routes): (&str, Value)) -> Value {
    let manager = json!({
        "stat_prefix": EDGE,
        "codec_type": "AUTO",
        // The connection identifies the client, and no address is internal: only then does Envoy
        // drop the x-envoy- headers with which a client could set timeouts and retries, and an
        // x-request-id that would become the id of the stream. An empty message would make loopback
        // and private networks internal (seen in 1.40).
        "use_remote_address": true,
        "internal_address_config": {"cidr_ranges": [{"address_prefix": "0.0.0.0", "prefix_len": 32}]},
        "skip_xff_append": true,
        // No path normalization: names of models hold slashes and colons, and %2F is not a slash.
        // The filter ends silent answers by the deployment's timeout. Routes end those whose filter is
        // gone.
        "stream_idle_timeout": "0s",
        // An incomplete request holds memory and has no other timeout. 64 MiB in five minutes are
        // 1.8 Mbit/s.
        "request_headers_timeout": "10s",
        "request_timeout": "300s",
        // An answer that its client does not take has no other timeout: HTTP/2's windows may stay
        // closed.
        "stream_flush_timeout": "300s",
        // Apache's HttpClient offers TLS with every plain request; a server may stay with the protocol
        // that it has (RFC 9110, 7.8). Envoy itself ignores an offer of HTTP/2 only.
        "http_protocol_options": {"ignore_http_11_upgrade": [{"prefix": "TLS/"}]},
        // As Envoy recommends for edge proxies (best_practices/edge).
        "http2_protocol_options": {
            "max_concurrent_streams": 100,
            "initial_stream_window_size": 65_536,
            "initial_connection_window_size": 1_048_576,
        },
        // After an answer that ends the connection. Clients see only then that it breaks off, and
        // Claude Code sends its next request on it meanwhile. Envoy's default is a second.
        "delayed_close_timeout": "0.2s",
        "common_http_protocol_options": {"idle_timeout": IDLE_TIMEOUT, "max_headers_count": MAX_HEADERS},
        "local_reply_config": local_replies(&[]),
        "http_filters": [gunzip(), router()],
    });
    with(manager, kind, routes)
}

/// The routes. With two hops they lead to one listener, so that all attempts of a request see the
/// same configuration of the filter. With one hop the filter chooses.
pub(super) fn routes(config: &Config, attempts: &str, options: &Options) -> Value {
    let virtual_host = match options.hops {
        Hops::One => first_hop_virtual_host(config, options.runtime()),
        Hops::Two => virtual_host(config, attempts),
    };
    json!({"name": EDGE, "virtual_hosts": [virtual_host]})
}

fn first_hop_virtual_host(config: &Config, runtime: Runtime) -> Value {
    let route = with(
        retried(config, "cluster_header", names::CLUSTER),
        "request_headers_to_remove",
        json!([names::CLUSTER]),
    );
    let matched = json!({"prefix": "/", "headers": first_hop::is_later_attempt()});
    let later = with(with(route, "match", matched), "response_headers_to_remove", json!(INTERNAL));
    let first = with(
        first_hop::route(replay_limit(config.server.max_body_bytes)),
        "response_headers_to_remove",
        (runtime == Runtime::Wasm).then(|| json!([attempts::EXPLANATION])),
    );
    let first = silence::limited(&first);
    let routes: Vec<_> = [later].into_iter().chain(first).collect();
    let virtual_host = json!({
        "name": EDGE,
        "domains": ["*"],
        "include_request_attempt_count": true,
    });
    // Later attempts come without them. A module removes those that are there from the provider's
    // answer; Envoy looks for each.
    let withheld = (runtime == Runtime::Wasm).then(|| json!(WITHHELD_HEADERS));
    with(with(virtual_host, "response_headers_to_remove", withheld), "routes", json!(routes))
}

/// The route to the internal listener.
fn retried(config: &Config, kind: &str, cluster: &str) -> Value {
    // The listener behind it limits each attempt.
    let route = json!({"timeout": "0s", "idle_timeout": "0s", "retry_policy": retry_policy(config)});
    json!({
        "match": {"prefix": "/"},
        "request_body_buffer_limit": replay_limit(config.server.max_body_bytes),
        "route": with(route, kind, Value::from(cluster)),
        // The id in the access log.
        "response_headers_to_add": [overwrite("x-litellm-call-id", &format!("%REQ({})%", names::STREAM_ID))],
    })
}

fn virtual_host(config: &Config, attempts: &str) -> Value {
    json!({
        "name": EDGE,
        "domains": ["*"],
        "include_request_attempt_count": true,
        "request_headers_to_add": [overwrite(names::CLIENT, first_hop::CLIENT_ADDRESS)],
        // Only the filter may choose the cluster.
        "request_headers_to_remove": [names::CLUSTER],
        "response_headers_to_remove": INTERNAL,
        "routes": [retried(config, "cluster", attempts)],
    })
}

/// Bytes. A body may count twice while it moves through Envoy's buffers.
fn replay_limit(max_body_bytes: u64) -> u64 {
    max_body_bytes.saturating_mul(2).saturating_add(REPLAY_SLACK)
}

/// Retries on the filter's header, and on failures of the connection to the filter.
fn retry_policy(config: &Config) -> Value {
    json!({
        "retry_on": "retriable-headers,reset,connect-failure",
        "retriable_headers": [{"name": names::RETRY, "string_match": {"exact": "1"}}],
        "num_retries": max_edge_retries(config),
        // No back-off here: the next attempt goes to another deployment, and the filter waits where
        // it must.
        "retry_back_off": {"base_interval": "0.001s", "max_interval": "0.001s"},
    })
}

/// Decompresses requests with `content-encoding: gzip`, not answers.
fn gunzip() -> Value {
    let gzip = "envoy.compression.gzip.decompressor";
    json!({
        "name": "envoy.filters.http.decompressor",
        "typed_config": typed("envoy.extensions.filters.http.decompressor.v3.Decompressor", json!({
            "decompressor_library": {
                "name": gzip,
                "typed_config": typed("envoy.extensions.compression.gzip.decompressor.v3.Gzip", json!({})),
            },
            "request_direction_config": {"advertise_accept_encoding": false},
            "response_direction_config": {"common_config": {
                "enabled": {"default_value": false, "runtime_key": "edge.decompress_responses"},
            }},
        })),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_at_the_limit_can_be_sent_again_though_it_counts_double() {
        assert!(replay_limit(64 << 20) > 2 * (64 << 20));
        assert_eq!(replay_limit(u64::MAX), u64::MAX);
    }
}
