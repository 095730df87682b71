//! The filter on the edge, which sends the first attempt of a request straight to its deployment.
//!
//! ```text
//! client ── edge, the filter ──────────────── cluster of the deployment ── provider    first attempt
//!             │   after a failure the request runs through the edge again
//!             └── cluster "attempts" ── listener "attempts" ── ..                      all later ones
//! ```

use std::net::SocketAddr;

use llm_balancer_config::{Config, names};
use serde_json::{Value, json};

use super::attempts;
use super::dynamic_module;
use super::local_replies::{body_of, in_own_words, selected};
use super::message::{
    Headers, early_header_mutation, header_mutation, http_connection_manager, listener_address, overwrite,
    router, typed, upstream_codec, wasm_filter, wasm_vm, with,
};
use super::process::{FilterSource, Hops, Options, Runtime};

/// The filter, in this role, for the configuration whose later attempts go to the cluster
/// `attempts`.
pub(super) fn filter(attempts: &str, config: &Config, file: &Value, options: &Options) -> Value {
    attempts::filter(&format!("{}{attempts}", names::EDGE), config, file, options)
}

/// Sends a request through the edge once more, if the filter asks for it. What has to survive that
/// is in the filter, under the id in this header.
pub(super) fn next_attempt() -> Value {
    const AGAIN: &str = "envoy.extensions.http.custom_response.redirect_policy.v3.RedirectPolicy";
    let again = typed(
        AGAIN,
        json!({
            "redirect_action": {"path_redirect": names::NEXT_ATTEMPT_PATH, "strip_query": true},
            "request_headers_to_add": [
                overwrite(names::NEXT_ATTEMPT, &format!("%FILTER_STATE(wasm.{}:PLAIN)%", names::NEXT_ATTEMPT)),
                // Without the scheme, Envoy takes the request for one that it should not have got.
                overwrite("x-forwarded-proto", "http"),
            ],
        }),
    );
    let input =
        typed("envoy.type.matcher.v3.HttpResponseHeaderMatchInput", json!({"header_name": names::RETRY}));
    let asked = json!({"single_predicate": {
        "input": {"name": names::RETRY, "typed_config": input},
        "value_match": {"exact": "1"},
    }});
    let matcher =
        json!({"predicate": asked, "on_match": {"action": {"name": "again", "typed_config": again}}});
    json!({
        "name": "envoy.filters.http.custom_response",
        "typed_config": typed(
            "envoy.extensions.filters.http.custom_response.v3.CustomResponse",
            json!({"custom_response_matcher": {"matcher_list": {"matchers": [matcher]}}}),
        ),
    })
}

/// Envoy's words for the client's address.
pub(super) const CLIENT_ADDRESS: &str = "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%";

/// Tells the filter the client's address. The filter sees the headers before the routes add any.
/// The id of another client's request is removed. Envoy does this for a client's headers only, and
/// not when it runs a request through the edge again.
pub(super) fn early_headers() -> Value {
    let client = json!({"append": overwrite(names::CLIENT, CLIENT_ADDRESS)});
    let next_attempt = json!({"remove": names::NEXT_ATTEMPT});
    early_header_mutation(vec![client, next_attempt])
}

/// The filters between the edge's router and a provider, with a further one; the codec comes last.
/// With one hop a response reaches the router with the first bytes of its body, so that one which
/// breaks off before is a failed attempt and no answer.
pub(super) fn upstream_filters(options: &Options, further: Option<Value>) -> Vec<Value> {
    let first_hop = match (options.hops, options.runtime()) {
        (Hops::One, Runtime::Wasm) => vec![uncounted(), hold(options)],
        // The module removes the count where it holds the response.
        (Hops::One, Runtime::Module) => vec![hold(options)],
        (Hops::Two, _) => Vec::new(),
    };
    first_hop.into_iter().chain(further).chain([upstream_codec()]).collect()
}

/// Envoy counts the attempts of all routes or of none.
fn uncounted() -> Value {
    header_mutation(json!({"remove": names::ATTEMPT_COUNT}))
}

fn hold(options: &Options) -> Value {
    match &options.filter {
        FilterSource::Module => dynamic_module::filter(names::HOLD, names::HOLD, None),
        FilterSource::Wasm { hold, .. } => {
            let vm = wasm_vm(names::HOLD, hold.clone());
            wasm_filter((names::HOLD, names::HOLD), Headers::MayPause, vm, None)
        }
    }
}

/// A bootstrap with the holding filter and nothing else, which every Envoy accepts that runs
/// filters in this runtime.
pub(crate) fn only_the_holding_filter(options: &Options) -> Value {
    let manager = json!({
        "stat_prefix": names::HOLD,
        "route_config": {},
        "http_filters": [hold(options), router()],
    });
    let address = listener_address(SocketAddr::from(([127, 0, 0, 1], 0)));
    let listener =
        json!({"name": names::HOLD, "address": address, "filter_chains": http_connection_manager(manager)});
    json!({"static_resources": {"listeners": [listener]}})
}

/// Local replies that the edge's own mappers would spoil.
pub(super) fn local_reply_mappers() -> [Value; 5] {
    [
        // The filter's answers have their body already.
        json!({
            "filter": selected(&format!("response.code_details == '{}'", names::FILTER)),
            "body_format_override": {"text_format_source": {"inline_string": "%LOCAL_REPLY_BODY%"}},
        }),
        // Where the filter has had the headers of an answer, Envoy passes it by, and the client gets
        // these. They have the statuses of the filter and of the access log.
        passing_by("response.code_details.startsWith('upstream_reset_after_response_started')", 502, 500),
        passing_by("response.code_details == 'response_timeout'", 504, 408),
        // Of a request that is silent before it is complete; no answer has broken off.
        in_own_words(408),
        with(attempts::interrupted(false), "body_format_override", body_of(502)),
    ]
}

/// A local reply with another status and the words for Envoy's.
fn passing_by(expression: &str, envoys: u16, status: u16) -> Value {
    json!({
        "filter": selected(expression),
        "status_code": status,
        "body_format_override": body_of(envoys),
    })
}

/// The route of a first attempt. Envoy keeps the body for the second pass only where a route could
/// redirect.
pub(super) fn route(replay_limit: u64) -> Value {
    json!({
        "match": {"prefix": "/"},
        "request_headers_to_remove": attempts::KEPT_INSIDE,
        "request_body_buffer_limit": replay_limit,
        "route": {
            "cluster_header": names::CLUSTER,
            "timeout": "0s",
            "internal_redirect_policy": {"max_internal_redirects": 0},
            // A gateway may pass a WebSocket, which the filter answers with an error.
            "upgrade_configs": [{"upgrade_type": "websocket"}],
        },
    })
}

/// Matches what the filter sends to the listener of a revision. Names of deployments' clusters do
/// not match.
pub(super) fn is_later_attempt() -> Value {
    json!([{
        "name": names::CLUSTER,
        "string_match": {"safe_regex": {"regex": format!("{}(-[0-9]+)?", names::ATTEMPTS)}},
    }])
}

/// Loads the filter of this name from where `serve` replaces it.
pub(super) fn discovered(name: &str, source: Value, runtime: Runtime) -> Value {
    let message = match runtime {
        Runtime::Wasm => "envoy.extensions.filters.http.wasm.v3.Wasm",
        Runtime::Module => dynamic_module::FILTER,
    };
    json!({
        "name": name,
        "config_discovery": with(
            json!({"type_urls": [format!("type.googleapis.com/{message}")]}),
            "config_source",
            source,
        ),
    })
}
