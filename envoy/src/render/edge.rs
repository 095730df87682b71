//! The listener for clients: it keeps the body of a request and sends it again for as long as the filter asks for that.

use std::net::SocketAddr;

use llm_balancer_config::{Config, max_edge_retries, names};
use serde_json::{Value, json};

use super::local_replies::local_replies;
use super::message::{http_connection_manager, listener_address, router, typed, with};

/// Name of the listener, and of its routes.
pub(super) const EDGE: &str = "edge";

/// What the replay buffer needs beyond the body: a request above it is sent, but never again.
const REPLAY_SLACK: u64 = 1024 * 1024;

/// The listener with its routes, or with word of where they are found.
pub(super) fn listener(listen: SocketAddr, routes: (&str, Value)) -> Value {
    json!({
        "name": EDGE,
        // What `/drain_listeners?inboundonly` closes: the others are needed by requests that are under way.
        "traffic_direction": "INBOUND",
        "address": listener_address(listen),
        "filter_chains": http_connection_manager(manager(routes)),
    })
}

fn manager((kind, routes): (&str, Value)) -> Value {
    let manager = json!({
        "stat_prefix": EDGE,
        "codec_type": "AUTO",
        // The connection says who the client is, and nobody counts as internal (an empty list would stand for loopback
        // and the private networks): only then does Envoy drop the x-envoy- headers with which a client could set
        // timeouts and retries, and an x-request-id that would become the id of the stream.
        "use_remote_address": true,
        "internal_address_config": {"cidr_ranges": [{"address_prefix": "0.0.0.0", "prefix_len": 32}]},
        "skip_xff_append": true,
        // Paths are left as they are: models' names hold slashes and colons, and `/` written as %2F is not a slash.
        // An answer may be silent for as long as the provider's timeout lets it be.
        "stream_idle_timeout": "0s",
        // Until a request is complete it holds memory and has no other timeout. Ten seconds suffice for headers;
        // 64 MiB in five minutes are 1.8 Mbit/s.
        "request_headers_timeout": "10s",
        "request_timeout": "300s",
        // Envoy's advice for listeners that face clients.
        "http2_protocol_options": {
            "max_concurrent_streams": 100,
            "initial_stream_window_size": 65_536,
            "initial_connection_window_size": 1_048_576,
        },
        "local_reply_config": local_replies(),
        "http_filters": [gunzip(), router()],
    });
    with(manager, kind, routes)
}

/// All requests go to one listener, and so to one configuration of the filter, with every attempt that they make.
pub(super) fn routes(config: &Config, attempts: &str) -> Value {
    json!({"name": EDGE, "virtual_hosts": [virtual_host(config, attempts)]})
}

fn virtual_host(config: &Config, attempts: &str) -> Value {
    json!({
        "name": EDGE,
        "domains": ["*"],
        "include_request_attempt_count": true,
        "request_headers_to_add": [{
            "header": {"key": names::CLIENT, "value": "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%"},
            "append_action": "OVERWRITE_IF_EXISTS_OR_ADD",
        }],
        // By which a client can be told which line of the access log is about it.
        "response_headers_to_add": [{
            "header": {"key": "x-litellm-call-id", "value": format!("%REQ({})%", names::STREAM_ID)},
            "append_action": "OVERWRITE_IF_EXISTS_OR_ADD",
        }],
        // A client has no say in where a request goes, whatever becomes of the filter.
        "request_headers_to_remove": [names::CLUSTER],
        // What the parts of the process tell each other; and where a provider would have the client go.
        "response_headers_to_remove": [names::RETRY, names::REUSED, "location"],
        "routes": [{
            "match": {"prefix": "/"},
            "request_body_buffer_limit": replay_limit(config.server.max_body_bytes),
            "route": {"cluster": attempts, "timeout": "0s", "retry_policy": retry_policy(config)},
        }],
    })
}

/// A body can count double against the limit while it moves through Envoy's buffers.
fn replay_limit(max_body_bytes: u64) -> u64 {
    max_body_bytes.saturating_mul(2).saturating_add(REPLAY_SLACK)
}

/// The filter says when to try again; what else is retried are failures of the way to the filter.
fn retry_policy(config: &Config) -> Value {
    json!({
        "retry_on": "retriable-headers,reset,connect-failure",
        "retriable_headers": [{"name": names::RETRY, "string_match": {"exact": "1"}}],
        "num_retries": max_edge_retries(config),
        // Nobody is spared by waiting: the next attempt goes to another deployment. The filter waits where one must.
        "retry_back_off": {"base_interval": "0.001s", "max_interval": "0.001s"},
    })
}

/// Unpacks requests with `content-encoding: gzip`; answers pass as the provider sent them.
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
