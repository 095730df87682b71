//! The filter on the gateway's own listener, for gateways without an internal one: it runs once per
//! request, and Envoy retries by headers that the filter sets.

use llm_balancer_config::names;
use serde_json::{Map, Value, json};

use super::parts::{BootstrapParts, MANAGER, move_headers, take};
use crate::render::message::early_header_mutation;

/// Removes the internal listener and its cluster, and moves the listener's filter and route to the
/// gateway's.
pub(super) fn rearrange(parts: &mut BootstrapParts) {
    // In Envoy's configuration, which a client cannot change.
    let mut wasm: Vec<_> = parts.wasm().map(Value::take).collect();
    for filter in &mut wasm {
        if let Some(root) = filter.pointer_mut("/typed_config/config/root_id") {
            *root = names::SINGLE_HOP.into();
        }
    }
    parts.filters.extend(wasm);
    let is_attempts = |resource: &Value| resource.get("name") == Some(&names::ATTEMPTS.into());
    parts.clusters.retain(|cluster| !is_attempts(cluster));
    let attempts = parts.listeners.iter().position(is_attempts).map(|at| parts.listeners.remove(at));
    let host = format!("{MANAGER}/route_config/virtual_hosts/0");
    let mut host: Map<String, Value> = take(&mut attempts.unwrap_or_default(), &host);
    // The filter runs before the route adds the client's address, so an earlier extension adds it.
    let client = parts.last_route.shift_remove("request_headers_to_add");
    parts
        .manager
        .extend(client.map(|headers| ("early_header_mutation_extensions".to_owned(), early(&headers))));
    // The filter's own answers are local replies here, already in OpenAI's format.
    parts.manager.shift_remove("local_reply_config");
    parts.virtual_host = Map::new();
    let mut routes: Vec<Value> = host.get_mut("routes").map(|routes| take(routes, "")).unwrap_or_default();
    move_headers(&mut host, &mut routes);
    parts.set_routes(routes);
}

/// Adds headers before the first filter.
fn early(headers: &Value) -> Value {
    let headers = headers.as_array().into_iter().flatten();
    early_header_mutation(headers.map(|header| json!({"append": header})).collect())
}
