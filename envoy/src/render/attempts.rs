//! The internal listener behind the edge: the filter selects a deployment here, anew for every
//! attempt.

use data_encoding::BASE64;
use llm_balancer_config::{Config, WITHHELD_HEADERS, names};
use serde_json::{Value, json};

use super::dynamic_module;
use super::message::{
    Headers, MAX_HEADERS, endpoint, http_connection_manager, http1_options, internal_upstream,
    load_assignment, open_breakers, router, typed, upstream_codec, wasm_filter, wasm_vm, with,
};
use super::process::{FilterSource, Hops, Options};
use super::silence;

/// The cluster from the edge to the listener. HTTP/1: every retried attempt resets its stream, and
/// HTTP/2 closes the connection after a thousand resets (docs/decisions/http1-inside.md).
pub(super) fn cluster(name: &str, hops: Hops) -> Value {
    // With one hop the edge's router has filters for providers. These take their place.
    let filters = (hops == Hops::One).then(|| json!([upstream_codec()]));
    let plain = json!({
        "name": "envoy.transport_sockets.raw_buffer",
        "typed_config": typed("envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer", json!({})),
    });
    let address = json!({"envoy_internal_address": {"server_listener_name": name}});
    let cluster = json!({
        "name": name,
        "connect_timeout": "1s",
        "circuit_breakers": open_breakers(),
        // Shorter than the listener's timeout of an hour, so that no request meets a closing
        // connection; and short, so that an old revision is soon idle.
        "typed_extension_protocol_options": http1_options("10s", json!({}), filters),
        "load_assignment": load_assignment(name, endpoint(address)),
        "transport_socket": internal_upstream(json!({"transport_socket": plain})),
    });
    // One name in the statistics for all revisions.
    with(cluster, "alt_stat_name", (name != names::ATTEMPTS).then(|| names::ATTEMPTS.into()))
}

pub(super) fn listener(name: &str, config: &Config, file: &Value, options: &Options) -> Value {
    // The root id holds the revision: Envoy would reuse the old configuration under the same id.
    let root_id = name.replace(names::ATTEMPTS, names::FILTER);
    json!({
        "name": name,
        "internal_listener": {},
        "filter_chains": http_connection_manager(json!({
            "stat_prefix": names::ATTEMPTS,
            // The edge generates it.
            "generate_request_id": false,
            "stream_idle_timeout": "0s",
            // The edge must not wait a second for a stream that the filter has ended.
            "delayed_close_timeout": "0s",
            "common_http_protocol_options": {"max_headers_count": MAX_HEADERS},
            "access_log": if config.server.access_log { access_log() } else { json!([]) },
            "local_reply_config": {"mappers": [interrupted(true)]},
            "route_config": {"name": names::ATTEMPTS, "virtual_hosts": [virtual_host(config)]},
            "http_filters": [filter(&root_id, config, file, options), router()],
        })),
    })
}

/// Prints the line that the filter writes after the last attempt of a request; nothing for other
/// attempts, or if the filter writes none.
pub(super) fn access_log() -> Value {
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

/// Age of the upstream connection when the request was complete, in microseconds. Envoy leaves the
/// header out if the connection is younger than the request.
const AGE_OF_CONNECTION: &str = "%COMMON_DURATION(US_CX_BEG:DS_RX_END:us)%";

/// If a response breaks off while the filter holds its headers, Envoy's local reply bypasses the
/// filter. Where it `asks` the edge, the mapper requests the next attempt, in which the filter finds
/// out what happened.
pub(super) fn interrupted(asks: bool) -> Value {
    const FLAGS: [&str; 7] = ["UT", "UC", "UPE", "UF", "UR", "LR", "SI"];
    // The filter's own answers have the headers already, and keep them.
    let header = |key: &str, value: &str| json!({"header": {"key": key, "value": value}, "append_action": "ADD_IF_ABSENT"});
    let retry = asks.then(|| header(names::RETRY, "1"));
    let added: Vec<_> = retry.into_iter().chain([header(names::REUSED, AGE_OF_CONNECTION)]).collect();
    json!({"filter": {"response_flag_filter": {"flags": FLAGS}}, "headers_to_add": added})
}

/// Headers that the filter sets for Envoy, not for the provider.
pub(super) const KEPT_INSIDE: [&str; 2] = [names::CLUSTER, "x-forwarded-proto"];

/// The filter's explanation, which passes the edge after a later attempt: only routes to providers
/// remove it.
pub(super) const EXPLANATION: &str = "x-llm-balancer-explain";

fn virtual_host(config: &Config) -> Value {
    let withheld = [&[EXPLANATION], WITHHELD_HEADERS].concat();
    let route = json!({
        "match": {"prefix": "/"},
        "request_body_buffer_limit": config.server.max_body_bytes,
        "route": {
            "cluster_header": names::CLUSTER,
            "timeout": "0s",
            // A gateway may pass a WebSocket, which the filter answers with an error.
            "upgrade_configs": [{"upgrade_type": "websocket"}],
        },
    });
    json!({
        "name": names::ATTEMPTS,
        "domains": ["*"],
        "request_headers_to_remove": KEPT_INSIDE,
        "response_headers_to_remove": withheld,
        "routes": silence::limited(&route),
    })
}

/// The user's file for the filter, unchanged: people read it.
pub(super) fn as_text(text: &str) -> Value {
    typed("google.protobuf.StringValue", json!({"value": text}))
}

/// The user's file for the filter after parsing (`Loaded::parsed`), which each worker reads sooner.
pub(super) fn as_parsed(parsed: &[u8]) -> Value {
    typed("google.protobuf.BytesValue", json!({"value": BASE64.encode(parsed)}))
}

/// The filter with the user's file. `os.environ/` reads Envoy's environment.
pub(super) fn filter(root_id: &str, config: &Config, file: &Value, options: &Options) -> Value {
    match &options.filter {
        FilterSource::Wasm { filter, .. } => wasm(root_id, config, file, filter),
        FilterSource::Module => dynamic_module::filter(names::FILTER, root_id, Some(file.clone())),
    }
}

fn wasm(root_id: &str, config: &Config, file: &Value, filter: &str) -> Value {
    let vm = wasm_vm(names::FILTER, json!({"filename": filter}));
    let variables = Some(&config.env_names).filter(|names| !names.is_empty());
    let vm = with(vm, "environment_variables", variables.map(|names| json!({"host_env_keys": names})));
    wasm_filter((names::FILTER, root_id), Headers::MayPause, vm, Some(file.clone()))
}
