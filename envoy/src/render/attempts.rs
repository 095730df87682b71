//! Behind the edge, inside of the same process: the filter decides here, afresh for every attempt.

use llm_balancer_config::{Config, names};
use serde_json::{Value, json};

use super::message::{http_connection_manager, http1, open_breakers, router, typed, with};
use super::withheld_headers::PROVIDER_HEADERS_WITHHELD;

/// The way here from the edge. HTTP/1: each attempt that is retried resets its stream, and HTTP/2 gives up the whole
/// connection after a thousand of those (docs/decisions/http1-inside.md).
pub(super) fn cluster(name: &str) -> Value {
    let plain = json!({
        "name": "envoy.transport_sockets.raw_buffer",
        "typed_config": typed("envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer", json!({})),
    });
    let address = json!({"envoy_internal_address": {"server_listener_name": name}});
    let cluster = json!({
        "name": name,
        "connect_timeout": "1s",
        "circuit_breakers": open_breakers(),
        // Shorter than the listener's own hour, so that no request meets a connection that is being closed; and short, so that an
        // old configuration is soon seen to be idle.
        "typed_extension_protocol_options": http1("10s"),
        "load_assignment": {
            "cluster_name": name,
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address}}]}],
        },
        "transport_socket": {
            "name": "envoy.transport_sockets.internal_upstream",
            "typed_config": typed(
                "envoy.extensions.transport_sockets.internal_upstream.v3.InternalUpstreamTransport",
                json!({"transport_socket": plain}),
            ),
        },
    });
    // Configurations come and go; in the statistics the way here stays one.
    with(cluster, "alt_stat_name", (name != names::ATTEMPTS).then(|| names::ATTEMPTS.into()))
}

pub(super) fn listener(name: &str, config: &Config, text: &str, filter: &str) -> Value {
    // The number of a configuration is in its root id, too: Envoy would take one that comes back for the one that it still has.
    let root_id = name.replace(names::ATTEMPTS, names::FILTER);
    json!({
        "name": name,
        "internal_listener": {},
        "filter_chains": http_connection_manager(json!({
            "stat_prefix": names::ATTEMPTS,
            // The edge has made one.
            "generate_request_id": false,
            "stream_idle_timeout": "0s",
            // Its only client is the edge, which must not wait a second for a stream that the filter has ended.
            "delayed_close_timeout": "0s",
            "access_log": if config.server.access_log { access_log() } else { json!([]) },
            "local_reply_config": {"mappers": [broken_off()]},
            "route_config": {"name": names::ATTEMPTS, "virtual_hosts": [virtual_host(config)]},
            "http_filters": [wasm(&root_id, config, text, filter), router()],
        })),
    })
}

/// One line for every request, written by the filter when its last attempt has ended; for all others there is nothing to write.
fn access_log() -> Value {
    let format = json!({
        "text_format_source": {"inline_string": format!("%FILTER_STATE(wasm.{}:PLAIN)%", names::ACCESS_LOG_ENTRY)},
        "omit_empty_values": true,
    });
    json!([{
        "name": "envoy.access_loggers.stdout",
        "typed_config": typed(
            "envoy.extensions.access_loggers.stream.v3.StdoutAccessLog",
            json!({"log_format": format}),
        ),
    }])
}

/// How long the connection had been there when the last byte of the request came, in microseconds. Envoy leaves the header
/// out where the connection is younger than the request.
const AGE_OF_CONNECTION: &str = "%COMMON_DURATION(US_CX_BEG:DS_RX_END:us)%";

/// A response that breaks off after its headers were held back by the filter is answered by Envoy past the filter, so
/// Envoy itself has to ask for the next attempt, which learns from the filter what became of this one. Where a local
/// reply does pass the filter, the filter has the last word.
fn broken_off() -> Value {
    const FLAGS: [&str; 7] = ["UT", "UC", "UPE", "UF", "UR", "LR", "SI"];
    json!({
        "filter": {"response_flag_filter": {"flags": FLAGS}},
        "headers_to_add": [
            // The filter's own answers bring the header, so that they stay as they are.
            {"header": {"key": names::RETRY, "value": "1"}, "append_action": "ADD_IF_ABSENT"},
            {"header": {"key": names::REUSED, "value": AGE_OF_CONNECTION}, "append_action": "ADD_IF_ABSENT"},
        ],
    })
}

/// What Envoy itself needs of the headers that the filter sets; all others were left out by the filter.
const KEPT_INSIDE: [&str; 2] = [names::CLUSTER, "x-forwarded-proto"];

/// Headers of a provider's answer that no client gets.
fn withheld_headers() -> Vec<&'static str> {
    PROVIDER_HEADERS_WITHHELD.iter().copied().chain([names::RETRY, names::REUSED]).collect()
}

fn virtual_host(config: &Config) -> Value {
    json!({
        "name": names::ATTEMPTS,
        "domains": ["*"],
        "request_headers_to_remove": KEPT_INSIDE,
        "response_headers_to_remove": withheld_headers(),
        "routes": [{
            "match": {"prefix": "/"},
            "request_body_buffer_limit": config.server.max_body_bytes,
            "route": {
                "cluster_header": names::CLUSTER,
                "timeout": "0s",
                // A gateway may let a WebSocket through to here: the filter refuses it in its own words.
                "upgrade_configs": [{"upgrade_type": "websocket"}],
            },
        }],
    })
}

/// The filter with the user's file, unchanged. Credentials named by `os.environ/` come from Envoy's environment.
fn wasm(root_id: &str, config: &Config, text: &str, filter: &str) -> Value {
    let vm = json!({
        "vm_id": names::FILTER,
        "runtime": "envoy.wasm.runtime.v8",
        "code": {"local": {"filename": filter}},
    });
    let variables = Some(&config.env_names).filter(|names| !names.is_empty());
    let vm = with(vm, "environment_variables", variables.map(|names| json!({"host_env_keys": names})));
    json!({
        "name": names::FILTER,
        "typed_config": typed("envoy.extensions.filters.http.wasm.v3.Wasm", json!({"config": {
            "name": names::FILTER,
            "root_id": root_id,
            "failure_policy": "FAIL_RELOAD",
            "allow_on_headers_stop_iteration": true,
            "vm_config": vm,
            "configuration": typed("google.protobuf.StringValue", json!({"value": text})),
        }})),
    })
}
